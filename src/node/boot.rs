//! From a configuration to a node that serves, and back to nothing.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::command::{CommandPorts, Commands, Crew};
use super::fast_paths::FastPaths;
use super::kernel_form::Kernel;
use super::log::{self as log_sink, LogOptions};
use super::metrics::Metrics;
use super::placement::Placement;
use super::ports::{PortError, Ports};
use super::responders::{Queues, Responders};
use super::summary::Summary;
use super::timekeeper::{Ending, Timekeeper};
use super::{PlacementError, keys, start, start_time};
use crate::auth::{Key, KeyStore};
use crate::config::{Config, Notice, RuntimeConfig};
use crate::discipline::{End, Purpose};
use crate::fastpath::FastPathError;
use crate::sys::{UdpPort, adjtimex, clock, process, random};

/// What the command line says beyond the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where log lines go.
    pub log: LogOptions,
    /// No file and no directive was given: say what to try next.
    pub embedded_default: bool,
    /// Without `-x` the system clock is set, where there are sources.
    pub controls_clock: bool,
    /// `-q`, `-Q`
    pub purpose: Purpose,
    /// `-r`: samples of an earlier run are taken in.
    pub reads_dumps: bool,
    /// `-s`: the clock is set by the real-time clock, or by the drift file, first.
    pub sets_from_rtc: bool,
    /// `-t`: the end, so many seconds from the start.
    pub seconds: Option<u32>,
}

/// Why the node cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// A socket.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The kernel cannot answer for us.
    #[error("fastpath: {0}")]
    FastPath(#[from] FastPathError),
    /// The workers' cores.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// The clock cannot be set.
    #[error(
        "the system clock may not be set by this user: start as root or with CAP_SYS_TIME, or add -x to keep served time \
         right and leave the clock alone"
    )]
    NoControl,
    /// `-q` or `-Q` without anybody to ask.
    #[error("no server, pool or peer is configured: there is nothing to take the time from")]
    NoSources,
    /// The system process ended.
    #[error("{}", why(.0))]
    Clock(End),
    /// A signal, before the clock was set or measured.
    #[error("{0}: ended before a source has answered well")]
    Interrupted(&'static str),
    /// Something else the system refused.
    #[error("{doing}: {error}")]
    System {
        /// What was being done, and for which word of the configuration.
        doing: String,
        /// The system's reason.
        error: io::Error,
    },
}

fn why(end: &End) -> String {
    match end {
        End::Set(offset_s) | End::Measured(offset_s) => {
            format!("the clock was wrong by {offset_s:.6} s")
        }
        End::NoSource => "no source has answered well: is the network up, are names found?".into(),
        End::ExceededMaxChange => "an offset has exceeded maxchange too often".into(),
    }
}

pub(super) fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Fatal {
    |error| Fatal::System {
        doing: doing.into(),
        error,
    }
}

/// Serves until a signal ends it. Log lines go where `options` say; the summary of the run is the answer.
///
/// # Errors
/// What stands in the way of starting; nothing a client sends ends a running node.
pub fn serve(config: &Config, notices: &[Notice], options: &Options) -> Result<Summary, Fatal> {
    begin_to_log(notices, options)?;
    if let Err(error) = process::lift_open_files_limit() {
        log::warn!("the limit on open files stays: {error}");
    }
    let read_keys = load_keys(config.key_file.as_deref());
    let keys = Arc::new(KeyStore::new(&read_keys).0);
    let placement = Placement::here(config)?;
    log::info!("{placement}");
    for warning in &placement.warnings {
        log::warn!("{warning}");
    }
    // Without workers there is one socket for each address all the same.
    let cpus = if is_inline(config) {
        vec![0]
    } else {
        placement.cores
    };
    let steering_key = random::array().map_err(system("randomness"))?;
    let ports = Ports::open(
        &config.server,
        config.runtime.steer,
        (&cpus, start::has_peers(config)),
        &steering_key,
    )?;
    busy_poll(config, &ports);
    let started_ns = clock::monotonic_ns();
    let mut timekeeper = start_timekeeper(config, options, &keys)?;
    let stamping = keep_stamping_on();
    let _pid_file = config
        .runtime
        .pid_file
        .as_deref()
        .map(write_pid_file)
        .transpose()?;
    let fast_paths = FastPaths::open(config, &read_keys, &ports.addresses)?;
    drop(read_keys);
    settle(config, options, &ports)?;
    warn_of_missing_stamps(&ports);
    let queues = Arc::new(Queues::of(&ports).map_err(system("sockets"))?);
    let published = timekeeper.published();
    let ports_at = ports.addresses;
    let mut responders = Responders::start(config, cpus, ports.by_worker, &keys, &published)?;
    let serves = |is_v6| {
        let mut addresses = ports_at.iter();
        addresses.any(|address| address.is_ipv6() == is_v6)
    };
    let crew = Crew::new(
        responders.hands(),
        [serves(false), serves(true)],
        fast_paths,
    );
    timekeeper.watch(crew, ports_at.clone(), Arc::clone(&queues));
    introduce(&ports_at, responders.count(), options);
    log_sink::limit();
    let end_ns = options
        .seconds
        .map(|seconds| started_ns.saturating_add(u64::from(seconds) * 1_000_000_000));
    let ending = timekeeper
        .run(responders.inline(), end_ns)
        .map_err(system("timekeeper"))?;
    log::info!("{ending}: ending");
    let by_kernel = timekeeper.finish(ending == Ending::Signal("SIGQUIT"));
    let mut summary = responders.finish(&queues);
    summary.workers.extend(by_kernel);
    drop(stamping);
    log_sink::finish();
    match ending {
        Ending::Signal(_) | Ending::TimeOver => Ok(summary),
        Ending::Done(end) => Err(Fatal::Clock(end)),
    }
}

fn busy_poll(config: &Config, ports: &Ports) {
    let micros = config.runtime.busy_poll_us;
    if micros > 0
        && let Err(error) = ports.busy_poll(micros)
    {
        log::warn!("busypoll: {error}: it takes CAP_NET_ADMIN and Linux 5.11");
    }
}

fn begin_to_log(notices: &[Notice], options: &Options) -> Result<(), Fatal> {
    log_sink::start(&options.log).map_err(system("log"))?;
    for notice in notices {
        log::warn!("{notice}");
    }
    Ok(())
}

fn start_timekeeper(
    config: &Config,
    options: &Options,
    keys: &Arc<KeyStore>,
) -> Result<Timekeeper, Fatal> {
    if options.sets_from_rtc {
        set_clock_at_start(config, options)?;
    }
    if !config.hardware.interfaces.is_empty() {
        log::warn!("{}", start::hardware_limits(config));
    }
    for name in start::without_effect(config) {
        log::warn!("{name}: no effect: there is no source to keep the clock by");
    }
    let sources = if start::keeps_clock(config) {
        if config.time.follow.is_some() {
            log::warn!("follow: no effect: there are sources to keep the clock by");
        }
        let kernel = if options.controls_clock && options.purpose != Purpose::MeasureOnce {
            if !adjtimex::may_set_clock() {
                return Err(Fatal::NoControl);
            }
            Kernel::adjusted(config.clock.rtc_sync).map_err(system("the system clock"))?
        } else {
            log::info!("Disabled control of system clock");
            Kernel::uncontrolled()
        };
        Some(start::system(
            config,
            (options.purpose, options.reads_dumps),
            kernel,
            keys,
        )?)
    } else {
        None
    };
    let seed = random::array().map_err(system("randomness"))?;
    let (ports, metrics) = if options.purpose == Purpose::Keep {
        let metrics = Metrics::open(config).map_err(system("epoll"))?;
        (CommandPorts::open(config), Some(metrics))
    } else {
        (CommandPorts::none(), None)
    };
    let commands = Commands::new(config, ports, seed);
    Timekeeper::new(config, sources, commands, metrics).map_err(system("timekeeper"))
}

/// `-s`
fn set_clock_at_start(config: &Config, options: &Options) -> Result<(), Fatal> {
    if !options.controls_clock || options.purpose == Purpose::MeasureOnce {
        log::warn!("-s: no effect: the clock is left alone");
        return Ok(());
    }
    if !adjtimex::may_set_clock() {
        return Err(Fatal::NoControl);
    }
    Kernel::adjusted(config.clock.rtc_sync)
        .and_then(|mut kernel| start_time::apply(config, &mut kernel))
        .map_err(system("-s: the system clock"))
}

/// Sets or measures the clock once (`-q`, `-Q`): no worker, no port. What it came to, in seconds the clock was slow.
///
/// # Errors
/// What stands in the way of starting; that no source has answered well.
pub fn once(config: &Config, notices: &[Notice], options: &Options) -> Result<f64, Fatal> {
    begin_to_log(notices, options)?;
    if !start::keeps_clock(config) {
        return Err(Fatal::NoSources);
    }
    let keys = load_keys(config.key_file.as_deref());
    let keys = Arc::new(KeyStore::new(&keys).0);
    let started_ns = clock::monotonic_ns();
    let mut timekeeper = start_timekeeper(config, options, &keys)?;
    let end_ns = options
        .seconds
        .map(|seconds| started_ns.saturating_add(u64::from(seconds) * 1_000_000_000));
    let ending = timekeeper.run(None, end_ns).map_err(system("timekeeper"))?;
    timekeeper.finish(false);
    match ending {
        Ending::Done(End::Set(offset_s) | End::Measured(offset_s)) => Ok(offset_s),
        Ending::Done(end) => Err(Fatal::Clock(end)),
        Ending::TimeOver => Err(Fatal::Clock(End::NoSource)),
        Ending::Signal(name) => Err(Fatal::Interrupted(name)),
    }
}

fn warn_of_missing_stamps(ports: &Ports) {
    let mut all = ports.by_worker.iter().flatten();
    if all.any(|port| !port.has_stamps()) {
        log::warn!(
            "the kernel gives no receive timestamps: the clock is read when a request is taken"
        );
    }
}

/// `workers 0`: the responder has no thread of its own.
fn is_inline(config: &Config) -> bool {
    config.runtime.workers == Some(0)
}

/// The kernel stamps arrivals only while some socket wants it, and starts a little late: this one wants it
/// for as long as we live. Without it the first requests after a pause would have no stamp.
fn keep_stamping_on() -> Option<UdpPort> {
    UdpPort::open(&crate::sys::PortOptions {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        device: None,
        dscp: 0,
        shared: false,
        buffer_bytes: 1 << 12,
    })
    .inspect_err(|error| log::warn!("no idle socket to keep receive timestamps on: {error}"))
    .ok()
}

fn load_keys(file: Option<&Path>) -> Vec<Key> {
    file.map_or_else(Vec::new, keys::load_and_tell)
}

/// Memory, priority, user: what needs root, and then root itself goes. No thread has been started yet.
fn settle(whole: &Config, options: &Options, ports: &Ports) -> Result<(), Fatal> {
    let config = &whole.runtime;
    if config.lock_all {
        if config.user.is_some() {
            // Without it the workers' stacks, which are future memory, could not be had.
            let doing =
                "lock_all with user: the limit on locked memory (ulimit -l) stays when root goes";
            process::lift_memory_lock_limit().map_err(system(doing))?;
        }
        process::lock_memory().map_err(system("lock_all"))?;
    }
    if config.sched_priority > 0 {
        // One above the workers', which may never yield: a signal must still get through.
        process::set_fifo_priority(worker_priority(config) + 1)
            .map_err(system("sched_priority"))?;
    }
    match &config.user {
        Some(user) if process::is_root() => {
            let doing = || format!("user {user}");
            let user_id = process::user_id(user).map_err(system(doing()))?;
            ports.give_to(user_id).map_err(system(doing()))?;
            let keep = start::capabilities(whole, options.controls_clock);
            process::become_user(user, &keep).map_err(system(doing()))
        }
        Some(user) => {
            log::warn!("user {user}: not root, so the user stays as it is");
            Ok(())
        }
        None => Ok(()),
    }
}

/// The workers' real-time priority: one below the highest, 99, is left for the timekeeper.
pub(super) fn worker_priority(config: &RuntimeConfig) -> u8 {
    config.sched_priority.min(98)
}

/// A pid file that goes when the node does.
struct PidFile(PathBuf);

fn write_pid_file(path: &Path) -> Result<PidFile, Fatal> {
    let text = format!("{}\n", std::process::id());
    std::fs::write(path, text).map_err(system(format!("pidfile {}", path.display())))?;
    Ok(PidFile(path.into()))
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            log::warn!("pidfile {}: {error}", self.0.display());
        }
    }
}

fn introduce(addresses: &[SocketAddr], workers: usize, options: &Options) {
    if addresses.is_empty() {
        log::warn!("no port is open: nobody is allowed (`allow`), or `port 0`");
        return;
    }
    let list = addresses
        .iter()
        .map(SocketAddr::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    log::info!("listening on {list} with {workers} workers");
    if options.embedded_default
        && let Some(address) = addresses.first()
    {
        eprintln!(
            "\nmaser answers on {list} (loopback only, stratum 10 of its own, the clock is not touched).\n\
             Try, in another terminal:\n\
             \n    scripts/check-server.py --ip {ip} --port {port}\
             \n    chronyc -n -h 127.0.0.1 -p 11323 tracking\
             \n    chronyd -Q -t 10 'port 0' 'cmdport 0' 'server {ip} port {port} iburst maxsamples 1'\n\
             \nCtrl-C ends it and prints what it has done.",
            ip = address.ip(),
            port = address.port(),
        );
    }
}
