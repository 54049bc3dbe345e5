//! Words for labels and fields: lower case, with `_` between them.

use crate::client::{Activity, Role, State};
use crate::discipline::SourceReport;
use crate::wire::LeapIndicator;

/// What a source came to.
pub(super) const fn state(source: &SourceReport) -> &'static str {
    match source.state {
        // It says nothing at all.
        State::MissingSamples | State::NotSynchronised if source.reach == 0 => "unreachable",
        State::Noselect => "noselect",
        State::MissingSamples => "missing_samples",
        State::NotSynchronised => "not_synchronised",
        State::BadStratum => "bad_stratum",
        State::TooDistant => "too_distant",
        State::Jittery => "jittery",
        State::WaitsForSamples => "waits_for_samples",
        State::Stale => "stale",
        State::Orphan => "orphan",
        State::NotTrusted => "not_trusted",
        State::Falseticker => "falseticker",
        State::WaitsForSources => "waits_for_sources",
        State::NotPreferred => "not_preferred",
        State::WaitsForUpdate => "waits_for_update",
        State::Distant => "distant",
        State::Outlier => "outlier",
        State::Combined => "combined",
        State::Selected => "selected",
    }
}

/// Whether a source is asked.
pub(super) const fn activity(activity: Activity) -> &'static str {
    match activity {
        Activity::Online => "online",
        Activity::Offline => "offline",
        Activity::BurstOnline => "burst_online",
        Activity::BurstOffline => "burst_offline",
    }
}

/// What a source is to us.
pub(super) fn role(source: &SourceReport) -> &'static str {
    match source.server.as_ref().map(|server| server.role) {
        None => "refclock",
        Some(Role::Client) => "server",
        Some(Role::Peer) => "peer",
    }
}

/// A warning of a leap second.
pub(super) const fn leap(leap: LeapIndicator) -> &'static str {
    match leap {
        LeapIndicator::NoWarning => "normal",
        LeapIndicator::InsertSecond => "insert_second",
        LeapIndicator::DeleteSecond => "delete_second",
        LeapIndicator::NotSynchronised => "not_synchronised",
    }
}

/// The modes by their numbers (RFC 5905 §7.3).
pub(super) const MODES: [&str; 8] = [
    "reserved",
    "symmetric_active",
    "symmetric_passive",
    "client",
    "server",
    "broadcast",
    "control",
    "private",
];

/// The families: without and with IPv6.
pub(super) const FAMILIES: [&str; 2] = ["ipv4", "ipv6"];

/// What a request's outcome says of how it was signed.
pub(super) fn authentication(outcome: &str) -> &'static str {
    match outcome {
        "answered" | "kiss" | "auth_required" => "none",
        "answered_signed" | "kiss_signed" => "good",
        "crypto_nak" | "short_mac" | "ms_sntp" | "unknown_key" | "bad_mac" => "refused",
        _ => "not_looked_at",
    }
}
