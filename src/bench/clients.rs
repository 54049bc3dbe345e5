//! Who asks: the clients a thread plays, and whose turn it is.

use std::net::IpAddr;

use crate::server::Chance;

/// In which order clients ask.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Order {
    /// By turns.
    #[default]
    Turns,
    /// The n-th client 1/n^s times as often as the first (Zipf's law), as the popular ones of a pool do.
    Zipf(f64),
    /// By turns through all addresses and ports before one asks again: one-shot clients after a power
    /// failure.
    Storm,
}

/// Chooses the source address of one request after another.
pub(super) struct Clients {
    sources: Box<[IpAddr]>,
    next: usize,
    /// How often the list has been gone through.
    rounds: usize,
    popularity: Option<Popularity>,
}

/// A source address, and which of the ports it asks from; the port is taken modulo those there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// `None`: the address the kernel chooses.
    pub(super) source: Option<IpAddr>,
    /// The port's number.
    pub(super) port: usize,
}

impl Clients {
    /// Clients with these addresses; with none, one whose address the kernel chooses.
    pub(super) fn new(sources: &[IpAddr], order: Order, start: usize) -> Self {
        Self {
            sources: sources.into(),
            next: start % sources.len().max(1),
            rounds: 0,
            popularity: match order {
                Order::Zipf(exponent) => Some(Popularity::new(sources.len(), exponent)),
                Order::Turns | Order::Storm => None,
            },
        }
    }

    /// Whose turn it is.
    #[inline]
    pub(super) fn next(&mut self, chance: &mut Chance) -> Client {
        if let Some(popularity) = &self.popularity {
            let at = popularity.draw(chance);
            return Client {
                source: self.sources.get(at).copied(),
                port: at,
            };
        }
        let client = Client {
            source: self.sources.get(self.next).copied(),
            port: self.rounds,
        };
        self.next += 1;
        if self.next >= self.sources.len() {
            self.next = 0;
            self.rounds = self.rounds.wrapping_add(1);
        }
        client
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        let popularity = self
            .popularity
            .as_ref()
            .map_or(0, |popularity| size_of_val(&*popularity.columns));
        size_of_val(&*self.sources) + popularity
    }
}

/// Draws by weight in one step (Walker's alias method, in Vose's form).
struct Popularity {
    columns: Box<[Column]>,
}

#[derive(Clone, Copy)]
struct Column {
    /// Below this share of the column it is itself, above it the other; in units of 2^-32.
    own: u32,
    other: u32,
}

impl Popularity {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "places of a list that fits memory; shares between 0 and 1"
    )]
    fn new(clients: usize, exponent: f64) -> Self {
        let weights: Vec<f64> = (1..=clients.max(1))
            .map(|rank| (rank as f64).powf(-exponent))
            .collect();
        let scale = weights.len() as f64 / weights.iter().sum::<f64>();
        let mut shares: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
        let mut columns: Box<[Column]> = (0..shares.len())
            .map(|at| Column {
                own: u32::MAX,
                other: at as u32,
            })
            .collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..shares.len()).partition(|at| shares[*at] < 1.0);
        while let (Some(poor), Some(rich)) = (small.pop(), large.last().copied()) {
            columns[poor] = Column {
                own: (shares[poor] * 4_294_967_296.0) as u32,
                other: rich as u32,
            };
            shares[rich] -= 1.0 - shares[poor];
            if shares[rich] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Self { columns }
    }

    #[inline]
    fn draw(&self, chance: &mut Chance) -> usize {
        let at = ((u64::from(chance.bits()) * self.columns.len() as u64) >> 32) as usize;
        let column = self.columns[at];
        if chance.bits() <= column.own {
            at
        } else {
            column.other as usize
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(count: u8) -> Vec<IpAddr> {
        (0..count)
            .map(|host| IpAddr::from([10, 0, 0, host]))
            .collect()
    }

    #[test]
    fn turns_go_through_every_address_and_then_to_the_next_port() {
        let mut clients = Clients::new(&sources(3), Order::Storm, 0);
        let mut chance = Chance::new(1);
        let seen: Vec<_> = (0..7).map(|_| clients.next(&mut chance)).collect();
        assert_eq!(
            seen.iter().map(|client| client.port).collect::<Vec<_>>(),
            [0, 0, 0, 1, 1, 1, 2]
        );
        assert_eq!(
            (seen[0].source, seen[3].source),
            (seen[6].source, seen[6].source)
        );
        assert_ne!(seen[0].source, seen[1].source);
    }

    #[test]
    fn without_addresses_the_kernel_chooses() {
        let mut clients = Clients::new(&[], Order::Turns, 5);
        assert_eq!(clients.next(&mut Chance::new(1)).source, None);
        let mut clients = Clients::new(&[], Order::Zipf(1.0), 5);
        assert_eq!(clients.next(&mut Chance::new(1)).source, None);
    }

    #[test]
    fn the_second_asks_half_as_often_by_zipfs_law() {
        let mut clients = Clients::new(&sources(100), Order::Zipf(1.0), 0);
        let mut chance = Chance::new(7);
        let mut asked = [0u32; 100];
        for _ in 0..1_000_000 {
            asked[clients.next(&mut chance).port] += 1;
        }
        // The harmonic number of 100 is 5.187: the first has 192,776 of a million.
        for (rank, count) in [
            (1, asked[0]),
            (2, asked[1]),
            (10, asked[9]),
            (100, asked[99]),
        ] {
            let expected = 192_776.0 / f64::from(rank);
            assert!(
                (f64::from(count) / expected - 1.0).abs() < 0.06,
                "rank {rank}: {count} for {expected}"
            );
        }
    }
}
