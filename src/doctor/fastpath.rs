//! The fast path (`fastpath`): what the kernel and each card lack for it, and what that costs. It is a choice, so what only
//! it lacks is a note.

use super::fact::{Fact, Root, Unknown};
use super::finding::{Finding, Severity};
use super::nic::{Card, Kind};
use super::process::Processes;
use crate::sys::bpf::XdpMode;
use crate::sys::netlink::{XdpFeatures, XdpProgram};

const AREA: &str = "fastpath";
/// The functions that the program cannot do without, and those that it signs with; the kernel that has them first.
const TIME: &str = "bpf_ktime_get_tai_ns";
const TIME_SINCE: Release = Release(6, 1);
const SIGNING: [&str; 2] = ["bpf_crypto_ctx_create", "bpf_crypto_encrypt"];
/// What makes AES known to them, which may be in a module.
const CIPHERS: &str = "bpf_crypto_lskcipher_encrypt";
const SIGNING_SINCE: Release = Release(6, 10);
/// Where its links have their names, and what is mounted there.
const PROGRAMS: &str = "/sys/fs/bpf";
/// Bytes of a packet that every driver of the list takes in one page beside what the kernel puts there.
const MTU_MAX: u32 = 3498;
/// What that costs. These figures are of one core that had the clients to play too, over a veth (tuning/README.md).
const GENERIC: &str =
    "0.44 million replies a second where the driver's are 0.94, signed 0.23 instead of 0.31";
const SOCKETS: &str = "0.08 million replies a second of a core where the fast path's are 0.94";
const SIGNED_BY_SOCKETS: &str = "signed requests are left to the sockets: 0.08 million replies a second of a core where the \
                                 fast path's are 0.31";

/// A kernel's version, as far as it counts here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Release(u32, u32);

impl Release {
    /// The first two numbers of `6.18.44-fc`.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.next()?.parse().ok();
        Some(Self(next()?, next()?))
    }
}

/// What of the fast path is a matter of the kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    release: Fact<String>,
    /// Its own functions by name, of those above.
    functions: Fact<Vec<&'static str>>,
    /// It describes its types.
    has_types: bool,
    /// It has AES in CBC mode ready; otherwise it looks for a module.
    has_cipher: Fact<bool>,
    jit: Fact<u32>,
    mounts: Fact<String>,
    /// `none`, `integrity`, `confidentiality`; `None`: it knows no such thing.
    lockdown: Option<String>,
}

impl Kernel {
    pub(super) fn read(root: &Root) -> Self {
        let functions = root.text("proc/kallsyms").map(|text| {
            // A module's function is followed by the module's name.
            let names = text
                .lines()
                .filter_map(|line| line.split_whitespace().nth(2));
            let ours = |name: &str| {
                let mut all = SIGNING.into_iter().chain([TIME, CIPHERS]);
                all.find(|function| *function == name)
            };
            names.filter_map(ours).collect()
        });
        let has_cipher = root.text("proc/crypto").map(|text| {
            let mut names = text.lines().filter_map(|line| line.strip_prefix("name"));
            names.any(|name| name.trim_start_matches([' ', '\t', ':']) == "cbc(aes)")
        });
        let lockdown = root.text("sys/kernel/security/lockdown").ok();
        let chosen = lockdown.as_deref().and_then(|text| {
            let (_, rest) = text.split_once('[')?;
            Some(rest.split_once(']')?.0.to_owned())
        });
        Self {
            release: root.text("proc/sys/kernel/osrelease"),
            functions,
            has_types: root.has("sys/kernel/btf/vmlinux"),
            has_cipher,
            jit: root.number("proc/sys/net/core/bpf_jit_enable"),
            mounts: root.text("proc/mounts"),
            lockdown: chosen,
        }
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        vec![
            self.runs(),
            self.signs(),
            self.jit(),
            self.names(),
            self.lockdown(),
        ]
    }

    fn release(&self) -> Option<Release> {
        Release::parse(self.release.as_deref().ok()?)
    }

    /// Whether it has these; by its version where it does not list its functions.
    fn has(&self, functions: &[&str], since: Release) -> Option<bool> {
        match &self.functions {
            Ok(known) if !known.is_empty() => {
                Some(functions.iter().all(|function| known.contains(function)))
            }
            // An empty list is what a kernel gives that hides it, or one that has none of them.
            _ => self.release().map(|release| release >= since),
        }
    }

    fn runs(&self) -> Finding {
        let name = "fast path";
        let release = match &self.release {
            Ok(release) => release,
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        let finding = Finding::ok(AREA, name, format!("Linux {release}"));
        match self.has(&[TIME], TIME_SINCE) {
            Some(true) => finding,
            Some(false) => finding
                .judged(Severity::Note)
                .wanting("Linux 6.1 or later")
                .because(format!(
                    "a program cannot read the time there, so `fastpath` is refused and sockets answer all: {SOCKETS}"
                )),
            None => {
                let why = Unknown::strange("proc/sys/kernel/osrelease", release);
                Finding::unknown(AREA, name, &why)
            }
        }
    }

    fn signs(&self) -> Finding {
        let name = "signing in the fast path";
        let finding = |found: &str| Finding::ok(AREA, name, found);
        let cost = SIGNED_BY_SOCKETS;
        let has = match self.has(&SIGNING, SIGNING_SINCE) {
            Some(has) => has,
            None => match &self.release {
                Ok(text) => {
                    let why = Unknown::strange("proc/sys/kernel/osrelease", text);
                    return Finding::unknown(AREA, name, &why);
                }
                Err(why) => return Finding::unknown(AREA, name, why),
            },
        };
        if !has {
            return finding("no ciphers for programs")
                .judged(Severity::Note)
                .wanting("Linux 6.10 or later, with CONFIG_BPF_SYSCALL and CONFIG_CRYPTO_SKCIPHER")
                .because(cost);
        }
        if !self.has_types {
            return finding("ciphers, but no types")
                .judged(Severity::Note)
                .wanting("CONFIG_DEBUG_INFO_BTF")
                .because(format!(
                    "without /sys/kernel/btf/vmlinux a program cannot call them: {cost}"
                ));
        }
        if self.has(&[CIPHERS], SIGNING_SINCE) == Some(false) {
            return finding("no ciphers registered")
                .judged(Severity::Note)
                .wanting("the module bpf_crypto_skcipher")
                .because(format!("the kernel does not load it by itself: {cost}"))
                .cured_by("modprobe bpf_crypto_skcipher");
        }
        match &self.has_cipher {
            Ok(true) => finding("bpf_crypto_encrypt, cbc(aes)"),
            Ok(false) => finding("bpf_crypto_encrypt; cbc(aes) is not in use yet")
                .judged(Severity::Note)
                .wanting("cbc(aes)")
                .because(format!(
                    "the kernel loads it when it is asked for, if it has the module; if not, {cost}"
                ))
                .cured_by("modprobe cbc"),
            Err(why) => Finding::unknown(AREA, name, why),
        }
    }

    fn jit(&self) -> Finding {
        let name = "net.core.bpf_jit_enable";
        match &self.jit {
            // Only root may read it.
            Err(why) => Finding::unknown(AREA, name, why),
            Ok(0) => Finding::ok(AREA, name, "0")
                .judged(Severity::Note)
                .wanting("1")
                .because("programs are interpreted: several times as many instructions a request")
                .cured_by("sysctl --write net.core.bpf_jit_enable=1"),
            Ok(2) => Finding::ok(AREA, name, "2")
                .judged(Severity::Note)
                .wanting("1")
                .because("each program is written to the kernel's log as it is loaded")
                .cured_by("sysctl --write net.core.bpf_jit_enable=1"),
            Ok(number) => Finding::ok(AREA, name, number.to_string()),
        }
    }

    fn names(&self) -> Finding {
        let mounts = match &self.mounts {
            Ok(mounts) => mounts,
            Err(why) => return Finding::unknown(AREA, PROGRAMS, why),
        };
        let mut mounts = mounts.lines().map(|line| line.split(' ').skip(1).take(2));
        if mounts.any(|words| words.eq([PROGRAMS, "bpf"])) {
            return Finding::ok(AREA, PROGRAMS, "a file system of programs");
        }
        Finding::ok(AREA, PROGRAMS, "nothing mounted")
            .judged(Severity::Note)
            .wanting("a file system of programs")
            .because(
                "the fast path has no name to be found by, so it ends with maser: between one run and the next nobody \
                 answers",
            )
            .cured_by(format!("mount --types bpf bpf {PROGRAMS}"))
    }

    /// What it forbids is reading the kernel's memory and writing that of other programs, which this one does not.
    fn lockdown(&self) -> Finding {
        let name = "kernel lockdown";
        match self.lockdown.as_deref() {
            None => Finding::ok(AREA, name, "none"),
            Some(mode) => Finding::ok(AREA, name, format!("{mode}: programs in XDP may be loaded")),
        }
    }
}

/// What is said of all cards.
pub(super) fn findings(
    cards: &[Card],
    kernel: &Kernel,
    processes: &Processes,
    cores: &[usize],
) -> Vec<Finding> {
    if kernel.has(&[TIME], TIME_SINCE) == Some(false) {
        return Vec::new();
    }
    let real = cards.iter().filter(|card| card.kind != Kind::Virtual);
    real.flat_map(|card| {
        let mut findings = vec![native(card, kernel)];
        findings.extend(program(card, processes));
        findings.extend(other_end(card, processes));
        findings.extend(frames(card));
        findings.extend(joined(card));
        findings.extend(queues(card, cores));
        findings
    })
    .collect()
}

/// Who would run the program.
fn native(card: &Card, kernel: &Kernel) -> Finding {
    let name = format!("{} XDP", card.name);
    let generic = |finding: Finding| {
        finding
            .judged(Severity::Note)
            .wanting("native")
            .because(format!(
                "the kernel runs the program, once it has made its own buffer of each frame: {GENERIC}"
            ))
    };
    if let Ok(features) = &card.driver.xdp {
        let stamps = if features.receive_stamp {
            ", with the card's receive timestamps"
        } else {
            ""
        };
        return if features.native {
            Finding::ok(AREA, name, format!("native{stamps}"))
        } else {
            generic(Finding::ok(AREA, name, "generic only, says the driver"))
        };
    }
    // An older kernel, or another machine's: what is known of its drivers.
    let driver = match &card.kind {
        Kind::Device(driver) => driver.as_str(),
        Kind::Pair => "veth",
        Kind::Virtual => "",
    };
    let since = DRIVERS.iter().find(|(known, _)| *known == driver);
    match (since, kernel.release()) {
        (Some((_, since)), Some(release)) if release >= *since => {
            Finding::ok(AREA, name, format!("native, by its driver {driver}"))
        }
        (Some((_, since)), Some(_)) => {
            let Release(major, minor) = since;
            let finding = Finding::ok(AREA, name, format!("generic only with driver {driver}"));
            generic(finding).wanting(format!("Linux {major}.{minor} or later"))
        }
        _ => {
            let why = format!(
                "the kernel does not say, and driver {driver} is not among those known here; `fastpath {} native` tells",
                card.name
            );
            Finding::unknown(AREA, name, &Unknown::NotSaid(why))
        }
    }
}

/// The program that is there.
fn program(card: &Card, processes: &Processes) -> Option<Finding> {
    let program = card.driver.program.as_ref().ok()?.as_ref()?;
    let name = format!("{} program in XDP", card.name);
    let number = program
        .id
        .map_or_else(|| "several".to_owned(), |id| format!("number {id}"));
    let by = match program.mode {
        Some(XdpMode::Native) => "run by the driver",
        Some(XdpMode::Generic) => "run by the kernel (generic)",
        None => "run by the card, or by several",
    };
    let finding = Finding::ok(AREA, name, format!("{number}, {by}"));
    let is_native = card.driver.xdp.as_ref().is_ok_and(|xdp| xdp.native);
    Some(if processes.server().is_none() {
        finding.judged(Severity::Note).because(format!(
            "no maser serves: what is not its own, or an earlier run's, stands in the way of `fastpath {}`: bpftool net \
             says what it is",
            card.name
        ))
    } else if is_native && program.mode == Some(XdpMode::Generic) {
        finding
            .judged(Severity::Slow)
            .wanting("run by the driver")
            .because(format!("the driver could: {GENERIC}"))
    } else {
        finding
    })
}

/// A veth's other end. The driver tells when it would take nothing that a program made. What it says otherwise is no
/// proof: it counts `gro` there as well, and then queues the answers for somebody who never looks.
fn other_end(card: &Card, processes: &Processes) -> Option<Finding> {
    if card.kind != Kind::Pair {
        return None;
    }
    let finding = |found: &str| Finding::ok(AREA, format!("{} other end", card.name), found);
    let sums = "a client there must sum its datagrams itself, or they are left to the sockets";
    let told = |finding: Finding, why: String| {
        finding
            .judged(Severity::Note)
            .because(why)
            .cured_by("ethtool --features OTHER tx off")
    };
    let takes_none = |xdp: &XdpFeatures| xdp.native && !xdp.sends;
    if !card.driver.xdp.as_ref().is_ok_and(takes_none) {
        return Some(told(
            finding("cannot be seen from here"),
            format!(
                "the driver's answer reaches the other end of a veth only where that one has a program in XDP, too (`gro` \
                 there is not enough); and {sums}"
            ),
        ));
    }
    let none = finding("has no program in XDP").wanting("a program in XDP that passes all");
    let is_native = |program: &XdpProgram| program.mode == Some(XdpMode::Native);
    let answers = card.driver.program.as_ref().ok()?.as_ref();
    if answers.is_some_and(is_native) && processes.server().is_some() {
        return Some(none.judged(Severity::Broken).because(format!(
            "a veth loses each answer of the driver's where its other end has none; `fastpath {} generic` needs none there",
            card.name
        )));
    }
    Some(told(
        none,
        format!(
            "`fastpath {}` would lose all its answers: the driver's reach the other end of a veth only where that one has \
             one, too, and generic needs none; and {sums}",
            card.name
        ),
    ))
}

fn frames(card: &Card) -> Option<Finding> {
    let mtu = *card.mtu.as_ref().ok()?;
    (mtu > MTU_MAX && card.kind != Kind::Pair).then(|| {
        Finding::ok(AREA, format!("{} mtu", card.name), mtu.to_string())
            .judged(Severity::Note)
            .wanting(format!("at most {MTU_MAX}"))
            .because(
                "most drivers refuse a program where a frame does not fit a page, and `fastpath auto` is generic then; a \
                 request has a hundred bytes",
            )
            .cured_by(format!("ip link set dev {} mtu 1500", card.name))
    })
}

fn joined(card: &Card) -> Option<Finding> {
    let joins = *card.driver.joins.as_ref().ok()?;
    if !joins.on || card.kind == Kind::Pair {
        return None;
    }
    let name = format!("{} rx-lro, rx-gro-hw", card.name);
    let refusal = "the card joins what it receives, and some drivers take no program beside that (virtio_net, mlx5_core, \
                   hv_netvsc): `fastpath auto` is generic then, and `fastpath native` refused; no datagram is joined anyway";
    let finding = Finding::ok(AREA, name, "on").judged(Severity::Note);
    let finding = finding.wanting("off");
    Some(if joins.fixed {
        finding.because(format!(
            "{refusal}; it cannot be switched off here, maybe where this machine is configured (a guest's host: guest_tso4, \
             guest_tso6, guest_csum)"
        ))
    } else {
        finding
            .because(refusal)
            .cured_by(format!(
                "ethtool --features {} lro off rx-gro-hw off",
                card.name
            ))
            .or_script(format!(
                "tuning/nic apply --really --fast-path --interface {}",
                card.name
            ))
    })
}

/// Each queue's program runs where its interrupt goes; what hands packets on (RPS) comes later.
fn queues(card: &Card, cores: &[usize]) -> Option<Finding> {
    let (queues, all) = (card.queues(), cores.len());
    (queues > 0 && queues < all && card.kind != Kind::Pair).then(|| {
        Finding::ok(
            AREA,
            format!("{} queues of the fast path", card.name),
            format!("{queues} for {all} cores"),
        )
        .judged(Severity::Note)
        .wanting(all.to_string())
        .because(format!(
            "the program runs on the cores of the queues' interrupts, and rps_cpus only moves what it passes up: the other {} \
             answer nothing by the fast path",
            all - queues
        ))
        .or_script(format!("tuning/nic apply --really --interface {}", card.name))
    })
}

/// Drivers that run programs by themselves and send back their answers, and the first kernel in which they do; 6.1 stands
/// for all before it too, as the program needs that.
const DRIVERS: [(&str, Release); 31] = [
    ("atlantic", TIME_SINCE),
    ("bnxt_en", TIME_SINCE),
    ("cpsw", TIME_SINCE),
    ("ena", TIME_SINCE),
    ("fec", Release(6, 2)),
    ("fsl_dpaa2_eth", TIME_SINCE),
    ("fsl_enetc", TIME_SINCE),
    ("fsl_enetc_vf", TIME_SINCE),
    ("gve", Release(6, 4)),
    ("hv_netvsc", TIME_SINCE),
    ("i40e", TIME_SINCE),
    ("ice", TIME_SINCE),
    ("igb", TIME_SINCE),
    ("igc", TIME_SINCE),
    ("ixgbe", TIME_SINCE),
    ("ixgbevf", TIME_SINCE),
    ("mana", TIME_SINCE),
    ("mlx4_core", TIME_SINCE),
    ("mlx5_core", TIME_SINCE),
    ("mvneta", TIME_SINCE),
    ("mvpp2", TIME_SINCE),
    ("netsec", TIME_SINCE),
    ("nfp", TIME_SINCE),
    ("qede", TIME_SINCE),
    ("rvu_nicpf", TIME_SINCE),
    ("sfc", TIME_SINCE),
    ("thunder-nicvf", TIME_SINCE),
    ("tsnep", Release(6, 3)),
    ("veth", TIME_SINCE),
    ("virtio_net", TIME_SINCE),
    ("vmxnet3", Release(6, 6)),
];
