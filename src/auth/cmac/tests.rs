use super::*;
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// The message of RFC 4493 §4 and of NIST SP 800-38B's examples.
const MESSAGE: &str = "
    6bc1bee2 2e409f96 e93d7e11 7393172a
    ae2d8a57 1e03ac9c 9eb76fac 45af8e51
    30c81c46 a35ce411 e5fbc119 1a0a52ef
    f69f2445 df4f9b17 ad2b417b e66c3710";

/// RFC 4493 §4.
#[test]
fn rfc_4493_vectors() {
    let message = hex(MESSAGE);
    let key = CmacKey::<Aes128Enc>::new(&hex("2b7e1516 28aed2a6 abf71588 09cf4f3c")).unwrap();
    assert_eq!(key.k1[..], hex("fbeed618 35713366 7c85e08f 7236a8de"));
    assert_eq!(key.k2[..], hex("f7ddac30 6ae266cc f90bc11e e46d513b"));
    for (length, mac) in [
        (0, "bb1d6929 e9593728 7fa37d12 9b756746"),
        (16, "070a16b4 6b4d4144 f79bdd9d d04a287c"),
        (40, "dfa66747 de9ae630 30ca3261 1497c827"),
        (64, "51f0bebf 7e3b9d92 fc497417 79363cfe"),
    ] {
        assert_eq!(key.mac(&message[..length])[..], hex(mac), "{length} bytes");
    }
}

/// NIST SP 800-38B, examples of CMAC-AES256.
#[test]
fn nist_aes_256_vectors() {
    let message = hex(MESSAGE);
    let key = CmacKey::<Aes256Enc>::new(&hex(
        "603deb10 15ca71be 2b73aef0 857d7781 1f352c07 3b6108d7 2d9810a3 0914dff4",
    ))
    .unwrap();
    for (length, mac) in [
        (0, "028962f6 1b7bf89e fc6b551f 4667d983"),
        (16, "28a7023f 452e8f82 bd4bf28d 8c37c35c"),
        (40, "aaf3d8f1 de5640c2 32f5b169 b9c911e6"),
        (64, "e1992190 549f6ed5 696a2c05 6c315410"),
    ] {
        assert_eq!(key.mac(&message[..length])[..], hex(mac), "{length} bytes");
    }
}

#[test]
fn a_key_of_another_length_is_none() {
    assert!(CmacKey::<Aes128Enc>::new(&[1; 15]).is_none());
    assert!(CmacKey::<Aes128Enc>::new(&[1; 32]).is_none());
    assert!(CmacKey::<Aes256Enc>::new(&[1; 16]).is_none());
}

#[test]
fn the_self_test_sees_a_wrong_subkey_and_a_wrong_schedule() {
    let secret = [7; 16];
    let good = CmacKey::<Aes128Enc>::new(&secret).unwrap();
    assert!(good.self_test(&secret));
    for subkey in [1, 2] {
        let mut bad = CmacKey::<Aes128Enc>::new(&secret).unwrap();
        let wrong = if subkey == 1 {
            &mut bad.k1
        } else {
            &mut bad.k2
        };
        wrong[15] ^= 1;
        assert!(!bad.self_test(&secret));
    }
    assert!(!good.self_test(&[8; 16]));
}

proptest! {
    #[test]
    fn agrees_with_the_cmac_crate(
        secret in any::<[u8; 32]>(),
        message in prop::collection::vec(any::<u8>(), 0..200),
        header in any::<[u8; 32]>(),
    ) {
        let mut message48 = [0; 48];
        message48[..32].copy_from_slice(&header);
        message48[32..].copy_from_slice(&header[16..]);

        let key = CmacKey::<Aes128Enc>::new(&secret[..16]).unwrap();
        let other = |message| Aes128Enc::second_opinion(&secret[..16], message).unwrap();
        prop_assert_eq!(key.mac(&message), other(&message));
        prop_assert_eq!(key.mac48(&message48), other(&message48));
        prop_assert_eq!(key.mac48(&message48), key.mac(&message48));

        let key = CmacKey::<Aes256Enc>::new(&secret).unwrap();
        let other = |message| Aes256Enc::second_opinion(&secret, message).unwrap();
        prop_assert_eq!(key.mac(&message), other(&message));
        prop_assert_eq!(key.mac48(&message48), other(&message48));
    }
}
