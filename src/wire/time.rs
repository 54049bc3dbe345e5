//! Timestamps, durations and the short format (RFC 5905 §6), and the eras they live in.

use core::fmt;
use core::ops::{Add, Neg, Sub};

/// Seconds from the start of NTP's era 0 (1900-01-01) to the Unix epoch (1970-01-01).
const UNIX_EPOCH_S: i64 = 2_208_988_800;
const NANOS_PER_S: u32 = 1_000_000_000;
/// 2^32 as a float: units of the timestamp format in a second.
const UNITS_PER_S: f64 = 4_294_967_296.0;

/// A moment in the 64-bit timestamp format: seconds in the upper half, units of 2^-32 s in the lower.
///
/// It wraps every 2^32 s (136 years), so it has no order: `<` is wrong across an era. Ask
/// [`is_before`](Self::is_before), or subtract, which takes the nearest reading.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct NtpTimestamp(u64);

impl NtpTimestamp {
    /// All bits zero: on the wire, "not known" (RFC 5905 §6).
    pub const ZERO: Self = Self(0);

    /// From the 64 bits, seconds uppermost.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits, seconds uppermost.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// From network order.
    pub const fn from_be_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }

    /// To network order.
    pub const fn to_be_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// From seconds and nanoseconds since the Unix epoch; the era is dropped.
    ///
    /// `nanos` is below 10^9, as the kernel gives it; more runs over into the seconds. The fraction is
    /// rounded down, which loses less than 0.25 ns.
    #[expect(
        clippy::cast_sign_loss,
        reason = "seconds wrap modulo 2^32: that drops the era"
    )]
    pub const fn from_unix(secs: i64, nanos: u32) -> Self {
        let seconds = secs.wrapping_add(UNIX_EPOCH_S) as u64;
        let fraction = ((nanos as u64) << 32) / NANOS_PER_S as u64;
        Self((seconds << 32).wrapping_add(fraction))
    }

    /// Seconds and nanoseconds since the Unix epoch, read in `era`.
    ///
    /// Rounded to the nearest nanosecond, so that a value from [`from_unix`](Self::from_unix) comes
    /// back as it was.
    pub const fn to_unix(self, era: Era) -> (i64, u32) {
        let fraction = self.0 & 0xffff_ffff;
        let nanos = ((fraction * NANOS_PER_S as u64 + (1 << 31)) >> 32) as u32;
        let secs = ((era.0 as i64) << 32) + (self.0 >> 32).cast_signed() - UNIX_EPOCH_S;
        if nanos == NANOS_PER_S {
            (secs + 1, 0)
        } else {
            (secs, nanos)
        }
    }

    /// Whether `self` lies before `other`, both taken to be within 68 years of each other.
    pub const fn is_before(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() < 0
    }

    /// Whether all bits are zero: "not known".
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl Sub for NtpTimestamp {
    type Output = NtpDuration;

    /// `self - other`, the reading nearest to zero (within 68 years either way).
    fn sub(self, other: Self) -> NtpDuration {
        NtpDuration(self.0.wrapping_sub(other.0).cast_signed())
    }
}

impl Add<NtpDuration> for NtpTimestamp {
    type Output = Self;

    fn add(self, duration: NtpDuration) -> Self {
        Self(self.0.wrapping_add(duration.0.cast_unsigned()))
    }
}

impl Sub<NtpDuration> for NtpTimestamp {
    type Output = Self;

    fn sub(self, duration: NtpDuration) -> Self {
        Self(self.0.wrapping_sub(duration.0.cast_unsigned()))
    }
}

impl fmt::Debug for NtpTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 >> 32, self.to_unix(Era::default()).1)
    }
}

/// Which 136-year span of the timestamp format: era 0 began in 1900, era 1 begins on 2036-02-07.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Era(i32);

impl Era {
    /// The era's number, 0 from 1900.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The era's number.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The era in which a moment given in Unix seconds lies. Saturates 290 billion years away.
    pub const fn of_unix(secs: i64) -> Self {
        let era = secs.saturating_add(UNIX_EPOCH_S) >> 32;
        if era > i32::MAX as i64 {
            Self(i32::MAX)
        } else if era < i32::MIN as i64 {
            Self(i32::MIN)
        } else {
            Self(era as i32)
        }
    }
}

/// A signed span of time in units of 2^-32 s: ±68 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct NtpDuration(i64);

impl NtpDuration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// From units of 2^-32 s.
    pub const fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    /// Units of 2^-32 s.
    pub const fn to_bits(self) -> i64 {
        self.0
    }

    /// From nanoseconds, rounded towards zero; saturates at ±68 years.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "clamped to 64 bits before the cast"
    )]
    pub const fn from_nanos(nanos: i64) -> Self {
        let bits = ((nanos as i128) << 32) / NANOS_PER_S as i128;
        if bits > i64::MAX as i128 {
            Self(i64::MAX)
        } else if bits < i64::MIN as i128 {
            Self(i64::MIN)
        } else {
            Self(bits as i64)
        }
    }

    /// Nanoseconds, rounded to the nearest.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "2^63 units are 2.1e18 ns: fits 64 bits"
    )]
    pub const fn to_nanos(self) -> i64 {
        ((self.0 as i128 * NANOS_PER_S as i128 + (1 << 31)) >> 32) as i64
    }

    /// From seconds; not-a-number is zero, the rest saturates at ±68 years.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float to integer cast saturates"
    )]
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * UNITS_PER_S) as i64)
    }

    /// Seconds; exact up to 2^53 units (24 days), rounded beyond.
    #[expect(clippy::cast_precision_loss, reason = "documented")]
    pub fn to_seconds(self) -> f64 {
        self.0 as f64 / UNITS_PER_S
    }

    /// The size, without sign; saturates.
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }
}

impl Add for NtpDuration {
    type Output = Self;

    /// Saturates at ±68 years.
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for NtpDuration {
    type Output = Self;

    /// Saturates at ±68 years.
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for NtpDuration {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl fmt::Debug for NtpDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+.9}s", self.to_seconds())
    }
}

/// The short format of root delay and root dispersion: unsigned 16.16 seconds (RFC 5905 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct NtpShort(u32);

impl NtpShort {
    /// One second.
    pub const ONE_SECOND: Self = Self(1 << 16);

    /// From units of 2^-16 s.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Units of 2^-16 s.
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// Rounded **up**, so that what we say of our error is never less than it is; negative is zero,
    /// and what does not fit is the largest value (65536 s).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=u32::MAX before the cast"
    )]
    pub const fn from_duration_ceil(duration: NtpDuration) -> Self {
        if duration.0 <= 0 {
            return Self(0);
        }
        let bits = (duration.0 as u64).div_ceil(1 << 16);
        if bits > u32::MAX as u64 {
            Self(u32::MAX)
        } else {
            Self(bits as u32)
        }
    }

    /// As a duration, exact.
    pub const fn to_duration(self) -> NtpDuration {
        NtpDuration((self.0 as i64) << 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn s6_unix_epoch_is_2208988800() {
        assert_eq!(NtpTimestamp::from_unix(0, 0).to_bits(), 2_208_988_800 << 32);
    }

    #[test]
    fn s6_era_1_begins_in_2036() {
        let last_of_era_0 = 2_085_978_495;
        assert_eq!(
            NtpTimestamp::from_unix(last_of_era_0, 0).to_bits() >> 32,
            0xffff_ffff
        );
        assert_eq!(NtpTimestamp::from_unix(last_of_era_0 + 1, 0).to_bits(), 0);
        assert_eq!(Era::of_unix(last_of_era_0).number(), 0);
        assert_eq!(Era::of_unix(last_of_era_0 + 1).number(), 1);
        let (before, after) = (
            NtpTimestamp::from_unix(last_of_era_0, 999_999_999),
            NtpTimestamp::from_unix(last_of_era_0 + 1, 0),
        );
        assert!(before.is_before(after));
        assert!(!after.is_before(before));
        assert_eq!((after - before).to_nanos(), 1);
    }

    #[test]
    fn short_rounds_up_and_saturates() {
        assert_eq!(
            NtpShort::from_duration_ceil(NtpDuration::from_bits(1)).to_bits(),
            1
        );
        assert_eq!(
            NtpShort::from_duration_ceil(NtpDuration::from_bits(1 << 32)),
            NtpShort::ONE_SECOND
        );
        assert_eq!(
            NtpShort::from_duration_ceil(NtpDuration::from_bits(-5)).to_bits(),
            0
        );
        assert_eq!(
            NtpShort::from_duration_ceil(NtpDuration::from_bits(i64::MAX)).to_bits(),
            u32::MAX
        );
    }

    #[test]
    fn duration_seconds_saturate() {
        assert_eq!(NtpDuration::from_seconds(f64::INFINITY).to_bits(), i64::MAX);
        assert_eq!(NtpDuration::from_seconds(f64::NAN), NtpDuration::ZERO);
        assert_eq!(NtpDuration::from_seconds(-0.5).to_bits(), -(1 << 31));
    }

    proptest! {
        #[test]
        fn unix_round_trips(secs in -10_000_000_000i64..10_000_000_000, nanos in 0u32..1_000_000_000) {
            let there = NtpTimestamp::from_unix(secs, nanos);
            prop_assert_eq!(there.to_unix(Era::of_unix(secs)), (secs, nanos));
        }

        #[test]
        fn add_undoes_sub(a: u64, b: u64) {
            let (a, b) = (NtpTimestamp::from_bits(a), NtpTimestamp::from_bits(b));
            prop_assert_eq!(b + (a - b), a);
            prop_assert_eq!(a - (a - b), b);
        }

        #[test]
        fn nanos_round_trip(nanos in -2_000_000_000_000_000_000i64..2_000_000_000_000_000_000) {
            prop_assert!((NtpDuration::from_nanos(nanos).to_nanos() - nanos).abs() <= 1);
        }

        #[test]
        fn short_is_never_less_than_its_duration(bits in 0i64..(1 << 47)) {
            let duration = NtpDuration::from_bits(bits);
            let short = NtpShort::from_duration_ceil(duration);
            prop_assert!(short.to_duration() >= duration);
            prop_assert!(short.to_duration() - duration < NtpDuration::from_bits(1 << 16));
        }
    }
}
