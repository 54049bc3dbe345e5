//! The kernel's clock, driven as chrony drives it on Linux: frequency by the length of a tick and the frequency
//! offset, steps at once, the kernel's own loop switched off.

use std::io;

use crate::discipline::{KernelClock, KernelStatus};
use crate::sys::adjtimex::{
    MODE_ERROR_ESTIMATED, MODE_ERROR_MAX, MODE_FREQUENCY, MODE_NANO, MODE_OFFSET, MODE_SET_OFFSET,
    MODE_SINGLE_SHOT, MODE_STATUS, MODE_TAI, MODE_TICK, STATUS_DELETE, STATUS_INSERT, STATUS_PLL,
    STATUS_UNSYNCHRONISED, Timex, adjtimex, ticks_per_second,
};
use crate::wire::{LeapIndicator, NtpDuration};

/// The call that everything goes through; tests have a kernel of their own behind it.
pub(super) trait Adjtimex {
    /// As [`adjtimex`].
    fn call(&mut self, timex: &mut Timex) -> io::Result<()>;
}

/// This machine's kernel.
pub(super) struct ThisKernel;

impl Adjtimex for ThisKernel {
    fn call(&mut self, timex: &mut Timex) -> io::Result<()> {
        adjtimex(timex)
    }
}

/// A clock that is set and steered.
pub(super) struct AdjustedClock<A> {
    kernel: A,
    /// `rtcsync`: the kernel is told that it is synchronised, and so copies the time to the real-time clock.
    rtc_sync: bool,
    /// Length of a tick, in microseconds, when nobody steers.
    tick_usual_us: i64,
    tick_us: i64,
    frequency_units: i64,
    /// What was told last, so that the same is not told again.
    status: Option<(i32, Option<i32>)>,
    has_warned: bool,
}

impl<A: Adjtimex> AdjustedClock<A> {
    /// Takes the clock: it runs as it did, and the kernel's own loop lets go of it.
    pub(super) fn new(mut kernel: A, rtc_sync: bool) -> io::Result<Self> {
        Self::release(&mut kernel)?;
        let mut now = Timex::default();
        kernel.call(&mut now)?;
        Ok(Self {
            kernel,
            rtc_sync,
            tick_usual_us: MICROS_PER_S / ticks_per_second().max(1),
            tick_us: now.tick_us,
            frequency_units: now.frequency,
            status: None,
            has_warned: false,
        })
    }

    /// What the kernel's loop and adjtime(3) have still to slew in is dropped.
    fn release(kernel: &mut A) -> io::Result<()> {
        kernel.call(&mut Timex {
            modes: MODE_OFFSET | MODE_STATUS,
            status: STATUS_PLL,
            ..Timex::default()
        })?;
        kernel.call(&mut Timex {
            modes: MODE_STATUS,
            status: STATUS_UNSYNCHRONISED,
            ..Timex::default()
        })?;
        kernel.call(&mut Timex {
            modes: MODE_SINGLE_SHOT,
            ..Timex::default()
        })
    }

    /// The tick takes the whole steps, the frequency offset the rest.
    fn split(&self, frequency: f64) -> (i64, i64) {
        let tick_step = 1.0 / whole(self.tick_usual_us);
        let most = TICK_RANGE / tick_step;
        #[expect(clippy::cast_possible_truncation, reason = "clamped before the cast")]
        let steps = (frequency / tick_step).round().clamp(-most, most) as i64;
        let rest = whole(steps).mul_add(-tick_step, frequency) / (1.0 + whole(steps) * tick_step);
        let units = rest * 1e6 * UNITS_PER_PPM;
        let most = FREQUENCY_MAX_PPM * UNITS_PER_PPM;
        #[expect(clippy::cast_possible_truncation, reason = "clamped before the cast")]
        let units = units.round().clamp(-most, most) as i64;
        (self.tick_usual_us + steps, units)
    }

    /// How much faster the clock runs with a tick and a frequency offset.
    fn frequency_of(&self, tick_us: i64, units: i64) -> f64 {
        let by_tick = whole(tick_us) / whole(self.tick_usual_us);
        let by_units = 1.0 + whole(units) / UNITS_PER_PPM * 1e-6;
        by_tick.mul_add(by_units, -1.0)
    }

    /// Another program may steer the clock too: that is told, once.
    fn look_for_others(&mut self, seen: &Timex) {
        let is_ours = seen.tick_us == self.tick_us
            && seen.frequency == self.frequency_units
            && seen.status & STATUS_PLL == 0;
        if !is_ours && !self.has_warned {
            self.has_warned = true;
            log::warn!(
                "another program steers the system clock (frequency {}, tick {}, status {:#x}): stop one of the two",
                seen.frequency,
                seen.tick_us,
                seen.status
            );
        }
    }
}

impl<A: Adjtimex> KernelClock for AdjustedClock<A> {
    type Error = io::Error;

    fn frequency(&mut self) -> io::Result<f64> {
        Ok(self.frequency_of(self.tick_us, self.frequency_units))
    }

    fn set_frequency(&mut self, frequency: f64) -> io::Result<f64> {
        let mut seen = Timex::default();
        self.kernel.call(&mut seen)?;
        self.look_for_others(&seen);
        let (tick_us, units) = self.split(frequency);
        let mut timex = Timex {
            modes: MODE_TICK | MODE_FREQUENCY,
            tick_us,
            frequency: units,
            ..Timex::default()
        };
        self.kernel.call(&mut timex)?;
        (self.tick_us, self.frequency_units) = (timex.tick_us, timex.frequency);
        Ok(self.frequency_of(self.tick_us, self.frequency_units))
    }

    fn step(&mut self, offset: NtpDuration) -> io::Result<NtpDuration> {
        let nanos = offset.to_nanos();
        self.kernel.call(&mut Timex {
            modes: MODE_SET_OFFSET | MODE_NANO,
            // The fraction is never negative, as the kernel wants it.
            time_secs: nanos.div_euclid(NANOS_PER_S),
            time_nanos: nanos.rem_euclid(NANOS_PER_S),
            ..Timex::default()
        })?;
        Ok(NtpDuration::from_nanos(nanos))
    }

    fn set_status(&mut self, status: &KernelStatus) -> io::Result<()> {
        let is_synchronised = status.is_synchronised && status.error_max_s < ERROR_MAX_S;
        let mut bits = match status.leap {
            LeapIndicator::InsertSecond => STATUS_INSERT,
            LeapIndicator::DeleteSecond => STATUS_DELETE,
            LeapIndicator::NoWarning | LeapIndicator::NotSynchronised => 0,
        };
        if !is_synchronised || !self.rtc_sync {
            bits |= STATUS_UNSYNCHRONISED;
        }
        self.kernel.call(&mut Timex {
            modes: MODE_STATUS | MODE_ERROR_ESTIMATED | MODE_ERROR_MAX,
            status: bits,
            error_max_us: micros(status.error_max_s),
            error_estimated_us: micros(status.error_estimated_s),
            ..Timex::default()
        })?;
        let told = (bits, status.tai_offset_s);
        if let Some(tai_s) = status.tai_offset_s
            && self.status != Some(told)
        {
            self.kernel.call(&mut Timex {
                modes: MODE_TAI,
                constant: tai_s.into(),
                ..Timex::default()
            })?;
        }
        self.status = Some(told);
        Ok(())
    }
}

/// Microseconds, rounded up, at most what the kernel takes for an error.
#[expect(clippy::cast_possible_truncation, reason = "clamped before the cast")]
fn micros(seconds: f64) -> i64 {
    (seconds.clamp(0.0, ERROR_MAX_S) * 1e6).ceil() as i64
}

/// Ticks and units of frequency: far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
const fn whole(number: i64) -> f64 {
    number as f64
}

const MICROS_PER_S: i64 = 1_000_000;
const NANOS_PER_S: i64 = 1_000_000_000;
const UNITS_PER_PPM: f64 = 65_536.0;
/// Beyond it the kernel takes no frequency offset.
const FREQUENCY_MAX_PPM: f64 = 500.0;
/// A tick may be a tenth longer or shorter.
const TICK_RANGE: f64 = 0.1;
/// The kernel gives a clock up that may be wrong by as much.
const ERROR_MAX_S: f64 = 16.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel that does what Linux does (kernel/time/ntp.c), to a clock that is nobody's.
    #[derive(Default)]
    struct FakeKernel {
        state: Timex,
        clock_nanos: i128,
        single_shot: i64,
        pending: i64,
        calls: Vec<u32>,
    }

    impl Adjtimex for &mut FakeKernel {
        fn call(&mut self, timex: &mut Timex) -> io::Result<()> {
            self.calls.push(timex.modes);
            let has = |mode| timex.modes & mode == mode;
            if timex.modes == MODE_SINGLE_SHOT {
                self.single_shot = timex.offset;
            } else {
                if has(MODE_TICK) {
                    if !(9000..=11_000).contains(&timex.tick_us) {
                        return Err(io::ErrorKind::InvalidInput.into());
                    }
                    self.state.tick_us = timex.tick_us;
                }
                if has(MODE_SET_OFFSET) {
                    if !(0..NANOS_PER_S).contains(&timex.time_nanos) || !has(MODE_NANO) {
                        return Err(io::ErrorKind::InvalidInput.into());
                    }
                    self.clock_nanos += i128::from(timex.time_secs) * i128::from(NANOS_PER_S)
                        + i128::from(timex.time_nanos);
                }
                if has(MODE_STATUS) {
                    self.state.status = timex.status;
                }
                if has(MODE_FREQUENCY) {
                    let most = 500 << 16;
                    self.state.frequency = timex.frequency.clamp(-most, most);
                }
                if has(MODE_ERROR_MAX) {
                    self.state.error_max_us = timex.error_max_us;
                }
                if has(MODE_ERROR_ESTIMATED) {
                    self.state.error_estimated_us = timex.error_estimated_us;
                }
                if has(MODE_TAI) {
                    self.state.tai_s = i32::try_from(timex.constant).expect("small");
                }
                if has(MODE_OFFSET) && self.state.status & STATUS_PLL != 0 {
                    self.pending = timex.offset;
                }
            }
            *timex = Timex {
                modes: timex.modes,
                ..self.state
            };
            Ok(())
        }
    }

    fn kernel() -> FakeKernel {
        FakeKernel {
            state: Timex {
                tick_us: 10_000,
                frequency: 20 << 16,
                status: STATUS_PLL,
                ..Timex::default()
            },
            single_shot: 5,
            pending: 7,
            ..FakeKernel::default()
        }
    }

    #[test]
    fn the_kernels_own_loop_lets_go_and_the_frequency_stays() {
        let mut fake = kernel();
        let mut clock = AdjustedClock::new(&mut fake, false).unwrap();
        assert!((clock.frequency().unwrap() - 20e-6).abs() < 1e-12);
        assert_eq!((fake.pending, fake.single_shot), (0, 0));
        assert_eq!(fake.state.status, STATUS_UNSYNCHRONISED);
        assert_eq!(fake.state.frequency, 20 << 16);
    }

    #[test]
    fn a_frequency_is_whole_ticks_and_the_rest() {
        let mut fake = kernel();
        let mut clock = AdjustedClock::new(&mut fake, false).unwrap();
        for (wanted, tick_us) in [
            (12.5e-6, 10_000),
            (-49e-6, 10_000),
            (130e-6, 10_001),
            (-260e-6, 9997),
            (0.0833, 10_833),
            (-0.1, 9000),
        ] {
            let found = clock.set_frequency(wanted).unwrap();
            assert!((found - wanted).abs() < 1e-10, "{wanted}: {found}");
            assert_eq!(clock.tick_us, tick_us, "{wanted}");
            assert!(clock.frequency_units.abs() <= 101 << 16);
        }
        let most = clock.set_frequency(0.3).unwrap();
        assert!((0.1..0.1006).contains(&most), "{most}");
    }

    #[test]
    fn a_step_back_has_no_negative_fraction() {
        let mut fake = kernel();
        let mut clock = AdjustedClock::new(&mut fake, false).unwrap();
        for nanos in [-1, 1, -1_500_000_000, 2_000_000_000] {
            let stepped = clock.step(NtpDuration::from_nanos(nanos)).unwrap();
            assert_eq!(stepped.to_nanos(), nanos);
        }
        assert_eq!(fake.clock_nanos, 500_000_000);
    }

    #[test]
    fn what_the_kernel_is_told() {
        let status = KernelStatus {
            is_synchronised: true,
            error_max_s: 0.001_000_1,
            error_estimated_s: 1e-5,
            leap: LeapIndicator::InsertSecond,
            tai_offset_s: Some(37),
        };
        let mut fake = kernel();
        let mut clock = AdjustedClock::new(&mut fake, true).unwrap();
        clock.set_status(&status).unwrap();
        clock.set_status(&status).unwrap();
        assert_eq!(fake.state.status, STATUS_INSERT);
        assert_eq!(
            (fake.state.error_max_us, fake.state.error_estimated_us),
            (1001, 10)
        );
        assert_eq!(fake.state.tai_s, 37);
        let told = fake.calls.iter().filter(|modes| **modes == MODE_TAI);
        assert_eq!(told.count(), 1);
        // Without `rtcsync` the kernel must not copy its time; a clock that is far off is not synchronised.
        for (rtc_sync, error_max_s) in [(false, 0.001), (true, 17.0)] {
            let mut fake = kernel();
            let mut clock = AdjustedClock::new(&mut fake, rtc_sync).unwrap();
            let status = KernelStatus {
                error_max_s,
                leap: LeapIndicator::NoWarning,
                ..status
            };
            clock.set_status(&status).unwrap();
            assert_eq!(fake.state.status, STATUS_UNSYNCHRONISED);
            assert!(fake.state.error_max_us <= 16_000_000);
        }
    }

    #[test]
    fn another_program_at_the_same_clock_is_noticed() {
        let mut fake = kernel();
        let mut clock = AdjustedClock::new(&mut fake, false).unwrap();
        clock.set_frequency(1e-5).unwrap();
        assert!(!clock.has_warned);
        clock.kernel.state.frequency += 1;
        clock.set_frequency(1e-5).unwrap();
        assert!(clock.has_warned);
    }
}
