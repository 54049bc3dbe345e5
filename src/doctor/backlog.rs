//! The queues between card and socket: what a core's soft interrupt works off at once, and what waits for it.

use super::fact::{Fact, Root, Unknown};
use super::finding::{Finding, Severity};
use super::sockets::{percent, severity_of_losses};

const AREA: &str = "backlog";
/// Packets that may wait for a core behind receive steering: 8 ms at 500,000 a second.
const BACKLOG: u64 = 4096;
const BUDGET: u64 = 600;
const BUDGET_US: u64 = 8000;

/// Settings and counts of the soft interrupt that receives.
#[derive(Debug)]
pub(super) struct Backlog {
    /// net.core.netdev_max_backlog, in packets.
    length: Fact<u64>,
    /// net.core.netdev_budget, in packets a round.
    budget: Fact<u64>,
    /// net.core.netdev_budget_usecs.
    budget_us: Fact<u64>,
    counts: Fact<Counts>,
}

/// All cores together, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    processed: u64,
    /// The backlog was full.
    dropped: u64,
    /// A round ended with packets left over.
    squeezed: u64,
}

impl Backlog {
    pub(super) fn read(root: &Root) -> Self {
        let path = "proc/net/softnet_stat";
        let counts = root
            .text(path)
            .and_then(|text| parse_softnet(&text).ok_or_else(|| Unknown::strange(path, &text)));
        Self {
            length: root.number("proc/sys/net/core/netdev_max_backlog"),
            budget: root.number("proc/sys/net/core/netdev_budget"),
            budget_us: root.number("proc/sys/net/core/netdev_budget_usecs"),
            counts,
        }
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        vec![self.length(), self.budget()]
    }

    fn length(&self) -> Finding {
        let name = "net.core.netdev_max_backlog";
        let length = match &self.length {
            Ok(length) => *length,
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        let counts = match &self.counts {
            Ok(counts) => counts,
            Err(why) => return Finding::unknown(AREA, name, why),
        };
        let finding = Finding::ok(AREA, name, length.to_string());
        let enough = length.saturating_mul(2).max(BACKLOG);
        let cured = |finding: Finding, wanted: u64| {
            finding
                .wanting(format!("at least {wanted}"))
                .cured_by(format!("sysctl --write {name}={wanted}"))
                .or_script(format!("tuning/sysctl apply --really --backlog {wanted}"))
        };
        if counts.dropped > 0 {
            let why = format!(
                "since boot {} packets ({} of all) were lost because it was full",
                counts.dropped,
                percent(
                    counts.dropped,
                    counts.processed.saturating_add(counts.dropped)
                )
            );
            cured(
                finding
                    .judged(severity_of_losses(counts.dropped, counts.processed))
                    .because(why),
                enough,
            )
        } else if length < BACKLOG {
            let why = format!(
                "packets wait there where receive steering (RPS) hands them to another core: {} µs at 500,000 \
                 a second; none was lost so far",
                length * 2
            );
            cured(finding.judged(Severity::Note).because(why), BACKLOG)
        } else {
            finding
        }
    }

    fn budget(&self) -> Finding {
        let name = "net.core.netdev_budget";
        let (budget, us, counts) = match (&self.budget, &self.budget_us, &self.counts) {
            (Ok(budget), Ok(us), Ok(counts)) => (*budget, *us, counts),
            (Err(why), _, _) | (_, Err(why), _) | (_, _, Err(why)) => {
                return Finding::unknown(AREA, name, why);
            }
        };
        let found = format!(
            "{budget} packets or {us} µs a round; {} rounds cut short",
            counts.squeezed
        );
        let finding = Finding::ok(AREA, name, found);
        // A round is at most `budget` packets.
        let behind = counts.squeezed.saturating_mul(budget.max(1)) > counts.processed / 100;
        if counts.squeezed == 0 || !behind {
            return finding;
        }
        let (budget, us) = (budget.saturating_mul(2).max(BUDGET), us.max(BUDGET_US));
        finding
            .judged(Severity::Note)
            .wanting(format!("{budget} and {us}"))
            .because(
                "rounds with up to a hundredth of all packets since boot ended with packets left over, which then \
                 wait for the kernel's thread ksoftirqd",
            )
            .cured_by(format!(
                "sysctl --write {name}={budget} net.core.netdev_budget_usecs={us}"
            ))
            .or_script(format!("tuning/sysctl apply --really --budget {budget}"))
    }
}

/// A line a core, hexadecimal: processed, dropped, squeezed, ….
fn parse_softnet(text: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let mut number = || u64::from_str_radix(fields.next()?, 16).ok();
        counts.processed = counts.processed.saturating_add(number()?);
        counts.dropped = counts.dropped.saturating_add(number()?);
        counts.squeezed = counts.squeezed.saturating_add(number()?);
    }
    Some(counts)
}
