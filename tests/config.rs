//! Configurations as files: what they come to, what is said of them, what a mistake is answered with.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maser::config::{
    Config, ConfigErrors, Loaded, Origin, Outside, Place, Support, directives, load, print,
};
use maser::control::{May, REQUESTS};
use proptest::prelude::*;

/// Files and hosts that a test makes up.
#[derive(Default)]
struct World {
    files: BTreeMap<PathBuf, Vec<u8>>,
    hosts: BTreeMap<String, Vec<IpAddr>>,
    reads: RefCell<usize>,
}

impl World {
    fn with(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()));
        let addresses = ["192.0.2.7", "2001:db8::7"].map(|a| a.parse().unwrap());
        Self {
            files: files.collect(),
            hosts: BTreeMap::from([("ntp.example.net".to_owned(), addresses.to_vec())]),
            reads: RefCell::default(),
        }
    }
}

impl Outside for World {
    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        *self.reads.borrow_mut() += 1;
        self.files
            .get(file)
            .cloned()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let paths = self.files.keys().filter_map(|path| {
            let inside = path.strip_prefix(directory).ok()?;
            Some(directory.join(inside.components().next()?))
        });
        let paths: Vec<_> = paths.collect();
        if paths.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(paths)
    }

    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.hosts
            .get(host)
            .cloned()
            .ok_or_else(|| io::Error::other("no such host"))
    }
}

const MAIN: &str = "/etc/maser/maser.conf";

fn load_main(world: &World) -> Result<Loaded, ConfigErrors> {
    load(Origin::File(Path::new(MAIN)), world)
}

fn load_text(text: &str) -> Result<Loaded, ConfigErrors> {
    load_main(&World::with(&[(MAIN, text)]))
}

fn config(text: &str) -> Config {
    load_text(text).unwrap().config
}

/// What is wrong with it, a line each.
fn mistakes(text: &str) -> Vec<String> {
    let errors = load_text(text).unwrap_err();
    errors.0.iter().map(ToString::to_string).collect()
}

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/conf");
    fs::read_to_string(path.join(name)).unwrap()
}

/// Compares with a file; with `BLESS=1` in the environment writes it anew, for a reader to judge.
fn golden(name: &str, found: &str) {
    if std::env::var_os("BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/conf");
        fs::write(path.join(name), found).unwrap();
    }
    assert_eq!(found, data(name), "tests/data/conf/{name} has other text");
}

fn notices(loaded: &Loaded) -> String {
    let lines = loaded.notices.iter().map(|notice| format!("{notice}\n"));
    lines.collect()
}

#[test]
fn the_guides_file_loads_and_prints() {
    let loaded = load_text(&data("guide.conf")).unwrap();
    golden("guide.printed", &print(&loaded));
    golden("guide.notices", &notices(&loaded));
}

#[test]
fn a_distributions_file_loads() {
    let loaded = load_text(&data("distribution.conf")).unwrap();
    golden("distribution.notices", &notices(&loaded));
    assert!(loaded.config.server.access.is_empty());
}

#[test]
fn every_honoured_directive_is_printed_and_read_back() {
    let text = data("farm.conf");
    for row in directives().filter(|row| row.support == Support::Honoured) {
        // These are spelled otherwise when printed, stand elsewhere, or not together with another.
        let others = ["include", "confdir", "sourcedir", "noclientlog", "rtcfile"];
        let elsewhere = others.contains(&row.name) || row.name.starts_with("fastpath");
        let typed = text
            .lines()
            .any(|line| line.split(' ').next() == Some(row.name));
        assert!(typed || elsewhere, "{} is not in farm.conf", row.name);
    }
    let loaded = load_text(&text).unwrap();
    let printed = print(&loaded);
    golden("farm.printed", &printed);
    assert_eq!(config(&printed), loaded.config);
    assert_eq!(print(&load_text(&printed).unwrap()), printed);
    assert!(loaded.notices.is_empty());
}

#[test]
fn what_stands_alone_is_printed_and_read_back() {
    let text = "rtcfile /var/lib/maser/rtc\ntempcomp /sys/t 0.5 /etc/points\n";
    let loaded = load_text(text).unwrap();
    let printed = print(&loaded);
    for line in text.lines() {
        assert!(printed.lines().any(|printed| printed == line), "{line}");
    }
    assert_eq!(config(&printed), loaded.config);
    assert!(loaded.notices.is_empty());
}

#[cfg(feature = "xdp")]
#[test]
fn the_fast_path_is_printed_and_read_back() {
    let text = "fastpath eth0 native\nfastpath eth1\nfastpath eth0 generic\nfastpathlimit 50000\n\
                fastpathdeparture 820\n";
    let loaded = load_text(text).unwrap();
    let printed = print(&loaded);
    let lines: Vec<_> = printed
        .lines()
        .filter(|line| line.starts_with("fastpath"))
        .collect();
    assert_eq!(
        lines,
        [
            "fastpath eth1 auto",
            "fastpath eth0 generic",
            "fastpathlimit 50000 500",
            "fastpathdeparture 820"
        ]
    );
    assert_eq!(config(&printed), loaded.config);
    let wrong = "fastpath\nfastpath eth0 fast\nfastpath averyveryverylongname\nfastpathlimit 0\n\
                 fastpathdeparture 2000000\n";
    assert_eq!(load_text(wrong).unwrap_err().0.len(), 5);
}

#[cfg(not(feature = "xdp"))]
#[test]
fn without_the_fast_path_its_directives_are_refused() {
    for line in ["fastpath eth0", "fastpathlimit 1000", "fastpathdeparture 5"] {
        let errors = load_text(line).unwrap_err().to_string();
        assert!(
            errors.contains("cargo build --release --features xdp"),
            "{errors}"
        );
    }
}

#[test]
fn five_mistakes_are_five_errors() {
    let errors = load_text(&data("five-mistakes.conf")).unwrap_err();
    assert_eq!(errors.0.len(), 5);
    golden("five-mistakes.errors", &format!("{errors}\n"));
}

#[test]
fn how_many_directives_are_honoured() {
    let count = |kind: fn(&Support) -> bool| directives().filter(|r| kind(&r.support)).count();
    let honoured = count(|support| matches!(support, Support::Honoured));
    let not_yet = count(|support| matches!(support, Support::NotYet(_)));
    let accepted = count(|support| matches!(support, Support::Accepted(_)));
    let refused = count(|support| matches!(support, Support::Refused(_)));
    println!(
        "directives: {honoured} honoured, {not_yet} not yet, {accepted} accepted, {refused} refused"
    );
    assert_eq!(
        honoured + not_yet + accepted + refused,
        directives().count()
    );
    for name in CHRONYS {
        assert!(directives().any(|row| row.name == *name), "{name}");
    }
    let ours = directives().count() - CHRONYS.len();
    assert_eq!(
        ours, 15,
        "a new directive of ours needs its place in the manual"
    );
}

/// Every directive that chrony has had from 4.0 to 4.9.
#[rustfmt::skip]
const CHRONYS: &[&str] = &[
    "acquisitionport", "allow", "authselectmode", "bindacqaddress", "bindacqdevice", "bindaddress",
    "bindcmdaddress", "bindcmddevice", "binddevice", "broadcast", "clientloglimit", "clockprecision",
    "cmdallow", "cmddeny", "cmdport", "cmdratelimit", "combinelimit", "commandkey", "confdir",
    "corrtimeratio", "deny", "driftfile", "dscp", "dumpdir", "dumponexit", "fallbackdrift",
    "generatecommandkey", "hwclockfile", "hwtimestamp", "hwtstimeout", "include", "initstepslew",
    "keyfile", "leapseclist", "leapsecmode", "leapsectz", "linux_freq_scale", "linux_hz", "local",
    "lock_all", "log", "logbanner", "logchange", "logdir", "mailonchange", "makestep", "manual",
    "maxchange", "maxclockerror", "maxdistance", "maxdrift", "maxjitter", "maxntsconnections",
    "maxsamples", "maxslewrate", "maxstratum", "maxtxbuffers", "maxupdateskew", "minsamples",
    "minsources", "minstratum", "nocerttimecheck", "noclientlog", "nosystemcert", "ntpsigndsocket",
    "ntsaeads", "ntscachedir", "ntsdumpdir", "ntsntpserver", "ntsport", "ntsprocesses", "ntsratelimit",
    "ntsrefresh", "ntsrotate", "ntsservercert", "ntsserverkey", "ntstrustedcerts", "opencommands",
    "peer", "pidfile", "pool", "port", "ptpdomain", "ptpport", "ratelimit", "refclock", "refresh",
    "reselectdist", "rtcautotrim", "rtcdevice", "rtcfile", "rtconutc", "rtcsync", "sched_priority",
    "server", "smoothtime", "sourcedir", "stratumweight", "tempcomp", "user",
];

#[test]
fn an_empty_file_denies_everybody() {
    assert_eq!(config(""), Config::default());
    let config = Config::default();
    assert!(config.server.access.is_empty());
    assert_eq!((config.server.port, config.runtime.burst), (123, 64));
    assert_eq!(config.server.client_log_bytes, Some(524_288));
}

#[test]
fn the_embedded_default_is_loopback_without_privilege() {
    let loaded = load(Origin::EmbeddedDefault, &World::default()).unwrap();
    let server = &loaded.config.server;
    assert_eq!(server.port, 11123);
    assert!(server.bind_addresses.iter().all(IpAddr::is_loopback));
    assert_eq!(server.bind_addresses.len(), 2);
    assert_eq!(loaded.config.time.local.unwrap().stratum, 10);
    assert_eq!(loaded.config.runtime, Config::default().runtime);
    assert!(loaded.notices.is_empty() && loaded.config.key_file.is_none());
    golden("embedded.printed", &print(&loaded));
}

#[test]
fn the_last_of_single_values_counts_and_lists_grow() {
    let config = config("port 1\nport 2\nallow 1.2.3\nbindaddress ::1\nbindaddress ::1\ndeny 1.2");
    assert_eq!(config.server.port, 2);
    assert_eq!(config.server.access.len(), 2);
    assert_eq!(config.server.bind_addresses.len(), 1);
}

#[test]
fn noclientlog_outlives_a_limit_and_excludes_ratelimit() {
    let config = config("noclientlog\nclientloglimit 5");
    assert_eq!(config.server.client_log_bytes, None);
    assert_eq!(
        mistakes("ratelimit\nport 1\nnoclientlog"),
        [
            "/etc/maser/maser.conf:3: noclientlog: cannot stand together with ratelimit; remove one of them"
        ]
    );
    assert_eq!(
        mistakes("rtcsync\nrtcfile /f"),
        [
            "/etc/maser/maser.conf:2: rtcfile: cannot stand together with rtcsync; remove one of them"
        ]
    );
}

#[test]
fn arguments_are_lines() {
    let arguments = ["port 11123", "# nothing", "local stratum x"].map(str::to_owned);
    let errors = load(Origin::Arguments(&arguments), &World::default()).unwrap_err();
    assert_eq!(errors.0[0].place, Place::Argument(3));
    assert_eq!(
        errors.to_string(),
        "argument 3: local: expected a whole number from 1 to 15 after stratum, found \"x\""
    );
    let loaded = load(Origin::Arguments(&arguments[..2]), &World::default()).unwrap();
    assert_eq!(loaded.config.server.port, 11123);
}

#[test]
fn hosts_are_looked_up_with_all_their_addresses() {
    assert_eq!(config("allow ntp.example.net").server.access.len(), 2);
    assert_eq!(
        mistakes("deny nowhere.example.net"),
        [
            "/etc/maser/maser.conf:1: deny: cannot find the address of nowhere.example.net: no such host"
        ]
    );
}

#[test]
fn include_is_followed_where_it_stands() {
    let world = World::with(&[
        (
            MAIN,
            "port 1\ninclude /etc/a.conf\ninclude /etc/d/*.conf\ninclude /etc/no/*.conf",
        ),
        ("/etc/a.conf", "port 2"),
        ("/etc/d/1.conf", "dscp 1"),
        ("/etc/d/2.conf", "dscp 2"),
        ("/etc/d/.3.conf", "dscp 3"),
    ]);
    let server = load_main(&world).unwrap().config.server;
    assert_eq!((server.port, server.dscp), (2, 2));
    assert_eq!(
        mistakes("include /etc/none.conf"),
        ["/etc/maser/maser.conf:1: include: cannot read /etc/none.conf: no such file"]
    );
}

#[test]
fn patterns_may_stand_for_directories() {
    let world = World::with(&[
        (MAIN, "include /etc/*/n[oi]de.conf"),
        ("/etc/a/node.conf", "port 7"),
        ("/etc/b/other.conf", "nonsense"),
    ]);
    assert_eq!(load_main(&world).unwrap().config.server.port, 7);
}

#[test]
fn files_that_include_each_other_end_at_ten() {
    let again = format!("include {MAIN}\ninclude {MAIN}\n");
    let world = World::with(&[(MAIN, &again)]);
    let errors = load_main(&world).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "/etc/maser/maser.conf:1: include: files include each other more than 10 deep"
    );
    assert_eq!(*world.reads.borrow(), 10);
}

#[test]
fn confdir_sorts_by_name_and_the_earlier_directory_hides() {
    let world = World::with(&[
        (MAIN, "confdir /a /b /none"),
        ("/a/20.conf", "port 20\nuser a"),
        ("/b/10.conf", "port 10\ndscp 1"),
        ("/b/20.conf", "port 21\ndscp 2"),
        ("/b/30.txt", "nonsense"),
    ]);
    let config = load_main(&world).unwrap().config;
    assert_eq!((config.server.port, config.server.dscp), (20, 1));
    assert_eq!(config.runtime.user.as_deref(), Some("a"));
}

#[test]
fn sourcedir_skips_what_is_wrong_and_says_so() {
    let world = World::with(&[
        (MAIN, "sourcedir /run/dhcp"),
        (
            "/run/dhcp/a.sources",
            "server a iburst\n# no\nserver b minpoll x\nport 5\npool half",
        ),
    ]);
    let loaded = load_main(&world).unwrap();
    let found = &loaded.config.sources.directories[0];
    let hosts = found.sources.iter();
    let hosts: Vec<&str> = hosts.map(|spec| spec.host.as_str()).collect();
    assert_eq!(hosts, ["a"], "a line without its end may be half of one");
    assert_eq!(
        notices(&loaded),
        "\
         /run/dhcp/a.sources:3: server: expected a whole number from -7 to 24 after minpoll, found \"x\"; skipped\n\
         /run/dhcp/a.sources:4: port: expected server or pool or peer; skipped\n"
    );
    assert!(loaded.not_in_force.is_empty());
    let (sources, again) = found.read(&world);
    assert_eq!(sources, found.sources);
    assert_eq!(again, loaded.notices);
}

#[test]
fn lines_that_cannot_be_lines() {
    let long = format!("user {}", "x".repeat(2043));
    let world = World::with(&[(MAIN, &long)]);
    assert_eq!(
        load_main(&world).unwrap_err().to_string(),
        "/etc/maser/maser.conf:1: the line has 2048 bytes, the most is 2047; divide it"
    );
    assert!(load_text(&long[..2047]).is_ok());
    let mut world = World::default();
    let text = b"# \xff is fine here\nuser \xff".to_vec();
    world.files.insert(MAIN.into(), text);
    assert_eq!(
        load_main(&world).unwrap_err().to_string(),
        "/etc/maser/maser.conf:2: the line is not UTF-8; only comments may hold other bytes"
    );
}

#[test]
fn a_file_that_is_not_there() {
    assert_eq!(
        load_main(&World::default()).unwrap_err().to_string(),
        "/etc/maser/maser.conf: cannot read /etc/maser/maser.conf: no such file"
    );
}

#[test]
fn words_that_would_spoil_a_screen_are_shown_escaped_and_cut() {
    let found = mistakes(&format!("\x1b[31m 1\nport {}", "9".repeat(500)));
    assert_eq!(
        found[0],
        "/etc/maser/maser.conf:1: \\u{1b}[31m: no such directive"
    );
    assert!(found[1].len() < 200, "{}", found[1]);
}

/// A line of any honoured directive, with values from the whole of their ranges.
fn honoured_line() -> impl Strategy<Value = String> {
    let subnet = prop_oneof![
        Just(String::new()),
        Just(" all".to_owned()),
        (any::<u32>(), 0u8..=32).prop_map(|(a, n)| format!(" {}/{n}", IpAddr::V4(a.into()))),
        (any::<u128>(), 0u8..=128).prop_map(|(a, n)| format!(" all {}/{n}", IpAddr::V6(a.into()))),
    ];
    let seconds = || prop_oneof![0.0..=1e9f64, 0.0..1e-6f64];
    let words = prop::sample::select(vec![
        "pace adaptive",
        "pace spin",
        "pace park",
        "steer source",
        "steer cpu",
        "steer hash",
        "unsynchronised answer",
        "unsynchronised silent",
        "lock_all",
        "noclientlog",
        "workers auto",
        "local orphan",
        "requireauth all",
        "requireauth 10.1",
        "follow chronyd",
        "cpus 9,1-3,5,6",
        "follow chronyd [::1]:1323",
        "follow chronyd /run/c.sock",
        "follow kernel refid 192.0.2.1",
        "user _chrony",
        "binddevice eth0",
        "keyfile /k",
        "pidfile /p",
        "pidfile /",
        "metrics [::1]:9123",
        "metrics 192.0.2.1:9123",
        "ratelimit",
    ]);
    prop_oneof![
        words.prop_map(str::to_owned),
        (prop::bool::ANY, subnet).prop_map(|(allow, subnet)| {
            format!("{}{subnet}", if allow { "allow" } else { "deny" })
        }),
        any::<u16>().prop_map(|port| format!("port {port}")),
        any::<u128>().prop_map(|a| format!("bindaddress {}", IpAddr::V6(a.into()))),
        (0..64u8).prop_map(|point| format!("dscp {point}")),
        any::<u64>().prop_map(|bytes| format!("clientloglimit {bytes}")),
        (-19..=12i8, 1..=255u8, 1..=4u8, 0..=4u8)
            .prop_map(|(i, b, l, k)| format!("ratelimit interval {i} burst {b} leak {l} kod {k}")),
        (1..=15u8, seconds(), seconds(), seconds()).prop_map(|(stratum, a, b, c)| format!(
            "local stratum {stratum} distance {a} activate {b} waitsynced {a} waitunsynced {c}"
        )),
        (1..=15u8, "[!-~]{1,4}")
            .prop_map(|(stratum, id)| format!("follow kernel stratum {stratum} refid {id}")),
        (1e-9..=1.0f64).prop_map(|seconds| format!("clockprecision {seconds:e}")),
        (0.0..=1e6f64).prop_map(|ppm| format!("maxclockerror {ppm}")),
        (1..=1024usize).prop_map(|workers| format!("workers {workers}")),
        (1..=1024usize).prop_map(|burst| format!("burst {burst}")),
        (0..=10_000u32).prop_map(|micros| format!("busypoll {micros}")),
        (0..=100u8).prop_map(|priority| format!("sched_priority {priority}")),
        seconds().prop_map(|seconds| format!("readydistance {seconds}")),
        (0..=3600u32).prop_map(|seconds| format!("drain {seconds}")),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_the_same(lines in prop::collection::vec(honoured_line(), 0..30)) {
        let mut text = lines.join("\n");
        if text.contains("noclientlog") {
            text = text.replace("ratelimit", "# ratelimit");
        }
        let loaded = load_text(&text).unwrap();
        let printed = print(&loaded);
        let again = load_text(&printed).unwrap();
        prop_assert_eq!(&again.config, &loaded.config);
        prop_assert_eq!(print(&again), printed);
    }
}

/// What the configuration lets be asked is what there is to be asked.
#[test]
fn open_commands_are_those_of_the_protocol() {
    let mut words: Vec<&str> = REQUESTS
        .iter()
        .filter_map(|row| match row.may {
            May::Ask(word) => Some(word),
            May::Always | May::Local => None,
        })
        .collect();
    words.sort_unstable();
    words.dedup();
    let mut open = config(&format!("opencommands {}", words.join(" ")))
        .command
        .open;
    open.sort_unstable();
    assert_eq!(open, words);
    let usual = config("").command.open;
    assert!(usual.iter().all(|word| words.contains(word)), "{usual:?}");
    assert!(load_text("opencommands shutdown").is_err());
}
