//! What the system process records, as lines of log files.

use super::logs::{
    Logs, MeasurementEntry, RawReading, RefclockEntry, RtcEntry, RtcLine, SelectionEntry,
    SourceName, StatisticsEntry, TempcompEntry, TrackingEntry,
};
use crate::discipline::{Record, RtcRecord};

/// Writes a record into its log, if that is wanted.
pub(super) fn write(logs: &mut Logs, record: &Record) {
    match record {
        Record::Measurement {
            address,
            measurement,
        } => logs.write(&MeasurementEntry {
            source: SourceName::Address(*address),
            measurement,
        }),
        Record::Statistics {
            source,
            at,
            statistics,
        } => logs.write(&StatisticsEntry {
            at: *at,
            source: *source,
            statistics,
        }),
        Record::Selection(record) => logs.write(&SelectionEntry {
            at: record.at,
            source: record.source,
            candidate: &record.candidate,
        }),
        Record::Rtc(record) => logs.write(&rtc_entry(record)),
        Record::Temperature(record) => logs.write(&TempcompEntry {
            at: record.at,
            temperature: record.temperature,
            compensation_ppm: record.compensation_ppm,
        }),
        Record::Tracking(record) => logs.write(&TrackingEntry {
            at: record.at,
            source: record.address.map_or(
                SourceName::Refclock(record.reference_id),
                SourceName::Address,
            ),
            stratum: record.stratum,
            leap: record.leap,
            combined: record.combined,
            frequency: record.frequency,
            remaining_s: record.remaining_s,
            error_max_s: record.error_max_s,
            tracking: record.tracking,
        }),
        Record::Refclock(record) => logs.write(&RefclockEntry {
            at: record.at,
            reference_id: record.reference_id,
            leap: record.leap,
            raw: record.raw.map(|raw| RawReading {
                poll: raw.poll,
                is_pulse: raw.is_pulse,
                offset_s: raw.offset_s,
            }),
            offset_s: record.offset_s,
            dispersion_s: record.dispersion_s,
        }),
    }
}

fn rtc_entry(record: &RtcRecord) -> RtcEntry {
    let report = &record.report;
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds between two measurements"
    )]
    let interval_s = record.since_s.round() as u32;
    RtcEntry {
        at: report.at,
        fast_s: report.measured_s,
        line: report.line.map(|line| RtcLine {
            fast_s: line.ahead_s,
            gain_ppm: line.frequency * 1e6,
        }),
        samples: count(report.samples),
        runs: report.line.map_or(0, |line| count(line.runs)),
        interval_s,
    }
}
