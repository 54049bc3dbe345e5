//! `serverstats`.

use serde_json::{Value, json};

use super::Failure;
use super::session::Session;
use crate::control::{Edition, Question, Reply, ServerStatsReport};
use crate::node::Answer;

/// A line of the report: its words, its name in JSON, the version of chrony that brought it.
struct Line {
    label: &'static str,
    name: &'static str,
    since: Edition,
    count: fn(&ServerStatsReport) -> u64,
}

const fn line(
    label: &'static str,
    name: &'static str,
    since: Edition,
    count: fn(&ServerStatsReport) -> u64,
) -> Line {
    Line {
        label,
        name,
        since,
        count,
    }
}

const LINES: [Line; 17] = [
    line(
        "NTP packets received       ",
        "ntp_received",
        Edition::V3,
        |r| r.ntp_hits,
    ),
    line(
        "NTP packets dropped        ",
        "ntp_dropped",
        Edition::V3,
        |r| r.ntp_drops,
    ),
    line(
        "Command packets received   ",
        "command_received",
        Edition::V3,
        |r| r.command_hits,
    ),
    line(
        "Command packets dropped    ",
        "command_dropped",
        Edition::V3,
        |r| r.command_drops,
    ),
    line(
        "Client log records dropped ",
        "client_records_dropped",
        Edition::V3,
        |r| r.log_drops,
    ),
    line(
        "NTS-KE connections accepted",
        "nts_ke_accepted",
        Edition::V4_0,
        |r| r.nke_hits,
    ),
    line(
        "NTS-KE connections dropped ",
        "nts_ke_dropped",
        Edition::V4_0,
        |r| r.nke_drops,
    ),
    line(
        "Authenticated NTP packets  ",
        "ntp_authenticated",
        Edition::V4_0,
        |r| r.ntp_auth_hits,
    ),
    line(
        "Interleaved NTP packets    ",
        "ntp_interleaved",
        Edition::V4_2,
        |r| r.ntp_interleaved_hits,
    ),
    line(
        "NTP timestamps held        ",
        "ntp_timestamps_held",
        Edition::V4_2,
        |r| r.ntp_timestamps,
    ),
    line(
        "NTP timestamp span         ",
        "ntp_timestamp_span_s",
        Edition::V4_2,
        |r| r.ntp_span_s,
    ),
    line(
        "NTP daemon RX timestamps   ",
        "ntp_daemon_rx_timestamps",
        Edition::V4_4,
        |r| r.ntp_daemon_received,
    ),
    line(
        "NTP daemon TX timestamps   ",
        "ntp_daemon_tx_timestamps",
        Edition::V4_4,
        |r| r.ntp_daemon_sent,
    ),
    line(
        "NTP kernel RX timestamps   ",
        "ntp_kernel_rx_timestamps",
        Edition::V4_4,
        |r| r.ntp_kernel_received,
    ),
    line(
        "NTP kernel TX timestamps   ",
        "ntp_kernel_tx_timestamps",
        Edition::V4_4,
        |r| r.ntp_kernel_sent,
    ),
    line(
        "NTP hardware RX timestamps ",
        "ntp_hardware_rx_timestamps",
        Edition::V4_4,
        |r| r.ntp_hardware_received,
    ),
    line(
        "NTP hardware TX timestamps ",
        "ntp_hardware_tx_timestamps",
        Edition::V4_4,
        |r| r.ntp_hardware_sent,
    ),
];

/// `serverstats`: the lines that the daemon's version has.
pub(super) fn serverstats(session: &mut Session) -> Result<(), Failure> {
    let Answer {
        reply: Reply::ServerStats(report),
        edition,
    } = session.ask(Question::ServerStats)?
    else {
        return Err(Failure::Astray);
    };
    let lines = || LINES.iter().filter(move |line| line.since <= edition);
    session.record(
        |sheet| {
            for (at, line) in lines().enumerate() {
                if at > 0 {
                    sheet.turn();
                }
                sheet
                    .say(format_args!("{}: ", line.label))
                    .both((line.count)(&report));
            }
            sheet.end();
        },
        || {
            let values = lines().map(|line| (line.name.to_owned(), json!((line.count)(&report))));
            Value::Object(values.collect())
        },
    );
    Ok(())
}
