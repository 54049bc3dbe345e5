//! Times that are typed in.

use super::System;
use super::action::Moment;
use crate::discipline::{Adjustment, KernelClock, Manual, ManualEntry, ManualUpdate};
use crate::wire::NtpTimestamp;

impl<K: KernelClock> System<K> {
    /// `manual`: entries, and whether they are taken.
    pub const fn manual(&mut self) -> &mut Manual {
        &mut self.manual
    }

    /// `manual list`
    pub fn manual_entries(&self) -> Vec<ManualEntry> {
        self.manual.entries()
    }

    /// `settime`: the clock goes where somebody says that it is `typed` now. It is not synchronised by that.
    ///
    /// # Errors
    /// The kernel's clock cannot be had.
    pub fn set_time(&mut self, typed: NtpTimestamp, now: Moment) -> Result<ManualUpdate, K::Error> {
        let cooked = self.clock.cook(now.raw);
        let offset_s = (typed - cooked.0).to_seconds();
        let update = self.manual.enter(cooked, offset_s);
        let adjustment = Adjustment {
            frequency: update.frequency,
            offset_s: update.offset_s,
            ..Adjustment::default()
        };
        let remaining_s = self.clock.remaining_s(now.raw);
        self.announce(&adjustment, remaining_s);
        self.adjust(&adjustment, now)?;
        self.renew(now);
        Ok(update)
    }
}
