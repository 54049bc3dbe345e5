//! The servers by turns: our bare echo as a thread, the others as processes that idle meanwhile.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use core_affinity::CoreId;
use maser::auth::{Key, KeyStore, KeyType};
use maser::sys::{Burst, PortOptions, UdpPort};
use maser::wire::KeyId;

const SECRET: [u8; 16] = [0x5a; 16];

/// The generator's copy of the servers' key.
pub(crate) fn keys() -> KeyStore {
    KeyStore::new(&[Key::new(KeyId(1), KeyType::Aes128, &SECRET).expect("a key")]).0
}

/// One of them.
pub(crate) enum Server {
    Echo(Echo),
    Process(Process),
}

impl Server {
    pub(crate) const fn address(&self) -> SocketAddr {
        match self {
            Self::Echo(echo) => echo.address,
            Self::Process(process) => process.address,
        }
    }

    /// Lets the echo run until the answer is dropped; a process always does.
    pub(crate) fn wake(&self) -> Option<Running> {
        match self {
            Self::Echo(echo) => Some(echo.run()),
            Self::Process(_) => None,
        }
    }

    /// CPU time of a process so far, user and system.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        let Self::Process(process) = self else {
            return None;
        };
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.child.id())).ok()?;
        // The name is in brackets and may hold blanks; utime and stime are the 12th and 13th after it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        const TICKS_PER_S: f64 = 100.0; // USER_HZ
        Some(ticks / TICKS_PER_S)
    }

    /// Ends a process; what ours said of its receive timestamps.
    pub(crate) fn end(&self) -> Option<String> {
        let Self::Process(process) = self else {
            return None;
        };
        process.end()
    }
}

/// Sends back what comes.
pub(crate) struct Echo {
    port: Arc<UdpPort>,
    address: SocketAddr,
    core: CoreId,
}

impl Echo {
    pub(crate) fn open(core: CoreId) -> Self {
        let port = UdpPort::open(&PortOptions {
            address: "0.0.0.0:0".parse().expect("an address"),
            device: None,
            dscp: 0,
            shared: false,
            buffer_bytes: 8 << 20,
        })
        .expect("a port");
        let address = SocketAddr::new(
            "127.0.0.1".parse().expect("loopback"),
            port.address().port(),
        );
        Self {
            port: Arc::new(port),
            address,
            core,
        }
    }

    fn run(&self) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let (port, core, stopped) = (Arc::clone(&self.port), self.core, Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            assert!(core_affinity::set_for_current(core), "the server's core");
            let mut burst = Burst::new(64, 1144);
            while !stopped.load(Ordering::Relaxed) {
                let received = port.receive(&mut burst).expect("loopback");
                for slot in 0..received {
                    let datagram = burst.datagram(slot);
                    burst.keep(slot, &datagram, datagram.len, false);
                }
                if received > 0 {
                    port.transmit(&mut burst);
                }
            }
        });
        Running {
            stop,
            thread: Some(thread),
        }
    }
}

/// The echo while it runs.
pub(crate) struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the echo ends well");
        }
    }
}

/// A daemon in a folder of its own, on one core.
pub(crate) struct Process {
    child: Child,
    folder: PathBuf,
    address: SocketAddr,
}

impl Process {
    /// Ours, as it is built with this bench.
    pub(crate) fn maser(core: usize) -> Option<Self> {
        let cpus = format!("cpus {core}");
        Self::start("maser", &["workers 1", &cpus], |conf| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
            command.args(["serve", "-f"]).arg(conf);
            command
        })
    }

    /// Debian's, if it is there, bound to the core by taskset.
    pub(crate) fn chronyd(core: usize) -> Option<Self> {
        let chronyd = Path::new("/usr/sbin/chronyd");
        if !chronyd.is_file() {
            return None;
        }
        let user = Command::new("id").arg("-un").output().ok()?;
        let user = String::from_utf8(user.stdout).ok()?;
        Self::start("chronyd", &["cmdport 0", "bindcmdaddress /"], |conf| {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", &core.to_string()]).arg(chronyd);
            command
                .args(["-x", "-d", "-U", "-u", user.trim(), "-f"])
                .arg(conf);
            command
        })
    }

    fn start(name: &str, extra: &[&str], command: impl FnOnce(&Path) -> Command) -> Option<Self> {
        let probe = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let address = probe.local_addr().expect("bound");
        drop(probe);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "loopback-{name}-{}-{}",
            std::process::id(),
            address.port()
        ));
        fs::create_dir_all(&folder).expect("a folder for the bench");
        let hex: String = SECRET.iter().map(|byte| format!("{byte:02X}")).collect();
        let keys = write(&folder.join("keys"), &format!("1 AES128 HEX:{hex}\n"));
        let conf = format!(
            "port {}\nallow\nlocal\nkeyfile {}\npidfile {}\n{}\n",
            address.port(),
            keys.display(),
            folder.join("pid").display(),
            extra.join("\n")
        );
        let conf = write(&folder.join("conf"), &conf);
        let out = fs::File::create(folder.join("stdout")).expect("our folder");
        let log = fs::File::create(folder.join("stderr")).expect("our folder");
        let child = command(&conf)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(log)
            .spawn()
            .ok()?;
        let process = Self {
            child,
            folder,
            address,
        };
        process.wait_until_it_answers();
        Some(process)
    }

    fn wait_until_it_answers(&self) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        socket.connect(self.address).expect("loopback");
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .expect("not zero");
        let mut request = [0; 48];
        request[0] = 0x23;
        for _ in 0..100 {
            let asked = socket.send(&request);
            if asked.is_ok() && socket.recv(&mut [0; 100]).is_ok() {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.join("stderr")).unwrap_or_default();
        panic!("no answer from {}\n{log}", self.address);
    }

    fn end(&self) -> Option<String> {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status();
        for _ in 0..100 {
            let said = fs::read_to_string(self.folder.join("stdout")).unwrap_or_default();
            if let Some(line) = said
                .lines()
                .find(|line| line.starts_with("receive timestamps"))
            {
                return Some(line.to_owned());
            }
            let ended = killed.as_ref().is_ok_and(|status| status.success());
            if !ended || !said.is_empty() {
                break;
            }
            sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; what it leaves is below target/.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn write(path: &Path, text: &str) -> PathBuf {
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .expect("our folder");
    path.into()
}
