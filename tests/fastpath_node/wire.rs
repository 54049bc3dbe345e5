//! Two machines on a wire, which are network namespaces and a veth; and a node on one of them.

use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use libbpf_rs::{ObjectBuilder, Xdp, XdpFlags};
use maser::sys::bpf;

use super::support::exposition::Exposition;
use super::support::node::Folder;
use super::support::seen::within;
use super::support::{http, keys, skip, tool};

/// The node's addresses, and the first of the clients', who have all with the same first half.
pub(crate) const NODE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));
pub(crate) const NODE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1));
pub(crate) const CLIENT_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2));
pub(crate) const CLIENT_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 2));
/// The end of the wire, at both machines.
pub(crate) const INTERFACE: &str = "wire";
const PORT: u16 = 123;

/// The wire, seen from the machine of the clients.
pub(crate) struct Wire {
    /// The other machine.
    node: String,
}

/// Runs a test on a wire of its own: `name` is the test's with its module's, as the harness has it.
///
/// The whole test binary runs once more among the clients: a namespace is a thread's own, and the call that changes it is
/// not one for tests.
#[track_caller]
pub(crate) fn on_wire(name: &str, test: impl FnOnce(&Wire)) {
    if let Some(node) = std::env::var_os(INSIDE) {
        let wire = Wire {
            node: node.into_string().expect("a name"),
        };
        wire.let_pass(INTERFACE);
        return test(&wire);
    }
    let Some(machines) = Machines::new() else {
        return;
    };
    let mut command = machines.command(1);
    command.arg(std::env::current_exe().expect("a program"));
    command.args(["--exact", name, "--nocapture"]);
    let output = tool::run(command.env(INSIDE, &machines.names[0]));
    let said = tool::said(&output);
    // None would have run with another name.
    assert!(
        output.status.success() && said.contains("test result: ok. 1 passed"),
        "{said}"
    );
    if std::env::args().any(|word| word == "--nocapture") {
        eprint!("{said}");
    }
}

/// Both namespaces, the node's first; they go with the value.
struct Machines {
    names: [String; 2],
}

impl Machines {
    fn new() -> Option<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        if !tool::need_root() {
            return None;
        }
        for program in ["ip", "ethtool", "nsenter", "setpriv"] {
            tool::need(program)?;
        }
        if !Path::new(PROGRAMS).exists() && fs::create_dir(PROGRAMS).is_err() {
            skip("there is no file system of programs at /sys/fs/bpf");
            return None;
        }
        let mark = format!(
            "xn{}n{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let machines = Self {
            names: [format!("{mark}a"), format!("{mark}b")],
        };
        for name in &machines.names {
            let made = tool::run(Command::new("ip").args(["netns", "add", name]));
            if !made.status.success() {
                skip("no network namespace can be made here");
                return None;
            }
        }
        connect(&machines.names);
        Some(machines)
    }

    /// Runs what is added to it on one of the machines.
    fn command(&self, machine: usize) -> Command {
        inside(&self.names[machine])
    }
}

/// The wire between the node's machine and the clients'.
#[track_caller]
fn connect([node, clients]: &[String; 2]) {
    run(&format!(
        "ip link add {INTERFACE} netns {node} type veth peer name {INTERFACE} netns {clients}"
    ));
    for (name, v4, v6) in [(node, NODE_V4, NODE_V6), (clients, CLIENT_V4, CLIENT_V6)] {
        run(&format!("ip -n {name} addr add {v4}/16 dev {INTERFACE}"));
        run(&format!(
            "ip -n {name} addr add {v6}/32 dev {INTERFACE} nodad"
        ));
        run(&format!("ip -n {name} link set lo up"));
        run(&format!("ip -n {name} link set {INTERFACE} up"));
    }
    // As on a wire: what a veth leaves for a card to do nobody would do.
    let offloads = format!("ethtool -K {INTERFACE} tx off txvlan off tx-vlan-stag-hw-insert off");
    let output = tool::run(inside(clients).args(offloads.split(' ')));
    assert!(output.status.success(), "{}", tool::said(&output));
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = fs::remove_dir_all(pins(name));
            tool::run(Command::new("ip").args(["netns", "del", name]));
        }
    }
}

/// `ip netns exec` would hide the file system of programs.
fn inside(name: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", namespace(name).display()));
    command
}

fn namespace(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

/// Where a node on this machine keeps its links.
fn pins(name: &str) -> PathBuf {
    let inode = fs::metadata(namespace(name)).map_or(0, |of| of.ino());
    Path::new(PROGRAMS).join(inode.to_string())
}

/// Runs a command to its end, which must be a good one; what it printed.
#[track_caller]
fn run(words: &str) -> String {
    let (program, rest) = words.split_once(' ').expect("words");
    let output = tool::run(Command::new(program).args(rest.split(' ')));
    assert!(output.status.success(), "{words}: {}", tool::said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Wire {
    /// `ip` on the node's machine.
    #[track_caller]
    pub(crate) fn ip(&self, words: &str) -> String {
        run(&format!("ip -n {} {words}", self.node))
    }

    /// `ip` on the clients' machine, and other commands there.
    #[track_caller]
    pub(crate) fn here(&self, words: &str) -> String {
        run(words)
    }

    /// Takes both ends away, and puts others in their place.
    #[track_caller]
    pub(crate) fn replace(&self) {
        self.ip(&format!("link del {INTERFACE}"));
        let mark = self.node.strip_suffix('a').expect("the node's machine");
        connect(&[self.node.clone(), format!("{mark}b")]);
        self.let_pass(INTERFACE);
    }

    /// More addresses of the clients.
    #[track_caller]
    pub(crate) fn add_clients(&self, addresses: &[IpAddr]) {
        for address in addresses {
            let (length, flag) = if address.is_ipv4() {
                (16, "")
            } else {
                (32, " nodad")
            };
            run(&format!(
                "ip addr add {address}/{length} dev {INTERFACE}{flag}"
            ));
        }
    }

    /// Of the clients' machine: see [`let_pass`].
    #[track_caller]
    pub(crate) fn let_pass(&self, interface: &str) {
        let_pass(interface);
    }

    /// The test binary itself, run on the node's machine for this one of its tests.
    pub(crate) fn again(&self, test: &str) -> Command {
        let mut command = self.command(std::env::current_exe().expect("a program"));
        command.args(["--exact", test, "--nocapture"]);
        command
    }

    /// The folder of names of the node's links.
    pub(crate) fn pins(&self) -> PathBuf {
        pins(&self.node)
    }

    /// A command for the node's machine: a program that may do anything there but set the clock.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = inside(&self.node);
        command.args(["setpriv", "--bounding-set=-sys_time"]);
        command.arg(program);
        command
    }

    /// A node with these directives that has begun to serve.
    #[track_caller]
    pub(crate) fn start(&self, lines: &[&str]) -> Node {
        let folder = Folder::new();
        let conf = self.configuration(&folder, lines);
        let mut command = self.command(env!("CARGO_BIN_EXE_maser"));
        let child = folder.spawn(command.args(["serve", "-x", "-f"]).arg(conf));
        let mut node = Node { child, folder };
        let socket = node.http();
        within(Duration::from_secs(20), "it has started", || {
            if let Some(status) = node.child.try_wait().expect("our child") {
                panic!("it ended at once: {status}\n{}", node.folder.log());
            }
            http::get_locally(&socket, "/healthz").is_ok_and(|answer| answer.code == 200)
        });
        node
    }

    /// One that must not start: what it says.
    #[track_caller]
    pub(crate) fn refused(&self, lines: &[&str]) -> Output {
        let command = self.command(env!("CARGO_BIN_EXE_maser"));
        self.refused_by(command, lines)
    }

    /// The same on the clients' machine.
    #[track_caller]
    pub(crate) fn refused_here(&self, lines: &[&str]) -> Output {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-sys_time", env!("CARGO_BIN_EXE_maser")]);
        self.refused_by(command, lines)
    }

    #[track_caller]
    fn refused_by(&self, mut command: Command, lines: &[&str]) -> Output {
        let folder = Folder::new();
        let conf = self.configuration(&folder, lines);
        let output = tool::run(command.args(["serve", "-x", "-t", "20", "-f"]).arg(conf));
        assert!(!output.status.success(), "{}", tool::said(&output));
        output
    }

    fn configuration(&self, folder: &Folder, lines: &[&str]) -> PathBuf {
        let key_file = folder.write("keys", &keys::file());
        let own = key_file.parent().expect("a folder");
        fs::set_permissions(own, Permissions::from_mode(0o700)).expect("ours");
        if let Some(user) = lines.iter().find_map(|line| line.strip_prefix("user ")) {
            // As packages have it: the folder of the socket, and the keys.
            let number = tool::run(Command::new("id").args(["-u", user])).stdout;
            let number = String::from_utf8_lossy(&number).trim().parse();
            let number = number.expect("a number");
            for path in [&*key_file, own] {
                chown(path, Some(number), None).expect("root may");
            }
        }
        let mut text = format!(
            "port {PORT}\ncmdport 0\nbindcmdaddress {}\npidfile /\nkeyfile {}\nworkers 1\n",
            own.join("chronyc.sock").display(),
            key_file.display(),
        );
        for line in lines {
            text += line;
            text += "\n";
        }
        folder.write("conf", &text)
    }
}

/// The other end of a veth hands frames over only where a program is attached, so one is that lets all pass.
#[track_caller]
pub(crate) fn let_pass(interface: &str) {
    libbpf_rs::set_print(None);
    let mut builder = ObjectBuilder::default();
    let mut open = builder.open_memory(OBJECT).expect("our object");
    for mut map in open.maps_mut() {
        map.set_autocreate(false).expect("nothing is there yet");
    }
    for mut program in open.progs_mut() {
        let is_wanted = program.name() == "let_pass";
        program.set_autoload(is_wanted);
    }
    let object = open.load().expect("the kernel takes it");
    let mut programs = object.progs();
    let program = programs.find(|program| program.name() == "let_pass");
    let program = program.expect("it is in the object");
    let number = bpf::interface_number(interface).expect("it is there");
    let number = i32::try_from(number).expect("small");
    Xdp::new(program.as_fd())
        .attach(number, XdpFlags::DRV_MODE)
        .expect("a veth takes programs");
}

/// A node on the other machine.
pub(crate) struct Node {
    child: Child,
    folder: Folder,
}

impl Node {
    /// Where to ask it, in the family of this address.
    pub(crate) fn address(family: IpAddr) -> SocketAddr {
        let ip = if family.is_ipv4() { NODE_V4 } else { NODE_V6 };
        SocketAddr::new(ip, PORT)
    }

    /// The folder it runs in.
    pub(crate) const fn folder(&self) -> &Folder {
        &self.folder
    }

    fn http(&self) -> PathBuf {
        self.folder.write("mark", "").with_file_name("http.sock")
    }

    /// What it counts, read at this moment.
    #[track_caller]
    pub(crate) fn figures(&self) -> Exposition {
        let answer = http::get_locally(&self.http(), "/metrics").expect("it answers");
        assert_eq!(answer.code, 200);
        Exposition::parse(&answer.body).unwrap_or_else(|why| panic!("{why}\n{}", answer.body))
    }

    /// `chronyc -n -c`, by its socket.
    #[track_caller]
    pub(crate) fn chronyc(&self, words: &str) -> String {
        let socket = self.folder.write("mark", "").with_file_name("chronyc.sock");
        let mut command = Command::new("chronyc");
        command.args(["-n", "-c", "-h"]).arg(socket);
        let output = tool::run(command.args(words.split(' ')));
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Ends it by this signal; whether it said that it ended well, and its folder.
    #[track_caller]
    pub(crate) fn end(mut self, signal: &str) -> (bool, String) {
        tool::run(Command::new("kill").args([signal, &self.child.id().to_string()]));
        let mut ended = None;
        within(Duration::from_secs(10), "it has ended", || {
            ended = self.child.try_wait().expect("our child");
            ended.is_some()
        });
        let well = ended.is_some_and(|status| status.success());
        (well, self.folder.read("stderr"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A test that fails, or does not care, leaves no process behind. It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the node said\n{}", self.folder.log());
        }
    }
}

/// Names the node's namespace to a test that runs among the clients.
const INSIDE: &str = "MASER_TEST_WIRE";
const PROGRAMS: &str = "/sys/fs/bpf/maser";
/// The program of the other end is in the same object as ours.
const OBJECT: &[u8] = include_bytes!("../../src/fastpath/respond.bpf.o");
