//! Reference clocks: what a driver reads, made into samples (chrony.conf(5), `refclock`).
//!
//! A driver gives readings: whole moments, or pulses that say only where in a second they are. A pulse is completed by
//! the clock it is locked to, or by our own clock once that is near enough. Readings wait in a filter; each poll makes
//! one sample of them.

use super::{ClockChange, Filter, Reach, Sample, SelectOptions, interval_ns};
use crate::wire::{CookedTime, LeapIndicator, ReferenceId};

/// The options of a `refclock` line that are not its driver's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefclockOptions {
    /// `refid`
    pub reference_id: ReferenceId,
    /// `poll`: log2 of the seconds in which readings become one sample.
    pub poll: i8,
    /// `dpoll`: log2 of the seconds between readings of drivers that are asked.
    pub driver_poll: i8,
    /// `lock`: the clock that completes pulses.
    pub lock: Option<ReferenceId>,
    /// `rate` of pulses, in hertz.
    pub rate: u32,
    /// `maxlockage` in pulses.
    pub lock_age_max: u32,
    /// `width` of a pulse in seconds; 0: not known.
    pub width_s: f64,
    /// `pps`: whole moments are read as pulses.
    pub pps: bool,
    /// `offset` in seconds, added to all that is read.
    pub offset_s: f64,
    /// `delay` in seconds.
    pub delay_s: f64,
    /// `stratum`
    pub stratum: u8,
    /// `precision` in seconds; the local clock's if not given.
    pub precision_s: Option<f64>,
    /// `maxdispersion` in seconds; 0: any.
    pub dispersion_max_s: f64,
    /// `filter`: most readings of a poll that are kept.
    pub filter: usize,
    /// `minsamples`
    pub samples_min: Option<usize>,
    /// `maxsamples`
    pub samples_max: Option<usize>,
    /// `maxunreach`
    pub unreach_max: u32,
    /// `tai`: the clock is ahead of UTC by what the table of leap seconds says.
    pub tai: bool,
    /// `local`: it is stable and not synchronised. It steadies the clock's frequency, and is never selected.
    pub local: bool,
    /// `prefer`, `noselect`, `trust`, `require`
    pub select: SelectOptions,
}

impl Default for RefclockOptions {
    /// chrony's defaults, without a name.
    fn default() -> Self {
        Self {
            reference_id: ReferenceId::NONE,
            poll: 4,
            driver_poll: 0,
            lock: None,
            rate: 1,
            lock_age_max: 2,
            width_s: 0.0,
            pps: false,
            offset_s: 0.0,
            delay_s: 1e-9,
            stratum: 0,
            precision_s: None,
            dispersion_max_s: 0.0,
            filter: 64,
            samples_min: None,
            samples_max: None,
            unreach_max: 100_000,
            tai: false,
            local: false,
            select: SelectOptions::default(),
        }
    }
}

/// What a driver has read, by the clock that the discipline has corrected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// When.
    pub at: CookedTime,
    /// What the clock showed then.
    pub shows: Shows,
    /// What the clock says of the leap second.
    pub leap: LeapIndicator,
    /// How wrong the reading may be, in seconds.
    pub dispersion_s: f64,
}

/// What a reference clock showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shows {
    /// The time: it is ahead of us by so many seconds.
    Time(f64),
    /// A pulse: it was so far behind the beginning of its second, or that far before it.
    Pulse(f64),
}

/// Which clock tells the second that a pulse belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Completion {
    /// The clock of `lock`, by its last reading; `None`: it has none.
    Locked(Option<Sample>),
    /// Ours: how far it may be wrong; `None`: not synchronised.
    Own(Option<f64>),
}

/// Why a reading is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unused {
    /// The clock says itself that it is not synchronised.
    NotSynchronised,
    /// Nothing can tell which second the pulse belongs to.
    NoSecond,
    /// What tells the second is too far from the pulse.
    TooFar,
}

/// The readings of one reference clock.
#[derive(Clone, Debug)]
pub struct Refclock {
    options: RefclockOptions,
    precision_s: f64,
    filter: Filter,
    reach: Reach,
    last: Option<Sample>,
    readings: u32,
    next_poll_ns: u64,
}

impl Refclock {
    /// Its first poll is one interval after `now_ns`. `precision_s` is the local clock's.
    pub fn new(options: RefclockOptions, precision_s: f64, now_ns: u64) -> Self {
        Self {
            precision_s: options.precision_s.unwrap_or(precision_s),
            filter: Filter::new(options.filter, COMBINED),
            options,
            reach: Reach::default(),
            last: None,
            readings: 0,
            next_poll_ns: now_ns.saturating_add(interval_ns(options.poll)),
        }
    }

    /// As configured.
    pub const fn options(&self) -> &RefclockOptions {
        &self.options
    }

    /// How it is selected from now on.
    pub const fn set_select(&mut self, select: SelectOptions) {
        self.options.select = select;
    }

    /// Which polls had a sample.
    pub const fn reach(&self) -> Reach {
        self.reach
    }

    /// The last reading that was used: what completes the pulses of a clock that is locked to this one.
    pub const fn last(&self) -> Option<&Sample> {
        self.last.as_ref()
    }

    /// Readings since the last poll.
    pub const fn readings(&self) -> u32 {
        self.readings
    }

    /// When [`poll`](Self::poll) is to be called, by the clock that never steps.
    pub const fn next_poll_ns(&self) -> u64 {
        self.next_poll_ns
    }

    /// Takes a reading in: the sample that waits for the next poll now.
    ///
    /// `tai_offset_s` is atomic time less UTC, where that is known.
    ///
    /// # Errors
    /// It is not used.
    pub fn take(
        &mut self,
        reading: &Reading,
        completion: Completion,
        tai_offset_s: Option<i32>,
    ) -> Result<Sample, Unused> {
        if reading.leap == LeapIndicator::NotSynchronised {
            return Err(Unused::NotSynchronised);
        }
        let options = &self.options;
        let tai_s = match tai_offset_s {
            Some(seconds) if options.tai => f64::from(seconds),
            None if options.tai => return Err(Unused::NoSecond),
            _ => 0.0,
        };
        let dispersion_s = reading.dispersion_s + self.precision_s;
        let (offset_s, leap) = match reading.shows {
            Shows::Time(offset_s) if !options.pps => {
                (offset_s + options.offset_s - tai_s, reading.leap)
            }
            Shows::Time(offset_s) => self.complete(
                offset_s + options.offset_s,
                reading,
                completion,
                dispersion_s,
            )?,
            Shows::Pulse(behind_s) => self.complete(
                options.offset_s - behind_s,
                reading,
                completion,
                dispersion_s,
            )?,
        };
        let sample = Sample {
            at: reading.at,
            offset_s,
            peer_delay_s: options.delay_s,
            peer_dispersion_s: dispersion_s,
            root_delay_s: options.delay_s,
            root_dispersion_s: dispersion_s,
            stratum: options.stratum,
            leap,
        };
        self.readings = self.readings.saturating_add(1);
        self.last = Some(sample);
        self.filter.gather(sample);
        Ok(sample)
    }

    /// Of all offsets that a pulse may stand for, the one that what tells the second is nearest to.
    fn complete(
        &self,
        offset_s: f64,
        reading: &Reading,
        completion: Completion,
        dispersion_s: f64,
    ) -> Result<(f64, LeapIndicator), Unused> {
        let rate = f64::from(self.options.rate);
        let nearest = |to_s: f64| offset_s + ((to_s - offset_s) * rate).round() / rate;
        let limit_s = if self.options.width_s > 0.0 {
            self.options.width_s / 2.0
        } else {
            f64::INFINITY
        };
        match completion {
            Completion::Locked(None) | Completion::Own(None) => Err(Unused::NoSecond),
            Completion::Locked(Some(other)) => {
                let age_s = (reading.at.0 - other.at.0).to_seconds().abs();
                if age_s * rate > f64::from(self.options.lock_age_max) {
                    return Err(Unused::NoSecond);
                }
                let offset_s = nearest(other.offset_s);
                let apart_s = (other.offset_s - offset_s).abs();
                let doubt_s = apart_s + other.root_dispersion_s + dispersion_s;
                if doubt_s > (LOCK_LIMIT / rate).min(limit_s) {
                    return Err(Unused::TooFar);
                }
                Ok((offset_s, other.leap))
            }
            Completion::Own(Some(error_s)) => {
                let offset_s = nearest(0.0);
                if offset_s.abs() + error_s > (OWN_LIMIT / rate).min(limit_s) {
                    return Err(Unused::TooFar);
                }
                Ok((offset_s, LeapIndicator::NoWarning))
            }
        }
    }

    /// The poll's time has come: the sample that its readings make, if they make one.
    pub fn poll(&mut self, now_ns: u64) -> Option<Sample> {
        let interval_ns = interval_ns(self.options.poll);
        self.next_poll_ns = self.next_poll_ns.saturating_add(interval_ns);
        if self.next_poll_ns <= now_ns {
            self.next_poll_ns = now_ns.saturating_add(interval_ns);
        }
        self.readings = 0;
        let most = self.options.dispersion_max_s;
        let least = self.options.filter.min(LEAST);
        let sample = self
            .filter
            .make(least)
            .filter(|sample| most <= 0.0 || sample.peer_dispersion_s <= most);
        self.reach.shift(sample.is_some());
        sample
    }

    /// The local clock was changed.
    pub fn shift(&mut self, change: &ClockChange) {
        self.filter.shift(change);
        if let Some(last) = &mut self.last {
            last.offset_s -= change.shift_s(last.at);
            last.at = change.restate(last.at);
        }
    }

    /// All clocks had a leap second of `offset_s`.
    pub fn leap(&mut self, offset_s: f64) {
        self.filter.leap(offset_s);
        self.last = None;
    }

    /// The local clock was set by an amount that is not known.
    pub fn forget(&mut self) {
        self.filter.clear();
        self.last = None;
    }
}

/// The share of a poll's readings that is averaged.
const COMBINED: f64 = 0.6;
/// Fewer readings make no sample, where the filter holds as many.
const LEAST: usize = 4;
/// Share of the time between pulses within which the locked clock must be.
const LOCK_LIMIT: f64 = 0.4;
/// The same of our own clock, with its root distance.
const OWN_LIMIT: f64 = 0.4;

#[cfg(test)]
mod tests;
