//! A server in a folder of its own, from start to summary.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::Duration;

use super::{client, keys, tool};

/// Counters that say why a packet was refused, by their names in the summary.
pub(crate) const REFUSALS: [&str; 14] = [
    "too_late",
    "bad_length",
    "bad_version",
    "bad_mode",
    "denied",
    "rate_limited",
    "unknown_key",
    "bad_mac",
    "short_mac",
    "crypto_nak",
    "malformed_extension",
    "ms_sntp",
    "auth_required",
    "unsynchronised",
];

/// Which program serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Maser,
    Chronyd,
}

impl Server {
    /// `MASER_CONFORMANCE_SERVER`, or ours.
    pub(crate) fn chosen() -> Self {
        match std::env::var("MASER_CONFORMANCE_SERVER").as_deref() {
            Ok("chronyd") => Self::Chronyd,
            Ok("maser" | "") | Err(_) => Self::Maser,
            Ok(other) => panic!("MASER_CONFORMANCE_SERVER={other}: maser or chronyd"),
        }
    }
}

/// A running server that allows loopback, knows [`keys::ALL`], and ends with the test.
pub(crate) struct Node {
    server: Server,
    child: Child,
    folder: Folder,
    port: Port,
}

/// A node's directives: those that chrony has too, and those of ours.
#[derive(Clone, Copy, Default)]
pub(crate) struct Directives<'a> {
    pub(crate) chrony: &'a [&'a str],
    /// Those chronyd 4.3 does not know. With any of these the test is about our server alone.
    pub(crate) ours: &'a [&'a str],
    /// Nobody is answered, so the start cannot wait for an answer.
    pub(crate) silent: bool,
}

impl Node {
    /// Starts a server with a local reference of stratum 5, and these of chrony's directives.
    pub(crate) fn start(chrony: &[&str]) -> Option<Self> {
        let local = [&["local stratum 5"], chrony].concat();
        Self::with(Directives {
            chrony: &local,
            ..Directives::default()
        })
    }

    /// Starts a server and waits until it answers. `None`: there is nothing to test, or it is
    /// skipped and has said why.
    pub(crate) fn with(directives: Directives<'_>) -> Option<Self> {
        Self::of(Server::chosen(), directives)
    }

    /// The same of this server, whichever was chosen.
    pub(crate) fn of(server: Server, directives: Directives<'_>) -> Option<Self> {
        if server == Server::Chronyd && !directives.ours.is_empty() {
            return None; // Asked for by name: what chronyd has not is not missing.
        }
        let folder = Folder::new();
        let port = Port::free();
        let configuration = folder.configuration(server, port.number, directives);
        let mut command = match server {
            Server::Maser => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
                // -x: no test touches the clock.
                command.args(["serve", "-x", "-f"]).arg(configuration);
                command
            }
            Server::Chronyd => {
                let mut command = Command::new(tool::need("chronyd")?);
                // -x: it never touches the clock. -U: it may run without being root.
                command.args(["-x", "-d", "-U", "-u", &tool::user("-un"), "-f"]);
                command.arg(configuration);
                command
            }
        };
        let mut node = Self {
            server,
            child: folder.spawn(&mut command),
            folder,
            port,
        };
        node.wait_until_it_answers(directives.silent);
        Some(node)
    }

    /// Where to ask it.
    pub(crate) fn address(&self, ip: &str) -> SocketAddr {
        let ip: IpAddr = ip.parse().expect("an address");
        SocketAddr::new(ip, self.port.number)
    }

    /// The port it serves.
    pub(crate) fn port(&self) -> u16 {
        self.port.number
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder it runs in.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Ends it with SIGTERM and reads what it counted; `None` for chronyd, which counts otherwise.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Option<Summary> {
        tool::run(Command::new("kill").args(["-TERM", &self.child.id().to_string()]));
        for _ in 0..1000 {
            if let Some(status) = self.child.try_wait().expect("our child") {
                assert!(status.success(), "{status}");
                let said = self.folder.read("stdout");
                return (self.server == Server::Maser).then(|| Summary::parse(&said));
            }
            sleep(Duration::from_millis(10));
        }
        panic!("still there 10 s after SIGTERM");
    }

    fn wait_until_it_answers(&mut self, silent: bool) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(self.address("127.0.0.1")).expect("loopback");
        let patience = Duration::from_secs(1);
        socket.set_read_timeout(Some(patience)).expect("not zero");
        for _ in 0..500 {
            if let Some(status) = self.child.try_wait().expect("our child") {
                panic!("it ended at once: {status}");
            }
            // While nobody is bound the kernel refuses, on this send or on the receive before it.
            let asked = socket.send(&client::request(4, 3, 1));
            match asked.and_then(|_| client::receive(&socket, &mut [0; 100])) {
                Ok(_) => return,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    sleep(Duration::from_millis(10));
                }
                Err(_) if silent => return,
                Err(_) => {} // Bound, but the first packet came too early for its loop.
            }
        }
        panic!("no answer");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A test that fails, or does not care, leaves no process behind. It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server said\n{}", self.folder.log());
        }
    }
}

/// What our server prints when it ends.
#[derive(Debug)]
pub(crate) struct Summary {
    counters: BTreeMap<String, u64>,
    /// Datagrams that each worker received.
    pub(crate) workers: Vec<u64>,
}

impl Summary {
    /// From lines of `name  value`; other lines are for people.
    pub(crate) fn parse(text: &str) -> Self {
        let pair = |line: &str| {
            let mut words = line.split_whitespace();
            let (name, value) = (words.next()?, words.next()?.parse().ok()?);
            words.next().is_none().then(|| (name.to_owned(), value))
        };
        let counters: BTreeMap<_, _> = text.lines().filter_map(pair).collect();
        assert!(!counters.is_empty(), "no counter in the summary:\n{text}");
        let share = |line: &str| {
            let (_, received) = line.strip_prefix("worker ")?.split_once("received ")?;
            received.split_whitespace().next()?.parse().ok()
        };
        Self {
            counters,
            workers: text.lines().filter_map(share).collect(),
        }
    }

    /// A counter that must be there.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> u64 {
        let value = self.counters.get(name);
        *value.unwrap_or_else(|| panic!("no `{name}` in {self:?}"))
    }

    /// Of all refusals this one was counted, and no others.
    #[track_caller]
    pub(crate) fn assert_refused_only(&self, counter: &str) {
        let times = self.get(counter);
        assert!(times > 0, "no {counter} in {self:?}");
        self.assert_refused(&[(counter, times)]);
    }

    /// Of all refusals these were counted, this often, and no others.
    #[track_caller]
    pub(crate) fn assert_refused(&self, expected: &[(&str, u64)]) {
        for name in REFUSALS {
            let expected = expected.iter().find(|(counter, _)| *counter == name);
            let expected = expected.map_or(0, |(_, times)| *times);
            assert_eq!(self.get(name), expected, "{name} in {self:?}");
        }
    }
}

/// A folder below Cargo's for tests, gone when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("node-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    /// Writes a file, readable by us alone, and says where it is.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.0.join(name);
        let mut options = File::options();
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path);
        std::io::Write::write_all(&mut file.expect("our folder"), text.as_bytes())
            .expect("room for a small file");
        path
    }

    /// The whole of a file; empty where it is not there.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    /// A server's configuration, and its keys beside it.
    pub(crate) fn configuration(
        &self,
        server: Server,
        port: u16,
        directives: Directives<'_>,
    ) -> PathBuf {
        let keys = self.write("keys", &keys::file());
        let mut text = format!(
            "port {port}\ncmdport 0\nbindcmdaddress /\npidfile {}\nkeyfile {}\n\
             allow 127.0.0.0/8\nallow ::1\n",
            self.0.join("pid").display(),
            keys.display()
        );
        if server == Server::Maser {
            // One worker: what was sent first is answered first.
            text += "workers 1\n";
        }
        for line in directives.chrony.iter().chain(directives.ours) {
            text += line;
            text += "\n";
        }
        self.write("conf", &text)
    }

    /// Starts a program that writes into this folder.
    pub(crate) fn spawn(&self, command: &mut Command) -> Child {
        let file = |name| File::create(self.0.join(name)).expect("our folder");
        command
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"));
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Configuration and output of the program, for a failing test.
    pub(crate) fn log(&self) -> String {
        ["conf", "stdout", "stderr"]
            .map(|name| format!("{name}:\n{}", self.read(name)))
            .concat()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is below target/; nothing depends on it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A UDP port that is free in both families, and stays another's to no other test while this lives.
///
/// Servers share ports (`SO_REUSEPORT`), so two tests could meet on one without an error. A listener
/// on the TCP port of the same number, which nobody can share, says that it is taken.
pub(crate) struct Port {
    pub(crate) number: u16,
    _taken: TcpListener,
}

impl Port {
    /// One that nobody has.
    pub(crate) fn free() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let start = u16::try_from(std::process::id() % 12_000).expect("below 12000");
        for _ in 0..1000 {
            // Below the range from which the kernel takes the ports of clients.
            let number = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
            let Ok(taken) = TcpListener::bind(("127.0.0.1", number)) else {
                continue;
            };
            let free = |any: &str| UdpSocket::bind((any, number)).is_ok();
            if free("0.0.0.0") && free("::") {
                return Self {
                    number,
                    _taken: taken,
                };
            }
        }
        panic!("no port is free");
    }
}
