//! `maxdelayquant`: the delays of late, and how long the shorter ones of them are.

use std::collections::VecDeque;

/// The last delays of a source's replies, whether they were used or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Delays(VecDeque<f64>);

impl Delays {
    /// One more; the oldest makes room.
    pub(super) fn push(&mut self, delay_s: f64) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(delay_s);
    }

    /// The delay that `part` of them do not exceed; `None` while there are too few to tell.
    pub(super) fn quantile(&self, part: f64) -> Option<f64> {
        if self.0.len() < ENOUGH {
            return None;
        }
        let mut sorted: Vec<f64> = self.0.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let wanted = part * u32::try_from(sorted.len()).map_or(f64::MAX, f64::from);
        let ranked = sorted.iter().zip(1u32..);
        let found = ranked
            .filter(|(_, rank)| f64::from(*rank) >= wanted)
            .map(|(delay, _)| *delay)
            .next();
        found.or(sorted.last().copied())
    }
}

/// A path that has become longer for good is known as such by the time half of them were taken on it.
const KEPT: usize = 100;
/// As many as test B asks for.
const ENOUGH: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_last_hundred() {
        let mut delays = Delays::default();
        for delay in 0..5 {
            delays.push(f64::from(delay));
        }
        assert_eq!(delays.quantile(0.5), None);
        for delay in 5..250 {
            delays.push(f64::from(delay % 100));
        }
        let told = [0.05, 0.5, 0.95, 1.0].map(|part| delays.quantile(part));
        assert_eq!(told, [Some(4.0), Some(49.0), Some(94.0), Some(99.0)]);
    }
}
