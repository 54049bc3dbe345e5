//! Debian's chronyd as our client, and its command port asked in our words.
//!
//! It always runs with `-x`: whatever it finds out, it does not touch the machine's clock.

use std::net::UdpSocket;
use std::process::{Child, Command, Output};
use std::thread::sleep;
use std::time::Duration;

use maser::control::{TrackingReport, tracking_request};
use maser::wire::ReferenceId;

#[path = "control/csv.rs"]
mod csv;
#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use support::client;
use support::keys::{self, Key};
use support::node::{Folder, Node, Port};
use support::tool::{self, need, said};

/// chronyd, with these directives, and these keys, in a folder of its own.
fn chronyd(folder: &Folder, options: &[&str], directives: &str, keys: &str) -> Option<Command> {
    let keys = folder.write("keys", keys);
    let folder_file = |name| folder.write(name, "");
    let text = format!(
        "port 0\nbindcmdaddress /\npidfile {}\nkeyfile {}\n{directives}\n",
        folder_file("pid").display(),
        keys.display()
    );
    let mut command = Command::new(need("chronyd")?);
    command
        .args(["-x", "-U", "-u", &tool::user("-un")])
        .args(options);
    command.arg("-f").arg(folder.write("conf", &text));
    Some(command)
}

/// Asks for the time once, with `options` of the `server` line.
fn measure(node: &Node, server: &str, options: &str, keys: &str) -> Option<Output> {
    let folder = Folder::new();
    let directives = format!(
        "cmdport 0\nserver {server} port {} iburst maxsamples 1 {options}",
        node.port()
    );
    let mut command = chronyd(&folder, &["-Q", "-t", "3"], &directives, keys)?;
    Some(tool::run(&mut command))
}

/// chronyd reads the time from us, with and without `key`, in both versions and both families.
fn assert_is_a_source(key: Option<Key>) {
    let Some(node) = Node::start(&[]) else { return };
    for version in [3, 4] {
        for server in ["127.0.0.1", "::1"] {
            let key = key.map_or(String::new(), |key| format!(" key {}", key.id));
            let options = format!("version {version}{key}");
            let Some(output) = measure(&node, server, &options, &keys::file()) else {
                return;
            };
            let all = said(&output);
            assert!(output.status.success(), "{server} {options}: {all}");
            assert!(
                all.contains("System clock wrong by"),
                "{server} {options}: {all}"
            );
        }
    }
    if let Some(summary) = node.stop() {
        summary.assert_refused(&[]);
        let signed = summary.get("answered_signed");
        assert_eq!(signed >= 4, key.is_some(), "{signed} signed answers");
    }
}

#[test]
fn chronyd_is_served_without_a_key() {
    assert_is_a_source(None);
}

#[test]
fn chronyd_is_served_with_aes128() {
    assert_is_a_source(Some(keys::AES128));
}

#[test]
fn chronyd_is_served_with_aes256() {
    assert_is_a_source(Some(keys::AES256));
}

#[test]
fn chronyd_is_served_with_md5() {
    assert_is_a_source(Some(keys::MD5));
}

#[test]
fn chronyd_is_served_with_sha1() {
    assert_is_a_source(Some(keys::SHA1));
}

#[test]
fn chronyd_is_served_with_sha256() {
    assert_is_a_source(Some(keys::SHA256));
}

/// chronyd gets no time with this key, and of the refusals that counter alone moves.
fn assert_is_refused(key: Key, counter: &str) {
    let Some(node) = Node::start(&[]) else { return };
    let options = format!("key {}", key.id);
    let Some(output) = measure(&node, "127.0.0.1", &options, &key.line()) else {
        return;
    };
    let all = said(&output);
    assert!(!output.status.success(), "{all}");
    assert!(all.contains("Timeout reached"), "{all}");
    if let Some(summary) = node.stop() {
        summary.assert_refused_only(counter);
        assert_eq!(summary.get("answered_signed"), 0);
    }
}

#[test]
fn chronyd_with_a_wrong_key_gets_nothing() {
    assert_is_refused(keys::WRONG, "bad_mac");
}

#[test]
fn chronyd_with_an_unknown_key_gets_nothing() {
    assert_is_refused(keys::UNKNOWN, "unknown_key");
}

/// A chronyd that runs until the end of the test and takes commands on loopback.
struct Commanded {
    child: Child,
    folder: Folder,
    port: Port,
}

impl Commanded {
    fn start(directives: &str) -> Option<Self> {
        let folder = Folder::new();
        let port = Port::free();
        let directives = format!(
            "cmdport {}\nbindcmdaddress 127.0.0.1\n{directives}",
            port.number
        );
        let mut command = chronyd(&folder, &["-d"], &directives, &keys::file())?;
        let child = folder.spawn(&mut command);
        Some(Self {
            child,
            folder,
            port,
        })
    }

    /// Asks until the daemon answers what `wanted` is content with.
    fn tracking(&mut self, wanted: impl Fn(&TrackingReport) -> bool) -> TrackingReport {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket
            .connect(("127.0.0.1", self.port.number))
            .expect("loopback");
        let patience = Duration::from_millis(200);
        socket.set_read_timeout(Some(patience)).expect("not zero");
        for sequence in 0x5eed_0000..0x5eed_0000 + 300 {
            let mut reply = [0; 600];
            let asked = socket.send(&tracking_request(sequence, 0));
            // Refused while it is not bound yet.
            if let Ok(length) = asked.and_then(|_| client::receive(&socket, &mut reply)) {
                let report = TrackingReport::parse(&reply[..length], sequence);
                let report = report.expect("chronyd's reply to what was asked");
                if wanted(&report) {
                    return report;
                }
            }
            sleep(Duration::from_millis(100));
        }
        panic!("chronyd has not come to it\n{}", self.folder.log());
    }

    /// The daemon's report, after seeing that chronyc prints the same of it.
    fn tracking_as_printed(
        &mut self,
        wanted: impl Fn(&TrackingReport) -> bool,
    ) -> Option<TrackingReport> {
        let port = self.port.number.to_string();
        let mut command = Command::new(need("chronyc")?);
        command.args(["-n", "-c", "-h", "127.0.0.1", "-p", &port, "tracking"]);
        for _ in 0..10 {
            let report = self.tracking(&wanted);
            let output = tool::run(&mut command);
            assert!(output.status.success(), "{}", said(&output));
            let printed = String::from_utf8(output.stdout).expect("text");
            let later = self.tracking(&wanted);
            if report.reference_time == later.reference_time {
                // A young chronyd doubts its frequency so much that the dispersion grows fast.
                let grown_s = later.root_dispersion_s - report.root_dispersion_s;
                csv::assert_same(&report, &printed, 1e-3 + grown_s.abs());
                return Some(report);
            } // Else it has updated its clock in between.
        }
        panic!("ten updates in ten questions");
    }
}

impl Drop for Commanded {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn tracking_of_a_running_chronyd_reads_as_chronyc_prints_it() {
    for directives in ["", "local stratum 7"] {
        let Some(mut chronyd) = Commanded::start(directives) else {
            return;
        };
        let local = !directives.is_empty();
        let report = chronyd.tracking_as_printed(|report| report.is_synchronised() == local);
        let Some(report) = report else { return };
        assert_eq!(report.stratum, if local { 7 } else { 0 });
    }
}

/// In its log of measurements, chronyd's exchanges with us in basic (`4B`) and in interleaved mode (`4I`).
fn modes_of_exchanges(key: &str) -> Option<Vec<String>> {
    let node = Node::start(&[])?;
    let logs = Folder::new();
    let directives = format!(
        "logdir {}\nlog measurements\n\
         server 127.0.0.1 port {} minpoll -4 maxpoll -4 xleave {key}",
        logs.write("measurements.log", "")
            .with_file_name("")
            .display(),
        node.port()
    );
    let chronyd = Commanded::start(&directives)?;
    for _ in 0..400 {
        sleep(Duration::from_millis(100));
        let log = logs.read("measurements.log");
        let lines = log.lines().filter(|line| line.contains(" 127.0.0.1 "));
        // The mode, and then where the transmit and the receive timestamp are from.
        let modes = lines.filter_map(|line| line.split_whitespace().rev().nth(2));
        let modes: Vec<_> = modes.map(str::to_owned).collect();
        if modes.len() >= 220 {
            drop(chronyd);
            if let Some(summary) = node.stop() {
                summary.assert_refused(&[]);
            }
            return Some(modes);
        }
    }
    panic!(
        "no measurements\n{}{}",
        logs.read("measurements.log"),
        chronyd.folder.log()
    );
}

#[test]
fn chronyd_reaches_interleaved_mode_and_keeps_it() {
    for key in ["", "key 10"] {
        let Some(modes) = modes_of_exchanges(key) else {
            return;
        };
        // The first two exchanges cannot be; all that follow are.
        let first = modes
            .iter()
            .position(|mode| mode == "4I")
            .expect("interleaved");
        assert!(first <= 3, "{modes:?}");
        let basic = modes[first..].iter().filter(|mode| *mode != "4I").count();
        assert_eq!(basic, 0, "{modes:?}");
        assert!(modes.len() - first >= 200, "{modes:?}");
    }
}

#[test]
fn chronyd_follows_us_and_says_so() {
    let Some(node) = Node::start(&[]) else { return };
    let source = format!("server 127.0.0.1 port {} iburst key 10", node.port());
    let Some(mut chronyd) = Commanded::start(&source) else {
        return;
    };
    let Some(report) = chronyd.tracking_as_printed(TrackingReport::is_synchronised) else {
        return;
    };
    assert_eq!(report.reference_id, ReferenceId::from_bytes([127, 0, 0, 1]));
    assert_eq!(
        report.address,
        Some("127.0.0.1".parse().expect("an address"))
    );
    assert_eq!(report.stratum, 6, "one more than ours");
    // Loopback and one clock: a millisecond is a hundred times what is usual.
    assert!(report.last_offset_s.abs() < 1e-3, "{report:?}");
    assert!(report.root_delay_s < 1e-2, "{report:?}");
}
