//! A worker: one thread, one core, its own sockets and tables. After start it takes no lock, allocates
//! nothing, writes no log line, and nothing a packet holds can make it panic.

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::counters::{Event, WorkerCounters};
use super::departure::{Departure, Sealing};
use super::handover::{Handover, HandoverReceiver};
use super::key_use::KeyUse;
use super::pace::{Next, Pace};
use super::publish::Subscription;
use super::queue::Queue;
use super::stamps::{Asked, Stamps};
use super::steps::{ClockPair, Steps};
use crate::server::{
    Arrival, Exchange, InterleavedHeld, InterleavedTable, Outcome, Plan, Responder,
};
use crate::sys::{Burst, Timespec, TransmitStamp, UdpPort, busy_poll_epoll, clock};
use crate::wire::{HeaderView, NtpDuration, NtpTimestamp, PACKET_LEN_MAX, RawTime};

/// A slot is one word longer than the longest packet, so that what is longer is seen to be.
const SLOT_LEN: usize = PACKET_LEN_MAX + 4;
/// Bursts taken from one port before the next port has its turn.
const BURSTS_PER_TURN_MAX: usize = 4;
/// Root dispersion grows by the microsecond per second; the header is made anew this often at most.
const RENEW_NS: i64 = 10_000_000;
/// A stamp farther than this from our own reading was taken on another clock (chrony's rule).
const STAMP_ERROR_NS_MAX: u64 = 1_000_000_000;
/// But a request may have waited: a stall is believed to have been so long at most.
const STALL_NS_MAX: i64 = 60_000_000_000;
/// Of replies to clients in basic mode, one is stamped so often at most: enough to learn from, and next to no
/// cost.
const SAMPLE_EVERY_NS: u64 = 4_000_000;
/// The same while what the stamps say is not what was expected.
const SAMPLE_OFTEN_NS: u64 = 1_000_000;
/// Ports told of at a time by the call that a worker sleeps in.
const EVENTS: usize = 16;
/// Into so many parts a burst is cut at most, and each is sealed and sent by itself: the sooner a reply leaves after
/// its seal, the less can come between. Of 64, in one call 1 % left 90 µs or more beside what they said, in 16 calls
/// 7 µs, in 64 calls 2 µs; 16 cost no reply a second that could be measured, 64 cost a sixth of them.
const PARTS_MAX: usize = 16;
/// The waker's token; ports have lower ones.
pub(super) const WAKE: Token = Token(usize::MAX);

/// What a worker is given.
pub struct WorkerParts {
    /// Sockets, one per address served.
    pub ports: Vec<UdpPort>,
    /// Makes the replies.
    pub responder: Responder,
    /// The timekeeper's record.
    pub subscription: Subscription,
    /// Where it counts.
    pub counters: Arc<WorkerCounters>,
    /// Where it counts what the responder's keys are used for.
    pub key_use: Arc<KeyUse>,
    /// How it waits.
    pub pace: Pace,
    /// Where it parks. A waker for it, if any, has the highest token there is.
    pub poll: Poll,
    /// Datagrams per system call.
    pub burst_slots: usize,
    /// What the timekeeper hands over.
    pub handovers: HandoverReceiver,
}

/// Serves its ports.
pub struct Worker {
    ports: Box<[Port]>,
    responder: Responder,
    subscription: Subscription,
    counters: Arc<WorkerCounters>,
    key_use: Arc<KeyUse>,
    pace: Pace,
    poll: Poll,
    events: Events,
    burst: Burst,
    /// Each kept reply, in the order they were kept.
    kept: Box<[Kept]>,
    departure: Departure,
    next_sample_ns: u64,
    /// Whether it has slept since the last burst.
    woken: bool,
    steps: Steps,
    renewed: Timespec,
    handovers: HandoverReceiver,
}

/// One of its sockets.
struct Port {
    udp: UdpPort,
    /// Of departures that the kernel was asked for.
    stamps: Stamps,
    /// Where its queue's size can be changed.
    queue: Option<Queue>,
    is_v6: bool,
    /// Since the clock was stepped the queue was not seen empty: stamps may be of the time before.
    holds_old_stamps: bool,
}

impl Port {
    fn new(udp: UdpPort) -> Self {
        // With rights that the process no longer has, a queue once made smaller could not be made large again.
        let full_bytes = udp.wanted_queue_bytes();
        let queue = udp
            .resize_queue(full_bytes)
            .is_ok()
            .then(|| Queue::new(full_bytes));
        Self {
            is_v6: udp.address().is_ipv6(),
            udp,
            stamps: Stamps::new(),
            queue,
            holds_old_stamps: false,
        }
    }

    const fn seen_empty(&mut self) {
        self.holds_old_stamps = false;
        if let Some(queue) = &mut self.queue {
            queue.seen_empty();
        }
    }
}

/// A reply that is ready but for its seal.
#[derive(Clone, Copy)]
struct Kept {
    slot: usize,
    plan: Plan,
    /// How long the request had waited when the burst was taken. Who waited longer than a second gets no reply.
    waited_ns: u32,
    /// Whether the kernel is asked to stamp its departure.
    stamped: bool,
}

impl Worker {
    /// Allocates all it will ever use, on the thread that will use it.
    ///
    /// # Errors
    /// A port cannot be watched.
    pub fn new(parts: WorkerParts) -> io::Result<Self> {
        for (number, port) in parts.ports.iter().enumerate() {
            let fd = port.as_raw_fd();
            parts.poll.registry().register(
                &mut SourceFd(&fd),
                Token(number),
                Interest::READABLE,
            )?;
        }
        Ok(Self {
            burst: Burst::new(parts.burst_slots, SLOT_LEN),
            kept: vec![NOTHING; parts.burst_slots].into(),
            next_sample_ns: 0,
            woken: false,
            events: Events::with_capacity(EVENTS),
            ports: parts.ports.into_iter().map(Port::new).collect(),
            responder: parts.responder,
            subscription: parts.subscription,
            counters: parts.counters,
            key_use: parts.key_use,
            pace: parts.pace,
            poll: parts.poll,
            departure: Departure::default(),
            steps: Steps::default(),
            renewed: Timespec::default(),
            handovers: parts.handovers,
        })
    }

    /// Before it sleeps, looks at the network card's queue itself for `micros` microseconds.
    ///
    /// # Errors
    /// The kernel is too old.
    pub fn busy_poll(&self, micros: u32) -> io::Result<()> {
        busy_poll_epoll(&self.poll, micros)
    }

    /// Bytes on the heap that [`new`](Self::new) allocates for bursts: buffers, and what is kept of a reply
    /// until it is sealed.
    pub(super) const fn burst_bytes(slots: usize) -> usize {
        Burst::bytes_for(slots, SLOT_LEN) + slots * size_of::<Kept>()
    }

    /// The same for its ports: sockets' descriptors, stamps that are waited for, events.
    pub(super) const fn port_bytes(ports: usize) -> usize {
        ports * (size_of::<Port>() - size_of::<Stamps>() + Stamps::BYTES)
            + EVENTS * size_of::<mio::event::Event>()
    }

    /// Serves until `stop` is set; who sets it also wakes the worker.
    pub fn run(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.take_handovers();
            let received = self.turn();
            match self.pace.after_turn(received, clock::monotonic_ns()) {
                Next::Spin => std::hint::spin_loop(),
                Next::Park => self.park(),
            }
        }
        // What came before the end is answered.
        self.turn();
    }

    /// Serves without a thread of its own (`workers 0`): at most `turns` rounds. Whether there is more to do.
    ///
    /// What it parks in is readable when there is something to do; here that is taken note of.
    pub fn take_turns(&mut self, turns: usize) -> bool {
        let _ = self.poll.poll(&mut self.events, Some(Duration::ZERO));
        self.woken = true;
        (0..turns).all(|_| self.turn() > 0)
    }

    /// Puts in force what the timekeeper has handed over.
    pub fn take_handovers(&mut self) {
        let (responder, key_use) = (&mut self.responder, &mut self.key_use);
        self.handovers.take_all(|message| match message {
            Handover::Access(table) => responder.swap_access(table),
            Handover::Keys(keys) => {
                // The keys there were stay with their counters, so nothing is freed here.
                responder.swap_keys(&mut Arc::clone(keys.keys()));
                std::mem::swap(key_use, keys);
            }
            Handover::Interleaved(held) => {
                *held = responder
                    .interleaved()
                    .map_or_else(InterleavedHeld::default, InterleavedTable::held);
            }
            Handover::Clients(listing) => {
                if let Some(clients) = responder.clients_mut() {
                    clients.fill(listing);
                }
            }
        });
    }

    /// One round over all ports; how many datagrams it took in.
    pub fn turn(&mut self) -> usize {
        (0..self.ports.len()).map(|port| self.serve(port)).sum()
    }

    /// Drains one port, but never more than its share: the next port is waiting too.
    fn serve(&mut self, port: usize) -> usize {
        let mut taken = 0;
        for _ in 0..BURSTS_PER_TURN_MAX {
            let received = match self.ports[port].udp.receive(&mut self.burst) {
                Ok(0) => {
                    self.ports[port].seen_empty();
                    break;
                }
                Ok(received) => received,
                Err(_) => {
                    self.counters.add(Event::ReceiveError, 1);
                    // The port was not seen empty, so this turn is none to park after.
                    taken += 1;
                    break;
                }
            };
            taken += received;
            let emptied = received < self.burst.capacity();
            self.answer(port, received, emptied);
            if emptied {
                break; // The queue was empty a moment ago; go and look at the others.
            }
        }
        if self.ports[port].stamps.is_waiting(clock::monotonic_ns()) {
            self.take_stamps(port);
        }
        taken
    }

    /// Answers the burst that was just received from a port, whose queue was seen empty behind it or not.
    fn answer(&mut self, port: usize, received: usize, emptied: bool) {
        let now = ClockPair::read();
        if self.steps.seen(now).is_some() {
            self.clock_stepped();
        }
        self.renew(now.real);
        let waited_ns = self.prepare(port, received, now);
        if emptied {
            self.ports[port].holds_old_stamps = false;
        }
        self.fit_queue(port, waited_ns, emptied, now.monotonic_ns);
        let replies = self.burst.kept();
        let part = replies.div_ceil(PARTS_MAX);
        let (mut from, mut sealing) = (0, now);
        while from < replies {
            let to = (from + part).min(replies);
            sealing = sealing.read_soon_after();
            let taken_ns = sealing.monotonic_ns.saturating_sub(now.monotonic_ns);
            if self.steps.seen(sealing).is_some() {
                // The receive timestamps are of another time than the transmit timestamps would be.
                self.counters.add(Event::ClockStepped, replies - from);
                self.clock_stepped();
                break;
            }
            self.note_residence(from..to, taken_ns);
            self.send(port, from..to, sealing);
            from = to;
        }
        self.burst.discard();
    }

    /// Seals the replies kept at these places, and sends them.
    fn send(&mut self, port: usize, places: Range<usize>, sealing: ClockPair) {
        let replies = places.len();
        let sealed = self.seal(places.clone(), sealing.real);
        let udp = &self.ports[port].udp;
        let transmitted = udp.transmit_part(&mut self.burst, places.clone());
        // All else has time until they have left: what comes between seal and send makes replies untrue.
        if !self.departure.has_stamps() {
            let elapsed_ns = clock::realtime().nanos_since(sealed.at);
            self.departure.learn_call(replies, elapsed_ns);
        }
        self.counters.add(Event::Sent, transmitted.sent);
        if transmitted.sent == replies {
            if sealed.asks {
                self.ask(port, places, &sealed, sealing.monotonic_ns);
            }
            return;
        }
        self.counters.add(Event::SendRefused, transmitted.refused);
        self.counters.add(Event::SendNoRoom, transmitted.no_room);
        if sealed.asks {
            self.renumber(port);
        }
    }

    /// The first pass: decide, and write all of the reply but what depends on its leaving. How long the first,
    /// which is the oldest, has waited, in nanoseconds.
    fn prepare(&mut self, port: usize, received: usize, now: ClockPair) -> u64 {
        let ClockPair {
            real: now,
            monotonic_ns,
        } = now;
        let believed = !self.ports[port].holds_old_stamps;
        let is_v6 = self.ports[port].is_v6;
        let (mut stamped, mut interleaved, mut oldest_ns) = (0, 0, 0);
        let sample = self.place_to_sample(received, monotonic_ns);
        for slot in 0..received {
            let datagram = self.burst.datagram(slot);
            let stamp = datagram.stamp.software.filter(|_| believed);
            let stamp = stamp.filter(|stamp| {
                (-STAMP_ERROR_NS_MAX.cast_signed()..=STALL_NS_MAX)
                    .contains(&now.nanos_since(*stamp))
            });
            let waited_ns = stamp.map_or(0, |stamp| now.nanos_since(stamp).max(0).unsigned_abs());
            if slot == 0 {
                oldest_ns = waited_ns;
            }
            stamped += usize::from(stamp.is_some());
            let arrival = Arrival {
                peer: datagram.peer,
                port: datagram.port,
                received: raw_time(stamp.unwrap_or(now)),
                waited_ns,
                monotonic_ns,
            };
            let packet = self.burst.payload_mut(slot, datagram.len);
            let first = packet.first().copied().unwrap_or_default();
            self.counters.count_kind(first, is_v6);
            let outcome = self.responder.prepare(&arrival, packet);
            self.counters.count(&outcome);
            if let Outcome::Answer(plan) = outcome {
                let place = self.burst.kept();
                interleaved += usize::from(plan.exchange == Exchange::Interleaved);
                let stamped = plan.exchange != Exchange::Basic || sample == Some(place);
                if let Some(key) = plan.key {
                    self.key_use.count(key);
                }
                self.kept[place] = Kept {
                    slot,
                    plan,
                    waited_ns: u32::try_from(waited_ns).unwrap_or(u32::MAX),
                    stamped,
                };
                self.burst.keep(slot, &datagram, plan.len, stamped);
            }
        }
        self.counters.add(Event::Burst, 1);
        self.counters.add(Event::Interleaved, interleaved);
        self.counters.add(Event::TimestampKernel, stamped);
        self.counters
            .add(Event::TimestampDaemon, received - stamped);
        if let Some(clients) = self.responder.clients() {
            self.counters.set(Event::ClientsEvicted, clients.evicted());
        }
        if let Some(table) = self.responder.interleaved() {
            self.counters
                .set(Event::InterleavedEvicted, table.evicted());
        }
        oldest_ns
    }

    /// Notes how long requests have stayed whose replies are sealed now, so long after the burst was taken.
    fn note_residence(&self, places: Range<usize>, taken_ns: u64) {
        let residence = self.counters.residence();
        let mut sum_ns = 0;
        for kept in &self.kept[places] {
            let stayed_ns = u64::from(kept.waited_ns) + taken_ns;
            residence.record(stayed_ns);
            sum_ns += stayed_ns;
        }
        residence.add_sum(sum_ns);
    }

    /// Makes the queue as large as it should be.
    fn fit_queue(&mut self, port: usize, waited_ns: u64, emptied: bool, now_ns: u64) {
        let Port { udp, queue, .. } = &mut self.ports[port];
        let Some(queue) = queue else { return };
        if let Some(bytes) = queue.after_burst(waited_ns, emptied, now_ns) {
            // It worked at the start; where it does not now, the queue stays as it is.
            let _ = udp.resize_queue(bytes);
            self.counters.add(Event::QueueResized, 1);
        }
    }

    /// The place of the reply that is sampled in this burst, if one is due; every place has its turn.
    const fn place_to_sample(&mut self, received: usize, now_ns: u64) -> Option<usize> {
        if now_ns < self.next_sample_ns {
            return None;
        }
        self.next_sample_ns = now_ns
            + if self.departure.is_settled() {
                SAMPLE_EVERY_NS
            } else {
                SAMPLE_OFTEN_NS
            };
        Some((now_ns >> 8) as usize % received)
    }

    /// The second pass, as late as can be: the transmit timestamp, which starts from the clock's reading,
    /// then the MAC that covers it.
    fn seal(&mut self, places: Range<usize>, now: Timespec) -> Sealed {
        let replies = places.len();
        let kept = &self.kept[places];
        let signed = kept.iter().filter(|kept| kept.plan.key.is_some()).count();
        let kinds = Sealing {
            unsigned: replies - signed,
            signed,
        };
        let mut sealed = Sealed {
            at: now,
            start: raw_time(now).0 + NtpDuration::from_nanos(self.departure.seal_ns(kinds)),
            woken: std::mem::take(&mut self.woken),
            asks: false,
        };
        for (place, kept) in (0..).zip(kept) {
            let reply = self.burst.payload_mut(kept.slot, kept.plan.len);
            let departure = sealed.said(&self.departure, place);
            self.responder.seal(&kept.plan, departure, reply);
            sealed.asks |= kept.stamped;
        }
        // Elsewhere what was expected is near enough, and reading the clock once more is not.
        if sealed.asks || !self.departure.has_stamps() {
            sealed.at = clock::realtime();
            self.departure
                .learn_sealing(kinds, sealed.at.nanos_since(now));
        }
        sealed
    }

    /// Remembers what was said of the replies whose departure the kernel stamps.
    fn ask(&mut self, port: usize, places: Range<usize>, sealed: &Sealed, now_ns: u64) {
        for (place, kept) in (0..).zip(&self.kept[places]) {
            if !kept.stamped {
                continue;
            }
            let asked = Asked {
                sealed: sealed.at,
                said: sealed.said(&self.departure, place).0,
                place,
                woken: sealed.woken,
                receive: match kept.plan.exchange {
                    Exchange::Basic => NtpTimestamp::ZERO,
                    _ => receive_timestamp(self.burst.payload_mut(kept.slot, kept.plan.len)),
                },
            };
            self.ports[port].stamps.ask(asked, now_ns);
        }
    }

    /// Takes the stamps of departures that came. Those of interleaved clients' replies are kept for their
    /// next request; all are learned from.
    fn take_stamps(&mut self, port: usize) {
        let Self {
            ports,
            burst,
            departure,
            responder,
            counters,
            ..
        } = self;
        let Port { udp, stamps, .. } = &mut ports[port];
        let mut came = 0;
        let mut learn = |stamp: TransmitStamp| {
            let Some(asked) = stamps.came(stamp.number) else {
                return;
            };
            let Some(left) = stamp.software else { return };
            came += 1;
            let raw = raw_time(left);
            let error_ns = (raw.0 - asked.said).to_nanos();
            if error_ns.unsigned_abs() > STAMP_ERROR_NS_MAX {
                return; // Of another time.
            }
            departure.learn(asked.place, asked.woken, left.nanos_since(asked.sealed));
            if asked.receive.is_zero() {
                counters.transmit_errors().record(error_ns);
            } else {
                responder.left(asked.receive, raw);
            }
        };
        // As many as a turn can have asked for: what stays in the error queue takes the room of requests.
        for _ in 0..=BURSTS_PER_TURN_MAX {
            // An error here is the socket's own: nothing came.
            let taken = udp.take_transmit_stamps(burst, &mut learn);
            if taken.unwrap_or(0) < burst.capacity() {
                break;
            }
        }
        counters.add(Event::TransmitStamp, came);
    }

    /// The clock was stepped: what is known of departures is of the time before, and so may be the stamps of what
    /// waits.
    fn clock_stepped(&mut self) {
        self.responder.forget_departures();
        for port in &mut self.ports {
            port.stamps.forget();
            port.holds_old_stamps = true;
        }
    }

    /// The kernel did not take all that it was to stamp, so its count is not known: it begins anew, after
    /// what it has counted is out of the way.
    fn renumber(&mut self, port: usize) {
        self.take_stamps(port);
        let Port { udp, stamps, .. } = &mut self.ports[port];
        stamps.restart();
        // Where it fails now it did so at the start, and there are no stamps.
        let _ = udp.renumber_stamps();
    }

    /// Takes over what the timekeeper published, and lets root dispersion grow.
    fn renew(&mut self, now: Timespec) {
        let changed = self.subscription.refresh();
        if changed || now.nanos_since(self.renewed).unsigned_abs() >= RENEW_NS.unsigned_abs() {
            self.responder
                .renew(self.subscription.system(), raw_time(now));
            self.renewed = now;
        }
    }

    /// Sleeps until a datagram arrives or somebody calls. Interruption and other errors end it early,
    /// which costs a turn.
    fn park(&mut self) {
        self.counters.add(Event::Parked, 1);
        let _ = self.poll.poll(&mut self.events, None);
        self.woken = true;
    }
}

impl AsRawFd for Worker {
    /// Of the epoll that it parks in: readable while one of its ports is.
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

/// Replies that were sealed together.
struct Sealed {
    /// When the last of them was; where nobody looks, when it began.
    at: Timespec,
    /// When that was expected, which is what their timestamps start from.
    start: NtpTimestamp,
    /// Whether the worker had slept.
    woken: bool,
    /// Whether the kernel is asked to stamp a departure.
    asks: bool,
}

impl Sealed {
    /// When the reply at a place was said to leave.
    #[inline]
    fn said(&self, departure: &Departure, place: u16) -> RawTime {
        let delay_ns = departure.delay_ns(place, self.woken);
        RawTime(self.start + NtpDuration::from_nanos(delay_ns))
    }
}

const NOTHING: Kept = Kept {
    slot: 0,
    plan: Plan::UNSIGNED,
    waited_ns: 0,
    stamped: false,
};

fn receive_timestamp(reply: &[u8]) -> NtpTimestamp {
    HeaderView::at_front(reply).map_or(NtpTimestamp::ZERO, HeaderView::receive_timestamp)
}

fn raw_time(at: Timespec) -> RawTime {
    RawTime(NtpTimestamp::from_unix(at.secs, at.nanos))
}
