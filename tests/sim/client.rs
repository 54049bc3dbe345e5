//! The node under test: its clock, its servo, and what it keeps of each source.

use maser::client::{
    Candidate, Choice, ClockChange, Sample, Samples, SamplesOptions, SelectOptions,
    SelectionOptions, Standing, select,
};
use maser::discipline::{
    Adjustment, CookedClock, Servo, ServoOptions, SimulatedClock, Update, Verdict,
};
use maser::wire::{CookedTime, LeapIndicator, NtpDuration, NtpTimestamp, RawTime};

use super::poll::Poll;
use super::source::ROOT_DISPERSION_S;

pub(crate) struct Client {
    pub(crate) clock: CookedClock<SimulatedClock>,
    pub(crate) servo: Servo,
    selection: SelectionOptions,
    pub(crate) sources: Vec<Source>,
    pub(crate) updates: u32,
}

pub(crate) struct Source {
    pub(crate) samples: Samples,
    pub(crate) poll: Poll,
    pub(crate) standing: Standing,
    pub(crate) role: SelectOptions,
    /// The request that no reply has come to: its mark and when it left.
    open: Option<(u64, CookedTime)>,
    marks: u64,
}

/// What a reply carries: the mark of the request, the source's moments of arrival and departure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply {
    pub(crate) mark: u64,
    pub(crate) received: NtpTimestamp,
    pub(crate) sent: NtpTimestamp,
}

impl Client {
    pub(crate) fn new(
        error_s: f64,
        oscillator: f64,
        options: ServoOptions,
        polls: &[Poll],
    ) -> Self {
        let kernel = SimulatedClock::new(error_s, oscillator);
        let now = raw(0.0, &kernel);
        let Ok(clock) = CookedClock::new(kernel, now, 1.0 / 12.0, 0.1);
        let sources = polls.iter().map(|poll| Source {
            samples: Samples::new(SamplesOptions {
                precision_s: PRECISION_S,
                ..SamplesOptions::default()
            }),
            poll: *poll,
            standing: Standing::default(),
            role: SelectOptions::default(),
            open: None,
            marks: 0,
        });
        Self {
            clock,
            servo: Servo::new(options, None),
            selection: SelectionOptions::default(),
            sources: sources.collect(),
            updates: 0,
        }
    }

    pub(crate) fn raw(&mut self, true_s: f64) -> RawTime {
        raw(true_s, self.clock.kernel())
    }

    /// By how much served time is ahead of the true time.
    pub(crate) fn served_error_s(&mut self, true_s: f64) -> f64 {
        let raw = self.raw(true_s);
        (self.clock.cook(raw).0 - moment(true_s)).to_seconds()
    }

    /// A request leaves: its mark.
    pub(crate) fn request(&mut self, index: usize, true_s: f64) -> u64 {
        let raw = self.raw(true_s);
        let now = self.clock.cook(raw);
        let source = &mut self.sources[index];
        source.marks += 1;
        source.open = Some((source.marks, now));
        source.marks
    }

    /// A reply arrives. One that was not asked for, or comes twice, does nothing.
    pub(crate) fn reply(&mut self, index: usize, reply: &Reply, true_s: f64) {
        let now = self.raw(true_s);
        let arrived = self.clock.cook(now);
        let source = &mut self.sources[index];
        let Some((_, left)) = source.open.take_if(|open| open.0 == reply.mark) else {
            return;
        };
        let sample = sample(left, reply, arrived, source.samples.statistics().skew);
        if !source.is_good(&sample) {
            source.poll.reach |= 1;
            return;
        }
        let predicted = source.samples.predict_s(sample.at);
        let known = predicted.filter(|_| source.samples.len() >= 3);
        let error_s = known.map(|predicted| (predicted - sample.offset_s).abs());
        source.samples.accumulate(sample);
        let distance_s = 0.5f64.mul_add(sample.peer_delay_s, sample.peer_dispersion_s);
        source.poll.answer(&source.samples, error_s, distance_s);
        source.standing.updates += 1;
        self.select(index, arrived, now);
    }

    fn select(&mut self, updated: usize, cooked: CookedTime, now: RawTime) {
        let mut candidates: Vec<Candidate> =
            self.sources.iter().map(|s| s.candidate(cooked)).collect();
        let choice = select(&self.selection, &mut candidates, Some(updated));
        for (source, candidate) in self.sources.iter_mut().zip(&candidates) {
            source.standing = candidate.standing;
        }
        let Choice::Selected(reference) = choice else {
            return;
        };
        let Some(estimate) = reference.estimate else {
            return;
        };
        let update = Update {
            estimate,
            now: cooked,
            remaining_s: self.clock.remaining_s(now),
        };
        let verdict = self.servo.update(&update, self.clock.frequency());
        if let Verdict::Adjust(adjustment) = verdict {
            self.adjust(&adjustment, now);
            self.updates += 1;
        }
    }

    fn adjust(&mut self, adjustment: &Adjustment, now: RawTime) {
        let Ok(change) = self.clock.adjust(adjustment, now);
        for source in &mut self.sources {
            source.shift(&change);
        }
    }
}

impl Source {
    fn candidate(&self, now: CookedTime) -> Candidate {
        Candidate {
            role: self.role,
            reference_id: 0,
            stratum: 1,
            leap: LeapIndicator::NoWarning,
            reach: self.poll.reach,
            reach_polls: self.poll.polls,
            selectable: self.samples.selectable(now),
            estimate: self.samples.estimate(),
            standing: self.standing,
        }
    }

    /// chrony's test C: a delay far beyond the least is good only where the offset is news.
    fn is_good(&self, sample: &Sample) -> bool {
        let (Some(least_s), Some(newest)) = (self.samples.delay_min_s(), self.samples.newest())
        else {
            return true;
        };
        if self.samples.len() < 6 {
            return true;
        }
        let seen = self.samples.statistics();
        let age_s = (sample.at.0 - newest.at.0).to_seconds();
        let limit_s = seen
            .standard_deviation_s
            .mul_add(10.0, age_s * (seen.skew + 1e-6));
        let increase_s = (sample.peer_delay_s - least_s) / 2.0;
        let predicted_s = self.samples.predict_s(sample.at).unwrap_or(sample.offset_s);
        let error_s = (sample.offset_s - predicted_s).abs();
        increase_s <= limit_s || error_s - increase_s > limit_s
    }

    fn shift(&mut self, change: &ClockChange) {
        self.samples.shift(change);
        if let Some((_, left)) = &mut self.open {
            *left = change.restate(*left);
        }
    }
}

fn sample(left: CookedTime, reply: &Reply, arrived: CookedTime, skew: f64) -> Sample {
    let there_s = (reply.received - left.0).to_seconds();
    let back_s = (reply.sent - arrived.0).to_seconds();
    let away = arrived.0 - left.0;
    let peer_delay_s = (away - (reply.sent - reply.received)).to_seconds();
    let peer_dispersion_s = skew.mul_add(away.to_seconds(), PRECISION_S);
    Sample {
        at: CookedTime(left.0 + NtpDuration::from_bits(away.to_bits() / 2)),
        offset_s: (there_s + back_s) / 2.0,
        peer_delay_s: peer_delay_s.max(PRECISION_S),
        peer_dispersion_s,
        root_delay_s: peer_delay_s.max(PRECISION_S),
        root_dispersion_s: peer_dispersion_s + ROOT_DISPERSION_S,
        stratum: 1,
        leap: LeapIndicator::NoWarning,
    }
}

/// True time as a timestamp.
pub(crate) fn moment(true_s: f64) -> NtpTimestamp {
    NtpTimestamp::from_unix(1_700_000_000, 0) + NtpDuration::from_seconds(true_s)
}

fn raw(true_s: f64, clock: &SimulatedClock) -> RawTime {
    RawTime(moment(true_s) + NtpDuration::from_seconds(clock.error_s()))
}

const PRECISION_S: f64 = 1e-7;
