//! Sockets' queues: how long they may be, and what they have lost.

use super::fact::{Fact, Root, Unknown};
use super::finding::{Finding, Severity};
use super::process::Processes;

const AREA: &str = "sockets";
/// What maser asks for in each direction.
const BUFFER_BYTES: u64 = 8 << 20;
/// Requests that such a queue holds (`node/ports.rs`).
const BUFFER_REQUESTS: u64 = 10_000;
/// The rate at which queues are told in time: 500,000 a second.
const RATE: u64 = 500_000;

/// Settings and counts of sockets.
#[derive(Debug)]
pub(super) struct Sockets {
    /// net.core.rmem_max and wmem_max, in bytes.
    receive_max: Fact<u64>,
    send_max: Fact<u64>,
    receive_default: Fact<u64>,
    /// net.core.busy_poll, in microseconds.
    busy_poll: Fact<u64>,
    counts: Fact<Counts>,
}

/// UDP of both families, all sockets of the network namespace, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    received: u64,
    /// The socket's receive queue was full.
    queue_full: u64,
    /// UDP had more memory than net.ipv4.udp_mem lets it.
    no_memory: u64,
}

impl Sockets {
    pub(super) fn read(root: &Root) -> Self {
        Self {
            receive_max: root.number("proc/sys/net/core/rmem_max"),
            send_max: root.number("proc/sys/net/core/wmem_max"),
            receive_default: root.number("proc/sys/net/core/rmem_default"),
            busy_poll: root.number("proc/sys/net/core/busy_poll"),
            counts: counts(root),
        }
    }

    pub(super) fn findings(&self, processes: &Processes) -> Vec<Finding> {
        let default = match &self.receive_default {
            Ok(bytes) => Finding::ok(AREA, "net.core.rmem_default", bytes.to_string())
                .because("of no effect on maser, which asks for its own"),
            Err(why) => Finding::unknown(AREA, "net.core.rmem_default", why),
        };
        let mut findings = vec![
            buffer("net.core.rmem_max", "receive", &self.receive_max, processes),
            buffer("net.core.wmem_max", "send", &self.send_max, processes),
            default,
            self.busy_poll(),
        ];
        findings.extend(self.losses());
        findings.extend(self.server_losses(processes));
        findings
    }

    /// What the sockets that hear the port have lost since they were opened.
    fn server_losses(&self, processes: &Processes) -> Option<Finding> {
        let lost = processes.lost()?;
        let finding = Finding::ok(AREA, "requests lost by the server", lost.to_string());
        if lost == 0 {
            return Some(finding);
        }
        let received = self.counts.as_ref().map_or(0, |counts| counts.received);
        let severity = match severity_of_losses(lost, received) {
            Severity::Slow => Severity::Broken,
            few => few,
        };
        Some(
            finding
                .judged(severity)
                .wanting("0")
                .because(
                    "they found the queue of their socket full, since the server started: it is too slow for what \
                     comes, or the queue is too short for a burst",
                )
                .cured_by("watch --differences cat /proc/net/udp /proc/net/udp6"),
        )
    }

    fn busy_poll(&self) -> Finding {
        let name = "net.core.busy_poll";
        match &self.busy_poll {
            Ok(0) => Finding::ok(AREA, name, "0")
                .because("only sockets that ask for it make the kernel spin"),
            Ok(us) => Finding::ok(AREA, name, us.to_string())
                .judged(Severity::Note)
                .because(format!(
                    "every program that waits in poll or epoll spins for up to {us} µs first, on the workers' \
                     cores too"
                )),
            Err(why) => Finding::unknown(AREA, name, why),
        }
    }

    fn losses(&self) -> Vec<Finding> {
        let counts = match &self.counts {
            Ok(counts) => counts,
            Err(why) => return vec![Finding::unknown(AREA, "UDP losses since boot", why)],
        };
        let share =
            |lost: u64| percent(lost, counts.received + counts.queue_full + counts.no_memory);
        let full = Finding::ok(AREA, "UDP RcvbufErrors", counts.queue_full.to_string());
        let full = if counts.queue_full == 0 {
            full
        } else {
            full.judged(severity_of_losses(counts.queue_full, counts.received)).wanting("0").because(format!(
                "since boot {} of all datagrams were lost at full receive queues, of any program; a growing \
                 count is a server that is too slow or a queue that is too short",
                share(counts.queue_full)
            ))
            .cured_by("watch --differences grep '^Udp:' /proc/net/snmp")
        };
        let memory = Finding::ok(AREA, "UDP MemErrors", counts.no_memory.to_string());
        let memory = if counts.no_memory == 0 {
            memory
        } else {
            memory.judged(severity_of_losses(counts.no_memory, counts.received)).wanting("0").because(format!(
                "since boot {} of all datagrams were lost because UDP had used up net.ipv4.udp_mem",
                share(counts.no_memory)
            ))
            .cured_by("sysctl --write net.ipv4.udp_mem=\"$(awk '{print $1 * 2, $2 * 2, $3 * 2}' /proc/sys/net/ipv4/udp_mem)\"")
        };
        vec![full, memory]
    }
}

fn buffer(name: &str, direction: &str, limit: &Fact<u64>, processes: &Processes) -> Finding {
    let bytes = match limit {
        Ok(bytes) => *bytes,
        Err(why) => return Finding::unknown(AREA, name, why),
    };
    let finding = Finding::ok(AREA, name, bytes.to_string());
    if bytes >= BUFFER_BYTES {
        return finding;
    }
    let requests = bytes * BUFFER_REQUESTS / BUFFER_BYTES;
    let tenths = requests * 10_000 / RATE;
    let short = format!(
        "the {direction} queue of a socket then holds some {requests} packets, {}.{} ms at 500,000 a second, \
         instead of {BUFFER_REQUESTS}",
        tenths / 10,
        tenths % 10
    );
    let who = processes.subject();
    let (severity, why) = if processes.may_force_buffers() {
        (
            Severity::Note,
            format!(
                "{who} has CAP_NET_ADMIN and passes over it; whoever has not gets no more: {short}"
            ),
        )
    } else {
        let unless = if processes.server().is_some() {
            ", unless it had CAP_NET_ADMIN when it started"
        } else {
            ""
        };
        (
            Severity::Slow,
            format!("{who} has no CAP_NET_ADMIN and gets no more{unless}: {short}"),
        )
    };
    finding
        .judged(severity)
        .wanting(format!("at least {BUFFER_BYTES}"))
        .because(why)
        .cured_by(format!("sysctl --write {name}={BUFFER_BYTES}"))
        .or_script("tuning/sysctl apply --really")
}

/// Sums what `snmp` and `snmp6` count; a kernel without IPv6 has no `snmp6`.
fn counts(root: &Root) -> Fact<Counts> {
    let path = "proc/net/snmp";
    let text = root.text(path)?;
    let counts = parse_snmp(&text).ok_or_else(|| Unknown::strange(path, &text))?;
    let six = match root.text("proc/net/snmp6") {
        Ok(text) => parse_snmp6(&text),
        Err(why) if why.is_missing() => Counts::default(),
        Err(why) => return Err(why),
    };
    Ok(Counts {
        received: counts.received.saturating_add(six.received),
        queue_full: counts.queue_full.saturating_add(six.queue_full),
        no_memory: counts.no_memory.saturating_add(six.no_memory),
    })
}

/// Two lines that begin with `Udp:`: names, numbers.
fn parse_snmp(text: &str) -> Option<Counts> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let pairs = || names.split_whitespace().zip(values.split_whitespace());
    let value = |name: &str| pairs().find(|(known, _)| *known == name)?.1.parse().ok();
    Some(Counts {
        received: value("InDatagrams")?,
        queue_full: value("RcvbufErrors")?,
        no_memory: value("MemErrors").unwrap_or(0), // Since Linux 5.11.
    })
}

/// A name and a number on each line.
fn parse_snmp6(text: &str) -> Counts {
    let value = |name: &str| {
        let mut lines = text.lines().map(str::split_whitespace);
        let number = lines.find_map(|mut words| (words.next()? == name).then(|| words.next())?);
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    Counts {
        received: value("Udp6InDatagrams"),
        queue_full: value("Udp6RcvbufErrors"),
        no_memory: value("Udp6MemErrors"),
    }
}

/// Losses since boot: slow from one in 10,000, since a few of an old burst are nothing to act upon.
pub(super) const fn severity_of_losses(lost: u64, received: u64) -> Severity {
    if lost.saturating_mul(10_000) >= received {
        Severity::Slow
    } else {
        Severity::Note
    }
}

/// A share for people: "3.8 %", "less than 0.1 %".
pub(super) fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    if tenths == 0 && part > 0 {
        "less than 0.1 %".into()
    } else {
        format!("{}.{} %", tenths / 10, tenths % 10)
    }
}
