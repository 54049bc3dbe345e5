//! A million requests that something was done to: none panics, none gets more than it has sent, and none changes a
//! thing but by the socket in the file system.

use maser::control::{Order, Question, Reply, Requester, State, Status, answer};

/// Everything may be asked; whoever orders something is counted.
#[derive(Default)]
struct Ordered(u64);

impl State for Ordered {
    fn ask(&mut self, question: &Question) -> Result<Reply, Status> {
        match question {
            Question::SourceCount => Ok(Reply::SourceCount(3)),
            Question::Clients(clients) if clients.resets => {
                self.0 += 1;
                Err(Status::NotEnabled)
            }
            _ => Err(Status::NoSuchSource),
        }
    }

    fn order(&mut self, _: &Order) -> Result<Reply, Status> {
        self.0 += 1;
        Ok(Reply::Done)
    }

    fn is_open(&self, _: &str) -> bool {
        true
    }
}

/// Chance that is the same in each run (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("64 bits") % end
    }
}

#[test]
fn a_million_mutated_requests() {
    const REQUESTS: u64 = 1_000_000;
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let from = Requester::Address {
        ip: address,
        is_allowed: true,
    };
    let originals = super::exchanges();
    let (mut chance, mut state, mut local) = (Chance(7), Ordered::default(), Ordered::default());
    let (mut answered, mut done) = (0, 0);
    for _ in 0..REQUESTS {
        let mut packet = originals[chance.below(originals.len())].request.clone();
        for _ in 0..=chance.below(8) {
            // The header decides most: half of what is done is done to it.
            let end = [packet.len(), 20][chance.below(2)].min(packet.len());
            let at = chance.below(end.max(1));
            match chance.below(5) {
                0 => packet.truncate(chance.below(packet.len() + 1).max(1)),
                1 => packet.resize(chance.below(1000) + 1, 0),
                2 => packet[5.min(end - 1)] = chance.below(80).to_le_bytes()[0],
                3 => packet[at] ^= 1 << chance.below(8),
                _ => packet[at] = chance.below(256).to_le_bytes()[0],
            }
        }
        if let Some(reply) = answer(&packet, from, &mut state) {
            assert!(reply.len() <= packet.len(), "{packet:02x?}");
            answered += 1;
        }
        if answer(&packet, Requester::Local, &mut local).is_some() {
            done += 1;
        }
    }
    assert_eq!(state.0, 0, "something was changed from an address");
    // The mutations are not so wild that nothing is left to be tested.
    assert!(answered > REQUESTS / 10 && done >= answered, "{answered}");
    assert!(local.0 > REQUESTS / 100, "{}", local.0);
}
