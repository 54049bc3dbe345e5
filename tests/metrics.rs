//! What a running node says over HTTP: figures that add up, health that is true, and nobody who can disturb it.

#[path = "metrics/health.rs"]
mod health;
#[path = "metrics/monitoring.rs"]
mod monitoring;
#[expect(dead_code, reason = "other tests ask how far ahead it is")]
#[path = "impaired/skewed.rs"]
mod skewed;
#[path = "metrics/sums.rs"]
mod sums;
#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use maser::auth::KeyStore;
use serde_json::Value;
use skewed::{Skew, SkewedServer};
use sums::assert_adds_up;
use support::bench;
use support::exposition::Exposition;
use support::node::{Directives, Folder, Node, Port, Server};
use support::seen::ask;
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

    /// The figures once nothing moves any more: a reply is there a moment before it is counted.
    #[track_caller]
    fn figures_at_rest(&self) -> Exposition {
        let moving = |figures: &Exposition| {
            let families = ["maser_received_total", "maser_replies_total"];
            families.map(|family| figures.count(family, &[]))
        };
        let mut figures = self.figures();
        for _ in 0..100 {
            sleep(Duration::from_millis(50));
            let later = self.figures();
            if moving(&later) == moving(&figures) {
                return later;
            }
            figures = later;
        }
        panic!("it never rests");
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
    assert_adds_up(&told.figures_at_rest());
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
