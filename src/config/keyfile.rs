//! chrony's key file (chrony.keys, `keyfile` in chrony.conf(5)): text in, keys and warnings out.
//!
//! Nothing in it is fatal: a line that cannot be used is skipped with a warning, and the other keys
//! load. A warning names a line and what to do there, and never quotes it: any word of a mistyped line
//! may be the secret.

use core::fmt;
use std::collections::BTreeMap;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::auth::{Key, KeyError, KeyStore, KeyType};
use crate::wire::KeyId;

/// Reads a key file and makes its keys ready; [`keys`] has the rest.
pub fn load(text: &[u8]) -> (KeyStore, Vec<KeyWarning>) {
    let (keys, warnings) = keys(text);
    let (store, _) = KeyStore::new(&keys);
    (store, warnings)
}

/// Reads a key file. Of several keys with one identifier the first is kept, where chrony leaves it open which is used.
///
/// The warnings are in the order of the lines. The text, which the caller has, is the caller's to wipe.
pub fn keys(text: &[u8]) -> (Vec<Key>, Vec<KeyWarning>) {
    let (lines, mut warnings) = parse(text);
    let mut keys = Vec::with_capacity(lines.len());
    let mut first_lines = BTreeMap::new();
    for KeyLine {
        line,
        id,
        key_type,
        secret,
    } in lines
    {
        let problem = match Key::new(id, key_type, &secret) {
            Err(error) => KeyProblem::Unusable { id, error },
            Ok(key) => match first_lines.get(&id) {
                Some(first) => KeyProblem::Duplicate { id, first: *first },
                None => {
                    first_lines.insert(id, line);
                    keys.push(key);
                    continue;
                }
            },
        };
        warnings.push(KeyWarning { line, problem });
    }
    warnings.sort_by_key(|warning| warning.line);
    (keys, warnings)
}

/// Reads the lines of a key file, with chrony's grammar: `ID KEY` or `ID TYPE KEY`, separated by white
/// space, where a `KEY` is `HEX:` and digits, or `ASCII:` and characters, or characters, and the `TYPE`
/// is MD5 where there is none. A line whose first character is one of `! ; # %` is a comment; there is
/// no comment behind a key.
pub fn parse(text: &[u8]) -> (Vec<KeyLine>, Vec<KeyWarning>) {
    let mut keys = Vec::new();
    let mut warnings = Vec::new();
    for (line, whole) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        for piece in whole.chunks(LINE_LEN_MAX) {
            match key_line(line, piece) {
                Ok(None) => {}
                Ok(Some(key)) => {
                    if !is_plain_id(piece, key.id) {
                        let problem = KeyProblem::OddId(key.id);
                        warnings.push(KeyWarning { line, problem });
                    }
                    keys.push(key);
                }
                Err(problem) => warnings.push(KeyWarning { line, problem }),
            }
        }
        if whole.len() > LINE_LEN_MAX {
            let problem = KeyProblem::LongLine;
            warnings.push(KeyWarning { line, problem });
        }
    }
    (keys, warnings)
}

/// A line that names a key; whether it is one that can be used, [`Key::new`] tells.
#[derive(PartialEq, Eq)]
pub struct KeyLine {
    /// Its number, from 1.
    pub line: usize,
    /// The first word.
    pub id: KeyId,
    /// The second of three words, or MD5.
    pub key_type: KeyType,
    /// The last word, decoded; never empty.
    pub secret: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for KeyLine {
    /// All but the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyLine({}: {} {})", self.line, self.id.0, self.key_type)
    }
}

/// Something to put right in a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub struct KeyWarning {
    /// From 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: KeyProblem,
}

/// What is wrong with a line of a key file. All but [`LongLine`](Self::LongLine) and
/// [`OddId`](Self::OddId) cost the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyProblem {
    /// One word, or more than three.
    #[error(
        "not a key: write ID TYPE KEY, with no white space in the key and no comment behind it; the line is skipped"
    )]
    Words,
    /// The first word does not begin with digits.
    #[error(
        "not a key: the line must begin with the key's number, 1 to 4294967295; the line is skipped"
    )]
    Id,
    /// The first word is more than a number, or not a number from 1 to 2^32 - 1.
    #[error(
        "the key's number is not a plain one from 1 to 4294967295; it is taken for {}, as chrony does: write the number meant",
        .0.0
    )]
    OddId(KeyId),
    /// The second of three words is no key type; perhaps it is one but for the spelling.
    #[error(
        "key {} is skipped, its type is unknown: {}",
        .id.0,
        match .meant {
            Some(meant) => format!("write {meant}"),
            None => format!("write one of {}", type_names()),
        }
    )]
    Type {
        /// The key.
        id: KeyId,
        /// What the word resembles.
        meant: Option<KeyType>,
    },
    /// `HEX:` with something else than pairs of digits behind, or a prefix and nothing.
    #[error(
        "key {} is skipped, it could not be decoded: write HEX: and an even number of hexadecimal digits, or ASCII: and characters",
        .0.0
    )]
    Undecodable(KeyId),
    /// The type cannot have that secret, or cannot be used.
    #[error("key {} is skipped: {error}", .id.0)]
    Unusable {
        /// The key.
        id: KeyId,
        /// Why.
        error: KeyError,
    },
    /// An earlier line has the number.
    #[error("key {} is skipped: line {first} has the same number, give one of them another", .id.0)]
    Duplicate {
        /// The key.
        id: KeyId,
        /// The line whose key is used.
        first: usize,
    },
    /// Longer than chrony reads at once.
    #[error(
        "longer than {LINE_LEN_MAX} bytes: what follows them is read as a line of its own, as chrony does; shorten it"
    )]
    LongLine,
}

/// Permissions of a key file that let others than its owner and group use the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ModeWarning {
    /// Everyone can sign as this server.
    #[error(
        "the key file is world-readable (mode {0:04o}): run chmod o-rw on it, and replace its keys"
    )]
    WorldReadable(u32),
    /// Everyone can choose the keys, whether or not they can read them.
    #[error(
        "the key file is world-writable (mode {0:04o}): run chmod o-rw on it, and replace its keys"
    )]
    WorldWritable(u32),
}

/// chrony's rule (since 4.4) for the permission bits of a key file: none but those of 0771.
///
/// Bits that are not permissions, as in `st_mode`, are ignored.
pub const fn mode_warning(mode: u32) -> Option<ModeWarning> {
    let permissions = mode & 0o777;
    match permissions & !MODE_ALLOWED {
        0 => None,
        bits if bits & 0o002 != 0 => Some(ModeWarning::WorldWritable(permissions)),
        _ => Some(ModeWarning::WorldReadable(permissions)),
    }
}

fn key_line(line: usize, text: &[u8]) -> Result<Option<KeyLine>, KeyProblem> {
    let mut words = words(text);
    let Some(first) = words.next() else {
        return Ok(None);
    };
    if COMMENT.contains(&first[0]) {
        return Ok(None);
    }
    let (type_word, key_word) = match (words.next(), words.next(), words.next()) {
        (Some(key), None, _) => (None, key),
        (Some(key_type), Some(key), None) => (Some(key_type), key),
        _ => return Err(KeyProblem::Words),
    };
    let id = KeyId(scan_unsigned(first).ok_or(KeyProblem::Id)?);
    let key_type = match type_word {
        None => KeyType::Md5,
        Some(word) => KeyType::ALL
            .into_iter()
            .find(|known| known.name().as_bytes() == word)
            .ok_or_else(|| KeyProblem::Type {
                id,
                meant: resembling(word),
            })?,
    };
    let secret = decode(key_word).ok_or(KeyProblem::Undecodable(id))?;
    Ok(Some(KeyLine {
        line,
        id,
        key_type,
        secret,
    }))
}

/// What C's `isspace` separates, up to the NUL byte that ends a string in C.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    text.split(|byte| matches!(byte, b' ' | b'\t'..=b'\r'))
        .filter(|word| !word.is_empty())
}

/// A number as C's `scanf` reads it with `%u`: a sign, digits, and whatever follows is left. It is the
/// number's low 32 bits, after it was held within 64.
fn scan_unsigned(word: &[u8]) -> Option<u32> {
    let (negative, digits) = match word {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let end = digits.iter().position(|byte| !byte.is_ascii_digit());
    let digits = &digits[..end.unwrap_or(digits.len())];
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    let bits = match number {
        None => u64::MAX,
        Some(number) if negative => number.wrapping_neg(),
        Some(number) => number,
    };
    let [low @ .., _, _, _, _] = bits.to_le_bytes();
    Some(u32::from_le_bytes(low))
}

/// Whether the line's first word is this number in digits, and not zero, which no client can name.
fn is_plain_id(text: &[u8], id: KeyId) -> bool {
    let digits = words(text).next().unwrap_or_default();
    let number = digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    id != KeyId(0) && number == Some(u64::from(id.0))
}

/// `None` when no byte would come of it.
fn decode(word: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let secret = match word.strip_prefix(b"HEX:") {
        Some(digits) => decode_hex(digits)?,
        None => Zeroizing::new(word.strip_prefix(b"ASCII:").unwrap_or(word).to_vec()),
    };
    (!secret.is_empty()).then_some(secret)
}

fn decode_hex(digits: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (pairs, []) = digits.as_chunks() else {
        return None;
    };
    // Of the final size from the start: what a growing vector leaves behind is not wiped.
    let mut secret = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for pair in pairs {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        secret.push(u8::try_from(high? << 4 | low?).ok()?);
    }
    Some(secret)
}

/// The key type whose name this word is but for case, `-`, `_` and the `CMAC` that ntpd appends.
fn resembling(word: &[u8]) -> Option<KeyType> {
    let letters = |name: &[u8]| -> Vec<u8> {
        let kept = name.iter().filter(|byte| !matches!(byte, b'-' | b'_'));
        kept.map(u8::to_ascii_uppercase).collect()
    };
    let word = letters(word);
    let word = word.strip_suffix(b"CMAC").unwrap_or(&word);
    KeyType::ALL
        .into_iter()
        .find(|known| letters(known.name().as_bytes()) == word)
}

fn type_names() -> String {
    let supported = KeyType::ALL
        .into_iter()
        .filter(|known| known.is_supported());
    supported.map(KeyType::name).collect::<Vec<_>>().join(", ")
}

/// Bytes chrony reads of a line at once.
const LINE_LEN_MAX: usize = 2047;
/// A line that begins with one of these, after blanks, is a comment.
const COMMENT: &[u8] = b"!;#%";
const MODE_ALLOWED: u32 = 0o771;

#[cfg(test)]
mod tests;
