//! Network cards' clocks beside the one that is kept.

use super::System;
use crate::client::{CardSample, HardwareClock};
use crate::discipline::KernelClock;
use crate::wire::RawTime;

/// A card's clock between two readings of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawCardSample {
    /// The kernel's, before.
    pub before: RawTime,
    /// The card's, in nanoseconds.
    pub card_ns: i64,
    /// The kernel's, after.
    pub after: RawTime,
}

impl<K: KernelClock> System<K> {
    /// Stamps by this clock will come. Whoever adds it gives it its number.
    pub fn add_card_clock(&mut self, number: u32, clock: HardwareClock) {
        self.cards.insert(number, clock);
    }

    /// A card's clock was read several times in a row.
    pub fn card_read(&mut self, number: u32, readings: &[RawCardSample]) {
        let cooked = readings.iter().map(|reading| CardSample {
            before: self.clock.cook(reading.before),
            card_ns: reading.card_ns,
            after: self.clock.cook(reading.after),
        });
        let cooked: Vec<CardSample> = cooked.collect();
        if let Some(clock) = self.cards.get_mut(&number) {
            clock.accumulate(&cooked);
        }
    }

    /// A moment of a card's clock by the kernel's as it runs now, and how wrong that may be, in seconds; `None` while
    /// too little is known of the card's.
    pub fn card_time(&self, number: u32, card_ns: i64) -> Option<(RawTime, f64)> {
        let clock = self.cards.get(&number)?;
        Some((self.clock.uncook(clock.cook(card_ns)?), clock.error_s()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::auth::KeyStore;
    use crate::discipline::{Adjustment, Moment, SimulatedClock, SystemOptions};
    use crate::wire::{NtpDuration, NtpTimestamp};

    fn raw(true_s: f64, system: &mut System<SimulatedClock>) -> RawTime {
        let start = NtpTimestamp::from_unix(1_700_000_000, 0);
        let since = NtpDuration::from_seconds(true_s + system.clock().kernel().error_s());
        RawTime(start + since)
    }

    /// The card's clock is exact, and began long ago.
    fn card_ns(true_s: f64) -> i64 {
        5_000_000_000_000_000 + NtpDuration::from_seconds(true_s).to_nanos()
    }

    #[test]
    fn a_slew_and_a_step_of_ours_do_not_spoil_a_cards_stamps() {
        let options = SystemOptions::default();
        let now = Moment {
            monotonic_ns: 0,
            raw: RawTime(NtpTimestamp::from_unix(1_700_000_000, 0)),
        };
        let keys = Arc::new(KeyStore::default());
        let kernel = SimulatedClock::new(0.0, 10e-6);
        let Ok(mut system) = System::new(options, kernel, keys, Box::new(|| 1), now);
        system.add_card_clock(3, HardwareClock::new(2, 16, 1e-7));
        assert_eq!(system.card_time(3, card_ns(0.0)), None);
        assert_eq!(system.card_time(4, card_ns(0.0)), None);
        for second in 0..60u8 {
            let true_s = f64::from(second);
            let at = raw(true_s, &mut system);
            let reading = RawCardSample {
                before: at,
                card_ns: card_ns(true_s),
                after: at,
            };
            system.card_read(3, &[reading]);
            let now = Moment {
                monotonic_ns: u64::from(second) * 1_000_000_000,
                raw: at,
            };
            if second % 20 == 19 {
                let adjustment = Adjustment {
                    frequency: 2e-6,
                    offset_s: 0.02,
                    duration_offset_s2: 0.1,
                    is_step: second == 59,
                };
                let Ok(()) = system.adjust(&adjustment, now);
            }
            system.clock().kernel().advance(0.5);
            let expected = raw(true_s + 0.5, &mut system);
            if second > 3 {
                let (found, error_s) = system.card_time(3, card_ns(true_s + 0.5)).unwrap();
                let off_s = (found.0 - expected.0).to_seconds();
                assert!(off_s.abs() < 2e-8, "at {second}: {off_s}");
                assert!((1e-7..1e-6).contains(&error_s));
            }
            system.clock().kernel().advance(0.5);
            let end = raw(true_s + 1.0, &mut system);
            let Ok(()) = system.clock().elapse(end);
        }
        let Ok(()) = system.clock_jumped(now);
        assert_eq!(system.card_time(3, card_ns(60.0)), None);
    }
}
