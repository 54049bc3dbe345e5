//! Many quick samples made into one before they reach the register: the `filter` option.

use super::regression::as_float;
use super::{ClockChange, Sample};
use crate::wire::{CookedTime, NtpDuration};

/// Gathers samples; a set of them becomes the mean of those nearest its median offset.
#[derive(Clone, Debug)]
pub struct Filter {
    gathered: Vec<Sample>,
    count: usize,
    share: f64,
}

impl Filter {
    /// Each `count` samples become one, from the `share` (0 to 1) of them that lies nearest to the median; at least the
    /// median itself. A server's `filter` combines none more, a reference clock's 0.6.
    pub fn new(count: usize, share: f64) -> Self {
        let count = count.max(1);
        Self {
            gathered: Vec::with_capacity(count),
            count,
            share,
        }
    }

    /// Takes a sample in; the one that completes a set gives its result.
    pub fn accumulate(&mut self, sample: Sample) -> Option<Sample> {
        self.gather(sample);
        self.make(self.count)
    }

    /// Takes a sample in. Of a full set the oldest goes.
    pub fn gather(&mut self, sample: Sample) {
        let newest = self.gathered.last();
        if newest.is_some_and(|newest| !newest.at.0.is_before(sample.at.0)) {
            self.gathered.clear();
        }
        if self.gathered.len() == self.count {
            self.gathered.remove(0);
        }
        self.gathered.push(sample);
    }

    /// What those gathered make, if there are so many; the next set begins.
    pub fn make(&mut self, least: usize) -> Option<Sample> {
        if self.gathered.len() < least.max(1) {
            return None;
        }
        let result = self.combine();
        self.gathered.clear();
        Some(result)
    }

    /// Samples gathered for the next set.
    pub const fn len(&self) -> usize {
        self.gathered.len()
    }

    /// Whether none is.
    pub const fn is_empty(&self) -> bool {
        self.gathered.is_empty()
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.gathered.clear();
    }

    /// The local clock was changed: what was gathered is restated by it as it is now.
    pub fn shift(&mut self, change: &ClockChange) {
        for sample in &mut self.gathered {
            sample.offset_s -= change.shift_s(sample.at);
            sample.at = change.restate(sample.at);
        }
    }

    /// All clocks had a leap second of `offset_s`: moments move, offsets stay.
    pub fn leap(&mut self, offset_s: f64) {
        let offset = NtpDuration::from_seconds(offset_s);
        for sample in &mut self.gathered {
            sample.at = CookedTime(sample.at.0 + offset);
        }
    }

    /// How many of those gathered are combined.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a small count; a float to integer cast saturates"
    )]
    fn combined(&self) -> usize {
        let count = self.gathered.len();
        let wanted = (self.share * as_float(count)).round() as usize;
        wanted.clamp(1, count)
    }

    /// There is at least one.
    fn combine(&mut self) -> Sample {
        let newest = self.gathered[self.gathered.len() - 1];
        self.gathered
            .sort_by(|a, b| a.offset_s.total_cmp(&b.offset_s));
        let middle = self.gathered[(self.gathered.len() - 1) / 2].offset_s;
        let from_median = |sample: &Sample| (sample.offset_s - middle).abs();
        self.gathered
            .sort_by(|a, b| from_median(a).total_cmp(&from_median(b)));
        let used = &self.gathered[..self.combined()];
        let mean =
            |part: fn(&Sample) -> f64| used.iter().map(part).sum::<f64>() / as_float(used.len());
        let offset_s = mean(|sample| sample.offset_s);
        let age_s = used
            .iter()
            .map(|sample| (newest.at.0 - sample.at.0).to_seconds())
            .sum::<f64>()
            / as_float(used.len());
        let squares: f64 = used.iter().map(|s| (s.offset_s - offset_s).powi(2)).sum();
        let spread_s = (squares / as_float(used.len())).sqrt();
        // Scatter of those combined is error of the result; it replaces what each one says of itself where it is more.
        let peer_dispersion_s = mean(|sample| sample.peer_dispersion_s);
        let more_s = (spread_s - peer_dispersion_s).max(0.0);
        Sample {
            at: CookedTime(newest.at.0 - NtpDuration::from_seconds(age_s)),
            offset_s,
            peer_delay_s: mean(|sample| sample.peer_delay_s),
            peer_dispersion_s: peer_dispersion_s + more_s,
            root_delay_s: mean(|sample| sample.root_delay_s),
            root_dispersion_s: mean(|sample| sample.root_dispersion_s) + more_s,
            stratum: newest.stratum,
            leap: newest.leap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{LeapIndicator, NtpTimestamp};

    fn sample(second: i64, offset_s: f64) -> Sample {
        Sample {
            at: CookedTime(NtpTimestamp::from_unix(second, 0)),
            offset_s,
            peer_delay_s: 1e-3,
            peer_dispersion_s: 1e-6,
            root_delay_s: 2e-3,
            root_dispersion_s: 1e-4,
            stratum: 1,
            leap: LeapIndicator::NoWarning,
        }
    }

    fn offset_of(filter: &mut Filter, offsets: &[f64]) -> f64 {
        let (last, others) = offsets.split_last().expect("not empty");
        for (second, offset) in (1..).zip(others) {
            assert_eq!(filter.accumulate(sample(second, *offset)), None);
        }
        let result = filter.accumulate(sample(1000, *last));
        assert!(filter.is_empty());
        result.expect("the set is full").offset_s
    }

    #[test]
    fn a_servers_filter_keeps_the_median() {
        let mut filter = Filter::new(5, 0.0);
        let found = offset_of(&mut filter, &[0.5, 0.001, -0.3, 0.002, 0.0]);
        assert!((found - 0.001).abs() < 1e-15);
    }

    #[test]
    fn those_nearest_the_median_are_averaged() {
        let mut filter = Filter::new(5, 0.6);
        let found = offset_of(&mut filter, &[9.0, 0.001, -7.0, 0.002, 0.003]);
        assert!((found - 0.002).abs() < 1e-15);
    }

    #[test]
    fn their_scatter_is_in_the_result() {
        let mut filter = Filter::new(2, 1.0);
        assert_eq!(filter.accumulate(sample(10, -0.1)), None);
        let result = filter.accumulate(sample(20, 0.1)).expect("two of two");
        assert!((result.peer_dispersion_s - 0.1).abs() < 1e-12);
        assert!((result.root_dispersion_s - (1e-4 + 0.1 - 1e-6)).abs() < 1e-12);
        assert_eq!(result.at.0, NtpTimestamp::from_unix(15, 0));
    }

    #[test]
    fn a_changed_clock_moves_what_is_gathered() {
        let mut filter = Filter::new(2, 1.0);
        assert_eq!(filter.accumulate(sample(10, 1.0)), None);
        filter.shift(&ClockChange {
            at: CookedTime(NtpTimestamp::from_unix(11, 0)),
            frequency: 0.0,
            offset_s: 1.0,
        });
        let result = filter.accumulate(sample(20, 0.0)).expect("two of two");
        assert!(result.offset_s.abs() < 1e-12);
        assert_eq!(filter.len(), 0);
        // A sample from before the last one means that the clock was set: the set begins anew.
        assert_eq!(filter.accumulate(sample(50, 0.0)), None);
        assert_eq!(filter.accumulate(sample(50, 0.0)), None);
        assert_eq!(filter.len(), 1);
    }
}
