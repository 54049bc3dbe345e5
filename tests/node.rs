//! The running node: which worker meets whom, where its time comes from, what it leaves behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use maser::sys::clock;
use maser::wire::{HeaderView, LeapIndicator, ReferenceId};

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use support::client::{Client, request};
use support::node::{Directives, Folder, Node, Port};
use support::tool::{self, need, need_root};

/// The node, or the end of a test that has none to ask.
macro_rules! some {
    ($node:expr) => {
        match $node {
            Some(node) => node,
            None => return,
        }
    };
}

const CLIENT: u8 = 3;

fn ours(directives: &[&str]) -> Option<Node> {
    Node::with(Directives {
        chrony: &["local stratum 5"],
        ours: directives,
        silent: false,
    })
}

/// Asks until the reply is as wanted; the last reply.
fn ask_until(node: &Node, patience_s: u64, wanted: impl Fn(HeaderView<'_>) -> bool) -> Vec<u8> {
    let client = Client::new(node, "127.0.0.1");
    for _ in 0..patience_s * 10 {
        let reply = client.ask(&request(4, CLIENT, 1));
        if HeaderView::at_front(&reply).is_some_and(&wanted) {
            return reply;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("not as wanted after {patience_s} s");
}

#[test]
fn a_client_meets_one_worker_from_a_thousand_ports() {
    let node = some!(ours(&["workers 2", "steer source"]));
    for _ in 0..1000 {
        Client::new(&node, "127.0.7.1").ask(&request(4, CLIENT, 1));
    }
    let summary = node.stop().expect("ours");
    let mut shares = summary.workers.clone();
    shares.sort_unstable();
    // The start's own questions, from 127.0.0.1, may have met the other.
    assert!(shares[0] < 100 && shares[1] >= 1000, "{summary:?}");
}

#[test]
fn many_clients_meet_both_workers() {
    for steer in ["steer source", "steer hash"] {
        let node = some!(ours(&["workers 2", steer]));
        for host in 1..=100 {
            Client::new(&node, &format!("127.0.7.{host}")).ask(&request(4, CLIENT, 1));
        }
        let summary = node.stop().expect("ours");
        assert_eq!(summary.workers.len(), 2);
        // Of 100 fair coins fewer than 15 of a side: once in 10^13.
        assert!(
            summary.workers.iter().all(|share| *share >= 15),
            "{steer}: {summary:?}"
        );
    }
}

#[test]
fn steering_by_core_answers_everybody() {
    let node = some!(ours(&["workers 2", "steer cpu"]));
    for host in 1..=50 {
        Client::new(&node, &format!("127.0.7.{host}")).ask(&request(4, CLIENT, 1));
    }
    assert!(node.stop().expect("ours").get("answered") >= 50);
}

#[test]
fn the_log_says_which_cores_and_why() {
    let cores = core_affinity::get_core_ids().expect("cores");
    let last = cores.last().expect("one at least").id;
    let node = some!(ours(&[&format!("cpus {last}")]));
    let log = node.folder().log();
    let expected = format!("workers on cores {last}: as `cpus` says");
    assert!(log.contains(&expected), "{log}");
    assert_eq!(node.stop().expect("ours").workers.len(), 1);
}

#[test]
fn arrivals_under_load_have_the_kernels_stamps() {
    let node = some!(ours(&[]));
    let clients: Vec<_> = (1..=40)
        .map(|host| Client::new(&node, &format!("127.0.6.{host}")))
        .collect();
    for _ in 0..500 {
        for client in &clients {
            client.send(&request(4, CLIENT, 1));
        }
        for client in &clients {
            client.receive();
        }
    }
    let summary = node.stop().expect("ours");
    let (kernel, received) = (summary.get("timestamps_kernel"), summary.get("received"));
    assert!(received >= 20_000);
    assert!(kernel * 1000 >= received * 999, "{kernel} of {received}");
}

#[test]
fn a_port_that_is_taken_is_refused_and_named() {
    let node = some!(ours(&[]));
    for workers in ["workers 1", "workers 2"] {
        let output = tool::run(Command::new(env!("CARGO_BIN_EXE_maser")).args([
            "serve",
            &format!("port {}", node.port()),
            "allow",
            workers,
        ]));
        let said = tool::said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains(&format!("0.0.0.0:{}: in use", node.port())),
            "{said}"
        );
    }
}

#[test]
fn the_embedded_default_serves_loopback_and_says_so() {
    if Path::new("/etc/maser/maser.conf").exists() {
        return support::skip("this machine has a configuration of maser's");
    }
    let folder = Folder::new();
    let mut child = Ended(folder.spawn(Command::new(env!("CARGO_BIN_EXE_maser")).arg("serve")));
    for host in ["127.0.0.1", "::1"] {
        let any = if host.contains(':') {
            "[::1]:0"
        } else {
            "127.0.0.1:0"
        };
        let socket = std::net::UdpSocket::bind(any).expect("loopback");
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .expect("not zero");
        socket.connect((host, 11_123)).expect("loopback");
        let mut reply = [0; 48];
        let answered = (0..50).any(|_| {
            let asked = socket.send(&request(4, CLIENT, 1));
            let answered = asked.is_ok() && socket.recv(&mut reply).is_ok();
            if !answered {
                sleep(Duration::from_millis(50));
            }
            answered
        });
        assert!(answered, "{host}: {}", folder.log());
        let header = HeaderView::new(&reply);
        assert_eq!(
            (header.stratum(), header.leap()),
            (10, LeapIndicator::NoWarning)
        );
    }
    signal(child.0.id(), "-INT");
    assert!(child.0.wait().expect("our child").success());
    let said = folder.read("stderr");
    for part in [
        "127.0.0.1:11123",
        "[::1]:11123",
        "scripts/check-server.py --ip 127.0.0.1 --port 11123",
        "SIGINT",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(folder.read("stdout").starts_with("maser served for"));
}

#[test]
fn the_pid_file_is_there_while_it_runs() {
    let node = some!(ours(&[]));
    assert_eq!(node.folder().read("pid"), format!("{}\n", node.pid()));
    signal(node.pid(), "-HUP");
    for _ in 0..100 {
        if node.folder().read("pid").is_empty() {
            return;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("the pid file stayed");
}

#[test]
fn root_goes_when_a_user_is_named() {
    if !need_root() {
        return;
    }
    let node = some!(ours(&["user nobody", "workers 2"]));
    assert_rights(&node, "0");
    // The keys, which only root may read, were loaded before.
    let signed = support::keys::AES128.sign(&request(4, CLIENT, 1));
    assert_eq!(Client::new(&node, "127.0.0.1").ask(&signed).len(), 68);
}

#[test]
fn the_timekeeper_alone_keeps_the_right_that_it_needs() {
    if !need_root() {
        return;
    }
    // Requests to sources leave from a port that is root's: CAP_NET_BIND_SERVICE, number 10.
    let lines = [
        "user nobody",
        "workers 2",
        "acquisitionport 1001",
        "server 127.0.0.1 port 9",
    ];
    let node = some!(ours(&lines));
    assert_rights(&node, "400");
    for _ in 0..100 {
        let sockets = fs::read_to_string("/proc/net/udp").expect("the kernel's table");
        if sockets
            .lines()
            .any(|line| line.contains(":03E9 ") && line.contains(" 65534 "))
        {
            return;
        }
        sleep(Duration::from_millis(50));
    }
    panic!(
        "no request was sent from port 1001\n{}",
        node.folder().log()
    );
}

/// All threads are nobody's; the timekeeper has these capabilities, the others none. A worker gives its own up when it
/// begins, which may be after another has answered.
#[track_caller]
fn assert_rights(node: &Node, timekeepers: &str) {
    let mut wrong = None;
    for _ in 0..40 {
        wrong = with_other_rights(node, timekeepers);
        if wrong.is_none() {
            return;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("{}", wrong.unwrap_or_default());
}

/// The status of a thread whose rights are others.
fn with_other_rights(node: &Node, timekeepers: &str) -> Option<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", node.pid())).expect("its threads");
    let statuses = tasks.map(|task| {
        let status = task.expect("a thread").path().join("status");
        fs::read_to_string(status).expect("its status")
    });
    let mut others = statuses.filter(|status| {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.expect("there").split_whitespace().collect::<Vec<_>>()
        };
        // The main thread is named after the program.
        let is_timekeeper = field("Name:").concat() == "maser";
        let expected = if is_timekeeper { timekeepers } else { "0" };
        let found = field("CapEff:").concat();
        let is_nobody = field("Uid:").iter().all(|id| *id == "65534");
        let has_those = found.trim_start_matches('0') == expected.trim_start_matches('0');
        !(is_nobody && has_those)
    });
    others.next()
}

#[test]
fn memory_is_locked_where_it_is_asked_for() {
    if !need_root() {
        return;
    }
    let node = some!(ours(&["lock_all", "workers 2"]));
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("its status");
    let locked = status
        .lines()
        .find_map(|line| line.strip_prefix("VmLck:"))
        .expect("there");
    let locked_kib: u64 = locked
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number");
    assert!(locked_kib > 1000, "{status}");
}

#[test]
fn the_kernels_clock_is_followed() {
    let node = some!(Node::with(Directives {
        ours: &["follow kernel stratum 4 refid TEST"],
        ..Directives::default()
    }));
    let reply = Client::new(&node, "127.0.0.1").ask(&request(4, CLIENT, 1));
    let header = HeaderView::at_front(&reply).expect("a header");
    let kernel = clock::kernel_clock().expect("adjtimex reads");
    if kernel.synchronised {
        assert_eq!(
            (header.stratum(), header.reference_id()),
            (4, ReferenceId::from_bytes(*b"TEST"))
        );
        let said_us = header.root_dispersion().to_duration().to_nanos() / 1000;
        assert!(
            (said_us - kernel.max_error_us).abs() < 10_000,
            "{said_us} {kernel:?}"
        );
    } else {
        assert_eq!(
            (header.stratum(), header.leap()),
            (0, LeapIndicator::NotSynchronised)
        );
    }
}

/// A process that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(pid: u32, signal: &str) {
    tool::run(Command::new("kill").args([signal, &pid.to_string()]));
}

#[test]
fn a_chronyd_beside_us_is_followed_until_it_falls_silent() {
    let chronyd = some!(need("chronyd"));
    let folder = Folder::new();
    let commands = Port::free();
    let command_port = commands.number;
    let configuration = folder.write(
        "conf",
        &format!(
            "port 0\ncmdport {command_port}\nbindcmdaddress 127.0.0.1\nbindcmdaddress /\n\
             pidfile {}\nlocal stratum 6\n",
            folder.write("pid", "").display()
        ),
    );
    // -x: it never touches the clock.
    let mut command = Command::new(chronyd);
    command
        .args(["-x", "-d", "-U", "-u", &tool::user("-un"), "-f"])
        .arg(configuration);
    let chronyd = Ended(folder.spawn(&mut command));
    let follow = format!("follow chronyd 127.0.0.1:{command_port}");
    let node = some!(Node::with(Directives {
        ours: &[&follow],
        ..Directives::default()
    }));
    let reply = ask_until(&node, 10, |header| header.stratum() == 6);
    let header = HeaderView::at_front(&reply).expect("a header");
    assert_eq!(header.reference_id(), ReferenceId::LOCAL);
    assert_eq!(header.leap(), LeapIndicator::NoWarning);
    drop(chronyd);
    let silent_ns = clock::monotonic_ns();
    ask_until(&node, 30, |header| {
        header.leap() == LeapIndicator::NotSynchronised
    });
    let elapsed_ns = clock::monotonic_ns() - silent_ns;
    assert!(
        elapsed_ns > 5_000_000_000,
        "a missed answer or two is not silence"
    );
}

/// While it is held up requests wait in its queue, and all are answered; but those for which nobody can be
/// waiting any more give way to the others, and are counted.
#[test]
fn a_stall_loses_nothing_and_what_is_too_late_is_told() {
    let node = some!(ours(&[]));
    let client = |host: u8| Client::new(&node, &format!("127.0.5.{host}"));
    let many: Vec<_> = (1..=40).map(client).collect();
    signal(node.pid(), "-STOP");
    let forgotten = client(100);
    for _ in 0..10 {
        forgotten.send(&request(4, CLIENT, 1));
    }
    sleep(Duration::from_millis(1500));
    for client in &many {
        for _ in 0..50 {
            client.send(&request(4, CLIENT, 1));
        }
    }
    signal(node.pid(), "-CONT");
    for client in &many {
        for _ in 0..50 {
            client.receive();
        }
    }
    assert_eq!(forgotten.replies_until_now(&node).len(), 0);
    let summary = node.stop().expect("ours");
    summary.assert_refused_only("too_late");
    assert_eq!(summary.get("too_late"), 10);
    assert_eq!(summary.get("queue_dropped"), 0);
}

/// What a worker asks of the kernel while it answers: to receive a burst, to send it in parts, and nothing else.
#[test]
fn a_worker_under_load_makes_two_kinds_of_system_call() {
    let strace = some!(need("strace"));
    if !need_root() {
        return;
    }
    let node = some!(ours(&["pace spin"]));
    let tasks = fs::read_dir(format!("/proc/{}/task", node.pid())).expect("its threads");
    let worker = tasks
        .map(|task| task.expect("a thread").path())
        .find(|task| {
            fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "maser-0")
        })
        .expect("a worker");
    let thread = worker
        .file_name()
        .expect("a number")
        .to_string_lossy()
        .into_owned();
    let counts = node.folder().write("calls", "");
    let mut tracer = Command::new(strace);
    tracer
        .args(["-c", "-S", "calls", "-U", "name,calls", "-p", &thread, "-o"])
        .arg(&counts);
    let mut tracer = Ended(tracer.stderr(Stdio::null()).spawn().expect("strace starts"));
    let traced = (0..100).any(|_| {
        let status = fs::read_to_string(worker.join("status")).unwrap_or_default();
        let tracer = status
            .lines()
            .find_map(|line| line.strip_prefix("TracerPid:"));
        let traced = tracer.is_some_and(|pid| pid.trim() != "0");
        if !traced {
            sleep(Duration::from_millis(50));
        }
        traced
    });
    assert!(traced, "strace has not come to it");
    let clients: Vec<_> = (1..=32)
        .map(|host| Client::new(&node, &format!("127.0.6.{host}")))
        .collect();
    for _ in 0..200 {
        for client in &clients {
            client.send(&request(4, CLIENT, 1));
        }
        for client in &clients {
            client.receive();
        }
    }
    signal(tracer.0.id(), "-INT");
    tracer.0.wait().expect("strace ends");
    let text = fs::read_to_string(&counts).expect("its table");
    let calls: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, calls) = (words.next()?, words.next()?.parse::<u64>().ok()?);
            (name != "total").then(|| (name.to_owned(), calls))
        })
        .collect();
    let names: Vec<_> = calls.keys().map(String::as_str).collect();
    assert_eq!(names, ["recvmmsg", "sendmmsg"], "{text}");
    let summary = node.stop().expect("ours");
    let (bursts, sent) = (summary.get("bursts"), summary.get("sent"));
    assert!(
        (1..=sent.min(16 * bursts)).contains(&calls["sendmmsg"]),
        "{text}"
    );
}
