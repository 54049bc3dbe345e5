//! What is asked, in which mode.

use super::super::stamp::{Now, Stamp};
use super::exchange::{Exchange, Open};
use super::{Association, Local, Role};
use crate::wire::{
    DIGEST_LEN_MAX, DIGEST_LEN_MAX_V4, HEADER_LEN, HeaderMut, KEY_ID_LEN, LeapIndicator, Mode,
    NtpTimestamp, VERSION_MAX, VERSION_MIN,
};

/// The longest request: header and MAC.
pub const REQUEST_LEN_MAX: usize = HEADER_LEN + KEY_ID_LEN + DIGEST_LEN_MAX;

/// Names a request of an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub(super) u64);

impl RequestId {
    /// Of no request.
    pub const NONE: Self = Self(u64::MAX);
}

/// Where a request is sent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// A port of its own that nobody can guess (RFC 9109). That of the request before is closed; this one on
    /// [`Due::Close`](super::Due::Close), or with the reply that answers.
    New,
    /// The port on which we serve: a peer sends its requests there.
    Serving,
}

/// A request to be sent.
#[derive(Clone, PartialEq)]
pub struct Request {
    /// For [`Association::departed`].
    pub id: RequestId,
    /// Where it is sent from.
    pub from: Port,
    packet: [u8; REQUEST_LEN_MAX],
    len: usize,
}

impl Request {
    /// The datagram.
    pub fn bytes(&self) -> &[u8] {
        self.packet.get(..self.len).unwrap_or_default()
    }
}

impl core::fmt::Debug for Request {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "Request({}, {:?}, {} bytes)",
            self.id.0, self.from, self.len
        )
    }
}

/// The three timestamps of a request.
struct Timestamps {
    origin: NtpTimestamp,
    receive: NtpTimestamp,
    transmit: NtpTimestamp,
}

impl Association {
    /// Writes a request and takes note of it. `None`, and nothing noted, without its key.
    pub(super) fn compose(
        &mut self,
        now: Now,
        random: [u64; 3],
        is_presend: bool,
        local: &Local<'_>,
    ) -> Option<Request> {
        let key = match self.options.key {
            Some(id) => Some(local.keys.find(id)?),
            None => None,
        };
        // A whole digest of more than 20 bytes has its place in NTPv3 only.
        let digest_len = key.map_or(0, |key| local.keys.key_type(key).digest_len());
        let preferred = if digest_len > DIGEST_LEN_MAX_V4 {
            3
        } else {
            VERSION_MAX
        };
        let version = self.options.version.unwrap_or(preferred);
        let version = version.clamp(VERSION_MIN, VERSION_MAX);

        let basis = self.basis(version);
        let mut head = [0; HEADER_LEN];
        let timestamps = match self.role {
            Role::Client => client_timestamps(basis, random),
            Role::Peer => {
                head = local.system.header_at(now.raw);
                self.peer_timestamps(basis, now, random, local.system.precision)
            }
        };
        let mut header = HeaderMut::new(&mut head);
        match self.role {
            Role::Client => {
                header.set_first(LeapIndicator::NoWarning, version, Mode::Client);
                header.set_precision(PRECISION_UNSAID);
            }
            Role::Peer => {
                header.set_first(local.system.leap, version, Mode::SymmetricActive);
            }
        }
        header.set_poll(self.kept_poll());
        header.set_origin_timestamp(timestamps.origin);
        header.set_receive_timestamp(timestamps.receive);
        header.set_transmit_timestamp(timestamps.transmit);

        let mut packet = [0; REQUEST_LEN_MAX];
        packet[..HEADER_LEN].copy_from_slice(&head);
        let len = match key {
            Some(key) => local.keys.sign(key, version, &mut packet, HEADER_LEN)?,
            None => HEADER_LEN,
        };
        let id = RequestId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        self.open = Some(Open {
            id,
            transmit: timestamps.transmit,
            receive: timestamps.receive,
            departure: Stamp::by_daemon(now.cooked),
            is_presend,
        });
        let from = match self.role {
            Role::Client => Port::New,
            Role::Peer => Port::Serving,
        };
        Some(Request {
            id,
            from,
            packet,
            len,
        })
    }

    /// The reply that a request in interleaved mode builds on; `None`: the request is in basic mode.
    fn basis(&self, version: u8) -> Option<Exchange> {
        let wanted = self.options.xleave || self.peer_interleaves;
        let previous = self.previous.filter(|_| wanted && version == VERSION_MAX)?;
        let may = match self.role {
            // RFC 9769 §2: not on timestamps that have become old.
            Role::Client => self.unanswered < INTERLEAVED_REQUESTS_MAX,
            // RFC 9769 §3: the peer has had one packet since our last, and that was our only one since its last but
            // one. Else it could take the departure for that of another packet.
            Role::Peer => self.unanswered == 0 && self.unanswered_before <= 1,
        };
        may.then_some(previous)
    }

    /// A peer takes its time from these, so they are true, but for bits below the clock's precision. Those make
    /// each receive timestamp another, so that a reply in interleaved mode tells which packet it answers.
    fn peer_timestamps(
        &self,
        basis: Option<Exchange>,
        now: Now,
        random: [u64; 3],
        precision: i8,
    ) -> Timestamps {
        let mask = (1u64 << (32 + i32::from(precision)).clamp(4, 31)) - 1;
        let fuzz = |at: NtpTimestamp, bits: u64| {
            NtpTimestamp::from_bits(at.to_bits() & !mask | bits & mask)
        };
        let receive = self
            .last_arrival()
            .map(|arrival| fuzz(arrival.0, random[1]));
        let receive = receive.unwrap_or_default();
        let (origin, transmit) = match (basis, self.last_packet) {
            (Some(previous), _) => (previous.remote_receive, previous.departure.at.0),
            (None, Some(last)) => (last.transmit, now.cooked.0),
            (None, None) => (NtpTimestamp::ZERO, now.cooked.0),
        };
        let transmit = fuzz(transmit, random[0]);
        Timestamps {
            origin,
            receive: differing(receive, self.open.map(|open| open.receive), transmit),
            transmit,
        }
    }
}

/// A client's timestamps are no business of the server's: they are random, but for the origin that says which
/// reply this builds on (RFC 9769 §2 and §6).
fn client_timestamps(basis: Option<Exchange>, random: [u64; 3]) -> Timestamps {
    let transmit = NtpTimestamp::from_bits(random[0].max(1));
    let Some(previous) = basis else {
        return Timestamps {
            origin: NtpTimestamp::ZERO,
            receive: NtpTimestamp::ZERO,
            transmit,
        };
    };
    let receive = NtpTimestamp::from_bits(random[1].max(1));
    Timestamps {
        origin: previous.remote_receive,
        receive: differing(receive, None, transmit),
        transmit,
    }
}

/// A receive timestamp that is not that of the request before, nor the transmit timestamp.
fn differing(
    receive: NtpTimestamp,
    before: Option<NtpTimestamp>,
    transmit: NtpTimestamp,
) -> NtpTimestamp {
    if receive.is_zero() {
        return receive;
    }
    // Of three neighbours one is neither.
    [0, 1, 2]
        .map(|bits| NtpTimestamp::from_bits(receive.to_bits() ^ bits << 1))
        .into_iter()
        .find(|stamp| Some(*stamp) != before && *stamp != transmit && !stamp.is_zero())
        .unwrap_or(receive)
}

/// What a client sends for its precision (data minimisation, as chrony does).
const PRECISION_UNSAID: i8 = 32;
/// Requests in interleaved mode that build on the same reply.
const INTERLEAVED_REQUESTS_MAX: u32 = 4;
