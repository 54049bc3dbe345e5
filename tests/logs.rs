//! Our log files and chronyd's, read by one script that knows chrony's columns (`data/logs/columns.py`).

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::Duration;

use maser::client::{
    Candidate, Measurement, SelectOptions, Selectable, StampSource, Standing, State, Statistics,
    Test, Tests,
};
use maser::discipline::Tracking;
use maser::node::logs::{
    Entry, LogName, Logs, MeasurementEntry, RawReading, RefclockEntry, RtcEntry, RtcLine,
    SelectionEntry, SourceName, StatisticsEntry, TempcompEntry, TrackingEntry,
};
use maser::wire::{CookedTime, LeapIndicator, Mode, NtpTimestamp, ReferenceId};

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use support::node::{Folder, Node};
use support::tool::{self, need, said};

const SOURCES: [&str; 4] = [
    "192.0.2.1",
    "203.0.113.215",
    "2001:db8::1",
    "2001:db8:1234:5678:9abc:def0:1234:5678",
];
const ROUNDS: u32 = 40;
const BANNER_LINES: u32 = 8;

/// Where a folder's files are.
fn place(folder: &Folder) -> PathBuf {
    folder.write("here", "").with_file_name("")
}

fn columns(folder: &Path) -> Option<Output> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/logs/columns.py");
    let mut command = Command::new(need("python3")?);
    Some(tool::run(command.arg(script).arg(folder)))
}

/// Lines and banners of each log that the script has found to be one.
#[track_caller]
fn accepted(folder: &Path) -> Option<BTreeMap<String, (u32, u32)>> {
    let output = columns(folder)?;
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    let counts = text.lines().map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        let number = |at: usize| words[at].parse().expect("a number");
        (words[0].to_owned(), (number(1), number(2)))
    });
    Some(counts.collect())
}

fn at(round: u32) -> CookedTime {
    let second = 1_795_416_507 + i64::from(round);
    CookedTime(NtpTimestamp::from_unix(second, 123_456_789))
}

/// Numbers of many sizes and both signs.
fn number(round: u32) -> f64 {
    let exponent = i32::try_from(round % 12).expect("small") - 11;
    let sign = if round.is_multiple_of(3) { -1.0 } else { 1.0 };
    sign * 1.2345 * 10f64.powi(exponent)
}

fn measurement(round: u32) -> Measurement {
    let passed = |tests: Tests, test| tests.with(test, true);
    let tests = Test::ALL.into_iter().fold(Tests::default(), passed);
    Measurement {
        at: at(round),
        tests: tests.with(Test::Delay, round.is_multiple_of(2)),
        leap: LeapIndicator::from_bits((round % 4) as u8),
        version: 4,
        mode: Mode::Server,
        stratum: (round % 16) as u8,
        poll: (round % 11) as i8 - 5,
        remote_poll: 10,
        score: f64::from(round % 10) / 10.0,
        precision: -25,
        root_delay_s: number(round).abs() * 2.0,
        root_dispersion_s: number(round).abs() * 3.0,
        reference_id: ReferenceId::from_bytes(round.to_be_bytes()),
        reference_timestamp: NtpTimestamp::ZERO,
        offset_s: number(round),
        peer_delay_s: number(round).abs(),
        peer_dispersion_s: number(round).abs(),
        response_time_s: 1e-5,
        jitter_asymmetry: 0.0,
        is_interleaved: round.is_multiple_of(2),
        is_authenticated: false,
        transmit_source: StampSource::Daemon,
        receive_source: StampSource::Hardware,
    }
}

fn statistics(round: u32) -> Statistics {
    Statistics {
        samples: 64,
        runs: 33,
        offset_s: number(round),
        offset_sd_s: number(round).abs(),
        frequency: number(round),
        skew: number(round).abs(),
        standard_deviation_s: number(round).abs(),
        stress: number(round).abs(),
        first_used: 5,
        asymmetry: -0.5,
        ..Statistics::default()
    }
}

fn candidate(round: u32) -> Candidate {
    Candidate {
        role: SelectOptions {
            noselect: round.is_multiple_of(2),
            prefer: round.is_multiple_of(3),
            trust: round.is_multiple_of(5),
            require: round.is_multiple_of(7),
        },
        reference_id: 0,
        stratum: 2,
        leap: LeapIndicator::NoWarning,
        reach: u8::try_from(round % 256).expect("below 256"),
        reach_polls: 8,
        selectable: (!round.is_multiple_of(4)).then(|| Selectable {
            offset_s: number(round),
            root_distance_s: number(round).abs(),
            standard_deviation_s: 1e-6,
            oldest_age_s: 100.0,
            newest_age_s: f64::from(round),
        }),
        estimate: None,
        standing: Standing {
            state: State::Combined,
            ..Standing::default()
        },
    }
}

fn tracking(round: u32, source: SourceName) -> TrackingEntry {
    if round.is_multiple_of(10) {
        return TrackingEntry::unsynchronised(at(round), 1e-6, -0.0, 1.0);
    }
    TrackingEntry {
        at: at(round),
        source,
        stratum: 3,
        leap: LeapIndicator::NoWarning,
        combined: 3,
        frequency: -12.345e-6,
        remaining_s: number(round),
        error_max_s: number(round).abs(),
        tracking: Tracking {
            updated: Some(at(round)),
            last_offset_s: number(round),
            offset_sd_s: number(round).abs(),
            rms_offset_s: 1e-6,
            residual_frequency: 0.0,
            skew: 1e-8,
            update_interval_s: 1.0,
            root_delay_s: number(round).abs(),
            root_dispersion_s: number(round).abs(),
        },
    }
}

fn refclock(round: u32) -> RefclockEntry {
    RefclockEntry {
        at: at(round),
        reference_id: ReferenceId::from_bytes(*b"PPS2"),
        leap: LeapIndicator::NoWarning,
        raw: (!round.is_multiple_of(5)).then(|| RawReading {
            poll: round % 5,
            is_pulse: round.is_multiple_of(2),
            offset_s: number(round),
        }),
        offset_s: number(round),
        dispersion_s: 1e-6,
    }
}

fn rtc(round: u32) -> RtcEntry {
    RtcEntry {
        at: at(round),
        fast_s: -0.03736,
        line: (round > 3).then_some(RtcLine {
            fast_s: -0.037_434,
            gain_ppm: -37.948,
        }),
        samples: round.min(64),
        runs: 5,
        interval_s: 120,
    }
}

/// Writes all of our logs.
fn write(logs: &mut Logs) {
    for round in 0..ROUNDS {
        let address = SOURCES[round as usize % SOURCES.len()];
        let source = SourceName::Address(address.parse().expect("an address"));
        logs.write(&MeasurementEntry {
            source,
            measurement: &measurement(round),
        });
        logs.write(&StatisticsEntry {
            at: at(round),
            source,
            statistics: &statistics(round),
        });
        logs.write(&SelectionEntry {
            at: at(round),
            source,
            candidate: &candidate(round),
        });
        logs.write(&tracking(round, source));
        logs.write(&rtc(round));
        logs.write(&refclock(round));
        logs.write(&TempcompEntry {
            at: at(round),
            temperature: number(round),
            compensation_ppm: number(round),
        });
    }
}

/// What stands between the rules of a log's first banner.
fn banner(folder: &Path, log: &str) -> String {
    let text = std::fs::read_to_string(folder.join(log).with_extension("log"));
    let text = text.expect("a log");
    text.lines().nth(1).expect("a banner").to_owned()
}

#[test]
fn ours_have_chronys_columns() {
    let folder = Folder::new();
    let place = place(&folder);
    write(&mut Logs::new(&place, &LogName::ALL, BANNER_LINES));
    let Some(found) = accepted(&place) else {
        return;
    };
    assert_eq!(found.len(), 7, "{found:?}");
    for (log, (lines, banners)) in &found {
        assert_eq!((*lines, *banners), (ROUNDS, ROUNDS / BANNER_LINES), "{log}");
    }
}

/// The script does not take everything.
#[test]
fn what_has_other_columns_is_refused() {
    let folder = Folder::new();
    let place = place(&folder);
    let good = RefclockEntry {
        raw: None,
        ..refclock(1)
    };
    let good = good.line(1_795_416_507);
    folder.write("refclocks.log", &format!("{good}\n"));
    if accepted(&place).is_none() {
        return;
    }
    for bad in [
        good.replace("PPS2", "pps2"),
        good.replace("PPS2 ", "PPS2"),
        good.replace("e-", "e-0"),
        good.replace(" N ", " "),
        format!("{good} 1"),
        format!("=\n{good}"),
    ] {
        assert_ne!(bad, good);
        folder.write("refclocks.log", &format!("{bad}\n"));
        let output = columns(&place).expect("Python was there before");
        assert!(!output.status.success(), "accepted: {bad}");
    }
}

/// A sample for chronyd's SOCK driver: that much ahead of the system's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a reference clock's sample says when it was taken"
)]
fn sock_sample(offset_s: f64) -> Vec<u8> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    let seconds = i64::try_from(now.as_secs()).expect("64 bits");
    let mut sample = seconds.to_ne_bytes().to_vec();
    sample.extend(i64::from(now.subsec_micros()).to_ne_bytes());
    sample.extend(offset_s.to_ne_bytes());
    for word in [0i32, 0, 0, 0x534f_434b] {
        sample.extend(word.to_ne_bytes()); // Pulse, leap, padding, the magic number.
    }
    sample
}

/// Lines that one run of chronyd shall write into each log.
const WANTED: [(&str, usize); 6] = [
    ("measurements", 12),
    ("statistics", 10),
    ("selection", 20),
    ("tracking", 8),
    ("refclocks", 8),
    ("tempcomp", 2),
];

fn lines(folder: &Path, log: &str) -> usize {
    let text = std::fs::read_to_string(folder.join(log).with_extension("log"));
    let text = text.unwrap_or_default();
    text.lines().filter(|line| line.starts_with("20")).count()
}

#[test]
fn chronyds_are_read_by_the_same_script_and_have_the_same_banners() {
    let (Some(program), Some(node)) = (need("chronyd"), Node::start(&[])) else {
        return;
    };
    let (run, logs) = (Folder::new(), Folder::new());
    let (run_place, place) = (place(&run), place(&logs));
    let path = |name: &str| run_place.join(name).display().to_string();
    run.write("temperature", "40.5\n");
    let port = node.port();
    let directives = format!(
        "port 0\ncmdport 0\nbindcmdaddress /\npidfile {}\nlogdir {}\nlogbanner {BANNER_LINES}\n\
         log rawmeasurements statistics tracking selection refclocks tempcomp\n\
         tempcomp {} 1 30 0.1 0.01 0.001\n\
         server 127.0.0.1 port {port} iburst minpoll -3 maxpoll -3 xleave prefer\n\
         server ::1 port {port} iburst minpoll -3 maxpoll -3 require trust\n\
         refclock SOCK {} poll -1 dpoll -2 filter 4 refid TST noselect\n",
        path("pid"),
        place.display(),
        path("temperature"),
        path("sock"),
    );
    let mut command = Command::new(program);
    // -x: whatever it finds out, it does not touch the machine's clock.
    command.args(["-x", "-d", "-U", "-u", &tool::user("-un"), "-f"]);
    let mut chronyd = run.spawn(command.arg(run.write("conf", &directives)));
    let clock = UnixDatagram::unbound().expect("a socket");
    let mut is_complete = false;
    for round in 0..200 {
        sleep(Duration::from_millis(100));
        // It is not there yet at the beginning.
        let _ = clock.send_to(&sock_sample(1e-6 * f64::from(round)), path("sock"));
        is_complete = WANTED
            .iter()
            .all(|(log, count)| lines(&place, log) >= *count);
        if is_complete {
            break;
        }
    }
    let pid = chronyd.id().to_string();
    tool::run(Command::new("kill").args(["-TERM", &pid]));
    chronyd.wait().expect("our child");
    assert!(is_complete, "{}", run.log());
    let Some(found) = accepted(&place) else {
        return;
    };
    assert_eq!(found.len(), WANTED.len(), "{found:?}");

    let ours = Folder::new();
    let ours = self::place(&ours);
    write(&mut Logs::new(&ours, &LogName::ALL, BANNER_LINES));
    for (log, (lines, banners)) in &found {
        assert_eq!(*banners, lines.div_ceil(BANNER_LINES), "{log}");
        assert_eq!(banner(&ours, log), banner(&place, log));
    }
}
