//! How wrong the transmit timestamps are: what the kernel's stamps of sampled replies differ by.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the error's size, in nanoseconds; what is larger has a step of its own.
const BOUNDS_NS: [i64; 16] = [
    62, 125, 250, 500, 750, 1_000, 1_500, 2_000, 3_000, 4_000, 6_000, 8_000, 16_000, 64_000,
    250_000, 1_000_000,
];
const STEPS: usize = BOUNDS_NS.len() + 1;

/// One worker's histogram of errors, written by it alone, read by anybody. Positive: the reply left later
/// than it said.
#[derive(Debug, Default)]
pub struct StampErrors {
    late: [AtomicU64; STEPS],
    early: [AtomicU64; STEPS],
    /// Sums of their sizes in nanoseconds.
    late_ns: AtomicU64,
    early_ns: AtomicU64,
}

impl StampErrors {
    /// Counts one.
    pub fn record(&self, error_ns: i64) {
        let (side, sum) = if error_ns < 0 {
            (&self.early, &self.early_ns)
        } else {
            (&self.late, &self.late_ns)
        };
        let size = error_ns.saturating_abs();
        let place = BOUNDS_NS.partition_point(|bound| *bound < size);
        add(&side[place], 1);
        add(sum, size.unsigned_abs());
    }

    /// All of it at about this moment.
    pub fn snapshot(&self) -> StampErrorCounts {
        let read =
            |side: &[AtomicU64; STEPS]| std::array::from_fn(|at| side[at].load(Ordering::Relaxed));
        StampErrorCounts {
            late: read(&self.late),
            early: read(&self.early),
            late_ns: self.late_ns.load(Ordering::Relaxed),
            early_ns: self.early_ns.load(Ordering::Relaxed),
        }
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(amount),
        Ordering::Relaxed,
    );
}

/// Errors as read, of one worker or of several in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StampErrorCounts {
    late: [u64; STEPS],
    early: [u64; STEPS],
    late_ns: u64,
    early_ns: u64,
}

impl StampErrorCounts {
    /// The sum of several workers.
    pub fn sum(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::default(), |sum, part| Self {
            late: std::array::from_fn(|at| sum.late[at] + part.late[at]),
            early: std::array::from_fn(|at| sum.early[at] + part.early[at]),
            late_ns: sum.late_ns.wrapping_add(part.late_ns),
            early_ns: sum.early_ns.wrapping_add(part.early_ns),
        })
    }

    /// What has come since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            late: std::array::from_fn(|at| self.late[at].wrapping_sub(earlier.late[at])),
            early: std::array::from_fn(|at| self.early[at].wrapping_sub(earlier.early[at])),
            late_ns: self.late_ns.wrapping_sub(earlier.late_ns),
            early_ns: self.early_ns.wrapping_sub(earlier.early_ns),
        }
    }

    /// Of those that left later than they said, or earlier: upper bounds of the size in nanoseconds, ascending, each
    /// with how many were not larger; how many there were; the sum of their sizes in nanoseconds.
    pub fn side(&self, late: bool) -> (Vec<(u64, u64)>, u64, u64) {
        let (steps, sum_ns) = if late {
            (&self.late, self.late_ns)
        } else {
            (&self.early, self.early_ns)
        };
        let mut sum = 0;
        let bounds = BOUNDS_NS.iter().zip(steps).map(|(bound, count)| {
            sum += count;
            (bound.unsigned_abs(), sum)
        });
        (bounds.collect(), steps.iter().sum(), sum_ns)
    }

    /// How many were measured.
    pub fn count(&self) -> u64 {
        self.late.iter().chain(&self.early).sum()
    }

    /// Their mean, in nanoseconds; 0 of none.
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    pub fn mean_ns(&self) -> f64 {
        (self.late_ns as f64 - self.early_ns as f64) / self.count().max(1) as f64
    }

    /// A bound in nanoseconds that this share of the errors does not exceed in size.
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn bound_ns(&self, share: f64) -> i64 {
        let needed = self.count() as f64 * share;
        let mut sum = 0;
        for (at, bound) in BOUNDS_NS.into_iter().enumerate() {
            sum += self.late[at] + self.early[at];
            if sum as f64 >= needed {
                return bound;
            }
        }
        BOUNDS_NS[BOUNDS_NS.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_both_signs_are_counted_and_averaged() {
        let errors = StampErrors::default();
        for error in [100, -100, 300, -300, 5_000, i64::MIN + 1] {
            errors.record(error);
        }
        assert_eq!(errors.snapshot().count(), 6);
        let errors = StampErrors::default();
        for error in -49..=50 {
            errors.record(error * 10);
        }
        let counts = StampErrorCounts::sum([errors.snapshot(), errors.snapshot()]);
        assert_eq!(counts.count(), 200);
        assert!(
            (counts.mean_ns() - 5.0).abs() < 1e-9,
            "{}",
            counts.mean_ns()
        );
        assert_eq!((counts.bound_ns(0.2), counts.bound_ns(0.99)), (125, 500));
    }
}
