//! When a reply will leave: the clock reading at the seal, plus its place in the burst.
//!
//! One system call sends a burst, packet after packet, so the last of 64 leaves long after the clock was
//! read. A worker times each burst and learns what one packet takes.

/// A packet takes no longer than this on any machine worth a timestamp; more was a stall.
const PER_PACKET_NS_MAX: i64 = 20_000;
/// The estimate moves by 1/2^4 of what a burst shows.
const SMOOTHING_LOG2: u32 = 4;

/// Learns the time from one packet's departure to the next within a burst.
#[derive(Clone, Debug, Default)]
pub(super) struct Departure {
    /// Sixteenths of nanoseconds, so that the mean can settle.
    per_packet: i64,
}

impl Departure {
    /// Nanoseconds from the clock reading to the departure of the reply at `place` (0 is the first).
    #[inline]
    pub(super) const fn delay_ns(&self, place: u16) -> i64 {
        (self.per_packet >> SMOOTHING_LOG2) * place as i64
    }

    /// Takes in that a burst of `replies` took `elapsed_ns` from the clock reading to the call's return.
    ///
    /// A step of the clock or a stall in between shows as an absurd duration, and counts for no more than
    /// twice what was expected.
    #[inline]
    pub(super) fn learn(&mut self, replies: usize, elapsed_ns: i64) {
        let Ok(replies @ 1..) = i64::try_from(replies) else {
            return;
        };
        let expected = self.per_packet >> SMOOTHING_LOG2;
        let most = (2 * expected + 1_000).min(PER_PACKET_NS_MAX);
        let seen = (elapsed_ns / replies).clamp(0, most);
        self.per_packet += seen - expected;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settles_on_what_a_packet_takes() {
        let mut departure = Departure::default();
        for _ in 0..200 {
            departure.learn(32, 32 * 1_700);
        }
        assert!(
            (departure.delay_ns(10) - 17_000).abs() < 200,
            "{}",
            departure.delay_ns(10)
        );
        assert_eq!(departure.delay_ns(0), 0);
    }

    #[test]
    fn a_stall_or_a_step_does_not_poison_it() {
        let mut departure = Departure::default();
        for _ in 0..200 {
            departure.learn(8, 8 * 2_000);
        }
        let before = departure.delay_ns(1);
        departure.learn(8, 50_000_000);
        departure.learn(8, -3_600_000_000_000);
        assert!((departure.delay_ns(1) - before).abs() < 400);
        departure.learn(0, 5);
        for _ in 0..10_000 {
            departure.learn(1, i64::MAX);
        }
        assert!(departure.delay_ns(1) <= PER_PACKET_NS_MAX);
    }
}
