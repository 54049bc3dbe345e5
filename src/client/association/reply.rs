//! What a packet from the source is worth.

use super::super::poll::{Burst, interval_ns};
use super::super::report::Measurement;
use super::super::sample::Sample;
use super::super::sanity::{self, Deviation, Expectation, Identity, Test, Tests};
use super::super::stamp::{Stamp, StampSource};
use super::exchange::{Answers, Exchange, LastPacket, Open, Times};
use super::{Association, Local, Role};
use crate::auth::Verdict;
use crate::wire::{
    HeaderView, KEY_ID_LEN, KissCode, LeapIndicator, Mode, PACKET_LEN_MAX, Split, Trailer,
    VERSION_MAX, VERSION_MIN,
};

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reply {
    /// What it says and what was measured.
    pub measurement: Measurement,
    /// The measurement, where it is good.
    pub sample: Option<Sample>,
    /// The source asks for less, or for no requests at all; it has been obeyed.
    pub kiss: Option<KissCode>,
    /// It is the reply to the open request, whose port can be closed.
    pub answers: bool,
}

/// A packet, and what is known of it before it is believed.
struct Judged<'a> {
    header: HeaderView<'a>,
    tests: Tests,
    received: Stamp,
    now_ns: u64,
}

impl Association {
    /// A packet came from the source's address, to the port of the open request.
    ///
    /// `None`: it cannot be a reply. What fails a test of 1, 2, 3, 5 leaves the request open, so that no forger can
    /// keep the true reply out.
    pub fn reply(
        &mut self,
        packet: &[u8],
        received: Stamp,
        now_ns: u64,
        local: &Local<'_>,
        expected: &Expectation,
    ) -> Option<Reply> {
        let header = self.header(packet)?;
        let is_authentic = self.is_authentic(packet, header.version(), local)?;
        self.counts.arrived(received.source);
        let answered = self.open.and_then(|open| {
            let answers = open.answered_by(header, self.previous)?;
            Some((open, answers))
        });
        let tests = Tests::default()
            .with(
                Test::Duplicate,
                sanity::is_new(header, self.last_timestamps()),
            )
            .with(Test::Origin, answered.is_some())
            .with(Test::Timestamps, sanity::has_timestamps(header))
            .with(Test::Authentic, is_authentic)
            .with(Test::Synchronised, sanity::is_synchronised(header))
            .with(Test::RootDistance, sanity::has_credible_root(header));
        let judged = Judged {
            header,
            tests,
            received,
            now_ns,
        };
        if answered.is_some()
            && is_authentic
            && let Some(kiss) = kiss_of(header)
        {
            return Some(self.kissed(&judged, kiss));
        }
        let reply = match answered {
            Some((open, answers)) if tests.is_valid() => {
                self.answered(&judged, &open, answers, local, expected)
            }
            _ => self.refused(&judged),
        };
        self.failed.count(reply.measurement.tests);
        Some(reply)
    }

    /// The header of a packet that may be a reply.
    fn header<'a>(&self, packet: &'a [u8]) -> Option<HeaderView<'a>> {
        let header = HeaderView::at_front(packet)?;
        let is_reply = match self.role {
            Role::Client => header.mode() == Mode::Server,
            Role::Peer => matches!(
                header.mode(),
                Mode::SymmetricActive | Mode::SymmetricPassive
            ),
        };
        let has_form = packet.len() <= PACKET_LEN_MAX
            && packet.len().is_multiple_of(4)
            && (VERSION_MIN..=VERSION_MAX).contains(&header.version());
        (is_reply && has_form).then_some(header)
    }

    /// 5: with a key, it has the right MAC by that key; without, it has none. `None`: its parts cannot be told.
    fn is_authentic(&self, packet: &[u8], version: u8, local: &Local<'_>) -> Option<bool> {
        let split = Split::of(packet, version).ok()?;
        let (Some(wanted), Trailer::Mac { key }) = (self.options.key, split.trailer) else {
            return Some(self.options.key.is_none() && split.trailer == Trailer::Absent);
        };
        let (message, mac) = packet.split_at_checked(split.authenticated_len)?;
        let found = local.keys.find(key).filter(|_| key == wanted);
        let verdict = found.map(|at| {
            let digest = mac.get(KEY_ID_LEN..).unwrap_or_default();
            local.keys.verify(at, version, message, digest)
        });
        Some(verdict == Some(Verdict::Good))
    }

    /// It is not the reply that is waited for. A peer's may still tell what our next packet must have for its
    /// origin, or two peers would never begin; but an older one, sent again by whoever, tells nothing.
    fn refused(&mut self, judged: &Judged<'_>) -> Reply {
        let header = judged.header;
        let is_newer = self.last_packet.is_none_or(|last| {
            last.transmit.is_before(header.transmit_timestamp()) || !self.reach.is_reachable()
        });
        let is_new = judged.tests.passed(Test::Duplicate) && is_newer;
        let is_authentic = judged.tests.passed(Test::Authentic);
        if self.role == Role::Peer
            && is_new
            && is_authentic
            && !header.transmit_timestamp().is_zero()
        {
            self.take_note(judged);
            self.previous = None;
        }
        Reply {
            measurement: self.said(judged),
            sample: None,
            kiss: None,
            answers: false,
        }
    }

    /// The source asks for less.
    fn kissed(&mut self, judged: &Judged<'_>, kiss: KissCode) -> Reply {
        let measurement = self.said(judged);
        self.counts.valid += u64::from(judged.tests.is_valid());
        self.close();
        self.unanswered = 0;
        self.reach.shift(false);
        self.burst = Burst::NONE;
        self.settle_burst();
        match kiss {
            KissCode::Rate => {
                self.poll.lengthen(judged.header.poll().min(KISS_POLL_MAX));
                let rest_ns = interval_ns(self.kept_poll()).saturating_mul(KISS_INTERVALS);
                let planned_ns = self.planned_ns().saturating_add(rest_ns);
                self.next_request_ns = self.next_request_ns.map(|_| planned_ns);
            }
            KissCode::Deny | KissCode::Restricted | KissCode::NtsNak => self.stop(),
        }
        Reply {
            measurement,
            sample: None,
            kiss: Some(kiss),
            answers: true,
        }
    }

    /// It is the reply: a measurement, whatever it is worth.
    fn answered(
        &mut self,
        judged: &Judged<'_>,
        open: &Open,
        answers: Answers,
        local: &Local<'_>,
        expected: &Expectation,
    ) -> Reply {
        let times = Times::of(answers, open, judged.header, judged.received);
        let mut measurement = match times {
            Some(times) => {
                // The first in interleaved mode has the timestamps of the last in basic mode.
                let repeats =
                    matches!(answers, Answers::Interleaved(Some(last)) if !last.is_interleaved);
                let is_of_use = !repeats && !open.is_presend;
                self.measured(judged, &times, is_of_use, local, expected)
            }
            None => self.said(judged),
        };
        measurement.is_interleaved = matches!(answers, Answers::Interleaved(_));

        self.close();
        self.take_note(judged);
        self.previous = Some(Exchange {
            id: open.id,
            departure: open.departure,
            remote_receive: judged.header.receive_timestamp(),
            arrival: judged.received,
            is_interleaved: measurement.is_interleaved,
        });
        self.peer_interleaves |= measurement.is_interleaved && self.role == Role::Peer;
        self.remote_poll = Some(measurement.remote_poll);
        if measurement.mode == Mode::SymmetricActive {
            self.heard_ns = Some(judged.now_ns);
        }
        self.unanswered_before = self.unanswered;
        self.unanswered = 0;
        self.adapt(&measurement, expected);
        self.last = Some(measurement);
        Reply {
            measurement,
            sample: measurement.tests.is_good().then(|| sample_of(&measurement)),
            kiss: None,
            answers: true,
        }
    }

    /// What a valid reply does to reachability, burst and poll interval.
    fn adapt(&mut self, measurement: &Measurement, expected: &Expectation) {
        let tests = measurement.tests;
        let delay_s = measurement.peer_delay_s;
        // What was measured is never below the clocks' precision.
        let is_measured = delay_s > 0.0;
        let known_s = (expected.samples > 0).then_some(expected.min_delay_s);
        self.is_near = known_s.unwrap_or(delay_s) < NEAR_S && is_measured;
        self.counts.valid += 1;
        self.reach.shift(tests.is_synchronised());
        self.to_weigh = None;
        if tests.is_synchronised() && is_measured {
            self.delays.push(delay_s);
        }
        if tests.is_good() {
            self.counts.good += 1;
            self.burst.good();
            let error_s = expected.error_s(measurement.at, measurement.offset_s);
            let distance_s = 0.5_f64.mul_add(delay_s, measurement.peer_dispersion_s);
            self.to_weigh = Some((error_s, distance_s));
        } else if tests.is_synchronised() && is_measured {
            let by = if tests.passed(Test::Loop) { 0.02 } else { 0.1 };
            self.poll.adjust(by);
        }
        self.settle_burst();
        self.replan();
    }

    /// Offset, delay and dispersion, with the root's, and tests A to D.
    fn measured(
        &self,
        judged: &Judged<'_>,
        times: &Times,
        is_of_use: bool,
        local: &Local<'_>,
        expected: &Expectation,
    ) -> Measurement {
        let said = self.said(judged);
        let precision_s = f64::from(said.precision.max(local.system.precision)).exp2();
        let delay_s = times.delay_s(expected.frequency).max(precision_s);
        let interval_s = times.local_interval().abs().to_seconds();
        let errors_s = times.departure.error_s + times.arrival.error_s;
        let dispersion_s = expected.skew.mul_add(interval_s, precision_s + errors_s);
        let response_s = times.response.to_seconds();
        let is_prompt = self.role == Role::Peer || response_s.abs() <= RESPONSE_MAX_S;
        let max_delay_s = self.options.max_delay_s;
        let is_within_delay =
            sanity::is_within_delay(delay_s, dispersion_s, precision_s, max_delay_s);
        let measurement = Measurement {
            at: times.middle(),
            offset_s: times.offset_s() + self.options.offset_s,
            peer_delay_s: delay_s,
            peer_dispersion_s: dispersion_s,
            root_delay_s: said.root_delay_s + delay_s,
            root_dispersion_s: said.root_dispersion_s + dispersion_s,
            response_time_s: response_s,
            jitter_asymmetry: expected.asymmetry,
            transmit_source: times.departure.source,
            receive_source: times.arrival.source,
            ..said
        };
        let is_usable = is_of_use && is_prompt && is_within_delay && times.are_in_range();
        let tests = self
            .tests_b_and_c(&measurement, local, expected)
            .with(Test::Delay, is_usable)
            .with(Test::Loop, is_no_loop(judged.header, local));
        Measurement {
            tests,
            ..measurement
        }
    }

    /// The delay against the least one, and against what the offsets' deviation explains.
    fn tests_b_and_c(
        &self,
        measurement: &Measurement,
        local: &Local<'_>,
        expected: &Expectation,
    ) -> Tests {
        let options = &self.options;
        let expected = Expectation {
            min_delay_s: options.min_delay_s.unwrap_or(expected.min_delay_s),
            ..*expected
        };
        let (delay_s, dispersion_s) = (measurement.peer_delay_s, measurement.peer_dispersion_s);
        let deviation = Deviation {
            at: measurement.at,
            delay_s,
            error_s: expected.error_s(measurement.at, measurement.offset_s),
            ratio: options.max_delay_dev_ratio,
            quantile_s: options
                .max_delay_quantile
                .and_then(|part| self.delays.quantile(part)),
            max_clock_error: local.max_clock_error,
        };
        let ratio = options.max_delay_ratio;
        let is_within_ratio = sanity::is_within_ratio(delay_s, dispersion_s, ratio, &expected);
        let is_within_deviation = sanity::is_within_deviation(&deviation, &expected);
        measurement
            .tests
            .with(Test::DelayRatio, is_within_ratio)
            .with(Test::DelayDeviation, is_within_deviation)
    }

    /// What the packet says of the source, with nothing measured.
    fn said(&self, judged: &Judged<'_>) -> Measurement {
        let header = judged.header;
        Measurement {
            at: judged.received.at,
            tests: judged.tests,
            leap: header.leap(),
            version: header.version(),
            mode: header.mode(),
            stratum: header.stratum(),
            poll: self.poll.log2(),
            remote_poll: header.poll(),
            score: self.poll.score(),
            precision: header.precision(),
            root_delay_s: header.root_delay().to_duration().to_seconds(),
            root_dispersion_s: header.root_dispersion().to_duration().to_seconds(),
            reference_id: header.reference_id(),
            reference_timestamp: header.reference_timestamp(),
            offset_s: 0.0,
            peer_delay_s: 0.0,
            peer_dispersion_s: 0.0,
            response_time_s: 0.0,
            jitter_asymmetry: 0.0,
            is_interleaved: false,
            is_authenticated: self.options.key.is_some() && judged.tests.passed(Test::Authentic),
            transmit_source: StampSource::Daemon,
            receive_source: judged.received.source,
        }
    }

    fn take_note(&mut self, judged: &Judged<'_>) {
        self.last_packet = Some(LastPacket {
            receive: judged.header.receive_timestamp(),
            transmit: judged.header.transmit_timestamp(),
            arrival: judged.received.at,
        });
    }
}

/// The code of a kiss that a client must act on (RFC 5905 §7.4).
fn kiss_of(header: HeaderView<'_>) -> Option<KissCode> {
    if header.stratum() != 0 || header.leap() != LeapIndicator::NotSynchronised {
        return None;
    }
    // Cookies are of NTS, which is not spoken here.
    KissCode::from_reference_id(header.reference_id()).filter(|kiss| *kiss != KissCode::NtsNak)
}

fn is_no_loop(header: HeaderView<'_>, local: &Local<'_>) -> bool {
    let ourselves = local.address.map(|address| Identity {
        address,
        system: local.system,
    });
    sanity::is_no_loop(header, ourselves.as_ref())
}

fn sample_of(measurement: &Measurement) -> Sample {
    Sample {
        at: measurement.at,
        offset_s: measurement.offset_s,
        peer_delay_s: measurement.peer_delay_s,
        peer_dispersion_s: measurement.peer_dispersion_s,
        root_delay_s: measurement.root_delay_s,
        root_dispersion_s: measurement.root_dispersion_s,
        stratum: measurement.stratum,
        leap: measurement.leap,
    }
}

/// The longest interval that a server can order by a kiss, log2 of seconds.
const KISS_POLL_MAX: i8 = 10;
/// So many intervals are left out after a kiss.
const KISS_INTERVALS: u64 = 4;
/// A server that holds a request for longer has lost its time.
const RESPONSE_MAX_S: f64 = 4.0;
/// Below this delay a source may be asked more than once a second.
const NEAR_S: f64 = 0.01;
