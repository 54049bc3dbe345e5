//! Pulses that the kernel stamps.

use std::io;
use std::path::Path;

use super::{Driver, raw_time, seconds};
use crate::client::Shows;
use crate::discipline::RawReading;
use crate::sys::{Edge, Pulse, PulseDevice};
use crate::wire::LeapIndicator;

/// A device of pulses, as far as it is read.
pub(super) trait Pulses {
    /// The last one.
    fn last(&self) -> io::Result<Pulse>;
}

struct Device {
    device: PulseDevice,
    edge: Edge,
}

impl Pulses for Device {
    fn last(&self) -> io::Result<Pulse> {
        self.device.last(self.edge)
    }
}

/// Opens the device; pulses from before are not read.
pub(super) fn open(path: &Path, clear: bool) -> io::Result<impl Driver + use<>> {
    let edge = if clear { Edge::Clear } else { Edge::Assert };
    let device = Device {
        device: PulseDevice::open(path, edge)?,
        edge,
    };
    Pps::new(device)
}

/// The pulses of one device.
struct Pps<P> {
    pulses: P,
    last: u32,
}

impl<P: Pulses> Pps<P> {
    fn new(pulses: P) -> io::Result<Self> {
        let last = pulses.last()?.sequence;
        Ok(Self { pulses, last })
    }
}

impl<P: Pulses> Driver for Pps<P> {
    fn read(&mut self, found: &mut Vec<RawReading>) -> io::Result<()> {
        let pulse = self.pulses.last()?;
        if pulse.sequence == self.last || pulse.at.secs == 0 {
            return Ok(());
        }
        self.last = pulse.sequence;
        found.push(RawReading {
            at: raw_time(pulse.at),
            shows: Shows::Pulse(seconds(pulse.at.nanos.into())),
            leap: LeapIndicator::NoWarning,
            dispersion_s: 0.0,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::sys::Timespec;

    struct Fake<'a>(&'a Cell<Pulse>);

    impl Pulses for Fake<'_> {
        fn last(&self) -> io::Result<Pulse> {
            Ok(self.0.get())
        }
    }

    const fn pulse(sequence: u32, nanos: u32) -> Pulse {
        Pulse {
            sequence,
            at: Timespec {
                secs: 1_700_000_000,
                nanos,
            },
        }
    }

    #[test]
    fn each_pulse_is_read_once() {
        let last = Cell::new(pulse(5, 1));
        let mut driver = Pps::new(Fake(&last)).unwrap();
        let mut found = Vec::new();
        driver.read(&mut found).unwrap();
        assert!(found.is_empty(), "that one came before");
        last.set(pulse(6, 999_999_000));
        driver.read(&mut found).unwrap();
        driver.read(&mut found).unwrap();
        assert_eq!(found.len(), 1);
        let Shows::Pulse(behind_s) = found[0].shows else {
            panic!("{found:?}")
        };
        assert!((behind_s - 0.999_999).abs() < 1e-12);
    }

    #[test]
    fn a_device_that_is_not_there_or_is_none_is_an_error() {
        let absent = open(Path::new("/nonexistent/pps0"), false).err().unwrap();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
        let other = open(Path::new("/dev/null"), true).err().unwrap();
        assert!(other.to_string().starts_with("PPS_GETCAP: "), "{other}");
    }
}
