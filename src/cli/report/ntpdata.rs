//! `ntpdata`.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::figures::{date, letters, moment, yes_or_no};
use super::session::Session;
use super::sheet::Sheet;
use super::{Failure, json};
use crate::client::StampSource;
use crate::control::{Edition, NtpDataReport, Question, Reply, SourceAddress, SourceMode, Status};
use crate::node::Answer;
use crate::wire::{Mode, ReferenceId};

/// `ntpdata` of one source, or of all that have an address.
pub(super) fn ntpdata(session: &mut Session, source: Option<SourceAddress>) -> Result<(), Failure> {
    if let Some(source) = source {
        let answer = session.ask(Question::NtpData(source))?;
        return record(session, answer);
    }
    session.begin_list();
    for reply in session.each_source(Question::Source)? {
        let Reply::Source(source) = reply else {
            return Err(Failure::Astray);
        };
        let has_address = matches!(source.source, SourceAddress::Ip(_));
        if source.mode == SourceMode::Refclock || !has_address {
            continue;
        }
        match session.ask(Question::NtpData(source.source)) {
            Ok(answer) => {
                session.sheet.turn();
                record(session, answer)?;
            }
            Err(error) if error.status() == Some(Status::NoSuchSource) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn record(session: &mut Session, answer: Answer) -> Result<(), Failure> {
    let Reply::NtpData(report) = answer.reply else {
        return Err(Failure::Astray);
    };
    let edition = answer.edition;
    let (remote, local) = (written(report.remote), written(report.local));
    session.record(
        |sheet| {
            write_remote(sheet, &report, &remote, &local);
            write_header(sheet, &report);
            write_sample(sheet, &report);
            write_counts(sheet, &report, edition);
        },
        || value(&report, edition),
    );
    Ok(())
}

fn write_remote(sheet: &mut Sheet, report: &NtpDataReport, remote: &str, local: &str) {
    sheet
        .say("Remote address  : ")
        .both(remote)
        .say(" (")
        .both(id_of(report.remote))
        .say(")\nRemote port     : ")
        .both(report.port)
        .say("\nLocal address   : ")
        .both(local)
        .say(" (")
        .both(id_of(report.local))
        .say(")\n");
}

fn write_header(sheet: &mut Sheet, report: &NtpDataReport) {
    let (poll_s, precision_s) = (
        2f64.powi(report.poll.into()),
        2f64.powi(report.precision.into()),
    );
    sheet
        .say("Leap status     : ")
        .both(json::leap(report.leap))
        .say("\nVersion         : ")
        .both(report.version)
        .say("\nMode            : ")
        .both(mode_name(report.mode))
        .say("\nStratum         : ")
        .both(report.stratum)
        .say("\nPoll interval   : ")
        .both(report.poll)
        .say(" (")
        .both(format_args!("{poll_s:.0}"))
        .say(" seconds)\nPrecision       : ")
        .both(report.precision)
        .say(" (")
        .both(format_args!("{precision_s:.9}"))
        .say(" seconds)\nRoot delay      : ")
        .both(format_args!("{:.6}", report.root_delay_s))
        .say(" seconds\nRoot dispersion : ")
        .both(format_args!("{:.6}", report.root_dispersion_s))
        .say(" seconds\nReference ID    : ")
        .both(report.reference_id)
        .say(" (")
        .both(reference_name(report))
        .say(")\nReference time  : ")
        .field(date(report.reference_time), moment(report.reference_time))
        .turn();
}

fn write_sample(sheet: &mut Sheet, report: &NtpDataReport) {
    let tests = report.tests.to_string();
    let mut groups = tests.split(' ');
    sheet
        .say("Offset          : ")
        .field(
            format_args!("{:+.9} seconds", report.offset_s),
            format_args!("{:.9}", report.offset_s),
        )
        .say("\nPeer delay      : ")
        .both(format_args!("{:.9}", report.peer_delay_s))
        .say(" seconds\nPeer dispersion : ")
        .both(format_args!("{:.9}", report.peer_dispersion_s))
        .say(" seconds\nResponse time   : ")
        .both(format_args!("{:.9}", report.response_time_s))
        .say(" seconds\nJitter asymmetry: ")
        .field(
            format_args!("{:+.2}", report.jitter_asymmetry),
            format_args!("{:.2}", report.jitter_asymmetry),
        )
        .say("\nNTP tests       : ")
        .both(groups.next().unwrap_or_default())
        .say(" ")
        .both(groups.next().unwrap_or_default())
        .say(" ")
        .both(groups.next().unwrap_or_default())
        .say("\nInterleaved     : ")
        .both(yes_or_no(report.is_interleaved))
        .say("\nAuthenticated   : ")
        .both(yes_or_no(report.is_authenticated))
        .say("\nTX timestamping : ")
        .both(stamp_name(report.transmit_source))
        .say("\nRX timestamping : ")
        .both(stamp_name(report.receive_source))
        .turn();
}

fn write_counts(sheet: &mut Sheet, report: &NtpDataReport, edition: Edition) {
    for (at, (label, _, count)) in counts(report, edition).into_iter().enumerate() {
        if at > 0 {
            sheet.turn();
        }
        sheet.say(format_args!("{label}: ")).both(count);
    }
    sheet.end();
}

/// Words, name in JSON and figure of each count that the daemon's version has.
fn counts(report: &NtpDataReport, edition: Edition) -> Vec<(&'static str, &'static str, u64)> {
    let counts = &report.counts;
    let mut all = vec![
        ("Total TX        ", "total_tx", counts.sent),
        ("Total RX        ", "total_rx", counts.received),
        ("Total valid RX  ", "total_valid_rx", counts.valid),
        ("Total good RX   ", "total_good_rx", counts.good),
    ];
    if edition >= Edition::V4_6 {
        all.extend([
            ("Total kernel TX ", "total_kernel_tx", counts.kernel_sent),
            (
                "Total kernel RX ",
                "total_kernel_rx",
                counts.kernel_received,
            ),
            (
                "Total HW TX     ",
                "total_hardware_tx",
                counts.hardware_sent,
            ),
            (
                "Total HW RX     ",
                "total_hardware_rx",
                counts.hardware_received,
            ),
        ]);
    }
    all
}

fn value(report: &NtpDataReport, edition: Edition) -> Value {
    let mut value = json!({
        "remote_address": report.remote.map(|ip| ip.to_string()),
        "remote_port": report.port,
        "local_address": report.local.map(|ip| ip.to_string()),
        "leap_status": json::leap(report.leap),
        "version": report.version,
        "mode": mode_name(report.mode),
        "stratum": report.stratum,
        "poll_log2_s": report.poll,
        "precision_log2_s": report.precision,
        "root_delay_s": report.root_delay_s,
        "root_dispersion_s": report.root_dispersion_s,
        "reference_id": json::reference(report.reference_id),
        "reference_time": json::time(report.reference_time),
        "offset_s": report.offset_s,
        "peer_delay_s": report.peer_delay_s,
        "peer_dispersion_s": report.peer_dispersion_s,
        "response_time_s": report.response_time_s,
        "jitter_asymmetry": report.jitter_asymmetry,
        "tests": report.tests.to_string(),
        "is_interleaved": report.is_interleaved,
        "is_authenticated": report.is_authenticated,
        "tx_timestamping": stamp_name(report.transmit_source),
        "rx_timestamping": stamp_name(report.receive_source),
    });
    for (_, name, count) in counts(report, edition) {
        value[name] = json!(count);
    }
    value
}

/// chronyc never looks these up.
fn written(ip: Option<IpAddr>) -> String {
    ip.map_or_else(|| UNSPECIFIED.to_owned(), |ip| ip.to_string())
}

/// What others that follow it call an address.
fn id_of(ip: Option<IpAddr>) -> ReferenceId {
    SourceAddress::from(ip).reference_id()
}

/// A reference id is letters at stratum 0 and 1 only (RFC 5905 §7.3).
fn reference_name(report: &NtpDataReport) -> String {
    if report.stratum <= 1 {
        letters(report.reference_id)
    } else {
        String::new()
    }
}

const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::SymmetricActive => "Symmetric active",
        Mode::SymmetricPassive => "Symmetric passive",
        Mode::Server => "Server",
        _ => "Invalid",
    }
}

const fn stamp_name(source: Option<StampSource>) -> &'static str {
    match source {
        Some(StampSource::Daemon) => "Daemon",
        Some(StampSource::Kernel) => "Kernel",
        Some(StampSource::Hardware) => "Hardware",
        None => "Invalid",
    }
}

const UNSPECIFIED: &str = "[UNSPEC]";
