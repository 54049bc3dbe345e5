//! One thread of the harness: it sends on schedule, takes what comes, and forgets nothing.

use std::io;

use super::association::Associations;
use super::carrier::{BURST, Carrier};
use super::clients::{Client, Clients, Order};
use super::figures::Figures;
use super::judge::Judge;
use super::ledger::{Ledger, Request};
use super::mix::Kind;
use super::plan::{Load, Plan};
use super::reception::{Now, Reception, unix_ns};
use super::samples::{SampleId, Samples};
use super::schedule::{Schedule, Spacing};
use crate::server::Chance;
use crate::sys::clock;
use crate::wire::{HEADER_LEN, NtpTimestamp};

/// Longest request that is sent: a header and a MAC of SHA512.
const REQUEST_LEN_MAX: usize = HEADER_LEN + 4 + 64;
/// An extension field of a type left to experiments (RFC 9748), as short as the last one may be (RFC 7822).
const EXPERIMENTAL: u16 = 0xf0ff;
const EXTENSION_LEN: u16 = 28;
/// The kernel stamps the departure of a request this often at most.
const SAMPLE_EVERY_NS: u64 = 500_000;
/// How often its stamps are taken out of the error queues.
const DEPARTURES_EVERY_NS: u64 = 2_000_000;

/// Moments of a step, in nanoseconds of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    pub(super) start_ns: u64,
    pub(super) measured_from_ns: u64,
    pub(super) end_ns: u64,
}

/// One thread's part of a step.
pub(super) struct Driver<'a> {
    plan: &'a Plan,
    carrier: Carrier,
    reception: Reception<'a>,
    pace: Pace,
    kinds: Box<[Kind]>,
    next_kind: usize,
    honest: Clients,
    hostile: Clients,
    chance: Chance,
    replay: [u8; REQUEST_LEN_MAX],
    replay_len: usize,
    next_sample_ns: u64,
    next_departures_ns: u64,
}

enum Pace {
    Open(Schedule),
    Closed { in_flight: u64 },
}

impl<'a> Driver<'a> {
    /// Opens its ports and allocates all it will use. `thread` is its number, `rate` its part, in requests a
    /// second.
    ///
    /// # Errors
    /// A port cannot be opened.
    pub(super) fn new(
        plan: &'a Plan,
        moments: Moments,
        thread: usize,
        rate: f64,
        seed: u64,
    ) -> io::Result<Self> {
        let pace = match plan.load {
            Load::Open { exponential } => {
                let spacing = if exponential {
                    Spacing::Exponential
                } else {
                    Spacing::Even
                };
                Pace::Open(Schedule::new(moments.start_ns, rate, spacing, seed))
            }
            Load::Closed { in_flight } => Pace::Closed {
                in_flight: (in_flight as u64 / plan.cpus.len() as u64).max(1),
            },
        };
        let (honest, hostile) = clients(plan, thread);
        let reception = Reception {
            ledger: Ledger::new(ledger_capacity(plan, rate), seed),
            associations: Associations::new(plan.associations),
            samples: Samples::new(),
            figures: Figures::new(seconds(plan)),
            judge: Judge {
                version: plan.version,
                signature: plan.signature.as_ref(),
            },
            moments,
            correction_ns: plan.correction_ns,
            replayed: NtpTimestamp::from_bits(seed | 1),
        };
        let mut driver = Self {
            carrier: Carrier::open(plan, thread)?,
            kinds: plan.mix.cycle(),
            chance: Chance::new(seed ^ 0x5eed),
            replay: [0; REQUEST_LEN_MAX],
            replay_len: 0,
            next_kind: 0,
            next_sample_ns: 0,
            next_departures_ns: 0,
            plan,
            reception,
            pace,
            honest,
            hostile,
        };
        let mut replay = [0; REQUEST_LEN_MAX];
        let kind = if plan.signature.is_some() {
            Kind::Signed
        } else {
            Kind::Basic
        };
        driver.replay_len = driver.write(&mut replay, kind, driver.reception.replayed);
        driver.replay = replay;
        Ok(driver)
    }

    /// Bytes on the heap and of rings, but for what the kernel holds for sockets.
    pub(super) fn memory_bytes(&self) -> usize {
        self.reception.memory_bytes()
            + self.carrier.memory_bytes()
            + self.honest.memory_bytes()
            + self.hostile.memory_bytes()
    }

    /// Runs until all is settled: everything sent, and answered or given up.
    pub(super) fn run(mut self) -> Figures {
        let patience_ns = nanos(self.plan.patience);
        let (mut before_ns, mut was_idle) = (clock::monotonic_ns(), true);
        loop {
            let now_ns = clock::monotonic_ns();
            if now_ns < self.reception.moments.start_ns {
                std::hint::spin_loop();
                continue;
            }
            let Moments {
                measured_from_ns,
                end_ns,
                ..
            } = self.reception.moments;
            if was_idle && before_ns >= measured_from_ns && now_ns <= end_ns {
                self.reception.figures.idle_ns += now_ns - before_ns;
            }
            before_ns = now_ns;
            let sending = self.has_more(now_ns);
            let sent = if sending { self.send(now_ns) } else { 0 };
            was_idle = self.receive(now_ns) + sent == 0;
            self.reception.give_up(now_ns.saturating_sub(patience_ns));
            if !sending && now_ns >= end_ns && self.reception.ledger.open() == 0 {
                self.reception.figures.counts.own_drops = self.carrier.dropped();
                self.reception.figures.counts.take_back_refused();
                return self.reception.figures;
            }
        }
    }

    /// Whether requests are still to leave. On a schedule all that were meant to leave before the end do, or
    /// are counted as not sent, however late this thread comes to it.
    const fn has_more(&self, now_ns: u64) -> bool {
        let end_ns = self.reception.moments.end_ns;
        match &self.pace {
            Pace::Open(schedule) => schedule.peek_ns() < end_ns,
            Pace::Closed { .. } => now_ns < end_ns,
        }
    }

    /// Sends what is due, a burst at most; how much it was.
    fn send(&mut self, now_ns: u64) -> usize {
        let lateness_max_ns = nanos(self.plan.lateness_max);
        let gather_ns = nanos(self.plan.gather);
        if let Pace::Open(schedule) = &self.pace
            && now_ns < schedule.peek_ns() + gather_ns
        {
            return 0;
        }
        // In a closed loop a burst is one client's: nothing hangs on who asks, and less work is ours.
        let client = match self.pace {
            Pace::Open(_) => None,
            Pace::Closed { .. } => Some(self.honest.next(&mut self.chance)),
        };
        self.carrier.begin();
        let mut started = 0;
        while started < BURST {
            let Some(intended_ns) = self.take_due(now_ns) else {
                break;
            };
            let measured = intended_ns >= self.reception.moments.measured_from_ns;
            let lateness_ns = now_ns - intended_ns;
            if lateness_ns > lateness_max_ns || self.reception.ledger.is_full() {
                self.reception.figures.counts.not_sent += u64::from(measured);
                continue;
            }
            if !self.start(intended_ns, measured, client, now_ns) {
                self.reception.figures.counts.not_sent += u64::from(measured);
                break;
            }
            if measured {
                self.reception
                    .figures
                    .lateness
                    .saturating_record(lateness_ns.saturating_sub(gather_ns));
            }
            started += 1;
            self.next_kind = (self.next_kind + 1) % self.kinds.len();
        }
        if started > 0 {
            let refused = self.carrier.flush() as u64;
            if now_ns >= self.reception.moments.measured_from_ns {
                self.reception.figures.counts.send_errors += refused;
            }
        }
        started
    }

    /// The moment of the next request, if it has come.
    fn take_due(&mut self, now_ns: u64) -> Option<u64> {
        match &mut self.pace {
            Pace::Open(schedule) => {
                let intended_ns = schedule.peek_ns();
                if intended_ns > now_ns || intended_ns >= self.reception.moments.end_ns {
                    return None;
                }
                schedule.advance();
                Some(intended_ns)
            }
            Pace::Closed { in_flight } => {
                (self.reception.ledger.open() < *in_flight).then_some(now_ns)
            }
        }
    }

    /// Starts the request whose kind's turn it is; `false`: there is no room for it now.
    fn start(
        &mut self,
        intended_ns: u64,
        measured: bool,
        client: Option<Client>,
        now_ns: u64,
    ) -> bool {
        let kind = self.kinds[self.next_kind];
        let mut request = Request {
            intended_ns,
            client: 0,
            sample: SampleId::NONE,
            kind,
            measured,
        };
        let mut packet = [0; REQUEST_LEN_MAX];
        let has_left = match kind {
            Kind::Replay => {
                let client = self.hostile.next(&mut self.chance);
                let packet = &self.replay[..self.replay_len];
                self.carrier.start(client, SampleId::NONE, packet)
            }
            Kind::Spoofed => {
                let transmit = NtpTimestamp::from_bits(u64::from(self.chance.bits()) << 32 | 1);
                let len = self.write(&mut packet, kind, transmit);
                self.carrier
                    .start_spoofed(self.chance.bits(), &packet[..len])
            }
            _ => {
                if kind == Kind::Interleaved {
                    request.client = u32::try_from(self.reception.associations.turn()).unwrap_or(0);
                }
                self.sample(&mut request, now_ns);
                let names = self.reception.ledger.enter(request, now_ns);
                let len = self.write(&mut packet, kind, names.transmit);
                if kind == Kind::Interleaved {
                    let associations = &mut self.reception.associations;
                    let origin = associations.origin(request.client as usize, names.number);
                    packet[24..32].copy_from_slice(&origin.to_be_bytes());
                    packet[32..40].copy_from_slice(&names.receive.to_be_bytes());
                }
                let clients = if kind.is_honest() {
                    &mut self.honest
                } else {
                    &mut self.hostile
                };
                let client = match client {
                    Some(client) if kind.is_honest() => client,
                    _ => clients.next(&mut self.chance),
                };
                let has_left = self.carrier.start(client, request.sample, &packet[..len]);
                if !has_left {
                    self.reception.ledger.withdraw();
                }
                has_left
            }
        };
        if has_left {
            self.reception.sent(&request);
        }
        has_left
    }

    /// Has the kernel stamp this request's departure, if it is time for another.
    fn sample(&mut self, request: &mut Request, now_ns: u64) {
        if now_ns >= self.next_sample_ns
            && request.measured
            && request.kind.is_honest()
            && self.carrier.stamps_departures()
        {
            self.next_sample_ns = now_ns + SAMPLE_EVERY_NS;
            request.sample = self.reception.samples.enter();
        }
    }

    /// Writes a request; its length.
    fn write(
        &mut self,
        packet: &mut [u8; REQUEST_LEN_MAX],
        kind: Kind,
        transmit: NtpTimestamp,
    ) -> usize {
        packet[0] = self.plan.version << 3 | 3;
        packet[40..HEADER_LEN].copy_from_slice(&transmit.to_be_bytes());
        let signature = self.plan.signature.as_ref();
        match (kind, signature) {
            (Kind::Signed | Kind::BadMac, Some(signature)) => {
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
            (Kind::Extension, _) => {
                packet[HEADER_LEN..HEADER_LEN + 2].copy_from_slice(&EXPERIMENTAL.to_be_bytes());
                packet[HEADER_LEN + 2..HEADER_LEN + 4]
                    .copy_from_slice(&EXTENSION_LEN.to_be_bytes());
                HEADER_LEN + usize::from(EXTENSION_LEN)
            }
            (Kind::Malformed, _) => HEADER_LEN - 1 - self.chance.bits() as usize % 40,
            _ => HEADER_LEN,
        }
    }

    /// Takes what came, a burst at most, so that what is due meanwhile does not wait for long; how much it
    /// was.
    fn receive(&mut self, now_ns: u64) -> usize {
        let Self {
            carrier, reception, ..
        } = self;
        let mut now = None;
        let received = carrier.receive(|arrival| {
            // The two clocks read together: a kernel stamp is the system clock's, the schedule is not.
            let now = *now.get_or_insert_with(|| Now {
                unix_ns: unix_ns(clock::realtime()),
                monotonic_ns: clock::monotonic_ns(),
            });
            reception.take(arrival, now);
        });
        if now_ns >= self.next_departures_ns {
            self.next_departures_ns = now_ns + DEPARTURES_EVERY_NS;
            carrier.take_departures(|sample, at| reception.departed(sample, at));
        }
        received
    }
}

/// Honest clients, and the addresses that hostile requests come from: the last eighth of all, so that what
/// a server does to an address that misbehaves is done to these.
fn clients(plan: &Plan, thread: usize) -> (Clients, Clients) {
    let is_hostile = |kind: &Kind| !kind.is_honest() && plan.mix.has(*kind);
    let hostile = if Kind::ALL.iter().any(is_hostile) {
        plan.sources.len() / 8
    } else {
        0
    };
    let (honest, hostile) = plan.sources.split_at(plan.sources.len() - hostile);
    // Threads begin at places far from one another.
    let start = honest.len() * thread / plan.cpus.len().max(1);
    (
        Clients::new(honest, plan.order, start),
        Clients::new(hostile, Order::Turns, thread),
    )
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

/// Seconds that are measured, the last perhaps not whole; more than a day are told together.
pub(super) fn seconds(plan: &Plan) -> usize {
    const MOST: u64 = 86_400;
    let whole = plan.duration.as_secs() + u64::from(plan.duration.subsec_nanos() > 0);
    usize::try_from(whole.min(MOST)).unwrap_or(1)
}

fn nanos(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
