//! The clocks of network cards: read beside the system clock, or as they stamp pulses.

use std::io;
use std::path::{Path, PathBuf};

use super::{Driver, raw_time, seconds};
use crate::client::Shows;
use crate::config::PhcPulses;
use crate::discipline::RawReading;
use crate::sys::{PtpDevice, PtpReading, PulseInput, Timespec, ethtool};
use crate::wire::{LeapIndicator, NtpDuration, RawTime};

/// A card's clock, as far as it is read.
pub(super) trait PtpClock {
    /// Some readings, each between two of the system clock.
    fn readings(&self) -> io::Result<Vec<PtpReading>>;
    /// The same by turns.
    fn readings_by_turns(&self) -> io::Result<Vec<PtpReading>>;
    /// Both at one moment: the card's, the system's.
    fn crossed(&self) -> io::Result<(Timespec, Timespec)>;
    /// A pulse by the card's clock, and its channel.
    fn pulse(&self) -> io::Result<Option<(Timespec, u32)>>;
}

impl PtpClock for PtpDevice {
    fn readings(&self) -> io::Result<Vec<PtpReading>> {
        Self::readings(self)
    }

    fn readings_by_turns(&self) -> io::Result<Vec<PtpReading>> {
        Self::readings_by_turns(self)
    }

    fn crossed(&self) -> io::Result<(Timespec, Timespec)> {
        Self::crossed(self)
    }

    fn pulse(&self) -> io::Result<Option<(Timespec, u32)>> {
        Self::pulse(self)
    }
}

/// Opens the clock of a device or of an interface. It is read once, so that a card that cannot be read is told of now.
pub(super) fn open(
    clock: &str,
    crosses: bool,
    pulses: Option<&PhcPulses>,
) -> io::Result<Box<dyn Driver>> {
    let path = path_of(clock)?;
    let device = PtpDevice::open(&path, pulses.is_some())?;
    if let Some(pulses) = pulses {
        device.stamp_pulses(&PulseInput {
            channel: pulses.channel,
            pin: pulses.pin,
            falling: pulses.clear,
        })?;
    }
    let mut comparison = Comparison::new(device, crosses);
    comparison.compare()?;
    Ok(match pulses {
        Some(pulses) => Box::new(Stamped {
            comparison,
            channel: pulses.channel,
        }),
        None => Box::new(comparison),
    })
}

/// `/dev/ptpN` of an interface; a path stays one.
fn path_of(clock: &str) -> io::Result<PathBuf> {
    if Path::new(clock).is_absolute() {
        return Ok(PathBuf::from(clock));
    }
    let index = ethtool::stamping(clock)?.clock;
    let index = index.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{clock}: this interface has no clock of its own"),
        )
    })?;
    Ok(PathBuf::from(format!("/dev/ptp{index}")))
}

/// A card's clock beside the system's.
struct Comparison<C> {
    clock: C,
    way: Way,
}

/// How both are read, the best way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Crossed,
    Enclosed,
    ByTurns,
}

/// Both clocks at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Compared {
    system: RawTime,
    card: Timespec,
    /// By how much the card's is ahead.
    offset_s: f64,
    error_s: f64,
}

impl<C: PtpClock> Comparison<C> {
    const fn new(clock: C, crosses: bool) -> Self {
        let way = if crosses { Way::Crossed } else { Way::Enclosed };
        Self { clock, way }
    }

    /// Reads both. A way that this card, driver or kernel does not know is not tried again.
    fn compare(&mut self) -> io::Result<Compared> {
        loop {
            let outcome = match self.way {
                Way::Crossed => self.clock.crossed().map(|(card, system)| Compared {
                    system: raw_time(system),
                    card,
                    offset_s: seconds(card.nanos_since(system)),
                    error_s: 0.0,
                }),
                Way::Enclosed => self.clock.readings().and_then(|all| closest(&all)),
                Way::ByTurns => self.clock.readings_by_turns().and_then(|all| closest(&all)),
            };
            self.way = match (self.way, &outcome) {
                (Way::Crossed, Err(_)) => Way::Enclosed,
                (Way::Enclosed, Err(_)) => Way::ByTurns,
                _ => return outcome,
            };
        }
    }
}

/// The reading whose enclosing two lie closest: the card's moment is halfway between them.
fn closest(all: &[PtpReading]) -> io::Result<Compared> {
    let width = |reading: &PtpReading| reading.after.nanos_since(reading.before);
    let sound = all.iter().filter(|reading| width(reading) >= 0);
    let best = sound.min_by_key(|reading| width(reading));
    let best = best.ok_or_else(|| io::Error::other("the clock was stepped while it was read"))?;
    let half_ns = width(best) / 2;
    let system = RawTime(raw_time(best.before).0 + NtpDuration::from_nanos(half_ns));
    Ok(Compared {
        system,
        card: best.clock,
        offset_s: seconds(best.clock.nanos_since(best.before) - half_ns),
        error_s: seconds(half_ns),
    })
}

impl<C: PtpClock> Driver for Comparison<C> {
    fn read(&mut self, found: &mut Vec<RawReading>) -> io::Result<()> {
        let compared = self.compare()?;
        found.push(RawReading {
            at: compared.system,
            shows: Shows::Time(compared.offset_s),
            leap: LeapIndicator::NoWarning,
            dispersion_s: compared.error_s,
        });
        Ok(())
    }
}

/// Pulses that the card stamps by its own clock, which need not show the time.
struct Stamped<C> {
    comparison: Comparison<C>,
    channel: u32,
}

impl<C: PtpClock> Driver for Stamped<C> {
    fn read(&mut self, found: &mut Vec<RawReading>) -> io::Result<()> {
        let mut last = None;
        while let Some((at, channel)) = self.comparison.clock.pulse()? {
            if channel == self.channel {
                last = Some(at);
            }
        }
        let Some(pulse) = last else {
            return Ok(());
        };
        let compared = self.comparison.compare()?;
        // Back from the moment at which both were read, by the card's clock.
        let back = NtpDuration::from_nanos(pulse.nanos_since(compared.card));
        let at = RawTime(compared.system.0 + back);
        let fraction = at.0 - crate::wire::NtpTimestamp::from_bits(at.0.to_bits() & !FRACTION);
        found.push(RawReading {
            at,
            shows: Shows::Pulse(fraction.to_seconds()),
            leap: LeapIndicator::NoWarning,
            dispersion_s: compared.error_s,
        });
        Ok(())
    }
}

const FRACTION: u64 = 0xffff_ffff;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn at(nanos: i64) -> Timespec {
        Timespec {
            secs: 1_700_000_000 + nanos.div_euclid(1_000_000_000),
            nanos: u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap(),
        }
    }

    /// A card whose clock is 37.25 s ahead.
    struct Card {
        knows: &'static [Way],
        pulses: RefCell<Vec<(Timespec, u32)>>,
    }

    const AHEAD: i64 = 37_250_000_000;

    impl Card {
        fn new(knows: &'static [Way]) -> Self {
            Self {
                knows,
                pulses: RefCell::default(),
            }
        }

        fn knows(&self, way: Way) -> io::Result<()> {
            if self.knows.contains(&way) {
                Ok(())
            } else {
                Err(io::ErrorKind::Unsupported.into())
            }
        }

        fn some(late: i64) -> Vec<PtpReading> {
            let all = [(0, 9000), (20_000, 2000), (50_000, -100), (90_000, 7000)];
            all.map(|(from, width)| PtpReading {
                before: at(from),
                clock: at(from + width / 2 + AHEAD + late),
                after: at(from + width),
            })
            .to_vec()
        }
    }

    impl PtpClock for Card {
        fn readings(&self) -> io::Result<Vec<PtpReading>> {
            self.knows(Way::Enclosed).map(|()| Self::some(0))
        }

        fn readings_by_turns(&self) -> io::Result<Vec<PtpReading>> {
            self.knows(Way::ByTurns).map(|()| Self::some(0))
        }

        fn crossed(&self) -> io::Result<(Timespec, Timespec)> {
            self.knows(Way::Crossed).map(|()| (at(AHEAD), at(0)))
        }

        fn pulse(&self) -> io::Result<Option<(Timespec, u32)>> {
            Ok(self.pulses.borrow_mut().pop())
        }
    }

    fn offset_of(reading: &RawReading) -> f64 {
        match reading.shows {
            Shows::Time(offset_s) | Shows::Pulse(offset_s) => offset_s,
        }
    }

    #[test]
    fn the_best_way_that_card_and_kernel_know_is_taken() {
        for (knows, crosses, way, error_s) in [
            (
                &[Way::Crossed, Way::Enclosed, Way::ByTurns][..],
                true,
                Way::Crossed,
                0.0,
            ),
            (&[Way::Crossed, Way::Enclosed], false, Way::Enclosed, 1e-6),
            (&[Way::Enclosed], true, Way::Enclosed, 1e-6),
            (&[Way::ByTurns], true, Way::ByTurns, 1e-6),
        ] {
            let mut comparison = Comparison::new(Card::new(knows), crosses);
            let mut found = Vec::new();
            comparison.read(&mut found).unwrap();
            assert_eq!(comparison.way, way);
            assert!((offset_of(&found[0]) - 37.25).abs() < 1e-9, "{found:?}");
            assert!((found[0].dispersion_s - error_s).abs() < 1e-12);
        }
        let mut none = Comparison::new(Card::new(&[]), true);
        assert!(none.read(&mut Vec::new()).is_err());
    }

    #[test]
    fn a_pulse_is_brought_from_the_cards_clock_to_ours() {
        let card = Card::new(&[Way::Enclosed]);
        // 0.4 s before the reading, and one of another channel.
        let pulse = at(AHEAD + 21_000 - 400_000_000);
        card.pulses.borrow_mut().extend([(pulse, 1), (at(0), 3)]);
        let mut stamped = Stamped {
            comparison: Comparison::new(card, false),
            channel: 1,
        };
        let mut found = Vec::new();
        stamped.read(&mut found).unwrap();
        stamped.read(&mut found).unwrap();
        assert_eq!(found.len(), 1);
        assert!((offset_of(&found[0]) - 0.600_021).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn what_has_no_clock_is_said() {
        assert!(open("/nonexistent/ptp0", true, None).is_err());
        let error = open("lo", true, None).err().unwrap().to_string();
        assert!(
            error.contains("lo") || error.contains("SIOCETHTOOL"),
            "{error}"
        );
    }
}
