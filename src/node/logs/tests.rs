//! Lines that chronyd 4.3 has written, made anew of the numbers in them.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::client::{
    Candidate, Measurement, SelectOptions, Selectable, StampSource, Standing, State, Statistics,
    Test, Tests,
};
use crate::discipline::Tracking;
use crate::wire::ReferenceId;
use crate::wire::{Mode, NtpTimestamp};

/// 2026-11-23 06:48:27
const NOW: i64 = 1_795_416_507;

fn at(secs: i64, nanos: u32) -> CookedTime {
    CookedTime(NtpTimestamp::from_unix(secs, nanos))
}

fn source(address: &str) -> SourceName {
    SourceName::Address(address.parse().unwrap())
}

fn measurement() -> Measurement {
    let passed = Test::ALL
        .into_iter()
        .fold(Tests::default(), |all, test| all.with(test, true));
    Measurement {
        at: at(NOW, 999_999_999),
        tests: passed.with(Test::Delay, false),
        leap: LeapIndicator::NoWarning,
        version: 4,
        mode: Mode::Server,
        stratum: 5,
        poll: -1,
        remote_poll: 10,
        score: 0.614,
        precision: -25,
        root_delay_s: 0.125 + 2.423e-6,
        root_dispersion_s: 0.25 + 2.539e-4,
        reference_id: ReferenceId::LOCAL,
        reference_timestamp: NtpTimestamp::ZERO,
        offset_s: -2.87e-7,
        peer_delay_s: 2.423e-6,
        peer_dispersion_s: 2.539e-4,
        response_time_s: 1e-5,
        jitter_asymmetry: 0.0,
        is_interleaved: true,
        is_authenticated: false,
        transmit_source: StampSource::Kernel,
        receive_source: StampSource::Daemon,
    }
}

#[test]
fn measurements() {
    let measurement = measurement();
    let entry = MeasurementEntry {
        source: source("::1"),
        measurement: &measurement,
    };
    assert_eq!(
        entry.line(NOW),
        "2026-11-23 06:48:27 ::1             N  5 111 111 0111  -1 10 0.61 -2.870e-07  2.423e-06  2.539e-04  \
         1.250e-01  2.500e-01 7F7F0101 4I K D"
    );
    assert!(entry.is_wanted(false));
    let loud = Measurement {
        tests: measurement.tests.with(Test::Synchronised, false),
        ..measurement
    };
    let entry = MeasurementEntry {
        measurement: &loud,
        ..entry
    };
    assert!(!entry.is_wanted(false) && entry.is_wanted(true));
}

/// Our clock is slow by 7 µs and loses 1 ppm: chrony says that it is fast by -7 µs and gains -1 ppm.
#[test]
fn statistics() {
    let statistics = Statistics {
        samples: 64,
        runs: 33,
        span_s: 20.0,
        offset_s: 7.182e-6,
        offset_sd_s: 5.874e-8,
        frequency: 1.003e-6,
        frequency_sd: 1e-9,
        skew: 1.93e-8,
        standard_deviation_s: 2.361e-7,
        stress: 0.07,
        first_used: 3,
        asymmetry: -0.5,
        has_line: true,
    };
    let entry = StatisticsEntry {
        at: at(NOW, 0),
        source: source("2001:db8:1234:5678:9abc:def0:1234:5678"),
        statistics: &statistics,
    };
    assert_eq!(
        entry.line(NOW),
        "2026-11-23 06:48:27 2001:db8:1234:5678:9abc:def0:1234:5678  2.361e-07 -7.182e-06  5.874e-08 -1.003e-06  \
         1.930e-08 7.0e-02  64   3  33 -0.50"
    );
}

/// The source is 1 ms ahead, ± 1 µs: our clock's error is between -1.001 and -0.999 ms.
#[test]
fn selection() {
    let mut candidate = Candidate {
        role: SelectOptions {
            prefer: true,
            trust: true,
            ..SelectOptions::default()
        },
        reference_id: 0,
        stratum: 1,
        leap: LeapIndicator::NoWarning,
        reach: 0o374,
        reach_polls: 8,
        selectable: Some(Selectable {
            offset_s: 1e-3,
            root_distance_s: 1e-6,
            standard_deviation_s: 1e-7,
            oldest_age_s: 64.0,
            newest_age_s: 3.112,
        }),
        estimate: None,
        standing: Standing {
            state: State::Falseticker,
            ..Standing::default()
        },
    };
    let name = SourceName::Refclock(ReferenceId::from_bytes(*b"TST\0"));
    let entry = SelectionEntry {
        at: at(NOW, 5),
        source: name,
        candidate: &candidate,
    };
    assert_eq!(
        entry.line(NOW),
        "2026-11-23 06:48:27 TST             x --PT-  374  1.00  3.112e+00 -1.001e-03 -9.990e-04"
    );
    candidate.selectable = None;
    candidate.reach = 0;
    candidate.role = SelectOptions {
        noselect: true,
        ..SelectOptions::default()
    };
    candidate.standing.state = State::Noselect;
    let entry = SelectionEntry {
        at: at(NOW, 5),
        source: name,
        candidate: &candidate,
    };
    assert_eq!(
        entry.line(NOW),
        "2026-11-23 06:48:27 TST             N -N---    0  1.00  0.000e+00  0.000e+00  0.000e+00"
    );
}

/// The clock is made to run slower by 2 ppm, since it gains; it was slow by 7 µs, and lacks 4 µs.
#[test]
fn tracking() {
    let tracking = Tracking {
        updated: Some(at(NOW, 0)),
        last_offset_s: 7.195e-6,
        offset_sd_s: 1.532e-6,
        rms_offset_s: 1e-6,
        residual_frequency: 0.0,
        skew: 298.377e-6,
        update_interval_s: 0.25,
        root_delay_s: 1.256e-5,
        root_dispersion_s: 5.882e-5,
    };
    let entry = TrackingEntry {
        at: at(NOW, 0),
        source: source("127.0.0.1"),
        stratum: 6,
        leap: LeapIndicator::InsertSecond,
        combined: 12,
        frequency: -2.033e-6,
        remaining_s: 4.266e-6,
        error_max_s: 0.8089,
        tracking,
    };
    assert_eq!(
        entry.line(NOW),
        "2026-11-23 06:48:27 127.0.0.1        6      2.033    298.377 -7.195e-06 + 12  1.532e-06  4.266e-06  \
         1.256e-05  5.882e-05  8.089e-01"
    );
    assert_eq!(
        TrackingEntry::unsynchronised(at(NOW, 0), 0.0, -0.0, 1.0).line(NOW),
        "2026-11-23 06:48:27 0.0.0.0          0      0.000 1000000.000  0.000e+00 ?  0  0.000e+00 -0.000e+00  \
         1.000e+00  1.000e+00  1.500e+00"
    );
}

#[test]
fn rtc() {
    let entry = RtcEntry {
        at: at(1_437_543_650, 0),
        fast_s: -0.03736,
        line: Some(RtcLine {
            fast_s: -0.037_434,
            gain_ppm: -37.948,
        }),
        samples: 12,
        runs: 5,
        interval_s: 120,
    };
    // The manual's example, with the blanks of the format.
    assert_eq!(
        entry.line(NOW),
        "2015-07-22 05:40:50      -0.037360 1       -0.037434       -37.948  12   5  120"
    );
    let entry = RtcEntry {
        line: None,
        ..entry
    };
    assert!(
        entry
            .line(NOW)
            .contains(" 0        0.000000         0.000  12 ")
    );
}

#[test]
fn refclocks() {
    let entry = RefclockEntry {
        at: at(NOW + 2, 195_327_999),
        reference_id: ReferenceId::from_bytes(*b"TST\0"),
        leap: LeapIndicator::NoWarning,
        raw: Some(RawReading {
            poll: 3,
            is_pulse: true,
            offset_s: 1e-3,
        }),
        offset_s: -1.001_849e-3,
        dispersion_s: 2.9e-8,
    };
    assert_eq!(
        entry.line(NOW),
        "2026-11-23 06:48:29.195327 TST     3 N 1  1.000000e-03 -1.001849e-03  2.900e-08"
    );
    let entry = RefclockEntry {
        raw: None,
        offset_s: 1.003_995e-3,
        ..entry
    };
    assert_eq!(
        entry.line(NOW),
        "2026-11-23 06:48:29.195327 TST     - N -       -        1.003995e-03  2.900e-08"
    );
}

#[test]
fn tempcomp() {
    let entry = TempcompEntry {
        at: at(NOW, 0),
        temperature: 40.5,
        compensation_ppm: 0.315_25,
    };
    assert_eq!(
        entry.line(NOW),
        "2026-11-23 06:48:27  4.0500e+01  3.1525e-01"
    );
}

#[test]
fn names_and_moments() {
    assert_eq!(SourceName::NONE.to_string(), "0.0.0.0");
    assert_eq!(format!("{:<12}|", SourceName::LOCAL), "127.127.1.1 |");
    let odd = ReferenceId::from_bytes([b'G', 7, b'P', 0xff]);
    assert_eq!(SourceName::Refclock(odd).to_string(), "GP");
    let leaps = [0, 1, 2, 3].map(|bits| leap_letter(LeapIndicator::from_bits(bits)));
    assert_eq!(leaps, ['N', '+', '-', '?']);
    assert_eq!(
        LogName::ALL.map(LogName::word).join(" "),
        "rawmeasurements measurements statistics selection tracking rtc refclocks tempcomp"
    );
    for (place, log) in ALL.into_iter().enumerate() {
        assert_eq!(log.at, place);
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("maser-logs-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn temperature() -> TempcompEntry {
    TempcompEntry {
        at: at(NOW, 0),
        temperature: 40.5,
        compensation_ppm: 0.315_25,
    }
}

#[test]
fn a_banner_stands_above_each_so_many_lines() {
    let folder = folder("banner");
    let mut logs = Logs::new(&folder, &[LogName::Tempcomp], 3);
    assert!(logs.has::<TempcompEntry>() && !logs.has::<RtcEntry>());
    assert!(!folder.join("tempcomp.log").exists());
    (0..7).for_each(|_| logs.write(&temperature()));
    let text = fs::read_to_string(folder.join("tempcomp.log")).unwrap();
    let kinds: String = text
        .lines()
        .map(|line| line.chars().next().unwrap())
        .collect();
    assert_eq!(kinds, "= =222= =222= =2");
    assert_eq!(text.lines().next().unwrap().len(), 43);

    // Another who appends begins with a banner; one without banners never writes any.
    Logs::new(&folder, &[LogName::Tempcomp], 0).write(&temperature());
    let text = fs::read_to_string(folder.join("tempcomp.log")).unwrap();
    assert!(text.ends_with("e-01\n2026-11-23 06:48:27  4.0500e+01  3.1525e-01\n"));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_cycle_opens_the_file_by_its_name_again() {
    let folder = folder("cycle");
    let mut logs = Logs::new(&folder, &[LogName::Tempcomp], 32);
    logs.write(&temperature());
    let (new, old) = (folder.join("tempcomp.log"), folder.join("tempcomp.log.1"));
    fs::rename(&new, &old).unwrap();
    logs.write(&temperature());
    assert!(!new.exists());
    assert_eq!(fs::read_to_string(&old).unwrap().lines().count(), 5);
    logs.cycle();
    logs.write(&temperature());
    let text = fs::read_to_string(&new).unwrap();
    assert_eq!((text.lines().count(), text.as_bytes()[0]), (4, b'='));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_cannot_be_written_stops_nobody() {
    let file = folder("file");
    fs::write(&file, "no folder").unwrap();
    let mut logs = Logs::new(&file, &LogName::ALL, 32);
    logs.write(&temperature());
    logs.write(&temperature());
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    logs.write(&temperature());
    assert!(file.join("tempcomp.log").exists());
    fs::remove_dir_all(&file).unwrap();

    // A full disk.
    let full = folder("full");
    fs::create_dir(&full).unwrap();
    std::os::unix::fs::symlink("/dev/full", full.join("tempcomp.log")).unwrap();
    let mut logs = Logs::new(&full, &[LogName::Tempcomp], 32);
    logs.write(&temperature());
    fs::remove_file(full.join("tempcomp.log")).unwrap();
    logs.cycle();
    logs.write(&temperature());
    assert_eq!(
        fs::read_to_string(full.join("tempcomp.log"))
            .unwrap()
            .lines()
            .count(),
        4
    );
    fs::remove_dir_all(&full).unwrap();
}

/// Of two kinds in one file, the one that has more wins.
#[test]
fn raw_measurements_are_all() {
    let silent = Measurement {
        tests: Tests::default(),
        ..measurement()
    };
    let entry = MeasurementEntry {
        source: SourceName::LOCAL,
        measurement: &silent,
    };
    for (which, lines) in [
        (&[LogName::Measurements][..], 0),
        (&[LogName::Measurements, LogName::Rawmeasurements], 1),
        (&[LogName::Rawmeasurements], 1),
        (&[LogName::Statistics], 0),
    ] {
        let folder = folder("raw");
        Logs::new(&folder, which, 0).write(&entry);
        let text = fs::read_to_string(folder.join("measurements.log")).unwrap_or_default();
        assert_eq!(text.lines().count(), lines, "{which:?}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
