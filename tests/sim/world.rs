//! Virtual time: what happens next, until the end.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::client::{Client, Reply, moment};
use super::random::Random;
use super::source::{HOLD_S, Server};
use maser::wire::NtpDuration;

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) servers: Vec<Server>,
    /// Deviation of the walk of the client's frequency, by the root of a second.
    pub(crate) wander: f64,
    pub(crate) random: Random,
    now_s: f64,
    coming: BinaryHeap<Reverse<Event>>,
    /// By how much the client's clock was ahead, at each full second: the kernel's, and served time.
    pub(crate) errors_s: Vec<f64>,
    pub(crate) served_errors_s: Vec<f64>,
}

struct Event {
    at_s: f64,
    what: What,
}

enum What {
    Poll(usize),
    Reply(usize, Reply),
    Second,
    /// The client's slew may be over; it looks.
    Slewed,
}

impl World {
    pub(crate) fn new(
        client: Client,
        servers: Vec<Server>,
        wander: f64,
        mut random: Random,
    ) -> Self {
        let mut coming = BinaryHeap::new();
        for index in 0..servers.len() {
            let at_s = 0.2 * (random.uniform() + f64::from(u32::try_from(index).expect("few")));
            let what = What::Poll(index);
            coming.push(Reverse(Event { at_s, what }));
        }
        let what = What::Second;
        coming.push(Reverse(Event { at_s: 1.0, what }));
        Self {
            client,
            servers,
            wander,
            random,
            now_s: 0.0,
            coming,
            errors_s: Vec::new(),
            served_errors_s: Vec::new(),
        }
    }

    /// Runs on until `end_s` of true time.
    pub(crate) fn run(&mut self, end_s: f64) {
        while let Some(Reverse(event)) = self.coming.pop() {
            if event.at_s > end_s {
                self.coming.push(Reverse(event));
                break;
            }
            let passed_s = (event.at_s - self.now_s).max(0.0);
            self.client.clock.kernel().advance(passed_s);
            self.now_s = event.at_s;
            self.happen(event.what);
        }
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Poll(index) => self.poll(index),
            What::Reply(index, reply) => {
                let before = self.client.updates;
                self.client.reply(index, &reply, self.now_s);
                if self.client.updates != before {
                    self.await_slew();
                }
            }
            What::Slewed => {
                let now = self.client.raw(self.now_s);
                let Ok(()) = self.client.clock.elapse(now);
                self.await_slew();
            }
            What::Second => {
                let walk = self.wander * self.random.normal();
                self.client.clock.kernel().wander(walk);
                self.errors_s.push(self.client.clock.kernel().error_s());
                let served_s = self.client.served_error_s(self.now_s);
                self.served_errors_s.push(served_s);
                self.later(1.0, What::Second);
            }
        }
    }

    fn poll(&mut self, index: usize) {
        let server = self.servers[index];
        let mark = self.client.request(index, self.now_s);
        let source = &mut self.client.sources[index];
        let is_selected = source.standing.is_selected;
        let wait_s = source.poll.request(is_selected, self.random.uniform());
        self.later(wait_s, What::Poll(index));
        let there = server.link.delay_s(0, &mut self.random);
        let back = server.link.delay_s(1, &mut self.random);
        let (Some(there_s), Some(back_s)) = (there, back) else {
            return;
        };
        let arrival_s = self.now_s + there_s;
        if arrival_s >= server.dies_at_s {
            return;
        }
        let clock = |true_s| moment(true_s + server.error_s(true_s));
        let reply = Reply {
            mark,
            received: clock(arrival_s),
            sent: clock(arrival_s + HOLD_S),
        };
        let away_s = there_s + HOLD_S + back_s;
        self.later(away_s, What::Reply(index, reply));
        if let Some(after_s) = server.link.replay_s(&mut self.random) {
            self.later(away_s + after_s, What::Reply(index, reply));
        }
    }

    /// The client wakes up when its slew is over, a little late as any program.
    fn await_slew(&mut self) {
        let now = self.client.raw(self.now_s);
        if let Some(end) = self.client.clock.deadline() {
            let raw_s = (end.0 - now.0 + NtpDuration::from_nanos(50_000)).to_seconds();
            let rate = 1.0 + self.client.clock.kernel().rate_error();
            self.later(raw_s.max(0.0) / rate, What::Slewed);
        }
    }

    fn later(&mut self, wait_s: f64, what: What) {
        let at_s = self.now_s + wait_s;
        self.coming.push(Reverse(Event { at_s, what }));
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at_s.total_cmp(&other.at_s)
    }
}
