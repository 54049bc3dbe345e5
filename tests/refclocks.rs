//! Reference clocks of the running node: programs feed them, and served time follows. Always with `-x`.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use maser::sys::{KEY_OF_UNIT_0, SharedTime, ShmTime, Timespec, clock};
use maser::wire::{LeapIndicator, ReferenceId};
use support::node::{Directives, Folder, Node, Server};
use support::seen::{ask, look, within};
use support::tool::{need, run};

/// The clock that is fed is ahead of this machine's by this.
const AHEAD_MILLIS: i64 = 200;
/// Segments that no daemon here uses.
const UNIT: u8 = 203;

/// Feeds a clock eight times a second until it is dropped.
struct Feeder {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Feeder {
    fn start(mut feed: impl FnMut(Timespec) + Send + 'static) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                feed(clock::realtime());
                sleep(Duration::from_millis(125));
            }
        });
        Self {
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// chrony's sample: seconds, microseconds, offset, pulse, leap, spare, magic.
fn sample(at: Timespec, offset_s: f64, is_pulse: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for long in [at.secs, i64::from(at.nanos / 1000)] {
        bytes.extend(long.to_ne_bytes());
    }
    bytes.extend(offset_s.to_ne_bytes());
    for word in [i32::from(is_pulse), 0, 0, 0x534f_434b] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes
}

fn feed_socket(path: PathBuf) -> Feeder {
    let socket = UnixDatagram::unbound().expect("a socket");
    Feeder::start(move |now| {
        // The server may not be there yet.
        let _ = socket.send_to(&sample(now, 0.2, false), &path);
    })
}

fn folder_of(folder: &Folder) -> PathBuf {
    let file = folder.write("mark", "");
    file.parent().expect("it is in a folder").to_owned()
}

fn node(lines: &[&str]) -> Option<Node> {
    Node::of(
        Server::Maser,
        Directives {
            chrony: lines,
            ..Directives::default()
        },
    )
}

/// Served time follows the clock, and says by its letters that it does.
fn assert_follows(node: &Node, letters: [u8; 4]) {
    let server = node.address("127.0.0.1");
    within(Duration::from_secs(30), "synchronised", || {
        ask(server).is_some_and(|seen| seen.leap == LeapIndicator::NoWarning)
    });
    within(Duration::from_secs(60), "served time is near", || {
        (look(server).offset_s - 0.2).abs() < 1e-3
    });
    let seen = look(server);
    assert_eq!(seen.stratum, 1);
    assert_eq!(seen.reference_id, ReferenceId::from_bytes(letters));
    assert!(seen.root_dispersion_s < 0.1, "{seen:?}");
}

#[test]
fn a_socket_is_fed() {
    let folder = Folder::new();
    let path = folder_of(&folder).join("gps.sock");
    let _feeder = feed_socket(path.clone());
    let clock = format!(
        "refclock SOCK {} refid GPS poll 1 filter 16",
        path.display()
    );
    let logs = folder_of(&folder);
    let logdir = format!("logdir {}", logs.display());
    let Some(node) = node(&[&clock, &logdir, "log refclocks tracking statistics"]) else {
        return;
    };
    assert_follows(&node, *b"GPS\0");
    node.stop();
    assert!(!path.exists(), "the socket is taken away");
    let log = folder.read("refclocks.log");
    let lines = log.lines().filter(|line| line.contains(" GPS "));
    let (filtered, raw): (Vec<&str>, Vec<&str>) =
        lines.partition(|line| line.split_whitespace().nth(3) == Some("-"));
    assert!(
        filtered.len() > 1 && raw.len() > 4 * filtered.len(),
        "{log}"
    );
    let statistics = folder.read("statistics.log");
    assert!(statistics.contains(" GPS "), "{statistics}");
}

#[test]
fn shared_memory_is_fed() {
    let key = KEY_OF_UNIT_0 + i32::from(UNIT);
    let writer = match SharedTime::attach(key, 0o600) {
        Ok(writer) => writer,
        Err(error) => return support::skip(&format!("no shared memory: {error}")),
    };
    let mut count = 0;
    let _feeder = Feeder::start(move |now| {
        count += 1;
        let ahead_ns = i64::from(now.nanos) + AHEAD_MILLIS * 1_000_000;
        let nanos = u32::try_from(ahead_ns % 1_000_000_000).expect("below a second");
        let micros = |nanos: u32| i32::try_from(nanos / 1000).expect("below a second");
        writer.write(&ShmTime {
            mode: 1,
            count,
            clock_secs: now.secs + ahead_ns / 1_000_000_000,
            clock_micros: micros(nanos),
            clock_nanos: nanos,
            receive_secs: now.secs,
            receive_micros: micros(now.nanos),
            receive_nanos: now.nanos,
            precision: -20,
            valid: 1,
            ..ShmTime::default()
        });
    });
    let clock = format!("refclock SHM {UNIT} poll 1 dpoll -2 filter 8");
    let Some(node) = node(&[&clock]) else {
        let _ = SharedTime::remove(key);
        return;
    };
    assert_follows(&node, *b"SHM0");
    SharedTime::remove(key).expect("it is ours");
}

#[test]
fn a_pulse_by_the_socket_is_completed_by_the_other_clock() {
    let folder = Folder::new();
    let serial = folder_of(&folder).join("nmea.sock");
    let pulses = folder_of(&folder).join("pps.sock");
    let socket = UnixDatagram::unbound().expect("a socket");
    let paths = (serial.clone(), pulses.clone());
    let mut last = 0;
    let _feeder = Feeder::start(move |now| {
        // The message is late by 50 ms; the pulse says where our clock is in the second, which began 200 ms earlier.
        let _ = socket.send_to(&sample(now, 0.15, false), &paths.0);
        let pulse = Timespec {
            secs: now.secs,
            nanos: 800_000_000,
        };
        if now.nanos > pulse.nanos && last != now.secs {
            last = now.secs;
            let _ = socket.send_to(&sample(pulse, 0.8, true), &paths.1);
        }
    });
    let lines = [
        format!(
            "refclock SOCK {} refid NMEA poll 1 filter 16 noselect",
            serial.display()
        ),
        format!(
            "refclock SOCK {} refid PPS lock NMEA poll 2 filter 3",
            pulses.display()
        ),
    ];
    let Some(node) = node(&[&lines[0], &lines[1]]) else {
        return;
    };
    assert_follows(&node, *b"PPS\0");
}

#[test]
fn what_cannot_be_opened_ends_the_start_with_its_name() {
    for (line, words) in [
        ("refclock PPS /nonexistent/pps0", "refclock PPS0"),
        ("refclock PHC /nonexistent/ptp0 refid CARD", "refclock CARD"),
        ("refclock PHC lo", "refclock PHC0"),
        ("refclock SOCK /nonexistent/gps.sock", "refclock SOC0"),
        ("refclock RTC /nonexistent/rtc", "refclock RTC0"),
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_maser"));
        command.args(["serve", "-x", "-t", "5", "port 0", line]);
        let output = run(&mut command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{said}");
    }
}

/// The same feeder with the program whose form of samples it is.
#[test]
fn chronyd_takes_the_samples_that_we_take() {
    let Some(chronyd) = need("chronyd") else {
        return;
    };
    let folder = Folder::new();
    let path = folder_of(&folder).join("gps.sock");
    let _feeder = feed_socket(path.clone());
    let conf = format!(
        "refclock SOCK {} refid GPS poll 1 filter 16\nport 0\ncmdport 0\nbindcmdaddress /\npidfile {}\n",
        path.display(),
        folder_of(&folder).join("pid").display()
    );
    let conf = folder.write("conf", &conf);
    let mut command = std::process::Command::new(&chronyd);
    command
        .args(["-x", "-Q", "-t", "30", "-U", "-u", "root", "-f"])
        .arg(conf);
    let output = run(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    let wrong_s = said
        .split("System clock wrong by ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<f64>().ok());
    assert!(
        wrong_s.is_some_and(|wrong_s| (wrong_s - 0.2).abs() < 0.01),
        "{said}"
    );
    let ours = folder_of(&folder).join("ours.sock");
    let wrong_s = measured_by_maser(&ours);
    assert!((wrong_s - 0.2).abs() < 0.01, "{wrong_s}");
}

/// What `-Q` says.
fn measured_by_maser(path: &Path) -> f64 {
    let _feeder = feed_socket(path.to_owned());
    let line = format!(
        "refclock SOCK {} refid GPS poll 1 filter 16",
        path.display()
    );
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_maser"));
    let output = run(command.args(["serve", "-Q", "-t", "30", &line]));
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    said.split("System clock wrong by ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{said}"))
}
