//! What a server says of itself (RFC 5905 §11.1), and how raw kernel time becomes the time it serves.

use super::{
    HEADER_LEN, HeaderMut, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, ReferenceId,
};

/// A reading of the kernel's clock, before our own correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RawTime(pub NtpTimestamp);

/// Served time: raw time with our own correction in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CookedTime(pub NtpTimestamp);

/// The correction that has been found and that the kernel has not slewed in yet: a line over raw time.
///
/// At raw time `t` it is `offset + slope * (t - epoch)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Correction {
    /// Where the line starts.
    pub epoch: RawTime,
    /// What is added to raw time there. Positive: the kernel's clock is slow.
    pub offset: NtpDuration,
    /// What is added to that per second, in units of 2^-32 s.
    pub slope: i64,
}

impl Correction {
    /// Raw time as served. Exact to 2^-32 s for spans of up to 68 years.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a slope is below 1, so 64 bits hold the product's top"
    )]
    pub fn cook(&self, raw: RawTime) -> CookedTime {
        let elapsed = raw.0 - self.epoch.0;
        let drift = (i128::from(elapsed.to_bits()) * i128::from(self.slope)) >> 32;
        CookedTime(raw.0 + (self.offset + NtpDuration::from_bits(drift as i64)))
    }
}

/// The system variables of RFC 5905 §11.1, as far as a reply shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemVariables {
    /// Warning of a leap second, or not synchronised.
    pub leap: LeapIndicator,
    /// 1 to 15; 0 when not synchronised.
    pub stratum: u8,
    /// log2 of the clock's precision in seconds.
    pub precision: i8,
    /// What we are synchronised to.
    pub reference_id: ReferenceId,
    /// When the clock was last set.
    pub reference_timestamp: NtpTimestamp,
    /// Round trip to the reference clock.
    pub root_delay: NtpDuration,
    /// Largest error against the reference clock, at [`updated`](Self::updated).
    pub root_dispersion: NtpDuration,
    /// What root dispersion grows by per second, in units of 2^-32 s.
    pub dispersion_rate: i64,
    /// When root dispersion had the value given.
    pub updated: RawTime,
    /// From raw time to served time.
    pub correction: Correction,
}

/// [`SystemVariables`] as machine words, for a record that is shared without a lock.
pub type SystemWords = [u64; 9];

impl SystemVariables {
    /// Not synchronised, in chrony's form: leap 3, stratum 0, root delay and dispersion of 1 s.
    pub const fn not_synchronised(precision: i8) -> Self {
        Self {
            leap: LeapIndicator::NotSynchronised,
            stratum: 0,
            precision,
            reference_id: ReferenceId::NONE,
            reference_timestamp: NtpTimestamp::ZERO,
            root_delay: NtpShort::ONE_SECOND.to_duration(),
            root_dispersion: NtpShort::ONE_SECOND.to_duration(),
            dispersion_rate: 0,
            updated: RawTime(NtpTimestamp::ZERO),
            correction: Correction {
                epoch: RawTime(NtpTimestamp::ZERO),
                offset: NtpDuration::ZERO,
                slope: 0,
            },
        }
    }

    /// Whether clients may take time from us.
    pub const fn is_synchronised(&self) -> bool {
        !matches!(self.leap, LeapIndicator::NotSynchronised)
    }

    /// Root dispersion as it has grown until `now`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "clamped to 64 bits before the cast"
    )]
    pub fn root_dispersion_at(&self, now: RawTime) -> NtpDuration {
        let elapsed = (now.0 - self.updated.0).to_bits().max(0);
        let growth = (i128::from(elapsed) * i128::from(self.dispersion_rate)) >> 32;
        self.root_dispersion + NtpDuration::from_bits(growth.min(i128::from(i64::MAX)) as i64)
    }

    /// The header that all replies of the moment `now` share. Version, mode, poll and the other three
    /// timestamps come from the request.
    pub fn header_at(&self, now: RawTime) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut header = HeaderMut::new(&mut bytes);
        header.set_first(self.leap, 0, super::Mode::Server);
        header.set_stratum(self.stratum);
        header.set_precision(self.precision);
        header.set_root_delay(NtpShort::from_duration_ceil(self.root_delay));
        header.set_root_dispersion(NtpShort::from_duration_ceil(self.root_dispersion_at(now)));
        header.set_reference_id(self.reference_id);
        header.set_reference_timestamp(self.reference_timestamp);
        bytes
    }

    /// As words, in a fixed order.
    pub const fn to_words(&self) -> SystemWords {
        let id = u32::from_be_bytes(self.reference_id.to_bytes()) as u64;
        let first = id << 32
            | (self.precision.cast_unsigned() as u64) << 16
            | (self.stratum as u64) << 8
            | self.leap as u64;
        [
            first,
            self.reference_timestamp.to_bits(),
            self.root_delay.to_bits().cast_unsigned(),
            self.root_dispersion.to_bits().cast_unsigned(),
            self.dispersion_rate.cast_unsigned(),
            self.updated.0.to_bits(),
            self.correction.epoch.0.to_bits(),
            self.correction.offset.to_bits().cast_unsigned(),
            self.correction.slope.cast_unsigned(),
        ]
    }

    /// From the words of [`to_words`](Self::to_words).
    pub const fn from_words(words: &SystemWords) -> Self {
        let [.., id_3, id_2, id_1, id_0] = words[0].to_le_bytes();
        let [leap, stratum, precision, ..] = words[0].to_le_bytes();
        Self {
            leap: LeapIndicator::from_bits(leap),
            stratum,
            precision: precision.cast_signed(),
            reference_id: ReferenceId::from_bytes([id_0, id_1, id_2, id_3]),
            reference_timestamp: NtpTimestamp::from_bits(words[1]),
            root_delay: NtpDuration::from_bits(words[2].cast_signed()),
            root_dispersion: NtpDuration::from_bits(words[3].cast_signed()),
            dispersion_rate: words[4].cast_signed(),
            updated: RawTime(NtpTimestamp::from_bits(words[5])),
            correction: Correction {
                epoch: RawTime(NtpTimestamp::from_bits(words[6])),
                offset: NtpDuration::from_bits(words[7].cast_signed()),
                slope: words[8].cast_signed(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::HeaderView;
    use proptest::prelude::*;

    fn at(seconds: i64) -> RawTime {
        RawTime(NtpTimestamp::from_unix(seconds, 0))
    }

    #[test]
    fn correction_is_a_line() {
        let correction = Correction {
            epoch: at(1000),
            offset: NtpDuration::from_nanos(1_000_000),
            slope: -(1 << 22), // about -977 ppm
        };
        let cooked = correction.cook(at(1001));
        let expected = NtpDuration::from_nanos(1_000_000) + NtpDuration::from_bits(-(1 << 22));
        assert_eq!(cooked.0 - at(1001).0, expected);
        assert_eq!(Correction::default().cook(at(7)).0, at(7).0);
    }

    #[test]
    fn s11_1_root_dispersion_grows_and_never_shrinks() {
        let mut system = SystemVariables::not_synchronised(-25);
        system.root_dispersion = NtpDuration::from_nanos(100);
        system.updated = at(1000);
        system.dispersion_rate = 1 << 12; // about 1 ppm
        assert_eq!(
            system.root_dispersion_at(at(990)),
            NtpDuration::from_nanos(100)
        );
        let grown = system.root_dispersion_at(at(1010)) - NtpDuration::from_nanos(100);
        assert_eq!(grown, NtpDuration::from_bits(10 << 12));
    }

    #[test]
    fn not_synchronised_is_chronys_form() {
        let bytes = SystemVariables::not_synchronised(-25).header_at(at(1));
        let header = HeaderView::new(&bytes);
        assert_eq!(header.leap(), LeapIndicator::NotSynchronised);
        assert_eq!(
            (header.stratum(), header.reference_id()),
            (0, ReferenceId::NONE)
        );
        assert_eq!(header.root_delay(), NtpShort::ONE_SECOND);
        assert_eq!(header.root_dispersion(), NtpShort::ONE_SECOND);
        assert!(header.reference_timestamp().is_zero());
    }

    proptest! {
        #[test]
        fn words_round_trip(leap in 0u8..4, stratum: u8, precision: i8, id: [u8; 4], words: [u64; 9]) {
            let mut system = SystemVariables::from_words(&words);
            system.leap = LeapIndicator::from_bits(leap);
            system.stratum = stratum;
            system.precision = precision;
            system.reference_id = ReferenceId::from_bytes(id);
            prop_assert_eq!(SystemVariables::from_words(&system.to_words()), system);
        }
    }
}
