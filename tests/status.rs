//! `maser status` and `maser health` of a running node.

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use support::node::{Folder, Port};
use support::seen::{ask, within};
use support::tool::{run, said};

struct Served {
    node: Child,
    _folder: Folder,
    port: Port,
    socket: PathBuf,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

impl Served {
    fn start(lines: &str) -> Self {
        let (folder, port) = (Folder::new(), Port::free());
        let socket = folder.write("mark", "").with_file_name("http.sock");
        let own = socket.parent().expect("a folder");
        std::fs::set_permissions(own, std::fs::Permissions::from_mode(0o700)).expect("ours");
        let text = format!(
            "port {}\ncmdport 0\nbindcmdaddress {}\npidfile /\nworkers 1\nallow 127.0.0.0/8\n{lines}\n",
            port.number,
            own.join("maser.sock").display(),
        );
        let conf = folder.write("conf", &text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
        let node = folder.spawn(command.args(["serve", "-x", "-f"]).arg(conf));
        let served = Self {
            node,
            _folder: folder,
            port,
            socket,
        };
        within(Duration::from_secs(10), "it answers", || {
            served.run(&["status"]).status.success()
        });
        served
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
        run(command.args(arguments).arg("--socket").arg(&self.socket))
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn a_good_node_and_what_it_answers() {
    // Let go of: a TCP port cannot be shared.
    let http = Port::free().number;
    let served = Served::start(&format!("local stratum 3\nmetrics 127.0.0.1:{http}"));
    let server = std::net::SocketAddr::from(([127, 0, 0, 1], served.port.number));
    for _ in 0..25 {
        ask(server).expect("it answers");
    }
    let output = served.run(&["health"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        stdout(&output).starts_with("ready: stratum 3"),
        "{}",
        said(&output)
    );
    let screen = stdout(&served.run(&["status"]));
    let first = screen.lines().next().unwrap_or_default();
    assert!(
        first.ends_with("  READY") && first.starts_with("maser "),
        "{screen}"
    );
    let answered = screen.lines().find(|line| line.starts_with("  answered"));
    assert!(
        answered.is_some_and(|line| line.ends_with(" 25")),
        "{screen}"
    );
    assert!(!screen.contains('\x1b'), "no colours in a pipe");
    // The same by its address, and as it is.
    let url = format!("http://127.0.0.1:{http}/");
    let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
    let output = run(command.args(["status", "--json", "--url", &url]));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(status["requests"]["total"]["answered"], 25);
    assert_eq!(status["clock"]["stratum"], 3);
}

#[test]
fn a_node_that_is_not_synchronised() {
    let served = Served::start("server 192.0.2.1 offline");
    let output = served.run(&["health"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).starts_with("not synchronised"),
        "{}",
        said(&output)
    );
    let output = served.run(&["health", "-q"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let screen = stdout(&served.run(&["status"]));
    assert!(screen.contains("NOT READY\nnot synchronised: "), "{screen}");
    assert!(screen.contains("CLOCK    not synchronised"), "{screen}");
    assert!(
        screen.contains("  ? 192.0.2.1                      offline"),
        "{screen}"
    );
}

#[test]
fn watching_goes_on_over_a_restart_and_ends_with_the_reader() {
    let served = Served::start("local stratum 3");
    let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
    command
        .args(["status", "--watch", "0.1", "--socket"])
        .arg(&served.socket);
    let mut watching = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("our binary");
    let mut reader = watching.stdout.take().expect("piped");
    let mut seen = String::new();
    let mut bytes = [0; 4096];
    while seen.matches("READY").count() < 3 {
        let len = reader.read(&mut bytes).expect("it goes on");
        assert!(len > 0, "{seen}");
        seen += &String::from_utf8_lossy(&bytes[..len]);
    }
    drop(served);
    while !seen.contains("no answer from") {
        let len = reader.read(&mut bytes).expect("it goes on");
        assert!(len > 0, "{seen}");
        seen += &String::from_utf8_lossy(&bytes[..len]);
    }
    drop(reader);
    within(Duration::from_secs(5), "it ends", || {
        watching.try_wait().is_ok_and(|status| status.is_some())
    });
}

#[test]
fn nobody_there() {
    for command in ["status", "health"] {
        let mut asked = Command::new(env!("CARGO_BIN_EXE_maser"));
        let output = run(asked.args([command, "--socket", "/no/such/http.sock"]));
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("no answer from /no/such/http.sock"), "{text}");
        assert!(output.stdout.is_empty());
    }
}
