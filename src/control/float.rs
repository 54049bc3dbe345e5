//! chronyc's 32-bit floating format: seven bits of signed exponent above 25 bits of signed coefficient,
//! value = coefficient × 2^(exponent − 25). It has no infinity and no not-a-number.

const COEFFICIENT_BITS: u32 = 25;
const COEFFICIENT_MAX: i32 = (1 << (COEFFICIENT_BITS - 1)) - 1;
const COEFFICIENT_MIN: i32 = -(1 << (COEFFICIENT_BITS - 1));
const EXPONENT_MAX: i32 = 63;
const EXPONENT_MIN: i32 = -64;

/// The value of four bytes in network order. Exact: every one of them is an `f64`.
pub fn parse(bytes: [u8; 4]) -> f64 {
    let bits = i32::from_be_bytes(bytes);
    let exponent = bits >> COEFFICIENT_BITS;
    let coefficient = bits << (32 - COEFFICIENT_BITS) >> (32 - COEFFICIENT_BITS);
    f64::from(coefficient) * power_of_two(exponent - COEFFICIENT_BITS.cast_signed())
}

/// The nearest value the format has, in network order.
///
/// Not-a-number is zero, what is too large is the largest of its sign (4.6 × 10^18), what is too small
/// is zero. Between 2^-65 and the largest the error is below one part in 2^23.
pub fn emit(value: f64) -> [u8; 4] {
    if value.is_nan() {
        return [0; 4];
    }
    // One more than the binary exponent, so that 23 bits stand behind the coefficient's first.
    let exponent = (binary_exponent(value) + 2).max(EXPONENT_MIN);
    if exponent > EXPONENT_MAX {
        return largest(value.is_sign_negative());
    }
    let scaled = value * power_of_two(COEFFICIENT_BITS.cast_signed() - exponent);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "below 2^24: the exponent was chosen for that"
    )]
    let coefficient = scaled.round() as i32;
    if coefficient == 0 {
        return [0; 4]; // One spelling of zero, whatever it was rounded from.
    }
    if coefficient <= COEFFICIENT_MAX {
        return pack(exponent, coefficient);
    }
    // Rounding carried into a bit that a positive coefficient does not have.
    if exponent == EXPONENT_MAX {
        return largest(false);
    }
    pack(exponent + 1, coefficient / 2)
}

fn pack(exponent: i32, coefficient: i32) -> [u8; 4] {
    let mask = (1 << COEFFICIENT_BITS) - 1;
    (exponent << COEFFICIENT_BITS | coefficient & mask).to_be_bytes()
}

fn largest(negative: bool) -> [u8; 4] {
    let coefficient = if negative {
        COEFFICIENT_MIN
    } else {
        COEFFICIENT_MAX
    };
    pack(EXPONENT_MAX, coefficient)
}

/// n of 2^n ≤ |value| < 2^(n+1); -1023 for zero and what is smaller than any normal `f64`, 1024 for
/// infinity.
fn binary_exponent(value: f64) -> i32 {
    let biased = value.to_bits() >> 52 & 0x7ff;
    i32::try_from(biased).expect("eleven bits") - 1023
}

fn power_of_two(exponent: i32) -> f64 {
    2f64.powi(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pairs seen on the wire from chronyd 4.3, with the number it printed.
    #[test]
    fn as_chronyd_writes_them() {
        assert_eq!(emit(1.0), [0x04, 0x80, 0x00, 0x00]);
        assert_eq!(emit(0.0), [0; 4]);
        assert_eq!(emit(-0.0), [0; 4]);
        let printed = [
            (0x06ab_87ffu32, "2.680"),
            (0xfd3f_9982, "-0.094"),
            (0x0ce6_cac5, "28.849"),
        ];
        for (bits, text) in printed {
            let value = parse(bits.to_be_bytes());
            assert_eq!(format!("{value:.3}"), text);
            assert_eq!(emit(value), bits.to_be_bytes());
        }
    }

    #[test]
    fn what_it_cannot_say() {
        assert_eq!(emit(f64::NAN), [0; 4]);
        assert_eq!(emit(-f64::NAN), [0; 4]);
        for value in [f64::INFINITY, 1e300, 4.7e18] {
            assert_eq!(emit(value), [0x7e, 0xff, 0xff, 0xff]);
            assert_eq!(emit(-value), [0x7f, 0x00, 0x00, 0x00]);
        }
        for value in [f64::MIN_POSITIVE, 1e-300, 1e-28, f64::from_bits(1)] {
            assert_eq!(emit(value), [0; 4]);
            assert_eq!(emit(-value), [0; 4]);
        }
    }

    #[test]
    fn the_carry_of_rounding_keeps_the_value() {
        let below_two = 2.0 - f64::EPSILON;
        assert_eq!(emit(below_two), emit(2.0));
        // A negative coefficient has the bit: another spelling of the same.
        assert_eq!(parse(emit(-below_two)).to_bits(), (-2f64).to_bits());
        let below_the_end = 2f64.powi(62) * (1.0 - f64::EPSILON);
        assert_eq!(emit(below_the_end), [0x7e, 0xff, 0xff, 0xff]);
    }

    proptest! {
        #[test]
        fn bytes_keep_their_value(bytes: [u8; 4]) {
            let value = parse(bytes);
            prop_assert!(value.is_finite());
            // Several spellings have one value; the one we write reads the same.
            prop_assert_eq!(parse(emit(value)).to_bits(), (value + 0.0).to_bits());
        }

        #[test]
        fn values_keep_23_bits(coefficient in -2f64..2f64, exponent in -60i32..60) {
            let value = coefficient * 2f64.powi(exponent);
            let error = (parse(emit(value)) - value).abs();
            prop_assert!(error <= value.abs() * 2f64.powi(-23) + 2f64.powi(-89));
        }
    }
}
