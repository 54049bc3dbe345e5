//! A configuration as text, for `maser serve -p`: it loads again to the same [`Config`].

mod clock;
mod command;
mod hardware;
mod sources;

use core::fmt::{self, Display, Formatter, LowerExp};

use super::directive::{FAST_PATH_MODES, PACES, STEERS, UNSYNCHRONISED};
use super::{
    ChronydAddress, Config, Families, FastPathConfig, Follow, Loaded, Local, MonitoringConfig,
    RuntimeConfig, ServerConfig, TimeConfig,
};
use crate::server::{AccessRule, RateLimit, Subnet};
use crate::wire::ReferenceId;

/// The resolved configuration, a directive a line and defaults included, then the lines that are not in
/// force yet, as they were typed. Options of the command line that no directive has are comments.
pub fn print(loaded: &Loaded) -> String {
    let mut lines = Vec::new();
    let Config {
        server,
        time,
        sources,
        clock,
        hardware,
        command,
        records,
        monitoring,
        fast_path,
        runtime,
        key_file,
    } = &loaded.config;
    server_lines(server, &mut lines);
    if let Some(file) = key_file {
        lines.push(format!("keyfile {}", file.display()));
    }
    time_lines(time, &mut lines);
    sources::lines(sources, &mut lines);
    clock::lines(clock, &mut lines);
    hardware::lines(hardware, &mut lines);
    command::lines(command, &mut lines);
    clock::record_lines(records, &mut lines);
    monitoring_lines(monitoring, &mut lines);
    fast_path_lines(fast_path, &mut lines);
    runtime_lines(runtime, &mut lines);
    if !loaded.not_in_force.is_empty() {
        lines.push("! not in force yet:".to_owned());
        lines.extend(loaded.not_in_force.iter().cloned());
    }
    lines.push(String::new());
    lines.join("\n")
}

fn server_lines(server: &ServerConfig, lines: &mut Vec<String>) {
    match server.families {
        Families::Both => {}
        Families::V4 => lines.push("! with the option -4".to_owned()),
        Families::V6 => lines.push("! with the option -6".to_owned()),
    }
    lines.push(format!("port {}", server.port));
    for address in &server.bind_addresses {
        lines.push(format!("bindaddress {address}"));
    }
    if let Some(device) = &server.bind_device {
        lines.push(format!("binddevice {device}"));
    }
    lines.push(format!("dscp {}", server.dscp));
    for AccessRule { subnet, allow, all } in &server.access {
        let name = if *allow { "allow" } else { "deny" };
        let all = if *all { " all" } else { "" };
        lines.push(format!("{name}{all}{}", After(subnet)));
    }
    for rule in &server.require_auth {
        lines.push(match rule.subnet {
            Subnet::Any => "requireauth all".to_owned(),
            subnet => format!("requireauth{}", After(&subnet)),
        });
    }
    if let Some(limit) = &server.rate_limit {
        let RateLimit {
            interval_log2,
            burst,
            leak_log2,
            kod_log2,
        } = limit;
        let kod = kod_log2.unwrap_or(0);
        lines.push(format!(
            "ratelimit interval {interval_log2} burst {burst} leak {leak_log2} kod {kod}"
        ));
    }
    lines.push(match server.client_log_bytes {
        Some(bytes) => format!("clientloglimit {bytes}"),
        None => "noclientlog".to_owned(),
    });
    let unsynchronised = word(&UNSYNCHRONISED, server.unsynchronised);
    lines.push(format!("unsynchronised {unsynchronised}"));
}

fn time_lines(time: &TimeConfig, lines: &mut Vec<String>) {
    if let Some(local) = &time.local {
        let Local {
            stratum,
            orphan,
            distance_s,
            activate_s,
            wait_synced_s,
            wait_unsynced_s,
        } = local;
        let orphan = if *orphan { " orphan" } else { "" };
        let (distance, activate) = (Number(*distance_s), Number(*activate_s));
        let (synced, unsynced) = (Number(*wait_synced_s), Number(*wait_unsynced_s));
        lines.push(format!(
            "local stratum {stratum}{orphan} distance {distance} activate {activate} \
             waitsynced {synced} waitunsynced {unsynced}"
        ));
    }
    lines.extend(time.follow.as_ref().map(|follow| match follow {
        Follow::Kernel {
            stratum,
            reference_id,
        } => format!(
            "follow kernel stratum {stratum} refid {}",
            Typed(*reference_id)
        ),
        Follow::Chronyd(ChronydAddress::Udp(address)) => format!("follow chronyd {address}"),
        Follow::Chronyd(ChronydAddress::Unix(path)) => format!("follow chronyd {}", path.display()),
    }));
    if let Some(seconds) = time.clock_precision_s {
        lines.push(format!("clockprecision {}", Number(seconds)));
    }
    lines.push(format!(
        "maxclockerror {}",
        Number(time.max_clock_error_ppm)
    ));
}

fn monitoring_lines(monitoring: &MonitoringConfig, lines: &mut Vec<String>) {
    if let Some(address) = monitoring.address {
        lines.push(format!("metrics {address}"));
    }
    lines.push(format!(
        "readydistance {}",
        Number(monitoring.ready_distance_s)
    ));
    lines.push(format!("drain {}", monitoring.drain_s));
}

fn fast_path_lines(fast_path: &FastPathConfig, lines: &mut Vec<String>) {
    lines.extend(fast_path.lines.iter().map(|line| {
        let mode = word(&FAST_PATH_MODES, line.mode);
        format!("fastpath {} {mode}", line.interface)
    }));
    if let Some(limit) = fast_path.limit {
        lines.push(format!("fastpathlimit {} {}", limit.rate, limit.burst));
    }
    if fast_path.departure_ns != 0 {
        lines.push(format!("fastpathdeparture {}", fast_path.departure_ns));
    }
}

fn runtime_lines(runtime: &RuntimeConfig, lines: &mut Vec<String>) {
    lines.push(match runtime.workers {
        Some(workers) => format!("workers {workers}"),
        None => "workers auto".to_owned(),
    });
    if !runtime.cpus.is_empty() {
        lines.push(format!("cpus {}", CpuList(&runtime.cpus)));
    }
    lines.push(format!("burst {}", runtime.burst));
    lines.push(format!("busypoll {}", runtime.busy_poll_us));
    lines.push(format!("pace {}", word(&PACES, runtime.pace)));
    lines.push(format!("steer {}", word(&STEERS, runtime.steer)));
    if let Some(user) = &runtime.user {
        lines.push(format!("user {user}"));
    }
    lines.push(match &runtime.pid_file {
        Some(file) => format!("pidfile {}", file.display()),
        None => "pidfile /".to_owned(),
    });
    lines.push(format!("sched_priority {}", runtime.sched_priority));
    if runtime.lock_all {
        lines.push("lock_all".to_owned());
    }
}

/// The word that stands for a value; the tables have one for each.
fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    let found = words.iter().find(|(_, known)| *known == value);
    found.map_or("", |(word, _)| word)
}

/// A subnet with a blank before it; nothing for all addresses.
struct After<'a>(&'a Subnet);

impl Display for After<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Subnet::Any => Ok(()),
            Subnet::V4(address, length) => write!(f, " {address}/{length}"),
            Subnet::V6(address, length) => write!(f, " {address}/{length}"),
        }
    }
}

/// The shortest text that reads back as the same number.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plain = (1e-4..1e10).contains(&self.0) || self.0.to_bits() == 0;
        if plain {
            Display::fmt(&self.0, f)
        } else {
            LowerExp::fmt(&self.0, f)
        }
    }
}

/// A reference id as `follow kernel refid` takes it: text where it is text, else an address.
struct Typed(ReferenceId);

impl Display for Typed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let bytes = self.0.to_bytes();
        let len = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        let text = &bytes[..len];
        match core::str::from_utf8(text) {
            Ok(word) if len > 0 && text.iter().all(u8::is_ascii_graphic) => f.write_str(word),
            _ => Display::fmt(&core::net::Ipv4Addr::from(bytes), f),
        }
    }
}

/// Processors in their order, those that follow each other as a range.
pub struct CpuList<'a>(pub &'a [usize]);

impl Display for CpuList<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|before, after| before + 1 == *after);
        for (at, run) in runs.enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match run {
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [only] => write!(f, "{comma}{only}")?,
                [] => {}
            }
        }
        Ok(())
    }
}
