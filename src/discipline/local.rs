//! chrony's `local`: when we serve as a reference of our own.

use crate::wire::{
    LeapIndicator, NtpDuration, NtpTimestamp, RawTime, ReferenceId, SystemVariables,
};

/// A local reference's reference timestamp is renewed this often, in seconds (as chrony does).
const REFERENCE_UPDATE_S: f64 = 64.0;

/// `local`: serve as a reference of our own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Local {
    /// `stratum`, 1 to 15.
    pub stratum: u8,
    /// `orphan`
    pub orphan: bool,
    /// `distance` in seconds: root distance beyond which the local reference takes over.
    pub distance_s: f64,
    /// `activate` in seconds: not before the root distance was once below this.
    pub activate_s: f64,
    /// `waitsynced` in seconds: least time since the last clock update.
    pub wait_synced_s: f64,
    /// `waitunsynced` in seconds: least time without synchronisation.
    pub wait_unsynced_s: f64,
}

/// Decides, tick by tick, whether the local reference stands in for what there is.
#[derive(Clone, Debug)]
pub struct LocalReference {
    local: Local,
    /// The root distance was once below `activate`.
    activated: bool,
    /// When synchronisation was lost; at the start it was never there.
    unsynchronised_since: Option<RawTime>,
    reference_timestamp: Option<NtpTimestamp>,
}

impl LocalReference {
    /// For a configured `local`.
    pub const fn new(local: Local) -> Self {
        Self {
            local,
            activated: false,
            unsynchronised_since: None,
            reference_timestamp: None,
        }
    }

    /// What to publish at `now`, given what the sources say.
    pub fn over(&mut self, sources: &SystemVariables, now: RawTime) -> SystemVariables {
        if self.takes_over(sources, now) {
            self.variables(sources, now)
        } else {
            self.reference_timestamp = None;
            *sources
        }
    }

    fn takes_over(&mut self, sources: &SystemVariables, now: RawTime) -> bool {
        let distance_s = if sources.is_synchronised() {
            sources.root_delay.to_seconds() / 2.0 + sources.root_dispersion_at(now).to_seconds()
        } else {
            f64::INFINITY
        };
        self.activated |= distance_s < self.local.activate_s || self.local.activate_s <= 0.0;
        if sources.is_synchronised() {
            self.unsynchronised_since = None;
            let updated_s = (now.0 - sources.reference_timestamp).to_seconds();
            self.activated
                && distance_s > self.local.distance_s
                && updated_s.max(0.0) >= self.local.wait_synced_s
        } else {
            let since = *self.unsynchronised_since.get_or_insert(now);
            if now.0.is_before(since.0) {
                // The clock has stepped back: what was waited is not known any more.
                self.unsynchronised_since = Some(now);
            }
            let waited_s = (now.0 - since.0).to_seconds().max(0.0);
            self.activated && waited_s >= self.local.wait_unsynced_s
        }
    }

    /// chrony's form of a local reference: no delay, no dispersion. The correction of the clock stays.
    fn variables(&mut self, sources: &SystemVariables, now: RawTime) -> SystemVariables {
        let cooked = sources.correction.cook(now).0;
        let reference_timestamp = match self.reference_timestamp {
            Some(last) if (0.0..REFERENCE_UPDATE_S).contains(&(cooked - last).to_seconds()) => last,
            _ => *self.reference_timestamp.insert(cooked),
        };
        SystemVariables {
            leap: LeapIndicator::NoWarning,
            stratum: self.local.stratum,
            precision: sources.precision,
            reference_id: ReferenceId::LOCAL,
            reference_timestamp,
            root_delay: NtpDuration::ZERO,
            root_dispersion: NtpDuration::ZERO,
            dispersion_rate: 0,
            updated: now,
            correction: sources.correction,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> Local {
        Local {
            stratum: 10,
            orphan: false,
            distance_s: 1.0,
            activate_s: 0.0,
            wait_synced_s: 0.0,
            wait_unsynced_s: 0.0,
        }
    }

    fn at(seconds: i64) -> RawTime {
        RawTime(NtpTimestamp::from_unix(1_800_000_000 + seconds, 0))
    }

    fn synchronised(root_dispersion_s: f64, updated: RawTime) -> SystemVariables {
        SystemVariables {
            leap: LeapIndicator::NoWarning,
            stratum: 2,
            root_dispersion: NtpDuration::from_seconds(root_dispersion_s),
            root_delay: NtpDuration::ZERO,
            reference_timestamp: updated.0,
            updated,
            ..SystemVariables::not_synchronised(-25)
        }
    }

    #[test]
    fn stands_in_for_nothing_at_all() {
        let mut reference = LocalReference::new(local());
        let system = reference.over(&SystemVariables::not_synchronised(-25), at(0));
        assert_eq!(
            (system.stratum, system.reference_id),
            (10, ReferenceId::LOCAL)
        );
        assert!(system.is_synchronised());
        assert_eq!(system.root_delay, NtpDuration::ZERO);
        assert_eq!(system.reference_timestamp, at(0).0);
        let later = reference.over(&SystemVariables::not_synchronised(-25), at(63));
        assert_eq!(later.reference_timestamp, at(0).0);
        let renewed = reference.over(&SystemVariables::not_synchronised(-25), at(64));
        assert_eq!(renewed.reference_timestamp, at(64).0);
    }

    #[test]
    fn leaves_good_sources_alone_and_takes_over_beyond_the_distance() {
        let mut reference = LocalReference::new(local());
        assert_eq!(reference.over(&synchronised(0.5, at(0)), at(0)).stratum, 2);
        assert_eq!(reference.over(&synchronised(1.5, at(0)), at(0)).stratum, 10);
    }

    #[test]
    fn serves_on_when_the_clock_steps_back() {
        let mut reference = LocalReference::new(local());
        let nothing = SystemVariables::not_synchronised(-25);
        assert_eq!(reference.over(&nothing, at(0)).stratum, 10);
        let stepped = reference.over(&nothing, at(-3600));
        assert_eq!(
            (stepped.stratum, stepped.reference_timestamp),
            (10, at(-3600).0)
        );
    }

    #[test]
    fn waits_as_it_is_told() {
        let waiting = Local {
            activate_s: 0.1,
            wait_unsynced_s: 300.0,
            wait_synced_s: 50.0,
            ..local()
        };
        let mut reference = LocalReference::new(waiting);
        let nothing = SystemVariables::not_synchronised(-25);
        assert!(!reference.over(&nothing, at(0)).is_synchronised());
        assert!(
            !reference.over(&nothing, at(1000)).is_synchronised(),
            "never activated"
        );
        assert_eq!(
            reference
                .over(&synchronised(0.05, at(1001)), at(1001))
                .stratum,
            2
        );
        assert!(!reference.over(&nothing, at(1002)).is_synchronised());
        assert!(!reference.over(&nothing, at(1301)).is_synchronised());
        assert_eq!(reference.over(&nothing, at(1302)).stratum, 10);
        assert_eq!(
            reference
                .over(&synchronised(2.0, at(1310)), at(1320))
                .stratum,
            2
        );
        assert_eq!(
            reference
                .over(&synchronised(2.0, at(1310)), at(1360))
                .stratum,
            10
        );
    }
}
