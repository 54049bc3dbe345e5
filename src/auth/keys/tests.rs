use super::*;
use proptest::prelude::*;

const fn is_shared<T: Send + Sync>() {}
const _: () = is_shared::<KeyStore>();

const SUPPORTED: [KeyType; 11] = [
    KeyType::Md5,
    KeyType::Sha1,
    KeyType::Sha256,
    KeyType::Sha384,
    KeyType::Sha512,
    KeyType::Sha3_224,
    KeyType::Sha3_256,
    KeyType::Sha3_384,
    KeyType::Sha3_512,
    KeyType::Aes128,
    KeyType::Aes256,
];

fn key(id: u32, key_type: KeyType, fill: u8) -> Key {
    let secret = vec![fill; key_type.key_len().unwrap_or(20)];
    Key::new(KeyId(id), key_type, &secret).unwrap()
}

fn store(keys: &[Key]) -> KeyStore {
    let (store, left_out) = KeyStore::new(keys);
    assert!(left_out.is_empty());
    store
}

#[test]
fn finds_the_first_of_each_identifier_and_no_other() {
    let ids = [7, 0, u32::MAX, 7, 3, 0];
    let keys: Vec<_> = (0u8..)
        .zip(ids)
        .map(|(fill, id)| key(id, KeyType::Aes128, fill))
        .collect();
    let (store, left_out) = KeyStore::new(&keys);
    assert_eq!(left_out, [5, 3]);
    assert_eq!(store.len(), 4);
    for (id, fill) in [(0, 1), (3, 4), (7, 0), (u32::MAX, 2)] {
        let at = store.find(KeyId(id)).unwrap();
        assert_eq!(store.id(at), KeyId(id));
        let mac = CmacKey::<Aes128Enc>::new(&[fill; 16])
            .unwrap()
            .mac(b"which?");
        assert_eq!(store.verify(at, 4, b"which?", &mac), Verdict::Good);
    }
    for id in [1, 2, 4, 6, 8, u32::MAX - 1] {
        assert_eq!(store.find(KeyId(id)), None);
    }
    assert_eq!(KeyStore::default().find(KeyId(0)), None);
}

#[test]
fn a_hundred_thousand_keys_are_all_found() {
    let count = 100_000;
    let keys: Vec<_> = (0..count)
        .map(|at: u32| {
            Key::new(
                KeyId(at.wrapping_mul(2_654_435_761) | 1),
                KeyType::Md5,
                &at.to_ne_bytes(),
            )
        })
        .map(Result::unwrap)
        .collect();
    let (store, left_out) = KeyStore::new(&keys);
    assert_eq!(store.len() + left_out.len(), keys.len());
    for key in &keys {
        let at = store.find(key.id()).unwrap();
        assert_eq!(store.id(at), key.id());
        assert_eq!(store.find(KeyId(key.id().0 & !1)), None);
    }
    assert_eq!(store.memory_bytes(), store.len() * (256 + 4 + 4));
}

/// chrony.md's table: exactly min(natural, ceiling) bytes, with a ceiling of 20 in NTPv4.
#[test]
fn digest_lengths_by_type_and_version() {
    for key_type in SUPPORTED {
        let store = store(&[key(9, key_type, 1)]);
        let at = store.find(KeyId(9)).unwrap();
        for (version, natural_max) in [(1, 64), (3, 64), (4, 20)] {
            let expected = key_type.digest_len().min(natural_max);
            assert_eq!(store.mac_len(at, version), 4 + expected);

            let mut packet = [0x23; 48 + 68 + 1];
            let end = store.sign(at, version, &mut packet, 48).unwrap();
            assert_eq!(end, 48 + 4 + expected, "{key_type} in version {version}");
            assert_eq!(packet[48..52], [0, 0, 0, 9]);
            assert_eq!(packet[end..], [0x23; 117][end..]);

            let (message, digest) = (&packet[..48], &packet[52..]);
            let verify = |len| store.verify(at, version, message, &digest[..len]);
            assert_eq!(verify(expected), Verdict::Good);
            assert_eq!(verify(expected - 1), Verdict::Short);
            assert_eq!(verify(0), Verdict::Short);
            assert_eq!(verify(expected + 1), Verdict::Bad);
        }
    }
}

#[test]
fn a_packet_without_room_is_left_alone() {
    for key_type in SUPPORTED {
        let store = store(&[key(1, key_type, 1)]);
        let at = store.find(KeyId(1)).unwrap();
        let whole = 48 + store.mac_len(at, 4);
        let mut packet = vec![0x5a; whole];
        for room in 0..whole {
            assert_eq!(store.sign(at, 4, &mut packet[..room], 48), None);
            assert!(packet.iter().all(|byte| *byte == 0x5a));
        }
        assert_eq!(store.sign(at, 4, &mut packet, usize::MAX), None);
        assert_eq!(store.sign(at, 4, &mut packet, 48), Some(whole));
    }
}

#[test]
fn an_index_of_another_store_authenticates_nothing() {
    let long = store(&[key(1, KeyType::Aes128, 1), key(2, KeyType::Aes128, 2)]);
    let short = store(&[key(1, KeyType::Aes128, 1)]);
    let at = long.find(KeyId(2)).unwrap();
    assert_eq!(short.verify(at, 4, &[0; 48], &[0; 16]), Verdict::Bad);
    assert_eq!(short.sign(at, 4, &mut [0; 68], 48), None);
}

#[test]
fn keys_that_cannot_be() {
    let new = |key_type, len: usize| Key::new(KeyId(1), key_type, &vec![1; len]).err();
    for (key_type, bits) in [(KeyType::Aes128, 128), (KeyType::Aes256, 256)] {
        for len in [0, 15, 17, 24, 31, 33] {
            let refused = KeyError::Length {
                key_type,
                bits,
                actual_bits: 8 * len,
            };
            assert_eq!(new(key_type, len), Some(refused));
        }
        assert_eq!(new(key_type, bits / 8), None);
    }
    assert_eq!(new(KeyType::Sha1, 0), Some(KeyError::Empty));
    assert_eq!(new(KeyType::Sha1, 1), None);
    assert_eq!(
        new(KeyType::Tiger, 20),
        Some(KeyError::Unsupported(KeyType::Tiger))
    );
    assert_eq!(
        new(KeyType::Aes128, 20).unwrap().to_string(),
        "a key of type AES128 has 128 bits, this one has 160; write it as HEX: and 32 digits"
    );
}

#[test]
fn debug_shows_names_only() {
    let keys = [key(3, KeyType::Sha1, b'S'), key(1, KeyType::Aes128, b'S')];
    assert_eq!(format!("{:?}", keys[0]), "Key(3 SHA1)");
    assert_eq!(format!("{:?}", store(&keys)), "{1: Aes128, 3: Sha1}");
}

#[test]
fn bits_of_the_secret() {
    let store = store(&[
        key(1, KeyType::Sha1, 1),
        key(2, KeyType::Aes128, 1),
        key(3, KeyType::Aes256, 1),
    ]);
    let bits = [1, 2, 3].map(|id| store.key_bits(store.find(KeyId(id)).unwrap()));
    assert_eq!(bits, [160, 128, 256]);
    assert_eq!(store.memory_bytes(), 3 * (4 + 256) + 20 + 272);
}

proptest! {
    #[test]
    fn one_changed_bit_is_bad(
        which in 0..SUPPORTED.len(),
        version in 1u8..=4,
        mut message in prop::collection::vec(any::<u8>(), 48..120),
        flip in any::<prop::sample::Index>(),
    ) {
        let store = store(&[key(77, SUPPORTED[which], 0xa5)]);
        let at = store.find(KeyId(77)).unwrap();
        let message_len = message.len();
        message.resize(message_len + store.mac_len(at, version), 0);
        prop_assert_eq!(store.sign(at, version, &mut message, message_len), Some(message.len()));

        let verdict = |packet: &[u8]| {
            let (message, mac) = packet.split_at(message_len);
            store.verify(at, version, message, &mac[4..])
        };
        prop_assert_eq!(verdict(&message), Verdict::Good);
        // Any bit but those of the identifier, which the digest does not cover.
        let bit = flip.index(8 * (message.len() - 4));
        let byte = if bit / 8 < message_len { bit / 8 } else { bit / 8 + 4 };
        message[byte] ^= 1 << (bit % 8);
        prop_assert_eq!(verdict(&message), Verdict::Bad);
    }
}
