//! New keys, as `chronyc keygen` writes them.

use zeroize::Zeroizing;

use super::{KeyError, KeyType};
use crate::wire::KeyId;

/// A line for the key files of both ends: `ID TYPE HEX:` and upper-case digits.
///
/// A cipher's key has the cipher's length; a hash's has `bits`, rounded up to bytes and held between
/// 80 and 4096. `random` fills its argument with bytes that nobody can guess.
///
/// # Errors
/// [`KeyError::Unsupported`]: nobody could load the key.
pub fn generate(
    id: KeyId,
    key_type: KeyType,
    bits: u32,
    mut random: impl FnMut(&mut [u8]),
) -> Result<Zeroizing<String>, KeyError> {
    if !key_type.is_supported() {
        return Err(KeyError::Unsupported(key_type));
    }
    let wanted = usize::try_from(bits.div_ceil(8)).unwrap_or(SECRET_LEN_MAX);
    let wanted = wanted.clamp(SECRET_LEN_MIN, SECRET_LEN_MAX);
    let mut secret = Zeroizing::new([0; SECRET_LEN_MAX]);
    let (secret, _) = secret.split_at_mut(key_type.key_len().unwrap_or(wanted));
    random(secret);

    // Roomy from the start: what a growing string leaves behind is not wiped.
    let mut line = Zeroizing::new(String::with_capacity(HEAD_LEN_MAX + 2 * secret.len()));
    line.push_str(&id.0.to_string());
    line.push(' ');
    line.push_str(key_type.name());
    line.push_str(" HEX:");
    for byte in secret.iter() {
        for nibble in [byte >> 4, byte & 15] {
            line.push(char::from(DIGITS[usize::from(nibble)]));
        }
    }
    Ok(line)
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
const SECRET_LEN_MIN: usize = 10;
const SECRET_LEN_MAX: usize = 512;
/// `4294967295 WHIRLPOOL HEX:`
const HEAD_LEN_MAX: usize = 10 + 1 + 9 + 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u32, key_type: KeyType, bits: u32) -> String {
        let mut next = 0xab_u8;
        let random = |bytes: &mut [u8]| {
            for byte in bytes {
                *byte = next;
                next = next.wrapping_add(1);
            }
        };
        generate(KeyId(id), key_type, bits, random)
            .unwrap()
            .to_string()
    }

    #[test]
    fn the_line_of_the_guide() {
        assert_eq!(
            line(1, KeyType::Aes128, 160),
            "1 AES128 HEX:ABACADAEAFB0B1B2B3B4B5B6B7B8B9BA"
        );
        assert_eq!(
            line(4_294_967_295, KeyType::Sha3_512, 1).len(),
            10 + 1 + 8 + 1 + 4 + 20
        );
    }

    #[test]
    fn lengths_are_rounded_up_and_held_in_bounds() {
        let digits = |key_type, bits| line(1, key_type, bits).split_once(':').unwrap().1.len();
        for (bits, bytes) in [
            (0, 10),
            (80, 10),
            (81, 11),
            (160, 20),
            (4096, 512),
            (u32::MAX, 512),
        ] {
            assert_eq!(digits(KeyType::Sha1, bits), 2 * bytes);
        }
        for bits in [0, 128, 160, 4096] {
            assert_eq!(digits(KeyType::Aes128, bits), 32);
            assert_eq!(digits(KeyType::Aes256, bits), 64);
        }
    }

    #[test]
    fn no_key_that_cannot_be_loaded() {
        let refused = generate(KeyId(1), KeyType::Tiger, 160, |_| panic!("not needed"));
        assert_eq!(refused.err(), Some(KeyError::Unsupported(KeyType::Tiger)));
    }
}
