//! The clock: what the kernel counts, and whether somebody keeps it.

use super::fact::{Fact, Root};
use super::finding::{Finding, Severity};
use super::kernel::Kernel;
use super::process::Processes;
use crate::sys::clock::KernelClock;

const AREA: &str = "clock";
const FOLDER: &str = "sys/devices/system/clocksource/clocksource0";
/// Counters that are read without asking the kernel or a device, in order of preference (the vDSO's, in
/// arch/*/include/asm/vdso).
const FAST: [&str; 6] = [
    "tsc",
    "kvm-clock",
    "hyperv_clocksource_tsc_page",
    "arch_sys_counter",
    "timebase",
    "riscv_clocksource",
];
/// Programs that keep a clock, as the kernel knows them by the first 15 bytes of their names.
const KEEPERS: [&str; 8] = [
    "chronyd",
    "ntpd",
    "ntp-daemon",
    "ptp4l",
    "phc2sys",
    "ts2phc",
    "systemd-timesyn",
    "ptpd",
];

/// The clock of the system.
#[derive(Debug)]
pub(super) struct Clock {
    source: Fact<String>,
    available: Fact<String>,
    kernel: Fact<KernelClock>,
}

impl Clock {
    pub(super) fn read(root: &Root, kernel: &dyn Kernel) -> Self {
        Self {
            source: root.text(&format!("{FOLDER}/current_clocksource")),
            available: root.text(&format!("{FOLDER}/available_clocksource")),
            kernel: kernel.clock(),
        }
    }

    pub(super) fn findings(&self, processes: &Processes) -> Vec<Finding> {
        let mut findings = vec![self.source(), self.kept(processes)];
        findings.extend(self.leap());
        findings
    }

    fn source(&self) -> Finding {
        let name = "clocksource";
        let source = match &self.source {
            Ok(source) => source,
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        let finding = Finding::ok(AREA, name, source.as_str());
        if FAST.contains(&source.as_str()) {
            return finding;
        }
        let available = self.available.as_deref().unwrap_or_default();
        let better = FAST
            .into_iter()
            .find(|fast| available.split_whitespace().any(|known| known == *fast));
        let finding = finding.judged(Severity::Slow).because(
            "each look at the clock is a system call and a read of a device, about a microsecond instead of some \
             25 ns, by the kernel for each packet and by maser for each burst",
        );
        match better {
            Some(better) => finding
                .wanting(better)
                .cured_by(format!("echo {better} >/{FOLDER}/current_clocksource")),
            None => finding
                .wanting("tsc, which the kernel does not offer: it found it unreliable (dmesg)"),
        }
    }

    fn kept(&self, processes: &Processes) -> Finding {
        let name = "kernel clock";
        let clock = match &self.kernel {
            Ok(clock) => clock,
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        if clock.synchronised {
            return Finding::ok(
                AREA,
                name,
                format!("synchronised, at most {} µs off", clock.max_error_us),
            );
        }
        let finding = Finding::ok(AREA, name, "unsynchronised").wanting("synchronised");
        let keeper = KEEPERS
            .into_iter()
            .find_map(|name| Some((name, processes.running(&[name])?)));
        match keeper {
            Some((keeper, pid)) => finding.judged(Severity::Note).because(format!(
                "{keeper} (pid {pid}) has not set it yet, or does not tell the kernel (chronyd does with \
                 `rtcsync`); with `follow kernel` maser says that it has no time"
            )),
            None => finding.judged(Severity::Broken).because(
                "no program is seen that keeps this clock, and the time served is wrong sooner or later; with \
                 `follow kernel` maser says that it has no time",
            )
            .cured_by(processes.chrony_service().map_or_else(String::new, |service| format!("systemctl enable --now {service}"))),
        }
    }

    fn leap(&self) -> Option<Finding> {
        let what = match self.kernel.as_ref().ok()?.leap {
            0 => return Some(Finding::ok(AREA, "leap second", "none announced")),
            1.. => "will be inserted",
            _ => "will be deleted",
        };
        Some(
            Finding::ok(
                AREA,
                "leap second",
                format!("{what} at the end of the UTC day"),
            )
            .judged(Severity::Note)
            .because(
                "replies announce it; if no leap second is due, whoever keeps the clock is wrong",
            ),
        )
    }
}
