//! Who has asked: a table of clients in a fixed amount of memory (chrony's client log).
//!
//! Sets of eight records. The tags and ages of a set share one cache line, a record has its own, so a
//! known client costs two lines and a stranger in a full set costs two as well: the oldest goes. The set
//! is chosen by AES of the address under a random key, so nobody outside can aim at one set.

use core::net::IpAddr;

use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};

const WAYS: usize = 8;
/// Ages are kept in units of 2^26 ns (67 ms): 32 bits last nine years.
const AGE_SHIFT_NS: u32 = 26;
/// A free way's tag.
const FREE: u16 = 0;

/// What is remembered of one address.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Client {
    address: [u8; 16],
    /// Moment of the last request, in nanoseconds of the monotonic clock; 0: this is the first.
    pub last_hit_ns: u64,
    /// The rate limiter's one figure: when the client will have its full burst again.
    pub full_at_ns: u64,
    /// Requests seen. Stops at the largest value.
    pub hits: u32,
    /// Requests not answered because of the rate limit. Stops at the largest value.
    pub drops: u32,
    /// Mean interval after an answered request: log2 of seconds in steps of 1/256.
    pub interval: Interval,
    /// The same after a request that was not answered.
    pub interval_unanswered: Interval,
    /// Whether the last request got an answer.
    pub answered: bool,
}

const _: () = assert!(size_of::<Client>() == 64);

impl Client {
    const FREE: Self = Self {
        address: [0; 16],
        last_hit_ns: 0,
        full_at_ns: 0,
        hits: 0,
        drops: 0,
        interval: Interval::UNKNOWN,
        interval_unanswered: Interval::UNKNOWN,
        answered: true,
    };

    /// Of an address that has not asked yet.
    pub fn new(address: IpAddr) -> Self {
        Self {
            address: address_bytes(address),
            ..Self::FREE
        }
    }

    /// Whose record it is.
    pub fn address(&self) -> IpAddr {
        IpAddr::from(self.address).to_canonical()
    }

    /// What two tables remember of one client: the requests of both, else what the later tells.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        let (later, earlier) = if self.last_hit_ns >= other.last_hit_ns {
            (self, other)
        } else {
            (other, self)
        };
        Self {
            hits: later.hits.saturating_add(earlier.hits),
            drops: later.drops.saturating_add(earlier.drops),
            ..later
        }
    }

    fn note_hit(&mut self, now_ns: u64) {
        if self.last_hit_ns != 0 {
            let elapsed = now_ns.saturating_sub(self.last_hit_ns);
            let interval = if self.answered {
                &mut self.interval
            } else {
                &mut self.interval_unanswered
            };
            interval.note(elapsed);
        }
        self.last_hit_ns = now_ns;
        self.hits = self.hits.saturating_add(1);
    }
}

/// Which clients are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientsAsked {
    /// Those at this place of the table and after it.
    From(usize),
    /// The one with this address.
    Of(IpAddr),
}

/// Some of the clients of a table, as a listing of chronyc's `clients` wants them.
#[derive(Clone, Debug)]
pub struct ClientsListing {
    /// Which are wanted.
    pub asked: ClientsAsked,
    /// Those with fewer requests are left out.
    pub hits_min: u32,
    /// What was counted of them begins anew.
    pub resets: bool,
    /// Those that were found.
    pub found: Vec<Client>,
    /// The place to go on with.
    pub next: usize,
    /// How many places there are.
    pub places: usize,
}

impl ClientsListing {
    /// With room for so many clients.
    pub fn new(asked: ClientsAsked, room: usize) -> Self {
        Self {
            asked,
            hits_min: 0,
            resets: false,
            found: Vec::with_capacity(room),
            next: 0,
            places: 0,
        }
    }

    /// A vector with room does not allocate.
    const fn is_full(&self) -> bool {
        self.found.len() == self.found.capacity()
    }

    fn take(&mut self, client: &mut Client) {
        if self.is_full() {
            return;
        }
        self.found.push(*client);
        if self.resets {
            client.hits = 0;
            client.drops = 0;
        }
    }
}

/// A mean interval between requests, as log2 of seconds in steps of 1/256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(i16);

impl Interval {
    /// Not two requests yet. Longer than any other.
    pub const UNKNOWN: Self = Self(i16::MAX);
    /// A factor of two.
    const OCTAVE: i16 = 256;
    /// log2 of 10^9, in steps of 1/256.
    const SECOND_IN_NS: i16 = 7654;

    /// Packets of one burst have one moment, so gaps below chrony's 1/32 s are no intervals but noise.
    const SHORTEST_NS: u64 = 31_250_000;

    fn note(&mut self, elapsed_ns: u64) {
        let elapsed_ns = elapsed_ns.max(Self::SHORTEST_NS);
        let exponent = elapsed_ns.ilog2();
        // Between powers of two a straight line stands for the logarithm: wrong by 0.09 at most.
        let mantissa = (elapsed_ns << (63 - exponent)) >> 55 & 0xff;
        #[expect(clippy::cast_possible_truncation, reason = "64 octaves of 256 fit")]
        let latest = (exponent << 8) as i16 + mantissa as i16 - Self::SECOND_IN_NS;
        self.0 = if *self == Self::UNKNOWN {
            latest
        } else {
            self.0 + (latest - self.0) / 4
        };
    }

    /// From log2 of seconds in steps of 1/256; the largest is none.
    pub const fn from_steps(steps: i16) -> Self {
        Self(steps)
    }

    /// Whether this is less than half of `other`.
    pub const fn is_under_half_of(self, other: Self) -> bool {
        self.0 < other.0.saturating_sub(Self::OCTAVE)
    }

    /// log2 of seconds, rounded; `None` when unknown.
    pub const fn log2_s(self) -> Option<i8> {
        if self.0 == i16::MAX {
            None
        } else {
            Some(((self.0 + 128) >> 8) as i8)
        }
    }
}

/// Tags and ages of a set: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct SetHead {
    tags: [u16; WAYS],
    ages: [u32; WAYS],
}

const _: () = assert!(size_of::<SetHead>() == 64);

/// Places looked at for one listing: clients must not wait for long.
const LOOKED_AT_MAX: usize = 1 << 13;

const SET_BYTES: usize = size_of::<SetHead>() + WAYS * size_of::<Client>();

/// Records of clients, found by address. It never grows; the oldest of a full set makes room.
pub struct ClientTable {
    cipher: Aes128Enc,
    heads: Box<[SetHead]>,
    clients: Box<[[Client; WAYS]]>,
    evicted: u64,
}

impl ClientTable {
    /// As much as chrony's ceiling of 2^24 records takes.
    pub const MEMORY_BYTES_MAX: usize = (1 << 24) / WAYS * SET_BYTES;

    /// Bytes that one client takes, with its share of the set's tags and ages.
    pub const CLIENT_BYTES: usize = SET_BYTES / WAYS;

    /// With as many records as `memory_bytes` hold, eight at the least. `seed` must not be guessable.
    pub fn new(memory_bytes: usize, seed: [u8; 16]) -> Self {
        let sets = Self::sets(memory_bytes);
        Self {
            cipher: Aes128Enc::new(&Array(seed)),
            heads: vec![
                SetHead {
                    tags: [FREE; WAYS],
                    ages: [0; WAYS]
                };
                sets
            ]
            .into(),
            clients: vec![[Client::FREE; WAYS]; sets].into(),
            evicted: 0,
        }
    }

    /// The record of `peer`, which has just asked; made, in place of the oldest of its set, if need be.
    #[inline]
    pub fn hit(&mut self, peer: IpAddr, now_ns: u64) -> &mut Client {
        let address = address_bytes(peer);
        let (set, tag) = self.place(address);
        let head = &mut self.heads[set];
        let clients = &mut self.clients[set];

        let known =
            (0..WAYS).find(|way| head.tags[*way] == tag && clients[*way].address == address);
        let way = known.unwrap_or_else(|| {
            let way = head.way_for_a_stranger(now_ns);
            self.evicted += u64::from(head.tags[way] != FREE);
            head.tags[way] = tag;
            clients[way] = Client {
                address,
                ..Client::FREE
            };
            way
        });
        head.ages[way] = age(now_ns);
        clients[way].note_hit(now_ns);
        &mut clients[way]
    }

    /// Fills a listing with records of clients; none is made for it.
    pub fn fill(&mut self, listing: &mut ClientsListing) {
        listing.places = self.capacity();
        match listing.asked {
            ClientsAsked::Of(address) => {
                let bytes = address_bytes(address);
                let (set, tag) = self.place(bytes);
                let known = |way: &usize| self.heads[set].tags[*way] == tag;
                let mut ways = (0..WAYS).filter(known);
                if let Some(way) = ways.find(|way| self.clients[set][*way].address == bytes) {
                    listing.take(&mut self.clients[set][way]);
                }
            }
            ClientsAsked::From(first) => {
                let last = first.saturating_add(LOOKED_AT_MAX).min(self.capacity());
                listing.next = last;
                for place in first..last {
                    if listing.is_full() {
                        listing.next = place;
                        break;
                    }
                    let (set, way) = (place / WAYS, place % WAYS);
                    let client = &mut self.clients[set][way];
                    if self.heads[set].tags[way] != FREE && client.hits >= listing.hits_min {
                        listing.take(client);
                    }
                }
            }
        }
    }

    /// Records lost because their set was full.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Records that fit.
    pub fn capacity(&self) -> usize {
        self.heads.len() * WAYS
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.heads) + size_of_val(&*self.clients)
    }

    /// Bytes on the heap of a table made with `memory_bytes`.
    pub fn bytes_for(memory_bytes: usize) -> usize {
        Self::sets(memory_bytes) * SET_BYTES
    }

    fn sets(memory_bytes: usize) -> usize {
        // A set's number is taken out of 32 bits of hash.
        (memory_bytes / SET_BYTES).clamp(1, 1 << 30)
    }

    #[expect(clippy::cast_possible_truncation, reason = "parts of a hash")]
    fn place(&self, address: [u8; 16]) -> (usize, u16) {
        let mut block = Array(address);
        self.cipher.encrypt_block(&mut block);
        let hash = u128::from_le_bytes(block.0);
        // The upper 32 of 64 bits of product spread evenly over any number of sets.
        let set = (u64::from(hash as u32) * self.heads.len() as u64) >> 32;
        (set as usize, (hash >> 64) as u16 | 1)
    }
}

impl SetHead {
    /// A free way, or else the one that was quiet the longest.
    fn way_for_a_stranger(&self, now_ns: u64) -> usize {
        let now = age(now_ns);
        let quiet = |way: &usize| match self.tags[*way] {
            FREE => u64::MAX,
            _ => u64::from(now.wrapping_sub(self.ages[*way])),
        };
        (0..WAYS).max_by_key(quiet).unwrap_or(0)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "ages wrap; only their distance counts"
)]
const fn age(now_ns: u64) -> u32 {
    (now_ns >> AGE_SHIFT_NS) as u32
}

fn address_bytes(peer: IpAddr) -> [u8; 16] {
    match peer {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn v4(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn remembers_who_asked() {
        let mut table = ClientTable::new(1 << 20, [7; 16]);
        for now in 1..=5 {
            assert_eq!(u64::from(table.hit(v4(1), now * SECOND_NS).hits), now);
        }
        assert_eq!(table.hit(v4(2), 6 * SECOND_NS).hits, 1);
        assert_eq!(table.hit("::1".parse().unwrap(), 6 * SECOND_NS).hits, 1);
        assert_eq!(table.evicted(), 0);
    }

    #[test]
    fn listings_hold_every_client_once_and_reset_what_they_tell() {
        let mut table = ClientTable::new(1 << 20, [3; 16]);
        for number in 0..1000 {
            for _ in 0..=number % 3 {
                table.hit(v4(number), SECOND_NS);
            }
        }
        let list = |table: &mut ClientTable, hits_min, resets| {
            let (mut place, mut all) = (0, Vec::new());
            while place < table.capacity() {
                let mut listing = ClientsListing::new(ClientsAsked::From(place), 8);
                (listing.hits_min, listing.resets) = (hits_min, resets);
                table.fill(&mut listing);
                assert!(listing.next > place && listing.found.len() <= 8);
                assert_eq!(listing.places, table.capacity());
                all.extend(listing.found.iter().map(Client::address));
                place = listing.next;
            }
            all.sort_unstable();
            all
        };
        let everybody: Vec<_> = (0..1000).map(v4).collect();
        assert_eq!(list(&mut table, 0, false), everybody);
        let often: Vec<_> = (0..1000).filter(|n| n % 3 == 2).map(v4).collect();
        assert_eq!(list(&mut table, 3, true), often);
        assert_eq!(list(&mut table, 0, false), everybody);
        assert_eq!(list(&mut table, 3, false), [] as [IpAddr; 0]);

        let mut listing = ClientsListing::new(ClientsAsked::Of(v4(1)), 1);
        table.fill(&mut listing);
        assert_eq!(listing.found[0].hits, 2);
        let mut listing = ClientsListing::new(ClientsAsked::Of(v4(2)), 1);
        table.fill(&mut listing);
        assert_eq!(listing.found[0].hits, 0, "it was reset");
        let mut listing = ClientsListing::new(ClientsAsked::Of(v4(1000)), 1);
        table.fill(&mut listing);
        assert!(listing.found.is_empty());
    }

    #[test]
    fn memory_stays_and_the_oldest_goes() {
        let mut table = ClientTable::new(10_000, [1; 16]);
        let (capacity, memory) = (table.capacity(), table.memory_bytes());
        assert!(memory <= 10_000 && capacity >= 8);
        assert_eq!(memory, ClientTable::bytes_for(10_000));
        assert_eq!(memory, capacity * ClientTable::CLIENT_BYTES);
        let regular = v4(0xffff_ffff);
        for number in 0..100_000 {
            let now = u64::from(number) * SECOND_NS;
            table.hit(v4(number), now);
            table.hit(regular, now);
        }
        assert_eq!(table.memory_bytes(), memory);
        assert_eq!(
            table.hit(regular, 100_000 * SECOND_NS).hits,
            100_001,
            "evicted though never quiet"
        );
        assert_eq!(table.evicted(), 100_001 - u64::try_from(capacity).unwrap());
    }

    #[test]
    fn sets_fill_evenly() {
        let mut table = ClientTable::new(1 << 20, [9; 16]);
        let fill = u32::try_from(table.capacity() / 2).unwrap();
        for number in 0..fill {
            table.hit(v4(number << 8), 1);
        }
        assert!(
            table.evicted() < u64::from(fill) / 50,
            "{} of {fill}",
            table.evicted()
        );
    }

    #[test]
    fn intervals_are_means_of_logarithms() {
        let mut interval = Interval::UNKNOWN;
        assert_eq!(interval.log2_s(), None);
        for _ in 0..50 {
            interval.note(64 * SECOND_NS);
        }
        assert_eq!(interval.log2_s(), Some(6));
        let mut fast = Interval::UNKNOWN;
        fast.note(SECOND_NS / 8);
        assert_eq!(fast.log2_s(), Some(-3));
        assert!(fast.is_under_half_of(interval) && !interval.is_under_half_of(fast));
        fast.note(0);
        fast.note(u64::MAX);
    }
}
