//! CPU time (proc(5)): of each core, of each thread of a program, of everybody else's programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Ticks a second in which `/proc` counts (USER_HZ).
const TICKS_PER_S: f64 = 100.0;
/// A thread of the kernel's own (PF_KTHREAD in include/linux/sched.h).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What a core did, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Core {
    /// Its number.
    pub id: usize,
    /// Programs, niced ones included.
    pub user_s: f64,
    /// The kernel for programs.
    pub system_s: f64,
    /// The kernel for interrupts, soft ones included: most of a packet's way up.
    pub softirq_s: f64,
    /// Nothing, or waiting for a disk.
    pub idle_s: f64,
    /// Not there: the hypervisor ran somebody else.
    pub steal_s: f64,
}

impl Core {
    /// All of it.
    pub fn total_s(&self) -> f64 {
        self.user_s + self.system_s + self.softirq_s + self.idle_s + self.steal_s
    }

    /// The share in which it was not free; 0 where nothing was measured.
    pub fn busy(&self) -> f64 {
        share(self.total_s() - self.idle_s, self.total_s())
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            id: self.id,
            user_s: spent(self.user_s, before.user_s),
            system_s: spent(self.system_s, before.system_s),
            softirq_s: spent(self.softirq_s, before.softirq_s),
            idle_s: spent(self.idle_s, before.idle_s),
            steal_s: spent(self.steal_s, before.steal_s),
        }
    }
}

/// What a thread took, in seconds, and how often it was off its core.
///
/// Where the kernel does not keep interrupts' time apart (no CONFIG_IRQ_TIME_ACCOUNTING), those that hit
/// a thread are in its time as well as in the core's [`Core::softirq_s`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thread {
    /// Its number.
    pub id: u32,
    /// Its name, as the kernel has it: 15 bytes at most.
    pub name: String,
    /// Its own code.
    pub user_s: f64,
    /// The kernel for it.
    pub system_s: f64,
    /// How often it went to sleep.
    pub voluntary: u64,
    /// How often another thread took its core.
    pub involuntary: u64,
    /// The core it ran on last.
    pub core: usize,
}

impl Thread {
    /// User and system together.
    pub fn seconds(&self) -> f64 {
        self.user_s + self.system_s
    }

    fn since(&self, before: Option<&Self>) -> Self {
        let Some(before) = before else {
            return self.clone(); // It was born in between.
        };
        Self {
            id: self.id,
            name: self.name.clone(),
            user_s: spent(self.user_s, before.user_s),
            system_s: spent(self.system_s, before.system_s),
            voluntary: self.voluntary.saturating_sub(before.voluntary),
            involuntary: self.involuntary.saturating_sub(before.involuntary),
            core: self.core,
        }
    }
}

/// A process and what its threads took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name, as the kernel has it.
    pub name: String,
    /// Its threads, in order of their numbers. What a thread that has ended took is not known.
    pub threads: Vec<Thread>,
}

impl Process {
    /// Reads one; `None` where there is none (any more). `keep` says which of its threads, by their names.
    pub(super) fn read(root: &Path, pid: u32, keep: impl Fn(&str) -> bool) -> Option<Self> {
        let folder = root.join(pid.to_string());
        let name = stat_of(&folder)?.name;
        Some(Self {
            pid,
            name,
            threads: threads(&folder, keep),
        })
    }

    /// What it did since an earlier reading of it.
    pub(super) fn since(&self, before: Option<&Self>) -> Self {
        let earlier = before.map_or(&[][..], |before| &before.threads);
        Self {
            pid: self.pid,
            name: self.name.clone(),
            threads: threads_since(&self.threads, earlier),
        }
    }
}

/// CPU time of programs other than server and harness. At least: what cannot be seen is not in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Others {
    /// In seconds.
    pub seconds: f64,
    /// The program that was seen to take most, all processes of its name together, and its seconds.
    pub most: Option<(String, f64)>,
}

impl Others {
    /// The program that took at least half of it.
    pub fn mostly(&self) -> Option<&str> {
        let most = self.most.as_ref();
        most.filter(|(_, seconds)| 2.0 * seconds >= self.seconds)
            .map(|(name, _)| name.as_str())
    }
}

/// CPU seconds of each process so far, by number, with its name. Threads of the kernel are left out: what
/// they do for packets is the server's and the harness's work.
pub(super) type Census = BTreeMap<u32, (String, f64)>;

/// Reads the cores.
pub(super) fn cores(root: &Path) -> Vec<Core> {
    parse_cores(&text(root.join("stat")))
}

/// Reads the threads of the process whose folder this is, those whose name is kept.
pub(super) fn threads(folder: &Path, keep: impl Fn(&str) -> bool) -> Vec<Thread> {
    let mut threads: Vec<_> = numbered(&folder.join("task"))
        .filter_map(|id| {
            let folder = folder.join("task").join(id.to_string());
            let stat = stat_of(&folder).filter(|stat| keep(&stat.name))?;
            let (voluntary, involuntary) = parse_switches(&text(folder.join("status")));
            Some(Thread {
                id,
                name: stat.name,
                user_s: stat.user_s,
                system_s: stat.system_s,
                voluntary,
                involuntary,
                core: stat.core,
            })
        })
        .collect();
    threads.sort_unstable_by_key(|thread| thread.id);
    threads
}

/// Reads all processes but those `left_out`.
pub(super) fn census(root: &Path, left_out: impl Fn(u32) -> bool) -> Census {
    numbered(root)
        .filter(|pid| !left_out(*pid))
        .filter_map(|pid| {
            let stat = stat_of(&root.join(pid.to_string()))?;
            (stat.flags & KERNEL_THREAD == 0)
                .then_some((pid, (stat.name, stat.user_s + stat.system_s)))
        })
        .collect()
}

/// What each core did between two readings.
pub(super) fn cores_since(after: &[Core], before: &[Core]) -> Vec<Core> {
    let earlier = |id| before.iter().find(|core| core.id == id);
    after
        .iter()
        .filter_map(|core| Some(core.since(earlier(core.id)?)))
        .collect()
}

/// What each thread did between two readings.
pub(super) fn threads_since(after: &[Thread], before: &[Thread]) -> Vec<Thread> {
    let earlier = |id| before.iter().find(|thread| thread.id == id);
    after
        .iter()
        .map(|thread| thread.since(earlier(thread.id)))
        .collect()
}

/// What other programs took between two readings, known in two ways of which each tells too little:
/// process by process, where neither those that ended in between nor other containers' are seen; and as
/// what is missing between the cores' time for programs and `ours_s`, where interrupts may be counted twice.
pub(super) fn others(after: &Census, before: &Census, cores: &[Core], ours_s: f64) -> Others {
    let taken = |pid: &u32, seconds: f64| {
        spent(
            seconds,
            before.get(pid).map_or(0.0, |(_, earlier)| *earlier),
        )
    };
    let mut by_name = BTreeMap::<&str, f64>::new();
    for (pid, (name, seconds)) in after {
        *by_name.entry(name).or_default() += taken(pid, *seconds);
    }
    let seen = by_name.values().sum::<f64>();
    let programs = cores.iter().map(|core| core.user_s + core.system_s);
    let most = by_name
        .into_iter()
        .max_by(|(_, one), (_, other)| one.total_cmp(other));
    Others {
        seconds: (programs.sum::<f64>() - ours_s).max(seen),
        most: most
            .filter(|(_, seconds)| *seconds > 0.0)
            .map(|(name, seconds)| (name.to_owned(), seconds)),
    }
}

/// What of a `stat` of a process or thread is of use here.
#[derive(Clone, Debug, PartialEq)]
struct Stat {
    name: String,
    flags: u64,
    user_s: f64,
    system_s: f64,
    core: usize,
}

fn stat_of(folder: &Path) -> Option<Stat> {
    parse_stat(&text(folder.join("stat")))
}

/// `/proc/PID/stat`. The name is in parentheses and may hold such itself, and spaces.
fn parse_stat(text: &str) -> Option<Stat> {
    let (front, rest) = text.rsplit_once(')')?;
    let (_, name) = front.split_once('(')?;
    // Fields behind the name, the first of which is proc(5)'s third.
    let fields: Vec<_> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat {
        name: name.to_owned(),
        flags: field(9)?,
        user_s: seconds(field(14)?),
        system_s: seconds(field(15)?),
        core: usize::try_from(field(39)?).ok()?,
    })
}

/// `/proc/stat`: the lines `cpuN user nice system idle iowait irq softirq steal …`.
fn parse_cores(text: &str) -> Vec<Core> {
    let core = |line: &str| {
        let (id, rest) = line.strip_prefix("cpu")?.split_once(' ')?;
        let mut ticks = [0u64; 8];
        for (tick, word) in ticks.iter_mut().zip(rest.split_whitespace()) {
            *tick = word.parse().ok()?;
        }
        let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks.map(seconds);
        Some(Core {
            id: id.parse().ok()?,
            user_s: user + nice,
            system_s: system,
            softirq_s: irq + softirq,
            idle_s: idle + iowait,
            steal_s: steal,
        })
    };
    text.lines().filter_map(core).collect()
}

/// `/proc/PID/task/TID/status`: voluntary and involuntary context switches; zero where it says nothing.
fn parse_switches(text: &str) -> (u64, u64) {
    let count = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(0)
    };
    (
        count("voluntary_ctxt_switches:"),
        count("nonvoluntary_ctxt_switches:"),
    )
}

/// Entries of a folder whose name is a number.
pub(super) fn numbered(folder: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).ok().into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A file's text; empty where it cannot be read, and with marks for what is not UTF-8 (a thread's name
/// may be anything).
pub(super) fn text(path: impl AsRef<Path>) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A part of a whole; 0 of nothing.
pub(super) fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Whole ticks. Some of these counters step back a little at times (idle does, proc(5)).
fn spent(after: f64, before: f64) -> f64 {
    ((after - before) * TICKS_PER_S).round().max(0.0) / TICKS_PER_S
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ticks since boot, far below 2^53"
)]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_S
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAT: &str = "cpu  721973 7902 223408 1534953 11992 0 35988 22932 0 0\n\
        cpu0 335580 3751 107951 802899 3091 2 14903 11217 0 0\n\
        cpu1 386392 4150 115457 732054 8901 0 21085 11715 0 0\n\
        intr 108829 0 0\nctxt 9215\n";

    /// A line of `/proc/PID/stat` as Linux 6.18 writes it.
    fn line(pid: u32, name: &str, flags: u64, ticks: (u64, u64), core: usize) -> String {
        format!(
            "{pid} ({name}) R 1117 1117 24340 0 -1 {flags} 99 0 0 0 {} {} 0 0 20 0 1 0 1279584 3133440 379 \
             18446744073709551615 1 1 1 0 0 0 0 0 0 0 0 0 17 {core} 0 0 0 0 0 1 1 1 1 1 1 1 0\n",
            ticks.0, ticks.1
        )
    }

    #[test]
    fn cores_are_read_and_their_sum_is_not_one_of_them() {
        let cores = parse_cores(STAT);
        assert_eq!(cores.len(), 2);
        let core = cores[0];
        assert_eq!(core.id, 0);
        for (read, written) in [
            (core.user_s, 3393.31),
            (core.system_s, 1079.51),
            (core.softirq_s, 149.05),
            (core.idle_s, 8059.90),
            (core.steal_s, 112.17),
        ] {
            assert!((read - written).abs() < 1e-6, "{core:?}");
        }
        assert!(
            (core.busy() - (1.0 - 8059.90 / 12793.94)).abs() < 1e-9,
            "{core:?}"
        );
        assert_eq!(Core::default().busy().to_bits(), 0f64.to_bits());
    }

    #[test]
    fn a_core_that_came_or_steps_back_is_no_time() {
        let mut after = parse_cores(STAT);
        let mut before = parse_cores(STAT);
        before.remove(1);
        before[0].idle_s += 3.0;
        after[0].user_s += 1.0;
        let spent = cores_since(&after, &before);
        assert_eq!(spent.len(), 1);
        assert!((spent[0].total_s() - 1.0).abs() < 1e-9, "{spent:?}");
    }

    #[test]
    fn a_name_may_hold_spaces_and_parentheses() {
        for name in ["cat", "tmux: server", "a) R 1 (b", "(sd-pam)", ""] {
            let stat = parse_stat(&line(7, name, 4_194_304, (250, 31), 5)).expect(name);
            assert_eq!(stat.name, name);
            assert_eq!((stat.flags, stat.core), (4_194_304, 5));
            assert!((stat.user_s - 2.5).abs() < 1e-9 && (stat.system_s - 0.31).abs() < 1e-9);
        }
        assert_eq!(parse_stat("7 (cat) R 1"), None);
    }

    #[test]
    fn switches_are_two_numbers() {
        let status = "Name:\tcat\nThreads:\t1\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t345\n";
        assert_eq!(parse_switches(status), (12, 345));
        assert_eq!(parse_switches(""), (0, 0));
    }

    #[test]
    fn others_are_the_larger_of_what_is_seen_and_what_is_missing() {
        let census = |seconds: [f64; 3]| {
            let names = ["cc", "cc", "sh"];
            let named = names.into_iter().zip(seconds);
            (1..)
                .zip(named.map(|(name, s)| (name.to_owned(), s)))
                .collect()
        };
        let (before, after): (Census, Census) = (census([5.0, 1.0, 2.0]), census([5.5, 1.25, 2.0]));
        let cores = [Core {
            user_s: 2.0,
            system_s: 1.0,
            softirq_s: 9.0,
            ..Core::default()
        }];
        let found = others(&after, &before, &cores, 2.9);
        assert_eq!(found.most, Some(("cc".to_owned(), 0.75)));
        assert!((found.seconds - 0.75).abs() < 1e-9, "{found:?}");
        assert_eq!(found.mostly(), Some("cc"));
        let found = others(&after, &before, &cores, 1.0);
        assert!((found.seconds - 2.0).abs() < 1e-9, "{found:?}");
        assert_eq!(found.mostly(), None);
        assert_eq!(
            others(&after, &after, &[], 0.0),
            Others {
                seconds: 0.0,
                most: None
            }
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC*|(cpu[0-9]{0,3} )?([0-9]{0,25}[ \n(),:a-z]{1,3}){0,60}") {
            let _ = parse_cores(&text);
            let _ = parse_stat(&text);
            let _ = parse_switches(&text);
        }

        #[test]
        fn a_stat_is_read_as_written(name in "[^\0]{0,15}", user in 0u64..1 << 40, core in 0usize..8192) {
            let stat = parse_stat(&line(1, &name, 0, (user, 0), core)).expect("a stat");
            prop_assert_eq!(&stat.name, &name);
            prop_assert_eq!(stat.core, core);
            prop_assert!((stat.user_s - seconds(user)).abs() < 1e-9);
        }
    }
}
