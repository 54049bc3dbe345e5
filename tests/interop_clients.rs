//! Other people's clients: NTPsec's ntpdig, and Python's ntplib through `scripts/check-server.py`.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use support::keys::AES128;
use support::node::{Directives, Folder, Node, Port, Server, Summary};
use support::skip;
use support::tool::{self, need, need_root, said};

/// The Python that has ntplib: `MASER_PYTHON`, or the system's.
fn python_with_ntplib() -> Option<PathBuf> {
    let chosen = std::env::var_os("MASER_PYTHON").map(PathBuf::from);
    let python = match chosen.filter(|python| python.is_file()) {
        Some(python) => python,
        None => need("python3")?,
    };
    if tool::run(Command::new(&python).args(["-c", "import ntplib"]))
        .status
        .success()
    {
        return Some(python);
    }
    skip("no Python here has ntplib");
    None
}

fn check_server(python: &PathBuf, arguments: &[&str]) -> std::process::Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/check-server.py");
    tool::run(Command::new(python).arg(script).args(arguments))
}

#[test]
fn ntplib_in_each_of_its_versions() {
    let Some(python) = python_with_ntplib() else {
        return;
    };
    let Some(node) = Node::start(&[]) else { return };
    let port = node.port().to_string();
    for version in ["2", "3", "4"] {
        let output = check_server(
            &python,
            &["--ip", "127.0.0.1", "--port", &port, "--version", version],
        );
        let all = said(&output);
        assert!(output.status.success(), "{all}");
        let line = String::from_utf8(output.stdout).expect("text");
        let time = line
            .strip_prefix("127.0.0.1 NTP Active ")
            .unwrap_or_else(|| panic!("{all}"));
        // 2026-01-02T03:04:05Z
        assert_eq!(time.trim_end().len(), 20, "{all}");
        assert!(
            time.starts_with("20") && time.trim_end().ends_with('Z'),
            "{all}"
        );
    }
}

#[test]
fn a_server_that_is_not_there_is_said_to_be_deactivated() {
    let Some(python) = python_with_ntplib() else {
        return;
    };
    let free = Port::free();
    let port = free.number.to_string();
    let output = check_server(
        &python,
        &["--ip", "127.0.0.1", "--port", &port, "--timeout", "0.2"],
    );
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(output.stdout, b"127.0.0.1 NTP Deactivated\n");
}

#[test]
fn a_server_without_time_is_said_to_be_deactivated() {
    let Some(python) = python_with_ntplib() else {
        return;
    };
    let Some(node) = Node::with(Directives::default()) else {
        return;
    };
    let port = node.port().to_string();
    let output = check_server(&python, &["--ip", "127.0.0.1", "--port", &port]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
}

/// A server on port 123 in a network namespace of its own, since ntpdig asks no other port.
struct Island {
    server: Server,
    child: Child,
    folder: Folder,
}

impl Island {
    fn start() -> Option<Self> {
        if !need_root() {
            return None;
        }
        let (unshare, ip) = (need("unshare")?, need("ip")?);
        need("nsenter")?;
        if !tool::run(Command::new(&unshare).args(["--net", "true"]))
            .status
            .success()
        {
            skip("no network namespace can be made here");
            return None;
        }
        let server = Server::chosen();
        let folder = Folder::new();
        let directives = Directives {
            chrony: &["local stratum 5"],
            ..Directives::default()
        };
        let configuration = folder.configuration(server, 123, directives);
        let mut command = Command::new(unshare);
        let up = format!("{} link set lo up && exec \"$@\"", ip.display());
        command.args(["--net", "sh", "-c", &up, "sh"]);
        match server {
            Server::Maser => command.args([env!("CARGO_BIN_EXE_maser"), "serve", "-f"]),
            Server::Chronyd => command
                .arg(need("chronyd")?)
                .args(["-x", "-d", "-U", "-u", "root", "-f"]),
        };
        command.arg(configuration);
        let child = folder.spawn(&mut command);
        let island = Self {
            server,
            child,
            folder,
        };
        island.wait_until_bound();
        Some(island)
    }

    /// Until port 123 (7B) is in the namespace's table of UDP sockets, and not in our own.
    fn wait_until_bound(&self) {
        let id = self.child.id();
        let ours = fs::read_link("/proc/self/ns/net").expect("we have one");
        for _ in 0..500 {
            let theirs = fs::read_link(format!("/proc/{id}/ns/net"));
            let sockets = fs::read_to_string(format!("/proc/{id}/net/udp")).unwrap_or_default();
            if theirs.is_ok_and(|theirs| theirs != ours) && sockets.contains(":007B ") {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("nobody has bound port 123\n{}", self.folder.log());
    }

    /// Runs ntpdig there.
    fn ntpdig(&self, arguments: &[&str]) -> Option<String> {
        let namespace = format!("--net=/proc/{}/ns/net", self.child.id());
        let mut command = Command::new(need("nsenter")?);
        command.arg(namespace).arg(need("ntpdig")?).args(arguments);
        let output = tool::run(&mut command);
        let all = said(&output);
        assert!(output.status.success(), "{all}\n{}", self.folder.log());
        Some(all)
    }

    fn stop(mut self) -> Option<Summary> {
        tool::run(Command::new("kill").args(["-TERM", &self.child.id().to_string()]));
        let status = self.child.wait().expect("our child");
        assert!(status.success(), "{status}\n{}", self.folder.log());
        (self.server == Server::Maser).then(|| Summary::parse(&self.folder.read("stdout")))
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn ntpdig_reads_the_time() {
    let Some(island) = Island::start() else {
        return;
    };
    for server in ["127.0.0.1", "::1"] {
        let Some(told) = island.ntpdig(&["-p", "2", server]) else {
            return;
        };
        assert!(told.contains(&format!("{server} s5 no-leap")), "{told}");
    }
    if let Some(summary) = island.stop() {
        assert!(summary.get("answered") >= 4);
        summary.assert_refused(&[]);
    }
}

#[test]
fn ntpdig_signs_and_verifies() {
    let Some(island) = Island::start() else {
        return;
    };
    let keys = Folder::new();
    let line = AES128.line().replace("AES128 HEX:", "AES-128 ");
    let file = keys.write("keys", &line);
    let arguments = ["-d", "-a", "10", "-k", &file.to_string_lossy(), "127.0.0.1"];
    let Some(told) = island.ntpdig(&arguments) else {
        return;
    };
    assert!(
        told.contains("MAC verification on reply from 127.0.0.1 succeeded"),
        "{told}"
    );
    if let Some(summary) = island.stop() {
        assert_eq!(summary.get("answered_signed"), 1);
        summary.assert_refused(&[]);
    }
}
