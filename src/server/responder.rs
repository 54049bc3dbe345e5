//! The server: a request in a buffer becomes a reply in the same buffer, or a reason for none.

use core::net::IpAddr;
use std::sync::Arc;

use super::access::AccessTable;
use super::chance::Chance;
use super::clients::ClientTable;
use super::interleaved::InterleavedTable;
use super::outcome::{DropReason, Exchange, Outcome, Plan};
use super::ratelimit::{Admit, RateLimiter};
use crate::auth::{KeyIndex, KeyStore, Verdict};
use crate::wire::{
    Correction, HEADER_LEN, HeaderMut, HeaderView, KEY_ID_LEN, KissCode, LeapIndicator, Mode,
    NtpTimestamp, PACKET_LEN_MAX, RawTime, Split, SystemVariables, Trailer, VERSION_MAX,
    VERSION_MIN,
};

/// NTP's port. Only a server would send from it in NTPv1 (mode 0), so that is not answered.
const NTP_PORT: u16 = 123;

/// Who asks waits for a second or a few, and asks again. What has waited here for longer than this, after a stall or
/// in a flood, would take the time of requests that are still worth an answer.
pub(super) const WAITED_NS_MAX: u64 = 1_000_000_000;

/// Where a datagram came from, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Source address.
    pub peer: IpAddr,
    /// Source port.
    pub port: u16,
    /// When it arrived, by the best clock reading there is.
    pub received: RawTime,
    /// How long it has waited since then, in nanoseconds; zero where that is not known.
    pub waited_ns: u64,
    /// Now, roughly, in nanoseconds of a clock that never steps.
    pub monotonic_ns: u64,
}

/// What a responder is made of; all of it is its own but the keys.
pub struct ResponderParts {
    /// `allow` and `deny`
    pub access: AccessTable,
    /// `requireauth`: where `allows` says so, a request must carry a MAC.
    pub require_auth: AccessTable,
    /// `clientloglimit`; `None` with `noclientlog`.
    pub clients: Option<ClientTable>,
    /// Replies to clients in interleaved mode; `None` with `noclientlog`.
    pub interleaved: Option<InterleavedTable>,
    /// `ratelimit`; has no effect without a client table.
    pub limiter: Option<RateLimiter>,
    /// log2 of the limit's interval: what a reply's poll field says at least.
    pub poll_min: Option<i8>,
    /// `keyfile`
    pub keys: Arc<KeyStore>,
    /// `unsynchronised silent`
    pub silent_unsynchronised: bool,
    /// For fuzz bits, leaks and kisses.
    pub chance: Chance,
}

/// Answers requests. One per worker; nothing in it is shared, allocates, or reads a clock.
///
/// Three calls, in this order: [`renew`](Self::renew) once per turn, [`prepare`](Self::prepare) for each
/// datagram, [`seal`](Self::seal) for each reply just before it is sent.
pub struct Responder {
    parts: ResponderParts,
    template: ReplyTemplate,
}

/// What all replies of a turn have in common.
struct ReplyTemplate {
    header: [u8; HEADER_LEN],
    leap: LeapIndicator,
    correction: Correction,
    /// The bits of a timestamp that are below the clock's precision.
    fuzz_mask: u64,
}

impl ReplyTemplate {
    fn new(system: &SystemVariables, now: RawTime) -> Self {
        // Precision is log2 of seconds; a timestamp's lowest bit is 2^-32 s.
        let fuzz_bits = (32 + i32::from(system.precision)).clamp(0, 31);
        Self {
            header: system.header_at(now),
            leap: system.leap,
            correction: system.correction,
            fuzz_mask: (1 << fuzz_bits) - 1,
        }
    }
}

impl Responder {
    /// Not synchronised until the first [`renew`](Self::renew).
    pub fn new(parts: ResponderParts) -> Self {
        let nothing = SystemVariables::not_synchronised(0);
        let template = ReplyTemplate::new(&nothing, RawTime::default());
        Self { parts, template }
    }

    /// Another table of `allow` and `deny` takes the place of the one there is, which the caller gets.
    pub const fn swap_access(&mut self, table: &mut AccessTable) {
        core::mem::swap(&mut self.parts.access, table);
    }

    /// Other keys take the place of those there are, which the caller gets.
    pub const fn swap_keys(&mut self, keys: &mut Arc<KeyStore>) {
        core::mem::swap(&mut self.parts.keys, keys);
    }

    /// The table of clients, if one is kept.
    pub const fn clients_mut(&mut self) -> Option<&mut ClientTable> {
        self.parts.clients.as_mut()
    }

    /// Takes over what the timekeeper published, for replies from `now` on.
    pub fn renew(&mut self, system: &SystemVariables, now: RawTime) {
        self.template = ReplyTemplate::new(system, now);
    }

    /// Decides, and writes all of the reply but its transmit timestamp and MAC over the request.
    ///
    /// The cheapest tests come first, so that a flood of what is refused costs least; the MAC is the
    /// dearest and comes last.
    #[inline]
    pub fn prepare(&mut self, arrival: &Arrival, packet: &mut [u8]) -> Outcome {
        match self.judge(arrival, packet) {
            Ok((mut plan, mode)) => {
                self.write_reply(&mut plan, mode, arrival, packet);
                Outcome::Answer(plan)
            }
            Err(reason) => Outcome::Drop(reason),
        }
    }

    /// Completes a prepared reply: the transmit timestamp, then the MAC that covers it.
    ///
    /// `departure` is when the packet will leave; `reply` is what [`prepare`](Self::prepare) wrote, cut
    /// to the plan's length.
    #[inline]
    pub fn seal(&mut self, plan: &Plan, departure: RawTime, reply: &mut [u8]) {
        let Some(header) = reply.first_chunk_mut() else {
            return;
        };
        let view = HeaderView::new(header);
        let (version, origin) = (view.version(), view.origin_timestamp());
        let receive = view.receive_timestamp();
        let cooked = self.template.correction.cook(departure).0;
        if plan.exchange != Exchange::Interleaved {
            let transmit = self.fuzz(cooked, 0, origin);
            HeaderMut::new(header).set_transmit_timestamp(transmit);
        }
        if let (Exchange::Remembered | Exchange::Interleaved, Some(table)) =
            (plan.exchange, &mut self.parts.interleaved)
        {
            // Until the kernel's stamp comes, if it does.
            table.left(receive, cooked);
        }
        if let Some(key) = plan.key {
            self.parts.keys.sign(key, version, reply, HEADER_LEN);
        }
    }

    /// A reply that carries this receive timestamp left at `departure`, as the kernel or the network card
    /// saw it.
    pub fn left(&mut self, receive: NtpTimestamp, departure: RawTime) {
        let cooked = self.template.correction.cook(departure).0;
        if let Some(table) = &mut self.parts.interleaved {
            table.left(receive, cooked);
        }
    }

    /// The clock was stepped: departures kept from before it are of another time.
    pub fn forget_departures(&mut self) {
        if let Some(table) = &mut self.parts.interleaved {
            table.clear();
        }
    }

    /// The replies kept for interleaved clients, for reports.
    pub const fn interleaved(&self) -> Option<&InterleavedTable> {
        self.parts.interleaved.as_ref()
    }

    /// The table of clients, for reports.
    pub const fn clients(&self) -> Option<&ClientTable> {
        self.parts.clients.as_ref()
    }

    /// In the order in which chrony tests (its own `requireauth` has no place there; it comes before
    /// what costs memory).
    #[inline]
    fn judge(&mut self, arrival: &Arrival, packet: &[u8]) -> Result<(Plan, Mode), DropReason> {
        if arrival.waited_ns > WAITED_NS_MAX {
            return Err(DropReason::TooLate);
        }
        let header = header_of(packet)?;
        let version = header.version();
        let split = Split::of(packet, version).map_err(|_| DropReason::MalformedExtension)?;
        if !self.parts.access.allows(arrival.peer) {
            return Err(DropReason::Denied);
        }
        let mode = reply_mode(header, arrival.port).ok_or(DropReason::BadMode)?;
        if self.parts.silent_unsynchronised && self.template.leap == LeapIndicator::NotSynchronised
        {
            return Err(DropReason::Unsynchronised);
        }
        if split.trailer == Trailer::Absent && self.parts.require_auth.allows(arrival.peer) {
            return Err(DropReason::AuthRequired);
        }
        let kiss = match self.admit(arrival) {
            Admit::Answer => false,
            Admit::Kiss => true,
            Admit::Drop => return Err(DropReason::RateLimited),
        };
        let plan = match self.authenticate(&split, version, packet)? {
            None => Plan {
                kiss,
                ..Plan::UNSIGNED
            },
            Some(key) => {
                let len = HEADER_LEN + self.parts.keys.mac_len(key, version);
                Plan {
                    len,
                    key: Some(key),
                    kiss,
                    exchange: Exchange::Basic,
                }
            }
        };
        debug_assert!(plan.len <= packet.len());
        Ok((plan, mode))
    }

    #[inline]
    fn admit(&mut self, arrival: &Arrival) -> Admit {
        let Some(clients) = &mut self.parts.clients else {
            return Admit::Answer;
        };
        let client = clients.hit(arrival.peer, arrival.monotonic_ns);
        match &self.parts.limiter {
            Some(limiter) => limiter.admit(client, arrival.monotonic_ns, &mut self.parts.chance),
            None => Admit::Answer,
        }
    }

    #[inline]
    fn authenticate(
        &self,
        split: &Split,
        version: u8,
        packet: &[u8],
    ) -> Result<Option<KeyIndex>, DropReason> {
        let key = match split.trailer {
            Trailer::Absent => return Ok(None),
            Trailer::Mac { key } => key,
            Trailer::ShortMac => return Err(DropReason::ShortMac),
            Trailer::CryptoNak => return Err(DropReason::CryptoNak),
            Trailer::MsSntp => return Err(DropReason::MsSntp),
        };
        let index = self.parts.keys.find(key).ok_or(DropReason::UnknownKey)?;
        let (message, mac) = packet.split_at(split.authenticated_len);
        match self
            .parts
            .keys
            .verify(index, version, message, &mac[KEY_ID_LEN..])
        {
            Verdict::Good => Ok(Some(index)),
            Verdict::Short => Err(DropReason::ShortMac),
            Verdict::Bad => Err(DropReason::BadMac),
        }
    }

    #[inline]
    fn write_reply(&mut self, plan: &mut Plan, mode: Mode, arrival: &Arrival, packet: &mut [u8]) {
        let Some(bytes) = packet.first_chunk_mut::<HEADER_LEN>() else {
            return;
        };
        let request = HeaderView::new(bytes);
        let version = request.version();
        let poll = request.poll().max(self.parts.poll_min.unwrap_or(i8::MIN));
        let previous = self.previous_departure(plan, request);
        let origin = match previous {
            Some(_) => request.receive_timestamp(),
            None => request.transmit_timestamp(),
        };
        let cooked = self.template.correction.cook(arrival.received).0;
        let receive = self.fuzz(cooked, 1, origin);
        if let (Exchange::Remembered | Exchange::Interleaved, Some(table)) =
            (plan.exchange, &mut self.parts.interleaved)
        {
            table.remember(receive);
        }

        *bytes = self.template.header;
        let mut reply = HeaderMut::new(bytes);
        if plan.kiss {
            reply.set_first(LeapIndicator::NotSynchronised, version, mode);
            reply.set_stratum(0);
            reply.set_reference_id(KissCode::Rate.reference_id());
        } else {
            reply.set_first(self.template.leap, version, mode);
        }
        reply.set_poll(poll);
        reply.set_origin_timestamp(origin);
        reply.set_receive_timestamp(receive);
        if let Some(departure) = previous {
            let transmit = self.fuzz(departure, 0, origin);
            HeaderMut::new(bytes).set_transmit_timestamp(transmit);
        }
    }

    /// When the reply before this one left, if the request asks for that and it is known. Whether it asks
    /// is told as chrony does: NTPv4, an origin with bit 0 set as our receive timestamps have it, and a
    /// receive timestamp other than the transmit timestamp. Such a client's next request may ask about
    /// this reply, so it is remembered in any case.
    #[inline]
    fn previous_departure(
        &mut self,
        plan: &mut Plan,
        request: HeaderView<'_>,
    ) -> Option<NtpTimestamp> {
        let table = self.parts.interleaved.as_mut()?;
        let origin = request.origin_timestamp();
        let asks = request.version() == VERSION_MAX
            && origin.to_bits() & 1 == 1
            && request.receive_timestamp() != request.transmit_timestamp();
        if plan.kiss || !asks {
            return None;
        }
        let departure = table.take(origin);
        plan.exchange = match departure {
            Some(_) => Exchange::Interleaved,
            None => Exchange::Remembered,
        };
        departure
    }

    /// `exact` with chance in the bits below the clock's precision, and `bit_0` as the lowest.
    ///
    /// Receive timestamps have bit 0 set and transmit timestamps have it clear: that is how chrony knows
    /// a later interleaved request (RFC 9769) without state per client. So the two never agree; that
    /// neither agrees with the client's `origin` is seen to here, and that it is not zero, which would
    /// mean "unknown".
    #[inline]
    fn fuzz(&mut self, exact: NtpTimestamp, bit_0: u64, origin: NtpTimestamp) -> NtpTimestamp {
        let chance = u64::from(self.parts.chance.bits()) & self.template.fuzz_mask;
        let bits = (exact.to_bits() ^ chance) & !1 | bit_0;
        let clash = bits == origin.to_bits() || bits == 0;
        NtpTimestamp::from_bits(bits ^ u64::from(clash) << 1)
    }
}

#[inline]
fn header_of(packet: &[u8]) -> Result<HeaderView<'_>, DropReason> {
    if packet.len() > PACKET_LEN_MAX || !packet.len().is_multiple_of(4) {
        return Err(DropReason::BadLength);
    }
    let header = HeaderView::at_front(packet).ok_or(DropReason::BadLength)?;
    match header.version() {
        VERSION_MIN..=VERSION_MAX => Ok(header),
        _ => Err(DropReason::BadVersion),
    }
}

/// The mode of the reply, if this is a request: only what a client sends is answered, so that two
/// servers can never be made to answer each other.
#[inline]
fn reply_mode(header: HeaderView<'_>, port: u16) -> Option<Mode> {
    match header.mode() {
        Mode::Client => Some(Mode::Server),
        Mode::SymmetricActive => Some(Mode::SymmetricPassive),
        Mode::Reserved if header.version() == VERSION_MIN && port != NTP_PORT => Some(Mode::Server),
        _ => None,
    }
}

#[cfg(test)]
mod interleaved_tests;
#[cfg(test)]
mod tests;
