//! Lines about sources and the choice among them.

use super::{Number, word};
use crate::client::{Family, PoolSize, RefclockOptions, Role, SelectionOptions, SourceOptions};
use crate::config::directive::AUTH_SELECT_MODES;
use crate::config::{RefclockDriver, RefclockSpec, SourcesConfig};
use crate::discipline::SourceSpec;
use crate::wire::ReferenceId;

pub(super) fn lines(config: &SourcesConfig, lines: &mut Vec<String>) {
    let SourcesConfig {
        sources,
        directories,
        refclocks,
        initial,
        selection,
        auth_select,
        samples_min,
        samples_max,
        refresh_s,
        acquisition_port,
        bind_addresses,
        bind_device,
    } = config;
    lines.extend(sources.iter().map(source));
    for found in directories {
        let paths = found.directories.iter();
        let paths: String = paths.map(|path| format!(" {}", path.display())).collect();
        lines.push(format!("sourcedir{paths}"));
        let found = found.sources.iter().map(source);
        lines.extend(found.map(|line| format!("! there: {line}")));
    }
    lines.extend(refclocks.iter().map(refclock));
    if let Some(initial) = initial {
        let hosts = initial.hosts.iter().map(|spec| format!(" {}", spec.host));
        lines.push(format!(
            "initstepslew {}{}",
            Number(initial.threshold_s),
            hosts.collect::<String>()
        ));
    }
    selection_lines(selection, lines);
    let mode = word(&AUTH_SELECT_MODES, *auth_select);
    lines.push(format!("authselectmode {mode}"));
    lines.push(format!("minsamples {samples_min}"));
    lines.push(format!("maxsamples {samples_max}"));
    lines.push(format!("refresh {refresh_s}"));
    lines.push(format!("acquisitionport {acquisition_port}"));
    lines.extend(
        bind_addresses
            .iter()
            .map(|address| format!("bindacqaddress {address}")),
    );
    lines.extend(
        bind_device
            .iter()
            .map(|device| format!("bindacqdevice {device}")),
    );
}

fn selection_lines(selection: &SelectionOptions, lines: &mut Vec<String>) {
    let SelectionOptions {
        distance_max_s,
        jitter_max_s,
        stratum_min,
        stratum_max,
        stratum_weight_s,
        reselect_distance_s,
        combine_limit,
        sources_min,
        // `maxclockerror` and `local` have lines of their own.
        clock_error_max: _,
        orphan: _,
    } = selection;
    lines.extend([
        format!("maxdistance {}", Number(*distance_max_s)),
        format!("maxjitter {}", Number(*jitter_max_s)),
        format!("minstratum {stratum_min}"),
        format!("maxstratum {stratum_max}"),
        format!("stratumweight {}", Number(*stratum_weight_s)),
        format!("reselectdist {}", Number(*reselect_distance_s)),
        format!("combinelimit {}", Number(*combine_limit)),
        format!("minsources {sources_min}"),
    ]);
}

/// A `server`, `pool` or `peer` line, with the options that are not as by default.
fn source(spec: &SourceSpec) -> String {
    let (name, sources_max) = match (spec.role, spec.size) {
        (Role::Peer, _) => ("peer", None),
        (Role::Client, PoolSize::One) => ("server", None),
        (Role::Client, PoolSize::AtMost(most)) => ("pool", Some(most)),
    };
    let mut line = format!("{name} {}", spec.host);
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            line.push(' ');
            line.push_str(name);
            line.push_str(&value);
        }
    };
    add("maxsources", sources_max.map(after));
    values(&spec.options, &mut add);
    flags(&spec.options, &mut add);
    line
}

fn values(options: &SourceOptions, add: &mut impl FnMut(&str, Option<String>)) {
    let usual = SourceOptions::default();
    let seconds = |value: f64, usual: f64| {
        let differs = value.to_bits() != usual.to_bits();
        differs.then(|| after(Number(value)))
    };
    add("minpoll", options.min_poll.map(after));
    add("maxpoll", options.max_poll.map(after));
    add("key", options.key.map(|key| after(key.0)));
    add("maxdelay", seconds(options.max_delay_s, usual.max_delay_s));
    add(
        "maxdelayratio",
        options.max_delay_ratio.map(Number).map(after),
    );
    add(
        "maxdelaydevratio",
        seconds(options.max_delay_dev_ratio, usual.max_delay_dev_ratio),
    );
    add(
        "maxdelayquant",
        options.max_delay_quantile.map(Number).map(after),
    );
    add("mindelay", options.min_delay_s.map(Number).map(after));
    add("asymmetry", options.asymmetry.map(Number).map(after));
    add("offset", seconds(options.offset_s, usual.offset_s));
    add("minsamples", options.min_samples.map(after));
    add("maxsamples", options.max_samples.map(after));
    let unreach = options.max_unreach;
    add(
        "maxunreach",
        (unreach != usual.max_unreach).then(|| after(unreach)),
    );
    add(
        "filter",
        (options.filter != 0).then(|| after(options.filter)),
    );
    let target = options.poll_target;
    add(
        "polltarget",
        (target != usual.poll_target).then(|| after(target)),
    );
    add(
        "port",
        (options.port != usual.port).then(|| after(options.port)),
    );
    add("presend", options.presend.map(after));
    let stratum = options.min_stratum;
    add("minstratum", (stratum != 0).then(|| after(stratum)));
    add("version", options.version.map(after));
}

fn flags(options: &SourceOptions, add: &mut impl FnMut(&str, Option<String>)) {
    let all = [
        ("iburst", options.iburst),
        ("burst", options.burst),
        ("offline", options.offline),
        ("auto_offline", options.auto_offline),
        ("prefer", options.prefer),
        ("noselect", options.noselect),
        ("trust", options.trust),
        ("require", options.require),
        ("xleave", options.xleave),
        ("copy", options.copy),
        ("ipv4", options.family == Some(Family::V4)),
        ("ipv6", options.family == Some(Family::V6)),
    ];
    for (name, is_set) in all {
        add(name, is_set.then(String::new));
    }
}

/// A `refclock` line, with its letters and the options that are not as by default.
fn refclock(spec: &RefclockSpec) -> String {
    let mut line = match &spec.driver {
        RefclockDriver::Pps { path, clear } => {
            format!("refclock PPS {}{}", path.display(), colon("clear", *clear))
        }
        RefclockDriver::Sock(path) => format!("refclock SOCK {}", path.display()),
        RefclockDriver::Shm { unit, mode } => format!("refclock SHM {unit}:perm=0{mode:o}"),
        RefclockDriver::Phc {
            clock,
            crosses,
            pulses,
        } => {
            let mut line = format!("refclock PHC {clock}{}", colon("nocrossts", !crosses));
            if let Some(pulses) = pulses {
                let pin = pulses.pin.map_or(-1, i64::from);
                let channel = pulses.channel;
                line.push_str(&format!(":extpps:pin={pin}:channel={channel}"));
                line.push_str(&colon("clear", pulses.clear));
            }
            line
        }
        RefclockDriver::Rtc { path, utc } => {
            format!("refclock RTC {}{}", path.display(), colon("utc", *utc))
        }
    };
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            line.push(' ');
            line.push_str(name);
            line.push_str(&value);
        }
    };
    refclock_options(&spec.options, &mut add);
    line
}

/// An option behind a driver's parameter.
fn colon(option: &str, is_set: bool) -> String {
    if is_set {
        format!(":{option}")
    } else {
        String::new()
    }
}

fn refclock_options(options: &RefclockOptions, add: &mut impl FnMut(&str, Option<String>)) {
    let usual = RefclockOptions::default();
    let id = |id: ReferenceId| {
        let letters = id.to_bytes().into_iter().filter(|byte| *byte != 0);
        after(letters.map(char::from).collect::<String>())
    };
    let differs =
        |is: f64, usual: f64| (is.to_bits() != usual.to_bits()).then(|| after(Number(is)));
    add("refid", Some(id(options.reference_id)));
    add(
        "poll",
        (options.poll != usual.poll).then(|| after(options.poll)),
    );
    add(
        "dpoll",
        (options.driver_poll != usual.driver_poll).then(|| after(options.driver_poll)),
    );
    add("lock", options.lock.map(id));
    add(
        "rate",
        (options.rate != usual.rate).then(|| after(options.rate)),
    );
    let age = options.lock_age_max;
    add(
        "maxlockage",
        (age != usual.lock_age_max).then(|| after(age)),
    );
    add("width", differs(options.width_s, usual.width_s));
    add("offset", differs(options.offset_s, usual.offset_s));
    add("delay", differs(options.delay_s, usual.delay_s));
    add(
        "stratum",
        (options.stratum != usual.stratum).then(|| after(options.stratum)),
    );
    add("precision", options.precision_s.map(Number).map(after));
    add(
        "maxdispersion",
        differs(options.dispersion_max_s, usual.dispersion_max_s),
    );
    add(
        "filter",
        (options.filter != usual.filter).then(|| after(options.filter)),
    );
    add("minsamples", options.samples_min.map(after));
    add("maxsamples", options.samples_max.map(after));
    let unreach = options.unreach_max;
    add(
        "maxunreach",
        (unreach != usual.unreach_max).then(|| after(unreach)),
    );
    for (name, is_set) in [
        ("pps", options.pps),
        ("tai", options.tai),
        ("local", options.local),
        ("prefer", options.select.prefer),
        ("noselect", options.select.noselect),
        ("trust", options.select.trust),
        ("require", options.select.require),
    ] {
        add(name, is_set.then(String::new));
    }
}

fn after(value: impl core::fmt::Display) -> String {
    format!(" {value}")
}
