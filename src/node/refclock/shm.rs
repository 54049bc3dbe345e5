//! Samples in shared memory, as ntpd's driver 28 takes them from gpsd and others.

use std::io;

use super::{Driver, raw_time, seconds};
use crate::client::Shows;
use crate::discipline::RawReading;
use crate::sys::{KEY_OF_UNIT_0, SharedTime, ShmTime, Timespec};
use crate::wire::LeapIndicator;

/// One segment.
pub(super) struct Shm {
    segment: SharedTime,
}

impl Shm {
    /// The segment of a unit, made if it is not there.
    pub(super) fn attach(unit: u8, mode: u32) -> io::Result<Self> {
        let segment = SharedTime::attach(KEY_OF_UNIT_0 + i32::from(unit), mode)?;
        Ok(Self { segment })
    }
}

impl Driver for Shm {
    fn read(&mut self, found: &mut Vec<RawReading>) -> io::Result<()> {
        let time = self.segment.read();
        // A writer that began meanwhile has taken `valid` back, or counted, or both.
        let is_whole = self.segment.is_valid() && self.segment.count() == time.count;
        let was_changed = time.mode == 1 && !is_whole;
        self.segment.clear_valid();
        if !was_changed {
            found.extend(reading(&time));
        }
        Ok(())
    }
}

/// What the segment holds, if it holds something new.
fn reading(time: &ShmTime) -> Option<RawReading> {
    if time.valid == 0 || !(0..=1).contains(&time.mode) {
        return None;
    }
    let received = moment(time.receive_secs, time.receive_micros, time.receive_nanos)?;
    let clock = moment(time.clock_secs, time.clock_micros, time.clock_nanos)?;
    let leap = match time.leap {
        0 => LeapIndicator::NoWarning,
        1 => LeapIndicator::InsertSecond,
        2 => LeapIndicator::DeleteSecond,
        _ => LeapIndicator::NotSynchronised,
    };
    Some(RawReading {
        at: raw_time(received),
        shows: Shows::Time(seconds(clock.nanos_since(received))),
        leap,
        dispersion_s: 0.0,
    })
}

/// Nanoseconds count where they are those of the microseconds: older writers leave them as they are.
fn moment(secs: i64, micros: i32, nanos: u32) -> Option<Timespec> {
    let micros = u32::try_from(micros).ok()?;
    let nanos = if nanos / 1000 == micros {
        nanos
    } else {
        micros.checked_mul(1000)?
    };
    (nanos < 1_000_000_000).then_some(Timespec { secs, nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: ShmTime = ShmTime {
        mode: 1,
        count: 7,
        clock_secs: 1_700_000_001,
        clock_micros: 250_000,
        receive_secs: 1_700_000_000,
        receive_micros: 750_000,
        leap: 0,
        precision: -20,
        samples: 0,
        valid: 1,
        clock_nanos: 250_000_123,
        receive_nanos: 0,
        spare: [0; 8],
    };

    #[test]
    fn a_sample_is_the_clock_less_ours() {
        let found = reading(&SAMPLE).unwrap();
        let Shows::Time(offset_s) = found.shows else {
            panic!("{found:?}")
        };
        assert!((offset_s - 0.500_000_123).abs() < 1e-12, "{offset_s}");
        assert_eq!(
            found.at,
            raw_time(Timespec {
                secs: 1_700_000_000,
                nanos: 750_000_000
            })
        );
    }

    #[test]
    fn what_is_no_sample_is_not_read() {
        for broken in [
            ShmTime { valid: 0, ..SAMPLE },
            ShmTime { mode: 2, ..SAMPLE },
            ShmTime {
                clock_micros: -1,
                ..SAMPLE
            },
            ShmTime {
                receive_micros: i32::MAX,
                ..SAMPLE
            },
        ] {
            assert_eq!(reading(&broken), None);
        }
        let lost = reading(&ShmTime { leap: 3, ..SAMPLE }).unwrap();
        assert_eq!(lost.leap, LeapIndicator::NotSynchronised);
    }

    /// Far from the units of daemons that may run here.
    const UNIT: u8 = 201;

    #[test]
    fn another_program_writes_and_it_is_read_once() {
        let key = KEY_OF_UNIT_0 + i32::from(UNIT);
        let mut driver = match Shm::attach(UNIT, 0o600) {
            Ok(driver) => driver,
            Err(error) => {
                println!("shm: skipped, because {error}");
                return;
            }
        };
        let writer = SharedTime::attach(key, 0o600).unwrap();
        let mut found = Vec::new();
        writer.write(&SAMPLE);
        driver.read(&mut found).unwrap();
        driver.read(&mut found).unwrap();
        assert_eq!(found.len(), 1);
        SharedTime::remove(key).unwrap();
    }
}
