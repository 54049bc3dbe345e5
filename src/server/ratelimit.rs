//! How often one client may ask: chrony's `ratelimit interval burst leak kod`.

use super::chance::Chance;
use super::clients::Client;

/// The resolved form of a `ratelimit` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// log2 of the seconds in which a client earns one reply, -19 to 12.
    pub interval_log2: i8,
    /// Replies a client may take at once, 1 to 255.
    pub burst: u8,
    /// Beyond the limit, one request in 2^leak is answered all the same, 1 to 4.
    pub leak_log2: u8,
    /// Of those not answered, one in 2^kod gets a kiss; `None` (chrony's 0): none does. 1 to 4.
    pub kod_log2: Option<u8>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            interval_log2: 3,
            burst: 8,
            leak_log2: 2,
            kod_log2: None,
        }
    }
}

/// What the limit says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Answer it.
    Answer,
    /// Tell the client to slow down (KoD RATE).
    Kiss,
    /// Stay silent.
    Drop,
}

/// A token bucket per client, kept as the moment at which it will be full again.
///
/// A full bucket holds `burst` replies; each reply moves the moment one interval into the future; a
/// request for which it would lie more than `burst` intervals ahead is over the limit. The moments are
/// whole nanoseconds, so nothing is lost by rounding however often the bucket is looked at.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    interval_ns: u64,
    /// How far ahead the moment may lie for one more reply.
    tolerance_ns: u64,
    leak_log2: u8,
    kod_log2: Option<u8>,
}

impl RateLimiter {
    /// For a configured limit.
    pub fn new(limit: RateLimit) -> Self {
        const NANOS_PER_S: u64 = 1_000_000_000;
        let shift = limit.interval_log2.unsigned_abs().min(30);
        let interval_ns = if limit.interval_log2 < 0 {
            NANOS_PER_S >> shift
        } else {
            NANOS_PER_S << shift
        };
        Self {
            interval_ns,
            tolerance_ns: interval_ns * u64::from(limit.burst.max(1) - 1),
            leak_log2: limit.leak_log2,
            kod_log2: limit.kod_log2,
        }
    }

    /// In nanoseconds: for which a reply is earned, and how far ahead a client's moment may lie for one more.
    pub const fn figures(&self) -> (u64, u64) {
        (self.interval_ns, self.tolerance_ns)
    }

    /// Judges a request of `client`, which has been noted as a hit at `now_ns`.
    #[inline]
    pub fn admit(&self, client: &mut Client, now_ns: u64, chance: &mut Chance) -> Admit {
        let full_at_ns = client.full_at_ns.max(now_ns);
        client.answered = true;
        if full_at_ns - now_ns <= self.tolerance_ns {
            client.full_at_ns = full_at_ns + self.interval_ns;
            return Admit::Answer;
        }
        if self.leaks(client, chance) {
            return Admit::Answer;
        }
        client.answered = false;
        client.drops = client.drops.saturating_add(1);
        match self.kod_log2 {
            Some(log2) if chance.one_in(log2) => Admit::Kiss,
            _ => Admit::Drop,
        }
    }

    /// Some requests over the limit are answered, so that nobody can starve a client by forging its
    /// address. A client that asks more than twice as fast while it gets no answer is answered mostly:
    /// silence would only make it worse.
    fn leaks(&self, client: &Client, chance: &mut Chance) -> bool {
        let impatient = client.interval_unanswered.is_under_half_of(client.interval);
        chance.one_in(self.leak_log2) != impatient
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::clients::ClientTable;
    use core::net::IpAddr;
    use proptest::prelude::*;

    const SECOND_NS: u64 = 1_000_000_000;
    const PEER: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));

    struct World {
        limiter: RateLimiter,
        table: ClientTable,
        chance: Chance,
    }

    impl World {
        fn new(limit: RateLimit) -> Self {
            Self {
                limiter: RateLimiter::new(limit),
                table: ClientTable::new(1 << 16, [3; 16]),
                chance: Chance::new(11),
            }
        }

        fn ask(&mut self, now_ns: u64) -> Admit {
            let client = self.table.hit(PEER, now_ns);
            self.limiter.admit(client, now_ns, &mut self.chance)
        }

        fn count(&mut self, requests: u64, every_ns: u64) -> [u64; 3] {
            let mut counts = [0; 3];
            for number in 0..requests {
                counts[self.ask(SECOND_NS + number * every_ns) as usize] += 1;
            }
            counts
        }
    }

    #[test]
    fn a_burst_then_one_per_interval() {
        let mut world = World::new(RateLimit {
            interval_log2: 3,
            burst: 4,
            leak_log2: 4,
            kod_log2: None,
        });
        for _ in 0..4 {
            assert_eq!(world.ask(SECOND_NS), Admit::Answer);
        }
        // With leak 4 and this seed none of the first three leaks.
        assert!((0..3).any(|_| world.ask(SECOND_NS) == Admit::Drop));
        assert_eq!(world.ask(9 * SECOND_NS), Admit::Answer);
    }

    #[test]
    fn at_the_interval_nothing_is_ever_limited() {
        let mut world = World::new(RateLimit::default());
        assert_eq!(world.count(10_000, 8 * SECOND_NS), [10_000, 0, 0]);
    }

    #[test]
    fn leak_and_kod_have_their_shares() {
        let limit = RateLimit {
            interval_log2: 12,
            burst: 1,
            leak_log2: 2,
            kod_log2: Some(1),
        };
        let [answered, kissed, dropped] = World::new(limit).count(40_000, 1_000_000);
        assert!((9_500..10_500).contains(&answered), "{answered}");
        assert!((14_000..16_000).contains(&kissed), "{kissed}");
        assert!((14_000..16_000).contains(&dropped), "{dropped}");
    }

    #[test]
    fn an_impatient_client_is_mostly_answered() {
        let limit = RateLimit {
            interval_log2: 12,
            burst: 1,
            leak_log2: 2,
            kod_log2: None,
        };
        let mut world = World::new(limit);
        let (mut now, mut answered) = (SECOND_NS, 0);
        for _ in 0..10_000 {
            let admit = world.ask(now);
            answered += u32::from(admit == Admit::Answer);
            now += if admit == Admit::Answer {
                64 * SECOND_NS
            } else {
                SECOND_NS
            };
        }
        assert!(answered > 6_500, "{answered}");
    }

    #[test]
    fn a_steady_flood_in_bursts_is_not_impatience() {
        let limit = RateLimit {
            interval_log2: 12,
            burst: 1,
            leak_log2: 2,
            kod_log2: None,
        };
        let mut world = World::new(limit);
        // 16 at a moment, a millisecond apart.
        let answered = (0..16_000)
            .filter(|number| world.ask(SECOND_NS + number / 16 * 1_000_000) == Admit::Answer);
        let answered = answered.count();
        assert!((3_600..4_400).contains(&answered), "{answered}");
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_earned(
            interval_log2 in -19i8..=12, burst: u8, gaps in prop::collection::vec(0u64..1 << 34, 1..200),
        ) {
            let limit = RateLimit { interval_log2, burst: burst.max(1), leak_log2: 4, kod_log2: None };
            let mut world = World::new(limit);
            // The leak answers more; take it out by asking the bucket alone.
            let (start, mut now, mut answered) = (SECOND_NS, SECOND_NS, 0u64);
            for gap in gaps {
                now += gap;
                let client = world.table.hit(PEER, now);
                let before = client.full_at_ns;
                world.limiter.admit(client, now, &mut world.chance);
                answered += u64::from(client.full_at_ns != before);
            }
            let earned = (now - start) / world.limiter.interval_ns;
            prop_assert!(answered <= u64::from(limit.burst) + earned);
        }
    }
}
