//! Files that chronyd and we leave to each other: dumps of samples, and the drift file.

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use maser::client::Dump;
use maser::discipline::Drift;
use maser::node::logs::SourceName;
use maser::node::{DriftFile, DumpFiles};

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use support::node::{Folder, Node};
use support::tool::{self, need};

const SERVER: SourceName = SourceName::Address(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

/// A chronyd that never touches the clock, with one source and a folder of its own.
struct Chronyd {
    folder: Folder,
    place: PathBuf,
}

impl Chronyd {
    fn new() -> Self {
        let folder = Folder::new();
        let place = folder.write("here", "").with_file_name("");
        Self { folder, place }
    }

    /// Runs until `is_done`, then ends; what it said.
    fn run(&self, options: &[&str], port: u16, is_done: impl Fn(&str) -> bool) -> Option<String> {
        let text = format!(
            "port 0\ncmdport 0\nbindcmdaddress /\npidfile {0}/pid\ndumpdir {0}/dumps\ndriftfile {0}/drift\n\
             logdir {0}\nlog statistics\n\
             server 127.0.0.1 port {port} iburst minpoll -3 maxpoll -3\n",
            self.place.display()
        );
        let mut command = Command::new(need("chronyd")?);
        command.args(["-x", "-d", "-U", "-u", &tool::user("-un")]);
        command.args(options);
        command.arg("-f").arg(self.folder.write("conf", &text));
        let mut child = self.folder.spawn(&mut command);
        let said = || self.folder.read("stderr");
        let is_done = (0..200).any(|_| {
            sleep(Duration::from_millis(50));
            is_done(&said())
        });
        end(&mut child);
        assert!(is_done, "{}", self.folder.log());
        Some(said())
    }

    fn dumps(&self) -> DumpFiles {
        DumpFiles::new(self.place.join("dumps"))
    }

    fn drift(&self) -> DriftFile {
        DriftFile::new(self.place.join("drift"), DriftFile::INTERVAL, 0)
    }
}

fn end(child: &mut Child) {
    tool::run(Command::new("kill").args(["-TERM", &child.id().to_string()]));
    child.wait().expect("our child");
}

/// What chronyd leaves after a number of samples from `node`.
fn left_by_chronyd(node: &Node) -> Option<(Chronyd, Dump)> {
    let chronyd = Chronyd::new();
    let log = chronyd.place.join("statistics.log");
    let enough = |_: &str| {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.lines().filter(|line| line.starts_with("20")).count() > 12
    };
    chronyd.run(&[], node.port(), enough)?;
    let dump = chronyd.dumps().load(SERVER, Some("127.0.0.1"), false);
    let dump = dump.unwrap_or_else(|| panic!("no dump\n{}", chronyd.folder.log()));
    Some((chronyd, dump))
}

#[test]
fn chronyds_dump_is_loaded_and_ours_by_chronyd() {
    let Some(node) = Node::start(&[]) else { return };
    let Some((chronyd, dump)) = left_by_chronyd(&node) else {
        return;
    };
    assert!(dump.samples.len() >= 6, "{dump:?}");
    assert_eq!((dump.stratum, dump.reach), (5, 0o377));
    for sample in &dump.samples {
        // One clock, over loopback.
        assert!(sample.offset_s.abs() < 1e-2, "{sample:?}");
        assert!((1e-9..1e-2).contains(&sample.peer_delay_s), "{sample:?}");
    }
    let path = chronyd.place.join("dumps/127.0.0.1.dat");
    let theirs = fs::read_to_string(&path).expect("chronyd's dump");
    chronyd.dumps().remove_all();
    assert!(!path.exists());

    // Nobody answers any more: all that chronyd can know of the source is what we have saved.
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("bound").port();
    chronyd.dumps().save(SERVER, &dump);
    let said = chronyd.run(&["-r"], port, |said| said.contains("dump file"));
    let said = said.expect("it was there before");
    assert!(said.contains("Loaded dump file for 127.0.0.1"), "{said}");
    let again = fs::read_to_string(&path).expect("chronyd's dump of ours");
    let times = |text: &str| {
        let lines = text.lines().skip(4).map(|line| {
            let time = line.split(' ').next().unwrap_or_default();
            time.parse::<f64>().expect("a time")
        });
        lines.collect::<Vec<_>>()
    };
    let (again, theirs) = (times(&again), times(&theirs));
    assert_eq!(theirs.len(), dump.samples.len());
    // On loading, chronyd's regression drops the oldest where the rest fits a line better.
    assert!(again.len() >= 4 && again.len() <= theirs.len(), "{again:?}");
    // Their moments move with the clock that chronyd thinks it corrects.
    let newest = &theirs[theirs.len() - again.len()..];
    for (ours, theirs) in again.iter().zip(newest) {
        assert!((ours - theirs).abs() < 1e-3, "{again:?} {theirs:?}");
    }
}

#[test]
fn the_drift_file_is_read_by_both() {
    let Some(node) = Node::start(&[]) else { return };
    let Some((chronyd, _)) = left_by_chronyd(&node) else {
        return;
    };
    let theirs = chronyd.drift().read();
    assert!(theirs.is_some_and(|drift| drift.frequency_ppm.abs() < 500.0));
    let ours = Drift {
        frequency_ppm: -12.345_678,
        skew_ppm: 0.125,
    };
    chronyd.drift().write(&ours);
    let said = chronyd.run(&[], node.port(), |said| said.contains("Frequency "));
    let said = said.expect("it was there before");
    assert!(
        said.contains("Frequency -12.346 +/- 0.125 ppm read from "),
        "{said}"
    );
}
