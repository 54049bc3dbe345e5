//! What a running node says over HTTP: figures that add up, health that is true, and nobody who can disturb it.

#[expect(dead_code, reason = "other tests ask how far ahead it is")]
#[path = "impaired/skewed.rs"]
mod skewed;
#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use maser::auth::KeyStore;
use maser::wire::LeapIndicator;
use serde_json::Value;
use skewed::{Skew, SkewedServer};
use support::bench::{self, count};
use support::client::{Client, field, request};
use support::exposition::Exposition;
use support::node::{Directives, Folder, Node, Port, Server};
use support::seen::{ask, within};
use support::{http, keys, tool};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A node that can be asked over HTTP.
struct Told {
    node: Node,
    http: SocketAddr,
    _port: Port,
}

impl Told {
    /// With a local reference of stratum 5, and these directives.
    fn start(directives: &[&str]) -> Self {
        Self::with(&[&["local stratum 5"], directives].concat(), false)
    }

    fn with(directives: &[&str], silent: bool) -> Self {
        let port = Port::free();
        // The listener that keeps the number for us has it at 127.0.0.1.
        let http = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port.number));
        let metrics = format!("metrics {http}");
        let node = Node::of(
            Server::Maser,
            Directives {
                ours: &[&[&*metrics], directives].concat(),
                silent,
                ..Directives::default()
            },
        );
        Self {
            node: node.expect("it is ours"),
            http,
            _port: port,
        }
    }

    #[track_caller]
    fn get(&self, path: &str) -> http::Answer {
        http::get(self.http, path).expect("it answers")
    }

    #[track_caller]
    fn figures(&self) -> Exposition {
        let answer = self.get("/metrics");
        assert_eq!(answer.code, 200);
        Exposition::parse(&answer.body).unwrap_or_else(|why| panic!("{why}\n{}", answer.body))
    }

    fn status(&self) -> Value {
        let answer = self.get("/status.json");
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// The load harness, without anything that is in no figure.
    #[track_caller]
    fn load(&self, arguments: &[&str]) -> bench::Run {
        let folder = Folder::new();
        let target = self.node.address("127.0.0.1").to_string();
        let key_file = self.node.folder().write("bench-keys", &keys::file());
        let key = format!("{}:{}", key_file.display(), keys::AES128.id);
        let usual = [&*target, "--warmup", "0", "--duration", "1", "--key", &*key];
        bench::run(&folder, None, &[&usual[..], arguments].concat())
    }
}

/// Every way of adding up what came gives the same; the sum.
#[track_caller]
fn assert_adds_up(figures: &Exposition) -> u64 {
    let received = figures.count("maser_received_total", &[]);
    for family in [
        "maser_requests_total",
        "maser_requests_by_kind_total",
        "maser_requests_by_authentication_total",
        "maser_receive_timestamps_total",
    ] {
        assert_eq!(figures.count(family, &[]), received, "{family}");
    }
    let outcome = |outcome| figures.count("maser_requests_total", &[("outcome", outcome)]);
    let made = ["answered", "answered_signed", "kiss", "kiss_signed"].map(outcome);
    let made: u64 = made.iter().sum();
    assert_eq!(figures.count("maser_drops_total", &[]), received - made);
    let unsent = figures.count("maser_replies_unsent_total", &[]);
    assert_eq!(figures.count("maser_replies_total", &[]), made - unsent);
    received
}

/// Of a histogram, in all.
#[track_caller]
fn observed(figures: &Exposition, name: &str) -> u64 {
    let samples = figures.0[name].samples.iter();
    let counts = samples.filter(|(full, ..)| full.ends_with("_count"));
    let sum: f64 = counts.map(|(.., value)| value).sum();
    format!("{sum}").parse().expect("a whole number")
}

#[test]
fn sums_are_what_the_harness_has_sent_to_the_packet() {
    let told = Told::start(&["workers 2"]);
    let (before, uptime_s) = (told.figures(), told.status()["uptime"].as_f64());
    let asked = assert_adds_up(&before);
    assert!(asked > 0, "the start has asked");
    let mix = "basic=4,signed=3,interleaved=2,badmac=1,unknownkey=1";
    let run = told.load(&["--rate", "8k", "--mix", mix, "--clients", "16"]);
    let [step] = &run.steps[..] else {
        panic!("one step is expected");
    };
    assert_eq!(count(step, "send_errors"), 0);
    let of = |kind: &str| {
        let mut all = step["by_kind"].as_array().expect("a list").iter();
        let found = all.find(|one| one["kind"] == kind);
        found
            .and_then(|one| one["sent"].as_u64())
            .filter(|sent| *sent > 0)
    };
    let after = told.figures();
    let received = assert_adds_up(&after);
    let kinds = ["basic", "signed", "interleaved", "badmac", "unknownkey"];
    let all: u64 = kinds.iter().filter_map(|kind| of(kind)).sum();
    assert_eq!(received - asked, all, "{}", step["by_kind"]);
    assert_eq!(after.count("maser_queue_dropped_total", &[]), 0);
    let moved = |outcome: &str| {
        let labels = [("outcome", outcome)];
        let counts = [&after, &before].map(|one| one.count("maser_requests_total", &labels));
        Some(counts[0] - counts[1])
    };
    assert_eq!(moved("answered_signed"), of("signed"));
    assert_eq!(moved("bad_mac"), of("badmac"));
    assert_eq!(moved("unknown_key"), of("unknownkey"));
    let plain = of("basic").zip(of("interleaved")).map(|(a, b)| a + b);
    assert_eq!(moved("answered"), plain);
    assert!(after.count("maser_interleaved_replies_total", &[]) > 0);
    let id = keys::AES128.id.to_string();
    let uses = after.count("maser_key_requests_total", &[("key_id", &id)]);
    assert_eq!(Some(uses), of("signed"));
    assert_eq!(after.count("maser_key_requests_total", &[]), uses);
    let kind = [("family", "ipv4"), ("version", "4"), ("mode", "client")];
    assert_eq!(after.count("maser_requests_by_kind_total", &kind), received);
    let replies = after.count("maser_replies_total", &[]);
    assert_eq!(observed(&after, "maser_residence_seconds"), replies);
    let stamps = observed(&after, "maser_transmit_timestamp_error_seconds");
    assert!(stamps > 10, "{stamps} sampled");
    // Before the harness came there was nothing to have a rate of.
    assert!(uptime_s.is_some_and(|seconds| seconds > 0.0));
    let summary = told.node.stop().expect("ours");
    assert_eq!(summary.get("received"), received);
}

#[test]
fn kinds_and_refusals_have_their_labels() {
    let told = Told::start(&["deny 127.9.0.0/16", "requireauth 127.8.0.0/16"]);
    let before = assert_adds_up(&told.figures());
    Client::new(&told.node, "::1").ask(&request(3, 3, 1));
    Client::new(&told.node, "127.0.0.1").ask(&request(2, 1, 2));
    let stranger = Client::new(&told.node, "127.9.0.1");
    stranger.send(&request(4, 3, 3));
    Client::new(&told.node, "127.8.0.1").send(&request(4, 3, 4));
    let odd = Client::new(&told.node, "127.0.0.1");
    odd.send(&request(7, 3, 5));
    odd.send(&request(4, 6, 6));
    odd.send(b"");
    odd.send(&[&request(4, 3, 7)[..], &field(1, 7)].concat());
    within(Duration::from_secs(5), "all are counted", || {
        let figures = told.figures();
        figures.count("maser_received_total", &[]) == before + 8
    });
    let figures = told.figures();
    assert_adds_up(&figures);
    let kind = |family, version, mode| {
        let labels = [("family", family), ("version", version), ("mode", mode)];
        figures.count("maser_requests_by_kind_total", &labels)
    };
    assert_eq!(kind("ipv6", "3", "client"), 1);
    assert_eq!(kind("ipv4", "2", "symmetric_active"), 1);
    assert_eq!(kind("ipv4", "other", "client"), 1);
    assert_eq!(kind("ipv4", "4", "control"), 1);
    assert_eq!(kind("ipv4", "other", "reserved"), 1, "an empty datagram");
    for reason in ["denied", "auth_required", "bad_version", "bad_mode"] {
        assert_eq!(
            figures.count("maser_drops_total", &[("reason", reason)]),
            1,
            "{reason}"
        );
    }
    let status = told.status();
    let denied = status["requests"]["outcomes"].as_array().expect("a list");
    let denied = denied.iter().find(|one| one["outcome"] == "denied");
    assert_eq!(denied.map(|one| &one["total"]), Some(&Value::from(1)));
}

/// More than one worker can take: the harness on one core, the worker in bursts of one with a small queue.
#[test]
fn under_overload_what_came_is_the_sum_over_outcomes_and_the_rest_is_counted_apart() {
    let told = Told::start(&["burst 1", "ratelimit interval 1 burst 8 leak 2"]);
    let asked = assert_adds_up(&told.figures());
    // The process stands still while requests come, so that its queue must overflow; then it goes on.
    let pid = told.node.pid().to_string();
    let signal = |name: &str| {
        let output = tool::run(Command::new("kill").args([name, &pid]));
        assert!(output.status.success());
    };
    signal("-STOP");
    let run = told.load(&["--rate", "60k", "--mix", "basic=9,signed=1"]);
    signal("-CONT");
    let [step] = &run.steps[..] else {
        panic!("one step is expected");
    };
    let (sent, errors) = (count(step, "sent"), count(step, "send_errors"));
    let mut figures = told.figures();
    within(Duration::from_secs(20), "its queue is empty", || {
        let before = figures.count("maser_received_total", &[]);
        sleep(Duration::from_millis(200));
        figures = told.figures();
        figures.count("maser_received_total", &[]) == before
    });
    let received = assert_adds_up(&figures) - asked;
    let lost = figures.count("maser_queue_dropped_total", &[]);
    assert!(lost > 0, "{sent} were sent, {received} received");
    assert_eq!(received + lost, sent, "{errors} could not be sent");
    let outcome = |outcome| figures.count("maser_requests_total", &[("outcome", outcome)]);
    assert!(outcome("too_late") > 0, "they waited for a second");
    let status = told.status();
    assert_eq!(status["requests"]["total"]["queue_dropped"], lost);
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("queue was full"), "{warnings}");
}

#[test]
fn a_clients_library_reads_the_exposition() {
    let has = |python: &Path| {
        let import = ["-c", "import prometheus_client.parser"];
        tool::run(Command::new(python).args(import))
            .status
            .success()
    };
    // Debian's package is for Debian's Python, which need not be the first on the path.
    let pythons = [
        Some(PathBuf::from("/usr/bin/python3")),
        tool::find("python3"),
    ];
    let pythons = pythons.into_iter().flatten();
    let Some(python) = pythons
        .filter(|python| python.is_file())
        .find(|python| has(python))
    else {
        support::skip("python3-prometheus-client is not installed");
        return;
    };
    let source = SkewedServer::start(LOOPBACK, 0, Skew::default(), KeyStore::default());
    let line = format!(
        "server 127.0.0.1 port {} iburst minpoll 0",
        source.address().port()
    );
    let told = Told::start(&[&line]);
    told.load(&["--rate", "1k", "--mix", "basic=1,signed=1"]);
    let file = told
        .node
        .folder()
        .write("exposition", &told.get("/metrics").body);
    let script = "import sys\nfrom prometheus_client.parser import text_string_to_metric_families as read\n\
                  for family in read(open(sys.argv[1]).read()):\n\
                  \x20   for sample in family.samples: print(family.type, sample.name, sample.value)\n";
    let mut command = Command::new(&python);
    let output = tool::run(command.args(["-c", script]).arg(&file));
    assert!(output.status.success(), "{}", tool::said(&output));
    let read = String::from_utf8_lossy(&output.stdout).lines().count();
    let text = told.node.folder().read("exposition");
    let written = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(read, written);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("untyped"));
}

#[test]
fn ready_is_lost_with_the_source_within_a_second_and_comes_back() {
    let source = SkewedServer::start(LOOPBACK, 0, Skew::default(), KeyStore::default());
    let line = format!(
        "server 127.0.0.1 port {} iburst minpoll 0 maxpoll 0",
        source.address().port()
    );
    // The error of a clock so bad grows past the bound in seconds once nobody is there to say what time it is.
    let told = Told::with(&[&line, "maxclockerror 2000", "readydistance 0.01"], true);
    let code = |path| told.get(path).code;
    within(Duration::from_secs(20), "it follows the source", || {
        code("/readyz") == 200
    });
    let figures = told.figures();
    assert_eq!(figures.count("maser_ready", &[]), 1);
    assert_eq!(
        figures.count("maser_source_selected", &[("source", "127.0.0.1")]),
        1
    );
    assert_eq!(told.status()["clock"]["reference"], "127.0.0.1");
    source.change(|skew| skew.is_silent = true);
    let address = told.node.address("127.0.0.1");
    // What clients are told says when it has to turn.
    within(Duration::from_secs(30), "the error grows", || {
        ask(address).is_some_and(|seen| seen.root_dispersion_s + seen.root_delay_s / 2.0 > 0.0101)
    });
    let answer = told.get("/readyz");
    assert_eq!(answer.code, 503, "{}", answer.body);
    assert!(answer.body.contains("root distance"), "{}", answer.body);
    assert_eq!(code("/healthz"), 200);
    source.change(|skew| skew.is_silent = false);
    within(Duration::from_secs(20), "it is right again", || {
        code("/readyz") == 200
    });
    // It says itself that it is not synchronised, and so must we.
    source.change(|skew| skew.leap = LeapIndicator::NotSynchronised);
    within(Duration::from_secs(30), "not ready", || {
        code("/readyz") == 503
    });
}

#[test]
fn not_synchronised_is_said_with_the_reason() {
    let told = Told::with(&["server 127.0.0.1 port 9 iburst"], false);
    let answer = told.get("/readyz");
    assert_eq!(answer.code, 503);
    assert!(
        answer
            .body
            .starts_with("not synchronised: no source is selected: 1 "),
        "{}",
        answer.body
    );
    let status = told.status();
    assert_eq!(status["clock"]["synchronised"], false);
    assert!(
        status["warnings"][0]["what"]
            .as_str()
            .is_some_and(|what| what.contains("not synchronised"))
    );
}

#[test]
fn who_drains_answers_clients_but_is_not_ready() {
    let told = Told::start(&["drain 2"]);
    let pid = told.node.pid().to_string();
    let signal = |name: &str| tool::run(Command::new("kill").args([name, &pid]));
    let ready = |wanted: u16| {
        within(Duration::from_secs(1), "ready", || {
            told.get("/readyz").code == wanted
        })
    };
    ready(200);
    signal("-USR1");
    ready(503);
    assert_eq!(told.figures().count("maser_draining", &[]), 1);
    signal("-USR2");
    ready(200);
    signal("-TERM");
    ready(503);
    assert!(
        ask(told.node.address("127.0.0.1")).is_some(),
        "it still answers"
    );
    within(Duration::from_secs(10), "it ends", || {
        TcpStream::connect(told.http).is_err()
    });
    assert!(told.node.folder().read("stdout").contains("received"));
}

#[test]
fn the_socket_in_the_file_system_needs_no_directive() {
    let folder = Folder::new();
    let socket = folder.write("mark", "").with_file_name("chronyc.sock");
    let own = socket.parent().expect("a folder");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(own, mode).expect("ours");
    let line = format!("bindcmdaddress {}", socket.display());
    let http_socket = socket.with_file_name("http.sock");
    {
        let node = Node::of(
            Server::Maser,
            Directives {
                ours: &["local stratum 5", &line],
                ..Directives::default()
            },
        );
        let _node = node.expect("ours");
        let answer = http::get_locally(&http_socket, "/status.json").expect("it answers");
        let status: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(status["program"], "maser");
        assert_eq!(status["ready"]["ready"], true);
        let answer = http::get_locally(&http_socket, "/metrics").expect("it answers");
        Exposition::parse(&answer.body).expect("it is well");
    }
}

/// What the module's table names, in the file that has it.
fn documented_fields() -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/node/metrics/status.rs");
    let text = std::fs::read_to_string(path).expect("our source");
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    cells.map(|cell| format!("`{cell}")).collect()
}

#[test]
fn every_field_of_the_status_is_documented() {
    let source = SkewedServer::start(LOOPBACK, 0, Skew::default(), KeyStore::default());
    let line = format!(
        "server 127.0.0.1 port {} iburst minpoll 0",
        source.address().port()
    );
    let told = Told::start(&[&line]);
    let rows = documented_fields().join(" ");
    let status = told.status();
    for (name, value) in status.as_object().expect("an object") {
        assert!(
            rows.contains(&format!("`{name}")),
            "{name} is not in the table"
        );
        let Some(fields) = value.as_object() else {
            continue;
        };
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/node/metrics/status.rs");
        let text = std::fs::read_to_string(path).expect("our source");
        let head: String = text
            .lines()
            .filter(|line| line.starts_with("//!"))
            .collect();
        for field in fields.keys() {
            let known = head.contains(&format!("`{field}`"))
                || head.contains(&format!("`{name}.{field}`"))
                || head.contains(&format!("`{name}.{field}[]`"));
            assert!(known, "{name}.{field} is not in the table");
        }
    }
}

#[test]
fn nobody_who_asks_badly_disturbs_it() {
    let told = Told::start(&[]);
    // More than it keeps, none of which ever asks for anything.
    let idle: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(told.http).expect("it listens"))
        .collect();
    assert_eq!(told.get("/healthz").code, 200);
    for (request, code) in [
        (&b"\x16\x03\x01\x00\xff"[..], 400),
        (b"nonsense\r\n\r\n", 400),
        (
            b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
            405,
        ),
        (b"GET /../etc/passwd HTTP/1.0\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n\r\n", 200),
        (&[b'A'; 9000], 431),
    ] {
        let answer = http::send(told.http, request).expect("it answers");
        assert_eq!(answer.code, code, "{}", String::from_utf8_lossy(request));
        assert!(answer.head.contains("X-Content-Type-Options: nosniff"));
    }
    // One that sends byte by byte is cut off, and one that does not read gets no more than fits.
    let mut slow = TcpStream::connect(told.http).expect("it listens");
    slow.write_all(b"GET /metrics HT").expect("it takes it");
    let mut greedy = TcpStream::connect(told.http).expect("it listens");
    let flood = std::thread::spawn(move || {
        let chunk = [b'A'; 4096];
        (0..10_000)
            .take_while(|_| greedy.write_all(&chunk).is_ok())
            .count()
    });
    assert!(flood.join().expect("it ends") < 10_000, "it was cut off");
    slow.set_read_timeout(Some(Duration::from_secs(20)))
        .expect("not zero");
    #[expect(clippy::disallowed_methods, reason = "a test waits on the real clock")]
    let start = Instant::now();
    assert!(matches!(slow.read(&mut [0; 10]), Ok(0) | Err(_)));
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "it has a deadline"
    );
    // Clients are served as ever, and nobody was worth a line.
    assert!(ask(told.node.address("127.0.0.1")).is_some());
    assert_adds_up(&told.figures());
    let said = told.node.folder().read("stderr");
    assert!(said.lines().count() < 15, "{said}");
    drop(idle);
}

#[test]
fn who_asks_all_the_time_is_put_off() {
    let told = Told::start(&[]);
    let codes: Vec<u16> = (0..300).map(|_| told.get("/metrics").code).collect();
    // It may last longer than a second; but more than a hundred in each there cannot be.
    assert!(codes.iter().all(|code| [200, 503].contains(code)));
    assert_eq!(told.get("/readyz").code, 200, "health is never put off");
    sleep(Duration::from_millis(1100));
    assert_eq!(told.get("/metrics").code, 200);
}

#[test]
fn the_strict_parser_is_strict() {
    let good =
        "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\"} 1\na_total{x=\"2\"} 2\n";
    let histogram = "# HELP h_seconds H.\n# TYPE h_seconds histogram\nh_seconds_bucket{le=\"1\"} 1\n\
                     h_seconds_bucket{le=\"+Inf\"} 2\nh_seconds_sum 3\nh_seconds_count 2\n";
    let parsed = Exposition::parse(&[good, histogram].concat()).expect("it is well");
    assert_eq!(parsed.count("a_total", &[("x", "2")]), 2);
    let without = |line: &str| histogram.replace(line, "");
    for bad in [
        good.replace("# HELP a_total A.\n", ""),
        good.replace("# TYPE a_total counter\n", ""),
        good.replace("counter", "untyped"),
        good.replace("a_total", "a"),
        good.replace("x=\"2\"", "x=\"1\""),
        good.replace("x=\"2\"", "y=\"2\""),
        good.replace("x=\"2\"", "x=\"2"),
        good.replace(" 2\n", " two\n"),
        good.replace(" 2\n", " -2\n"),
        [good, good].concat(),
        without("h_seconds_bucket{le=\"+Inf\"} 2\n"),
        without("h_seconds_sum 3\n"),
        without("h_seconds_count 2\n"),
        histogram.replace("count 2", "count 3"),
        histogram.replace("le=\"1\"} 1", "le=\"1\"} 3"),
        histogram.replace("sum 3", "sum 0.5"),
        histogram.replace("_seconds", "_milliseconds"),
    ] {
        assert!(Exposition::parse(&bad).is_err(), "{bad}");
    }
}

/// Every series that a text of PromQL names: its metric, and the labels that it is asked by.
fn series(promql: &str) -> Vec<(String, Vec<String>)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in promql.match_indices("maser_") {
        if promql[..at].ends_with(is_word) {
            continue;
        }
        let rest = &promql[at..];
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        let labels = rest[name.len()..].strip_prefix('{').unwrap_or("");
        let labels = labels.split('}').next().unwrap_or("").split(',');
        let labels = labels.filter_map(|label| label.split(['=', '!']).next());
        let labels = labels.filter(|label| !label.is_empty()).map(str::to_owned);
        found.push((name, labels.collect()));
    }
    found
}

/// The labels of `by (…)`, `on (…)`, and those that a legend or an annotation shows.
fn shown(text: &str) -> Vec<String> {
    let lists = [" by (", " on ("].map(|start| text.split(start).skip(1));
    let lists = lists.into_iter().flatten();
    let lists = lists.filter_map(|rest| rest.split(')').next());
    let words = lists.flat_map(|list| list.split(','));
    let mut all: Vec<String> = words.map(|word| word.trim().to_owned()).collect();
    for (start, end) in [("{{ $labels.", " }}"), ("{{", "}}")] {
        let rest = text.split(start).skip(1);
        all.extend(rest.filter_map(|rest| Some(rest.split_once(end)?.0.to_owned())));
    }
    all.retain(|label| {
        label
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    });
    all
}

#[test]
fn dashboard_and_alerts_name_only_what_there_is() {
    let source = SkewedServer::start(LOOPBACK, 0, Skew::default(), KeyStore::default());
    let line = format!(
        "server 127.0.0.1 port {} iburst minpoll 0",
        source.address().port()
    );
    let told = Told::start(&[&line]);
    let mut figures = told.figures();
    within(Duration::from_secs(20), "the source is selected", || {
        figures = told.figures();
        figures.count("maser_source_selected", &[]) == 1
    });
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("monitoring");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("our file");
    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).expect("JSON");
    let alerts = read("alerts.yml");
    let mut lines: Vec<String> = alerts
        .split("- alert:")
        .skip(1)
        .map(str::to_owned)
        .collect();
    assert!(lines.len() > 10, "{} alerts", lines.len());
    for alert in &lines {
        for part in [
            "expr: ",
            "for: ",
            "severity: ",
            "summary: \"",
            "description: \"",
        ] {
            assert!(alert.contains(part), "no {part} in {alert}");
        }
    }
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = |field: &str| target[field].as_str().expect("text");
            lines.push(format!("{} {}", text("expr"), text("legendFormat")));
        }
    }
    let known = |name: &str| {
        let families = figures.0.iter();
        let mut families = families.filter(|(family, its)| {
            let suffixes = ["", "_bucket", "_sum", "_count"].into_iter();
            let suffixes = suffixes.filter(|suffix| (its.kind == "histogram") != suffix.is_empty());
            suffixes
                .map(|suffix| format!("{family}{suffix}"))
                .any(|full| full == name)
        });
        families.next().map(|(_, family)| family)
    };
    let (mut named, mut labelled) = (0, 0);
    // Prometheus adds two to whatever it has read.
    let added = ["job", "instance"];
    for line in &lines {
        let mut there: Vec<String> = added.map(str::to_owned).to_vec();
        for (name, labels) in series(line) {
            let family = known(&name).unwrap_or_else(|| panic!("there is no {name}: {line}"));
            named += 1;
            let has: Vec<String> = family
                .samples
                .iter()
                .flat_map(|(_, l, _)| l.keys().cloned())
                .collect();
            for label in labels {
                assert!(
                    added.contains(&&*label) || has.contains(&label),
                    "{label}: {line}"
                );
            }
            there.extend(has);
        }
        for label in shown(line) {
            labelled += 1;
            assert!(there.contains(&label), "there is no label {label}: {line}");
        }
    }
    assert!(named > 50 && labelled > 30, "{named} {labelled}");
}
