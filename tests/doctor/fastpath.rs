//! What is said of the fast path, one thing after the other changed on a good machine.

use std::path::Path;

use maser::doctor::fact::{Fact, Unknown};
use maser::doctor::{Driver, Finding, Kernel, Machine, Question, Severity, ThisKernel};
use maser::sys::bpf::XdpMode;
use maser::sys::clock::KernelClock;
use maser::sys::ethtool::Feature;
use maser::sys::netlink::{XdpFeatures, XdpProgram};

use super::support::tool;
use super::tree::Tree;
use super::{findings, good_kernel};

#[track_caller]
fn named(all: &[Finding], name: &str) -> Finding {
    let found = all.iter().find(|finding| finding.name == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {all:?}"))
        .clone()
}

fn with(files: &[(&str, &str)], name: &str) -> Finding {
    let tree = Tree::good();
    tree.write(files);
    named(&findings(&tree, &good_kernel()), name)
}

const SYMBOLS: [&str; 4] = [
    "bpf_ktime_get_tai_ns",
    "bpf_crypto_ctx_create",
    "bpf_crypto_encrypt",
    "bpf_crypto_lskcipher_encrypt",
];

fn symbols(without: &str) -> String {
    let all = SYMBOLS.iter().filter(|name| **name != without);
    all.map(|name| format!("0000000000000000 T {name}\n"))
        .collect()
}

#[test]
fn a_kernel_is_known_by_its_functions_and_else_by_its_version() {
    for (release, list, runs, signs) in [
        ("6.12.9", symbols(""), true, true),
        // A distributor's that has taken them over, and one that has left them out.
        ("5.14.0-503.el9", symbols(""), true, true),
        ("6.12.9", symbols("bpf_crypto_encrypt"), true, false),
        ("6.12.9", symbols("bpf_crypto_ctx_create"), true, false),
        (
            "6.12.9",
            symbols("bpf_crypto_lskcipher_encrypt"),
            true,
            false,
        ),
        ("6.12.9", symbols("bpf_ktime_get_tai_ns"), false, true),
        ("6.10.0", String::new(), true, true),
        ("6.9.12", String::new(), true, false),
        ("6.1.0-37-amd64", String::new(), true, false),
        ("6.0.19", String::new(), false, false),
        ("5.15.0-102-generic", String::new(), false, false),
        ("7.0-rc1", String::new(), true, true),
    ] {
        let files = [
            ("proc/sys/kernel/osrelease", release),
            ("proc/kallsyms", &list),
        ];
        let severity = |name| with(&files, name).severity;
        assert_eq!(
            severity("fast path") == Severity::Ok,
            runs,
            "{release} {list}"
        );
        let signing = severity("signing in the fast path");
        assert_eq!(signing == Severity::Ok, signs, "{release} {list}");
    }
    let strange = with(
        &[
            ("proc/sys/kernel/osrelease", "linux"),
            ("proc/kallsyms", ""),
        ],
        "fast path",
    );
    assert_eq!(strange.severity, Severity::Note);
    assert!(strange.found.contains("cannot tell"), "{strange:?}");
}

#[test]
fn what_lacks_for_signing_has_its_cure() {
    let name = "signing in the fast path";
    let list = symbols("bpf_crypto_lskcipher_encrypt");
    let module = with(&[("proc/kallsyms", &list)], name);
    assert_eq!(module.command, "modprobe bpf_crypto_skcipher");
    let cipher = with(&[("proc/crypto", "name         : ecb(aes)\n")], name);
    assert_eq!(
        (cipher.severity, &*cipher.command),
        (Severity::Note, "modprobe cbc")
    );
    let tree = Tree::good();
    std::fs::remove_file(tree.path().join("sys/kernel/btf/vmlinux")).expect("written before");
    let types = named(&findings(&tree, &good_kernel()), name);
    assert!(types.wanted.contains("BTF"), "{types:?}");
}

#[test]
fn an_old_kernel_says_nothing_of_cards() {
    let tree = Tree::good();
    tree.write(&[
        ("proc/sys/kernel/osrelease", "5.10.0-30"),
        ("proc/kallsyms", ""),
    ]);
    let all = findings(&tree, &good_kernel());
    assert!(!all.iter().any(|finding| finding.name == "eth0 XDP"));
}

#[test]
fn the_compiler_and_the_names() {
    for (number, severity) in [
        ("0", Severity::Note),
        ("1", Severity::Ok),
        ("2", Severity::Note),
    ] {
        let name = "net.core.bpf_jit_enable";
        let told = with(&[("proc/sys/net/core/bpf_jit_enable", number)], name);
        assert_eq!(told.severity, severity, "{told:?}");
        assert_eq!(
            told.command.is_empty(),
            severity == Severity::Ok,
            "{told:?}"
        );
    }
    for (mounts, severity) in [
        ("bpf /sys/fs/bpf bpf rw 0 0", Severity::Ok),
        ("none /sys/fs/bpf bpf rw 0 0", Severity::Ok),
        ("sysfs /sys/fs/bpf sysfs rw 0 0", Severity::Note),
        ("bpf /run/bpf bpf rw 0 0", Severity::Note),
        ("bpf /sys/fs/bpf", Severity::Note),
    ] {
        let told = with(&[("proc/mounts", mounts)], "/sys/fs/bpf");
        assert_eq!(told.severity, severity, "{told:?}");
    }
}

/// What is said of the card where its driver says this.
fn card(change: impl FnOnce(&mut Driver)) -> Vec<Finding> {
    let mut kernel = good_kernel();
    change(&mut kernel.eth0);
    findings(&Tree::good(), &kernel)
}

#[test]
fn a_driver_is_believed_before_the_list_of_drivers() {
    let generic = card(|driver| driver.xdp = Ok(XdpFeatures::default()));
    let told = named(&generic, "eth0 XDP");
    assert_eq!(told.severity, Severity::Note);
    assert!(told.why.contains("instead of 0.31"), "{told:?}");
    let silent = |driver: &mut Driver| driver.xdp = Err(Unknown::NotSaid("it does not".into()));
    let listed = named(&card(silent), "eth0 XDP");
    assert_eq!(listed.found, "native, by its driver ixgbe");
    for (driver, release, found) in [
        ("gve", "6.3.1", "generic only with driver gve"),
        ("gve", "6.4.0", "native, by its driver gve"),
        ("e1000e", "6.12.0", "cannot tell"),
    ] {
        let mut kernel = good_kernel();
        silent(&mut kernel.eth0);
        let tree = Tree::good();
        tree.write(&[("proc/sys/kernel/osrelease", release)]);
        let link = "sys/class/net/eth0/device/driver";
        std::fs::remove_file(tree.path().join(link)).expect("made before");
        tree.link(link, &format!("../../../bus/pci/drivers/{driver}"));
        let told = named(&findings(&tree, &kernel), "eth0 XDP");
        assert!(told.found.starts_with(found), "{told:?}");
    }
}

#[test]
fn a_program_is_judged_by_who_runs_it_and_who_serves() {
    let at = |mode| {
        move |driver: &mut Driver| driver.program = Ok(Some(XdpProgram { id: Some(7), mode }))
    };
    let name = "eth0 program in XDP";
    let generic = named(&card(at(Some(XdpMode::Generic))), name);
    assert_eq!(generic.severity, Severity::Slow);
    assert_eq!(generic.found, "number 7, run by the kernel (generic)");
    let only_generic = card(|driver| {
        at(Some(XdpMode::Generic))(driver);
        driver.xdp = Ok(XdpFeatures::default());
    });
    assert_eq!(named(&only_generic, name).severity, Severity::Ok);
    assert_eq!(named(&card(at(None)), name).severity, Severity::Ok);
    // Nobody serves the port.
    let tree = Tree::good();
    tree.write(&[("proc/net/udp", "")]);
    let foreign = named(&findings(&tree, &good_kernel()), name);
    assert_eq!(foreign.severity, Severity::Note);
    assert!(foreign.why.contains("stands in the way"), "{foreign:?}");
    let none = card(|driver| driver.program = Ok(None));
    assert!(!none.iter().any(|finding| finding.name == name));
}

#[test]
fn frames_and_queues_must_fit() {
    for (mtu, told) in [
        ("1500", false),
        ("3498", false),
        ("3499", true),
        ("9000", true),
    ] {
        let tree = Tree::good();
        tree.write(&[("sys/class/net/eth0/mtu", mtu)]);
        let all = findings(&tree, &good_kernel());
        let found = all.iter().any(|finding| finding.name == "eth0 mtu");
        assert_eq!(found, told, "{mtu}");
    }
    for fixed in [false, true] {
        let on = true;
        let joined = card(|driver| driver.joins = Ok(Feature { on, fixed }));
        let told = named(&joined, "eth0 rx-lro, rx-gro-hw");
        assert_eq!(told.command.is_empty(), fixed, "{told:?}");
        assert_eq!(told.why.contains("guest_tso4"), fixed, "{told:?}");
    }
    let tree = Tree::good();
    std::fs::remove_dir_all(tree.path().join("sys/class/net/eth0/queues/rx-3")).expect("there");
    let few = named(
        &findings(&tree, &good_kernel()),
        "eth0 queues of the fast path",
    );
    assert_eq!((&*few.found, &*few.wanted), ("3 for 4 cores", "4"));
}

/// An end of a veth on this machine, which the kernel is asked about.
#[test]
fn this_kernel_tells_of_a_veth_and_of_the_program_at_it() {
    if !tool::need_root() || tool::need("ip").is_none() {
        return;
    }
    let (near, far) = (
        format!("xd{}a", std::process::id()),
        format!("xd{}b", std::process::id()),
    );
    let ip = |words: &str| tool::run(std::process::Command::new("ip").args(words.split(' ')));
    let made = ip(&format!("link add {near} type veth peer name {far}"));
    if !made.status.success() {
        super::support::skip("no veth can be made here");
        return;
    }
    let up = [
        ip(&format!("link set {near} up")),
        ip(&format!("link set {far} up")),
    ];
    let question = Question {
        port: 123,
        interfaces: vec![near.clone()],
    };
    let machine = Machine::read(Path::new("/"), &ThisKernel, &question);
    let driver = ThisKernel.driver(&near);
    let gone = ip(&format!("link del {near}"));
    assert!(
        up.iter()
            .chain([&gone])
            .all(|output| output.status.success())
    );
    let all = machine.expect("it was there").findings(&question);
    let xdp = named(&all, &format!("{near} XDP"));
    assert!(xdp.found.starts_with("native"), "{xdp:?}");
    let other = named(&all, &format!("{near} other end"));
    assert!(other.command.contains("tx off"), "{other:?}");
    if driver.xdp.is_ok() {
        assert_eq!(other.found, "has no program in XDP");
    }
    assert_eq!(driver.program, Ok(None));
    assert!(driver.joins.is_ok_and(|joins| !joins.on));
}

/// A kernel whose only card is an end of a veth.
struct Pair(Driver);

impl Kernel for Pair {
    fn clock(&self) -> Fact<KernelClock> {
        good_kernel().clock()
    }

    fn driver(&self, _: &str) -> Driver {
        self.0.clone()
    }
}

#[test]
fn a_veth_loses_answers_where_its_other_end_has_no_program() {
    let tree = Tree::good();
    tree.write(&[
        ("sys/class/net/veth0/type", "1\n"),
        ("sys/class/net/veth0/flags", "0x1003\n"),
        ("sys/class/net/veth0/operstate", "up\n"),
        ("sys/class/net/veth0/ifindex", "5\n"),
        ("sys/class/net/veth0/iflink", "6\n"),
    ]);
    let told = |tree: &Tree, native, sends, mode: Option<XdpMode>| {
        let kernel = Pair(Driver {
            xdp: Ok(XdpFeatures {
                native,
                sends,
                receive_stamp: false,
            }),
            program: Ok(mode.map(|mode| XdpProgram {
                id: Some(7),
                mode: Some(mode),
            })),
            ..good_kernel().eth0
        });
        named(&findings(tree, &kernel), "veth0 other end")
    };
    let (native, generic) = (Some(XdpMode::Native), Some(XdpMode::Generic));
    let lost = told(&tree, true, false, native);
    assert_eq!(lost.severity, Severity::Broken);
    assert_eq!(lost.found, "has no program in XDP");
    assert!(lost.why.contains("`fastpath veth0 generic`"), "{lost:?}");
    // It may be there; or the driver refuses, and nothing is sent that could be lost.
    for (native, sends, mode) in [(true, true, native), (false, false, generic)] {
        let open = told(&tree, native, sends, mode);
        assert_eq!(open.severity, Severity::Note);
        assert_eq!(open.found, "cannot be seen from here");
    }
    // Nothing is lost yet.
    for mode in [None, generic] {
        let warned = told(&tree, true, false, mode);
        assert_eq!(warned.severity, Severity::Note);
        assert!(warned.why.contains("would lose"), "{warned:?}");
    }
    tree.write(&[("proc/net/udp", "")]);
    let nobody = told(&tree, true, false, native);
    assert_eq!(nobody.severity, Severity::Note);
}

/// A kernel that says nothing at all breaks nothing.
struct Mute;

impl Kernel for Mute {
    fn clock(&self) -> Fact<KernelClock> {
        good_kernel().clock()
    }

    fn driver(&self, _: &str) -> Driver {
        fn silent<T>() -> Fact<T> {
            Err(Unknown::NotSaid("nobody says".into()))
        }
        Driver {
            xdp: silent(),
            program: silent(),
            joins: silent(),
            ..good_kernel().eth0
        }
    }
}

#[test]
fn silence_is_no_fault() {
    let all = findings(&Tree::good(), &Mute);
    assert!(all.iter().all(|finding| finding.severity <= Severity::Note));
}
