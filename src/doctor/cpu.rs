//! Cores: their clock, their sleep, who shares them.

use std::collections::BTreeSet;

use super::cores::{list, parse_list};
use super::fact::{Fact, Root, Unknown};
use super::finding::{Finding, Severity};
use super::sockets::percent;

const AREA: &str = "cpu";
const FOLDER: &str = "sys/devices/system/cpu";
/// Microseconds of waking beyond which a sleep is worth a word.
const WAKE_US: u64 = 20;

/// What there is of cores.
#[derive(Debug)]
pub(super) struct Cpu {
    /// The cores in use, in order.
    pub(super) online: Vec<usize>,
    /// Cores kept from the scheduler (isolcpus).
    isolated: Vec<usize>,
    /// Groups of cores that share one core's machinery (SMT), each but once.
    siblings: BTreeSet<Vec<usize>>,
    /// Whether this is a virtual machine.
    guest: Fact<bool>,
    /// How each core's clock is chosen; missing where the kernel does not choose it.
    governors: BTreeSet<String>,
    /// The cores' lowest and highest clock, in kHz, where they are told.
    clock_khz: Option<(u64, u64)>,
    /// Who puts cores to sleep.
    idle_driver: Fact<String>,
    /// The sleep with the longest way back that is not switched off.
    deepest: Option<Sleep>,
    /// Ticks since boot: the host ran somebody else, and all.
    steal: Fact<(u64, u64)>,
    /// Mitigations of the processor's faults that cost system calls: the fault and what is done.
    mitigations: Vec<(&'static str, String)>,
}

/// A state of sleep.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sleep {
    name: String,
    wake_us: u64,
    /// The number of the state.
    state: String,
}

/// Faults whose mitigation is at work on the way into and out of the kernel, and by which word that is told
/// from those that are not (Documentation/admin-guide/hw-vuln).
const AT_SYSTEM_CALLS: [(&str, &[&str]); 6] = [
    ("meltdown", &["PTI"]),
    ("spectre_v2", &["Retpolines", "IBRS"]),
    ("retbleed", &["return thunk", "IBRS"]),
    ("spec_rstack_overflow", &["Safe RET", "safe RET"]),
    ("mds", &["Clear CPU buffers"]),
    ("tsx_async_abort", &["Clear CPU buffers"]),
];

impl Cpu {
    pub(super) fn read(root: &Root) -> Self {
        let cores = |path: &str| root.text(path).ok().and_then(|text| parse_list(&text));
        let online = cores(&format!("{FOLDER}/online")).unwrap_or_default();
        let of_core = |core: &usize, path: &str| root.text(&format!("{FOLDER}/cpu{core}/{path}"));
        let khz = |path: &str| {
            let numbers = online
                .iter()
                .filter_map(|core| of_core(core, path).ok()?.parse().ok());
            numbers.collect::<Vec<u64>>()
        };
        let lowest = khz("cpufreq/cpuinfo_min_freq").into_iter().min();
        let highest = khz("cpufreq/cpuinfo_max_freq").into_iter().max();
        let siblings = online.iter().filter_map(|core| {
            let together = parse_list(&of_core(core, "topology/thread_siblings_list").ok()?)?;
            (together.len() > 1).then_some(together)
        });
        let governors = online
            .iter()
            .filter_map(|core| of_core(core, "cpufreq/scaling_governor").ok());
        Self {
            isolated: cores(&format!("{FOLDER}/isolated")).unwrap_or_default(),
            siblings: siblings.collect(),
            guest: is_guest(root),
            governors: governors.collect(),
            clock_khz: lowest.zip(highest),
            idle_driver: root.text(&format!("{FOLDER}/cpuidle/current_driver")),
            deepest: deepest(root, online.first().copied()),
            steal: steal(root),
            mitigations: mitigations(root),
            online,
        }
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![self.governor(), self.sleep(), self.stolen()];
        if self.online.is_empty() {
            let why = Unknown::NotSaid(format!("/{FOLDER}/online does not say"));
            findings.push(Finding::unknown(AREA, "cores", &why));
        } else {
            findings.push(Finding::ok(AREA, "cores", list(&self.online)));
        }
        findings.push(self.sharing());
        findings.push(self.isolation());
        findings.push(self.faults());
        findings
    }

    fn governor(&self) -> Finding {
        let name = "cpufreq governor";
        if self.governors.is_empty() {
            let finding = Finding::ok(AREA, name, "none").judged(Severity::Note);
            return match &self.guest {
                Ok(true) => finding.because(
                    "a virtual machine: its host chooses the clock of the cores, and nothing here can; ask for \
                     the governor `performance` there",
                ),
                Ok(false) => finding.because(
                    "the firmware chooses the clock of the cores, or a driver is missing; look for its \
                     setting of performance over saving",
                ),
                Err(why) => finding.because(format!(
                    "the kernel does not choose the clock of the cores; cannot tell who does, because {why}"
                )),
            };
        }
        let found = self
            .governors
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let finding = Finding::ok(AREA, name, found);
        if self
            .governors
            .iter()
            .all(|governor| governor == "performance")
        {
            return finding;
        }
        let range = self
            .clock_khz
            .map_or_else(String::new, |(lowest, highest)| {
                format!(
                    ": at {} MHz instead of {} MHz all takes {}.{} times as long",
                    lowest / 1000,
                    highest / 1000,
                    highest / lowest.max(1),
                    highest * 10 / lowest.max(1) % 10
                )
            });
        finding
            .judged(Severity::Slow)
            .wanting("performance")
            .because(format!(
                "the clock follows the load, so the first packets after a pause meet a slow core{range}"
            ))
            .cured_by(
                "for file in /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor; do echo performance \
                 >\"$file\"; done",
            )
            .or_script("tuning/cpu apply --really")
    }

    fn sleep(&self) -> Finding {
        let name = "idle states";
        let driver = match &self.idle_driver {
            Ok(driver) => driver.as_str(),
            Err(why) if why.is_missing() => "none",
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        let Some(deepest) = &self.deepest else {
            return Finding::ok(
                AREA,
                name,
                format!("driver {driver}, no states to choose from"),
            );
        };
        let found = format!(
            "driver {driver}; the deepest in use, {}, takes {} µs to wake, by its driver",
            deepest.name, deepest.wake_us
        );
        let finding = Finding::ok(AREA, name, found);
        if deepest.wake_us <= WAKE_US {
            return finding;
        }
        finding
            .judged(Severity::Slow)
            .wanting(format!("at most {WAKE_US} µs"))
            .because(format!(
                "the first packet after a pause waits up to {} µs for its core, and its receive timestamp is as \
                 late",
                deepest.wake_us
            ))
            .cured_by(format!(
                "for file in /sys/devices/system/cpu/cpu[0-9]*/cpuidle/{}/disable; do echo 1 >\"$file\"; done",
                deepest.state
            ))
            .or_script("tuning/cpu apply --really")
    }

    fn stolen(&self) -> Finding {
        let name = "steal time";
        let (stolen, all) = match &self.steal {
            Ok(steal) => *steal,
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        let found = format!("{} since boot", percent(stolen, all));
        let finding = Finding::ok(AREA, name, found);
        let severity = match stolen.saturating_mul(100) / all.max(1) {
            0 => return finding,
            1..5 => Severity::Note,
            _ => Severity::Slow,
        };
        finding.judged(severity).wanting("below 1 %").because(
            "the host runs somebody else on these cores: requests wait for milliseconds meanwhile, and \
             timestamps are as late; ask for cores of your own there",
        )
    }

    fn sharing(&self) -> Finding {
        let name = "SMT";
        let Some(first) = self.siblings.first() else {
            return Finding::ok(AREA, name, "no two cores share one's machinery");
        };
        let pairs: Vec<_> = self
            .siblings
            .iter()
            .map(|together| list(together))
            .collect();
        let one_each: BTreeSet<_> = self
            .siblings
            .iter()
            .filter_map(|s| s.first())
            .copied()
            .collect();
        let shared: BTreeSet<_> = self.siblings.iter().flatten().copied().collect();
        let workers = self
            .online
            .iter()
            .filter(|core| !shared.contains(core) || one_each.contains(core));
        let workers: Vec<_> = workers.copied().collect();
        let found = if pairs.len() > 4 {
            format!("{} groups, as {}", pairs.len(), list(first))
        } else {
            pairs.join(" and ")
        };
        Finding::ok(AREA, name, format!("shared machinery: cores {found}"))
            .judged(Severity::Note)
            .because(format!(
                "two workers on such cores do not do twice the work of one, and disturb each other's latency; \
                 `cpus {}` in maser.conf leaves the others to interrupts",
                list(&workers)
            ))
    }

    fn isolation(&self) -> Finding {
        let name = "isolated cores";
        if self.isolated.is_empty() {
            return Finding::ok(AREA, name, "none");
        }
        let cores = list(&self.isolated);
        Finding::ok(AREA, name, cores.clone())
            .judged(Severity::Note)
            .because(format!(
                "programs do not run there unless told to, so `workers auto` leaves them idle: `cpus {cores}` in \
                 maser.conf uses them"
            ))
    }

    fn faults(&self) -> Finding {
        let name = "processor mitigations";
        if self.mitigations.is_empty() {
            return Finding::ok(AREA, name, "none at system calls");
        }
        let parts = self
            .mitigations
            .iter()
            .map(|(fault, what)| format!("{fault} ({what})"));
        Finding::ok(AREA, name, parts.collect::<Vec<_>>().join(", "))
            .judged(Severity::Note)
            .because(
                "each system call costs more, of which maser makes one for up to 64 requests; for information, \
                 as switching them off trusts every program here",
            )
    }
}

/// The processor's flag `hypervisor`, which a host sets.
fn is_guest(root: &Root) -> Fact<bool> {
    if root.has("sys/hypervisor/type") {
        return Ok(true);
    }
    let path = "proc/cpuinfo";
    let text = root.text(path)?;
    let mut flags = text.lines().filter_map(|line| line.strip_prefix("flags"));
    match flags.next() {
        Some(flags) => Ok(flags.split_whitespace().any(|flag| flag == "hypervisor")),
        // Processors other than x86 have no such flag.
        None => Err(Unknown::NotSaid(format!("/{path} has no flags"))),
    }
}

/// Of the first core: the others are like it.
fn deepest(root: &Root, core: Option<usize>) -> Option<Sleep> {
    let folder = format!("{FOLDER}/cpu{}/cpuidle", core?);
    let states = root
        .names(&folder)
        .into_iter()
        .filter(|name| name.starts_with("state"));
    let sleeps = states.filter_map(|state| {
        let text = |file: &str| root.text(&format!("{folder}/{state}/{file}")).ok();
        let in_use = text("disable").is_none_or(|disabled| disabled == "0");
        in_use.then_some(())?;
        Some(Sleep {
            name: text("name")?,
            wake_us: text("latency")?.parse().ok()?,
            state,
        })
    });
    sleeps.max_by_key(|sleep| sleep.wake_us)
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal, …; the guests' time
/// behind it is in user and nice already.
fn steal(root: &Root) -> Fact<(u64, u64)> {
    let path = "proc/stat";
    let text = root.text(path)?;
    let line = text.lines().next().unwrap_or_default();
    let ticks = || {
        let numbers = line.strip_prefix("cpu ")?.split_whitespace().take(8);
        let ticks: Vec<u64> = numbers
            .map(|number| number.parse().ok())
            .collect::<Option<_>>()?;
        Some((
            *ticks.get(7)?,
            ticks.iter().copied().fold(0, u64::saturating_add),
        ))
    };
    ticks().ok_or_else(|| Unknown::strange(path, line))
}

fn mitigations(root: &Root) -> Vec<(&'static str, String)> {
    let at_work = |(fault, words): &(&'static str, &[&str])| {
        let text = root
            .text(&format!("{FOLDER}/vulnerabilities/{fault}"))
            .ok()?;
        // Behind the first `;` stands what else is done, at other places.
        let first = text.split(';').next()?;
        let found = words.iter().any(|word| first.contains(word));
        let (_, what) = first.split_once(": ")?;
        found.then(|| (*fault, what.to_owned()))
    };
    AT_SYSTEM_CALLS.iter().filter_map(at_work).collect()
}
