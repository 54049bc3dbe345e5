//! `maser bench --xdp` against a server that lies, and where it cannot ask at all: it must tell exactly what is so.

use std::collections::VecDeque;
use std::net::UdpSocket;
use std::process::Output;
use std::time::Duration;

use maser::sys::clock;
use serde_json::Value;

use super::bench::{Running, bench, command, count, echo, plain, steps, with};
use super::keys;
use super::support::node::Folder;
use super::support::seen::within;
use super::support::tool;
use super::wire::{INTERFACE, NODE_V4, Wire, let_pass, on_wire};

/// What is done with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Answer,
    Drop,
    Double,
    /// After the harness has given it up.
    Late,
    /// Beside the answer one to nobody.
    Strange,
    Lengthen,
    Forge,
    /// Another first byte (leap, version, mode), stratum or kiss.
    Say(u8, u8, [u8; 4]),
}

const SERVER_V4: u8 = 0x24;

/// Of each hundred requests.
const LIES: [(u64, Deed); 13] = [
    (5, Deed::Drop),
    (15, Deed::Double),
    (25, Deed::Late),
    (35, Deed::Strange),
    (36, Deed::Strange),
    (45, Deed::Lengthen),
    (50, Deed::Say(0x1c, 1, *b"GPS\0")),
    (55, Deed::Say(0x23, 1, *b"GPS\0")),
    (60, Deed::Say(SERVER_V4, 0, *b"RATE")),
    (65, Deed::Say(SERVER_V4, 0, *b"DENY")),
    (70, Deed::Say(0xe4, 1, *b"GPS\0")),
    (71, Deed::Say(0xe4, 0, [0; 4])),
    (75, Deed::Say(SERVER_V4, 16, *b"GPS\0")),
];

fn lie(number: u64) -> Deed {
    let found = LIES.iter().find(|(place, _)| *place == number % 100);
    found.map_or(Deed::Answer, |(_, deed)| *deed)
}

/// One in three: at 12,000 a second one in three is looked at too, but not always the same.
const fn forge(number: u64) -> Deed {
    if number.is_multiple_of(3) {
        Deed::Forge
    } else {
        Deed::Answer
    }
}

/// The server itself, in a process of its own on the other machine; nothing where nobody asks for it.
#[test]
fn liar() {
    let Some(lies) = std::env::var_os(LIES_OF) else {
        return;
    };
    let_pass(INTERFACE);
    let deed_of = if lies == "forge" { forge } else { lie };
    let socket = UdpSocket::bind((NODE_V4, 123)).expect("nobody else has it");
    let wait = Some(Duration::from_millis(5));
    socket.set_read_timeout(wait).expect("not zero");
    let mut late: VecDeque<(u64, Vec<u8>, _)> = VecDeque::new();
    let mut packet = [0; 200];
    let (mut number, mut told) = (0, 0);
    let seen = std::env::var_os(SEEN).expect("a file");
    loop {
        while let Some((_, reply, peer)) =
            late.pop_front_if(|(due, ..)| *due <= clock::monotonic_ns())
        {
            let _ = socket.send_to(&reply, peer);
        }
        let Ok((len, peer)) = socket.recv_from(&mut packet) else {
            if told < number {
                std::fs::write(&seen, format!("{number}\n")).expect("our file");
                told = number;
            }
            continue;
        };
        let deed = deed_of(number);
        number += 1;
        let mut reply = reply(&packet[..len], deed);
        let _ = match deed {
            Deed::Drop => continue,
            Deed::Late => {
                late.push_back((clock::monotonic_ns() + LATE_NS, reply, peer));
                continue;
            }
            Deed::Double | Deed::Strange => socket.send_to(&reply, peer),
            _ => Ok(0),
        };
        if deed == Deed::Strange {
            reply[24] ^= 0x80;
        }
        let _ = socket.send_to(&reply, peer);
    }
}

fn reply(request: &[u8], deed: Deed) -> Vec<u8> {
    let (first, stratum, id) = match deed {
        Deed::Say(first, stratum, id) => (first, stratum, id),
        _ => (SERVER_V4, 1, *b"GPS\0"),
    };
    let mut reply = vec![0; 48];
    (reply[0], reply[1]) = (first, stratum);
    reply[12..16].copy_from_slice(&id);
    reply[24..32].copy_from_slice(&request[40..48]);
    reply[32..48].fill(0xe0);
    if request.len() > 48 {
        let digest = keys::AES128.digest(&reply);
        reply.extend(keys::AES128.id.to_be_bytes());
        reply.extend(digest);
    }
    match deed {
        Deed::Forge => *reply.last_mut().expect("a MAC") ^= 1,
        Deed::Lengthen => reply.extend([0; 4]),
        _ => {}
    }
    reply
}

fn start(wire: &Wire, folder: &Folder, lies: &str) -> Running {
    // A card would finish the checksums of what sockets send.
    tool::run(wire.command("ethtool").args(["-K", INTERFACE, "tx", "off"]));
    let mut command = wire.again("liars::liar");
    command
        .env(LIES_OF, lies)
        .env(SEEN, folder.write("seen", "0"));
    let running = Running(folder.spawn(&mut command));
    let sockets = format!("/proc/{}/net/udp", running.0.id());
    within(Duration::from_secs(10), "it listens", || {
        std::fs::read_to_string(&sockets).is_ok_and(|sockets| sockets.contains(":007B "))
    });
    running
}

/// On a machine that is busy elsewhere an answer may be too late that was not to be: then it is tried again.
#[test]
fn each_lie_is_counted_where_it_belongs() {
    on_wire("liars::each_lie_is_counted_where_it_belongs", |wire| {
        let tries = (0..4).map(|_| {
            let folder = Folder::new();
            let _server = start(wire, &folder, "lie");
            let [v4, _] = plain(wire);
            let long = ["--rate", "1k", "--duration", "3", "--warmup", "0"];
            let patient = ["--timeout", "0.5", "--late", "10000"];
            let figures = bench(wire, &with(&v4, &[&long[..], &patient].concat()));
            std::thread::sleep(Duration::from_millis(100));
            let seen = folder.read("seen").trim().parse().expect("a number");
            (figures, seen)
        });
        let mut wrong = Vec::new();
        for (figures, seen) in tries {
            wrong = miscounted(&figures, seen);
            if wrong.is_empty() {
                return;
            }
        }
        panic!("{wrong:?}");
    });
}

/// What was counted wrong, of so many that the liar has seen: names, what was counted, and what should have been.
fn miscounted(figures: &Value, seen: u64) -> Vec<(&'static str, u64, u64)> {
    let (count, told) = (
        |name: &str| count(figures, name),
        |at: u64| (seen + 99 - at) / 100,
    );
    let sent = count("sent");
    // What a full queue drops on a busy machine the server has not seen.
    if !(2_990..=3_000).contains(&sent) || seen <= sent / 2 || seen > sent {
        return vec![("sent", sent, seen)];
    }
    let others: u64 = LIES.iter().map(|(place, _)| told(*place)).sum();
    let right = told(15) + told(35) + told(36);
    let lost = sent - seen + told(5) + told(25);
    let expected = [
        ("duplicates", told(15)),
        ("stale", told(35) + told(36)),
        ("bad_length", told(45)),
        ("bad_version", told(50)),
        ("bad_mode", told(55)),
        ("kiss_rate", told(60)),
        ("kiss_other", told(65)),
        ("unsynchronised", told(70) + told(71)),
        ("bad_stratum", told(75)),
        ("forged", 0),
        ("lost", lost),
        ("good", seen - others + right),
        // Those of the last second come when nobody hears any more.
        ("late", count("late").clamp(1, told(25))),
    ];
    let counted = expected.map(|(name, expected)| (name, count(name), expected));
    let by_second = ("lost by second", lost_by_second(figures), lost);
    let all = counted.into_iter().chain([by_second]);
    all.filter(|(_, counted, expected)| counted != expected)
        .collect()
}

fn lost_by_second(figures: &Value) -> u64 {
    let seconds = figures["series"].as_array().expect("seconds");
    let lost = seconds.iter().map(|second| second["lost"].as_u64());
    lost.map(|lost| lost.expect("a number")).sum()
}

#[test]
fn a_third_that_is_forged_is_told_as_a_third() {
    on_wire("liars::a_third_that_is_forged_is_told_as_a_third", |wire| {
        let folder = Folder::new();
        let _server = start(wire, &folder, "forge");
        let [v4, _] = plain(wire);
        for (rate, is_exact) in [("2k", true), ("12k", false)] {
            let words = ["--key", "KEY", "--rate", rate, "--warmup", "0"];
            let long = ["--duration", "1", "--late", "10000"];
            let figures = bench(wire, &with(&v4, &[&words[..], &long].concat()));
            let count = |name: &str| count(&figures, name);
            let inspected = figures["inspected"].as_u64().expect("a number");
            let (forged, replies) = (count("forged"), count("good") + count("forged"));
            assert_eq!(replies, count("sent") - count("lost"), "{figures}");
            if is_exact {
                assert_eq!(inspected, replies, "{figures}");
                assert!(forged.abs_diff(replies / 3) <= 1, "{figures}");
            } else {
                assert!((1000..replies).contains(&inspected), "{figures}");
                assert!(forged > replies / 4 && forged < replies / 2, "{figures}");
            }
        }
    });
}

/// As at sockets, a request that is lost takes the place of one in flight until it is given up, and no longer.
#[test]
fn a_closed_loop_outlives_its_losses() {
    on_wire("liars::a_closed_loop_outlives_its_losses", |wire| {
        let folder = Folder::new();
        let _server = start(wire, &folder, "lie");
        let [v4, _] = plain(wire);
        let words = ["--in-flight", "8", "--timeout", "0.2"];
        let figures = bench(
            wire,
            &with(&v4, &[&words[..], &["--duration", "2"]].concat()),
        );
        // Two in a hundred are lost: all eight are after some 400, and again every 0.2 s.
        assert!(count(&figures, "lost") > 16, "{figures}");
        let seconds = figures["series"].as_array().expect("seconds");
        assert_eq!(seconds.len(), 2);
        for second in seconds {
            assert!(second["good"].as_u64() > Some(400), "{figures}");
        }
    });
}

#[test]
fn a_ladder_is_climbed() {
    on_wire("liars::a_ladder_is_climbed", |wire| {
        let folder = Folder::new();
        let _echo = echo(wire, &folder);
        let [_, v6] = plain(wire);
        for version in ["1", "2", "3", "4"] {
            let words = ["--ladder", "1k-4k:x2", "--version", version];
            let long = ["--duration", "0.2", "--late", "10000"];
            // Where the machine has no time for the harness, it goes no higher, and says so.
            let mut climbs = (0..5).map(|_| steps(wire, &with(&v6, &[&words[..], &long].concat())));
            let climbed = climbs.find(|steps| steps.len() == 3);
            for step in climbed.expect("three steps, once of five times") {
                assert!(count(&step, "sent") > 100, "{step}");
                assert_eq!(count(&step, "good"), count(&step, "sent"), "{step}");
            }
        }
    });
}

/// What the harness says where it does not begin.
#[track_caller]
fn refused(wire: &Wire, words: &[&str], sentence: &str) {
    let output: Output = tool::run(&mut command(wire, &Folder::new(), words));
    let said = tool::said(&output);
    assert!(
        !output.status.success() && said.contains(sentence),
        "{said}"
    );
}

#[test]
fn where_it_cannot_ask_it_says_so() {
    on_wire("liars::where_it_cannot_ask_it_says_so", |wire| {
        let [v4, _] = plain(wire);
        let says = |words: &[&str], sentence| refused(wire, &with(&v4, words), sentence);
        says(&["--xdp", "nosuch0"], "--xdp nosuch0: No such device");
        says(&[], "wire: another program is in XDP there");
        wire.here(&format!("ip link set {INTERFACE} xdp off"));
        let vanish = "the interface does not send frames that programs make";
        says(&[], vanish);
        says(&["--xdp", "lo"], vanish);
        says(&["--mix", "interleaved=1"], "--xdp: one kind of request");
        says(&["--threads", "2"], "--xdp: one kind of request");
        wire.ip(&format!("link set {INTERFACE} down"));
        says(&[], "wire: the interface is down");
        assert!(!has_program(wire), "nothing is left behind");
    });
}

fn has_program(wire: &Wire) -> bool {
    let shown = wire.here(&format!("ip link show {INTERFACE}"));
    shown.contains("xdp")
}

/// However it ends, its program goes with it; and what is not its own gets past it.
#[test]
fn an_end_before_its_time_leaves_nothing_behind() {
    on_wire(
        "liars::an_end_before_its_time_leaves_nothing_behind",
        |wire| {
            let folder = Folder::new();
            let _echo = echo(wire, &folder);
            let [v4, _] = plain(wire);
            wire.here(&format!("ip link set {INTERFACE} xdp off"));
            for signal in ["-INT", "-TERM", "-KILL"] {
                let mut command = command(wire, &folder, &with(&v4, &["--duration", "60"]));
                let mut running = Running(folder.spawn(&mut command));
                within(Duration::from_secs(10), "it is there", || has_program(wire));
                let stranger = UdpSocket::bind("0.0.0.0:0").expect("a port");
                let wait = Some(Duration::from_millis(200));
                stranger.set_read_timeout(wait).expect("not zero");
                within(Duration::from_secs(10), "others are answered", || {
                    let mut packet = [0; 100];
                    packet[0] = 0x23;
                    let sent = stranger.send_to(&packet[..48], (NODE_V4, 123));
                    sent.is_ok()
                        && matches!(stranger.recv(&mut packet), Ok(48))
                        && packet[0] == 0x24
                });
                let process = running.0.id().to_string();
                tool::run(std::process::Command::new("kill").args([signal, &process]));
                let status = running.0.wait().expect("our child");
                assert!(!status.success(), "{signal}: {status}");
                assert!(!has_program(wire), "{signal}");
            }
        },
    );
}

/// Sockets behind a veth leave checksums to a card that is not there: what nobody would take is told apart from silence.
#[test]
fn a_wrong_checksum_is_told() {
    on_wire("liars::a_wrong_checksum_is_told", |wire| {
        let folder = Folder::new();
        let _server = start(wire, &folder, "forge");
        tool::run(wire.command("ethtool").args(["-K", INTERFACE, "tx", "on"]));
        let [v4, _] = plain(wire);
        let figures = bench(wire, &with(&v4, &["--rate", "1k", "--warmup", "0"]));
        let broken = figures["broken"].as_u64().expect("a number");
        assert_eq!(count(&figures, "good"), 0, "{figures}");
        assert!(
            broken > 100 && broken <= count(&figures, "lost"),
            "{figures}"
        );
    });
}

/// Which server it is to be.
const LIES_OF: &str = "MASER_TEST_LIES";
/// The file in which it says how many requests it has seen.
const SEEN: &str = "MASER_TEST_SEEN";
/// Longer than the harness waits.
const LATE_NS: u64 = 900_000_000;
