//! A running node, and a running chronyd, asked by chronyc and by us at the same moment.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use maser::auth::KeyStore;

use crate::skewed::{Skew, SkewedServer};
use crate::support::node::{Folder, Port, Server};
use crate::support::seen::within;
use crate::support::tool::{need, run, said, user};

/// A daemon with lines of its own, and a socket in the file system.
struct Daemon {
    child: Child,
    _folder: Folder,
    _port: Port,
    socket: PathBuf,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    fn start(server: Server, lines: &str) -> Option<Self> {
        let (folder, port) = (Folder::new(), Port::free());
        let socket = folder.write("mark", "").with_file_name("sock");
        let own = socket.parent().expect("a folder");
        std::fs::set_permissions(own, std::fs::Permissions::from_mode(0o700)).expect("ours");
        let text = format!(
            "port {}\ncmdport 0\nbindcmdaddress {}\npidfile {}\n{lines}\n",
            port.number,
            socket.display(),
            own.join("pid").display(),
        );
        let conf = folder.write("conf", &text);
        let mut command = match server {
            Server::Maser => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
                command.args(["serve", "-x", "-f"]).arg(conf);
                command
            }
            Server::Chronyd => {
                let mut command = Command::new(need("chronyd")?);
                command
                    .args(["-x", "-d", "-U", "-u", &user("-un"), "-f"])
                    .arg(conf);
                command
            }
        };
        let child = folder.spawn(&mut command);
        let daemon = Self {
            child,
            _folder: folder,
            _port: port,
            socket,
        };
        within(Duration::from_secs(20), "it takes commands", || {
            daemon.socket.exists() && daemon.maser(&["activity", "-c"]).contains(',')
        });
        Some(daemon)
    }

    fn maser(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
        command.args(arguments).arg("-h").arg(&self.socket);
        let output = run(&mut command);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    fn chronyc(&self, path: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new(path);
        command.arg("-h").arg(&self.socket).args(arguments);
        let output = run(&mut command);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Both print the same, but for figures that move between the two questions.
    fn assert_alike(&self, path: &Path, reports: &[&str]) {
        for report in reports {
            let words: Vec<&str> = report.split(' ').collect();
            let both = |option: &[&str]| {
                let theirs = self.chronyc(path, &[option, &words].concat());
                (self.maser(&[&words, option].concat()), theirs)
            };
            // A sample may come between the two questions, and a young register's doubt halves with each.
            let mut found = Ok(());
            for _ in 0..5 {
                let ((ours, theirs), (our_fields, their_fields)) = (both(&["-n"]), both(&["-c"]));
                found = if shape(&ours) == shape(&theirs) {
                    fields_are_alike(&our_fields, &their_fields)
                } else {
                    Err(format!("{ours}\n{theirs}"))
                };
                if found.is_ok() {
                    break;
                }
            }
            found.unwrap_or_else(|why| panic!("{report}: {why}"));
        }
    }
}

/// The words of each line; of those that have a figure, that they have one.
fn shape(text: &str) -> Vec<Vec<String>> {
    let word = |word: &str| {
        let is_figure = word.contains(|c: char| c.is_ascii_digit()) && !word.contains("127.0");
        if is_figure {
            "#".to_owned()
        } else {
            word.to_owned()
        }
    };
    // `[ -12ns]` and `[-123ns]` are the same.
    let text = text
        .replace("[ ", "[")
        .replace("[ ", "[")
        .replace("[ ", "[");
    // What is slow may be fast a moment later, and a date may pass into the next day.
    let text = text.replace(" slow", " fast");
    let is_newer = |line: &&str| NEWER.iter().any(|label| line.starts_with(label));
    text.lines()
        .filter(|line| !is_newer(line))
        .map(|line| line.split_whitespace().map(word).collect())
        .collect()
}

/// Lines that chronyc 4.3 does not have.
const NEWER: [&str; 5] = [
    "NTP daemon ",
    "NTP kernel ",
    "NTP hardware ",
    "Total kernel ",
    "Total HW ",
];

/// Field by field: the same, or two figures that are near each other.
fn fields_are_alike(ours: &str, theirs: &str) -> Result<(), String> {
    let both = format!("{ours}\n{theirs}");
    if ours.lines().count() != theirs.lines().count() {
        return Err(both);
    }
    for (our_line, their_line) in ours.lines().zip(theirs.lines()) {
        let (one, two): (Vec<_>, Vec<_>) = (
            our_line.split(',').collect(),
            their_line.split(',').collect(),
        );
        // Figures that chronyc 4.3 does not know are at the end.
        if one.len() < two.len() {
            return Err(both);
        }
        for (one, two) in one.iter().zip(&two) {
            let near = match (one.parse::<f64>(), two.parse::<f64>()) {
                (Ok(one), Ok(two)) => (one - two).abs() <= 5.0 + 0.2 * one.abs().max(two.abs()),
                _ => false,
            };
            if one != two && !near {
                return Err(format!("{one} is not {two} in\n{both}"));
            }
        }
    }
    Ok(())
}

const REPORTS: [&str; 11] = [
    "tracking",
    "sources",
    "sources -a",
    "sourcestats",
    "activity",
    "serverstats",
    "ntpdata",
    "ntpdata 127.0.0.1",
    "selectdata",
    "authdata",
    "sourcename 127.0.0.1",
];

fn assert_followers_are_alike(server: Server) {
    let Some(chronyc) = need("chronyc") else {
        return;
    };
    let skew = Skew {
        offset_s: 0.25,
        ..Skew::default()
    };
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let source = SkewedServer::start(loopback, 0, skew, KeyStore::default());
    let folder = Folder::new();
    let clock = folder.write("mark", "").with_file_name("clock");
    let lines = format!(
        "server 127.0.0.1 port {} iburst minpoll 0 maxpoll 0\nserver ::1 port 9 offline\n\
         server 2001:db8:1234:5678:9abc:def0:1234:5678 offline\nrefclock SOCK {} refid ABC noselect\n",
        source.address().port(),
        clock.display(),
    );
    let Some(daemon) = Daemon::start(server, &lines) else {
        return;
    };
    within(Duration::from_secs(30), "it follows the server", || {
        daemon
            .maser(&["tracking", "-c"])
            .starts_with("7F000001,127.0.0.1,2,")
    });
    daemon.assert_alike(&chronyc, &REPORTS);
    let tracking = daemon.maser(&["tracking", "--json"]);
    let tracking: serde_json::Value = serde_json::from_str(&tracking).expect("JSON");
    let offset_s = tracking["system_time_offset_s"].as_f64().expect("a number");
    assert!((offset_s - 0.25).abs() < 0.05, "{tracking}");
    assert_eq!(tracking["is_synchronised"], true);
    // Orders come by the socket alone.
    assert_eq!(daemon.maser(&["activity", "-c"]), "1,2,0,0,0\n");
    assert_eq!(daemon.maser(&["order", "offline"]), "200 OK\n");
    assert_eq!(daemon.maser(&["activity", "-c"]), "0,3,0,0,0\n");
    let unknown = daemon.maser(&["order", "maxpoll", "198.51.100.1", "1"]);
    assert!(unknown.contains("refuses: no such source"), "{unknown}");
}

#[test]
fn of_a_running_node() {
    assert_followers_are_alike(Server::Maser);
}

#[test]
fn of_a_running_chronyd() {
    assert_followers_are_alike(Server::Chronyd);
}

/// Without a source, without synchronisation, with `local`.
#[test]
fn of_a_node_that_has_nothing_to_follow() {
    let Some(chronyc) = need("chronyc") else {
        return;
    };
    for lines in ["", "server 192.0.2.1 offline", "local stratum 7"] {
        for server in [Server::Maser, Server::Chronyd] {
            let Some(daemon) = Daemon::start(server, lines) else {
                continue;
            };
            daemon.assert_alike(
                &chronyc,
                &[
                    "tracking",
                    "sources",
                    "sourcestats",
                    "activity",
                    "selectdata",
                    "authdata",
                    "ntpdata",
                ],
            );
            let refused = daemon.maser(&["rtcdata"]);
            assert!(
                refused.starts_with("maser rtcdata: ") && refused.contains("refuses: "),
                "{refused}"
            );
        }
    }
}
