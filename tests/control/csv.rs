//! A report against the line that `chronyc -c tracking` prints for it.

use maser::control::TrackingReport;
use maser::wire::LeapIndicator;

/// Panics where a column of `printed` is not what `report` says.
///
/// Columns that move while a daemon runs (the correction as it is slewed in, the dispersion as it
/// grows) may have moved by `moved` seconds between the two.
#[track_caller]
pub(crate) fn assert_same(report: &TrackingReport, printed: &str, moved: f64) {
    let columns: Vec<_> = printed.trim_end().split(',').collect();
    assert_eq!(columns.len(), 14, "{printed}");
    let address = report.address.map(|address| address.to_string());
    let (seconds, nanos) = report.reference_time;
    let leap = match report.leap {
        LeapIndicator::NoWarning => "Normal",
        LeapIndicator::InsertSecond => "Insert second",
        LeapIndicator::DeleteSecond => "Delete second",
        LeapIndicator::NotSynchronised => "Not synchronised",
    };
    assert_eq!(columns[0], report.reference_id.to_string());
    assert_eq!(columns[1], address.unwrap_or_default());
    assert_eq!(columns[2], report.stratum.to_string());
    assert_eq!(columns[3], format!("{seconds}.{nanos:09}"));
    assert_eq!(columns[13], leap);

    // Half of the last digit that chronyc prints, or what may have moved.
    let numbers = [
        (4, report.current_correction_s, moved),
        // chrony says by how much it was ahead of the source.
        (5, -report.last_offset_s, 0.6e-9),
        (6, report.rms_offset_s, 0.6e-9),
        (7, report.frequency_ppm, 0.6e-3),
        (8, -report.residual_frequency_ppm, 0.6e-3),
        (9, report.skew_ppm, 0.6e-3),
        (10, report.root_delay_s, 0.6e-9),
        (11, report.root_dispersion_s, moved),
        (12, report.last_update_interval_s, 0.06),
    ];
    for (column, value, tolerance) in numbers {
        let told: f64 = columns[column].parse().expect("a number");
        let difference = (told - value).abs();
        assert!(
            difference <= tolerance,
            "column {column}: {told}, parsed {value}"
        );
    }
}
