//! What is asked: an echo of ours, and programs, each on one core.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use maser::sys::{Burst, PortOptions, UdpPort};

use crate::support::node::{Directives, Folder, Port, Server, Summary};
use crate::support::{client, tool};

/// Sends back what comes, looking at nothing but where it came from: what the kernel alone takes of a
/// worker's time. Its port, buffers and calls are a worker's.
pub(crate) struct Echo(UdpPort);

impl Echo {
    /// Opens a port as the node does: for every address, with stamps and destination addresses.
    pub(crate) fn open() -> Self {
        let port = UdpPort::open(&PortOptions {
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            device: None,
            dscp: 0,
            shared: false,
            buffer_bytes: 8 << 20,
        });
        Self(port.expect("a port on loopback"))
    }

    /// Where to ask it.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.0.address().port()))
    }

    /// Spins until `stop` is set.
    pub(crate) fn run(&self, stop: &AtomicBool) {
        let mut burst = Burst::new(64, 1100);
        while !stop.load(Ordering::Relaxed) {
            let received = self.0.receive(&mut burst).expect("loopback");
            for slot in 0..received {
                let datagram = burst.datagram(slot);
                burst.keep(slot, &datagram, datagram.len, false);
            }
            if received > 0 {
                self.0.transmit(&mut burst);
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

/// A server in a process of its own. It ends when dropped.
pub(crate) struct Program {
    server: Server,
    child: Child,
    folder: Folder,
    port: Port,
}

impl Program {
    /// Starts a server on a core, with the tests' keys, and waits until it answers. Else: why not.
    pub(crate) fn start(server: Server, core: usize) -> Result<Self, String> {
        let (folder, port) = (Folder::new(), Port::free());
        let cpus = format!("cpus {core}");
        let ours = [cpus.as_str(), "pace adaptive"];
        let directives = Directives {
            chrony: &["local stratum 5"],
            ours: if server == Server::Maser { &ours } else { &[] },
            silent: false,
        };
        let configuration = folder.configuration(server, port.number, directives);
        let mut command = match server {
            Server::Maser => Command::new(env!("CARGO_BIN_EXE_maser")),
            Server::Chronyd => {
                let taskset = tool::find("taskset").ok_or("taskset is not installed")?;
                let mut command = Command::new(taskset);
                command.args(["-c", &core.to_string()]);
                command.arg(tool::find("chronyd").ok_or("it is not installed")?);
                command
            }
        };
        match server {
            Server::Maser => command.args(["serve", "-4"]),
            // -x: it never touches the clock. -U: it may run without being root.
            Server::Chronyd => command.args(["-4", "-x", "-d", "-U", "-u", &tool::user("-un")]),
        };
        command.arg("-f").arg(configuration);
        let child = folder.spawn(&mut command);
        let mut program = Self {
            server,
            child,
            folder,
            port,
        };
        match program.answers() {
            true => Ok(program),
            false => Err(format!("it does not answer\n{}", program.folder.log())),
        }
    }

    /// Where to ask it.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number))
    }

    /// Seconds it has spent on a processor so far, its own and the kernel's for it.
    pub(crate) fn cpu_seconds(&self) -> [f64; 2] {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(path).expect("our child");
        // The name in parentheses may hold anything; utime and stime are fields 14 and 15 (proc(5)).
        let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
        let fields: Vec<_> = fields.split(' ').collect();
        [11, 12].map(|at| fields[at].parse::<f64>().expect("ticks") / TICKS_PER_S)
    }

    /// Ends it. Ours tells what it counted.
    pub(crate) fn stop(mut self) -> Option<Summary> {
        tool::run(Command::new("kill").args(["-TERM", &self.child.id().to_string()]));
        for _ in 0..1000 {
            if let Some(status) = self.child.try_wait().expect("our child") {
                assert!(status.success(), "{status}\n{}", self.folder.log());
                let said = self.folder.read("stdout");
                return (self.server == Server::Maser).then(|| Summary::parse(&said));
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("still there 10 s after SIGTERM");
    }

    fn answers(&mut self) -> bool {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let patience = Duration::from_millis(100);
        socket.set_read_timeout(Some(patience)).expect("not zero");
        socket.connect(self.address()).expect("loopback");
        for _ in 0..100 {
            if self.child.try_wait().expect("our child").is_some() {
                return false;
            }
            // While nobody is bound the kernel refuses, on this send or on the receive before it.
            let asked = socket.send(&client::request(4, 3, 1));
            if asked.is_ok() && socket.recv(&mut [0; 100]).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, and nothing is left to do if not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `USER_HZ`, which Linux keeps at 100 for programs, whatever its own rate (time(7)).
pub(crate) const TICKS_PER_S: f64 = 100.0;
