//! `maser doctor --loop`: servers whose replies are late by a known time, and a real one.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use maser::sys::clock;
use maser::wire::{
    HEADER_LEN, HeaderMut, HeaderView, KissCode, LeapIndicator, Mode, NtpDuration, NtpTimestamp,
};

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

#[cfg(feature = "xdp")]
use support::node::Folder;
use support::node::{Directives, Node, Server};

fn doctor(server: SocketAddr, more: &[&str]) -> Output {
    let (address, port) = (server.ip().to_string(), server.port().to_string());
    Command::new(env!("CARGO_BIN_EXE_maser"))
        .args(["doctor", "--loop", &address, "--port", &port])
        .args(["--requests", "200"])
        .args(more)
        .output()
        .expect("the binary under test")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// The number of the line for the configuration.
#[track_caller]
fn suggested(text: &str) -> i64 {
    let (_, rest) = text
        .split_once("`fastpathdeparture ")
        .unwrap_or_else(|| panic!("nothing is suggested:\n{text}"));
    let (number, _) = rest.split_once('`').expect("the line's end");
    number.parse().expect("a number")
}

/// What a made-up server says.
#[derive(Clone, Copy)]
enum Says {
    /// The time, so many nanoseconds before it replies; a later one where negative.
    Early(i64),
    Kisses,
    /// The time, to one of ten.
    Seldom,
}

/// A made-up server; it ends with the value.
struct Liar {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Liar {
    fn start(says: Says) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let patience = Some(Duration::from_millis(20));
        socket.set_read_timeout(patience).expect("not zero");
        let address = socket.local_addr().expect("bound");
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            let mut count = 0_u32;
            while !told.load(Ordering::Relaxed) {
                let mut request = [0; HEADER_LEN];
                let Ok((_, client)) = socket.recv_from(&mut request) else {
                    continue;
                };
                count += 1;
                if matches!(says, Says::Seldom) && !count.is_multiple_of(10) {
                    continue;
                }
                socket
                    .send_to(&reply(&request, says), client)
                    .expect("loopback takes it");
            }
        });
        Self {
            address,
            ends,
            thread: Some(thread),
        }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn reply(request: &[u8; HEADER_LEN], says: Says) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    let mut header = HeaderMut::new(&mut bytes);
    header.set_first(LeapIndicator::NoWarning, 4, Mode::Server);
    header.set_stratum(1);
    let asked = HeaderView::new(request);
    header.set_origin_timestamp(asked.transmit_timestamp());
    let early_ns = match says {
        Says::Early(nanos) => nanos,
        Says::Kisses | Says::Seldom => 0,
    };
    if matches!(says, Says::Kisses) {
        header.set_stratum(0);
        header.set_reference_id(KissCode::Rate.reference_id());
    }
    let now = clock::realtime();
    let now = NtpTimestamp::from_unix(now.secs, now.nanos);
    header.set_transmit_timestamp(now - NtpDuration::from_nanos(early_ns));
    bytes
}

/// However slow the machine, a reply is received after it was made.
#[test]
fn the_median_is_what_is_suggested() {
    let server = Liar::start(Says::Early(300_000));
    let output = doctor(server.address, &[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains(" of 200\n") && said.contains("spread"),
        "{said}"
    );
    assert!(said.contains("by the loopback"), "{said}");
    assert!((300_000..1_000_000).contains(&suggested(&said)), "{said}");
}

#[cfg(feature = "xdp")]
#[test]
fn what_is_configured_is_read_and_counted_in() {
    let server = Liar::start(Says::Early(300_000));
    let folder = Folder::new();
    let file = folder.write("conf", "local\nallow\nfastpathdeparture -900000\n");
    let output = doctor(server.address, &["-f", file.to_str().expect("text")]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("-900000 stands there now"), "{said}");
    assert!((-600_000..100_000).contains(&suggested(&said)), "{said}");
}

#[test]
fn another_clock_is_refused() {
    for early_ns in [-3_600_000_000_000, -50_000_000, 50_000_000] {
        let server = Liar::start(Says::Early(early_ns));
        let output = doctor(server.address, &[]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains("another machine's"), "{said}");
        assert!(!said.contains("fastpathdeparture"), "{said}");
    }
}

#[test]
fn who_does_not_answer_is_told_why() {
    let nobody = {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        socket.local_addr().expect("bound")
    };
    let (kisses, silent) = (Liar::start(Says::Kisses), Liar::start(Says::Seldom));
    for (address, code, why) in [
        (nobody, 4, "nobody serves there"),
        (kisses.address, 4, "`ratelimit` must let"),
        (silent.address, 3, "requests or replies were lost"),
    ] {
        let output = doctor(address, &[]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

/// By sockets, whose transmit timestamps are learned: what is left is the way through the loopback.
#[test]
fn a_maser_is_asked_in_both_families() {
    let node = Node::of(
        Server::Maser,
        Directives {
            chrony: &["local stratum 5"],
            ..Directives::default()
        },
    );
    let node = node.expect("it is under test");
    for ip in ["127.0.0.1", "::1"] {
        let output = doctor(node.address(ip), &["--json"]);
        let said = text(&output);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
        let mut lines = said
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        assert!(lines.clone().all(|line| line["area"] == "loop"), "{said}");
        assert!(
            lines.any(|line| line["found"]
                .as_str()
                .is_some_and(|f| f.starts_with("median "))),
            "{said}"
        );
    }
    let summary = node.stop().expect("ours");
    summary.assert_refused(&[]);
}

#[test]
fn mistakes_in_the_arguments_are_2() {
    for slip in [
        &["--loop", "example"][..],
        &["--loop", "127.0.0.1", "--interface", "lo"],
        &["--loop", "127.0.0.1", "--root", "/"],
        &["--loop", "127.0.0.1", "--requests", "0"],
        &["--requests", "5"],
        &["-f", "/etc/maser/maser.conf"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_maser"))
            .arg("doctor")
            .args(slip)
            .output()
            .expect("the binary under test");
        assert_eq!(output.status.code(), Some(2), "{slip:?} {}", text(&output));
    }
    let missing = doctor(
        "127.0.0.1:9".parse().expect("one"),
        &["-f", "/no/such/file"],
    );
    assert_eq!(missing.status.code(), Some(1), "{}", text(&missing));
}
