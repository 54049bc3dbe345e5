//! The time as somebody typed it in (chronyc(1), `settime`, `manual`): a source whose samples come by hand.

use std::collections::VecDeque;

use crate::client::{ClockChange, Sample, Samples, SamplesOptions};
use crate::wire::{CookedTime, LeapIndicator};

/// Entries, and the line through them.
#[derive(Debug)]
pub struct Manual {
    /// `manual on`
    is_enabled: bool,
    register: Samples,
    /// The offset of each sample of the register as it was found, in seconds.
    originals: VecDeque<f64>,
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ManualEntry {
    /// When it was made.
    pub at: CookedTime,
    /// By how much the typed time was ahead of the clock as it is kept now, in seconds.
    pub offset_s: f64,
    /// The same, of the clock as it was kept then.
    pub original_offset_s: f64,
    /// From the line through all entries, in seconds.
    pub residual_s: f64,
}

/// What an entry has led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ManualUpdate {
    /// By how much the typed time was ahead of the clock, in seconds.
    pub offset_s: f64,
    /// By how much the clock is made to run faster, as a fraction.
    pub frequency: f64,
}

impl Manual {
    /// As many entries as chronyd keeps.
    pub const ENTRIES_MAX: usize = 16;

    /// No entry yet. `is_enabled`: `manual` is in the configuration.
    pub fn new(is_enabled: bool) -> Self {
        Self {
            is_enabled,
            register: Samples::new(SamplesOptions {
                // All count: who finds one to be wrong deletes it.
                samples_min: Self::ENTRIES_MAX,
                samples_max: Self::ENTRIES_MAX,
                asymmetry: Some(0.0),
                // Whoever types is no better.
                precision_s: HAND_S,
                ..SamplesOptions::default()
            }),
            originals: VecDeque::with_capacity(Self::ENTRIES_MAX),
        }
    }

    /// Whether entries are taken.
    pub const fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// `manual on`, `manual off`: entries of before are of no use.
    pub fn enable(&mut self, is_enabled: bool) {
        self.is_enabled = is_enabled;
        self.reset();
    }

    /// `manual reset`
    pub fn reset(&mut self) {
        self.register.clear();
        self.originals.clear();
    }

    /// Takes an entry in: the typed time was ahead of the clock by `offset_s` seconds. What that says of the clock: its
    /// offset, and its frequency once there are entries enough for a line.
    pub fn enter(&mut self, at: CookedTime, offset_s: f64) -> ManualUpdate {
        self.register.accumulate(Sample {
            at,
            offset_s,
            peer_delay_s: HAND_S,
            peer_dispersion_s: HAND_S,
            root_delay_s: HAND_S,
            root_dispersion_s: HAND_S,
            stratum: 0,
            leap: LeapIndicator::NoWarning,
        });
        self.originals.push_back(offset_s);
        while self.originals.len() > self.register.len() {
            self.originals.pop_front();
        }
        let statistics = self.register.statistics();
        if statistics.has_line {
            ManualUpdate {
                offset_s: statistics.offset_s,
                frequency: statistics.frequency,
            }
        } else {
            ManualUpdate {
                offset_s,
                frequency: 0.0,
            }
        }
    }

    /// `manual list`: the oldest first.
    pub fn entries(&self) -> Vec<ManualEntry> {
        let samples = self.register.register().iter().zip(&self.originals);
        let entries = samples.map(|(sample, original)| ManualEntry {
            at: sample.at,
            offset_s: sample.offset_s,
            original_offset_s: *original,
            residual_s: self.residual_s(sample),
        });
        entries.collect()
    }

    /// `manual delete`: whether there is an entry at the place.
    pub fn delete(&mut self, place: usize) -> bool {
        if self.originals.remove(place).is_none() {
            return false;
        }
        let mut samples = self.register.register().to_vec();
        samples.remove(place);
        self.register.clear();
        self.register.restore(&samples, 0);
        true
    }

    /// The clock was changed.
    pub fn shift(&mut self, change: &ClockChange) {
        self.register.shift(change);
    }

    fn residual_s(&self, sample: &Sample) -> f64 {
        if self.register.statistics().has_line {
            self.register
                .predict_s(sample.at)
                .map_or(0.0, |expected_s| sample.offset_s - expected_s)
        } else {
            0.0
        }
    }
}

/// How well somebody presses a key, in seconds.
const HAND_S: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NtpTimestamp;

    fn at(seconds: i64) -> CookedTime {
        CookedTime(NtpTimestamp::from_unix(1_700_000_000 + seconds, 0))
    }

    #[test]
    fn some_entries_make_a_line() {
        let mut manual = Manual::new(true);
        let first = manual.enter(at(0), 2.0);
        assert!((first.offset_s - 2.0).abs() < 1e-9 && first.frequency.abs() < 1e-12);
        for hours in 1..10 {
            manual.enter(at(hours * 3600), 0.1_f64.mul_add(hours as f64, 2.0));
        }
        let last = manual.enter(at(36_000), 3.0);
        assert!((last.offset_s - 3.0).abs() < 1e-6, "{last:?}");
        assert!((last.frequency - 0.1 / 3600.0).abs() < 1e-9, "{last:?}");
        let entries = manual.entries();
        assert_eq!(entries.len(), 11);
        assert!(entries.iter().all(|entry| entry.residual_s.abs() < 1e-6));

        // The clock was set right by what was found: nothing is left of the offsets but in their originals.
        manual.shift(&ClockChange {
            at: at(36_000),
            frequency: last.frequency,
            offset_s: last.offset_s,
        });
        for entry in manual.entries() {
            assert!(entry.offset_s.abs() < 1e-4, "{entry:?}");
            assert!(entry.original_offset_s >= 2.0);
        }
    }

    #[test]
    fn only_the_newest_are_kept_and_one_can_go() {
        let mut manual = Manual::new(false);
        assert!(!manual.is_enabled());
        manual.enable(true);
        for entry in 0..20 {
            manual.enter(at(entry * 60), entry as f64);
        }
        let entries = manual.entries();
        assert_eq!(entries.len(), Manual::ENTRIES_MAX);
        assert!((entries[0].original_offset_s - 4.0).abs() < 1e-9);
        assert!(manual.delete(0) && manual.delete(14) && !manual.delete(14));
        let left = manual.entries();
        let times = |entries: &[ManualEntry]| entries.iter().map(|e| e.at).collect::<Vec<_>>();
        assert_eq!(times(&left), times(&entries[1..15]));
        manual.reset();
        assert!(manual.entries().is_empty());
    }
}
