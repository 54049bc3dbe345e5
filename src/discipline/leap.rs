//! Leap seconds: which day has one, and who makes it (`leapsecmode`, `leapsectz`, `leapseclist`).

mod table;

pub use table::{BadLeapTable, LeapDay, LeapTable};

use crate::wire::LeapIndicator;
use table::{DAY_S, may_have_leap};

/// `leapsecmode`: what happens at the end of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LeapMode {
    /// The kernel makes the leap second.
    #[default]
    System,
    /// We step the clock.
    Step,
    /// We slew the clock from midnight on.
    Slew,
    /// Nothing, until the sources show a second of offset.
    Ignore,
}

/// What is to be done at the end of the day, in seconds forward: -1 for an inserted second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LeapAction {
    /// The kernel has stepped the clock; samples and served time are to be told.
    Stepped(f64),
    /// The clock is to be stepped.
    Step(f64),
    /// The offset is to be slewed in.
    Slew(f64),
}

/// The leap second of today, if there is one. Moments are seconds of UTC since the Unix epoch.
#[derive(Clone, Debug)]
pub struct LeapState {
    mode: LeapMode,
    table: Option<LeapTable>,
    leap: LeapIndicator,
    tai_offset_s: Option<i32>,
    /// The midnight at whose end the leap second is made, while there is one.
    midnight_s: Option<i64>,
    /// The last midnight at which one was made.
    done_s: Option<i64>,
}

impl LeapState {
    /// No leap second known yet. A table outvotes the sources.
    pub const fn new(mode: LeapMode, table: Option<LeapTable>) -> Self {
        Self {
            mode,
            table,
            leap: LeapIndicator::NoWarning,
            tai_offset_s: None,
            midnight_s: None,
            done_s: None,
        }
    }

    /// Another table takes the place of the one there is, from the next update on.
    pub fn set_table(&mut self, table: LeapTable) {
        self.table = Some(table);
    }

    /// Takes note of what the sources announce. Without a table they are believed on the last days of June
    /// and December only.
    pub fn update(&mut self, sources: LeapIndicator, now_s: i64) {
        let day = self.table.as_ref().and_then(|table| table.day(now_s));
        self.tai_offset_s = day.map(|day| day.tai_offset_s);
        let announced = match day {
            Some(day) => day.leap,
            None if may_have_leap(now_s) => sources,
            None => LeapIndicator::NoWarning,
        };
        let sign = seconds(announced);
        self.leap = LeapIndicator::NoWarning;
        self.midnight_s = None;
        let midnight_s = now_s
            .div_euclid(DAY_S)
            .saturating_add(1)
            .saturating_mul(DAY_S);
        // After an inserted second was made, the same second comes once more.
        if sign.is_some() && self.done_s != Some(midnight_s) {
            self.leap = announced;
            self.midnight_s = Some(midnight_s);
        }
    }

    /// What is announced to clients.
    pub const fn leap(&self) -> LeapIndicator {
        self.leap
    }

    /// Whether clients are not told of it: they are led over it slowly.
    pub const fn is_hidden(&self) -> bool {
        matches!(self.mode, LeapMode::Slew)
    }

    /// What the kernel is told.
    pub fn kernel_leap(&self) -> LeapIndicator {
        match self.mode {
            LeapMode::System => self.leap,
            LeapMode::Step | LeapMode::Slew | LeapMode::Ignore => LeapIndicator::NoWarning,
        }
    }

    /// International atomic time less UTC, in seconds, where the table says it.
    pub const fn tai_offset_s(&self) -> Option<i32> {
        self.tai_offset_s
    }

    /// The same at a moment, for a clock that keeps atomic time.
    pub fn tai_offset_at(&self, now_s: i64) -> Option<i32> {
        let day = self.table.as_ref()?.day(now_s)?;
        Some(day.tai_offset_s)
    }

    /// When [`act`](Self::act) is to be called: the midnight of the leap second. A second is deleted before
    /// its midnight by one second.
    pub fn deadline_s(&self) -> Option<i64> {
        let earlier = i64::from(self.leap == LeapIndicator::DeleteSecond);
        self.midnight_s.map(|midnight_s| midnight_s - earlier)
    }

    /// What is to be done when the day is over; once.
    pub fn act(&mut self, now_s: i64) -> Option<LeapAction> {
        let forward_s = seconds(self.leap)?;
        self.deadline_s().filter(|end_s| now_s >= *end_s)?;
        self.done_s = self.midnight_s.take();
        self.leap = LeapIndicator::NoWarning;
        match self.mode {
            LeapMode::System => Some(LeapAction::Stepped(forward_s)),
            LeapMode::Step => Some(LeapAction::Step(forward_s)),
            LeapMode::Slew => Some(LeapAction::Slew(forward_s)),
            LeapMode::Ignore => None,
        }
    }

    /// Whether a leap second is so near that samples may hold it or not: the clock is left alone.
    pub fn is_close(&self, now_s: i64) -> bool {
        [self.midnight_s, self.done_s]
            .into_iter()
            .flatten()
            .any(|midnight_s| now_s.abs_diff(midnight_s) <= CLOSE_S)
    }
}

fn seconds(leap: LeapIndicator) -> Option<f64> {
    match leap {
        LeapIndicator::InsertSecond => Some(-1.0),
        LeapIndicator::DeleteSecond => Some(1.0),
        LeapIndicator::NoWarning | LeapIndicator::NotSynchronised => None,
    }
}

const CLOSE_S: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    /// 2016-12-31T12:00:00Z, and the midnight after it.
    const NOON_S: i64 = 1_483_185_600;
    const MIDNIGHT_S: i64 = NOON_S + 43_200;

    #[test]
    fn an_announced_second_is_inserted_once() {
        for (mode, expected) in [
            (LeapMode::System, Some(LeapAction::Stepped(-1.0))),
            (LeapMode::Step, Some(LeapAction::Step(-1.0))),
            (LeapMode::Slew, Some(LeapAction::Slew(-1.0))),
            (LeapMode::Ignore, None),
        ] {
            let mut state = LeapState::new(mode, None);
            state.update(LeapIndicator::InsertSecond, NOON_S);
            assert_eq!(state.leap(), LeapIndicator::InsertSecond);
            assert_eq!(state.deadline_s(), Some(MIDNIGHT_S));
            assert_eq!(state.act(MIDNIGHT_S - 1), None);
            assert_eq!(state.act(MIDNIGHT_S), expected);
            // The clock shows the last second of the day again, and sources still announce it.
            state.update(LeapIndicator::InsertSecond, MIDNIGHT_S - 1);
            assert_eq!(state.leap(), LeapIndicator::NoWarning);
            assert_eq!(state.act(MIDNIGHT_S), None);
            assert!(state.is_close(MIDNIGHT_S + 5) && !state.is_close(MIDNIGHT_S + 6));
        }
    }

    #[test]
    fn the_kernel_is_told_only_where_it_makes_the_second() {
        let mut state = LeapState::new(LeapMode::System, None);
        state.update(LeapIndicator::DeleteSecond, NOON_S);
        assert_eq!(state.kernel_leap(), LeapIndicator::DeleteSecond);
        assert_eq!(state.deadline_s(), Some(MIDNIGHT_S - 1));
        assert_eq!(state.act(MIDNIGHT_S - 1), Some(LeapAction::Stepped(1.0)));
        let mut state = LeapState::new(LeapMode::Slew, None);
        state.update(LeapIndicator::DeleteSecond, NOON_S);
        assert_eq!(state.kernel_leap(), LeapIndicator::NoWarning);
    }

    #[test]
    fn sources_are_believed_at_the_end_of_june_and_december_only() {
        let mut state = LeapState::new(LeapMode::System, None);
        state.update(LeapIndicator::InsertSecond, NOON_S - DAY_S);
        assert_eq!(
            (state.leap(), state.deadline_s()),
            (LeapIndicator::NoWarning, None)
        );
        state.update(LeapIndicator::NotSynchronised, NOON_S);
        assert_eq!(
            (state.leap(), state.deadline_s()),
            (LeapIndicator::NoWarning, None)
        );
    }

    #[test]
    fn a_table_outvotes_the_sources() {
        let table = LeapTable::parse_list("#@ 3928521600\n3644697600 36\n3692217600 37\n");
        let mut state = LeapState::new(LeapMode::System, table.ok());
        state.update(LeapIndicator::NoWarning, NOON_S);
        assert_eq!(state.leap(), LeapIndicator::InsertSecond);
        assert_eq!(state.tai_offset_s(), Some(36));
        state.update(LeapIndicator::InsertSecond, NOON_S + 181 * DAY_S);
        assert_eq!(state.leap(), LeapIndicator::NoWarning);
        assert_eq!(state.tai_offset_s(), Some(37));
        // Beyond its expiry it knows nothing, and the sources count again: 2024-12-31.
        state.update(LeapIndicator::InsertSecond, 1_735_646_400);
        assert_eq!(state.leap(), LeapIndicator::InsertSecond);
        assert_eq!(state.tai_offset_s(), None);
    }
}
