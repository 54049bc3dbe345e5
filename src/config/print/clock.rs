//! Lines about what is done with the clock, and about the files that tell of it.

use super::{Number, word};
use crate::config::directive::LEAP_MODES;
use crate::config::{ClockConfig, RecordsConfig, RtcConfig, TempcompCurve, TempcompLine};

pub(super) fn lines(config: &ClockConfig, lines: &mut Vec<String>) {
    let ClockConfig {
        make_step,
        drift_file,
        update_skew_max_ppm,
        manual,
        rtc_sync,
        correction_time_ratio,
        drift_max_ppm,
        slew_rate_max_ppm,
        max_change,
        fallback_drift,
        leap_mode,
        leap_zone,
        leap_list,
        smoothing,
        tempcomp,
        rtc,
    } = config;
    lines.extend(make_step.iter().map(|rule| {
        let threshold = Number(rule.threshold_s);
        format!("makestep {threshold} {}", limit(rule.updates))
    }));
    lines.extend(drift_file.iter().map(|file| {
        format!(
            "driftfile {} interval {}",
            file.path.display(),
            file.interval_s
        )
    }));
    lines.extend([
        format!("maxupdateskew {}", Number(*update_skew_max_ppm)),
        format!("corrtimeratio {}", Number(*correction_time_ratio)),
        format!("maxdrift {}", Number(*drift_max_ppm)),
        format!("maxslewrate {}", Number(*slew_rate_max_ppm)),
    ]);
    lines.extend(manual.then(|| "manual".to_owned()));
    lines.extend(rtc_sync.then(|| "rtcsync".to_owned()));
    lines.extend(max_change.iter().map(|rule| {
        let (offset, start) = (Number(rule.offset_s), rule.start);
        format!("maxchange {offset} {start} {}", limit(rule.ignore))
    }));
    lines.extend(fallback_drift.iter().map(|rule| {
        let (min, max) = (rule.interval_min_log2, rule.interval_max_log2);
        format!("fallbackdrift {min} {max}")
    }));
    lines.push(format!("leapsecmode {}", word(&LEAP_MODES, *leap_mode)));
    lines.extend(leap_zone.iter().map(|zone| format!("leapsectz {zone}")));
    lines.extend(
        leap_list
            .iter()
            .map(|file| format!("leapseclist {}", file.display())),
    );
    lines.extend(smoothing.iter().map(|options| {
        let (frequency, wander) = (options.frequency_max_ppm, options.wander_max_ppm);
        let leap_only = if options.leap_only { " leaponly" } else { "" };
        format!(
            "smoothtime {} {}{leap_only}",
            Number(frequency),
            Number(wander)
        )
    }));
    lines.extend(tempcomp.iter().map(tempcomp_line));
    rtc_lines(rtc, lines);
}

fn rtc_lines(config: &RtcConfig, lines: &mut Vec<String>) {
    let RtcConfig {
        file,
        device,
        autotrim_s,
        on_utc,
        hwclock_file,
    } = config;
    let paths = [
        ("rtcfile", file),
        ("rtcdevice", device),
        ("hwclockfile", hwclock_file),
    ];
    lines.extend(paths.into_iter().filter_map(|(name, path)| {
        let path = path.as_ref()?;
        Some(format!("{name} {}", path.display()))
    }));
    lines.extend(autotrim_s.map(|seconds| format!("rtcautotrim {}", Number(seconds))));
    lines.extend(on_utc.then(|| "rtconutc".to_owned()));
}

fn tempcomp_line(line: &TempcompLine) -> String {
    let (sensor, interval) = (line.sensor.display(), Number(line.interval_s));
    match &line.curve {
        TempcompCurve::Coefficients { t0, k0, k1, k2 } => {
            let [t0, k0, k1, k2] = [*t0, *k0, *k1, *k2].map(Number);
            format!("tempcomp {sensor} {interval} {t0} {k0} {k1} {k2}")
        }
        TempcompCurve::Points(points) => {
            format!("tempcomp {sensor} {interval} {}", points.display())
        }
    }
}

pub(super) fn record_lines(config: &RecordsConfig, lines: &mut Vec<String>) {
    let RecordsConfig {
        directory,
        logs,
        banner_lines,
        log_change_s,
        dump_directory,
    } = config;
    lines.extend(
        directory
            .iter()
            .map(|path| format!("logdir {}", path.display())),
    );
    if !logs.is_empty() {
        let words: Vec<&str> = logs.iter().map(|log| log.word()).collect();
        lines.push(format!("log {}", words.join(" ")));
    }
    lines.push(format!("logbanner {banner_lines}"));
    lines.push(format!("logchange {}", Number(*log_change_s)));
    lines.extend(
        dump_directory
            .iter()
            .map(|path| format!("dumpdir {}", path.display())),
    );
}

/// A count, or -1 for none.
fn limit(count: Option<u32>) -> String {
    count.map_or_else(|| "-1".to_owned(), |count| count.to_string())
}
