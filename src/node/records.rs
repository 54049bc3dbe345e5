//! What the system process records, as lines of log files.

use super::logs::{
    Logs, MeasurementEntry, SelectionEntry, SourceName, StatisticsEntry, TempcompEntry,
    TrackingEntry,
};
use crate::discipline::Record;

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
            address,
            at,
            statistics,
        } => logs.write(&StatisticsEntry {
            at: *at,
            source: SourceName::Address(*address),
            statistics,
        }),
        Record::Selection(record) => logs.write(&SelectionEntry {
            at: record.at,
            source: SourceName::Address(record.address),
            candidate: &record.candidate,
        }),
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
    }
}
