//! Which timestamps belong to one exchange, and what they show (RFC 5905 §8, RFC 9769 §2 and §3).

use super::super::change::ClockChange;
use super::super::stamp::Stamp;
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
    /// With the departure of the packet before: to be measured against the exchange with that. A peer that has just
    /// begun may not know one.
    Interleaved(Option<Exchange>),
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
            return Some(Answers::Interleaved(previous));
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
    /// held the other for longer than a tenth of the time since. `None` where there is no exchange before.
    pub(super) fn of(
        answers: Answers,
        open: &Open,
        header: HeaderView<'_>,
        arrival: Stamp,
    ) -> Option<Self> {
        let (receive, transmit) = (header.receive_timestamp(), header.transmit_timestamp());
        let Answers::Interleaved(previous) = answers else {
            return Some(Self {
                departure: open.departure,
                remote_receive: receive,
                remote_transmit: transmit,
                arrival,
                response: transmit - receive,
            });
        };
        let previous = previous?;
        let held = transmit - previous.remote_receive;
        let since = receive - transmit;
        let takes_previous = held.abs().to_seconds() <= HELD_PART_MAX * since.abs().to_seconds();
        let (departure, remote_receive) = if takes_previous {
            (previous.departure, previous.remote_receive)
        } else {
            (open.departure, receive)
        };
        Some(Self {
            departure,
            remote_receive,
            remote_transmit: transmit,
            arrival: previous.arrival,
            response: held,
        })
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
        self.departure.at = change.restate(self.departure.at);
    }
}

impl Exchange {
    pub(super) fn change(&mut self, change: &ClockChange) {
        self.departure.at = change.restate(self.departure.at);
        self.arrival.at = change.restate(self.arrival.at);
    }
}

/// A source that answers at once has held a request for much less than a poll interval.
const HELD_PART_MAX: f64 = 0.1;
/// 2^31 s less half a year.
const DIFFERENCE_MAX_S: f64 = 2_147_483_648.0 - 16_777_216.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{HEADER_LEN, HeaderMut};

    const SECOND: i64 = 1_000_000_000;

    fn at(nanos: i64) -> NtpTimestamp {
        NtpTimestamp::from_unix(1_800_000_000, 0) + NtpDuration::from_nanos(nanos)
    }

    fn stamp(nanos: i64) -> Stamp {
        Stamp::by_daemon(CookedTime(at(nanos)))
    }

    fn open(departure: i64) -> Open {
        Open {
            id: RequestId(1),
            transmit: NtpTimestamp::from_bits(5),
            receive: NtpTimestamp::from_bits(6),
            departure: stamp(departure),
            is_presend: false,
        }
    }

    /// A packet that arrived there and left there at these moments of our clock; theirs is `ahead` and fast by 1e-4.
    fn packet(receive: i64, transmit: i64, ahead: i64) -> [u8; HEADER_LEN] {
        let theirs = |nanos: i64| at(nanos + ahead + nanos / 10_000);
        let mut bytes = [0; HEADER_LEN];
        let mut header = HeaderMut::new(&mut bytes);
        header.set_receive_timestamp(theirs(receive));
        header.set_transmit_timestamp(theirs(transmit));
        bytes
    }

    #[test]
    fn the_origin_tells_how_a_request_is_answered() {
        let mut bytes = packet(0, 0, 0);
        let mut answers = |origin| {
            HeaderMut::new(&mut bytes).set_origin_timestamp(NtpTimestamp::from_bits(origin));
            open(0).answered_by(HeaderView::new(&bytes), None)
        };
        assert!(matches!(answers(5), Some(Answers::Basic)));
        assert!(matches!(answers(6), Some(Answers::Interleaved(None))));
        assert!(answers(7).is_none() && answers(0).is_none());
        // A client's request in basic mode has no receive timestamp: zero answers nothing.
        let mut basic = open(0);
        basic.receive = NtpTimestamp::ZERO;
        HeaderMut::new(&mut bytes).set_origin_timestamp(NtpTimestamp::ZERO);
        assert!(basic.answered_by(HeaderView::new(&bytes), None).is_none());
    }

    #[test]
    fn s2_a_source_that_answers_at_once_is_measured_with_the_exchange_before() {
        for (held, crosses) in [(1_000_000, false), (8 * SECOND, true)] {
            // Asked at 0, there after 1 ms, answered when held, back after 1 ms; asked again at 16 s.
            let first = packet(1_000_000, 1_000_000 + held, SECOND);
            let previous = Exchange {
                id: RequestId(0),
                departure: stamp(0),
                remote_receive: HeaderView::new(&first).receive_timestamp(),
                arrival: stamp(2_000_000 + held),
                is_interleaved: true,
            };
            let second = packet(16 * SECOND + 1_000_000, 1_000_000 + held, SECOND);
            let answers = Answers::Interleaved(Some(previous));
            let header = HeaderView::new(&second);
            let times = Times::of(answers, &open(16 * SECOND), header, stamp(17 * SECOND)).unwrap();
            assert_eq!(times.local_interval().to_bits() < 0, crosses);
            assert!(times.are_in_range());
            assert!(
                (times.delay_s(1e-4) - 2e-3).abs() < 1e-6,
                "{}",
                times.delay_s(1e-4)
            );
            let middle_s = (times.middle().0 - at(0)).to_seconds();
            let offset_s = 1e-4f64.mul_add(middle_s, 1.0);
            assert!(
                (times.offset_s() - offset_s).abs() < 1e-6,
                "{}",
                times.offset_s()
            );
        }
        let header = packet(0, 0, 0);
        let header = HeaderView::new(&header);
        assert!(Times::of(Answers::Interleaved(None), &open(0), header, stamp(0)).is_none());
    }

    #[test]
    fn differences_that_may_have_wrapped_are_out_of_range() {
        let times = |ahead_s: i64| {
            let bytes = packet(0, 1_000, ahead_s * SECOND);
            Times::of(
                Answers::Basic,
                &open(0),
                HeaderView::new(&bytes),
                stamp(2_000),
            )
            .unwrap()
        };
        // A clock that has started in 1970.
        let of_1970 = times(57 * 31_556_952);
        assert!(of_1970.are_in_range() && of_1970.offset_s() > 1.79e9);
        assert!(!times(i64::from(i32::MAX) - 100).are_in_range());
        assert!(!times(i64::from(i32::MIN) + 100).are_in_range());
    }
}
