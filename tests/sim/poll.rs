//! When a source is asked: a burst at first, then at intervals that grow with the samples in the register.

use maser::client::Samples;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Poll {
    pub(crate) log2: i32,
    score: f64,
    burst_left: u32,
    pub(crate) reach: u8,
    pub(crate) polls: u8,
}

impl Poll {
    pub(crate) const fn new(burst: u32) -> Self {
        Self {
            log2: POLL_MIN,
            score: 0.0,
            burst_left: burst,
            reach: 0,
            polls: 0,
        }
    }

    /// A request leaves; how long until the next one.
    pub(crate) fn request(&mut self, is_selected: bool, uniform: f64) -> f64 {
        if self.polls >= 2 && self.reach & 3 == 0 {
            self.raise(if is_selected { 0.1 } else { 0.25 });
        }
        self.reach <<= 1;
        self.polls = (self.polls + 1).min(8);
        self.burst_left = self.burst_left.saturating_sub(1);
        if self.burst_left > 0 {
            return BURST_INTERVAL_S;
        }
        f64::from(self.log2).exp2() * 0.02f64.mul_add(uniform - 0.5, 1.0)
    }

    /// A good sample came; `error_s` is what the line was wrong by before it.
    pub(crate) fn answer(&mut self, samples: &Samples, error_s: Option<f64>, distance_s: f64) {
        self.reach |= 1;
        match error_s {
            Some(error_s) if error_s > distance_s => self.raise(-(error_s / distance_s).log2()),
            _ => {
                let samples = u32::try_from(samples.len()).expect("at most 64");
                let step = (f64::from(samples) / POLL_TARGET - 1.0) / POLL_TARGET;
                self.raise(if step < 0.0 { 2.0 * step } else { step });
            }
        }
    }

    fn raise(&mut self, by: f64) {
        self.score += by;
        let whole = self.score.floor();
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and is clamped")]
        let changed = self.log2.saturating_add(whole as i32);
        self.score -= whole;
        self.log2 = changed.clamp(POLL_MIN, POLL_MAX);
    }
}

const POLL_MIN: i32 = 6;
const POLL_MAX: i32 = 10;
const POLL_TARGET: f64 = 8.0;
const BURST_INTERVAL_S: f64 = 2.0;
