//! chrony's configuration, read and resolved (floor 3): text in, [`Config`] or every mistake out.
//!
//! Two stages: `directive` turns each line into what was typed, with its place; `resolve` sees all of
//! them and answers with a [`Config`], or with every mistake at once. Files and names are reached only
//! through the trait the caller hands in, [`Outside`].

mod arguments;
mod default;
mod directive;
mod error;
mod fast_path;
mod glob;
pub mod keyfile;
mod line;
mod print;
mod read;
mod resolve;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

pub use directive::{Row, Support, directives, subnet};
pub use error::{ConfigError, ConfigErrors, Fault, Notice, Place};
pub use fast_path::{FastPathConfig, FastPathLine, FastPathMode, PassedLimit};
pub use print::{CpuList, print};

pub use crate::discipline::Local;

use crate::client::{RefclockOptions, SelectionOptions};
use crate::discipline::{
    AuthSelectMode, FallbackDrift, InitialStep, LeapMode, MakeStep, MaxChange, SourceSpec,
};
use crate::server::{AccessRule, RateLimit};
use crate::wire::ReferenceId;

/// What a configuration can lead to outside of its own text.
pub trait Outside {
    /// The bytes of a file.
    fn read(&self, file: &Path) -> io::Result<Vec<u8>>;
    /// The paths of all that lies directly in a directory, in any order.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;
    /// The addresses of a host; at least one, or an error.
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// Where a configuration is typed.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// In a file.
    File(&'a Path),
    /// As arguments, each of which is one line.
    Arguments(&'a [String]),
    /// Nowhere: maser's own, which serves loopback on an unprivileged port.
    EmbeddedDefault,
}

/// A configuration without a mistake.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What the operator should hear of, once.
    pub notices: Vec<Notice>,
    /// The lines whose directives are [`NotYet`](Support::NotYet), as typed but for blanks.
    pub not_in_force: Vec<String>,
}

/// Reads a configuration and all it includes.
///
/// # Errors
///
/// Every mistake there is, in the order of the lines.
pub fn load(origin: Origin<'_>, outside: &dyn Outside) -> Result<Loaded, ConfigErrors> {
    let read = read::read(origin, outside);
    resolve::resolve(read, outside)
}

/// All that a configuration says, resolved, one part per consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// For the responder and its sockets.
    pub server: ServerConfig,
    /// For the timekeeper.
    pub time: TimeConfig,
    /// Where the time comes from, where we keep it ourselves.
    pub sources: SourcesConfig,
    /// What is done with the clock.
    pub clock: ClockConfig,
    /// Timestamps of network cards.
    pub hardware: HardwareConfig,
    /// Files about sources and clock.
    pub records: RecordsConfig,
    /// chronyc's access.
    pub command: CommandConfig,
    /// What others may see of us over HTTP, and when we say that we are fit to serve.
    pub monitoring: MonitoringConfig,
    /// Where the kernel answers for us.
    pub fast_path: FastPathConfig,
    /// For the process and its threads.
    pub runtime: RuntimeConfig,
    /// `keyfile`
    pub key_file: Option<PathBuf>,
}

/// Sockets, access and limits.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConfig {
    /// `port`, 123; 0 opens no server socket.
    pub port: u16,
    /// `bindaddress`, several; empty is every address of [`families`](Self::families).
    pub bind_addresses: Vec<IpAddr>,
    /// `binddevice`
    pub bind_device: Option<String>,
    /// `-4`, `-6`
    pub families: Families,
    /// `dscp`, 0 to 63.
    pub dscp: u8,
    /// `allow` and `deny`, in order.
    pub access: Vec<AccessRule>,
    /// `requireauth`, in order; a rule's `allow` says that authentication is required there.
    pub require_auth: Vec<AccessRule>,
    /// `ratelimit`
    pub rate_limit: Option<RateLimit>,
    /// `clientloglimit` in bytes, for all workers together; `None` with `noclientlog`.
    pub client_log_bytes: Option<usize>,
    /// `unsynchronised`
    pub unsynchronised: Unsynchronised,
}

/// Which families are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Families {
    /// Both.
    #[default]
    Both,
    /// `-4`
    V4,
    /// `-6`
    V6,
}

/// What a client gets while our clock is not synchronised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Unsynchronised {
    /// A reply that says so (leap 3, stratum 0), as chrony.
    #[default]
    Answer,
    /// Nothing, so that a balancer or the client's next server takes over.
    Silent,
}

/// Where the time comes from, and what is known of the clock.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeConfig {
    /// `local`
    pub local: Option<Local>,
    /// `follow`
    pub follow: Option<Follow>,
    /// `clockprecision` in seconds; `None`: measured at start.
    pub clock_precision_s: Option<f64>,
    /// `maxclockerror` in parts per million.
    pub max_clock_error_ppm: f64,
}

/// Sources of the time, and the choice among them.
#[derive(Clone, Debug, PartialEq)]
pub struct SourcesConfig {
    /// `server`, `pool`, `peer`, in their order.
    pub sources: Vec<SourceSpec>,
    /// `sourcedir`, in their order.
    pub directories: Vec<SourceDirectories>,
    /// `refclock`, in their order; each has letters of its own.
    pub refclocks: Vec<RefclockSpec>,
    /// `initstepslew`
    pub initial: Option<InitialStep>,
    /// The directives about selection; `maxclockerror` and `local … orphan` are elsewhere.
    pub selection: SelectionOptions,
    /// `authselectmode`
    pub auth_select: AuthSelectMode,
    /// `minsamples`
    pub samples_min: usize,
    /// `maxsamples`; 0 is the largest.
    pub samples_max: usize,
    /// `refresh` in seconds; 0: never.
    pub refresh_s: u64,
    /// `acquisitionport`; 0: another for each request.
    pub acquisition_port: u16,
    /// `bindacqaddress`, at most one of each family.
    pub bind_addresses: Vec<IpAddr>,
    /// `bindacqdevice`
    pub bind_device: Option<String>,
}

/// A `sourcedir` line.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SourceDirectories {
    /// Of files of the same name the one in the earlier directory counts.
    pub directories: Vec<PathBuf>,
    /// `server`, `pool`, `peer` of the files there.
    pub sources: Vec<SourceSpec>,
}

impl SourceDirectories {
    /// What the files say now, for `reload sources`; with what is wrong with them, which costs a line only.
    pub fn read(&self, outside: &dyn Outside) -> (Vec<SourceSpec>, Vec<Notice>) {
        read::sources(&self.directories, outside)
    }
}

/// Who may ask and steer us with chronyc, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandConfig {
    /// `cmdport`; `None`, not given: 323, but none beside a chronyd that is followed.
    pub port: Option<u16>,
    /// `bindcmdaddress`, at most one of each family.
    pub addresses: Vec<IpAddr>,
    /// `bindcmdaddress` with a path; `None`, typed as `/`: no socket in the file system.
    pub path: Option<PathBuf>,
    /// `bindcmddevice`
    pub device: Option<String>,
    /// `cmdallow` and `cmddeny`, in order; this machine is always allowed.
    pub access: Vec<AccessRule>,
    /// `cmdratelimit`
    pub rate_limit: Option<RateLimit>,
    /// `opencommands`
    pub open: Vec<&'static str>,
}

/// What is seen of us over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub struct MonitoringConfig {
    /// `metrics`: where besides the socket in the file system; `None`: nowhere.
    pub address: Option<SocketAddr>,
    /// `readydistance` in seconds: with a larger root distance we say that we are not fit to serve.
    pub ready_distance_s: f64,
    /// `drain` in seconds: how long we go on serving after a request to end, saying that we are not fit to.
    pub drain_s: u32,
}

/// A `refclock` line.
#[derive(Clone, Debug, PartialEq)]
pub struct RefclockSpec {
    /// Who reads it.
    pub driver: RefclockDriver,
    /// The rest of the line.
    pub options: RefclockOptions,
}

/// How a reference clock is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefclockDriver {
    /// Pulses that the kernel stamps.
    Pps {
        /// The device.
        path: PathBuf,
        /// `clear`: falling edges.
        clear: bool,
    },
    /// Samples that programs send to this socket.
    Sock(PathBuf),
    /// Samples that a program writes into shared memory, as for ntpd.
    Shm {
        /// The number of the segment.
        unit: u8,
        /// `perm`: its permissions.
        mode: u32,
    },
    /// The clock of a network card.
    Phc {
        /// A device, or an interface.
        clock: String,
        /// Without `nocrossts`: both clocks are read at one moment where that can be.
        crosses: bool,
        /// `extpps`
        pulses: Option<PhcPulses>,
    },
    /// The real-time clock.
    Rtc {
        /// The device.
        path: PathBuf,
        /// `utc`: it keeps UTC.
        utc: bool,
    },
}

/// Pulses at a card's pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhcPulses {
    /// `pin`; `None`, typed as -1: the pin's function is fixed.
    pub pin: Option<u32>,
    /// `channel`
    pub channel: u32,
    /// `clear`: falling edges.
    pub clear: bool,
}

/// What is done with the clock. Frequencies are in parts per million, as typed.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockConfig {
    /// `makestep`
    pub make_step: Option<MakeStep>,
    /// `driftfile`
    pub drift_file: Option<DriftFileLine>,
    /// `maxupdateskew`
    pub update_skew_max_ppm: f64,
    /// `manual`
    pub manual: bool,
    /// `rtcsync`
    pub rtc_sync: bool,
    /// `corrtimeratio`
    pub correction_time_ratio: f64,
    /// `maxdrift`
    pub drift_max_ppm: f64,
    /// `maxslewrate`
    pub slew_rate_max_ppm: f64,
    /// `maxchange`
    pub max_change: Option<MaxChange>,
    /// `fallbackdrift`
    pub fallback_drift: Option<FallbackDrift>,
    /// `leapsecmode`
    pub leap_mode: LeapMode,
    /// `leapsectz`
    pub leap_zone: Option<String>,
    /// `leapseclist`
    pub leap_list: Option<PathBuf>,
    /// `smoothtime`
    pub smoothing: Option<SmoothingLine>,
    /// `tempcomp`
    pub tempcomp: Option<TempcompLine>,
    /// The directives about the real-time clock.
    pub rtc: RtcConfig,
}

/// Timestamps of network cards.
#[derive(Clone, Debug, PartialEq)]
pub struct HardwareConfig {
    /// `hwtimestamp`, in their order; of an interface that is named twice the last counts.
    pub interfaces: Vec<HardwareLine>,
    /// `hwtstimeout` in seconds: how long a reply waits for the stamp of its request.
    pub timeout_s: f64,
}

/// `hwtimestamp`
#[derive(Clone, Debug, PartialEq)]
pub struct HardwareLine {
    /// An interface; `*`: all that can.
    pub interface: String,
    /// `minpoll`: the card's clock is read so often, log2 of seconds.
    pub poll: i8,
    /// `maxpoll`: read so often at least, where that is not once in two `minpoll`.
    pub max_poll: Option<i8>,
    /// `minsamples`
    pub samples_min: usize,
    /// `maxsamples`
    pub samples_max: usize,
    /// `precision` in seconds: how exactly the clock can be read.
    pub precision_s: f64,
    /// `txcomp` in seconds, added to departures.
    pub transmit_s: f64,
    /// `rxcomp` in seconds, subtracted from arrivals.
    pub receive_s: f64,
    /// Without `nocrossts`: the card may compare the two clocks itself.
    pub is_crossed: bool,
    /// `rxfilter`; `None`: the narrowest that NTP needs.
    pub filter: Option<ReceiveFilter>,
}

/// Which arrivals a card stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveFilter {
    /// All.
    All,
    /// NTP's.
    Ntp,
    /// PTP's.
    Ptp,
    /// None.
    Nothing,
}

/// `driftfile`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftFileLine {
    /// Where.
    pub path: PathBuf,
    /// `interval`: written no more often, in seconds.
    pub interval_s: u32,
}

impl DriftFileLine {
    /// `interval`, by default.
    pub const INTERVAL_S: u32 = 3600;
}

/// `smoothtime`, as typed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothingLine {
    /// The largest frequency, in parts per million.
    pub frequency_max_ppm: f64,
    /// The largest wander, in parts per million per second.
    pub wander_max_ppm: f64,
    /// `leaponly`
    pub leap_only: bool,
}

/// The real-time clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RtcConfig {
    /// `rtcfile`: with it the clock is measured.
    pub file: Option<PathBuf>,
    /// `rtcdevice`; `None`: `/dev/rtc`.
    pub device: Option<PathBuf>,
    /// `rtcautotrim` in seconds.
    pub autotrim_s: Option<f64>,
    /// `rtconutc`
    pub on_utc: bool,
    /// `hwclockfile`; `None`: `/etc/adjtime`.
    pub hwclock_file: Option<PathBuf>,
}

/// `tempcomp`, as typed. Temperatures are in the sensor's own unit.
#[derive(Clone, Debug, PartialEq)]
pub struct TempcompLine {
    /// The file whose first word is the temperature.
    pub sensor: PathBuf,
    /// How often it is read, in seconds.
    pub interval_s: f64,
    /// What is made of it.
    pub curve: TempcompCurve,
}

/// The compensation by temperature, in parts per million.
#[derive(Clone, Debug, PartialEq)]
pub enum TempcompCurve {
    /// `k0 + (T - T0) k1 + (T - T0)^2 k2`
    Coefficients {
        /// `T0`
        t0: f64,
        /// `k0`
        k0: f64,
        /// `k1`
        k1: f64,
        /// `k2`
        k2: f64,
    },
    /// A file of points.
    Points(PathBuf),
}

/// Files about sources and clock.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordsConfig {
    /// `logdir`
    pub directory: Option<PathBuf>,
    /// `log`
    pub logs: Vec<LogName>,
    /// `logbanner`; 0: none.
    pub banner_lines: u32,
    /// `logchange` in seconds.
    pub log_change_s: f64,
    /// `dumpdir`
    pub dump_directory: Option<PathBuf>,
}

/// The words of `log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogName {
    /// All packets of sources, in measurements.log.
    Rawmeasurements,
    /// Valid measurements of synchronised sources, in measurements.log.
    Measurements,
    /// What the register shows, after each sample.
    Statistics,
    /// What each source came to, at each selection.
    Selection,
    /// What was done with the clock, at each update.
    Tracking,
    /// The real-time clock.
    Rtc,
    /// Reference clocks, raw and filtered.
    Refclocks,
    /// Temperatures and what was made of them.
    Tempcomp,
}

impl LogName {
    /// All of them, in the manual's order.
    pub const ALL: [Self; 8] = [
        Self::Rawmeasurements,
        Self::Measurements,
        Self::Statistics,
        Self::Selection,
        Self::Tracking,
        Self::Rtc,
        Self::Refclocks,
        Self::Tempcomp,
    ];

    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rawmeasurements => "rawmeasurements",
            Self::Measurements => "measurements",
            Self::Statistics => "statistics",
            Self::Selection => "selection",
            Self::Tracking => "tracking",
            Self::Rtc => "rtc",
            Self::Refclocks => "refclocks",
            Self::Tempcomp => "tempcomp",
        }
    }
}

/// `follow`: another program keeps the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// The kernel's state becomes what we say of ourselves.
    Kernel {
        /// `stratum`, 1 to 15.
        stratum: u8,
        /// `refid`
        reference_id: ReferenceId,
    },
    /// A chronyd's `tracking` becomes what we say of ourselves.
    Chronyd(ChronydAddress),
}

/// Where a chronyd takes commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChronydAddress {
    /// UDP; chrony's own port is 323.
    Udp(SocketAddr),
    /// Its unix datagram socket.
    Unix(PathBuf),
}

/// Threads, cores, privileges, files of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// `workers`; `None` is `auto`: one per allowed core, or as many as receive with `steer cpu`.
    pub workers: Option<usize>,
    /// `cpus`; empty: all allowed cores.
    pub cpus: Vec<usize>,
    /// `burst`: datagrams per system call.
    pub burst: usize,
    /// `busypoll`: microseconds; 0 is off.
    pub busy_poll_us: u32,
    /// `pace`
    pub pace: Pace,
    /// `steer`
    pub steer: Steer,
    /// `user`, `-u`
    pub user: Option<String>,
    /// `pidfile`; `None` where it is `/`.
    pub pid_file: Option<PathBuf>,
    /// `sched_priority`, `-P`; 0 is none.
    pub sched_priority: u8,
    /// `lock_all`, `-m`
    pub lock_all: bool,
}

/// How a worker waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Pace {
    /// Spin a bounded time after the last packet, then park.
    #[default]
    Adaptive,
    /// Never park.
    Spin,
    /// Park as soon as nothing waits.
    Park,
}

/// Which worker gets a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Steer {
    /// By a keyed hash of the source address: a client always meets the same worker.
    #[default]
    Source,
    /// By the core that received it.
    Cpu,
    /// By the kernel's hash of addresses and ports.
    Hash,
}
