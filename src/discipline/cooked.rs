//! Carries adjustments out: a frequency, and an offset that is slewed in or stepped.
//!
//! The kernel's clock runs at `1 + kernel`, the right frequency as far as known is `1 + base`. Where they
//! differ, because an offset is being slewed in, because the kernel rounds, or because it does not obey at
//! all, served time is raw time and a line of slope `(1 + base) / (1 + kernel) - 1`. So served time is never
//! wrong by what the kernel has not done yet.

use super::KernelClock;
use crate::client::ClockChange;
use crate::wire::{CookedTime, Correction, NtpDuration, RawTime};

/// A change of the clock that was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Adjustment {
    /// By how much the clock is made to run faster, as a fraction.
    pub frequency: f64,
    /// By how much the clock is set forward, in seconds.
    pub offset_s: f64,
    /// How long the correction may take: seconds of offset times seconds; an offset of `x` gets
    /// `duration_offset_s2 / x` seconds, within the limits of a slew.
    pub duration_offset_s2: f64,
    /// Whether the clock is set at once, with all that is still to be slewed in.
    pub is_step: bool,
}

/// The local clock with all that is known to be wrong with it taken out.
#[derive(Clone, Debug)]
pub struct CookedClock<K> {
    kernel: K,
    slew_rate_max: f64,
    frequency_max: f64,
    /// The frequency at which the clock is right, as far as known.
    base: f64,
    /// By how much faster than that it has to run at the temperature there is.
    compensation: f64,
    /// What is in force in the kernel.
    in_force: f64,
    /// What raw time lacks: [`remaining_s`](Self::remaining_s) at `epoch`, and a slope.
    epoch: RawTime,
    offset_s: f64,
    duration_offset_s2: f64,
    /// Seconds of raw time from `epoch` to the end of the slew.
    slew_s: Option<f64>,
}

impl<K: KernelClock> CookedClock<K> {
    /// Takes the clock over as it runs. `slew_rate_max` is `maxslewrate`, `frequency_max` is `maxdrift`,
    /// both as fractions.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub fn new(
        mut kernel: K,
        now: RawTime,
        slew_rate_max: f64,
        frequency_max: f64,
    ) -> Result<Self, K::Error> {
        let in_force = kernel.frequency()?;
        Ok(Self {
            kernel,
            slew_rate_max,
            frequency_max,
            base: in_force,
            compensation: 0.0,
            in_force,
            epoch: now,
            offset_s: 0.0,
            duration_offset_s2: 0.0,
            slew_s: None,
        })
    }

    /// Raw time as served.
    pub fn cook(&self, raw: RawTime) -> CookedTime {
        self.correction().cook(raw)
    }

    /// The raw time at which a time is served.
    pub fn uncook(&self, cooked: CookedTime) -> RawTime {
        let correction = self.correction();
        let since = cooked.0 - self.epoch.0 - correction.offset;
        // The time served runs faster by the slope.
        let less_s = since.to_seconds() * (self.slope() / (1.0 + self.slope()));
        RawTime(self.epoch.0 + since - NtpDuration::from_seconds(less_s))
    }

    /// From raw time to served time, until the next change.
    pub fn correction(&self) -> Correction {
        Correction {
            epoch: self.epoch,
            offset: NtpDuration::from_seconds(self.offset_s),
            slope: NtpDuration::from_seconds(self.slope()).to_bits(),
        }
    }

    /// What the kernel's clock lacks at a moment, in seconds.
    pub fn remaining_s(&self, at: RawTime) -> f64 {
        let elapsed_s = (at.0 - self.epoch.0).to_seconds();
        elapsed_s.mul_add(self.slope(), self.offset_s)
    }

    /// The frequency at which the clock is right, as far as known: positive where it is made to run faster.
    pub const fn frequency(&self) -> f64 {
        self.base
    }

    /// Whether the frequency is the most that is allowed (`maxdrift`).
    pub fn is_at_frequency_max(&self) -> bool {
        self.base.abs() >= self.frequency_max
    }

    /// Carries an adjustment out. What it returns is to be told to all that keep moments or offsets of the
    /// served time.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub fn adjust(
        &mut self,
        adjustment: &Adjustment,
        now: RawTime,
    ) -> Result<ClockChange, K::Error> {
        let at = self.cook(now);
        self.begin_line(now);
        let base = (1.0 + self.base).mul_add(1.0 + adjustment.frequency, -1.0);
        let base = base.clamp(-self.frequency_max, self.frequency_max);
        let frequency = (1.0 + base) / (1.0 + self.base) - 1.0;
        self.base = base;
        self.offset_s += adjustment.offset_s;
        if adjustment.is_step {
            let wanted = NtpDuration::from_seconds(self.offset_s);
            let stepped = self.kernel.step(wanted)?;
            self.epoch = RawTime(now.0 + stepped);
            self.offset_s -= stepped.to_seconds();
        }
        self.duration_offset_s2 = adjustment.duration_offset_s2;
        self.slew()?;
        Ok(ClockChange {
            at,
            frequency,
            offset_s: adjustment.offset_s,
        })
    }

    /// Sets the frequency at once, as from a drift file; the offset stays.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub fn set_frequency(&mut self, frequency: f64, now: RawTime) -> Result<ClockChange, K::Error> {
        let change = Adjustment {
            frequency: (1.0 + frequency) / (1.0 + self.base) - 1.0,
            duration_offset_s2: self.duration_offset_s2,
            ..Adjustment::default()
        };
        self.adjust(&change, now)
    }

    /// The temperature has changed what the oscillator does: from now on the clock is right at a frequency that is
    /// higher by `compensation`, a fraction, than [`frequency`](Self::frequency), which stays. A slew under way ends
    /// when it would have. All that was measured stays as it is: the oscillator has changed, not the clock.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub fn compensate(&mut self, compensation: f64, now: RawTime) -> Result<(), K::Error> {
        if compensation.to_bits() == self.compensation.to_bits() {
            return Ok(());
        }
        let rest_s = self.deadline().map(|end| (end.0 - now.0).to_seconds());
        self.begin_line(now);
        self.compensation = compensation;
        // In time as served: the slew itself is in raw time.
        let rest_s = rest_s.map(|rest_s| rest_s - self.offset_s);
        match rest_s.filter(|rest_s| *rest_s > 0.0) {
            Some(rest_s) => self.slew_within(rest_s),
            None => self.slew(),
        }
    }

    /// When [`elapse`](Self::elapse) is to be called: the slew is over then.
    pub fn deadline(&self) -> Option<RawTime> {
        let slew = NtpDuration::from_seconds(self.slew_s?);
        Some(RawTime(self.epoch.0 + slew))
    }

    /// Ends a slew that is over; whatever a late call has overdone is slewed back. Served time is as it was.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub fn elapse(&mut self, now: RawTime) -> Result<(), K::Error> {
        if self.deadline().is_none_or(|end| now.0.is_before(end.0)) {
            return Ok(());
        }
        self.begin_line(now);
        self.slew()
    }

    /// The clock behind it.
    pub const fn kernel(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// Another has stepped the kernel's clock by `offset`: served time goes with it.
    pub fn stepped_outside(&mut self, offset: NtpDuration) {
        self.epoch = RawTime(self.epoch.0 + offset);
    }

    /// The kernel has made a leap second of `offset_s`, and `now` was read after it. What it returns is to be told to
    /// all that keep moments or offsets of the served time.
    pub fn kernel_stepped(&mut self, offset_s: f64, now: RawTime) -> ClockChange {
        let offset = NtpDuration::from_seconds(offset_s);
        self.stepped_outside(offset);
        ClockChange {
            at: CookedTime(self.cook(now).0 - offset),
            frequency: 0.0,
            offset_s,
        }
    }

    /// Another has set the clock by an amount that is not known: it is taken for right as it is.
    pub fn restart(&mut self, now: RawTime) {
        self.epoch = now;
        self.offset_s = 0.0;
        self.duration_offset_s2 = 0.0;
        self.slew_s = None;
    }

    /// Leaves the kernel's clock at the frequency that is right as far as known; what was not slewed in is left.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub fn end(&mut self, now: RawTime) -> Result<(), K::Error> {
        self.begin_line(now);
        self.in_force = self.kernel.set_frequency(self.right())?;
        Ok(())
    }

    /// The frequency at which the clock is right now.
    fn right(&self) -> f64 {
        (1.0 + self.base).mul_add(1.0 + self.compensation, -1.0)
    }

    /// In the units of a [`Correction`], so that what is served and what is reckoned here never part. What
    /// rounding adds to the frequency, 1e-10, is less than any source can show.
    fn slope(&self) -> f64 {
        let slope = (1.0 + self.right()) / (1.0 + self.in_force) - 1.0;
        let half = SLOPE_UNIT / 2.0;
        NtpDuration::from_seconds(slope + half.copysign(slope)).to_seconds()
    }

    /// The line of the correction goes on from a new epoch.
    fn begin_line(&mut self, now: RawTime) {
        self.offset_s = self.remaining_s(now);
        self.epoch = now;
        self.slew_s = None;
    }

    /// Sets the frequency that slews the offset in.
    fn slew(&mut self) -> Result<(), K::Error> {
        let wanted_s = self.duration_offset_s2 / self.offset_s.abs();
        self.slew_within(wanted_s.clamp(DURATION_MIN_S, DURATION_MAX_S))
    }

    fn slew_within(&mut self, duration_s: f64) -> Result<(), K::Error> {
        let rate = if self.offset_s.abs() < OFFSET_MIN_S {
            0.0
        } else {
            let rate = self.offset_s / duration_s;
            rate.clamp(-self.slew_rate_max, self.slew_rate_max)
        };
        let wanted = (1.0 + self.right()).mul_add(1.0 + rate, -1.0);
        self.in_force = self.kernel.set_frequency(wanted)?;
        // With a kernel that does not obey the slew never comes to an end.
        let obeys = (self.in_force - wanted).abs() * 2.0 < rate.abs();
        let duration_s = -self.offset_s / self.slope();
        let ends = obeys && duration_s > 0.0;
        self.slew_s = ends.then(|| duration_s.min(DURATION_MAX_S));
        Ok(())
    }
}

/// Not worth a slew.
const OFFSET_MIN_S: f64 = 1e-9;
const DURATION_MIN_S: f64 = 1.0;
const DURATION_MAX_S: f64 = 1e4;
const SLOPE_UNIT: f64 = 1.0 / 4_294_967_296.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discipline::{NoClock, SimulatedClock};
    use crate::wire::NtpTimestamp;
    use proptest::prelude::*;

    const SLEW_RATE_MAX: f64 = 1.0 / 12.0;

    fn start() -> NtpTimestamp {
        NtpTimestamp::from_unix(1_700_000_000, 0)
    }

    /// The raw time of a simulated clock when `true_s` seconds of true time have passed.
    fn raw(true_s: f64, clock: &SimulatedClock) -> RawTime {
        RawTime(start() + NtpDuration::from_seconds(true_s + clock.error_s()))
    }

    fn error_of(true_s: f64, cooked: &CookedClock<SimulatedClock>) -> f64 {
        let now = cooked.cook(raw(true_s, &cooked.kernel));
        (now.0 - start()).to_seconds() - true_s
    }

    fn clock(error_s: f64, oscillator: f64) -> CookedClock<SimulatedClock> {
        let kernel = SimulatedClock::new(error_s, oscillator);
        let now = raw(0.0, &kernel);
        let Ok(clock) = CookedClock::new(kernel, now, SLEW_RATE_MAX, 0.1);
        clock
    }

    #[test]
    fn served_time_is_right_at_once_and_the_kernel_follows() {
        let mut cooked = clock(-0.1, -50e-6);
        let now = raw(0.0, cooked.kernel());
        let correction = Adjustment {
            frequency: 1.0 / (1.0 - 50e-6) - 1.0,
            offset_s: 0.1,
            duration_offset_s2: 0.5,
            is_step: false,
        };
        let Ok(change) = cooked.adjust(&correction, now);
        assert_eq!(change.at.0, now.0);
        assert!((change.frequency - 50e-6).abs() < 1e-8);
        // 0.1 s in 5 s. Looking 1/8 s late overdoes it by 2.5 ms: so much takes 200 s to be slewed back.
        for step in 1..=41u8 {
            cooked.kernel().advance(0.125);
            let second = 0.125 * f64::from(step);
            let now = raw(second, cooked.kernel());
            assert!(error_of(second, &cooked).abs() < 1e-8, "at {second}");
            let Ok(()) = cooked.elapse(now);
            assert!(error_of(second, &cooked).abs() < 1e-8, "after {second}");
        }
        let overdone_s = cooked.kernel().error_s();
        assert!((1e-5..2.6e-3).contains(&overdone_s), "{overdone_s}");
        let end = cooked.deadline().expect("it is slewed back");
        let (now, second) = (raw(5.125, cooked.kernel()), 5.125);
        let wait_s = (end.0 - now.0).to_seconds();
        assert!((wait_s - 0.5 / overdone_s).abs() < 1.0, "{wait_s}");
        let wait_s = wait_s / (1.0 + cooked.kernel().rate_error());
        cooked.kernel().advance(wait_s);
        let now = raw(second + wait_s, cooked.kernel());
        let Ok(()) = cooked.elapse(now);
        assert!(cooked.kernel().error_s().abs() < 1e-7);
        assert!(error_of(second + wait_s, &cooked).abs() < 1e-7);
    }

    #[test]
    fn a_slew_takes_what_it_may_and_no_more_rate_than_allowed() {
        let mut cooked = clock(0.0, 0.0);
        let now = raw(0.0, cooked.kernel());
        let offset = |offset_s, duration_offset_s2| Adjustment {
            offset_s,
            duration_offset_s2,
            ..Adjustment::default()
        };
        let slew_s = |cooked: &CookedClock<_>, now: RawTime| {
            cooked.deadline().map(|end| (end.0 - now.0).to_seconds())
        };
        let Ok(_) = cooked.adjust(&offset(0.01, 0.2), now);
        let taken = slew_s(&cooked, now).expect("an offset is slewed in");
        assert!((taken - 20.0).abs() < 0.02, "{taken}");
        let Ok(_) = cooked.adjust(&offset(9.99, 0.2), now);
        let taken = slew_s(&cooked, now).expect("an offset is slewed in");
        let rate = cooked.kernel().rate_error();
        assert!((rate - SLEW_RATE_MAX).abs() < 1e-9, "{rate}");
        assert!((taken - 10.0 / rate * (1.0 + rate)).abs() < 1e-3, "{taken}");
        // 1 ms over 10,000 s: 1e-7, of which the kernel's unit is 1.5e-4 and that of the slope 2.3e-3.
        let Ok(_) = cooked.adjust(&offset(-9.999, 1e2), now);
        let taken = slew_s(&cooked, now).expect("an offset is slewed in");
        assert!((taken - 1e4).abs() < 25.0, "{taken}");
    }

    #[test]
    fn a_step_takes_all_that_remains() {
        let mut cooked = clock(-5.0, 0.0);
        let now = raw(0.0, cooked.kernel());
        let slew = Adjustment {
            offset_s: 4.0,
            ..Adjustment::default()
        };
        let Ok(_) = cooked.adjust(&slew, now);
        let step = Adjustment {
            offset_s: 1.0,
            is_step: true,
            ..Adjustment::default()
        };
        let Ok(change) = cooked.adjust(&step, now);
        assert!((change.offset_s - 1.0).abs() < 1e-12);
        assert!(cooked.kernel().error_s().abs() < 1e-9);
        assert_eq!((cooked.kernel().steps(), cooked.deadline()), (1, None));
        assert!(error_of(0.0, &cooked).abs() < 1e-9);
    }

    #[test]
    fn without_control_served_time_is_right_all_the_same() {
        let now = RawTime(start());
        let Ok(mut cooked) = CookedClock::new(NoClock, now, SLEW_RATE_MAX, 0.1);
        let step = Adjustment {
            frequency: 1e-4,
            offset_s: 2.0,
            duration_offset_s2: 1.0,
            is_step: true,
        };
        let Ok(_) = cooked.adjust(&step, now);
        assert_eq!(cooked.deadline(), None);
        let later = RawTime(start() + NtpDuration::from_seconds(1000.0));
        let served = cooked.cook(later).0 - later.0;
        assert!((served.to_seconds() - 2.1).abs() < 1e-6);
        // 1e-10 is what the slope is rounded by.
        assert!((cooked.remaining_s(later) - 2.1).abs() < 1.3e-10 * 1000.0);
    }

    #[test]
    fn a_compensated_oscillator_is_as_one_that_never_changed() {
        let mut cooked = clock(-0.01, 0.0);
        let correction = Adjustment {
            offset_s: 0.01,
            duration_offset_s2: 0.2,
            ..Adjustment::default()
        };
        let now = raw(0.0, cooked.kernel());
        let Ok(_) = cooked.adjust(&correction, now);
        let end = cooked.deadline().expect("it is slewed in");
        // Each second the oscillator is slower by 0.1 ppm, and that is told at once.
        for second in 1..=15u8 {
            cooked.kernel().advance(1.0);
            cooked.kernel().wander(-1e-7);
            let second = f64::from(second);
            let now = raw(second, cooked.kernel());
            let Ok(()) = cooked.compensate(second * 1e-7, now);
            assert!(error_of(second, &cooked).abs() < 1e-8, "at {second}");
            let moved = cooked.deadline().expect("it goes on").0 - end.0;
            assert!(moved.to_seconds().abs() < 1e-3, "{}", moved.to_seconds());
        }
        assert!(cooked.frequency().abs() < 1e-15);
        cooked.kernel().advance(10.0);
        let now = raw(25.0, cooked.kernel());
        let Ok(()) = cooked.elapse(now);
        assert!(error_of(25.0, &cooked).abs() < 1e-8);
        let Ok(()) = cooked.end(now);
        let rate = cooked.kernel().rate_error();
        assert!(rate.abs() < 1e-10, "{rate}");
    }

    #[test]
    fn a_step_from_outside_is_not_taken_back() {
        let mut cooked = clock(0.0, 0.0);
        let now = raw(0.0, cooked.kernel());
        let slew = Adjustment {
            offset_s: 0.5,
            ..Adjustment::default()
        };
        let Ok(_) = cooked.adjust(&slew, now);
        let hour = NtpDuration::from_seconds(3600.0);
        let before = cooked.cook(now).0;
        cooked.stepped_outside(hour);
        assert_eq!(cooked.cook(RawTime(now.0 + hour)).0, before + hour);
    }

    proptest! {
        /// Whatever is adjusted, served time moves by the change that is told and by nothing else.
        #[test]
        fn a_change_is_what_it_says(
            changes in proptest::collection::vec((-1e-3..1e-3, -2.0..2.0, 0.0..100.0, any::<bool>()), 1..20),
        ) {
            let mut cooked = clock(0.3, 20e-6);
            for (turn, (frequency, offset_s, duration_offset_s2, is_step)) in (0u32..).zip(changes) {
                let second = f64::from(turn) * 16.0;
                let before = error_of(second, &cooked);
                let now = raw(second, cooked.kernel());
                let adjustment = Adjustment { frequency, offset_s, duration_offset_s2, is_step };
                let Ok(change) = cooked.adjust(&adjustment, now);
                let after = error_of(second, &cooked);
                prop_assert!((after - before - change.offset_s).abs() < 3e-9);
                let base = 1.0 + cooked.frequency();
                cooked.kernel().advance(16.0);
                let gained = error_of(second + 16.0, &cooked) - after;
                prop_assert!((gained - 16.0 * (base * (1.0 + 20e-6) - 1.0)).abs() < 1e-7);
                let now = raw(second + 16.0, cooked.kernel());
                let Ok(()) = cooked.elapse(now);
            }
        }
    }
}
