//! Which timestamps belong to one exchange, and what they show (RFC 5905 §8, RFC 9769 §2 and §3).

use super::super::stamp::{ClockChange, Stamp};
use super::RequestId;
use crate::wire::{CookedTime, HeaderView, NtpDuration, NtpTimestamp};

/// A request whose reply may still come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) id: RequestId,
    /// Its transmit timestamp: the origin of a reply in basic mode.
    pub(super) transmit: NtpTimestamp,
    /// Its receive timestamp, zero in a client's request in basic mode: the origin of a reply in interleaved mode.
    pub(super) receive: NtpTimestamp,
    pub(super) departure: Stamp,
    /// It only wakes the path.
    pub(super) is_presend: bool,
}

/// The last valid reply, on which one in interleaved mode builds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    /// Of the request that was answered.
    pub(super) id: RequestId,
    pub(super) departure: Stamp,
    /// When the request arrived there.
    pub(super) remote_receive: NtpTimestamp,
    pub(super) arrival: Stamp,
    pub(super) is_interleaved: bool,
}

/// The last packet of the source, whether it answered a request or (of a peer) came by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastPacket {
    pub(super) receive: NtpTimestamp,
    pub(super) transmit: NtpTimestamp,
    pub(super) arrival: CookedTime,
}

/// How a reply answers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answers {
    /// With the timestamps of this exchange.
    Basic,
    /// With the departure of the reply before.
    Interleaved(Exchange),
}

impl Open {
    /// Whether a packet answers this request, and how.
    pub(super) fn answered_by(
        &self,
        header: HeaderView<'_>,
        previous: Option<Exchange>,
    ) -> Option<Answers> {
        let origin = header.origin_timestamp();
        if origin.is_zero() {
            return None;
        }
        if origin == self.transmit {
            return Some(Answers::Basic);
        }
        if origin == self.receive {
            return previous.map(Answers::Interleaved);
        }
        None
    }
}

/// The four timestamps of a measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) departure: Stamp,
    pub(super) remote_receive: NtpTimestamp,
    pub(super) remote_transmit: NtpTimestamp,
    pub(super) arrival: Stamp,
    /// How long the source held what it answered here.
    pub(super) response: NtpDuration,
}

impl Times {
    /// Those of a reply in basic mode, or one of the two sets that a reply in interleaved mode makes: with the
    /// request before, which is right for a short delay, or with this one, which is newer, where the source has
    /// held the other for longer than a tenth of the time since.
    pub(super) fn of(
        answers: Answers,
        open: &Open,
        header: HeaderView<'_>,
        arrival: Stamp,
    ) -> Self {
        let (receive, transmit) = (header.receive_timestamp(), header.transmit_timestamp());
        let Answers::Interleaved(previous) = answers else {
            return Self {
                departure: open.departure,
                remote_receive: receive,
                remote_transmit: transmit,
                arrival,
                response: transmit - receive,
            };
        };
        let held = transmit - previous.remote_receive;
        let since = receive - transmit;
        let takes_previous = held.abs().to_seconds() <= HELD_PART_MAX * since.abs().to_seconds();
        let (departure, remote_receive) = if takes_previous {
            (previous.departure, previous.remote_receive)
        } else {
            (open.departure, receive)
        };
        Self {
            departure,
            remote_receive,
            remote_transmit: transmit,
            arrival: previous.arrival,
            response: held,
        }
    }

    /// Whether both differences of the clocks are well inside what timestamps can tell: beyond, one of them may
    /// have wrapped and not the other.
    pub(super) fn are_in_range(&self) -> bool {
        let (there, back) = self.differences();
        [there, back]
            .iter()
            .all(|difference| difference.abs().to_seconds() < DIFFERENCE_MAX_S)
    }

    /// By how much the source's clock is ahead, in seconds.
    pub(super) fn offset_s(&self) -> f64 {
        let (there, back) = self.differences();
        NtpDuration::from_bits(there.to_bits() / 2 + back.to_bits() / 2).to_seconds()
    }

    /// The way there and back in seconds of our clock, against which the source's is faster by `frequency`.
    pub(super) fn delay_s(&self, frequency: f64) -> f64 {
        let held_s = (self.remote_transmit - self.remote_receive).to_seconds();
        (1.0 - frequency).mul_add(-held_s, self.local_interval().to_seconds())
    }

    /// From departure to arrival; negative where the set crosses two exchanges.
    pub(super) fn local_interval(&self) -> NtpDuration {
        self.arrival.at.0 - self.departure.at.0
    }

    /// Halfway between departure and arrival.
    pub(super) fn middle(&self) -> CookedTime {
        let half = NtpDuration::from_bits(self.local_interval().to_bits() / 2);
        CookedTime(self.departure.at.0 + half)
    }

    /// By the source's clock less by ours: at the request's arrival, and at the reply's departure.
    fn differences(&self) -> (NtpDuration, NtpDuration) {
        (
            self.remote_receive - self.departure.at.0,
            self.remote_transmit - self.arrival.at.0,
        )
    }
}

impl Open {
    pub(super) fn change(&mut self, change: &ClockChange) {
        self.departure.at = change.apply(self.departure.at);
    }
}

impl Exchange {
    pub(super) fn change(&mut self, change: &ClockChange) {
        self.departure.at = change.apply(self.departure.at);
        self.arrival.at = change.apply(self.arrival.at);
    }
}

/// A source that answers at once has held a request for much less than a poll interval.
const HELD_PART_MAX: f64 = 0.1;
/// 2^31 s less half a year.
const DIFFERENCE_MAX_S: f64 = 2_147_483_648.0 - 16_777_216.0;
