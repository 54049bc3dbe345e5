//! A worker: one thread, one core, its own sockets and tables. After start it takes no lock, allocates
//! nothing, writes no log line, and nothing a packet holds can make it panic.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::counters::{Event, WorkerCounters};
use super::departure::Departure;
use super::pace::{Next, Pace};
use super::publish::Subscription;
use super::steps::{ClockPair, Steps};
use crate::server::{Arrival, Outcome, Plan, Responder};
use crate::sys::{Burst, Timespec, UdpPort, clock};
use crate::wire::{NtpDuration, NtpTimestamp, PACKET_LEN_MAX, RawTime};

/// A slot is one word longer than the longest packet, so that what is longer is seen to be.
const SLOT_LEN: usize = PACKET_LEN_MAX + 4;
/// Bursts taken from one port before the next port has its turn.
const BURSTS_PER_TURN_MAX: usize = 4;
/// Root dispersion grows by the microsecond per second; the header is made anew this often at most.
const RENEW_NS: i64 = 10_000_000;
/// A stamp farther than this from our own reading was taken on another clock (chrony's rule).
const STAMP_ERROR_NS_MAX: u64 = 1_000_000_000;
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
    /// How it waits.
    pub pace: Pace,
    /// Where it parks. A waker for it, if any, has the highest token there is.
    pub poll: Poll,
    /// Datagrams per system call.
    pub burst_slots: usize,
}

/// Serves its ports.
pub struct Worker {
    ports: Vec<UdpPort>,
    responder: Responder,
    subscription: Subscription,
    counters: Arc<WorkerCounters>,
    pace: Pace,
    poll: Poll,
    events: Events,
    burst: Burst,
    /// Slot and plan of each kept reply, in the order they were kept.
    plans: Box<[(usize, Plan)]>,
    departure: Departure,
    steps: Steps,
    renewed: Timespec,
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
            plans: vec![(0, Plan::UNSIGNED); parts.burst_slots].into(),
            events: Events::with_capacity(16),
            ports: parts.ports,
            responder: parts.responder,
            subscription: parts.subscription,
            counters: parts.counters,
            pace: parts.pace,
            poll: parts.poll,
            departure: Departure::default(),
            steps: Steps::default(),
            renewed: Timespec::default(),
        })
    }

    /// Serves until `stop` is set; who sets it also wakes the worker.
    pub fn run(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let received = self.turn();
            match self.pace.after_turn(received, clock::monotonic_ns()) {
                Next::Spin => std::hint::spin_loop(),
                Next::Park => self.park(),
            }
        }
        // What came before the end is answered.
        self.turn();
    }

    /// One round over all ports; how many datagrams it took in.
    pub fn turn(&mut self) -> usize {
        (0..self.ports.len()).map(|port| self.serve(port)).sum()
    }

    /// Drains one port, but never more than its share: the next port is waiting too.
    fn serve(&mut self, port: usize) -> usize {
        let mut taken = 0;
        for _ in 0..BURSTS_PER_TURN_MAX {
            let received = match self.ports[port].receive(&mut self.burst) {
                Ok(0) => break,
                Ok(received) => received,
                Err(_) => {
                    self.counters.add(Event::ReceiveError, 1);
                    // The port was not seen empty, so this turn is none to park after.
                    taken += 1;
                    break;
                }
            };
            taken += received;
            self.answer(port, received);
            if received < self.burst.capacity() {
                break; // The queue was empty a moment ago; go and look at the others.
            }
        }
        taken
    }

    /// Answers the burst that was just received from a port.
    fn answer(&mut self, port: usize, received: usize) {
        let now = ClockPair::read();
        let stepped = self.steps.seen(now).is_some();
        self.renew(now.real);
        self.prepare(received, now, stepped);
        if self.burst.kept() == 0 {
            return;
        }
        let sealing = ClockPair::read();
        if self.steps.seen(sealing).is_some() {
            // The receive timestamps are of another time than the transmit timestamps would be.
            self.counters.add(Event::ClockStepped, self.burst.kept());
            self.burst.discard();
            return;
        }
        let sealed = sealing.real;
        self.seal(sealed);
        let replies = self.burst.kept();
        let transmitted = self.ports[port].transmit(&mut self.burst);
        self.departure
            .learn(replies, clock::realtime().nanos_since(sealed));
        self.counters.add(Event::Sent, transmitted.sent);
        if transmitted.sent < replies {
            self.counters.add(Event::SendRefused, transmitted.refused);
            self.counters.add(Event::SendNoRoom, transmitted.no_room);
        }
    }

    /// The first pass: decide, and write all of the reply but what depends on its leaving.
    ///
    /// After a step of the clock the kernel's stamps may be of the time before it, and are not used.
    fn prepare(&mut self, received: usize, now: ClockPair, stepped: bool) {
        let ClockPair {
            real: now,
            monotonic_ns,
        } = now;
        let mut stamped = 0;
        for slot in 0..received {
            let datagram = self.burst.datagram(slot);
            let stamp = datagram.stamp.software.filter(|stamp| {
                !stepped && stamp.nanos_since(now).unsigned_abs() <= STAMP_ERROR_NS_MAX
            });
            stamped += usize::from(stamp.is_some());
            let arrival = Arrival {
                peer: datagram.peer,
                port: datagram.port,
                received: raw_time(stamp.unwrap_or(now)),
                monotonic_ns,
            };
            let packet = self.burst.payload_mut(slot, datagram.len);
            let outcome = self.responder.prepare(&arrival, packet);
            self.counters.count(&outcome);
            if let Outcome::Answer(plan) = outcome {
                self.plans[self.burst.kept()] = (slot, plan);
                self.burst.keep(slot, &datagram, plan.len, false);
            }
        }
        self.counters.add(Event::Burst, 1);
        self.counters.add(Event::TimestampKernel, stamped);
        self.counters
            .add(Event::TimestampDaemon, received - stamped);
        if let Some(clients) = self.responder.clients() {
            self.counters.set(Event::ClientsEvicted, clients.evicted());
        }
    }

    /// The second pass, as late as can be: the transmit timestamp, which starts from the clock's reading
    /// `now`, then the MAC that covers it.
    fn seal(&mut self, now: Timespec) {
        let start = raw_time(now).0;
        for (place, (slot, plan)) in (0..).zip(&self.plans[..self.burst.kept()]) {
            let departure = start + NtpDuration::from_nanos(self.departure.delay_ns(place));
            let reply = self.burst.payload_mut(*slot, plan.len);
            self.responder.seal(plan, RawTime(departure), reply);
        }
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
    }
}

fn raw_time(at: Timespec) -> RawTime {
    RawTime(NtpTimestamp::from_unix(at.secs, at.nanos))
}
