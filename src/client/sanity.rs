//! The tests a reply must pass (RFC 5905 §8 and §9.2, `ntpdata` in chronyc(1)), one function each.
//!
//! 1, 2, 3, 5 tell whether it is a reply to us at all, 6 and 7 whether who sent it is synchronised, A to D whether
//! the measurement is of use. Test 4, access, is no business of a client.

use core::fmt;

use crate::wire::{
    CookedTime, HeaderView, LeapIndicator, NtpShort, NtpTimestamp, ReferenceId, SystemVariables,
};

/// One of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// 1: no duplicate of the last packet.
    Duplicate,
    /// 2: it answers the last request.
    Origin,
    /// 3: its timestamps are known.
    Timestamps,
    /// 5: it is authentic.
    Authentic,
    /// 6: the source is synchronised.
    Synchronised,
    /// 7: the source's root distance is credible.
    RootDistance,
    /// A: the delay is below `maxdelay`.
    Delay,
    /// B: the delay is below `maxdelayratio` times the least.
    DelayRatio,
    /// C: the delay is within `maxdelaydevratio` of what the offsets' deviation explains, or below
    /// `maxdelayquant`.
    DelayDeviation,
    /// D: the source is not synchronised to us.
    Loop,
}

impl Test {
    /// All of them, in chrony's order.
    pub const ALL: [Self; 10] = [
        Self::Duplicate,
        Self::Origin,
        Self::Timestamps,
        Self::Authentic,
        Self::Synchronised,
        Self::RootDistance,
        Self::Delay,
        Self::DelayRatio,
        Self::DelayDeviation,
        Self::Loop,
    ];

    /// Its name in chrony's reports.
    pub const fn name(self) -> char {
        match self {
            Self::Duplicate => '1',
            Self::Origin => '2',
            Self::Timestamps => '3',
            Self::Authentic => '5',
            Self::Synchronised => '6',
            Self::RootDistance => '7',
            Self::Delay => 'A',
            Self::DelayRatio => 'B',
            Self::DelayDeviation => 'C',
            Self::Loop => 'D',
        }
    }

    const fn bit(self) -> u16 {
        1 << (9 - self as u16)
    }
}

/// Which tests a reply has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tests(u16);

impl Tests {
    /// With the outcome of one more.
    #[must_use]
    pub const fn with(self, test: Test, passed: bool) -> Self {
        if passed {
            Self(self.0 | test.bit())
        } else {
            Self(self.0 & !test.bit())
        }
    }

    /// Whether this one was passed.
    pub const fn passed(self, test: Test) -> bool {
        self.0 & test.bit() != 0
    }

    /// 1, 2, 3, 5: it is a reply, from who was asked.
    pub const fn is_valid(self) -> bool {
        self.has_all(0b11_1100_0000)
    }

    /// Valid, and 6 and 7: who sent it is synchronised.
    pub const fn is_synchronised(self) -> bool {
        self.has_all(0b11_1111_0000)
    }

    /// All of them: it is a sample.
    pub const fn is_good(self) -> bool {
        self.has_all(0b11_1111_1111)
    }

    /// From [`bits`](Self::bits); those above the tenth are ignored.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & 0b11_1111_1111)
    }

    /// Ten bits, test 1 uppermost: the flags of chronyc's `ntpdata`.
    pub const fn bits(self) -> u16 {
        self.0
    }

    const fn has_all(self, bits: u16) -> bool {
        self.0 & bits == bits
    }
}

impl fmt::Display for Tests {
    /// As the columns "123 567 ABCD" of measurements.log and chronyc's `ntpdata`: `111 111 1101`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut columns = String::with_capacity(12);
        for test in Test::ALL {
            if matches!(test, Test::Authentic | Test::Delay) {
                columns.push(' ');
            }
            columns.push(if self.passed(test) { '1' } else { '0' });
        }
        f.pad(&columns)
    }
}

/// How many replies have failed each test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FailedTests([u64; Test::ALL.len()]);

impl FailedTests {
    /// One more reply. A to D are made of valid replies only, so only of those they count.
    pub(super) fn count(&mut self, tests: Tests) {
        for (test, failed) in Test::ALL.into_iter().zip(&mut self.0) {
            let was_made = tests.is_valid() || (test as u16) < Test::Delay as u16;
            *failed += u64::from(was_made && !tests.passed(test));
        }
    }

    /// Each test with the number of replies that have failed it.
    pub fn iter(&self) -> impl Iterator<Item = (Test, u64)> {
        Test::ALL.into_iter().zip(self.0)
    }

    /// How many have failed this one.
    pub const fn of(&self, test: Test) -> u64 {
        self.0[test as usize]
    }
}

/// What the register of a source's samples foretells of the next.
///
/// The prediction is a line: at [`at`](Self::at) the source is [`offset_s`](Self::offset_s) ahead of us, and it
/// gains [`frequency`](Self::frequency) seconds per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expectation {
    /// Samples in the register.
    pub samples: usize,
    /// The latest sample's time.
    pub at: CookedTime,
    /// The offset that is expected at that time.
    pub offset_s: f64,
    /// By how much the source's clock is faster than ours.
    pub frequency: f64,
    /// How wrong the frequency may be.
    pub skew: f64,
    /// Of the samples about the line.
    pub standard_deviation_s: f64,
    /// The least delay of the samples.
    pub min_delay_s: f64,
    /// Of the path's jitter, -0.5 to 0.5; for `ntpdata`.
    pub asymmetry: f64,
}

impl Default for Expectation {
    /// Of a source that has no samples yet: it may be off by 2000 ppm and 4 s.
    fn default() -> Self {
        Self {
            samples: 0,
            at: CookedTime::default(),
            offset_s: 0.0,
            frequency: 0.0,
            skew: 2e-3,
            standard_deviation_s: 4.0,
            min_delay_s: 0.0,
            asymmetry: 0.0,
        }
    }
}

impl Expectation {
    /// The offset expected at a time.
    pub fn offset_at_s(&self, at: CookedTime) -> f64 {
        let elapsed = (at.0 - self.at.0).to_seconds();
        self.frequency.mul_add(elapsed, self.offset_s)
    }

    /// How far a measured offset is from that; `None` while nothing can be foretold.
    pub fn error_s(&self, at: CookedTime, offset_s: f64) -> Option<f64> {
        let error_s = (offset_s - self.offset_at_s(at)).abs();
        (self.samples >= PREDICTING_SAMPLES_MIN).then_some(error_s)
    }
}

/// 1: the timestamps are not those of the last packet. Both count: a reply in interleaved mode may repeat the
/// transmit timestamp of the one in basic mode before it (RFC 9769 §2).
pub(super) fn is_new(header: HeaderView<'_>, last: Option<(NtpTimestamp, NtpTimestamp)>) -> bool {
    last != Some((header.receive_timestamp(), header.transmit_timestamp()))
}

/// 3: no timestamp is missing.
pub(super) fn has_timestamps(header: HeaderView<'_>) -> bool {
    !header.origin_timestamp().is_zero()
        && !header.receive_timestamp().is_zero()
        && !header.transmit_timestamp().is_zero()
}

/// 6: the source says that it is synchronised.
pub(super) fn is_synchronised(header: HeaderView<'_>) -> bool {
    header.leap() != LeapIndicator::NotSynchronised && (1..=STRATUM_MAX).contains(&header.stratum())
}

/// 7: the source's own distance from the reference clock.
pub(super) fn has_credible_root(header: HeaderView<'_>) -> bool {
    let half_delay = 0.5 * header.root_delay().to_duration().to_seconds();
    let dispersion = header.root_dispersion().to_duration().to_seconds();
    half_delay + dispersion < ROOT_DISTANCE_MAX_S
}

/// A: what of the delay is certain is below the limit, and so is the precision of both clocks.
pub(super) fn is_within_delay(
    delay_s: f64,
    dispersion_s: f64,
    precision_s: f64,
    limit_s: f64,
) -> bool {
    delay_s - dispersion_s <= limit_s && precision_s <= limit_s
}

/// B: the delay against the least one, given enough samples.
pub(super) fn is_within_ratio(
    delay_s: f64,
    dispersion_s: f64,
    ratio: Option<f64>,
    expected: &Expectation,
) -> bool {
    match ratio {
        Some(ratio) if expected.samples >= RATIO_SAMPLES_MIN => {
            delay_s - dispersion_s <= ratio * expected.min_delay_s
        }
        _ => true,
    }
}

/// What test C looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deviation {
    /// When the measurement was made.
    pub(super) at: CookedTime,
    pub(super) delay_s: f64,
    /// From the predicted offset.
    pub(super) error_s: Option<f64>,
    /// `maxdelaydevratio`
    pub(super) ratio: f64,
    /// `maxdelayquant`, as a delay: takes the place of the ratio.
    pub(super) quantile_s: Option<f64>,
    /// `maxclockerror`
    pub(super) max_clock_error: f64,
}

/// C: the delay has grown by no more than explains how the offsets scatter and our clock may have drifted, unless
/// the offset is off by even more: then it is news, and not noise of the path.
pub(super) fn is_within_deviation(measured: &Deviation, expected: &Expectation) -> bool {
    if let Some(quantile_s) = measured.quantile_s {
        let excess = measured.delay_s - quantile_s;
        return excess <= 0.0 || is_news(measured, 0.5 * excess);
    }
    if expected.samples < RATIO_SAMPLES_MIN {
        return true;
    }
    let age = (measured.at.0 - expected.at.0).to_seconds().abs();
    let drift = age * (expected.skew + measured.max_clock_error);
    let limit = expected.standard_deviation_s.mul_add(measured.ratio, drift);
    let growth = 0.5 * (measured.delay_s - expected.min_delay_s);
    growth <= limit || is_news(measured, growth)
}

fn is_news(measured: &Deviation, growth_s: f64) -> bool {
    measured.error_s.is_some_and(|error_s| error_s > growth_s)
}

/// Who we are to our sources: for test D.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The reference id of those that are synchronised to us: our address towards the source.
    pub address: ReferenceId,
    /// What we say of ourselves.
    pub system: &'a SystemVariables,
}

/// D: the source does not get its time from us, and is not us.
pub(super) fn is_no_loop(header: HeaderView<'_>, ourselves: Option<&Identity<'_>>) -> bool {
    let Some(ourselves) = ourselves else {
        return true; // Who serves nobody has no followers.
    };
    if header.stratum() <= 1 {
        return true;
    }
    let system = ourselves.system;
    let is_us = header.stratum() == system.stratum
        && header.reference_id() == system.reference_id
        && header.reference_timestamp() == system.reference_timestamp
        && header.root_delay() == NtpShort::from_duration_ceil(system.root_delay);
    header.reference_id() != ourselves.address && !is_us
}

/// Above it a source is unsynchronised (RFC 5905 §7.3).
const STRATUM_MAX: u8 = 15;
/// MAXDISP of RFC 5905 §7.2.
const ROOT_DISTANCE_MAX_S: f64 = 16.0;
/// Before that the least delay means little.
const RATIO_SAMPLES_MIN: usize = 6;
/// A line through fewer is no prediction.
const PREDICTING_SAMPLES_MIN: usize = 3;

#[cfg(test)]
mod tests;
