//! From what is known to what chronyc is told.

use super::desk::CommandCounts;
use super::lines::Line;
use crate::client::{Activity, SourceName, unix_near};
use crate::control::{
    ActivityReport, ManualSample, RtcReport, ServerStatsReport, SmoothingReport, SourceAddress,
    TrackingReport,
};
use crate::node::counters::{Counts, Event};
use crate::node::system_process::{SystemProcess, now};
use crate::server::InterleavedHeld;
use crate::sys::clock;
use crate::wire::{LeapIndicator, NtpTimestamp, ReferenceId, SystemVariables};

/// `tracking`
pub(in crate::node) fn tracking(
    process: Option<&SystemProcess>,
    variables: &SystemVariables,
) -> TrackingReport {
    let now = now();
    let cooked = variables.correction.cook(now.raw);
    let is_synchronised = variables.is_synchronised();
    let mut report = TrackingReport {
        leap: variables.leap,
        current_correction_s: (cooked.0 - now.raw.0).to_seconds(),
        ..TrackingReport::default()
    };
    if let Some(process) = process {
        let system = process.system();
        report = report.with_update(system.servo().tracking(), system.frequency());
    }
    if is_synchronised {
        report.reference_id = match process.and_then(|process| process.system().followed()) {
            // Clients are told that it is smoothed; here is said by what.
            Some(name) if variables.reference_id == ReferenceId::SMOOTHED => {
                address(name).reference_id()
            }
            _ => variables.reference_id,
        };
        report.stratum = variables.stratum;
        report.reference_time = unix(variables.reference_timestamp);
        report.root_delay_s = variables.root_delay.to_seconds();
        report.root_dispersion_s = variables.root_dispersion_at(now.raw).to_seconds();
        report.address = process.and_then(|process| followed(process, variables));
    } else {
        report.leap = LeapIndicator::NotSynchronised;
    }
    report
}

/// The address of what is followed, where we do not stand in for it ourselves (`local`).
fn followed(process: &SystemProcess, variables: &SystemVariables) -> Option<std::net::IpAddr> {
    let name = process.system().followed()?;
    match name {
        SourceName::Address(ip) if variables.reference_id != ReferenceId::LOCAL => Some(ip),
        _ => None,
    }
}

/// `activity`
pub(super) fn activity(lines: &[Line]) -> ActivityReport {
    let count = |wanted: Option<Activity>| {
        let all = lines.iter().filter(|line| line.activity() == Some(wanted));
        u32::try_from(all.count()).unwrap_or(u32::MAX)
    };
    ActivityReport {
        online: count(Some(Activity::Online)),
        offline: count(Some(Activity::Offline)),
        burst_online: count(Some(Activity::BurstOnline)),
        burst_offline: count(Some(Activity::BurstOffline)),
        unresolved: count(None),
    }
}

/// `serverstats`
pub(super) fn server_stats(
    counts: &Counts,
    held: &InterleavedHeld,
    commands: CommandCounts,
) -> ServerStatsReport {
    let span_s = held
        .range
        .map_or(0.0, |(oldest, newest)| (newest - oldest).to_seconds());
    let named = |name: &str| {
        let mut all = counts.named();
        all.find(|(other, _)| *other == name)
            .map_or(0, |(_, count)| count)
    };
    ServerStatsReport {
        ntp_hits: counts.received(),
        command_hits: commands.hits,
        ntp_drops: named("rate_limited"),
        command_drops: commands.drops,
        log_drops: counts.event(Event::ClientsEvicted),
        ntp_auth_hits: named("answered_signed") + named("kiss_signed"),
        ntp_interleaved_hits: counts.event(Event::Interleaved),
        ntp_timestamps: held.replies,
        ntp_span_s: whole(span_s).into(),
        ntp_daemon_received: counts.event(Event::TimestampDaemon),
        ntp_daemon_sent: counts
            .event(Event::Sent)
            .saturating_sub(counts.event(Event::TransmitStamp)),
        ntp_kernel_received: counts.event(Event::TimestampKernel),
        ntp_kernel_sent: counts.event(Event::TransmitStamp),
        ..ServerStatsReport::default()
    }
}

/// `rtcdata`; `None` before the first measurement.
pub(super) fn rtc(process: &SystemProcess) -> Option<RtcReport> {
    let found = process.system().rtc()?;
    let line = found.line?;
    Some(RtcReport {
        reference_time: unix(found.at.0),
        samples: u16::try_from(found.samples).unwrap_or(u16::MAX),
        runs: u16::try_from(line.runs).unwrap_or(u16::MAX),
        span_s: whole(line.span_s),
        fast_s: line.ahead_s,
        gain_ppm: line.frequency * 1e6,
    })
}

/// `smoothing`; `None` without `smoothtime`.
pub(super) fn smoothing(process: &SystemProcess) -> Option<SmoothingReport> {
    let smoothing = process.system().smoothing()?;
    let cooked = process.variables().correction.cook(now().raw);
    let (offset_s, frequency) = smoothing.at(cooked);
    Some(SmoothingReport {
        is_active: smoothing.is_active(),
        leap_only: smoothing.options().leap_only,
        offset_s,
        frequency_ppm: frequency * 1e6,
        wander_ppm: smoothing.wander_at(cooked) * 1e6,
        last_update_age_s: smoothing.age_s(cooked),
        remaining_s: smoothing.remaining_s(cooked),
    })
}

/// `manual list`
pub(super) fn manual_list(process: &SystemProcess) -> Vec<ManualSample> {
    let entries = process.system().manual_entries().into_iter();
    let samples = entries.map(|entry| ManualSample {
        at: unix(entry.at.0),
        slewed_offset_s: entry.offset_s,
        original_offset_s: entry.original_offset_s,
        residual_s: entry.residual_s,
    });
    samples.collect()
}

/// What a source goes by in the protocol.
pub(super) const fn address(name: SourceName) -> SourceAddress {
    match name {
        SourceName::Address(ip) => SourceAddress::Ip(ip),
        SourceName::Refclock(id) => SourceAddress::Refclock(id),
    }
}

pub(super) fn unix(at: NtpTimestamp) -> (i64, u32) {
    unix_near(at, clock::realtime().secs)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast saturates"
)]
pub(super) const fn whole(seconds: f64) -> u32 {
    seconds as u32
}
