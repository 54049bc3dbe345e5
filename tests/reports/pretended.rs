//! A daemon that answers chronyc's questions with made-up figures: the same figures to whoever asks.

use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use maser::client::{Counts, SelectOptions, StampSource, State as Selected, Tests};
use maser::control::{
    Accesses, ActivityReport, AuthMode, AuthReport, ClientReport, ClientsPage, Edition,
    ManualSample, NtpDataReport, Order, Question, Reply, ReplyHeader, Request, RequestHeader,
    RequestRow, Requester, RtcReport, SelectDataReport, ServerStatsReport, SmoothingReport,
    SourceAddress, SourceMode, SourceReport, SourceState, SourcestatsReport, State, Status,
    TrackingReport, answer,
};
use maser::wire::{LeapIndicator, Mode, ReferenceId};

/// The daemon, in a thread of its own.
pub(crate) struct Pretended {
    pub(crate) port: u16,
    /// What it was ordered to do, by whoever.
    pub(crate) orders: Arc<Mutex<Vec<Request>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pretended {
    /// It knows what chronyd of this version knew.
    pub(crate) fn start(seed: u64, edition: Edition) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let port = socket.local_addr().expect("bound").port();
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("not zero");
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let orders = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&orders);
        let thread = std::thread::spawn(move || {
            let mut packet = [0; 860];
            while !told.load(Ordering::Relaxed) {
                if let Ok((len, from)) = socket.recv_from(&mut packet)
                    && let Some(reply) = answered(&packet[..len], seed, edition, &kept)
                {
                    socket.send_to(&reply, from).expect("loopback");
                }
            }
        });
        Self {
            port,
            orders,
            ends,
            thread: Some(thread),
        }
    }
}

impl Drop for Pretended {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let joined = self.thread.take().map(JoinHandle::join);
        assert!(joined.is_none_or(|joined| joined.is_ok()) || std::thread::panicking());
    }
}

/// A longer request than the daemon's version has is taken as its longest, as chronyd does.
fn answered(
    packet: &[u8],
    seed: u64,
    edition: Edition,
    orders: &Mutex<Vec<Request>>,
) -> Option<Vec<u8>> {
    let header = RequestHeader::parse(packet)?;
    let row = RequestRow::of(header.command)?;
    let forms = row.lengths.iter();
    let known = forms.filter(|(since, _)| *since <= edition);
    let Some(longest) = known.map(|(_, length)| *length).max() else {
        // Its codes end before this one.
        let (command, sequence) = (header.command, header.sequence);
        let refusal = ReplyHeader {
            command,
            reply: 1,
            status: Status::Invalid,
            sequence,
        };
        return Some(refusal.emit().to_vec());
    };
    if let Ok((request, _)) = row.decode(packet)
        && !matches!(request, Request::Null | Request::Ask(_))
    {
        orders.lock().expect("nobody panicked").push(request);
    }
    let packet = &packet[..packet.len().min(longest)];
    answer(packet, Requester::Local, &mut Figures { seed })
}

struct Figures {
    seed: u64,
}

/// Sources: each mode, families, one without an address.
const SOURCES: u32 = 24;

impl State for Figures {
    fn ask(&mut self, question: &Question) -> Result<Reply, Status> {
        let draw = |place: u32| Draw(self.seed ^ u64::from(place) << 32 ^ 0x9e37_79b9);
        match *question {
            Question::SourceCount => Ok(Reply::SourceCount(SOURCES)),
            Question::Source(place) if place < SOURCES => Ok(Reply::Source(draw(place).source())),
            Question::Sourcestats(place) if place < SOURCES => {
                Ok(Reply::Sourcestats(draw(place).sourcestats()))
            }
            Question::SelectData(place) if place < SOURCES => {
                Ok(Reply::SelectData(draw(place).selection()))
            }
            Question::Tracking => Ok(Reply::Tracking(draw(1).tracking())),
            Question::Rtc => Ok(Reply::Rtc(draw(2).rtc())),
            Question::Smoothing => Ok(Reply::Smoothing(draw(3).smoothing())),
            Question::Activity => Ok(Reply::Activity(draw(4).activity())),
            Question::ServerStats => Ok(Reply::ServerStats(draw(5).server_stats())),
            Question::ManualList => Ok(Reply::ManualList(draw(6).manual_samples())),
            Question::Clients(asked) => Ok(Reply::Clients(clients(&draw, asked.first))),
            Question::Auth(source) => Ok(Reply::Auth(draw(seed_of(source)).auth())),
            Question::NtpData(source) => Ok(Reply::NtpData(draw(seed_of(source)).ntp_data(source))),
            Question::SourceName(source) => match seed_of(source) % 4 {
                0 => Ok(Reply::SourceName("a.name.of.25.columns.exam".to_owned())),
                1 => Ok(Reply::SourceName("a.name.of.27.columns.exampl".to_owned())),
                2 => Ok(Reply::SourceName(
                    "a.much.longer.name.than.there.is.room.for.example".to_owned(),
                )),
                _ => Ok(Reply::SourceName("short.example".to_owned())),
            },
            Question::Access(_, source) => Ok(Reply::Access(seed_of(source).is_multiple_of(2))),
            _ => Err(Status::NoSuchSource),
        }
    }

    fn order(&mut self, _: &Order) -> Result<Reply, Status> {
        Ok(Reply::Done)
    }

    fn is_open(&self, _: &str) -> bool {
        true
    }
}

fn seed_of(source: SourceAddress) -> u32 {
    u32::from_be_bytes(source.reference_id().to_bytes())
}

fn clients(draw: &dyn Fn(u32) -> Draw, first: u32) -> ClientsPage {
    const PLACES: u32 = 19;
    let count = (PLACES - first.min(PLACES)).min(8);
    ClientsPage {
        places: PLACES,
        next: first + count,
        clients: (first..first + count)
            .map(|place| draw(place).client())
            .collect(),
    }
}

/// Figures drawn one after the other (splitmix64).
struct Draw(u64);

impl Draw {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.bits() % u64::from(limit)).expect("below a u32")
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(u32::try_from(all.len()).expect("few")) as usize]
    }

    fn yes(&mut self) -> bool {
        self.below(2) == 1
    }

    fn octet(&mut self) -> u8 {
        self.bits().to_le_bytes()[0]
    }

    /// Any size from 10^low to 10^high, or zero.
    fn size(&mut self, low: i32, high: i32) -> f64 {
        if self.below(12) == 0 {
            return 0.0;
        }
        let span = u32::try_from(high - low).expect("low is lower");
        let exponent = low + i32::try_from(self.below(span)).expect("few");
        let mantissa = f64::from(self.below(90_000) + 10_000) / 10_000.0;
        mantissa * 10f64.powi(exponent)
    }

    fn signed(&mut self, low: i32, high: i32) -> f64 {
        let size = self.size(low, high);
        if self.yes() { -size } else { size }
    }

    fn offset(&mut self) -> f64 {
        self.signed(-10, 11)
    }

    fn age(&mut self) -> u32 {
        let bits = self.below(32);
        self.below(u32::MAX >> bits)
    }

    fn known_age(&mut self) -> Option<u32> {
        self.yes().then(|| self.age())
    }

    fn moment(&mut self) -> (i64, u32) {
        (i64::from(self.below(u32::MAX)), self.below(1_000_000_000))
    }

    fn ip(&mut self) -> IpAddr {
        if self.yes() {
            return IpAddr::from(
                u32::try_from(self.bits() >> 32)
                    .expect("half")
                    .to_be_bytes(),
            );
        }
        let all = u128::from(self.bits()) << 64 | u128::from(self.bits());
        Ipv6Addr::from(all).into()
    }

    fn reference_id(&mut self) -> ReferenceId {
        let drawn = [self.octet(), self.octet(), self.octet(), self.octet()];
        let id = self.one_of(&[*b"GPS\0", *b"PPS0", *b"A B\0", *b"\0\0\0\0", drawn]);
        ReferenceId::from_bytes(id)
    }

    fn leap(&mut self) -> LeapIndicator {
        LeapIndicator::from_bits(self.octet())
    }

    fn address(&mut self) -> SourceAddress {
        match self.below(8) {
            0 => SourceAddress::Unresolved(self.below(u32::MAX)),
            1 | 2 => SourceAddress::Refclock(ReferenceId::from_bytes(*b"SHM1")),
            _ => SourceAddress::Ip(self.ip()),
        }
    }

    fn options(&mut self) -> SelectOptions {
        SelectOptions {
            noselect: self.yes(),
            prefer: self.yes(),
            trust: self.yes(),
            require: self.yes(),
        }
    }

    fn tracking(&mut self) -> TrackingReport {
        TrackingReport {
            reference_id: self.reference_id(),
            address: self.yes().then(|| self.ip()),
            stratum: self.octet() & 15,
            leap: self.leap(),
            reference_time: self.moment(),
            current_correction_s: self.offset(),
            last_offset_s: self.offset(),
            rms_offset_s: self.size(-9, 3),
            frequency_ppm: self.signed(-4, 5),
            residual_frequency_ppm: self.signed(-4, 5),
            skew_ppm: self.size(-4, 5),
            root_delay_s: self.size(-9, 3),
            root_dispersion_s: self.size(-9, 3),
            last_update_interval_s: self.size(-2, 5),
        }
    }

    fn source(&mut self) -> SourceReport {
        let source = self.address();
        SourceReport {
            source,
            state: self.one_of(&[
                SourceState::Selected,
                SourceState::Unusable,
                SourceState::Falseticker,
                SourceState::Jittery,
                SourceState::Combined,
                SourceState::NotCombined,
            ]),
            mode: match source {
                SourceAddress::Refclock(_) => SourceMode::Refclock,
                _ => self.one_of(&[SourceMode::Client, SourceMode::Peer]),
            },
            poll: self.one_of(&[-7, -1, 0, 6, 10, 24]),
            stratum: self.octet() & 15,
            reach: self.octet(),
            age_s: self.known_age(),
            measured_s: self.offset(),
            adjusted_s: self.offset(),
            error_s: self.size(-10, 11),
        }
    }

    fn sourcestats(&mut self) -> SourcestatsReport {
        SourcestatsReport {
            source: self.address(),
            samples: self.below(65),
            runs: self.below(65),
            span_s: self.age(),
            standard_deviation_s: self.size(-10, 11),
            residual_frequency_ppm: self.signed(-4, 6),
            skew_ppm: self.size(-4, 6),
            offset_s: self.offset(),
            offset_error_s: self.size(-10, 11),
        }
    }

    fn selection(&mut self) -> SelectDataReport {
        SelectDataReport {
            source: self.address(),
            state: self.one_of(&[
                Selected::Noselect,
                Selected::Falseticker,
                Selected::Combined,
                Selected::Selected,
                Selected::Distant,
            ]),
            is_authenticated: self.yes(),
            leap: self.leap(),
            configured: self.options(),
            effective: self.options(),
            age_s: self.age(),
            score: self.size(-2, 4),
            offset_low_s: self.offset(),
            offset_high_s: self.offset(),
        }
    }

    fn auth(&mut self) -> AuthReport {
        AuthReport {
            mode: self.one_of(&[AuthMode::None, AuthMode::SymmetricKey, AuthMode::Nts]),
            key_type: u16::from(self.octet() & 15),
            key_id: self.age(),
            key_bits: self.one_of(&[0, 128, 160, 4096]),
            exchange_attempts: u16::from(self.octet()),
            exchange_age_s: self.known_age(),
            cookies: u16::from(self.octet() & 7),
            cookie_len: u16::from(self.octet()),
            naks: u16::from(self.octet() & 3),
        }
    }

    fn ntp_data(&mut self, source: SourceAddress) -> NtpDataReport {
        const STAMPS: [Option<StampSource>; 4] = [
            None,
            Some(StampSource::Daemon),
            Some(StampSource::Kernel),
            Some(StampSource::Hardware),
        ];
        NtpDataReport {
            remote: source.ip(),
            local: self.yes().then(|| self.ip()),
            port: 1 + u16::from(self.octet()),
            leap: self.leap(),
            version: self.octet() & 7,
            mode: Mode::from_bits(self.octet()),
            stratum: self.octet() & 3,
            poll: self.one_of(&[-7, 0, 6, 24]),
            precision: self.one_of(&[-29, -20, 0]),
            root_delay_s: self.size(-6, 2),
            root_dispersion_s: self.size(-6, 2),
            reference_id: self.reference_id(),
            reference_time: self.moment(),
            offset_s: self.offset(),
            peer_delay_s: self.size(-9, 2),
            peer_dispersion_s: self.size(-9, 2),
            response_time_s: self.size(-9, 2),
            jitter_asymmetry: self.one_of(&[-0.5, -0.125, 0.0, 0.3]),
            tests: Tests::from_bits(u16::try_from(self.below(1024)).expect("ten bits")),
            is_interleaved: self.yes(),
            is_authenticated: self.yes(),
            transmit_source: self.one_of(&STAMPS),
            receive_source: self.one_of(&STAMPS),
            counts: Counts {
                sent: self.age().into(),
                received: self.age().into(),
                valid: self.age().into(),
                good: self.age().into(),
                kernel_sent: self.age().into(),
                ..Counts::default()
            },
        }
    }

    fn rtc(&mut self) -> RtcReport {
        RtcReport {
            reference_time: self.moment(),
            samples: u16::from(self.octet()),
            runs: u16::from(self.octet()),
            span_s: self.age(),
            fast_s: self.offset(),
            gain_ppm: self.signed(-4, 6),
        }
    }

    fn smoothing(&mut self) -> SmoothingReport {
        SmoothingReport {
            is_active: self.yes(),
            leap_only: self.yes(),
            offset_s: self.offset(),
            frequency_ppm: self.signed(-7, 4),
            wander_ppm: self.signed(-7, 2),
            last_update_age_s: self.size(-2, 5),
            remaining_s: self.size(-2, 7),
        }
    }

    fn activity(&mut self) -> ActivityReport {
        ActivityReport {
            online: self.below(99),
            offline: self.below(99),
            burst_online: self.below(99),
            burst_offline: self.below(99),
            unresolved: self.below(99),
        }
    }

    fn server_stats(&mut self) -> ServerStatsReport {
        ServerStatsReport {
            ntp_hits: self.age().into(),
            nke_hits: self.age().into(),
            command_hits: self.age().into(),
            ntp_drops: self.age().into(),
            nke_drops: self.age().into(),
            command_drops: self.age().into(),
            log_drops: self.age().into(),
            ntp_auth_hits: self.age().into(),
            ntp_interleaved_hits: self.age().into(),
            ntp_timestamps: self.age().into(),
            ntp_span_s: self.age().into(),
            ntp_daemon_received: self.bits(),
            ..ServerStatsReport::default()
        }
    }

    fn manual_samples(&mut self) -> Vec<ManualSample> {
        let count = self.below(17);
        let samples = (0..count).map(|_| ManualSample {
            at: self.moment(),
            slewed_offset_s: self.signed(-3, 9),
            original_offset_s: self.signed(-3, 9),
            residual_s: self.signed(-3, 9),
        });
        samples.collect()
    }

    fn client(&mut self) -> ClientReport {
        ClientReport {
            address: self.ip(),
            ntp: self.accesses(),
            nke: self.accesses(),
            command: self.accesses(),
            ntp_interval_unanswered: self.interval(),
        }
    }

    fn accesses(&mut self) -> Accesses {
        Accesses {
            hits: self.age(),
            drops: self.age(),
            interval: self.interval(),
            age_s: self.known_age(),
        }
    }

    fn interval(&mut self) -> Option<i8> {
        self.one_of(&[None, Some(-7), Some(0), Some(5), Some(12)])
    }
}
