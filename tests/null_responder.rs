//! `maser bench --null --listen`: the responder in a process of its own, driven by a harness in another.
//!
//! In a file of its own, since it spins, and other tests of the harness count what a slow server drops.

use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};

struct Responder(Child);

impl Drop for Responder {
    fn drop(&mut self) {
        // Nothing else ends it; a failing test must not leave it spinning.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
    command.arg("bench").args(arguments);
    command
}

#[test]
fn it_answers_another_process() {
    let mut command = bench(&["--null", "--listen", "127.0.0.1:0"]);
    let child = command.stdout(Stdio::piped()).spawn();
    let mut responder = Responder(child.expect("it starts"));
    let mut line = String::new();
    let said = responder.0.stdout.take().expect("piped");
    BufReader::new(said).read_line(&mut line).expect("a line");
    let address = line.trim_end().strip_prefix("null responder at ");
    let address = address.unwrap_or_else(|| panic!("{line:?}"));
    // A machine under load may send late; nothing may be lost or wrong.
    let plan = [
        address,
        "--rate",
        "500",
        "--duration",
        "0.4",
        "--warmup",
        "0",
    ];
    let lenient = ["--late", "5000", "--timeout", "5", "--loss", "0"];
    let output = bench(&plan).args(lenient).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.ends_with("held\n"),
        "{told}"
    );
}

#[test]
fn a_port_that_is_taken_is_said() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let address = taken.local_addr().expect("bound").to_string();
    let mut command = bench(&["--null", "--listen", &address]);
    let child = command.stderr(Stdio::piped()).spawn();
    let mut responder = Responder(child.expect("it starts"));
    let mut line = String::new();
    let said = responder.0.stderr.take().expect("piped");
    BufReader::new(said).read_line(&mut line).expect("a line");
    assert!(
        line.contains("--listen") && line.contains(&address),
        "{line:?}"
    );
    assert_eq!(responder.0.wait().expect("our child").code(), Some(1));
}
