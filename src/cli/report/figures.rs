//! How chronyc writes numbers, and how they are written here.

use crate::node::civil;
use crate::wire::ReferenceId;

/// Seconds with the unit that leaves at most four digits, and a sign: `+1234us`, seven columns.
pub(in crate::cli) fn signed(seconds: f64) -> String {
    scaled(seconds).written(true)
}

/// The same without a sign: six columns.
pub(in crate::cli) fn unsigned(seconds: f64) -> String {
    scaled(seconds).written(false)
}

/// A number of seconds in a unit.
struct Scaled {
    value: f64,
    /// Two letters below a second, one from there on.
    unit: &'static str,
    decimals: usize,
}

impl Scaled {
    fn written(&self, has_sign: bool) -> String {
        let (value, decimals) = (self.value, self.decimals);
        let width = 6 - self.unit.len();
        if has_sign {
            format!("{value:+0$.decimals$}{unit}", width + 1, unit = self.unit)
        } else {
            format!("{value:width$.decimals$}{unit}", unit = self.unit)
        }
    }
}

fn scaled(seconds: f64) -> Scaled {
    let size = seconds.abs();
    let units = [
        (9999.5e-9, 1e-9, "ns", 0),
        (9999.5e-6, 1e-6, "us", 0),
        (9999.5e-3, 1e-3, "ms", 0),
        (999.5, 1.0, "s", 1),
        (99_999.5, 1.0, "s", 0),
        (99_999.5 * 60.0, 60.0, "m", 0),
        (99_999.5 * 3600.0, 3600.0, "h", 0),
        (99_999.5 * 86_400.0, 86_400.0, "d", 0),
        (f64::INFINITY, 365.0 * 86_400.0, "y", 0),
    ];
    let fits = units.iter().find(|(limit, ..)| size < *limit);
    let (_, unit_s, unit, decimals) = *fits.unwrap_or(&units[8]);
    Scaled {
        value: seconds / unit_s,
        unit,
        decimals,
    }
}

/// Parts per million, ten columns, with a sign if wanted: `    -0.001`; large ones without decimals.
pub(super) fn ppm(value: f64, has_sign: bool) -> String {
    let decimals = if value.abs() < 99_999.5 { 3 } else { 0 };
    if has_sign {
        format!("{value:+10.decimals$}")
    } else {
        format!("{value:10.decimals$}")
    }
}

/// An age in seconds, four columns: `  17`, ` 21m`, `-` where it is not known.
pub(in crate::cli) fn age(seconds: Option<u32>) -> String {
    let Some(seconds) = seconds else {
        return "   -".to_owned();
    };
    match seconds {
        0..1200 => format!("{seconds:4}"),
        1200..36_000 => format!("{:3}m", seconds / 60),
        36_000..345_600 => format!("{:3}h", seconds / 3600),
        345_600..86_486_400 => format!("{:3}d", seconds / 86_400),
        _ => format!("{:3}y", seconds / 31_536_000),
    }
}

/// A number that has all bits set where it is not known, as `chronyc -c` prints it.
pub(super) fn bits(value: Option<u32>) -> u32 {
    value.unwrap_or(u32::MAX)
}

/// A moment in UTC, as C's `asctime` writes it: `Fri Jan 27 09:49:17 2017`.
pub(in crate::cli) fn date((seconds, _): (i64, u32)) -> String {
    let days = seconds.div_euclid(86_400);
    let (year, month, day) = civil(days);
    let month = MONTHS[usize::try_from(month - 1).unwrap_or(0)];
    let weekday = WEEKDAYS[usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0)];
    format!("{weekday} {month} {day:02} {} {year}", time_of_day(seconds))
}

/// A moment in UTC: `2017-01-27 09:49:17`.
pub(super) fn numeric_date((seconds, _): (i64, u32)) -> String {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    format!("{year}-{month:02}-{day:02} {}", time_of_day(seconds))
}

fn time_of_day(seconds: i64) -> String {
    let second = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// Seconds since the Unix epoch: `1485510557.000000000`.
pub(super) fn moment((seconds, nanos): (i64, u32)) -> String {
    format!("{seconds}.{nanos:09}")
}

/// A reference id as the letters it may be.
pub(super) fn letters(id: ReferenceId) -> String {
    let bytes = id.to_bytes().into_iter();
    let printable = bytes.filter(|byte| byte.is_ascii_graphic() || *byte == b' ');
    printable.map(char::from).collect()
}

pub(super) const fn yes_or_no(yes: bool) -> &'static str {
    if yes { "Yes" } else { "No" }
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn offsets_have_the_unit_that_fits() {
        let all = [
            (-45e-9, "  -45ns", "  -45ns"),
            (0.0, "   +0ns", "   0ns"),
            (123e-6, " +123us", " 123us"),
            (9.999e-6, "+9999ns", "9999ns"),
            (10e-6, "  +10us", "  10us"),
            (3.25, "+3250ms", "3250ms"),
            (12.0, " +12.0s", " 12.0s"),
            (1000.0, " +1000s", " 1000s"),
        ];
        for (seconds, with, without) in all {
            assert_eq!(signed(seconds), with);
            if seconds >= 0.0 {
                assert_eq!(unsigned(seconds), without);
            }
        }
    }

    #[test]
    fn ages_have_four_columns() {
        let all = [
            (Some(0), "   0"),
            (Some(1199), "1199"),
            (Some(1200), " 20m"),
            (Some(36_000), " 10h"),
            (Some(345_600), "  4d"),
            (Some(86_486_400), "  2y"),
            (None, "   -"),
        ];
        for (seconds, text) in all {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn dates_are_in_utc() {
        assert_eq!(date((1_485_510_557, 0)), "Fri Jan 27 09:49:17 2017");
        assert_eq!(date((0, 0)), "Thu Jan 01 00:00:00 1970");
        assert_eq!(numeric_date((1_795_420_529, 5)), "2026-11-23 07:55:29");
        assert_eq!(moment((1, 20)), "1.000000020");
    }

    proptest! {
        /// What is printed, read again, is the number to the last digit that is shown.
        #[test]
        fn an_offset_can_be_read_again(mantissa in -1.0f64..1.0, exponent in -9i32..9) {
            let seconds = mantissa * 10f64.powi(exponent);
            let text = signed(seconds);
            prop_assert_eq!(text.len(), 7, "{}", text);
            let at = text.find(|c: char| c.is_ascii_lowercase()).expect("a unit");
            let (digits, unit) = text.split_at(at);
            let unit_s = match unit {
                "ns" => 1e-9,
                "us" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                other => panic!("{other}"),
            };
            let read: f64 = digits.trim().parse().expect("a number");
            prop_assert!((read * unit_s - seconds).abs() <= 0.51 * unit_s);
        }
    }
}
