//! Dates in UTC, for what is logged.

/// `YYYY-MM-DD` and `HH:MM:SS` of Unix seconds.
pub(super) fn date_and_time(unix_s: i64) -> (String, String) {
    let (days, second) = (unix_s.div_euclid(86_400), unix_s.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{hour:02}:{minute:02}:{second:02}"),
    )
}

/// Unix seconds of a date and time in UTC.
pub(super) const fn unix_of((year, month, day): (i64, i64, i64), second_of_day: i64) -> i64 {
    days_from_civil(year, month, day) * 86_400 + second_of_day
}

/// The day, counted from 1970-01-01: the inverse of [`civil`].
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let from_march = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let cycle = from_march.0.div_euclid(400);
    let year_of_cycle = from_march.0.rem_euclid(400);
    let day_of_year = (153 * from_march.1 + 2) / 5 + day - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    cycle * 146_097 + day_of_cycle - 719_468
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counted in years that begin in March, so that the leap day is the last: 146,097 days in 400 years, and
/// 153 days in each five months from March on.
pub const fn civil(days: i64) -> (i64, i64, i64) {
    let from_march_0000 = days + 719_468;
    let cycle = from_march_0000.div_euclid(146_097);
    let day_of_cycle = from_march_0000.rem_euclid(146_097);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = cycle * 400 + year_of_cycle + (month <= 2) as i64;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_by_the_calendar() {
        let text = |unix_s| {
            let (date, time) = date_and_time(unix_s);
            format!("{date} {time}")
        };
        assert_eq!(text(0), "1970-01-01 00:00:00");
        assert_eq!(text(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(text(1_709_251_199), "2024-02-29 23:59:59");
        assert_eq!(text(1_709_251_200), "2024-03-01 00:00:00");
        assert_eq!(text(4_107_542_400), "2100-03-01 00:00:00");
        assert_eq!(text(-1), "1969-12-31 23:59:59");
    }

    #[test]
    fn days_there_and_back() {
        for days in (-200_000..200_000).step_by(7) {
            assert_eq!(unix_of(civil(days), 61), days * 86_400 + 61);
        }
    }
}
