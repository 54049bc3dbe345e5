//! Where a running node's log lines go, in which form, and that strangers cannot make it write.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::node::{Folder, Port};
use support::seen::{ask, within};
use support::tool::run;

/// A node on loopback whose stderr is a file.
struct Logging {
    node: Child,
    folder: Folder,
    ntp: Port,
    commands: Port,
}

impl Drop for Logging {
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

impl Logging {
    /// `prepare` sees the command and the path of stderr before it starts.
    fn start(lines: &str, prepare: impl FnOnce(&mut Command, &PathBuf)) -> Self {
        let (folder, ntp, commands) = (Folder::new(), Port::free(), Port::free());
        let text = format!(
            "port {}\ncmdport {}\nbindcmdaddress /\npidfile /\nworkers 1\nallow 127.0.0.0/8\n\
             local stratum 3\n{lines}\n",
            ntp.number, commands.number
        );
        let conf = folder.write("conf", &text);
        let stderr = folder.write("stderr", "");
        let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
        command.args(["serve", "-x", "-f"]).arg(conf);
        prepare(&mut command, &stderr);
        let opened = File::options().append(true).open(&stderr);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(opened.expect("our folder"));
        let node = command.spawn().expect("our binary");
        let logging = Self {
            node,
            folder,
            ntp,
            commands,
        };
        within(Duration::from_secs(10), "it answers", || {
            ask(logging.ntp()).is_some()
        });
        logging
    }

    fn ntp(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ntp.number).into()
    }

    fn stderr(&self) -> String {
        self.folder.read("stderr")
    }

    fn end(&mut self) {
        run(Command::new("kill").args(["-TERM", &self.node.id().to_string()]));
        assert!(self.node.wait().expect("our child").success());
    }
}

#[test]
fn in_the_journal_a_line_has_its_level() {
    let line = "server 192.0.2.1 offline";
    let mut logging = Logging::start(line, |command, stderr| {
        let file = std::fs::metadata(stderr).expect("our folder");
        let stream = format!("{}:{}", file.dev(), file.ino());
        command.env("JOURNAL_STREAM", stream);
    });
    logging.end();
    let text = logging.stderr();
    assert!(text.lines().count() > 3, "{text}");
    for line in text.lines() {
        assert!(line.starts_with("<6>") || line.starts_with("<4>"), "{line}");
    }
    assert!(text.contains("<6>listening on "), "{text}");
    assert!(text.contains("<6>SIGTERM: ending"), "{text}");
}

#[test]
fn elsewhere_it_has_the_time() {
    // Left over from a parent whose stderr was the journal.
    let logging = Logging::start("", |command, _| {
        command.env("JOURNAL_STREAM", "1:1");
    });
    // A worker may answer before it is told that it does.
    within(Duration::from_secs(10), "it is told", || {
        logging.stderr().contains("Z listening on ")
    });
    let text = logging.stderr();
    for line in text.lines() {
        let (time, _) = line.split_once(' ').expect("a time and words");
        assert!(
            time.len() == 20 && time.starts_with("20") && time.ends_with('Z'),
            "{line}"
        );
    }
}

#[test]
fn syslog_gets_them_as_from_any_daemon() {
    let folder = Folder::new();
    let path = folder.write("mark", "").with_file_name("log");
    let logger = UnixDatagram::bind(&path).expect("our folder");
    logger.set_nonblocking(true).expect("ours");
    let mut logging = Logging::start("", |command, _| {
        command.arg(format!("--syslog={}", path.display()));
    });
    logging.end();
    let mut packet = [0; 1000];
    let mut lines = Vec::new();
    loop {
        match logger.recv(&mut packet) {
            Ok(len) => lines.push(String::from_utf8_lossy(&packet[..len]).into_owned()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    let mark = format!("maser[{}]: ", logging.node.id());
    for line in &lines {
        let rest = line
            .strip_prefix("<30>")
            .or_else(|| line.strip_prefix("<28>"));
        assert!(rest.is_some_and(|rest| rest.starts_with(&mark)), "{line}");
    }
    assert!(
        lines.iter().any(|line| line.contains("listening on ")),
        "{lines:?}"
    );
    assert_eq!(logging.stderr(), "");
}

#[test]
fn a_file_gets_them_behind_what_it_has() {
    let folder = Folder::new();
    let path = folder.write("log", "before\n");
    let mut logging = Logging::start("", |command, _| {
        command.arg("-l").arg(&path);
    });
    logging.end();
    let text = folder.read("log");
    assert!(
        text.starts_with("before\n20") && text.contains("listening on "),
        "{text}"
    );
    assert_eq!(logging.stderr(), "");
}

/// Ten thousand packets of every bad kind to each port: no line for any of them.
#[test]
fn strangers_do_not_write() {
    let http = Port::free().number;
    let lines = format!("metrics 127.0.0.1:{http}\nratelimit interval 1\ncmdratelimit interval 1");
    let mut logging = Logging::start(&lines, |_, _| {});
    let before = logging.stderr().lines().count();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let commands: SocketAddr = (Ipv4Addr::LOCALHOST, logging.commands.number).into();
    let mut bits: u64 = 1;
    for number in 0..10_000_u32 {
        bits = bits
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(u64::from(number) | 1);
        let mut packet = [0; 600];
        for (at, byte) in packet.iter_mut().enumerate() {
            *byte = (bits >> (at % 57)).to_le_bytes()[0];
        }
        let len = usize::try_from(bits >> 33).expect("31 bits") % packet.len();
        // Some look like what they should be up to their headers.
        if number % 3 == 0 {
            packet[0] = 0x23;
        }
        let _ = socket.send_to(&packet[..len], logging.ntp());
        if number % 3 == 0 {
            packet[..4].copy_from_slice(&[6, 1, 0, 0]);
            packet[4..6].copy_from_slice(&[0, u8::try_from(number % 80).expect("below 80")]);
        }
        let _ = socket.send_to(&packet[..len.max(28)], commands);
        if number % 50 == 0 {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, http));
            let mut stream = stream.expect("it listens");
            let _ = stream.write_all(&packet[..len]);
        }
    }
    // It is alive, and has taken most of them in.
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, http)).expect("it listens");
    stream
        .write_all(b"GET /status.json HTTP/1.0\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a response");
    let status: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let taken = |pointer: &str| status.pointer(pointer).and_then(serde_json::Value::as_u64);
    assert!(taken("/requests/total/dropped") > Some(5000), "{answer}");
    assert!(taken("/commands/requests") > Some(1000), "{answer}");
    let text = logging.stderr();
    let more = text.lines().count() - before;
    assert!(more <= 3, "{more} lines:\n{text}");
    logging.end();
}
