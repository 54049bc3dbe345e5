//! The loop test: how much later than its transmit timestamp a reply is received, by one and the same clock.
//!
//! What answers in XDP never learns when its replies leave, because no stamp is taken of them. A client on the same
//! machine (in a network namespace of its own, at the other end of a cable) reads the same clock, and the kernel stamps
//! what it receives: the difference is what `fastpathdeparture` shall add.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use super::finding::{Finding, Severity};
use crate::sys::clock::monotonic_ns;
use crate::sys::{Burst, LocalAddress, PortOptions, Timespec, UdpPort, random};
use crate::wire::{HEADER_LEN, HeaderMut, HeaderView, KissCode, LeapIndicator, Mode, NtpTimestamp};

const AREA: &str = "loop";

/// What is asked in a loop test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopQuestion {
    /// Who is asked.
    pub server: SocketAddr,
    /// Requests that count, a thousand a second.
    pub requests: u32,
    /// `fastpathdeparture` as it is configured, in nanoseconds, where that is known.
    pub configured_ns: Option<i32>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoopTest {
    /// From a reply's transmit timestamp to the stamp of its receipt, in nanoseconds; in order.
    late_ns: Vec<i64>,
    sent: usize,
    /// Replies that only say to stay away.
    kisses: usize,
    /// Times that the server's machine said that nobody serves there.
    refused: usize,
    /// The requests went by the loopback, or to an address of our own.
    stays_inside: bool,
}

impl LoopTest {
    /// Asks, and waits for the answers: a little longer than a millisecond for each request.
    ///
    /// # Errors
    /// The system's: no socket, no way to the server, no stamps.
    pub fn run(question: &LoopQuestion) -> io::Result<Self> {
        let port = open(question.server)?;
        let own = port.local_address()?.ip();
        let mut test = Self {
            stays_inside: own == question.server.ip() || question.server.ip().is_loopback(),
            ..Self::default()
        };
        let mut asked = Asked::new(u64::from_ne_bytes(random::array()?));
        let mut burst = Burst::new(SLOTS, PAYLOAD_LEN);
        let total = WARM_UP + question.requests as usize;
        let start_ns = monotonic_ns();
        let give_up_ns = start_ns + 2 * INTERVAL_NS * total as u64;
        for number in 0..total {
            let due_ns = start_ns + INTERVAL_NS * number as u64;
            thread::sleep(Duration::from_nanos(due_ns.saturating_sub(monotonic_ns())));
            if monotonic_ns() > give_up_ns {
                break;
            }
            test.take(&port, &mut burst, &mut asked);
            burst.discard();
            let request = asked.next_request();
            burst.start(0, question.server, LocalAddress::Bound, false, &request);
            test.refused += port.transmit(&mut burst).refused;
        }
        let last_ns = monotonic_ns() + LAST_WAIT_NS;
        while monotonic_ns() < last_ns && asked.open() > 0 {
            thread::sleep(Duration::from_nanos(INTERVAL_NS));
            test.take(&port, &mut burst, &mut asked);
        }
        test.sent = asked.counting();
        test.late_ns.sort_unstable();
        Ok(test)
    }

    fn take(&mut self, port: &UdpPort, burst: &mut Burst, asked: &mut Asked) {
        loop {
            match port.receive(burst) {
                Ok(0) => return,
                Ok(received) => {
                    for slot in 0..received {
                        let datagram = burst.datagram(slot);
                        let arrived = datagram.stamp.software;
                        match asked.settle(burst.payload_mut(slot, datagram.len), arrived) {
                            Some(Answer::Late(nanos)) => self.late_ns.push(nanos),
                            Some(Answer::Kiss) => self.kisses += 1,
                            None => {}
                        }
                    }
                }
                // An error that the server's machine reported is told once.
                Err(_) => {
                    self.refused += 1;
                    return;
                }
            }
        }
    }

    /// Judges it.
    pub fn findings(&self, question: &LoopQuestion) -> Vec<Finding> {
        let mut findings = vec![self.answers(question)];
        if self.late_ns.is_empty() {
            return findings;
        }
        findings.push(self.departure(question));
        if self.stays_inside {
            let way = Finding::ok(AREA, "way", "by the loopback").judged(Severity::Note);
            findings.push(way.wanting("by the interface of `fastpath`").because(
                "no card's program sees these requests, and sockets answer them unless there is a line `fastpath lo`; \
                 ask from a network namespace that has the other end of the cable: ip netns exec NAME maser doctor \
                 --loop ADDRESS",
            ));
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }

    fn answers(&self, question: &LoopQuestion) -> Finding {
        let (answered, sent) = (self.late_ns.len(), self.sent);
        let mut found = format!("{answered} of {sent}");
        if self.kisses > 0 {
            found += &format!("; {} kisses", self.kisses);
        }
        let name = format!("answers of {}", question.server);
        let finding = Finding::ok(AREA, name, found);
        if answered * 100 >= sent * 99 && answered > 0 {
            return finding;
        }
        let why = if self.kisses > 0 {
            "the server finds that too much: `ratelimit` must let a thousand requests a second of one address pass \
             for as long as this lasts"
        } else if self.refused > 0 && answered == 0 {
            "nobody serves there, or a firewall says so"
        } else if answered == 0 {
            "nobody answers us there: no server, a firewall, no `allow` for our address, or a `ratelimit`"
        } else {
            "requests or replies were lost at a thousand a second, or came much too late: what is measured is that of \
             the rest"
        };
        let severity = if answered == 0 {
            Severity::Broken
        } else {
            Severity::Slow
        };
        finding.judged(severity).wanting("all").because(why)
    }

    fn departure(&self, question: &LoopQuestion) -> Finding {
        let median = self.quantile(50);
        let (least, most) = (self.quantile(1), self.quantile(99));
        let finding = Finding::ok(
            AREA,
            "from the transmit timestamp to the receipt",
            format!(
                "median {median} ns, mean {} ns, p99 {most} ns, spread {} ns (p1 to p99)",
                self.mean(),
                most - least
            ),
        );
        if median.unsigned_abs() > SAME_CLOCK_NS.unsigned_abs() {
            return finding
                .judged(Severity::Broken)
                .wanting("less than 1 ms")
                .because(
                    "what is served there is not this machine's system clock, but another machine's, or a time that is \
                     corrected in what is served only (`-x`, `smoothtime`): nothing can be told from it",
                );
        }
        let wanted_ns = i64::from(question.configured_ns.unwrap_or(0)) + median;
        let wanted = format!("about 0: `fastpathdeparture {wanted_ns}` in the configuration");
        let added = match question.configured_ns {
            Some(now) => format!("{now} stands there now"),
            None => {
                "if none stands there now: what does is added by -f FILE, or by hand".to_owned()
            }
        };
        if median.unsigned_abs() <= NEAR_NS.unsigned_abs() {
            return finding;
        }
        let finding = finding.judged(Severity::Slow).wanting(wanted).because(format!(
            "{added}; where the fast path answers, a client's clock is wrong by half of it; the way over the cable and \
             into the receiving kernel is in it"
        ));
        if most - median > NOISE_NS {
            let why = format!(
                "{}; single replies differ much: ask again when the machine has nothing else to do",
                finding.why
            );
            return finding.because(why);
        }
        finding
    }

    /// The value that so many hundredths are not above.
    fn quantile(&self, hundredths: usize) -> i64 {
        let last = self.late_ns.len().saturating_sub(1);
        let place = (last * hundredths + 50) / 100;
        self.late_ns.get(place).copied().unwrap_or(0)
    }

    fn mean(&self) -> i64 {
        let sum: i128 = self.late_ns.iter().map(|nanos| i128::from(*nanos)).sum();
        let count = i128::try_from(self.late_ns.len()).unwrap_or(1).max(1);
        i64::try_from(sum / count).unwrap_or(0)
    }
}

/// A socket that hears the server only, and whose datagrams the kernel stamps.
fn open(server: SocketAddr) -> io::Result<UdpPort> {
    let any: IpAddr = match server.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let port = UdpPort::open(&PortOptions {
        address: SocketAddr::new(any, 0),
        device: None,
        dscp: 0,
        shared: false,
        buffer_bytes: BUFFER_BYTES,
    })?;
    if !port.has_stamps() {
        return Err(io::Error::other("the kernel stamps nothing here"));
    }
    port.connect(server)?;
    Ok(port)
}

/// What a reply tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Nanoseconds from its transmit timestamp to its receipt.
    Late(i64),
    Kiss,
}

/// The requests that were sent: each has the first number and its place as its transmit timestamp.
struct Asked {
    first: u64,
    /// Whether it is still without an answer.
    waits: Vec<bool>,
}

impl Asked {
    const fn new(first: u64) -> Self {
        Self {
            first,
            waits: Vec::new(),
        }
    }

    /// NTPv4, and of its fields only the one that comes back: nobody who has not seen it can answer.
    fn next_request(&mut self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut header = HeaderMut::new(&mut bytes);
        header.set_first(LeapIndicator::NoWarning, 4, Mode::Client);
        let name = self.first.wrapping_add(self.waits.len() as u64);
        header.set_transmit_timestamp(NtpTimestamp::from_bits(name));
        self.waits.push(true);
        bytes
    }

    /// What a datagram tells; nothing: it is no first answer to one of ours, or one of those that do not count.
    fn settle(&mut self, packet: &[u8], arrived: Option<Timespec>) -> Option<Answer> {
        let header = HeaderView::at_front(packet)?;
        let place = header.origin_timestamp().to_bits().wrapping_sub(self.first);
        let place = usize::try_from(place).ok()?;
        let waits = self.waits.get_mut(place)?;
        if header.mode() != Mode::Server || !std::mem::take(waits) || place < WARM_UP {
            return None;
        }
        if header.stratum() == 0 && KissCode::from_reference_id(header.reference_id()).is_some() {
            return Some(Answer::Kiss);
        }
        let sent = header.transmit_timestamp();
        let arrived = arrived.filter(|_| !sent.is_zero())?;
        let arrived = NtpTimestamp::from_unix(arrived.secs, arrived.nanos);
        Some(Answer::Late((arrived - sent).to_nanos()))
    }

    /// Those without an answer.
    fn open(&self) -> usize {
        self.waits.iter().filter(|waits| **waits).count()
    }

    fn counting(&self) -> usize {
        self.waits.len().saturating_sub(WARM_UP)
    }
}

const INTERVAL_NS: u64 = 1_000_000;
/// For the last replies.
const LAST_WAIT_NS: u64 = 300_000_000;
/// Requests before those that count. The kernel begins to stamp some time after it was asked to, and until then it takes
/// the time at which a datagram is read.
const WARM_UP: usize = 100;
const SLOTS: usize = 64;
const PAYLOAD_LEN: usize = 128;
const BUFFER_BYTES: usize = 256 << 10;
/// Clocks that differ by more are not one clock.
const SAME_CLOCK_NS: i64 = 1_000_000;
/// What is not worth a line in the configuration.
const NEAR_NS: i64 = 100;
/// From the median to the 99th hundredth.
const NOISE_NS: i64 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ReferenceId;

    const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 123);

    fn question(configured_ns: Option<i32>) -> LoopQuestion {
        LoopQuestion {
            server: SERVER,
            requests: 2000,
            configured_ns,
        }
    }

    fn test(late_ns: impl IntoIterator<Item = i64>) -> LoopTest {
        let mut late_ns: Vec<_> = late_ns.into_iter().collect();
        late_ns.sort_unstable();
        LoopTest {
            sent: late_ns.len(),
            late_ns,
            ..LoopTest::default()
        }
    }

    fn of(test: &LoopTest, configured_ns: Option<i32>) -> Vec<(Severity, String, String)> {
        let findings = test.findings(&question(configured_ns)).into_iter();
        findings
            .map(|finding| (finding.severity, finding.wanted, finding.why))
            .collect()
    }

    #[test]
    fn what_is_missing_is_added_to_what_is_configured() {
        let late = test((0..2000).map(|n| 800 + n % 11));
        let (severity, wanted, why) = of(&late, None)[0].clone();
        assert_eq!(severity, Severity::Slow);
        assert!(wanted.contains("`fastpathdeparture 805`"), "{wanted}");
        assert!(why.contains("-f FILE"), "{why}");
        let (_, wanted, why) = of(&late, Some(-200))[0].clone();
        assert!(wanted.contains("`fastpathdeparture 605`"), "{wanted}");
        assert!(why.contains("-200 stands there now"), "{why}");
        // Configured too high: replies are received before they claim to leave.
        let early = test((0..2000).map(|n| -500 + n % 3));
        let wanted = &of(&early, Some(1300))[0].1;
        assert!(wanted.contains("`fastpathdeparture 801`"), "{wanted}");
    }

    #[test]
    fn what_is_near_needs_nothing() {
        for median in [-NEAR_NS, 0, NEAR_NS] {
            let findings = of(&test([median; 100]), Some(700));
            let ok = |(severity, ..): &(Severity, String, String)| *severity == Severity::Ok;
            assert!(findings.iter().all(ok), "{findings:?}");
        }
        let findings = of(&test([NEAR_NS + 1; 100]), Some(700));
        assert_eq!(findings[0].0, Severity::Slow);
    }

    #[test]
    fn another_clock_is_told_and_suggests_nothing() {
        for median in [
            -SAME_CLOCK_NS - 1,
            SAME_CLOCK_NS + 1,
            i64::MAX,
            i64::MIN + 1,
        ] {
            let (severity, wanted, why) = of(&test([median; 9]), None)[0].clone();
            assert_eq!(severity, Severity::Broken);
            assert!(!wanted.contains("fastpathdeparture"), "{wanted}");
            assert!(why.contains("another machine's"), "{why}");
        }
        let (severity, wanted, _) = of(&test([SAME_CLOCK_NS; 9]), None)[0].clone();
        assert_eq!(severity, Severity::Slow);
        assert!(wanted.contains("1000000"), "{wanted}");
    }

    #[test]
    fn figures_are_of_those_in_order() {
        let late = test(1..=101);
        assert_eq!((late.quantile(1), late.quantile(50)), (2, 51));
        assert_eq!((late.quantile(99), late.mean()), (100, 51));
        assert_eq!(test([]).quantile(50), 0);
        let noisy = test((0..1900).map(|_| 800).chain((0..100).map(|_| 90_000)));
        assert!(of(&noisy, None)[0].2.contains("differ much"));
    }

    #[test]
    fn too_few_answers_are_told_with_their_reason() {
        let mut late = test([800; 980]);
        late.sent = 1000;
        assert_eq!(of(&late, Some(800)).len(), 2);
        assert!(late.answers(&question(None)).why.contains("lost"));
        late.sent = 985;
        assert_eq!(late.answers(&question(None)).severity, Severity::Ok);
        let nobody = LoopTest {
            sent: 1000,
            ..LoopTest::default()
        };
        let findings = of(&nobody, None);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].0, Severity::Broken);
        assert!(findings[0].2.contains("`allow`"), "{findings:?}");
        let kissed = LoopTest {
            kisses: 7,
            ..nobody.clone()
        };
        assert!(of(&kissed, None)[0].2.contains("`ratelimit` must"));
        let refused = LoopTest {
            refused: 3,
            ..nobody
        };
        assert!(of(&refused, None)[0].2.contains("nobody serves there"));
    }

    #[test]
    fn the_loopback_is_no_cable() {
        let mut late = test([800; 100]);
        late.stays_inside = true;
        let note = of(&late, None)
            .into_iter()
            .find(|one| one.0 == Severity::Note);
        assert!(note.expect("told").2.contains("ip netns exec"));
    }

    fn reply(request: &[u8; HEADER_LEN], transmit: NtpTimestamp) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut header = HeaderMut::new(&mut bytes);
        header.set_first(LeapIndicator::NoWarning, 4, Mode::Server);
        header.set_stratum(1);
        header.set_origin_timestamp(HeaderView::new(request).transmit_timestamp());
        header.set_transmit_timestamp(transmit);
        bytes
    }

    #[test]
    fn a_request_is_settled_once_and_by_its_own_reply() {
        let arrived = Timespec {
            secs: 1_800_000_000,
            nanos: 2_500,
        };
        let sent = NtpTimestamp::from_unix(arrived.secs, 1_000);
        // The names run over the end of 64 bits.
        let mut asked = Asked::new(u64::MAX - 50);
        let requests: Vec<_> = (0..WARM_UP + 4).map(|_| asked.next_request()).collect();
        assert_eq!((asked.open(), asked.counting()), (WARM_UP + 4, 4));
        let warm_up = reply(&requests[WARM_UP - 1], sent);
        assert_eq!(asked.settle(&warm_up, Some(arrived)), None);
        let first = reply(&requests[WARM_UP], sent);
        assert_eq!(
            asked.settle(&first, Some(arrived)),
            Some(Answer::Late(1_500))
        );
        assert_eq!(asked.settle(&first, Some(arrived)), None);
        let unstamped = reply(&requests[WARM_UP + 1], sent);
        assert_eq!(asked.settle(&unstamped, None), None);
        let mut kiss = reply(&requests[WARM_UP + 2], sent);
        let mut header = HeaderMut::new(&mut kiss);
        header.set_stratum(0);
        header.set_reference_id(ReferenceId::from_bytes(*b"RATE"));
        assert_eq!(asked.settle(&kiss, Some(arrived)), Some(Answer::Kiss));
        // Our own request back, one that was never sent, one that is cut off.
        let last = requests[WARM_UP + 3];
        assert_eq!(asked.settle(&last, Some(arrived)), None);
        let mut never = reply(&last, sent);
        HeaderMut::new(&mut never).set_origin_timestamp(NtpTimestamp::from_bits(77_777));
        assert_eq!(asked.settle(&never, Some(arrived)), None);
        assert_eq!(asked.settle(&first[..47], Some(arrived)), None);
        assert_eq!(asked.open(), WARM_UP);
    }
}
