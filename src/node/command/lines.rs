//! Sources, a line each in chronyc's reports.

use super::reports::{address, unix, whole};
use crate::auth::KeyStore;
use crate::client::{Activity, Role, Sample, State, Statistics};
use crate::control::{
    AuthMode, AuthReport, NtpDataReport, SelectDataReport, SourceAddress, SourceMode, SourceReport,
    SourceState, SourcestatsReport,
};
use crate::discipline::{self, UnresolvedReport};
use crate::wire::KeyId;

/// A source, or one that has no address yet.
pub(super) enum Line {
    Known(Box<discipline::SourceReport>),
    Unresolved(UnresolvedReport),
}

impl Line {
    /// What it goes by in the protocol.
    pub(super) const fn address(&self) -> SourceAddress {
        match self {
            Self::Known(source) => address(source.name),
            Self::Unresolved(source) => SourceAddress::Unresolved(source.number),
        }
    }

    /// Its name as it is configured.
    pub(super) fn host(self) -> String {
        match self {
            Self::Known(source) => source.host.unwrap_or_else(|| source.name.to_string()),
            Self::Unresolved(source) => source.host,
        }
    }

    /// Whether it is asked, `None` inside: it has no address; `None` outside: it is a reference clock.
    pub(super) fn activity(&self) -> Option<Option<Activity>> {
        match self {
            Self::Known(source) => source.server.as_ref().map(|_| Some(source.activity)),
            Self::Unresolved(_) => Some(None),
        }
    }

    /// A line of `sources`.
    pub(super) fn source(&self) -> SourceReport {
        let source = match self {
            Self::Known(source) => source,
            Self::Unresolved(source) => {
                return SourceReport {
                    source: self.address(),
                    mode: mode(Some(source.role)),
                    poll: source.poll,
                    ..SourceReport::default()
                };
            }
        };
        let last = source.server.as_ref().and_then(|server| server.last);
        let newest = source.newest.as_ref();
        let adjusted_s = newest.map_or(0.0, |sample| sample.offset_s);
        SourceReport {
            source: self.address(),
            state: SourceState::from(source.state),
            mode: mode(source.server.as_ref().map(|server| server.role)),
            poll: source.poll,
            stratum: source.candidate.stratum,
            reach: source.reach,
            age_s: source.age_s.map(whole),
            measured_s: last
                .filter(|_| newest.is_some())
                .map_or(adjusted_s, |last| last.offset_s),
            adjusted_s,
            error_s: newest.map_or(0.0, Sample::root_distance_s),
        }
    }

    /// A line of `sourcestats`.
    pub(super) fn sourcestats(&self) -> SourcestatsReport {
        match self {
            Self::Known(source) => {
                let age_s = source.age_s.unwrap_or(0.0);
                SourcestatsReport::new(self.address(), &source.statistics, age_s)
            }
            Self::Unresolved(_) => {
                SourcestatsReport::new(self.address(), &Statistics::default(), 0.0)
            }
        }
    }

    /// A line of `selectdata`.
    pub(super) fn selectdata(&self) -> SelectDataReport {
        match self {
            Self::Known(source) => {
                let server = source.server.as_ref();
                let has_key = server.is_some_and(|server| server.key.is_some());
                let (seen, effective) = (&source.candidate, source.effective);
                SelectDataReport::new(self.address(), seen, effective, has_key)
            }
            Self::Unresolved(source) => SelectDataReport {
                source: self.address(),
                state: State::NotSynchronised,
                is_authenticated: source.key.is_some(),
                configured: source.select,
                effective: source.select,
                score: 1.0,
                ..SelectDataReport::default()
            },
        }
    }

    /// `ntpdata`; of a reference clock, or without an address, there is none.
    pub(super) fn ntpdata(&self) -> Option<NtpDataReport> {
        let Self::Known(source) = self else {
            return None;
        };
        let server = source.server.as_ref()?;
        let last = server.last.as_ref();
        let last = last.map(|last| (last, unix(last.reference_timestamp)));
        let own = server.own_address;
        Some(NtpDataReport::new(server.address, own, server.counts, last))
    }

    /// `authdata`; a reference clock has none.
    pub(super) fn authdata(&self, keys: &KeyStore) -> Option<AuthReport> {
        let key: Option<KeyId> = match self {
            Self::Known(source) => source.server.as_ref()?.key,
            Self::Unresolved(source) => source.key,
        };
        let Some(id) = key else {
            return Some(AuthReport::default());
        };
        let Some(at) = keys.find(id) else {
            return Some(AuthReport {
                mode: AuthMode::SymmetricKey,
                key_id: id.0,
                ..AuthReport::default()
            });
        };
        let bits = u16::try_from(keys.key_bits(at)).unwrap_or(u16::MAX);
        Some(AuthReport::with_key(id.0, keys.key_type(at), bits))
    }
}

const fn mode(role: Option<Role>) -> SourceMode {
    match role {
        None => SourceMode::Refclock,
        Some(Role::Client) => SourceMode::Client,
        Some(Role::Peer) => SourceMode::Peer,
    }
}
