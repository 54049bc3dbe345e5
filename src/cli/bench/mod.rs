//! `maser bench`: the load harness's arguments.

mod outputs;
mod plot;

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use outputs::Outputs;

use super::{Exit, complain};
use crate::bench::{
    Carriage, Course, Echo, Kind, Ladder, Load, Mix, NullServer, Order, Plan, Raw, Signature,
    XdpError,
};
use crate::config::keyfile;
use crate::server::Subnet;
use crate::wire::KeyId;

/// Drive an NTP server and tell what it holds.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Bench {
    #[command(subcommand)]
    command: Option<Command>,
    /// The server: HOST, HOST:PORT, [IPV6]:PORT.
    #[arg(required_unless_present_any = ["null", "echo"])]
    target: Option<String>,
    /// Requests a second (10k, 1.5M).
    #[arg(long, value_name = "RATE", default_value = "1k")]
    rate: Rate,
    /// Rates from one to another, each so many times the one before.
    #[arg(long, value_name = "FROM-TO:xFACTOR", conflicts_with = "knee")]
    ladder: Option<Rungs>,
    /// Look for the highest rate within the bound on loss, between the ends of a ladder.
    #[arg(long, value_name = "FROM-TO:xFACTOR", num_args = 0..=1, default_missing_value = "1k-2M:x2")]
    knee: Option<Rungs>,
    /// Closed loop: this many requests in flight.
    #[arg(long, value_name = "N", conflicts_with_all = ["ladder", "knee", "exponential"])]
    in_flight: Option<usize>,
    /// Exponential gaps, as independent clients ask.
    #[arg(long)]
    exponential: bool,
    /// The most that may be lost, in percent; more is exit code 1.
    #[arg(long, value_name = "PERCENT")]
    loss: Option<f64>,
    /// Seconds that a step is measured.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    duration: f64,
    /// Seconds before that, in no figure.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5)]
    warmup: f64,
    /// Seconds after which a reply is lost.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5)]
    timeout: f64,
    /// Milliseconds after its moment at which a request is not sent any more.
    #[arg(long, value_name = "MS", default_value_t = 10.0)]
    late: f64,
    /// Microseconds for which requests that are due are held back to leave together, as a network card with
    /// moderated interrupts would deliver them. Latency counts from the moment each was meant to leave.
    #[arg(
        long,
        value_name = "US",
        default_value_t = 0.0,
        conflicts_with = "in_flight"
    )]
    gather: f64,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// The threads' cores, one after the other: 0,2.
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Source ports of each thread.
    #[arg(long, value_name = "N", default_value_t = 4)]
    ports: usize,
    /// Source addresses: as many of --source-net.
    #[arg(long, value_name = "N", default_value_t = 256)]
    clients: u32,
    /// Take source addresses out of this network, which must be this machine's (127.8.0.0/16), but for --raw.
    #[arg(long, value_name = "NETWORK")]
    source_net: Option<String>,
    /// The n-th client asks 1/n^S times as often as the first.
    #[arg(long, value_name = "S")]
    zipf: Option<f64>,
    /// One-shot clients: all addresses of --source-net by turns, none twice before each has asked.
    #[arg(long, requires = "source_net", conflicts_with_all = ["zipf", "clients"])]
    storm: bool,
    /// Send whole frames by this interface, past the network stack; from a --source-net that the server
    /// reaches through it and that is not this machine's.
    #[arg(long, value_name = "INTERFACE", requires_all = ["source_net", "dst_mac"], group = "frames")]
    raw: Option<String>,
    /// The same by programs in XDP, of which one writes frames that the kernel makes, and another takes replies at
    /// the same interface: a million a second and more from one core. One kind of request, one thread.
    #[arg(long, value_name = "INTERFACE", requires_all = ["source_net", "dst_mac"], group = "frames",
        conflicts_with_all = ["exponential", "gather", "zipf", "storm", "spoof_net"])]
    xdp: Option<String>,
    /// The hardware address of the server, or of the router before it.
    #[arg(long, value_name = "MAC", requires = "frames")]
    dst_mac: Option<Mac>,
    /// The hardware address frames come from; replies to another than the interface's own are none of this
    /// machine's network stack's, which spares it the work. The server must have it as its neighbour's.
    #[arg(long, value_name = "MAC", requires = "frames")]
    src_mac: Option<Mac>,
    /// The network that spoofed requests claim to come from. The server answers there: it must be yours.
    #[arg(long, value_name = "NETWORK", requires = "raw")]
    spoof_net: Option<String>,
    /// Nanoseconds that the way from clock to clock takes, taken off the errors of the server's stamps.
    #[arg(
        long,
        value_name = "NS",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    correction: i64,
    /// What is sent: basic, signed, interleaved, extension; malformed, badmac, unknownkey, replay, spoofed.
    #[arg(long, value_name = "KIND=SHARE,…")]
    mix: Option<Mix>,
    /// The key of signed requests.
    #[arg(long, value_name = "KEYFILE:ID")]
    key: Option<String>,
    /// NTP version.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=4))]
    version: u8,
    /// Write the figures of each step to this file too, as JSON lines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw replies and latency by rate into this file (SVG).
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the latencies to this file as HdrHistogram's tools read them; of a ladder or a knee one file a
    /// rate, which stands before the file's extension; those of --null beside a target in files of their own.
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
    /// No progress line on the terminal.
    #[arg(long, short)]
    quiet: bool,
    /// What this run is called there.
    #[arg(long, default_value = "")]
    label: String,
    /// The server's processes, whose CPU time and drops are told; by default whoever has the target's socket
    /// on this machine.
    #[arg(long, value_name = "PID", value_delimiter = ',', value_parser = process)]
    server_pid: Vec<u32>,
    /// Drive a built-in responder that only swaps fields too, or it alone where no target is named: the
    /// ceiling of harness and kernel. With --raw it stands on an interface: --null=INTERFACE.
    #[arg(long, value_name = "INTERFACE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    null: Option<String>,
    /// Only run that responder, at this address, until ended: for a harness that is elsewhere.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "null", conflicts_with_all = ["target", "frames"])]
    listen: Option<SocketAddr>,
    /// Only run a bare echo in XDP at this interface, until ended: the ceiling of --xdp.
    #[arg(long, value_name = "INTERFACE", conflicts_with_all = ["target", "frames", "null"])]
    echo: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Plot(plot::Plot),
}

/// A number with k or M behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rate(f64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = match text.as_bytes().last() {
            Some(b'k') => (&text[..text.len() - 1], 1e3),
            Some(b'M') => (&text[..text.len() - 1], 1e6),
            _ => (text, 1.0),
        };
        let rate = number.parse::<f64>().map(|number| number * unit);
        match rate {
            Ok(rate) if (1.0..=1e8).contains(&rate) => Ok(Self(rate)),
            _ => Err("expected requests a second, 1 to 100M, as 500, 10k or 1.5M".into()),
        }
    }
}

/// Addresses of a storm, and those that spoofed requests claim: so many at most.
const STORM_MAX: u32 = 1 << 20;
const SPOOFED_MAX: u32 = 1 << 16;

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mac([u8; 6]);

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "expected a hardware address, as 02:00:00:00:00:01".to_owned();
        let octets: Result<Vec<u8>, _> = text
            .split(':')
            .map(|octet| u8::from_str_radix(octet, 16).map_err(|_| bad()))
            .collect();
        octets?.try_into().map(Self).map_err(|_| bad())
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Rungs(Ladder);

impl FromStr for Rungs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "expected FROM-TO:xFACTOR, as 10k-1M:x1.5".to_owned();
        let (range, factor) = text.split_once(":x").ok_or_else(bad)?;
        let (from, to) = range.split_once('-').ok_or_else(bad)?;
        let (Rate(from), Rate(to)) = (from.parse()?, to.parse()?);
        let factor: f64 = factor.parse().map_err(|_| bad())?;
        if from > to || !(1.01..=100.0).contains(&factor) {
            return Err(bad());
        }
        Ok(Self(Ladder { from, to, factor }))
    }
}

impl Bench {
    pub(super) fn run(self) -> Exit {
        let done = match &self.command {
            Some(Command::Plot(plot)) => plot.run(),
            None => self.runs(),
        };
        match done {
            Ok(exit) => exit,
            Err((text, exit)) => complain(&format!("maser bench: {text}"), exit),
        }
    }

    /// The target's run, and that of the responder which does nothing.
    fn runs(&self) -> Result<Exit, Mistake> {
        if let Some(address) = self.listen {
            return respond(address);
        }
        if let Some(interface) = &self.echo {
            return echo(interface);
        }
        let mut outputs = Outputs::create(self)?;
        let mut exit = Exit::Success;
        if let Some(target) = &self.target {
            let plan = self.plan(address(target).map_err(usage)?).map_err(usage)?;
            exit = outputs.course(&plan, &plan.target.to_string(), &self.label)?;
        }
        if let Some(interface) = &self.null {
            let (server, target) = self.null_server(interface)?;
            let mut plan = self.plan(target).map_err(usage)?;
            plan.server_pids = vec![std::process::id()];
            if self.target.is_some() {
                say(
                    "\nthe same against a responder that does nothing, the ceiling of harness and kernel:\n",
                );
            }
            let of_null = outputs.course(&plan, "null responder", "null")?;
            drop(server);
            if self.target.is_none() {
                exit = of_null;
            }
        }
        outputs.finish()?;
        Ok(exit)
    }

    /// A responder on loopback, or on the far interface of whole frames, on a core the harness leaves free.
    fn null_server(&self, interface: &str) -> Result<(NullServer, SocketAddr), Mistake> {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let mut free = cores.into_iter().map(|core| core.id);
        let cpu = free.find(|core| !self.cpus.is_empty() && !self.cpus.contains(core));
        if self.xdp.is_some() {
            return Err(usage(
                "--null: with --xdp run `maser bench --echo INTERFACE` at the other end".into(),
            ));
        }
        let server = match (&self.raw, interface) {
            (None, "") => NullServer::start(cpu),
            (None, _) => return Err(usage("--null=INTERFACE: it takes --raw".into())),
            (Some(_), "") => {
                return Err(usage(
                    "--null: with --raw it takes an interface: --null=INTERFACE".into(),
                ));
            }
            (Some(_), interface) => {
                let address = match &self.target {
                    Some(target) => address(target).map_err(usage)?,
                    // Nobody's: of the network set aside for such tests (RFC 2544).
                    None => SocketAddr::from(([198, 18, 0, 1], 123)),
                };
                NullServer::start_raw(interface, address, cpu)
            }
        };
        let server = server.map_err(|error| (format!("--null: {error}"), Exit::Failure))?;
        let address = server.address();
        Ok((server, address))
    }

    /// What is sent, as far as it can be.
    fn mix(&self, has_key: bool) -> Result<Mix, String> {
        let usual = if has_key { Kind::Signed } else { Kind::Basic };
        let mix = self.mix.clone().unwrap_or_else(|| Mix::only(usual));
        let mut kinds = Kind::ALL.into_iter().filter(|kind| mix.has(*kind));
        if !has_key && kinds.any(Kind::needs_key) {
            return Err(format!("--mix {mix}: it takes a key: --key KEYFILE:ID"));
        }
        if self.version != 4 && mix.has(Kind::Extension) {
            return Err(format!(
                "--mix {mix}: extension fields are of version 4, not {}",
                self.version
            ));
        }
        Ok(mix)
    }

    fn plan(&self, target: SocketAddr) -> Result<Plan, String> {
        let signature = self.key.as_deref().map(signature).transpose()?;
        let mix = self.mix(signature.is_some())?;
        let course = match (self.ladder, self.knee) {
            (Some(Rungs(ladder)), _) => Course::Ladder(ladder),
            (None, Some(Rungs(ladder))) => Course::Knee(ladder),
            (None, None) => Course::One(self.rate.0),
        };
        let seconds = |name: &str, seconds: f64| {
            Duration::try_from_secs_f64(seconds).map_err(|_| format!("--{name}: expected seconds"))
        };
        let sources = match &self.source_net {
            None => Vec::new(),
            Some(network) if self.storm => sources("source-net", network, STORM_MAX, target)?,
            Some(network) => sources("source-net", network, self.clients, target)?,
        };
        if self
            .zipf
            .is_some_and(|exponent| !(0.0..=10.0).contains(&exponent))
        {
            return Err("--zipf: expected an exponent from 0 to 10".into());
        }
        Ok(Plan {
            target,
            load: match self.in_flight {
                Some(in_flight) => Load::Closed {
                    in_flight: in_flight.max(1),
                },
                None => Load::Open {
                    exponential: self.exponential,
                },
            },
            course,
            signature,
            version: self.version,
            duration: seconds("duration", self.duration)?,
            warm_up: seconds("warmup", self.warmup)?,
            patience: seconds("timeout", self.timeout)?,
            lateness_max: seconds("late", self.late / 1e3)?,
            gather: seconds("gather", self.gather / 1e6)?,
            cpus: (0..self.threads.max(1))
                .map(|thread| self.cpus.get(thread).copied())
                .collect(),
            ports: self.ports.max(1),
            sources,
            order: match self.zipf {
                _ if self.storm => Order::Storm,
                Some(exponent) => Order::Zipf(exponent),
                None => Order::Turns,
            },
            associations: self.clients as usize,
            carriage: self.carriage(&mix, target)?,
            correction_ns: self.correction,
            server_pids: self.server_pid.clone(),
            mix,
        })
    }

    /// What programs in XDP can do, and this one was built with.
    fn in_xdp(&self, mix: &Mix, interface: &str, destination: [u8; 6]) -> Result<Carriage, String> {
        if !cfg!(feature = "xdp") {
            return Err(format!("--xdp: {}", XdpError::NotBuilt));
        }
        let kinds: Vec<Kind> = Kind::ALL
            .into_iter()
            .filter(|kind| mix.has(*kind))
            .collect();
        let is_one = matches!(kinds[..], [Kind::Basic | Kind::Signed]);
        if !is_one || self.threads > 1 {
            return Err(format!(
                "--xdp: one kind of request, basic or signed, by one thread; not {mix} by {}",
                self.threads
            ));
        }
        Ok(Carriage::Xdp(Raw {
            interface: interface.to_owned(),
            source: self.src_mac.map(|Mac(source)| source),
            destination,
            spoofed: Vec::new(),
        }))
    }

    fn carriage(&self, mix: &Mix, target: SocketAddr) -> Result<Carriage, String> {
        if let (Some(interface), Some(Mac(destination))) = (&self.xdp, self.dst_mac) {
            return self.in_xdp(mix, interface, destination);
        }
        let (Some(interface), Some(Mac(destination))) = (&self.raw, self.dst_mac) else {
            return match mix.has(Kind::Spoofed) {
                true => Err(format!("--mix {mix}: spoofed takes --raw")),
                false => Ok(Carriage::Udp),
            };
        };
        let spoofed = match &self.spoof_net {
            Some(network) => sources("spoof-net", network, SPOOFED_MAX, target)?,
            None if mix.has(Kind::Spoofed) => {
                return Err(format!(
                    "--mix {mix}: spoofed takes a network: --spoof-net NETWORK"
                ));
            }
            None => Vec::new(),
        };
        Ok(Carriage::Raw(Raw {
            interface: interface.clone(),
            source: self.src_mac.map(|Mac(source)| source),
            destination,
            spoofed,
        }))
    }
}

/// Answers as a bare echo in XDP until a signal ends the process, and with it the echo.
fn echo(interface: &str) -> Result<Exit, Mistake> {
    let _echo =
        Echo::start(interface).map_err(|error| (format!("--echo: {error}"), Exit::Failure))?;
    say(&format!("echo at {interface}\n"));
    loop {
        std::thread::park();
    }
}

/// What is wrong, and how the process ends.
type Mistake = (String, Exit);

const fn usage(text: String) -> Mistake {
    (text, Exit::Usage)
}

/// Answers as the null responder until a signal ends the process.
fn respond(address: SocketAddr) -> Result<Exit, Mistake> {
    let server = NullServer::start_at(address, None)
        .map_err(|error| (format!("--listen {address}: {error}"), Exit::Failure))?;
    say(&format!("null responder at {}\n", server.address()));
    loop {
        std::thread::park();
    }
}

/// Prints at once; who closes the pipe does not want the rest.
fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn address(target: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = target.parse::<SocketAddr>() {
        return Ok(address);
    }
    let found = match target.parse::<IpAddr>() {
        Ok(address) => return Ok(SocketAddr::new(address, 123)),
        Err(_) if target.contains(':') => target.to_socket_addrs(),
        Err(_) => (target, 123).to_socket_addrs(),
    };
    let found = found.map_err(|error| format!("{target}: {error}"))?.next();
    found.ok_or_else(|| format!("{target}: no address"))
}

/// A process that is there now.
fn process(text: &str) -> Result<u32, String> {
    let pid: u32 = text.parse().map_err(|_| "expected a process's number")?;
    let folder = Path::new("/proc").join(pid.to_string());
    folder
        .is_dir()
        .then_some(pid)
        .ok_or_else(|| "there is no such process".into())
}

fn signature(text: &str) -> Result<Signature, String> {
    let bad = || format!("--key {text}: expected KEYFILE:ID");
    let (file, id) = text.rsplit_once(':').ok_or_else(bad)?;
    let id = KeyId(id.parse().map_err(|_| bad())?);
    let bytes = std::fs::read(Path::new(file)).map_err(|error| format!("{file}: {error}"))?;
    let bytes = zeroize::Zeroizing::new(bytes);
    let (keys, _) = keyfile::load(&bytes);
    let key = keys
        .find(id)
        .ok_or_else(|| format!("{file}: no usable key {}", id.0))?;
    Ok(Signature {
        keys: Arc::new(keys),
        key,
        id,
    })
}

/// The first addresses of a network that a host may have.
fn sources(
    option: &str,
    network: &str,
    most: u32,
    target: SocketAddr,
) -> Result<Vec<IpAddr>, String> {
    let bad = || format!("--{option} {network}: expected a network, as 127.8.0.0/16");
    let (address, length) = network.split_once('/').ok_or_else(bad)?;
    let length = length.parse().map_err(|_| bad())?;
    let subnet = Subnet::new(address.parse().map_err(|_| bad())?, length).ok_or_else(bad)?;
    let addresses: Vec<IpAddr> = match subnet {
        Subnet::V4(first, length) => {
            let room = u32::try_from((1u64 << (32 - length)).saturating_sub(2)).unwrap_or(u32::MAX);
            (1..=most.min(room))
                .map(|host| IpAddr::V4((first.to_bits() + host).into()))
                .collect()
        }
        Subnet::V6(first, length) => {
            let room = if length > 96 {
                u32::try_from((1u64 << (128 - length)) - 1).unwrap_or(u32::MAX)
            } else {
                u32::MAX
            };
            (1..=most.min(room))
                .map(|host| IpAddr::V6((first.to_bits() + u128::from(host)).into()))
                .collect()
        }
        Subnet::Any => return Err(bad()),
    };
    if addresses
        .first()
        .is_none_or(|address| address.is_ipv4() != target.is_ipv4())
    {
        return Err(format!(
            "--{option} {network}: not of the target's family, or empty"
        ));
    }
    Ok(addresses)
}
