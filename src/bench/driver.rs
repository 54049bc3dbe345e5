//! One thread of the harness: it sends on schedule, takes what comes, and forgets nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::figures::Figures;
use super::judge::Judge;
use super::ledger::{Found, Ledger, Request};
use super::mix::Kind;
use super::plan::{Load, Plan};
use super::schedule::{Schedule, Spacing};
use crate::server::Chance;
use crate::sys::{Burst, LocalAddress, PortOptions, ReceiveStamp, UdpPort, clock};
use crate::wire::{HEADER_LEN, HeaderView, NtpTimestamp};

/// Datagrams per system call.
const BURST: usize = 64;
/// Longest reply that is looked at; longer ones fill it and have the wrong length.
const SLOT_LEN: usize = 1144;
/// Longest request that is sent: a header and a MAC of SHA512.
const REQUEST_LEN_MAX: usize = HEADER_LEN + 4 + 64;
/// Receive and send queue of each port.
const BUFFER_BYTES: usize = 8 << 20;
const NANOS_PER_S: u64 = 1_000_000_000;

/// Moments of a step, in nanoseconds of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub(super) start_ns: u64,
    pub(super) measured_from_ns: u64,
    pub(super) end_ns: u64,
}

/// One thread's part of a step.
pub(super) struct Driver<'a> {
    plan: &'a Plan,
    course: Course,
    ports: Vec<UdpPort>,
    burst: Burst,
    pace: Pace,
    kinds: Box<[Kind]>,
    next_kind: usize,
    next_port: usize,
    next_source: usize,
    ledger: Ledger,
    judge: Judge<'a>,
    figures: Figures,
    chance: Chance,
    replay: [u8; REQUEST_LEN_MAX],
    replay_len: usize,
}

enum Pace {
    Open(Schedule),
    Closed { in_flight: u64 },
}

impl<'a> Driver<'a> {
    /// Opens its ports and allocates all it will use. `rate` is this thread's part, in requests a second.
    ///
    /// # Errors
    /// A port cannot be opened.
    pub(super) fn new(plan: &'a Plan, course: Course, rate: f64, seed: u64) -> io::Result<Self> {
        let ports = (0..plan.ports.max(1))
            .map(|_| UdpPort::open(&options(plan)))
            .collect::<io::Result<_>>()?;
        let pace = match plan.load {
            Load::Open { exponential } => {
                let spacing = if exponential {
                    Spacing::Exponential
                } else {
                    Spacing::Even
                };
                Pace::Open(Schedule::new(course.start_ns, rate, spacing, seed))
            }
            Load::Closed { in_flight } => Pace::Closed {
                in_flight: (in_flight as u64 / plan.cpus.len() as u64).max(1),
            },
        };
        let mut driver = Self {
            ledger: Ledger::new(ledger_capacity(plan, rate), seed),
            judge: Judge {
                version: plan.version,
                signature: plan.signature.as_ref(),
            },
            kinds: plan.mix.cycle(),
            burst: Burst::new(BURST, SLOT_LEN),
            figures: Figures::new(),
            chance: Chance::new(seed ^ 0x5eed),
            replay: [0; REQUEST_LEN_MAX],
            replay_len: 0,
            next_kind: 0,
            next_port: 0,
            next_source: 0,
            plan,
            course,
            ports,
            pace,
        };
        let mut replay = [0; REQUEST_LEN_MAX];
        let kind = if plan.signature.is_some() {
            Kind::Signed
        } else {
            Kind::Basic
        };
        driver.replay_len = driver.write(&mut replay, kind, NtpTimestamp::from_bits(seed | 1));
        driver.replay = replay;
        Ok(driver)
    }

    /// Bytes on the heap, but for what the kernel holds for the ports.
    pub(super) fn memory_bytes(&self) -> usize {
        self.ledger.memory_bytes() + self.burst.memory_bytes() + self.figures.memory_bytes()
    }

    /// Runs until all is settled: everything sent, and answered or given up.
    pub(super) fn run(mut self) -> Figures {
        let patience_ns = nanos(self.plan.patience);
        loop {
            let now_ns = clock::monotonic_ns();
            if now_ns < self.course.start_ns {
                std::hint::spin_loop();
                continue;
            }
            let sending = self.has_more(now_ns);
            if sending {
                self.send(now_ns);
            }
            self.receive();
            let Self {
                ledger, figures, ..
            } = &mut self;
            ledger.give_up(now_ns.saturating_sub(patience_ns), |request| {
                if request.measured {
                    figures.by_kind[request.kind as usize][1] += 1;
                    figures.counts.lost += u64::from(request.kind.is_honest());
                }
            });
            if !sending && now_ns >= self.course.end_ns && self.ledger.open() == 0 {
                return self.figures;
            }
        }
    }

    /// Whether requests are still to leave. On a schedule all that were meant to leave before the end do, or
    /// are counted as not sent, however late this thread comes to it.
    const fn has_more(&self, now_ns: u64) -> bool {
        match &self.pace {
            Pace::Open(schedule) => schedule.peek_ns() < self.course.end_ns,
            Pace::Closed { .. } => now_ns < self.course.end_ns,
        }
    }

    /// Sends what is due, a burst at most, from one port.
    fn send(&mut self, now_ns: u64) {
        let lateness_max_ns = nanos(self.plan.lateness_max);
        while self.burst.kept() < BURST {
            let intended_ns = match &mut self.pace {
                Pace::Open(schedule) => {
                    let intended_ns = schedule.peek_ns();
                    if intended_ns > now_ns || intended_ns >= self.course.end_ns {
                        break;
                    }
                    schedule.advance();
                    intended_ns
                }
                Pace::Closed { in_flight } if self.ledger.open() < *in_flight => now_ns,
                Pace::Closed { .. } => break,
            };
            let measured = intended_ns >= self.course.measured_from_ns;
            let lateness_ns = now_ns - intended_ns;
            if lateness_ns > lateness_max_ns || self.ledger.is_full() {
                self.figures.counts.not_sent += u64::from(measured);
                continue;
            }
            self.start(
                Request {
                    intended_ns,
                    kind: self.kinds[self.next_kind],
                    measured,
                },
                now_ns,
            );
            if measured {
                self.figures.lateness.saturating_record(lateness_ns);
            }
            self.next_kind = (self.next_kind + 1) % self.kinds.len();
        }
        let kept = self.burst.kept();
        if kept > 0 {
            let transmitted = self.ports[self.next_port].transmit(&mut self.burst);
            self.figures.counts.send_errors += (kept - transmitted.sent) as u64;
            self.next_port = (self.next_port + 1) % self.ports.len();
        }
    }

    fn start(&mut self, request: Request, now_ns: u64) {
        let transmit = self.ledger.enter(request, now_ns);
        let mut packet = [0; REQUEST_LEN_MAX];
        let len = self.write(&mut packet, request.kind, transmit);
        let local = self.source();
        self.burst
            .start(self.burst.kept(), self.plan.target, local, &packet[..len]);
        if request.measured {
            self.figures.counts.sent += u64::from(request.kind.is_honest());
            self.figures.by_kind[request.kind as usize][0] += 1;
        }
    }

    /// Writes a request; its length.
    fn write(
        &mut self,
        packet: &mut [u8; REQUEST_LEN_MAX],
        kind: Kind,
        transmit: NtpTimestamp,
    ) -> usize {
        if kind == Kind::Replay && self.replay_len > 0 {
            *packet = self.replay;
            return self.replay_len;
        }
        packet[0] = self.plan.version << 3 | 3;
        packet[40..HEADER_LEN].copy_from_slice(&transmit.to_be_bytes());
        let signature = self.plan.signature.as_ref();
        match (kind, signature) {
            (Kind::Signed | Kind::Replay | Kind::BadMac, Some(signature)) => {
                let signed =
                    signature
                        .keys
                        .sign(signature.key, self.plan.version, packet, HEADER_LEN);
                let len = signed.unwrap_or(HEADER_LEN);
                if kind == Kind::BadMac {
                    packet[len - 1] ^= 1 + (self.chance.bits() % 255).to_le_bytes()[0];
                }
                len
            }
            (Kind::UnknownKey, _) => {
                packet[HEADER_LEN..HEADER_LEN + 4].copy_from_slice(&0xfffe_fffdu32.to_be_bytes());
                packet[HEADER_LEN + 4] = 1;
                HEADER_LEN + 20
            }
            (Kind::Malformed, _) => HEADER_LEN - 1 - self.chance.bits() as usize % 40,
            _ => HEADER_LEN,
        }
    }

    fn source(&mut self) -> LocalAddress {
        let Some(source) = self.plan.sources.get(self.next_source) else {
            return LocalAddress::Bound;
        };
        self.next_source = (self.next_source + 1) % self.plan.sources.len();
        match source {
            IpAddr::V4(address) => LocalAddress::V4(*address),
            IpAddr::V6(address) => LocalAddress::V6(*address, 0),
        }
    }

    /// Takes what waits at each port.
    fn receive(&mut self) {
        for port in 0..self.ports.len() {
            let Ok(received @ 1..) = self.ports[port].receive(&mut self.burst) else {
                continue;
            };
            // The two clocks read together: a kernel stamp is the system clock's, the schedule is not.
            let (real_ns, now_ns) = (unix_ns(clock::realtime()), clock::monotonic_ns());
            for slot in 0..received {
                let datagram = self.burst.datagram(slot);
                if datagram.peer != self.plan.target.ip()
                    || datagram.port != self.plan.target.port()
                {
                    self.figures.counts.stale += 1;
                    continue;
                }
                let ReceiveStamp { software, .. } = datagram.stamp;
                let arrived_ns = software.map_or(real_ns, unix_ns);
                let age_ns = u64::try_from(real_ns - arrived_ns).unwrap_or(0);
                self.settle(
                    slot,
                    datagram.len,
                    now_ns.saturating_sub(age_ns),
                    arrived_ns,
                );
            }
        }
    }

    /// Finds the request a reply is to, and counts what it is.
    fn settle(&mut self, slot: usize, len: usize, arrived_monotonic_ns: u64, arrived_unix_ns: i64) {
        let reply = self.burst.payload_mut(slot, len);
        let counts = &mut self.figures.counts;
        let Some(header) = HeaderView::at_front(reply) else {
            counts.stale += 1;
            return;
        };
        let request = match self.ledger.find(header.origin_timestamp()) {
            Found::First(request) => request,
            Found::Duplicate(request) => {
                counts.duplicates += u64::from(request.measured);
                return;
            }
            Found::Late(request) => {
                counts.late += u64::from(request.measured);
                return;
            }
            Found::Stale => {
                counts.stale += 1;
                return;
            }
        };
        if !request.measured || !self.judge.count(reply, header, request.kind, counts) {
            return;
        }
        let latency_ns = arrived_monotonic_ns.saturating_sub(request.intended_ns);
        self.figures.latency.saturating_record(latency_ns);
        let arrived = NtpTimestamp::from_unix(
            arrived_unix_ns.div_euclid(NANOS_PER_S.cast_signed()),
            u32::try_from(arrived_unix_ns.rem_euclid(NANOS_PER_S.cast_signed())).unwrap_or(0),
        );
        let transmit = header.transmit_timestamp();
        self.figures
            .transmit_error
            .record((arrived - transmit).to_nanos());
        self.figures
            .residence
            .record((transmit - header.receive_timestamp()).to_nanos());
    }
}

fn options(plan: &Plan) -> PortOptions {
    let any = match plan.target {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    PortOptions {
        address: SocketAddr::new(any, 0),
        device: None,
        dscp: 0,
        shared: false,
        buffer_bytes: BUFFER_BYTES,
    }
}

/// As many requests as can be open at once, twice over, so that a late reply is still known.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive and small"
)]
fn ledger_capacity(plan: &Plan, rate: f64) -> usize {
    const MOST: usize = 1 << 24;
    match plan.load {
        Load::Open { .. } => {
            ((2.0 * rate * plan.patience.as_secs_f64()) as usize).clamp(1 << 12, MOST)
        }
        Load::Closed { .. } => 1 << 20,
    }
}

fn nanos(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn unix_ns(at: crate::sys::Timespec) -> i64 {
    at.secs
        .saturating_mul(NANOS_PER_S.cast_signed())
        .saturating_add(i64::from(at.nanos))
}
