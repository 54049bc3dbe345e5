use super::*;
use crate::auth::{Verdict, generate};
use proptest::prelude::*;

fn parsed(text: &str) -> Vec<(u32, KeyType, Vec<u8>)> {
    let (keys, warnings) = parse(text.as_bytes());
    assert_eq!(warnings, [], "{text:?}");
    keys.into_iter()
        .map(|key| (key.id.0, key.key_type, key.secret.to_vec()))
        .collect()
}

fn one(text: &str) -> (u32, KeyType, Vec<u8>) {
    let mut keys = parsed(text);
    assert_eq!(keys.len(), 1, "{text:?}");
    keys.remove(0)
}

fn problems(text: &str) -> Vec<(usize, KeyProblem)> {
    let (_, warnings) = load(text.as_bytes());
    warnings
        .iter()
        .map(|warning| (warning.line, warning.problem))
        .collect()
}

#[test]
fn two_or_three_words() {
    assert_eq!(one("5 secret"), (5, KeyType::Md5, b"secret".to_vec()));
    assert_eq!(one("5 SHA1 secret"), (5, KeyType::Sha1, b"secret".to_vec()));
    assert_eq!(
        one(" \t 5 \x0b SHA3-512\x0c\t ASCII:HEX:ab \r\n"),
        (5, KeyType::Sha3_512, b"HEX:ab".to_vec())
    );
    for line in ["5", "5 MD5 a b", "5 MD5 a # comment", "x"] {
        assert_eq!(problems(line), [(1, KeyProblem::Words)], "{line}");
    }
}

#[test]
fn comments_begin_a_line_and_nothing_else() {
    assert_eq!(parsed("# a\n  ! b\n\t;c d e f\n%\n\n \t\r\n"), []);
    assert_eq!(one("5 MD5 #a").2, b"#a");
    assert_eq!(problems("\n\n5 MD5 key #"), [(3, KeyProblem::Words)]);
}

#[test]
fn secrets_in_three_notations() {
    assert_eq!(one("1 HEX:00fFA1").2, [0, 0xff, 0xa1]);
    assert_eq!(one("1 ASCII:00fFA1").2, b"00fFA1");
    assert_eq!(one("1 hex:00").2, b"hex:00", "the prefix has one spelling");
    assert_eq!(one("1 ascii:00").2, b"ascii:00");
    for undecodable in [
        "HEX:", "ASCII:", "HEX:1", "HEX:123", "HEX:0g", "HEX:0x00", "HEX:+1",
    ] {
        let line = format!("9 MD5 {undecodable}");
        assert_eq!(problems(&line), [(1, KeyProblem::Undecodable(KeyId(9)))]);
    }
}

/// `%u` of C's scanf on a machine whose `long` has 64 bits.
#[test]
fn identifiers_as_scanf_reads_them() {
    assert_eq!(parsed("4294967295 a\n010 b\n1 c").len(), 3);
    for (word, id) in [
        ("0", 0),
        ("+7", 7),
        ("7x", 7),
        ("0x10", 0),
        ("7,8", 7),
        ("-1", u32::MAX),
        ("-4294967295", 1),
        ("4294967296", 0),
        ("4294967297", 1),
        ("18446744073709551616", u32::MAX),
        ("-18446744073709551616", u32::MAX),
    ] {
        let (keys, warnings) = parse(format!("{word} MD5 secret").as_bytes());
        assert_eq!(keys[0].id, KeyId(id), "{word}");
        assert_eq!(warnings[0].problem, KeyProblem::OddId(KeyId(id)));
    }
    for word in ["x7", "-", "+", "--1", "+-1", "\u{feff}1"] {
        assert_eq!(
            problems(&format!("{word} MD5 secret")),
            [(1, KeyProblem::Id)]
        );
    }
}

#[test]
fn types_are_exact_and_the_warning_says_how_to_spell_them() {
    for (word, meant) in [
        ("aes128", Some(KeyType::Aes128)),
        ("AES-128", Some(KeyType::Aes128)),
        ("AES128CMAC", Some(KeyType::Aes128)),
        ("SHA-256", Some(KeyType::Sha256)),
        ("sha3_256", Some(KeyType::Sha3_256)),
        ("M", None),
        ("CMAC", None),
    ] {
        let problem = KeyProblem::Type {
            id: KeyId(3),
            meant,
        };
        assert_eq!(problems(&format!("3 {word} secret")), [(1, problem)]);
    }
}

#[test]
fn the_good_keys_load_and_each_bad_line_is_named() {
    let text = "\
        1 AES128 HEX:000102030405060708090A0B0C0D0E0F\n\
        2 AES128 HEX:00\n\
        3 TIGER secret\n\
        1 SHA1 other\n\
        oops\n\
        4 SHA256 ASCII:fine\n\
        2 MD5 the-first-one-that-can-be-used\n\
        2 MD5 another\n";
    let (store, warnings) = load(text.as_bytes());
    assert_eq!(format!("{store:?}"), "{1: Aes128, 2: Md5, 4: Sha256}");
    let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "line 2: key 2 is skipped: a key of type AES128 has 128 bits, this one has 8; \
             write it as HEX: and 32 digits",
            "line 3: key 3 is skipped: its type TIGER is not supported; \
             make a new one of type AES128 for both ends",
            "line 4: key 1 is skipped: line 1 has the same number, give one of them another",
            "line 5: not a key: write ID TYPE KEY, with no white space in the key and no comment \
             behind it; the line is skipped",
            "line 8: key 2 is skipped: line 7 has the same number, give one of them another",
        ]
    );
}

#[test]
fn long_lines_are_cut_as_chrony_cuts_them() {
    let fits = format!("1 MD5 {}", "a".repeat(2047 - 6));
    assert_eq!(one(&fits).2.len(), 2041);
    assert_eq!(one(&format!("{fits}\n")).2.len(), 2041);

    let (keys, warnings) = parse(format!("{fits}2 MD5 rest\n3 MD5 next").as_bytes());
    let found: Vec<_> = keys.iter().map(|key| (key.line, key.id.0)).collect();
    assert_eq!(found, [(1, 1), (1, 2), (2, 3)]);
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        (warnings[0].line, warnings[0].problem),
        (1, KeyProblem::LongLine)
    );
}

#[test]
fn a_nul_byte_ends_a_line() {
    assert_eq!(one("1 MD5 abc\0def\n").2, b"abc");
    assert_eq!(parsed("\0 1 MD5 abc\n"), []);
}

#[test]
fn permissions_of_others() {
    for fine in [0o600, 0o640, 0o400, 0o660, 0o771, 0o770, 0o100_640] {
        assert_eq!(mode_warning(fine), None, "{fine:o}");
    }
    assert_eq!(
        mode_warning(0o100_644),
        Some(ModeWarning::WorldReadable(0o644))
    );
    assert_eq!(mode_warning(0o602), Some(ModeWarning::WorldWritable(0o602)));
    assert_eq!(
        mode_warning(0o666).unwrap().to_string(),
        "the key file is world-writable (mode 0666): run chmod o-rw on it, and replace its keys"
    );
}

const SECRET: &str = "hunter2hunter2hunter2";

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(SECRET.to_owned()),
        Just(format!("ASCII:{SECRET}")),
        Just(format!("HEX:{SECRET}")),
        Just(format!("{SECRET}#")),
        "[0-9]{1,3}",
        Just("MD5".to_owned()),
        Just("AES128".to_owned()),
        Just("WHIRLPOOL".to_owned()),
        "[a-zA-Z0-9#:-]{1,8}",
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read(text in prop::collection::vec(any::<u8>(), 0..6000)) {
        let (keys, warnings) = parse(&text);
        let lines = 1..=text.split(|byte| *byte == b'\n').count();
        prop_assert!(keys.iter().all(|key| lines.contains(&key.line) && !key.secret.is_empty()));
        prop_assert!(warnings.iter().all(|warning| lines.contains(&warning.line)));
        let (store, _) = load(&text);
        prop_assert!(store.len() <= keys.len());
    }

    #[test]
    fn no_warning_and_no_debug_has_the_secret(
        lines in prop::collection::vec(prop::collection::vec(word(), 0..5), 0..8),
    ) {
        let lines: Vec<_> = lines.iter().map(|words| words.join(" ")).collect();
        let text = lines.join("\n");
        let (keys, first) = parse(text.as_bytes());
        let (store, all) = load(text.as_bytes());
        let mut said = format!("{keys:?} {store:?} {first:?} {all:?}");
        for warning in first.iter().chain(&all) {
            said.push_str(&warning.to_string());
        }
        prop_assert!(!said.contains("hunter"), "{}", said);
    }

    #[test]
    fn a_key_that_loads_signs_and_verifies(
        id in 1u32..,
        which in 0..KeyType::ALL.len(),
        bits in 0u32..5000,
        seed in any::<u8>(),
        version in 1u8..=4,
        mut message in prop::collection::vec(any::<u8>(), 48..100),
    ) {
        let key_type = KeyType::ALL[which];
        let line = generate(KeyId(id), key_type, bits, |bytes| bytes.fill(seed));
        prop_assert_eq!(line.is_ok(), key_type.is_supported());
        let Ok(line) = line else { return Ok(()) };
        let (store, warnings) = load(line.as_bytes());
        prop_assert_eq!(warnings, []);
        let at = store.find(KeyId(id)).unwrap();
        prop_assert_eq!(store.key_type(at), key_type);
        prop_assert_eq!(store.key_bits(at), 8 * key_type.key_len().unwrap_or((bits as usize).div_ceil(8).clamp(10, 512)));

        let end = message.len();
        message.resize(end + store.mac_len(at, version), 0);
        prop_assert_eq!(store.sign(at, version, &mut message, end), Some(message.len()));
        prop_assert_eq!(&message[end..end + 4], &id.to_be_bytes());
        let verdict = store.verify(at, version, &message[..end], &message[end + 4..]);
        prop_assert_eq!(verdict, Verdict::Good);
    }
}
