//! When a reply will leave: the clock reading before the seal, plus what lies between that and the wire.
//!
//! Two things do. All replies of a burst are sealed before the first is sent, and one system call sends
//! them, packet after packet, so the last of 64 leaves long after the first. A worker times the sealing, and
//! learns the rest from the kernel's stamps of sampled replies, by their place in the burst; apart for the
//! first burst after a sleep, when the caches are cold.

/// Departures are learned at these places, and lie between them for the others.
const KNOTS: [u16; 12] = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
/// An estimate moves by 1/2^4 of what a sample shows.
const SMOOTHING_LOG2: u32 = 4;
/// A sample this much farther from what was expected than others have been was held up, and counts for no
/// more than this, in nanoseconds.
const SURPRISE_NS_MAX: i64 = 2_000;
/// How far others have been follows by 1/2^3 of what a sample shows, up to a bound that no stall exceeds.
const DEVIATION_LOG2: u32 = 3;
const DEVIATION_NS_MAX: i64 = 200_000;
/// Nothing takes longer on a machine worth a timestamp: a longer one was a stall or a step of the clock.
const DELAY_NS_MAX: i64 = 1_000_000;
const PER_PACKET_NS_MAX: i64 = 20_000;

/// Replies of a burst without a MAC, and with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sealing {
    pub(super) unsigned: usize,
    pub(super) signed: usize,
}

/// Learns the time from the clock reading to the departure.
#[derive(Clone, Debug, Default)]
pub(super) struct Departure {
    /// From the end of the sealing to the wire, for a worker that was awake, and for one that slept.
    awake: Curve,
    woken: Curve,
    /// Time to seal one reply, without and with a MAC.
    unsigned: Mean,
    signed: Mean,
    /// Time a call takes per reply: all there is where the kernel gives no stamps.
    per_packet: Mean,
}

impl Departure {
    /// Nanoseconds from the clock reading before the sealing to the end of the sealing.
    #[inline]
    pub(super) fn seal_ns(&self, sealing: Sealing) -> i64 {
        self.unsigned.value() * count(sealing.unsigned)
            + self.signed.value() * count(sealing.signed)
    }

    /// Nanoseconds from the end of the sealing to the departure of the reply at `place` (0 is the first).
    #[inline]
    pub(super) fn delay_ns(&self, place: u16, woken: bool) -> i64 {
        let curve = if woken { &self.woken } else { &self.awake };
        if curve.learned {
            curve.at(place)
        } else {
            self.per_packet.value() * i64::from(place)
        }
    }

    /// The kernel's stamp says that the reply at `place` left so many nanoseconds after the sealing.
    pub(super) fn learn(&mut self, place: u16, woken: bool, delay_ns: i64) {
        if !(0..=DELAY_NS_MAX).contains(&delay_ns) {
            return;
        }
        let per_packet = self.per_packet.value();
        let curve = if woken {
            &mut self.woken
        } else {
            &mut self.awake
        };
        curve.learn(place, delay_ns, per_packet);
    }

    /// The sealing of a burst took so long.
    pub(super) fn learn_sealing(&mut self, sealing: Sealing, elapsed_ns: i64) {
        let (unsigned, signed) = (count(sealing.unsigned), count(sealing.signed));
        if signed == 0 && unsigned > 0 {
            self.unsigned.learn(elapsed_ns / unsigned);
        } else if signed > 0 {
            let unsigned_ns = self.unsigned.value() * unsigned;
            self.signed
                .learn(elapsed_ns.saturating_sub(unsigned_ns) / signed);
        }
    }

    /// The call that sent a burst of `replies` took so long.
    pub(super) fn learn_call(&mut self, replies: usize, elapsed_ns: i64) {
        if replies > 0 {
            self.per_packet.learn(elapsed_ns / count(replies));
        }
    }

    /// Whether what was learned last agrees with what was known: then few samples will do.
    pub(super) const fn is_settled(&self) -> bool {
        (self.awake.is_settled || !self.awake.learned)
            && (self.woken.is_settled || !self.woken.learned)
            && self.has_stamps()
    }

    /// Whether the kernel has given any stamp.
    pub(super) const fn has_stamps(&self) -> bool {
        self.awake.learned || self.woken.learned
    }
}

/// Replies of a burst, which are few.
fn count(replies: usize) -> i64 {
    i64::try_from(replies).unwrap_or(i64::MAX)
}

/// A mean that forgets, of a time that a stall or a step of the clock may make absurd: such a one counts for
/// no more than twice what was expected.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    /// Sixteenths of nanoseconds, so that it can settle.
    sixteenths: i64,
}

impl Mean {
    const fn value(self) -> i64 {
        self.sixteenths >> SMOOTHING_LOG2
    }

    fn learn(&mut self, seen_ns: i64) {
        let expected = self.value();
        let most = (2 * expected + 1_000).min(PER_PACKET_NS_MAX);
        self.sixteenths += seen_ns.clamp(0, most) - expected;
    }
}

/// Departure by place.
#[derive(Clone, Debug, Default)]
struct Curve {
    knots: [Knot; KNOTS.len()],
    learned: bool,
    /// Whether the last sample was where samples of its place are.
    is_settled: bool,
}

/// What is known of one place.
#[derive(Clone, Copy, Debug, Default)]
struct Knot {
    /// In 256ths of nanoseconds, so that it can settle.
    delay: i64,
    /// How far samples lie from it, in nanoseconds.
    deviation_ns: i64,
}

const KNOT_SHIFT: u32 = 8;

impl Curve {
    /// The knot at or below a place, and how far the place is on the way to the next, in 256ths.
    #[inline]
    fn locate(place: u16) -> (usize, i64) {
        let place = place.min(KNOTS[KNOTS.len() - 1]);
        if place == 0 {
            return (0, 0);
        }
        // Knots are powers of two, and as far from the next as from zero.
        let log2 = place.ilog2();
        let beyond = i64::from(place) - (1 << log2);
        (log2 as usize + 1, (beyond << 8) >> log2)
    }

    #[inline]
    fn at(&self, place: u16) -> i64 {
        let (below, way) = Self::locate(place);
        let above = (below + 1).min(KNOTS.len() - 1);
        (self.knots[below].delay * (256 - way) + self.knots[above].delay * way) >> (KNOT_SHIFT + 8)
    }

    fn learn(&mut self, place: u16, delay_ns: i64, per_packet_ns: i64) {
        if !self.learned {
            // The first sample lifts a line that has the slope of the calls.
            let first = delay_ns - per_packet_ns * i64::from(place);
            for (knot, place) in self.knots.iter_mut().zip(KNOTS) {
                knot.delay = (first.max(0) + per_packet_ns * i64::from(place)) << KNOT_SHIFT;
            }
            self.learned = true;
            return;
        }
        let surprise = delay_ns - self.at(place);
        let (below, way) = Self::locate(place);
        let above = (below + 1).min(KNOTS.len() - 1);
        let nearest = &mut self.knots[if way < 128 { below } else { above }];
        let size = surprise.abs().min(DEVIATION_NS_MAX);
        nearest.deviation_ns += (size - nearest.deviation_ns) >> DEVIATION_LOG2;
        // Where all samples lie far off it is the estimate that is wrong, and it moves fast.
        let most = SURPRISE_NS_MAX + 2 * nearest.deviation_ns;
        self.is_settled = nearest.deviation_ns <= 2 * SURPRISE_NS_MAX;
        let step = (surprise.clamp(-most, most) << KNOT_SHIFT) >> SMOOTHING_LOG2;
        // Shared out so that the estimate at this place moves by the whole step.
        let (near, far) = (256 - way, way);
        let norm = near * near + far * far;
        self.knots[below].delay += step * near * 256 / norm;
        self.knots[above].delay += step * far * 256 / norm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine on which the first packet takes 1.5 µs and each further one 0.9 µs.
    fn leaves(place: u16) -> i64 {
        1_500 + 900 * i64::from(place)
    }

    #[test]
    fn settles_on_what_the_kernel_says_at_every_place() {
        let mut departure = Departure::default();
        departure.learn_call(64, 64 * 1_000);
        for round in 0..40_000u32 {
            let place = u16::try_from(round % 64).unwrap();
            departure.learn(place, false, leaves(place));
        }
        for place in 0..64 {
            let error = departure.delay_ns(place, false) - leaves(place);
            assert!(error.abs() <= 20, "place {place}: {error}");
        }
    }

    #[test]
    fn a_wrong_estimate_is_left_within_a_hundred_samples() {
        let mut departure = Departure::default();
        departure.learn(0, false, 1_500);
        for _ in 0..100 {
            departure.learn(48, false, 95_000);
        }
        let error = departure.delay_ns(48, false) - 95_000;
        assert!(error.abs() < 1_000, "{error}");
    }

    #[test]
    fn a_worker_that_slept_is_learned_apart() {
        let mut departure = Departure::default();
        for _ in 0..200 {
            departure.learn(0, false, 1_500);
            departure.learn(0, true, 6_000);
        }
        assert_eq!(departure.delay_ns(0, false), 1_500);
        assert_eq!(departure.delay_ns(0, true), 6_000);
    }

    #[test]
    fn without_stamps_the_calls_duration_is_all_there_is() {
        let mut departure = Departure::default();
        for _ in 0..200 {
            departure.learn_call(32, 32 * 1_700);
        }
        assert!((departure.delay_ns(10, true) - 17_000).abs() < 200);
        assert_eq!(departure.delay_ns(0, false), 0);
    }

    #[test]
    fn sealing_is_learned_for_both_kinds() {
        let mut departure = Departure::default();
        let burst = |unsigned, signed| Sealing { unsigned, signed };
        for _ in 0..300 {
            departure.learn_sealing(burst(10, 0), 10 * 20);
            departure.learn_sealing(burst(10, 20), 10 * 20 + 20 * 110);
        }
        let all = departure.seal_ns(burst(1, 1));
        assert!((128..=130).contains(&all), "{all}");
    }

    #[test]
    fn stalls_and_steps_do_not_poison_it() {
        let mut departure = Departure::default();
        for _ in 0..1_000 {
            departure.learn(3, false, leaves(3));
        }
        let before = departure.delay_ns(3, false);
        for absurd in [-3_600_000_000_000, 50_000_000, i64::MAX, i64::MIN, -1] {
            departure.learn(3, false, absurd);
            departure.learn_call(8, absurd);
            let sealing = Sealing {
                unsigned: 3,
                signed: 1,
            };
            departure.learn_sealing(sealing, absurd);
        }
        assert_eq!(departure.delay_ns(3, false), before);
        // One reply in a hundred is held up for 50 µs: the others stay as they are.
        for round in 0..10_000 {
            departure.learn(
                3,
                false,
                leaves(3) + if round % 100 == 0 { 50_000 } else { 0 },
            );
        }
        let error = departure.delay_ns(3, false) - leaves(3);
        assert!(error.abs() < 200, "{error}");
    }

    #[test]
    fn every_place_lies_between_its_knots() {
        for place in 0..=u16::MAX {
            let (below, way) = Curve::locate(place);
            assert!(below < KNOTS.len() && (0..256).contains(&way), "{place}");
            assert!(KNOTS[below] <= place);
        }
    }
}
