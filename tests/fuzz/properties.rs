//! What must hold for any bytes. The fuzz targets call these, and `tests/properties.rs` does on a small
//! corpus, so that they cannot rot where no fuzzer runs.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use maser::auth::{Key, KeyStore, KeyType, Verdict};
use maser::bench::frame;
use maser::client::{
    Association, ClockChange, Due, Dump, Expectation, Local, Now, Request, Role, SAMPLES_MAX,
    Samples, SamplesOptions, SourceOptions, Stamp, interval_ns,
};
use maser::config::{self, Origin, Outside, Place, keyfile};
use maser::control::{
    Order, Question, REPLY_HEADER_LEN, Reply, ReplyHeader, Requester, State, Status,
    TRACKING_REPLY_LEN, TrackingReport, answer,
};
use maser::discipline::{Drift, LeapTable};
use maser::node::metrics::http::{self, Reading};
use maser::server::{
    AccessRule, AccessTable, Arrival, Chance, ClientTable, InterleavedTable, Outcome, RateLimit,
    RateLimiter, Responder, ResponderParts, Subnet,
};
use maser::wire::{
    CookedTime, ExtensionFields, HEADER_LEN, HeaderView, KeyId, KissCode, LeapIndicator, Mode,
    NtpDuration, NtpTimestamp, PACKET_LEN_MAX, RawTime, Split, SystemVariables, Trailer,
};

/// Taking a packet apart: the first byte chooses the version, the rest is the packet.
///
/// The parts add up, a MAC has its shortest digest, and the fields cover what is authenticated.
pub(crate) fn split(bytes: &[u8]) {
    let Some((choice, packet)) = bytes.split_first() else {
        return;
    };
    let packet = &packet[..packet.len().min(PACKET_LEN_MAX)];
    let version = choice % 5;
    let Ok(split) = Split::of(packet, version) else {
        // Up to NTPv3 all that follows a whole header is one trailer: nothing can be malformed.
        assert!(packet.len() < HEADER_LEN || version >= 4);
        return;
    };
    assert!((HEADER_LEN..=packet.len()).contains(&split.authenticated_len));
    let trailer = packet.len() - split.authenticated_len;
    match split.trailer {
        Trailer::Absent => assert_eq!(trailer, 0),
        Trailer::CryptoNak => assert_eq!(packet[split.authenticated_len..], [0; 4]),
        Trailer::ShortMac => assert!((1..20).contains(&trailer)),
        Trailer::Mac { .. } => assert!(trailer >= 20 && (version < 4 || trailer <= 24)),
        Trailer::MsSntp => assert!(version == 3 && (trailer == 20 || trailer == 72)),
    }
    if version < 4 {
        assert_eq!(split.authenticated_len, HEADER_LEN);
        return;
    }
    let mut walk = ExtensionFields::new(&packet[HEADER_LEN..]);
    let mut covered = HEADER_LEN;
    for field in &mut walk {
        let field = field.expect("split has walked them all");
        assert!(field.value.len() >= 12 && field.value.len().is_multiple_of(4));
        covered += 4 + field.value.len();
    }
    assert_eq!(covered, split.authenticated_len);
    assert_eq!(walk.rest().len(), trailer);
}

/// A request over HTTP, as it comes piece by piece: what was refused stays refused, what is whole stays the same, and
/// nothing longer than the limit is waited for. What is whole names a path.
pub(crate) fn http(bytes: &[u8]) {
    let mut settled = None;
    for len in 0..=bytes.len() {
        let reading = http::read(&bytes[..len]);
        if let Reading::Whole(request) = reading {
            assert!(request.path.starts_with('/') && !request.path.contains('?'));
            assert!(request.path.bytes().all(|byte| byte.is_ascii_graphic()));
        }
        match settled {
            Some(before) => assert_eq!(reading, before, "at {len}"),
            None if reading != Reading::Partial => settled = Some(reading),
            None => assert!(len < http::REQUEST_LEN_MAX, "still waiting at {len}"),
        }
    }
}

/// A frame off the wire: it is a UDP datagram or none, and turned twice it is what it was.
pub(crate) fn frame(bytes: &[u8]) {
    let mut turned = bytes.to_vec();
    let Some((source, target, payload)) = frame::datagram(bytes) else {
        assert!(!frame::turn(&mut turned, |_| panic!("nothing to rewrite")));
        assert_eq!(turned, bytes);
        return;
    };
    assert_eq!(source.is_ipv4(), target.is_ipv4());
    assert!(payload.len() <= bytes.len() - 42);
    assert!(frame::turn(&mut turned, |_| ()));
    let back = frame::datagram(&turned).expect("turned it is a datagram still");
    assert_eq!(back, (target, source, payload));
}

/// A reply to `tracking`: it is read or refused, and what was read is written so that it reads the same.
///
/// The header is ours, with the first byte of the input in the place of one byte of it, so that most
/// inputs reach the data.
pub(crate) fn tracking(bytes: &[u8]) {
    const SEQUENCE: u32 = 0x5eed_1234;
    let [at, value, data @ ..] = bytes else {
        return;
    };
    let mut packet = vec![0; REPLY_HEADER_LEN];
    packet[..8].copy_from_slice(&[6, 2, 0, 0, 0, 33, 0, 5]);
    packet[16..20].copy_from_slice(&SEQUENCE.to_be_bytes());
    packet.extend(data);
    if let Some(byte) = packet.get_mut(usize::from(*at)) {
        *byte = *value;
    }
    let Ok(report) = TrackingReport::parse(&packet, SEQUENCE) else {
        return;
    };
    assert!(packet.len() >= TRACKING_REPLY_LEN);
    assert!(report.root_dispersion_s.is_finite() && report.current_correction_s.is_finite());
    assert!(report.reference_time.1 < 1_000_000_000);
    let again = report
        .emit(SEQUENCE)
        .map(|ours| TrackingReport::parse(&ours, SEQUENCE));
    assert_eq!(again, Ok(Ok(report)), "written and read again");
}

/// A datagram to the command port, the first byte being the low one of its code: nobody with an address changes anything,
/// and no reply is longer than its request.
pub(crate) fn control(bytes: &[u8]) {
    /// Nothing is there, and everything is open.
    struct Nothing {
        may_be_told: bool,
    }

    impl State for Nothing {
        fn ask(&mut self, question: &Question) -> Result<Reply, Status> {
            match question {
                Question::SourceCount => Ok(Reply::SourceCount(0)),
                Question::Tracking => Ok(Reply::Tracking(TrackingReport::default())),
                Question::Clients(clients) => {
                    assert!(self.may_be_told || !clients.resets, "a count was reset");
                    Err(Status::NotEnabled)
                }
                _ => Err(Status::NoSuchSource),
            }
        }

        fn order(&mut self, order: &Order) -> Result<Reply, Status> {
            assert!(self.may_be_told, "{order:?} from an address");
            Ok(Reply::Done)
        }

        fn is_open(&self, _: &str) -> bool {
            true
        }
    }

    let [code, rest @ ..] = bytes else {
        return;
    };
    let mut packet = vec![6, 1, 0, 0, 0, *code];
    packet.extend(rest);
    let reader = Requester::Address {
        ip: std::net::Ipv4Addr::LOCALHOST.into(),
        is_allowed: true,
    };
    for (from, may_be_told) in [(reader, false), (Requester::Local, true)] {
        for packet in [bytes, &packet] {
            if let Some(reply) = answer(packet, from, &mut Nothing { may_be_told }) {
                assert!(reply.len() <= packet.len());
                assert!(ReplyHeader::parse(&reply).is_ok());
            }
        }
    }
}

/// A datagram to a server: the first byte chooses how it is set up and who asks, the rest is the datagram.
///
/// A reply is never longer than its request, answers what was asked, and is signed when that was.
pub(crate) fn respond(bytes: &[u8]) {
    let Some((choice, datagram)) = bytes.split_first() else {
        return;
    };
    let mut responder = responder(*choice);
    let keys = keys();
    let mut signed = datagram.to_vec();
    // A fuzzer does not find a MAC; with this bit it is given one.
    if choice & 64 != 0 && datagram.len() >= HEADER_LEN && datagram.len().is_multiple_of(4) {
        let version = datagram[0] >> 3 & 7;
        let key = keys.find(KeyId(7 + u32::from(choice >> 7))).expect("ours");
        signed.resize(datagram.len() + keys.mac_len(key, version), 0);
        keys.sign(key, version, &mut signed, datagram.len())
            .expect("room");
    }
    let datagram = signed.as_slice();
    let arrival = Arrival {
        peer: if choice & 8 == 0 {
            IpAddr::from([192, 0, 2, 1])
        } else {
            IpAddr::from([1; 16])
        },
        port: if choice & 16 == 0 { 123 } else { 40_000 },
        received: RawTime(NtpTimestamp::from_unix(1_800_000_000, 5)),
        waited_ns: 0,
        monotonic_ns: 1 << 40,
    };
    // The second request is over the limit, where there is one.
    for _ in 0..2 {
        let mut packet = datagram.to_vec();
        let outcome = responder.prepare(&arrival, &mut packet);
        let Outcome::Answer(plan) = outcome else {
            assert_eq!(packet, datagram, "a dropped datagram is left as it was");
            continue;
        };
        assert!(plan.len <= datagram.len() && datagram.len() <= PACKET_LEN_MAX);
        let departure = RawTime(NtpTimestamp::from_unix(1_800_000_000, 90_005));
        responder.seal(&plan, departure, &mut packet[..plan.len]);

        let request = HeaderView::at_front(datagram).expect("an answered request has a header");
        let reply = HeaderView::at_front(&packet).expect("as long as its request");
        assert_eq!(reply.version(), request.version());
        assert_eq!(reply.origin_timestamp(), request.transmit_timestamp());
        assert!(matches!(
            (request.mode(), reply.mode()),
            (Mode::Client | Mode::Reserved, Mode::Server)
                | (Mode::SymmetricActive, Mode::SymmetricPassive)
        ));
        let (receive, transmit) = (reply.receive_timestamp(), reply.transmit_timestamp());
        assert_eq!((receive.to_bits() & 1, transmit.to_bits() & 1), (1, 0));
        assert!(!transmit.is_zero() && receive.is_before(transmit));
        assert!(receive != reply.origin_timestamp() && transmit != reply.origin_timestamp());
        assert_eq!(
            plan.kiss,
            reply.reference_id() == KissCode::Rate.reference_id()
        );
        assert_eq!(plan.key.is_some(), plan.len > HEADER_LEN);
        let split =
            Split::of(&packet[..plan.len], reply.version()).expect("a reply is well-formed");
        if let Trailer::Mac { key } = split.trailer {
            let key = keys.find(key).expect("the request's key is ours");
            let (message, mac) = packet[..plan.len].split_at(split.authenticated_len);
            let verdict = keys.verify(key, reply.version(), message, &mac[4..]);
            assert_eq!(verdict, Verdict::Good);
        }
        assert_eq!(plan.key.is_some(), split.trailer != Trailer::Absent);
    }
}

/// A source that does what it likes: two bytes choose the options, then each step is one byte and what it takes.
///
/// No two requests are nearer than a quarter of the shortest interval; nothing is accepted that does not answer the
/// open request, once; what is accepted is finite. Answers with the number of valid replies.
pub(crate) fn associate(bytes: &[u8]) -> usize {
    let [choice, polls, steps @ ..] = bytes else {
        return 0;
    };
    let keys = keys();
    let system = SystemVariables::not_synchronised((polls >> 4).cast_signed() - 30);
    let local = Local {
        keys: &keys,
        system: &system,
        address: None,
        max_clock_error: 1e-6,
        is_selected: choice & 1 != 0,
    };
    let mut source = Source::new(*choice, *polls);
    let mut rest = steps;
    while let [step, after @ ..] = rest {
        rest = after;
        let amount = step >> 3;
        match step & 7 {
            0 => source.now_ns = source.now_ns.saturating_add(1 << (amount + 10)),
            1..=3 => source.ask(&local),
            4 | 5 => {
                let length = HEADER_LEN + usize::from(amount);
                let (given, after) = rest.split_at(rest.len().min(length));
                rest = after;
                source.receive(given, step & 1 != 0, &local);
            }
            6 => source.association.clock_changed(&ClockChange {
                at: moment(source.now_ns).cooked,
                frequency: 1e-4,
                offset_s: f64::from(amount) - 16.0,
            }),
            _ => source.order(amount),
        }
        assert!(source.association.poll().score().is_finite());
    }
    source.believed
}

/// An association, and what was sent for it.
struct Source {
    association: Association,
    now_ns: u64,
    asked_ns: Option<u64>,
    gap_min_ns: u64,
    request: Option<Request>,
    believed: usize,
}

impl Source {
    fn new(choice: u8, polls: u8) -> Self {
        let options = association_options(choice, polls);
        let role = if choice & 128 == 0 {
            Role::Client
        } else {
            Role::Peer
        };
        let interval_ns = interval_ns(options.poll_range().0);
        Self {
            association: Association::new(role, options, 0),
            now_ns: 0,
            asked_ns: None,
            gap_min_ns: (interval_ns / 4).min(200_000_000),
            request: None,
            believed: 0,
        }
    }

    /// The next that is due.
    fn ask(&mut self, local: &Local<'_>) {
        let due_ns = self.association.next_deadline().unwrap_or(self.now_ns);
        self.now_ns = self.now_ns.max(due_ns);
        let nonce = self.now_ns.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let random = [nonce, !nonce, nonce << 32];
        let due = self.association.timeout(moment(self.now_ns), random, local);
        match due {
            Due::Send(sent) => {
                let gap_ns = self.asked_ns.map(|asked_ns| self.now_ns - asked_ns);
                let is_apart = gap_ns.is_none_or(|gap_ns| gap_ns >= self.gap_min_ns);
                assert!(is_apart, "{gap_ns:?}");
                assert!(sent.bytes().len() >= HEADER_LEN);
                self.asked_ns = Some(self.now_ns);
                self.request = Some(sent);
            }
            Due::Close => self.request = None,
            Due::Nothing | Due::NoKey => {}
        }
    }

    /// A packet, as it is or with what makes it an answer.
    fn receive(&mut self, given: &[u8], answers: bool, local: &Local<'_>) {
        let wanted = self.request.as_ref().filter(|_| answers);
        let packet = with_origin(given, wanted, local.keys);
        if self.believes(&packet, local) {
            self.request = None;
            self.believed += 1;
        }
    }

    fn order(&mut self, order: u8) {
        let association = &mut self.association;
        match order {
            0 => association.online(self.now_ns),
            1 => association.offline(),
            2 => association.burst(2, 5, self.now_ns),
            3 => association.clock_jumped(),
            4 => association.moved(self.now_ns),
            samples => association.accumulated(usize::from(samples)),
        }
    }

    /// Whether a packet was taken for the reply to the open request.
    fn believes(&mut self, packet: &[u8], local: &Local<'_>) -> bool {
        let expected = Expectation {
            samples: packet.len() % 9,
            ..Expectation::default()
        };
        let received = Stamp::by_daemon(moment(self.now_ns).cooked);
        let reply = self
            .association
            .reply(packet, received, self.now_ns, local, &expected);
        let Some(reply) = reply else {
            return false;
        };
        let tests = reply.measurement.tests;
        assert_eq!(reply.sample.is_some(), tests.is_good());
        assert_eq!(reply.answers, tests.is_valid() || reply.kiss.is_some());
        if reply.answers {
            let asked = self
                .request
                .as_ref()
                .expect("only what was asked is answered");
            let asked = asked.bytes();
            let origin = &packet[24..32];
            assert!(origin == &asked[40..48] || origin == &asked[32..40]);
            assert_eq!(asked.len() > HEADER_LEN, packet.len() > HEADER_LEN);
        }
        if let Some(sample) = reply.sample {
            assert!(sample.offset_s.is_finite() && sample.peer_delay_s > 0.0);
            assert!(sample.peer_dispersion_s > 0.0 && sample.root_distance_s().is_finite());
            assert!(sample.peer_delay_s - sample.peer_dispersion_s <= 3.0);
        }
        reply.answers
    }
}

fn association_options(choice: u8, polls: u8) -> SourceOptions {
    let min_poll = (polls & 15).cast_signed() - 7;
    SourceOptions {
        min_poll: Some(min_poll),
        max_poll: Some(min_poll + 2),
        iburst: choice & 2 != 0,
        burst: choice & 4 != 0,
        key: (choice & 8 != 0).then_some(KeyId(7)),
        max_delay_quantile: (choice & 16 != 0).then_some(0.5),
        max_delay_ratio: Some(2.0),
        presend: (choice & 32 != 0).then_some(min_poll),
        xleave: choice & 64 != 0,
        ..SourceOptions::default()
    }
}

fn moment(now_ns: u64) -> Now {
    let nanos = i64::try_from(now_ns).unwrap_or(i64::MAX);
    let at = NtpTimestamp::from_unix(1_800_000_000, 0) + NtpDuration::from_nanos(nanos);
    Now {
        monotonic_ns: now_ns,
        raw: RawTime(at),
        cooked: CookedTime(at),
    }
}

/// A packet with the origin that a request waits for, its mode and its MAC: a fuzzer finds none of them.
fn with_origin(given: &[u8], request: Option<&Request>, keys: &KeyStore) -> Vec<u8> {
    let mut packet = given.to_vec();
    let Some(asked) = request.map(Request::bytes) else {
        return packet;
    };
    if packet.len() < HEADER_LEN {
        return packet;
    }
    // The last bit of the stratum chooses the mode of the answer.
    let from = if packet[1] & 64 == 0 { 40..48 } else { 32..40 };
    packet[24..32].copy_from_slice(&asked[from]);
    packet[0] = packet[0] & 0xc0 | 0x20 | if asked[0] & 7 == 3 { 4 } else { 1 };
    packet[1] &= 15;
    packet.truncate(HEADER_LEN);
    if asked.len() > HEADER_LEN {
        let key = keys.find(KeyId(7)).expect("ours");
        packet.resize(HEADER_LEN + keys.mac_len(key, 4), 0);
        keys.sign(key, 4, &mut packet, HEADER_LEN).expect("room");
    }
    packet
}

fn keys() -> KeyStore {
    let keys = [
        (7, KeyType::Aes128, &[1; 16][..]),
        (8, KeyType::Sha1, b"secret"),
    ]
    .map(|(id, kind, secret)| Key::new(KeyId(id), kind, secret).expect("a good key"));
    KeyStore::new(&keys).0
}

fn responder(choice: u8) -> Responder {
    let everybody = |allow| {
        AccessTable::new(&[AccessRule {
            subnet: Subnet::Any,
            allow,
            all: false,
        }])
    };
    let limit = RateLimit {
        interval_log2: 3,
        burst: 1,
        leak_log2: 4,
        kod_log2: Some(1),
    };
    let mut system = SystemVariables::not_synchronised(-24);
    if choice & 1 == 0 {
        system.leap = LeapIndicator::NoWarning;
        system.stratum = 3;
    }
    let mut responder = Responder::new(ResponderParts {
        access: everybody(true),
        require_auth: everybody(choice & 2 != 0),
        clients: Some(ClientTable::new(1 << 12, [choice ^ 0x5a; 16])),
        interleaved: Some(InterleavedTable::new(1 << 10)),
        limiter: (choice & 4 != 0).then(|| RateLimiter::new(limit)),
        poll_min: None,
        keys: Arc::new(keys()),
        silent_unsynchronised: choice & 32 != 0,
        chance: Chance::new(u64::from(choice) + 1),
    });
    responder.renew(&system, RawTime(NtpTimestamp::from_unix(1_800_000_000, 0)));
    responder
}

/// A key file: each warning names a line that exists, and none shows what stood there.
pub(crate) fn key_file(bytes: &[u8]) {
    let (keys, warnings) = keyfile::load(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    for warning in &warnings {
        assert!((1..=lines).contains(&warning.line), "{warning}");
    }
    assert!(keys.len() + warnings.len() <= 3 * lines);
}

/// The files that tell of an earlier run or of leap seconds: whatever is in them, what is taken is of use.
pub(crate) fn kept_files(bytes: &[u8]) {
    const NOW_S: i64 = 1_800_000_000;
    let text = String::from_utf8_lossy(bytes);
    if let Some(drift) = Drift::parse(&text) {
        assert!(drift.correction().is_finite() && drift.skew() > 0.0);
        let again = Drift::parse(&drift.format());
        // A skew below what six decimals show is none that could be read again.
        assert!(again.is_some() || drift.skew_ppm < 1e-6, "{drift:?}");
    }
    if let Ok(dump) = Dump::parse(&text, NOW_S) {
        assert!((1..=SAMPLES_MAX).contains(&dump.samples.len()));
        let mut samples = Samples::new(SamplesOptions::default());
        samples.restore(&dump.samples, dump.asymmetry_run);
        assert!(samples.len() <= SAMPLES_MAX);
        if let Some(estimate) = samples.estimate() {
            assert!(
                estimate.offset_s.is_finite() && estimate.skew > 0.0,
                "{estimate:?}"
            );
        }
    }
    for table in [LeapTable::parse_tzif(bytes), LeapTable::parse_list(&text)]
        .into_iter()
        .flatten()
    {
        for unix_s in [i64::MIN, 0, NOW_S, i64::MAX] {
            let _ = table.day(unix_s);
        }
    }
}

/// Where the fuzzed configuration stands; nothing else is there.
const CONFIGURATION: &str = "/etc/maser/maser.conf";

/// A world of one file.
struct OneFile<'a>(&'a [u8]);

impl Outside for OneFile<'_> {
    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        if file == Path::new(CONFIGURATION) {
            return Ok(self.0.to_vec());
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn list(&self, _directory: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A configuration: it loads, or every mistake names a line and a column that exist, without a control
/// character in its text. What has loaded is printed so that it loads to the same.
pub(crate) fn configuration(bytes: &[u8]) {
    let lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    let errors = match config::load(Origin::File(Path::new(CONFIGURATION)), &OneFile(bytes)) {
        Err(errors) => errors,
        Ok(loaded) => {
            let printed = config::print(&loaded);
            let again = config::load(
                Origin::File(Path::new(CONFIGURATION)),
                &OneFile(printed.as_bytes()),
            );
            assert_eq!(
                again.map(|again| again.config),
                Ok(loaded.config),
                "{printed}"
            );
            return;
        }
    };
    assert!(!errors.0.is_empty());
    for error in errors.0 {
        let Place::Line(file, line) = &error.place else {
            // A file that includes itself is a mistake of the file.
            continue;
        };
        assert_eq!(&**file, Path::new(CONFIGURATION));
        assert!((1..=lines.len()).contains(line), "{error}");
        // One past the end is where something is missing.
        assert!(
            (1..=lines[line - 1].len() + 1).contains(&error.column),
            "{error}"
        );
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
}

/// Must fail: it proves that a failure would be seen.
pub(crate) fn canary(bytes: &[u8]) {
    assert!(!bytes.starts_with(b"tu"), "the canary sings");
}
