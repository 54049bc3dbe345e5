//! How long requests stay with us: from the kernel's stamp of the arrival to the seal of the reply.

use std::sync::atomic::{AtomicU64, Ordering};

/// Four steps an octave: a bound that is read from them is 25 % too large at most.
const STEPS_LOG2: u32 = 2;
/// Up to 2^10 ns (1 µs) there are no octaves.
const SHORTEST_LOG2: u32 = 10;
/// Octaves end at 2^30 ns (1.07 s): what has waited longer than 1 s is not answered.
const LONGEST_LOG2: u32 = 30;
/// Octaves, each with an upper bound of its own in the exposition.
pub(super) const OCTAVES: usize = (LONGEST_LOG2 - SHORTEST_LOG2) as usize;
/// All steps; the last is without an upper bound.
const STEPS: usize = (OCTAVES << STEPS_LOG2) + 1;

/// One worker's histogram, written by it alone, read by anybody.
#[derive(Debug)]
pub struct Residence {
    steps: [AtomicU64; STEPS],
    sum_ns: AtomicU64,
}

impl Default for Residence {
    fn default() -> Self {
        Self {
            steps: std::array::from_fn(|_| AtomicU64::new(0)),
            sum_ns: AtomicU64::new(0),
        }
    }
}

impl Residence {
    /// Counts a reply. Its time is added to the sum by [`add_sum`](Self::add_sum), with that of others.
    #[inline]
    pub fn record(&self, ns: u64) {
        let step = &self.steps[step_of(ns)];
        step.store(
            step.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
    }

    /// Adds the times of those that were recorded.
    #[inline]
    pub fn add_sum(&self, ns: u64) {
        let sum = self.sum_ns.load(Ordering::Relaxed).wrapping_add(ns);
        self.sum_ns.store(sum, Ordering::Relaxed);
    }

    /// Takes over what was counted elsewhere: of each octave how many, the first up to 2^10 ns, and the sum.
    pub fn copy_octaves(&self, octaves: &[u64], sum_ns: u64) {
        for (octave, count) in (SHORTEST_LOG2..LONGEST_LOG2).zip(octaves) {
            self.steps[step_of(1 << octave)].store(*count, Ordering::Relaxed);
        }
        self.sum_ns.store(sum_ns, Ordering::Relaxed);
    }

    /// All of it at about this moment.
    pub fn snapshot(&self) -> ResidenceCounts {
        ResidenceCounts {
            steps: std::array::from_fn(|at| self.steps[at].load(Ordering::Relaxed)),
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
        }
    }
}

/// The first step whose upper bound is not smaller.
#[inline]
fn step_of(ns: u64) -> usize {
    // A bound belongs to the step below it, so it is the number before that is looked at.
    let before = ns
        .saturating_sub(1)
        .clamp(1 << SHORTEST_LOG2, 1 << LONGEST_LOG2);
    let octave = before.ilog2();
    let step = (before >> (octave - STEPS_LOG2)) & ((1 << STEPS_LOG2) - 1);
    (((octave - SHORTEST_LOG2) << STEPS_LOG2) as usize + step as usize).min(STEPS - 1)
}

/// The upper bound of a step, in nanoseconds.
const fn bound_ns(step: usize) -> u64 {
    let within = (step & ((1 << STEPS_LOG2) - 1)) as u64;
    let octave = SHORTEST_LOG2 as usize + (step >> STEPS_LOG2);
    ((1 << STEPS_LOG2) + within + 1) << (octave - STEPS_LOG2 as usize)
}

/// Times as read, of one worker or of several in sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResidenceCounts {
    steps: [u64; STEPS],
    sum_ns: u64,
}

impl Default for ResidenceCounts {
    fn default() -> Self {
        Self {
            steps: [0; STEPS],
            sum_ns: 0,
        }
    }
}

impl ResidenceCounts {
    /// The sum of several workers.
    pub fn sum(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::default(), |sum, part| Self {
            steps: std::array::from_fn(|at| sum.steps[at].wrapping_add(part.steps[at])),
            sum_ns: sum.sum_ns.wrapping_add(part.sum_ns),
        })
    }

    /// What has come since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            steps: std::array::from_fn(|at| self.steps[at].wrapping_sub(earlier.steps[at])),
            sum_ns: self.sum_ns.wrapping_sub(earlier.sum_ns),
        }
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.steps.iter().sum()
    }

    /// Nanoseconds of all together.
    pub const fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// Upper bounds in nanoseconds, ascending, an octave apart, each with how many were not longer.
    pub fn octaves(&self) -> [(u64, u64); OCTAVES] {
        let mut sum = 0;
        std::array::from_fn(|octave| {
            let first = octave << STEPS_LOG2;
            let last = first + (1 << STEPS_LOG2);
            sum += self.steps[first..last].iter().sum::<u64>();
            (bound_ns(last - 1), sum)
        })
    }

    /// A bound in nanoseconds that this share was not longer than; `None` of none. What is beyond the last octave
    /// counts as its bound.
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn bound_ns(&self, share: f64) -> Option<u64> {
        let needed = self.count() as f64 * share;
        let mut sum = 0;
        let reached = self.steps.iter().position(|count| {
            sum += count;
            sum > 0 && sum as f64 >= needed
        })?;
        Some(bound_ns(reached.min(STEPS - 2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_the_first_step_that_holds_it() {
        let around = |bound: u64| [bound - 1, bound, bound + 1];
        for ns in (0..STEPS - 1).flat_map(|step| around(bound_ns(step))) {
            let step = step_of(ns);
            assert!(step == STEPS - 1 || ns <= bound_ns(step), "{ns}");
            assert!(step == 0 || ns > bound_ns(step - 1), "{ns}");
        }
        assert_eq!(step_of(0), 0);
        assert_eq!(step_of(u64::MAX), STEPS - 1);
    }

    #[test]
    fn octaves_add_up_and_shares_have_bounds() {
        let residence = Residence::default();
        assert_eq!(residence.snapshot().bound_ns(0.5), None);
        for ns in [500, 2048, 2049, 1 << 20, 1 << 30, (1 << 30) + 1] {
            residence.record(ns);
            residence.add_sum(ns);
        }
        let counts = residence.snapshot();
        let octaves = counts.octaves();
        assert_eq!(octaves[0], (2048, 2));
        assert_eq!(octaves[1], (4096, 3));
        assert_eq!(octaves[OCTAVES - 1], (1 << 30, 5));
        assert_eq!(counts.count(), 6);
        assert_eq!(counts.bound_ns(0.5), Some(2560));
        assert_eq!(counts.bound_ns(1.0), Some(1 << 30));
        let twice = ResidenceCounts::sum([counts, counts]);
        assert_eq!(twice.since(&counts), counts);
        assert_eq!(twice.sum_ns(), 2 * counts.sum_ns());
    }
}
