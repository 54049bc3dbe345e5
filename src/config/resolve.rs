//! From statements to a [`Config`]: the second stage, which sees all lines together.

use std::collections::BTreeSet;
use std::path::Path;

use super::directive::{
    ClockLine, CommandAddress, CommandLine, Directive, FastPathWords, MonitoringLine, SourcesLine,
    Support, Who,
};
use super::error::{ConfigError, ConfigErrors, Fault, Notice};
use super::read::{Read, Statement};
use super::{
    ClockConfig, CommandConfig, Config, FastPathConfig, HardwareLine, Loaded, MonitoringConfig,
    Outside, RecordsConfig, RefclockDriver, RefclockSpec, SourcesConfig,
};
use crate::server::{AccessRule, Subnet};
use crate::wire::ReferenceId;

/// Puts the statements together: of a directive that holds one value, the last line counts.
pub(super) fn resolve(read: Read, outside: &dyn Outside) -> Result<Loaded, ConfigErrors> {
    let Read {
        statements,
        mut errors,
        mut notices,
    } = read;
    let mut config = Config::default();
    for statement in &statements {
        if let Err(fault) = apply(&mut config, &statement.directive, outside) {
            errors.push(error(statement, fault));
        }
    }
    if statements
        .iter()
        .any(|s| s.directive == Directive::Noclientlog)
    {
        config.server.client_log_bytes = None;
    }
    for (one, other) in EXCLUSIVE {
        errors.extend(exclusive(&statements, one, other));
    }
    if !errors.is_empty() {
        return Err(ConfigErrors(errors));
    }
    notices.splice(0..0, notices_of(&statements));
    let not_in_force = statements
        .into_iter()
        .filter(|statement| matches!(statement.row.support, Support::NotYet(_)))
        .map(|statement| statement.text)
        .collect();
    Ok(Loaded {
        config,
        notices,
        not_in_force,
    })
}

fn apply(config: &mut Config, directive: &Directive, outside: &dyn Outside) -> Result<(), Fault> {
    let Config {
        server,
        time,
        sources,
        clock,
        hardware,
        records,
        command,
        monitoring,
        fast_path,
        runtime,
        key_file,
    } = config;
    match directive.clone() {
        Directive::Access { allow, all, who } => {
            for subnet in subnets(who, outside)? {
                server.access.push(AccessRule { subnet, allow, all });
            }
        }
        Directive::Requireauth(who) => {
            for subnet in subnets(who, outside)? {
                let (allow, all) = (true, false);
                server.require_auth.push(AccessRule { subnet, allow, all });
            }
        }
        Directive::Bindaddress(address) => {
            if !server.bind_addresses.contains(&address) {
                server.bind_addresses.push(address);
            }
        }
        Directive::Binddevice(device) => server.bind_device = Some(device),
        Directive::Clientloglimit(bytes) => server.client_log_bytes = Some(bytes),
        Directive::Dscp(point) => server.dscp = point,
        Directive::Port(port) => server.port = port,
        Directive::Ratelimit(limit) => server.rate_limit = Some(limit),
        Directive::Unsynchronised(what) => server.unsynchronised = what,
        Directive::Clockprecision(seconds) => time.clock_precision_s = Some(seconds),
        Directive::Follow(follow) => time.follow = Some(follow),
        Directive::Local(local) => time.local = Some(local),
        Directive::Maxclockerror(ppm) => time.max_clock_error_ppm = ppm,
        Directive::Burst(datagrams) => runtime.burst = datagrams,
        Directive::Busypoll(micros) => runtime.busy_poll_us = micros,
        Directive::Cpus(cpus) => runtime.cpus = cpus,
        Directive::LockAll => runtime.lock_all = true,
        Directive::Pace(pace) => runtime.pace = pace,
        Directive::Pidfile(file) => {
            runtime.pid_file = Some(file).filter(|file| file != Path::new("/"));
        }
        Directive::SchedPriority(priority) => runtime.sched_priority = priority,
        Directive::Steer(steer) => runtime.steer = steer,
        Directive::User(user) => runtime.user = Some(user),
        Directive::Workers(workers) => runtime.workers = workers,
        Directive::Monitoring(line) => apply_monitoring(monitoring, line),
        Directive::FastPath(words) => apply_fast_path(fast_path, words),
        Directive::Hwtimestamp(line) => put_hardware(&mut hardware.interfaces, line),
        Directive::Hwtstimeout(seconds) => hardware.timeout_s = seconds,
        Directive::Keyfile(file) => *key_file = Some(file),
        Directive::Sources(SourcesLine::Refclock(spec)) => add_refclock(sources, spec)?,
        Directive::Sourcedir(found) => sources.directories.push(found),
        Directive::Sources(line) => apply_sources(sources, line),
        Directive::Command(line) => apply_command(command, line, outside)?,
        Directive::Clock(line) => apply_clock(clock, records, line),
        // Followed while reading, settled after all lines, or not acted on.
        Directive::Include(_)
        | Directive::Confdir(_)
        | Directive::Noclientlog
        | Directive::Checked => {}
    }
    Ok(())
}

/// Of several lines for one interface the last counts.
fn put_hardware(lines: &mut Vec<HardwareLine>, line: HardwareLine) {
    lines.retain(|other| other.interface != line.interface);
    lines.push(line);
}

/// Gives the clock letters if the line has none: the driver's first three and the number of the line.
fn add_refclock(sources: &mut SourcesConfig, mut spec: RefclockSpec) -> Result<(), Fault> {
    let all = &mut sources.refclocks;
    if spec.options.reference_id == ReferenceId::NONE {
        let [a, b, c] = match &spec.driver {
            RefclockDriver::Pps { .. } => *b"PPS",
            RefclockDriver::Sock(_) => *b"SOC",
            RefclockDriver::Shm { .. } => *b"SHM",
            RefclockDriver::Phc { .. } => *b"PHC",
            RefclockDriver::Rtc { .. } => *b"RTC",
        };
        let digit = u8::try_from(all.len() % 10).unwrap_or(0);
        spec.options.reference_id = ReferenceId::from_bytes([a, b, c, b'0' + digit]);
    }
    let letters = spec.options.reference_id;
    if all
        .iter()
        .any(|other| other.options.reference_id == letters)
    {
        return Err(Fault::Refused(
            "another reference clock has these letters; give this one others by refid",
        ));
    }
    all.push(spec);
    Ok(())
}

fn apply_sources(sources: &mut SourcesConfig, line: SourcesLine) {
    let selection = &mut sources.selection;
    match line {
        SourcesLine::Source(spec) => sources.sources.push(spec),
        // It can fail, and is dealt with before.
        SourcesLine::Refclock(spec) => sources.refclocks.push(spec),
        SourcesLine::Initstepslew(initial) => sources.initial = Some(initial),
        SourcesLine::Acquisitionport(port) => sources.acquisition_port = port,
        SourcesLine::Bindacqaddress(address) => {
            let addresses = &mut sources.bind_addresses;
            addresses.retain(|other| other.is_ipv6() != address.is_ipv6());
            addresses.push(address);
        }
        SourcesLine::Bindacqdevice(device) => sources.bind_device = Some(device),
        SourcesLine::Refresh(seconds) => sources.refresh_s = seconds,
        SourcesLine::Authselectmode(mode) => sources.auth_select = mode,
        SourcesLine::Combinelimit(limit) => selection.combine_limit = limit,
        SourcesLine::Maxdistance(seconds) => selection.distance_max_s = seconds,
        SourcesLine::Maxjitter(seconds) => selection.jitter_max_s = seconds,
        SourcesLine::Maxstratum(stratum) => selection.stratum_max = stratum,
        SourcesLine::Minstratum(stratum) => selection.stratum_min = stratum,
        SourcesLine::Minsources(count) => selection.sources_min = count,
        SourcesLine::Reselectdist(seconds) => selection.reselect_distance_s = seconds,
        SourcesLine::Stratumweight(seconds) => selection.stratum_weight_s = seconds,
        SourcesLine::Minsamples(count) => sources.samples_min = count,
        SourcesLine::Maxsamples(count) => sources.samples_max = count,
    }
}

fn apply_command(
    command: &mut CommandConfig,
    line: CommandLine,
    outside: &dyn Outside,
) -> Result<(), Fault> {
    match line {
        CommandLine::Cmdport(port) => command.port = Some(port),
        CommandLine::Bindcmdaddress(CommandAddress::Ip(address)) => {
            let addresses = &mut command.addresses;
            addresses.retain(|other| other.is_ipv6() != address.is_ipv6());
            addresses.push(address);
        }
        CommandLine::Bindcmdaddress(CommandAddress::Path(path)) => {
            command.path = Some(path).filter(|path| path != Path::new("/"));
        }
        CommandLine::Bindcmddevice(device) => command.device = Some(device),
        CommandLine::Access { allow, all, who } => {
            for subnet in subnets(who, outside)? {
                command.access.push(AccessRule { subnet, allow, all });
            }
        }
        CommandLine::Cmdratelimit(limit) => command.rate_limit = Some(limit),
        CommandLine::Opencommands(open) => command.open = open,
    }
    Ok(())
}

fn apply_clock(clock: &mut ClockConfig, records: &mut RecordsConfig, line: ClockLine) {
    match line {
        ClockLine::Makestep(rule) => clock.make_step = Some(rule),
        ClockLine::Driftfile(file) => clock.drift_file = Some(file),
        ClockLine::Maxupdateskew(ppm) => clock.update_skew_max_ppm = ppm,
        ClockLine::Rtcsync => clock.rtc_sync = true,
        ClockLine::Manual => clock.manual = true,
        ClockLine::Corrtimeratio(ratio) => clock.correction_time_ratio = ratio,
        ClockLine::Maxdrift(ppm) => clock.drift_max_ppm = ppm,
        ClockLine::Maxslewrate(ppm) => clock.slew_rate_max_ppm = ppm,
        ClockLine::Maxchange(rule) => clock.max_change = Some(rule),
        ClockLine::Fallbackdrift(rule) => clock.fallback_drift = Some(rule),
        ClockLine::Leapsecmode(mode) => clock.leap_mode = mode,
        ClockLine::Leapsectz(zone) => clock.leap_zone = Some(zone),
        ClockLine::Leapseclist(file) => clock.leap_list = Some(file),
        ClockLine::Smoothtime(options) => clock.smoothing = Some(options),
        ClockLine::Rtcfile(path) => clock.rtc.file = Some(path),
        ClockLine::Rtcdevice(path) => clock.rtc.device = Some(path),
        ClockLine::Rtcautotrim(seconds) => clock.rtc.autotrim_s = Some(seconds),
        ClockLine::Rtconutc => clock.rtc.on_utc = true,
        ClockLine::Hwclockfile(path) => clock.rtc.hwclock_file = Some(path),
        ClockLine::Tempcomp(line) => clock.tempcomp = Some(line),
        ClockLine::Log(logs) => {
            for log in logs {
                if !records.logs.contains(&log) {
                    records.logs.push(log);
                }
            }
        }
        ClockLine::Logdir(directory) => records.directory = Some(directory),
        ClockLine::Logbanner(lines) => records.banner_lines = lines,
        ClockLine::Logchange(seconds) => records.log_change_s = seconds,
        ClockLine::Dumpdir(directory) => records.dump_directory = Some(directory),
    }
}

const fn apply_monitoring(monitoring: &mut MonitoringConfig, line: MonitoringLine) {
    match line {
        MonitoringLine::Metrics(address) => monitoring.address = Some(address),
        MonitoringLine::Readydistance(seconds) => monitoring.ready_distance_s = seconds,
        MonitoringLine::Drain(seconds) => monitoring.drain_s = seconds,
    }
}

fn apply_fast_path(fast_path: &mut FastPathConfig, words: FastPathWords) {
    match words {
        FastPathWords::Fastpath(line) => {
            let lines = &mut fast_path.lines;
            lines.retain(|other| other.interface != line.interface);
            lines.push(line);
        }
        FastPathWords::Fastpathlimit(limit) => fast_path.limit = Some(limit),
        FastPathWords::Fastpathdeparture(nanos) => fast_path.departure_ns = nanos,
    }
}

/// The subnets of an access line: one, or one for each address of a host.
fn subnets(who: Who, outside: &dyn Outside) -> Result<Vec<Subnet>, Fault> {
    let host = match who {
        Who::Subnet(subnet) => return Ok(vec![subnet]),
        Who::Host(host) => host,
    };
    let unreachable = |reason: String| Fault::Unreachable {
        action: format!("find the address of {host}"),
        reason,
    };
    let addresses = outside
        .resolve(&host)
        .map_err(|error| unreachable(error.to_string()))?;
    if addresses.is_empty() {
        return Err(unreachable("it has none".to_owned()));
    }
    let whole = |address: &std::net::IpAddr| {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Subnet::new(*address, length)
    };
    Ok(addresses.iter().filter_map(whole).collect())
}

/// The mistake of having both, laid to the later line.
fn exclusive(
    statements: &[Statement],
    one: &'static str,
    other: &'static str,
) -> Option<ConfigError> {
    let last = |name| statements.iter().rposition(|s| s.row.name == name);
    let (one_at, other_at) = (last(one)?, last(other)?);
    let (later, earlier) = if one_at > other_at {
        (one_at, other)
    } else {
        (other_at, one)
    };
    Some(error(&statements[later], Fault::Excludes(earlier)))
}

fn error(statement: &Statement, fault: Fault) -> ConfigError {
    ConfigError {
        place: statement.place.clone(),
        column: statement.column,
        directive: statement.row.name.to_owned(),
        fault,
    }
}

/// One notice for each directive without effect, at its first line.
fn notices_of(statements: &[Statement]) -> Vec<Notice> {
    let mut said = BTreeSet::new();
    let mut notices = Vec::new();
    for statement in statements {
        let text = match statement.row.support {
            Support::NotYet(what) => format!("not in force yet: {what}"),
            Support::Accepted(why) => format!("no effect: {why}"),
            Support::Honoured | Support::Refused(_) => continue,
        };
        if said.insert(statement.row.name) {
            notices.push(Notice {
                place: statement.place.clone(),
                directive: statement.row.name.to_owned(),
                text,
            });
        }
    }
    notices
}

/// Directives that chrony does not allow together: limits need the log of clients, and the kernel's
/// way of setting the real-time clock and chronyd's own would undo each other.
const EXCLUSIVE: [(&str, &str); 2] = [("ratelimit", "noclientlog"), ("rtcfile", "rtcsync")];
