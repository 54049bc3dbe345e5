//! Numbers the way chrony's files have them: in C's form with an exponent (`%e`).

use core::fmt;

/// A number that displays with an exponent of a sign and two digits at least: `-1.500e-03`.
///
/// Precision is the digits behind the point, 6 where none is given; width and fill are as for any number, which is
/// to the right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponent(pub f64);

impl fmt::Display for Exponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = f.width().unwrap_or(0);
        let text = self.text(f.precision().unwrap_or(PRECISION));
        write!(f, "{text:>width$}")
    }
}

impl Exponent {
    fn text(self, precision: usize) -> String {
        if !self.0.is_finite() {
            let sign = if self.0.is_sign_negative() { "-" } else { "" };
            let name = if self.0.is_nan() { "nan" } else { "inf" };
            return format!("{sign}{name}");
        }
        let text = format!("{:.precision$e}", self.0);
        let Some((mantissa, exponent)) = text.split_once('e') else {
            return text;
        };
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        format!("{mantissa}e{sign}{digits:0>2}")
    }
}

/// C's, where no precision is given.
const PRECISION: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_printf_writes_them() {
        let cases = [
            (0.0, " 0.000e+00"),
            (-0.0, "-0.000e+00"),
            (-7.109e-6, "-7.109e-06"),
            (1.5, " 1.500e+00"),
            (9.9996, " 1.000e+01"),
            (1e100, "1.000e+100"),
            (4e-320, "4.000e-320"),
            (f64::INFINITY, "       inf"),
            (f64::NEG_INFINITY, "      -inf"),
        ];
        for (number, text) in cases {
            assert_eq!(format!("{:10.3}", Exponent(number)), text);
        }
        assert_eq!(format!("{:11.4}", Exponent(40.5)), " 4.0500e+01");
        assert_eq!(format!("{:7.1}", Exponent(0.25)), "2.5e-01");
        assert_eq!(format!("{}", Exponent(2.956_972e-6)), "2.956972e-06");
        assert_eq!(format!("{:5.1}", Exponent(f64::NAN)), "  nan");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number in prop::num::f64::NORMAL) {
            let text = format!("{:.16}", Exponent(number));
            prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(number.to_bits()));
        }
    }
}
