//! Reports about sources.

use core::net::{IpAddr, SocketAddr};

use crate::auth::KeyType;
use crate::client::{
    Candidate, Counts, Measurement, SelectOptions, StampSource, State, Statistics, Tests,
};
use crate::control::address::SourceAddress;
use crate::control::edition::Edition;
use crate::control::fields::Fields;
use crate::control::status::Status;
use crate::wire::{LeapIndicator, Mode, ReferenceId};

/// One line of chronyc's `sources`.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct SourceReport {
    /// Which.
    pub source: SourceAddress,
    /// What it came to in the last selection.
    pub state: SourceState,
    /// What it is to us.
    pub mode: SourceMode,
    /// log2 of the seconds between two requests.
    pub poll: i8,
    /// Its stratum, as it says it.
    pub stratum: u8,
    /// The reach register: one bit a poll, the last one lowest.
    pub reach: u8,
    /// Seconds since its last good sample; `None`: there was none.
    pub age_s: Option<u32>,
    /// Seconds by which it was ahead of us at that sample, as measured; chrony's sign is the other.
    pub measured_s: f64,
    /// The same, with what the clock was changed by since; chrony's sign is the other.
    pub adjusted_s: f64,
    /// Seconds by which the measurement may be wrong.
    pub error_s: f64,
}

/// The states of chronyc's `sources`, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SourceState {
    /// `*`: the clock follows it.
    Selected,
    /// `?`: it cannot be used, or not yet.
    #[default]
    Unusable,
    /// `x`: it does not agree with others.
    Falseticker,
    /// `~`: its offset varies too much.
    Jittery,
    /// `+`: combined with the selected one.
    Combined,
    /// `-`: not combined.
    NotCombined,
}

impl SourceState {
    const ALL: [Self; 6] = [
        Self::Selected,
        Self::Unusable,
        Self::Falseticker,
        Self::Jittery,
        Self::Combined,
        Self::NotCombined,
    ];

    /// The sign in chronyc's `sources`.
    pub const fn sign(self) -> char {
        match self {
            Self::Selected => '*',
            Self::Unusable => '?',
            Self::Falseticker => 'x',
            Self::Jittery => '~',
            Self::Combined => '+',
            Self::NotCombined => '-',
        }
    }
}

impl From<State> for SourceState {
    /// Of many states of selection `sources` shows one.
    fn from(state: State) -> Self {
        let shown = Self::ALL.into_iter().find(|one| one.sign() == state.sign());
        shown.unwrap_or_default()
    }
}

/// What a source is to us, by the protocol's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SourceMode {
    /// `^`: a server, or one of a pool.
    #[default]
    Client,
    /// `=`: a peer.
    Peer,
    /// `#`: a reference clock.
    Refclock,
}

impl SourceReport {
    pub(in crate::control) fn layout(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        const MODES: [SourceMode; 3] = [SourceMode::Client, SourceMode::Peer, SourceMode::Refclock];
        self.source.layout(fields)?;
        let mut poll = i16::from(self.poll).cast_unsigned();
        fields.u16(&mut poll)?;
        self.poll = i8::try_from(poll.cast_signed()).map_err(|_| Status::Invalid)?;
        fields.narrow(&mut self.stratum)?;
        fields.place(&mut self.state, &SourceState::ALL)?;
        fields.place(&mut self.mode, &MODES)?;
        fields.padding::<2>(0)?; // Options once; chronyd no longer says them here.
        fields.narrow(&mut self.reach)?;
        fields.optional(&mut self.age_s)?;
        fields.opposite(&mut self.measured_s)?;
        fields.opposite(&mut self.adjusted_s)?;
        fields.float(&mut self.error_s)?;
        if let (SourceMode::Refclock, Some(IpAddr::V4(v4))) = (self.mode, self.source.ip()) {
            self.source = SourceAddress::Refclock(ReferenceId::from_bytes(v4.octets()));
        }
        Ok(())
    }
}

/// One line of chronyc's `sourcestats`.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct SourcestatsReport {
    /// Which.
    pub source: SourceAddress,
    /// Samples in the register.
    pub samples: u32,
    /// Runs of residuals of one sign.
    pub runs: u32,
    /// Seconds from the oldest sample to the newest.
    pub span_s: u32,
    /// Seconds, standard deviation of the samples around their line.
    pub standard_deviation_s: f64,
    /// Parts per million by which the source gains on our clock; chrony's sign is the other.
    pub residual_frequency_ppm: f64,
    /// Parts per million by which that may be wrong.
    pub skew_ppm: f64,
    /// Seconds by which the source is ahead of us now; chrony's sign is the other.
    pub offset_s: f64,
    /// Standard deviation of that, in seconds.
    pub offset_error_s: f64,
}

impl SourcestatsReport {
    /// Of a source's register. `age_s` is that of its newest sample: the line is followed to now.
    pub fn new(source: SourceAddress, statistics: &Statistics, age_s: f64) -> Self {
        let whole = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast saturates, and spans are not negative"
        )]
        let span_s = statistics.span_s as u32;
        Self {
            source,
            samples: whole(statistics.samples),
            runs: whole(statistics.runs),
            span_s,
            standard_deviation_s: statistics.standard_deviation_s,
            residual_frequency_ppm: statistics.frequency * PPM,
            skew_ppm: statistics.skew * PPM,
            offset_s: statistics.frequency.mul_add(age_s, statistics.offset_s),
            offset_error_s: statistics.offset_sd_s,
        }
    }

    pub(in crate::control) fn layout(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        self.source.layout_with_id(fields)?;
        fields.u32(&mut self.samples)?;
        fields.u32(&mut self.runs)?;
        fields.u32(&mut self.span_s)?;
        fields.float(&mut self.standard_deviation_s)?;
        fields.opposite(&mut self.residual_frequency_ppm)?;
        fields.float(&mut self.skew_ppm)?;
        fields.opposite(&mut self.offset_s)?;
        fields.float(&mut self.offset_error_s)
    }
}

/// One line of chronyc's `selectdata`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectDataReport {
    /// Which.
    pub source: SourceAddress,
    /// What it came to in the last selection.
    pub state: State,
    /// Whether its replies are authenticated.
    pub is_authenticated: bool,
    /// What it says of the leap second.
    pub leap: LeapIndicator,
    /// Its options as they are configured.
    pub configured: SelectOptions,
    /// Its options as they are used.
    pub effective: SelectOptions,
    /// Seconds since its last sample.
    pub age_s: u32,
    /// How much nearer it has been than the selected source.
    pub score: f64,
    /// Least seconds that the source may be ahead of us; chrony says by how much we are ahead, ends swapped.
    pub offset_low_s: f64,
    /// Most seconds that it may be ahead of us.
    pub offset_high_s: f64,
}

impl Default for SelectDataReport {
    fn default() -> Self {
        Self {
            source: SourceAddress::default(),
            state: State::MissingSamples,
            is_authenticated: false,
            leap: LeapIndicator::NotSynchronised,
            configured: SelectOptions::default(),
            effective: SelectOptions::default(),
            age_s: 0,
            score: 1.0,
            offset_low_s: 0.0,
            offset_high_s: 0.0,
        }
    }
}

impl SelectDataReport {
    /// Of a source as the last selection has left it. Without samples age and interval are zero.
    pub fn new(
        source: SourceAddress,
        candidate: &Candidate,
        effective: SelectOptions,
        is_authenticated: bool,
    ) -> Self {
        let mut report = Self {
            source,
            state: candidate.standing.state,
            is_authenticated,
            leap: candidate.leap,
            configured: candidate.role,
            effective,
            score: candidate.standing.score,
            ..Self::default()
        };
        if let Some(seen) = candidate.selectable {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a cast saturates"
            )]
            let age_s = seen.newest_age_s as u32;
            report.age_s = age_s;
            report.offset_low_s = seen.offset_s - seen.root_distance_s;
            report.offset_high_s = seen.offset_s + seen.root_distance_s;
        }
        report
    }

    pub(in crate::control) fn layout(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        self.source.layout_with_id(fields)?;
        let mut letter = u8::try_from(self.state.letter()).map_err(|_| Status::Invalid)?;
        fields.u8(&mut letter)?;
        let state = STATES
            .into_iter()
            .find(|s| s.letter() == char::from(letter));
        self.state = state.ok_or(Status::Invalid)?;
        let mut authenticated = u8::from(self.is_authenticated);
        fields.u8(&mut authenticated)?;
        self.is_authenticated = authenticated != 0;
        let mut leap = self.leap as u8;
        fields.u8(&mut leap)?;
        self.leap = LeapIndicator::from_bits(leap);
        fields.padding::<1>(0)?;
        layout_options(&mut self.configured, fields)?;
        layout_options(&mut self.effective, fields)?;
        fields.u32(&mut self.age_s)?;
        fields.float(&mut self.score)?;
        fields.opposite(&mut self.offset_high_s)?;
        fields.opposite(&mut self.offset_low_s)
    }
}

fn layout_options(options: &mut SelectOptions, fields: &mut impl Fields) -> Result<(), Status> {
    let mut bits = options_bits(*options);
    fields.u16(&mut bits)?;
    *options = options_of(bits.into());
    Ok(())
}

/// `noselect`, `prefer`, `trust` and `require` as bits 1, 2, 4, 8.
pub(in crate::control) const fn options_bits(options: SelectOptions) -> u16 {
    options.noselect as u16
        | (options.prefer as u16) << 1
        | (options.trust as u16) << 2
        | (options.require as u16) << 3
}

/// What [`options_bits`] says; other bits are ignored.
pub(in crate::control) const fn options_of(bits: u32) -> SelectOptions {
    SelectOptions {
        noselect: bits & 1 != 0,
        prefer: bits & 2 != 0,
        trust: bits & 4 != 0,
        require: bits & 8 != 0,
    }
}

/// chronyc's `activity`: how many sources there are of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ActivityReport {
    /// That are asked.
    pub online: u32,
    /// That are not asked.
    pub offline: u32,
    /// In a burst, online after it.
    pub burst_online: u32,
    /// In a burst, offline after it.
    pub burst_offline: u32,
    /// Names without an address yet.
    pub unresolved: u32,
}

impl ActivityReport {
    pub(in crate::control) fn layout(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        fields.u32(&mut self.online)?;
        fields.u32(&mut self.offline)?;
        fields.u32(&mut self.burst_online)?;
        fields.u32(&mut self.burst_offline)?;
        fields.u32(&mut self.unresolved)
    }
}

/// One line of chronyc's `authdata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AuthReport {
    /// How requests and replies are authenticated.
    pub mode: AuthMode,
    /// The key's type by chrony's number ([`KeyType`]), or the AEAD algorithm's (RFC 5116).
    pub key_type: u16,
    /// The key's number; with NTS, that of the key exchange.
    pub key_id: u32,
    /// The key's length in bits.
    pub key_bits: u16,
    /// Attempts at a key exchange since the last that came to something.
    pub exchange_attempts: u16,
    /// Seconds since the last key exchange that did; `None`: there was none.
    pub exchange_age_s: Option<u32>,
    /// Cookies left.
    pub cookies: u16,
    /// Bytes of a cookie.
    pub cookie_len: u16,
    /// Refusals since the last key exchange.
    pub naks: u16,
}

/// How packets are authenticated, by the protocol's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AuthMode {
    /// Not at all.
    #[default]
    None,
    /// `SK`: with a key that both sides have.
    SymmetricKey,
    /// `NTS` (RFC 8915).
    Nts,
}

impl AuthReport {
    /// Of a source with a key. `bits` is the length of its secret.
    pub fn with_key(id: u32, kind: KeyType, bits: u16) -> Self {
        Self {
            mode: AuthMode::SymmetricKey,
            key_type: kind as u16,
            key_id: id,
            key_bits: bits,
            ..Self::default()
        }
    }

    pub(in crate::control) fn layout(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        const MODES: [AuthMode; 3] = [AuthMode::None, AuthMode::SymmetricKey, AuthMode::Nts];
        fields.place(&mut self.mode, &MODES)?;
        fields.u16(&mut self.key_type)?;
        fields.u32(&mut self.key_id)?;
        fields.u16(&mut self.key_bits)?;
        fields.u16(&mut self.exchange_attempts)?;
        fields.optional(&mut self.exchange_age_s)?;
        fields.u16(&mut self.cookies)?;
        fields.u16(&mut self.cookie_len)?;
        fields.u16(&mut self.naks)?;
        fields.padding::<2>(0)
    }
}

/// chronyc's `ntpdata` of one source: its last reply, whether it was any good, and counts.
///
/// Before the first reply all but address, port and counts are zero.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct NtpDataReport {
    /// The source's address.
    pub remote: Option<IpAddr>,
    /// Ours on the way to it.
    pub local: Option<IpAddr>,
    /// The source's port.
    pub port: u16,
    /// What the source says of the leap second.
    pub leap: LeapIndicator,
    /// Of the reply.
    pub version: u8,
    /// Of the reply; [`Mode::Reserved`] before the first.
    pub mode: Mode,
    /// The source's.
    pub stratum: u8,
    /// What the source says of the interval, log2 of seconds.
    pub poll: i8,
    /// Of the source's clock, log2 of seconds.
    pub precision: i8,
    /// Seconds of round trip from the source to its stratum-1 source, as it says it.
    pub root_delay_s: f64,
    /// Seconds of dispersion on that way, as it says it.
    pub root_dispersion_s: f64,
    /// What the source is synchronised to.
    pub reference_id: ReferenceId,
    /// When its clock was last set: seconds since the Unix epoch and nanoseconds.
    pub reference_time: (i64, u32),
    /// Seconds by which the source is ahead of us. chrony's sign too, in this report.
    pub offset_s: f64,
    /// Seconds there and back.
    pub peer_delay_s: f64,
    /// Seconds by which the clocks' readings may be wrong.
    pub peer_dispersion_s: f64,
    /// Seconds for which the source held the request.
    pub response_time_s: f64,
    /// Of the path's jitter, -0.5 to 0.5.
    pub jitter_asymmetry: f64,
    /// Which tests the reply has passed.
    pub tests: Tests,
    /// Whether it is in interleaved mode.
    pub is_interleaved: bool,
    /// Whether it has the MAC that was asked for.
    pub is_authenticated: bool,
    /// Who noted the request's departure; `None`: there was none.
    pub transmit_source: Option<StampSource>,
    /// Who noted the reply's arrival; `None`: there was none.
    pub receive_source: Option<StampSource>,
    /// Packets to and from the source. Before chrony 4.6 the report did not have those that the kernel or the network
    /// card noted.
    pub counts: Counts,
}

impl NtpDataReport {
    /// Of a source whose last reply was `last`. Its reference timestamp has no era, so `reference_time` says it in
    /// full; root delay and dispersion are to be what the packet says, without our way to the source.
    pub fn new(
        remote: SocketAddr,
        local: Option<IpAddr>,
        counts: Counts,
        last: Option<(&Measurement, (i64, u32))>,
    ) -> Self {
        let silent = Self {
            remote: Some(remote.ip()),
            port: remote.port(),
            counts,
            ..Self::default()
        };
        let Some((said, reference_time)) = last else {
            return silent;
        };
        Self {
            local,
            leap: said.leap,
            version: said.version,
            mode: said.mode,
            stratum: said.stratum,
            poll: said.remote_poll,
            precision: said.precision,
            root_delay_s: said.root_delay_s,
            root_dispersion_s: said.root_dispersion_s,
            reference_id: said.reference_id,
            reference_time,
            offset_s: said.offset_s,
            peer_delay_s: said.peer_delay_s,
            peer_dispersion_s: said.peer_dispersion_s,
            response_time_s: said.response_time_s,
            jitter_asymmetry: said.jitter_asymmetry,
            tests: said.tests,
            is_interleaved: said.is_interleaved,
            is_authenticated: said.is_authenticated,
            transmit_source: Some(said.transmit_source),
            receive_source: Some(said.receive_source),
            ..silent
        }
    }

    pub(in crate::control) fn layout(
        &mut self,
        fields: &mut impl Fields,
        edition: Edition,
    ) -> Result<(), Status> {
        layout_ip(&mut self.remote, fields)?;
        layout_ip(&mut self.local, fields)?;
        fields.u16(&mut self.port)?;
        self.layout_header(fields)?;
        fields.float(&mut self.offset_s)?;
        fields.float(&mut self.peer_delay_s)?;
        fields.float(&mut self.peer_dispersion_s)?;
        fields.float(&mut self.response_time_s)?;
        fields.float(&mut self.jitter_asymmetry)?;
        let mut flags = self.tests.bits()
            | if self.is_interleaved { INTERLEAVED } else { 0 }
            | if self.is_authenticated {
                AUTHENTICATED
            } else {
                0
            };
        fields.u16(&mut flags)?;
        self.tests = Tests::from_bits(flags);
        self.is_interleaved = flags & INTERLEAVED != 0;
        self.is_authenticated = flags & AUTHENTICATED != 0;
        layout_stamp_source(&mut self.transmit_source, fields)?;
        layout_stamp_source(&mut self.receive_source, fields)?;
        let counts = &mut self.counts;
        fields.count(&mut counts.sent)?;
        fields.count(&mut counts.received)?;
        fields.count(&mut counts.valid)?;
        fields.count(&mut counts.good)?;
        if edition < Edition::V4_6 {
            return fields.padding::<12>(u8::MAX);
        }
        fields.count(&mut counts.kernel_sent)?;
        fields.count(&mut counts.kernel_received)?;
        fields.count(&mut counts.hardware_sent)?;
        fields.count(&mut counts.hardware_received)?;
        fields.padding::<16>(u8::MAX)
    }

    /// What stood in the header of the reply.
    fn layout_header(&mut self, fields: &mut impl Fields) -> Result<(), Status> {
        let mut leap = self.leap as u8;
        fields.u8(&mut leap)?;
        self.leap = LeapIndicator::from_bits(leap);
        fields.u8(&mut self.version)?;
        let mut mode = self.mode as u8;
        fields.u8(&mut mode)?;
        self.mode = Mode::from_bits(mode);
        fields.u8(&mut self.stratum)?;
        fields.i8(&mut self.poll)?;
        fields.i8(&mut self.precision)?;
        fields.float(&mut self.root_delay_s)?;
        fields.float(&mut self.root_dispersion_s)?;
        let mut id = self.reference_id.to_bytes();
        fields.octets(&mut id)?;
        self.reference_id = ReferenceId::from_bytes(id);
        fields.moment(&mut self.reference_time)
    }
}

fn layout_ip(ip: &mut Option<IpAddr>, fields: &mut impl Fields) -> Result<(), Status> {
    let mut address = SourceAddress::from(*ip);
    address.layout(fields)?;
    *ip = address.ip();
    Ok(())
}

/// A letter, or zero.
fn layout_stamp_source(
    source: &mut Option<StampSource>,
    fields: &mut impl Fields,
) -> Result<(), Status> {
    const ALL: [StampSource; 3] = [
        StampSource::Daemon,
        StampSource::Kernel,
        StampSource::Hardware,
    ];
    let letter = source.map_or('\0', StampSource::letter);
    let mut letter = u8::try_from(letter).map_err(|_| Status::Invalid)?;
    fields.u8(&mut letter)?;
    *source = ALL
        .into_iter()
        .find(|one| one.letter() == char::from(letter));
    Ok(())
}

/// All states of selection.
const STATES: [State; 18] = [
    State::Noselect,
    State::MissingSamples,
    State::NotSynchronised,
    State::BadStratum,
    State::TooDistant,
    State::Jittery,
    State::WaitsForSamples,
    State::Stale,
    State::Orphan,
    State::NotTrusted,
    State::Falseticker,
    State::WaitsForSources,
    State::NotPreferred,
    State::WaitsForUpdate,
    State::Distant,
    State::Outlier,
    State::Combined,
    State::Selected,
];
/// Flags above the ten of the tests.
const INTERLEAVED: u16 = 0x4000;
const AUTHENTICATED: u16 = 0x8000;
/// Parts per million in one.
const PPM: f64 = 1e6;
