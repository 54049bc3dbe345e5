//! The temperature's share in the frequency (`tempcomp`).

use super::System;
use super::action::{Action, Moment, Record, Severity, TemperatureRecord};
use crate::discipline::{COMPENSATION_MAX_PPM, KernelClock, Tempcomp};

/// `tempcomp`, and how it went.
#[derive(Debug)]
pub(super) struct Compensation {
    curve: Tempcomp,
    /// The last reading was not believed, which was told.
    is_doubted: bool,
}

impl Compensation {
    pub(super) const fn new(curve: Tempcomp) -> Self {
        Self {
            curve,
            is_doubted: false,
        }
    }
}

impl<K: KernelClock> System<K> {
    /// The sensor of `tempcomp` shows a temperature, in its own unit. The clock runs faster from now on by what it lacks
    /// at that; what is known of its frequency, and all that was measured, stays as it is.
    ///
    /// # Errors
    /// The kernel's clock cannot be had.
    pub fn temperature(&mut self, temperature: f64, now: Moment) -> Result<(), K::Error> {
        let Some(compensation) = &mut self.compensation else {
            return Ok(());
        };
        let found = compensation.curve.compensation_ppm(temperature);
        let has_changed = compensation.is_doubted != found.is_none();
        compensation.is_doubted = found.is_none();
        let Some(compensation_ppm) = found else {
            if has_changed {
                self.tell(
                    Severity::Warning,
                    format!(
                        "tempcomp: {temperature} would take more than {COMPENSATION_MAX_PPM} ppm: not believed"
                    ),
                );
            }
            return Ok(());
        };
        let epoch = self.clock.correction().epoch;
        self.clock.compensate(compensation_ppm * 1e-6, now.raw)?;
        if self.clock.correction().epoch != epoch {
            self.slew_began_ns = now.monotonic_ns;
        }
        self.renew(now);
        self.actions
            .push_back(Action::Record(Record::Temperature(TemperatureRecord {
                at: self.clock.cook(now.raw),
                temperature,
                compensation_ppm,
            })));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::auth::KeyStore;
    use crate::discipline::{SimulatedClock, SystemOptions};
    use crate::wire::{NtpDuration, NtpTimestamp, RawTime};

    fn moment(true_s: f64, error_s: f64) -> Moment {
        let start = NtpTimestamp::from_unix(1_700_000_000, 0);
        let since = NtpDuration::from_seconds(true_s + error_s);
        Moment {
            monotonic_ns: NtpDuration::from_seconds(true_s).to_nanos().unsigned_abs(),
            raw: RawTime(start + since),
        }
    }

    fn system(curve: Option<Tempcomp>) -> System<SimulatedClock> {
        let options = SystemOptions {
            tempcomp: curve,
            ..SystemOptions::default()
        };
        let clock = SimulatedClock::new(0.0, 0.0);
        let keys = Arc::new(KeyStore::default());
        let Ok(system) = System::new(options, clock, keys, Box::new(|| 1), moment(0.0, 0.0));
        system
    }

    fn said(system: &mut System<SimulatedClock>) -> Vec<Action> {
        std::iter::from_fn(|| system.next_action()).collect()
    }

    const CURVE: Tempcomp = Tempcomp::Coefficients {
        t0: 30.0,
        k0: 0.0,
        k1: 0.1,
        k2: 0.0,
    };

    #[test]
    fn a_clock_with_a_known_curve_stays_right_through_a_warm_day() {
        let mut system = system(Some(CURVE));
        let (mut temperature, mut without_s) = (30.0, 0.0);
        for second in 1..=600u16 {
            let warmer = 0.02 * f64::from(second).mul_add(0.01, 0.0).sin();
            temperature += warmer;
            let oscillator = -0.1e-6 * warmer;
            system.clock().kernel().wander(oscillator);
            let now = moment(f64::from(second), system.clock().kernel().error_s());
            let Ok(()) = system.temperature(temperature, now);
            system.clock().kernel().advance(1.0);
            without_s += -0.1e-6 * (temperature - 30.0);
        }
        let error_s = system.clock().kernel().error_s();
        assert!(without_s.abs() > 1e-5, "{without_s}");
        // 600 roundings of 2^-17 ppm at most.
        assert!(error_s.abs() < 5e-9, "{error_s}");
        assert_eq!(system.variables().stratum, 0);
        let drift = system.clock().frequency();
        assert!(drift.abs() < 1e-15, "no part of the drift: {drift}");
        let records = said(&mut system);
        assert_eq!(records.len(), 600);
        let Some(Action::Record(Record::Temperature(last))) = records.last() else {
            panic!("{records:?}");
        };
        assert!((last.temperature - temperature).abs() < 1e-12);
        assert!((last.compensation_ppm - 0.1 * (temperature - 30.0)).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_believed_is_told_once_and_changes_nothing() {
        let mut system = system(Some(CURVE));
        let now = moment(1.0, 0.0);
        for temperature in [40.0, 200.0, 300.0, 40.0] {
            let Ok(()) = system.temperature(temperature, now);
            let rate = system.clock().kernel().rate_error();
            assert!((rate - 1e-6).abs() < 1e-11, "{rate}");
        }
        let all = said(&mut system);
        let notices = all.iter().filter(|a| matches!(a, Action::Notice(_)));
        assert_eq!((notices.count(), all.len()), (1, 3), "{all:?}");
    }

    #[test]
    fn without_a_curve_no_temperature_matters() {
        let mut system = system(None);
        let Ok(()) = system.temperature(90.0, moment(1.0, 0.0));
        assert!(said(&mut system).is_empty());
    }
}
