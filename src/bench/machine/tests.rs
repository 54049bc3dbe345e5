use std::fs::File;
use std::io::Write as _;

use super::*;
use crate::bench::figures::{Counts, Percentiles};
use crate::bench::step::Step;

/// A folder that is gone with the test.
pub(in crate::bench) struct Folder(PathBuf);

impl Folder {
    pub(in crate::bench) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("maser-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("room for a folder");
        Self(path)
    }

    pub(in crate::bench) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and makes the folders above it.
    pub(in crate::bench) fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("room for a folder");
        let mut file = File::create(path).expect("our folder");
        file.write_all(text.as_bytes()).expect("room");
    }

    fn link(&self, path: &str, to: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("room for a folder");
        std::os::unix::fs::symlink(to, path).expect("our folder");
    }

    /// A thread of a process: user and system ticks, the core it runs on.
    fn thread(&self, (pid, id): (u32, u32), name: &str, ticks: (u64, u64), core: usize) {
        let stat = format!(
            "{id} ({name}) R 1 1 1 0 -1 4194304 99 0 0 0 {} {} 0 0 20 0 1 0 12 31 37 18446744073709551615 1 1 1 0 \
             0 0 0 0 0 0 0 0 17 {core} 0 0 0 0 0 1 1 1 1 1 1 1 0\n",
            ticks.0, ticks.1
        );
        if pid == id {
            self.write(&format!("{pid}/stat"), &stat);
        }
        self.write(&format!("{pid}/task/{id}/stat"), &stat);
        let status = format!(
            "voluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{}\n",
            ticks.0, ticks.1
        );
        self.write(&format!("{pid}/task/{id}/status"), &status);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the folder for temporary files; nothing depends on it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

const TARGET: &str = "127.0.0.1:123";

/// A made-up machine with two cores: a harness (7) of two threads, a server (42) of three, a compiler (50).
/// `scale` is how long it has been running, in some unit.
fn machine(folder: &Folder, scale: u64) {
    folder.write(
        "stat",
        &format!(
            "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 {} 0 {} 0 0 0 {} {} 0 0\ncpu1 {} 0 {} {} 0 0 0 0 0 0\n",
            40 * scale,
            20 * scale,
            35 * scale,
            5 * scale,
            10 * scale,
            50 * scale,
            40 * scale
        ),
    );
    folder.thread((7, 7), "maser", (scale, 0), 1);
    folder.thread((7, 8), "maser-bench-0", (30 * scale, 10 * scale), 0);
    folder.thread((42, 42), "timed (a) b", (0, scale), 1);
    folder.thread((42, 43), "worker-0", (5 * scale, 15 * scale), 1);
    folder.thread((42, 44), "worker-1", (2 * scale, 8 * scale), 1);
    folder.thread((50, 50), "cc1", (9 * scale, 0), 1);
    let socket = |inode: u64, drops: u64| {
        format!(
            " 1: 00000000:007B 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 {inode} 2 0 {drops}\n"
        )
    };
    let udp = socket(900, 3 * scale) + &socket(901, 4 * scale);
    folder.write("7/net/udp", &udp);
    folder.write(
        "7/net/dev",
        &format!(" lo: 0 {scale} 0 {scale} 0 0 0 0 0 {scale} 0 0 0 0 0 0\n"),
    );
    folder.write(
        "7/net/snmp",
        &format!("Udp: RcvbufErrors\nUdp: {}\n", 9 * scale),
    );
    folder.write(
        "7/net/softnet_stat",
        &format!("00000000 {scale:08x} 00000000\n"),
    );
}

/// A made-up machine as it was before; what it does later is written by the test.
fn before(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.link("self", "7");
    folder.link("7/ns/net", "net:[1]");
    folder.link("42/ns/net", "net:[1]");
    folder.link("42/fd/3", "socket:[900]");
    folder.link("42/fd/4", "socket:[901]");
    folder.link("50/fd/1", "socket:[902]");
    machine(&folder, 10);
    folder
}

/// What a watch sees while ten units pass, which take a second.
fn seen(folder: &Folder, watch: &Watch) -> Machine {
    let (reading, drops) = (watch.read(0), watch.drops());
    machine(folder, 20);
    let after = watch.read(10_000_000_000);
    watch.between(&reading, &after, watch.drops_since(&drops))
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

/// A step beside which this was seen.
fn step(machine: Machine, counts: Counts, lateness_p99: u64) -> Step {
    Step {
        counts,
        lateness: Percentiles {
            p99: lateness_p99,
            ..Percentiles::default()
        },
        machine,
        ..Step::default()
    }
}

#[test]
fn the_servers_process_is_found_and_told_from_the_rest() {
    let folder = before("found");
    let watch = Watch::new(folder.path(), TARGET.parse().expect("an address"), &[]);
    let machine = seen(&folder, &watch);
    assert!(near(machine.seconds, 10.0));
    let Server::Seen(processes) = &machine.server else {
        panic!("{:?}", machine.server);
    };
    assert_eq!(processes.len(), 1);
    assert_eq!((processes[0].pid, processes[0].threads.len()), (42, 3));
    let worker = &processes[0].threads[1];
    assert_eq!(
        (worker.name.as_str(), worker.voluntary, worker.involuntary),
        ("worker-0", 50, 150)
    );
    let (user, system) = machine.server_cores().expect("seen");
    assert!(near(user, 0.07) && near(system, 0.24), "{user} {system}");
    let (user, system) = machine.harness_cores();
    assert!(near(user, 0.31) && near(system, 0.10), "{user} {system}");
    assert!(near(machine.steal(), 0.025) && near(machine.steal_s(), 0.5));
    assert!(near(machine.softirq_cores(), 0.35));
    // Cores' 12.0 s for programs, of which 7.2 s are ours: more than the 0.9 s of the compiler.
    assert!(near(machine.others.seconds, 4.8), "{:?}", machine.others);
    let most = machine.others.most.as_ref().expect("the compiler");
    assert!(most.0 == "cc1" && near(most.1, 0.9), "{most:?}");
    assert_eq!(machine.drops.at_server(), 70);
    assert_eq!(machine.drops.networks.len(), 1);
    assert_eq!(machine.drops.networks[0].whose, Whose::Both);
    assert_eq!(machine.drops.networks[0].udp.receive_buffer, 90);
    assert_eq!(machine.drops.softnet.dropped, 10);
    let shares = machine.server_shares();
    assert!(
        shares.len() == 2 && near(shares[0], 20.0 / 31.0),
        "{shares:?}"
    );
    assert!(near(machine.server_imbalance().expect("two"), 40.0 / 30.0));
}

#[test]
fn a_server_of_another_namespace_has_its_own_network() {
    let folder = before("namespace");
    let target = "192.0.2.1:123".parse().expect("an address");
    fs::remove_file(folder.path().join("42/ns/net")).expect("there");
    folder.link("42/ns/net", "net:[2]");
    folder.write(
        "42/net/udp",
        " 1: 00000000:007B 00000000:0000 07 0:0 0:0 0 0 0 77 2 0 5\n",
    );
    let machine = seen(&folder, &Watch::new(folder.path(), target, &[42]));
    let whose: Vec<_> = machine.drops.networks.iter().map(|n| n.whose).collect();
    assert_eq!(whose, [Whose::Harness, Whose::Server]);
    let sockets: Vec<_> = machine.drops.sockets.iter().map(|s| s.inode).collect();
    assert_eq!(sockets, [77]);
    assert!(machine.server_cores().is_some());

    // Nobody says which process it is, and the address is nobody's here.
    let machine = seen(&folder, &Watch::new(folder.path(), target, &[]));
    assert_eq!(machine.server, Server::Elsewhere);
    assert!(machine.drops.sockets.is_empty());
}

#[test]
fn a_server_whose_descriptors_are_not_shown_is_hidden_but_its_sockets_are_not() {
    let folder = before("hidden");
    fs::remove_dir_all(folder.path().join("42/fd")).expect("there");
    let watch = Watch::new(folder.path(), TARGET.parse().expect("an address"), &[]);
    let machine = seen(&folder, &watch);
    assert_eq!(machine.server, Server::Hidden);
    assert_eq!(machine.drops.at_server(), 70);
    // It may be the server that took so much.
    let told = remarks(&step(machine, Counts::default(), 0));
    assert!(!told.iter().any(|told| told.contains("other programs")));
}

#[test]
fn the_null_responders_thread_is_the_servers() {
    let folder = before("null");
    fs::remove_dir_all(folder.path().join("42")).expect("there");
    folder.link("7/fd/5", "socket:[901]");
    folder.thread((7, 9), null::THREAD_NAME, (100, 0), 1);
    let watch = Watch::new(folder.path(), TARGET.parse().expect("an address"), &[]);
    let (reading, drops) = (watch.read(0), watch.drops());
    folder.thread((7, 9), null::THREAD_NAME, (150, 0), 1);
    let machine = watch.between(
        &reading,
        &watch.read(1_000_000_000),
        watch.drops_since(&drops),
    );
    assert!(near(machine.server_cores().expect("seen").0, 0.5));
    assert!(
        line(&step(machine.clone(), Counts::default(), 0))
            .starts_with("server (maser-null, pid 7): 0.50 ")
    );
    let names: Vec<_> = machine.harness.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["maser", "maser-bench-0"]);
}

#[test]
fn a_line_and_remarks_tell_what_changes_the_reading() {
    let folder = before("words");
    let watch = Watch::new(folder.path(), TARGET.parse().expect("an address"), &[]);
    let machine = seen(&folder, &watch);
    let counts = Counts {
        sent: 1000,
        lost: 100,
        own_drops: 5,
        ..Counts::default()
    };
    let step = step(machine, counts, 150_000);
    assert_eq!(
        line(&step),
        "server (timed (a) b, pid 42): 0.31 cores (0.07 user, 0.24 system), workers 65/32 %; softirq 0.35; host \
         steal 2.5 %; drops: server's socket 70, harness's socket 5, other sockets 15, lo rx 10, cores' backlog 10"
    );
    let told = remarks(&step);
    let words = [
        "the harness was held up: it was at work 0 % of the time, yet requests left late (p99 150 us)",
        "the host took 2.5 % of this machine",
        "other programs took 0.48 cores: figures are noisy",
        "the harness's own sockets dropped 5, warm-up included: up to 5.000 % of the loss",
    ];
    assert_eq!(told.len(), words.len(), "{told:?}");
    for (told, begin) in told.iter().zip(words) {
        assert!(told.starts_with(begin), "{told}");
    }
    let busy = Step {
        busy: 0.96,
        ..step.clone()
    };
    assert!(remarks(&busy)[0].starts_with("the harness was saturated: "));
    let punctual = Step {
        lateness: Percentiles::default(),
        ..busy
    };
    assert!(!remarks(&punctual)[0].starts_with("the harness"));
    let object = object(&step.machine);
    assert_eq!(object["server"]["processes"][0]["pid"], 42);
    assert_eq!(object["server_sockets"][1]["dropped"], 40);
}

#[test]
fn where_all_is_well_nothing_is_remarked() {
    let quiet = Machine {
        seconds: 1.0,
        cores: vec![Core {
            idle_s: 1.0,
            ..Core::default()
        }],
        ..Machine::default()
    };
    let step = step(quiet, Counts::default(), 1_000_000);
    assert_eq!(remarks(&step), Vec::<String>::new());
    assert_eq!(
        line(&step),
        "server: not on this machine; softirq 0.00; host steal 0.0 %; drops: none"
    );
}

#[test]
fn this_machine_can_be_read() {
    let watch = Watch::new(
        Path::new("/proc"),
        TARGET.parse().expect("an address"),
        &[std::process::id()],
    );
    let reading = watch.read(0);
    assert!(!reading.cores.is_empty() && !reading.harness.is_empty());
    let drops = watch.drops();
    assert_eq!(drops.networks.len(), 1);
    let loopback = |network: &Network| network.interfaces.iter().any(|i| i.name == "lo");
    assert!(loopback(&drops.networks[0]));
    assert!(is_local(Ipv4Addr::LOCALHOST.into()) && !is_local("192.0.2.1".parse().expect("one")));
}
