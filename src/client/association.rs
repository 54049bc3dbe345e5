//! One source and what is going on with it: when it is asked, what, and what its replies are worth.
//!
//! The caller owns the sockets and the clock. It sleeps until [`Association::next_deadline`], calls
//! [`Association::timeout`] and does what that says, tells of each departure by [`Association::departed`] and of
//! each packet from the source by [`Association::reply`]. Timers are nanoseconds of a clock that never steps.

mod exchange;
mod reply;
mod request;

use core::time::Duration;

use self::exchange::{Exchange, LastPacket, Open};
use super::change::ClockChange;
use super::options::SourceOptions;
use super::poll::{self, Burst, Poll, Reach, interval_ns, separated, spread};
use super::quantile::Delays;
use super::report::{Counts, Measurement};
use super::sanity::FailedTests;
use super::stamp::{Now, Stamp};
use crate::auth::KeyStore;
use crate::wire::{CookedTime, NtpTimestamp, ReferenceId, SystemVariables};

pub use reply::Reply;
pub use request::{Port, REQUEST_LEN_MAX, Request, RequestId};

/// What we are to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `server` and `pool`: mode 3, answered in mode 4.
    Client,
    /// `peer`: mode 1, answered in mode 1 or 2.
    Peer,
}

/// Whether requests are sent, by the names of chronyc's `activity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// At each poll.
    Online,
    /// Not at all.
    Offline,
    /// A burst was ordered, and it will be online.
    BurstOnline,
    /// A burst was ordered, and it will be offline.
    BurstOffline,
}

/// What we have and say of ourselves.
#[derive(Clone, Copy, Debug)]
pub struct Local<'a> {
    /// `keyfile`
    pub keys: &'a KeyStore,
    /// Our precision; all of it goes to a peer.
    pub system: &'a SystemVariables,
    /// The reference id of those that follow us by the address that this source sees; `None` where nobody can.
    pub address: Option<ReferenceId>,
    /// `maxclockerror`, as a ratio (1e-6 by default).
    pub max_clock_error: f64,
    /// Whether this is the source that is selected now.
    pub is_selected: bool,
}

/// What a timer asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// No reply is expected any more: the request's port is to be closed.
    Close,
    /// This is to be sent. If it cannot be, say so by [`Association::send_failed`].
    Send(Request),
    /// It was time, but the key is not in the key store. It is tried again at the next poll.
    NoKey,
}

/// The state of one source.
#[derive(Debug)]
pub struct Association {
    role: Role,
    options: SourceOptions,
    activity: Activity,
    poll: Poll,
    /// The source's own, of the last valid reply.
    remote_poll: Option<i8>,
    reach: Reach,
    burst: Burst,
    /// Requests since the last valid reply, and between that and the one before it.
    unanswered: u32,
    unanswered_before: u32,
    /// Whether the delay is short enough for more than one request a second.
    is_near: bool,
    /// The request ahead of the next one was sent.
    is_awake: bool,

    last_request_ns: u64,
    next_request_ns: Option<u64>,
    /// When a peer's own packet came, if since the last request.
    heard_ns: Option<u64>,
    /// When the port of the open request is closed.
    port_until_ns: Option<u64>,
    /// Chance of the interval that runs.
    spread_bits: u64,

    next_id: u64,
    open: Option<Open>,
    previous: Option<Exchange>,
    last_packet: Option<LastPacket>,
    /// A peer that sends in interleaved mode gets it.
    peer_interleaves: bool,

    delays: Delays,
    /// Of the last good reply: how far from the prediction, and how exact.
    to_weigh: Option<(Option<f64>, f64)>,
    failed: FailedTests,
    counts: Counts,
    last: Option<Measurement>,
}

impl Association {
    /// A source of which nothing is known. Its first request is due 0.2 s from now, unless it is `offline`.
    pub fn new(role: Role, options: SourceOptions, now_ns: u64) -> Self {
        let (min, max) = options.poll_range();
        let mut association = Self {
            role,
            activity: Activity::Offline,
            poll: Poll::new(min, max),
            remote_poll: None,
            reach: Reach::default(),
            burst: Burst::NONE,
            unanswered: 0,
            unanswered_before: 0,
            is_near: false,
            is_awake: false,
            last_request_ns: now_ns,
            next_request_ns: None,
            heard_ns: None,
            port_until_ns: None,
            spread_bits: 0,
            next_id: 0,
            open: None,
            previous: None,
            last_packet: None,
            peer_interleaves: false,
            delays: Delays::default(),
            to_weigh: None,
            failed: FailedTests::default(),
            counts: Counts::default(),
            last: None,
            options,
        };
        if !association.options.offline {
            association.online(now_ns);
        }
        association
    }

    /// When [`timeout`](Self::timeout) is to be called next, if ever.
    pub fn next_deadline(&self) -> Option<u64> {
        [self.next_request_ns, self.port_until_ns]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the next request is due, if one is.
    pub const fn next_request(&self) -> Option<u64> {
        self.next_request_ns
    }

    /// Puts the next request off until it is not too near to those of other sources. To be called after whatever may
    /// have moved it.
    pub fn keep_apart(&mut self, others_ns: &[u64]) {
        if let Some(wanted_ns) = self.next_request_ns {
            let separation_ns = poll::separation_ns(self.poll.log2());
            self.next_request_ns = Some(separated(wanted_ns, separation_ns, others_ns));
        }
    }

    /// Does what is due by now. To be called again while [`next_deadline`](Self::next_deadline) is not in the future.
    ///
    /// `random` is 192 bits that nobody can guess.
    pub fn timeout(&mut self, now: Now, random: [u64; 3], local: &Local<'_>) -> Due {
        let is_due = |at_ns: Option<u64>| at_ns.is_some_and(|at_ns| at_ns <= now.monotonic_ns);
        if is_due(self.port_until_ns) {
            self.close();
            return Due::Close;
        }
        if !is_due(self.next_request_ns) {
            return Due::Nothing;
        }
        self.spread_bits = random[2];
        self.last_request_ns = now.monotonic_ns;
        self.heard_ns = None;
        if self.unanswered >= MISSED_MIN {
            // The network or the source is gone: ask less often. Of the one we follow we do not give up so soon.
            let by = if local.is_selected { 0.1 } else { 0.25 };
            self.poll.adjust(by);
            self.reach.shift(false);
        }
        let wakes = self.wakes_first();
        let bursts = self.options.burst && self.role == Role::Client;
        if bursts && self.activity == Activity::Online && !wakes && !self.burst.is_active() {
            self.burst = Burst::POLL;
        }
        let request = self.compose(now, random, wakes, local);
        if request.is_some() {
            self.burst.sent();
            self.unanswered = self.unanswered.saturating_add(1);
            self.counts.sent += 1;
            self.is_awake = wakes;
        }
        self.next_request_ns = Some(self.planned_ns());
        self.settle_burst();
        match request {
            Some(request) => {
                if request.from == Port::New {
                    let patience_ns = seconds_ns(self.options.max_delay_s + PATIENCE_S);
                    self.port_until_ns = Some(now.monotonic_ns.saturating_add(patience_ns));
                }
                Due::Send(request)
            }
            None => Due::NoKey,
        }
    }

    /// A request left at this moment, as the kernel or the network card noted it. What is less exact than the
    /// stamp known is ignored.
    pub fn departed(&mut self, id: RequestId, stamp: Stamp) {
        let known = match (&mut self.open, &mut self.previous) {
            (Some(open), _) if open.id == id => &mut open.departure,
            (_, Some(previous)) if previous.id == id => &mut previous.departure,
            _ => return,
        };
        if stamp.source >= known.source {
            if stamp.source > known.source {
                self.counts.departed(stamp.source);
            }
            *known = stamp;
        }
    }

    /// A request could not be sent. With `auto_offline` that takes the source offline.
    pub fn send_failed(&mut self, id: RequestId) {
        if self.open.is_none_or(|open| open.id != id) {
            return;
        }
        self.close();
        self.unanswered = self.unanswered.saturating_sub(1);
        self.counts.sent = self.counts.sent.saturating_sub(1);
        if self.options.auto_offline {
            self.offline();
        }
    }

    /// Requests are sent from now on, the first 0.2 s from now; with `iburst` quickly.
    pub fn online(&mut self, now_ns: u64) {
        match self.activity {
            Activity::Online | Activity::BurstOnline => {}
            Activity::BurstOffline => self.activity = Activity::BurstOnline,
            Activity::Offline => {
                self.activity = Activity::Online;
                if self.options.iburst && self.role == Role::Client {
                    self.burst = Burst::INITIAL;
                }
                self.start(now_ns);
            }
        }
    }

    /// No more requests are sent, but those of a burst that was ordered.
    pub fn offline(&mut self) {
        match self.activity {
            Activity::Online => self.stop(),
            Activity::BurstOnline => self.activity = Activity::BurstOffline,
            Activity::Offline | Activity::BurstOffline => {}
        }
    }

    /// A burst: up to `requests` until `good` replies are good. An offline source is offline again after it.
    pub fn burst(&mut self, good: u32, requests: u32, now_ns: u64) {
        let burst = Burst::new(good, requests);
        if !burst.is_active() || self.role == Role::Peer {
            return;
        }
        self.burst = burst;
        self.activity = match self.activity {
            Activity::Online | Activity::BurstOnline => Activity::BurstOnline,
            Activity::Offline | Activity::BurstOffline => Activity::BurstOffline,
        };
        self.start(now_ns);
    }

    /// The caller's register took the sample of the last good reply and holds so many now: the poll interval
    /// follows. With `filter` not every good reply is one.
    pub fn accumulated(&mut self, samples: usize) {
        if let Some((error_s, distance_s)) = self.to_weigh.take() {
            let target = self.options.poll_target;
            self.poll
                .adjust(poll::score_change(samples, target, error_s, distance_s));
            self.replan();
        }
    }

    /// The local clock is another line from now on.
    pub fn clock_changed(&mut self, change: &ClockChange) {
        if let Some(open) = &mut self.open {
            open.change(change);
        }
        if let Some(previous) = &mut self.previous {
            previous.change(change);
        }
        if let Some(last_packet) = &mut self.last_packet {
            last_packet.arrival = change.restate(last_packet.arrival);
        }
    }

    /// The local clock was set by an amount that is not known: what was noted before is of another time. A reply
    /// to the open request is no use any more.
    pub fn clock_jumped(&mut self) {
        self.open = None;
        self.previous = None;
        self.last_packet = None;
        self.to_weigh = None;
        self.delays = Delays::default();
    }

    /// The source has another address now: all that was learnt belongs to the other.
    pub fn moved(&mut self, now_ns: u64) {
        let (activity, next_id) = (self.activity, self.next_id);
        *self = Self::new(self.role, self.options.clone(), now_ns);
        self.next_id = next_id;
        match activity {
            Activity::Online | Activity::BurstOnline => self.online(now_ns),
            Activity::Offline | Activity::BurstOffline => self.offline(),
        }
    }

    /// Other options (chronyc's `minpoll`, `maxdelay` and the like).
    pub fn set_options(&mut self, options: SourceOptions) {
        let (min, max) = options.poll_range();
        self.options = options;
        self.poll.limit(min, max);
        self.replan();
    }

    /// The options in force.
    pub const fn options(&self) -> &SourceOptions {
        &self.options
    }

    /// What we are to the source.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Whether requests are sent.
    pub const fn activity(&self) -> Activity {
        self.activity
    }

    /// The poll interval and its score.
    pub const fn poll(&self) -> &Poll {
        &self.poll
    }

    /// Which of the last polls were answered by a synchronised source.
    pub const fn reach(&self) -> Reach {
        self.reach
    }

    /// The last valid reply.
    pub const fn last(&self) -> Option<&Measurement> {
        self.last.as_ref()
    }

    /// Requests since the last valid reply.
    pub const fn unanswered(&self) -> u32 {
        self.unanswered
    }

    /// Whether a burst of requests is under way.
    pub const fn is_bursting(&self) -> bool {
        self.burst.is_active()
    }

    /// Packets there and back.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Replies that failed a test.
    pub const fn failed(&self) -> &FailedTests {
        &self.failed
    }

    /// The first request of a series is due soon.
    fn start(&mut self, now_ns: u64) {
        self.next_request_ns = Some(now_ns.saturating_add(START_NS));
    }

    fn stop(&mut self) {
        self.activity = Activity::Offline;
        self.burst = Burst::NONE;
        self.next_request_ns = None;
    }

    /// No reply to the open request is expected. That of a peer stays open until its next.
    fn close(&mut self) {
        self.open = None;
        self.port_until_ns = None;
    }

    /// A burst that was ordered and has ended leaves the source as it was to be.
    fn settle_burst(&mut self) {
        if self.burst.is_active() {
            return;
        }
        match self.activity {
            Activity::BurstOnline => self.activity = Activity::Online,
            Activity::BurstOffline => self.stop(),
            Activity::Online | Activity::Offline => {}
        }
    }

    /// Whether the next request is one that only wakes the path, `presend`.
    fn wakes_first(&self) -> bool {
        let from = self.options.presend.filter(|_| self.role == Role::Client);
        !self.is_awake
            && !self.burst.is_active()
            && from.is_some_and(|from| self.poll.log2() >= from)
    }

    /// log2 of the interval that is kept. More than one request a second is for near sources only, and peers take
    /// the shorter of both intervals.
    fn kept_poll(&self) -> i8 {
        let mut log2 = self.poll.log2();
        if let (Role::Peer, Some(remote)) = (self.role, self.remote_poll) {
            log2 = log2.min(remote.max(self.poll.min()));
        }
        if log2 < 0 && !(self.is_near && self.reach.is_reachable()) {
            log2 = 0;
        }
        log2
    }

    /// From the last request to the next, without chance.
    fn interval_ns(&self) -> u64 {
        let interval_ns = interval_ns(self.kept_poll());
        if self.burst.is_active() {
            return Burst::interval_ns(interval_ns);
        }
        let wake_ns = WAKE_NS.min(interval_ns / 2);
        if self.is_awake {
            return wake_ns;
        }
        if self.wakes_first() {
            return interval_ns - wake_ns;
        }
        interval_ns
    }

    /// When the next request is due. Peers send by turns: halfway between two packets of the other.
    fn planned_ns(&self) -> u64 {
        let interval_ns = spread(self.interval_ns(), self.spread_bits);
        let half_ns = interval_ns / 2;
        let after = |ns: u64| self.last_request_ns.saturating_add(ns);
        match self.heard_ns {
            Some(heard_ns) => heard_ns
                .saturating_add(half_ns)
                .clamp(after(half_ns), after(interval_ns.saturating_add(half_ns))),
            None => after(interval_ns),
        }
    }

    /// The interval has changed while it runs.
    fn replan(&mut self) {
        // Before the first request there is no interval.
        if self.next_request_ns.is_some() && self.counts.sent > 0 {
            self.next_request_ns = Some(self.planned_ns());
        }
    }

    /// The timestamps of the source's last packet, for test 1.
    fn last_timestamps(&self) -> Option<(NtpTimestamp, NtpTimestamp)> {
        self.last_packet
            .map(|packet| (packet.receive, packet.transmit))
    }

    /// The arrival of the source's last packet.
    fn last_arrival(&self) -> Option<CookedTime> {
        self.last_packet.map(|packet| packet.arrival)
    }
}

fn seconds_ns(seconds: f64) -> u64 {
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// From going online to the first request.
const START_NS: u64 = 200_000_000;
/// With so many requests unanswered at least one is missed.
const MISSED_MIN: u32 = 2;
/// How long after `maxdelay` a reply is waited for.
const PATIENCE_S: f64 = 4.0;
/// How far ahead of a request the one of `presend` is, or half an interval where that is less.
const WAKE_NS: u64 = 4_000_000_000;

#[cfg(test)]
mod tests;
