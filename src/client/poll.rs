//! How often a source is asked: the poll interval and its score, reachability, bursts.

use core::fmt;

/// The shortest poll interval there is, log2 of seconds.
pub const POLL_MIN: i8 = -7;
/// The longest poll interval there is, log2 of seconds.
pub const POLL_MAX: i8 = 24;

const NANOS_PER_S: u64 = 1_000_000_000;

/// The poll interval: log2 of seconds between two limits, moved by a score.
///
/// The score stays between 0 and 1. What takes it beyond lengthens the interval, what takes it below shortens it,
/// and the rest is carried on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Poll {
    log2: i8,
    min: i8,
    max: i8,
    score: f64,
}

impl Poll {
    /// As short as it may be.
    pub fn new(min: i8, max: i8) -> Self {
        let min = min.clamp(POLL_MIN, POLL_MAX);
        Self {
            log2: min,
            min,
            max: max.clamp(min, POLL_MAX),
            score: 0.0,
        }
    }

    /// log2 of the interval in seconds.
    pub const fn log2(&self) -> i8 {
        self.log2
    }

    /// Its lower limit.
    pub const fn min(&self) -> i8 {
        self.min
    }

    /// How near the next change is, 0 to 1: a column of measurements.log.
    pub const fn score(&self) -> f64 {
        self.score
    }

    /// Other limits, between which the interval stays or is put.
    pub fn limit(&mut self, min: i8, max: i8) {
        let (log2, score) = (self.log2, self.score);
        *self = Self::new(min, max);
        self.log2 = log2.clamp(self.min, self.max);
        self.score = score;
    }

    /// The server asks for no request within 2^`log2` seconds: the lower limit is raised to that.
    pub fn lengthen(&mut self, log2: i8) {
        self.limit(self.min.max(log2), self.max.max(log2));
    }

    /// Adds to the score.
    pub fn adjust(&mut self, by: f64) {
        if !by.is_finite() {
            return;
        }
        self.score += by;
        while self.score >= 1.0 && self.log2 < self.max {
            self.log2 += 1;
            self.score -= 1.0;
        }
        while self.score < 0.0 && self.log2 > self.min {
            self.log2 -= 1;
            self.score += 1.0;
        }
        self.score = self.score.clamp(0.0, 1.0);
    }
}

/// What a good measurement adds to the score.
///
/// With `samples` in the register the interval is longer than `target` needs, or shorter, and shortens twice as
/// fast as it lengthens. Where the measured offset is further from the predicted one (`prediction_error_s`) than
/// the measurement is exact (`distance_s`), it shortens at once.
pub fn score_change(
    samples: usize,
    target: u32,
    prediction_error_s: Option<f64>,
    distance_s: f64,
) -> f64 {
    if let Some(error_s) = prediction_error_s
        && error_s > distance_s
    {
        return -(error_s / distance_s.max(1e-12)).log2();
    }
    let target = f64::from(target.max(1));
    let samples = u32::try_from(samples).map_or(f64::MAX, f64::from);
    let change = (samples / target - 1.0) / target;
    if change < 0.0 { 2.0 * change } else { change }
}

/// 2^`log2` seconds in nanoseconds.
pub const fn interval_ns(log2: i8) -> u64 {
    if log2 < 0 {
        let shift = log2.unsigned_abs() as u32;
        if shift < 64 { NANOS_PER_S >> shift } else { 0 }
    } else if log2 <= POLL_MAX {
        NANOS_PER_S << log2
    } else {
        NANOS_PER_S << POLL_MAX
    }
}

/// An interval made longer by up to 2 %, by the bits' chance, so that nodes started together do not ask together.
pub(super) const fn spread(interval_ns: u64, bits: u64) -> u64 {
    interval_ns.saturating_add(share(interval_ns / 50, bits))
}

/// Any part of `whole_ns`, by the bits' chance.
pub(super) const fn share(whole_ns: u64, bits: u64) -> u64 {
    ((whole_ns as u128 * bits as u128) >> 64) as u64
}

/// How far apart the requests of different sources are kept, in nanoseconds: 2^(`log2` - 3) s, but 2 to 200 ms.
pub fn separation_ns(log2: i8) -> u64 {
    interval_ns(log2.saturating_sub(3)).clamp(2_000_000, 200_000_000)
}

/// The first moment from `wanted_ns` on that is `separation_ns` from each of those taken.
pub fn separated(wanted_ns: u64, separation_ns: u64, taken_ns: &[u64]) -> u64 {
    let mut taken: Vec<u64> = taken_ns.to_vec();
    taken.sort_unstable();
    let mut at = wanted_ns;
    for other in taken {
        if other.abs_diff(at) < separation_ns {
            at = other.saturating_add(separation_ns);
        }
    }
    at
}

/// Which of the last eight polls had an answer: the youngest in the lowest bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Reach {
    register: u8,
    polls: u8,
    missed: u32,
}

impl Reach {
    /// So many polls without an answer, and a source is unreachable.
    pub const POLLS: u32 = REACH_POLLS as u32;

    /// One more poll.
    pub const fn shift(&mut self, answered: bool) {
        self.register = self.register << 1 | answered as u8;
        if self.polls < REACH_POLLS {
            self.polls += 1;
        }
        self.missed = if answered {
            0
        } else {
            self.missed.saturating_add(1)
        };
    }

    /// The eight bits.
    pub const fn register(self) -> u8 {
        self.register
    }

    /// How many polls the register has seen, up to 8.
    pub const fn polls(self) -> u8 {
        self.polls
    }

    /// Whether any of the last eight polls had an answer.
    pub const fn is_reachable(self) -> bool {
        self.register != 0
    }

    /// How many polls in a row had no answer.
    pub const fn missed(self) -> u32 {
        self.missed
    }

    /// How many polls in a row have found it unreachable, for `maxunreach`.
    pub const fn unreachable_polls(self) -> u32 {
        self.missed.saturating_sub(Self::POLLS - 1)
    }
}

impl fmt::Display for Reach {
    /// In octal, as in chronyc's reports.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Octal::fmt(&self.register, f)
    }
}

/// As many as the register has bits.
const REACH_POLLS: u8 = 8;

/// Requests that follow each other quickly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Burst {
    good_left: u32,
    requests_left: u32,
}

impl Burst {
    /// None.
    pub const NONE: Self = Self {
        good_left: 0,
        requests_left: 0,
    };
    /// `iburst`: up to eight requests until four good replies.
    pub const INITIAL: Self = Self::new(4, 8);
    /// `burst`: up to four requests until one good reply.
    pub const POLL: Self = Self::new(1, 4);

    /// Until `good` replies are good, at most `requests`.
    pub const fn new(good: u32, requests: u32) -> Self {
        if good == 0 || requests == 0 {
            return Self::NONE;
        }
        Self {
            good_left: good,
            requests_left: requests,
        }
    }

    /// Whether requests are to follow.
    pub const fn is_active(self) -> bool {
        self.requests_left > 0
    }

    /// A request of it was sent.
    pub const fn sent(&mut self) {
        self.requests_left = self.requests_left.saturating_sub(1);
    }

    /// A good reply came.
    pub const fn good(&mut self) {
        self.good_left = self.good_left.saturating_sub(1);
        if self.good_left == 0 {
            *self = Self::NONE;
        }
    }

    /// Between two requests of a burst: 2 s, or a quarter of the poll interval where that is less.
    pub fn interval_ns(poll_interval_ns: u64) -> u64 {
        (poll_interval_ns / 4).min(2 * NANOS_PER_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_score_moves_the_interval_and_keeps_the_rest() {
        let mut poll = Poll::new(6, 8);
        poll.adjust(-0.5);
        assert_eq!((poll.log2(), poll.score()), (6, 0.0));
        poll.adjust(0.75);
        poll.adjust(0.5);
        assert_eq!((poll.log2(), poll.score()), (7, 0.25));
        poll.adjust(3.0);
        assert_eq!((poll.log2(), poll.score()), (8, 1.0));
        poll.adjust(-1.25);
        assert_eq!((poll.log2(), poll.score()), (7, 0.75));
        poll.adjust(f64::NAN);
        poll.lengthen(10);
        assert_eq!((poll.log2(), poll.min(), poll.score()), (10, 10, 0.75));
    }

    #[test]
    fn the_score_aims_at_the_target_and_flees_a_wrong_prediction() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(score_change(8, 8, None, 1e-3), 0.0));
        assert!(close(score_change(16, 8, Some(0.0), 1e-3), 0.125));
        assert!(close(score_change(4, 8, None, 1e-3), -0.125));
        assert!(close(score_change(16, 8, Some(4e-3), 1e-3), -2.0));
        assert!(score_change(0, 0, Some(1.0), 0.0).is_finite());
    }

    #[test]
    fn intervals() {
        assert_eq!(interval_ns(0), NANOS_PER_S);
        assert_eq!(interval_ns(10), 1024 * NANOS_PER_S);
        assert_eq!(interval_ns(-7), 7_812_500);
        assert_eq!(interval_ns(i8::MIN), 0);
        assert_eq!(interval_ns(i8::MAX), interval_ns(24));
        assert_eq!(separation_ns(-7), 2_000_000);
        assert_eq!(separation_ns(-1), NANOS_PER_S / 16);
        assert_eq!(separation_ns(6), 200_000_000);
        assert_eq!(Burst::interval_ns(interval_ns(6)), 2 * NANOS_PER_S);
        assert_eq!(Burst::interval_ns(interval_ns(2)), NANOS_PER_S);
    }

    #[test]
    fn sources_that_start_together_ask_one_after_the_other() {
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.push(separated(1_000, 200, &taken));
        }
        assert_eq!(taken, [1_000, 1_200, 1_400, 1_600]);
        // Into a gap, and before one that would be too close.
        assert_eq!(separated(1_300, 100, &[1_000, 2_000]), 1_300);
        assert_eq!(separated(1_950, 100, &[2_000, 1_000]), 2_100);
    }

    #[test]
    fn reach_is_octal_and_eight_bits_long() {
        let mut reach = Reach::default();
        for _ in 0..9 {
            reach.shift(true);
        }
        assert_eq!(reach.to_string(), "377");
        for _ in 0..8 {
            reach.shift(false);
        }
        assert_eq!(format!("{reach:>3}"), "  0");
        assert_eq!((reach.is_reachable(), reach.missed()), (false, 8));
        assert_eq!(reach.unreachable_polls(), 1);
        reach.shift(true);
        assert_eq!((reach.register(), reach.unreachable_polls()), (1, 0));
    }

    #[test]
    fn a_burst_ends_by_good_replies_or_by_requests() {
        let mut burst = Burst::INITIAL;
        for _ in 0..4 {
            assert!(burst.is_active());
            burst.sent();
            burst.good();
        }
        assert!(!burst.is_active());
        let mut burst = Burst::POLL;
        for _ in 0..4 {
            assert!(burst.is_active());
            burst.sent();
        }
        assert_eq!((burst.is_active(), Burst::new(0, 9)), (false, Burst::NONE));
    }

    proptest! {
        #[test]
        fn a_spread_is_at_most_two_percent(interval in 0u64..interval_ns(POLL_MAX), bits: u64) {
            let spread = spread(interval, bits);
            prop_assert!((interval..=interval + interval / 50).contains(&spread));
        }

        #[test]
        fn poll_stays_in_its_range(
            min: i8, max: i8, changes in prop::collection::vec(-1e3f64..1e3, 0..40),
        ) {
            let mut poll = Poll::new(min, max);
            for change in changes {
                poll.adjust(change);
                prop_assert!((POLL_MIN..=POLL_MAX).contains(&poll.log2()));
                prop_assert!(poll.log2() >= poll.min() && (0.0..=1.0).contains(&poll.score()));
            }
        }
    }
}
