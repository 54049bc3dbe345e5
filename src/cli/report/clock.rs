//! Reports of clocks: `tracking`, `rtcdata`, `smoothing`, `manual-list`.

use serde_json::json;

use super::figures::{date, letters, moment, numeric_date, yes_or_no};
use super::names::Name;
use super::session::Session;
use super::sheet::Sheet;
use super::{Failure, json};
use crate::control::{ManualSample, Question, Reply, RtcReport, SmoothingReport, TrackingReport};

/// `tracking`
pub(super) fn tracking(session: &mut Session) -> Result<(), Failure> {
    let Reply::Tracking(report) = session.ask(Question::Tracking)?.reply else {
        return Err(Failure::Astray);
    };
    let name = match report.address {
        Some(ip) => session.source_name(Some(ip).into()),
        None => Name::whole(letters(report.reference_id)),
    };
    session.record(
        |sheet| write_tracking(sheet, &report, &name.text),
        || {
            json!({
                "reference_id": json::reference(report.reference_id),
                "reference_name": name.text,
                "reference_address": report.address.map(|ip| ip.to_string()),
                "stratum": report.stratum,
                "reference_time": json::time(report.reference_time),
                "system_time_offset_s": report.current_correction_s,
                "last_offset_s": 0.0 - report.last_offset_s,
                "rms_offset_s": report.rms_offset_s,
                "frequency_ppm": report.frequency_ppm,
                "residual_frequency_ppm": 0.0 - report.residual_frequency_ppm,
                "skew_ppm": report.skew_ppm,
                "root_delay_s": report.root_delay_s,
                "root_dispersion_s": report.root_dispersion_s,
                "update_interval_s": report.last_update_interval_s,
                "leap_status": json::leap(report.leap),
                "is_synchronised": report.is_synchronised(),
            })
        },
    );
    Ok(())
}

fn write_tracking(sheet: &mut Sheet, report: &TrackingReport, name: &str) {
    let correction_s = report.current_correction_s;
    let system = if correction_s > 0.0 { "slow" } else { "fast" };
    let gains = if report.frequency_ppm > 0.0 {
        "fast"
    } else {
        "slow"
    };
    let last_offset_s = 0.0 - report.last_offset_s;
    let residual_ppm = 0.0 - report.residual_frequency_ppm;
    sheet
        .say("Reference ID    : ")
        .both(report.reference_id)
        .say(" (")
        .both(name)
        .say(")\nStratum         : ")
        .both(report.stratum)
        .say("\nRef time (UTC)  : ")
        .field(date(report.reference_time), moment(report.reference_time))
        .say("\nSystem time     : ")
        .field(
            format_args!("{:.9} seconds {system} of NTP time", correction_s.abs()),
            format_args!("{correction_s:.9}"),
        )
        .say("\nLast offset     : ")
        .field(
            format_args!("{last_offset_s:+.9} seconds"),
            format_args!("{last_offset_s:.9}"),
        )
        .say("\nRMS offset      : ")
        .both(format_args!("{:.9}", report.rms_offset_s))
        .say(" seconds\nFrequency       : ")
        .field(
            format_args!("{:.3} ppm {gains}", report.frequency_ppm.abs()),
            format_args!("{:.3}", report.frequency_ppm),
        )
        .say("\nResidual freq   : ")
        .field(
            format_args!("{residual_ppm:+.3} ppm"),
            format_args!("{residual_ppm:.3}"),
        )
        .say("\nSkew            : ")
        .both(format_args!("{:.3}", report.skew_ppm))
        .say(" ppm\nRoot delay      : ")
        .both(format_args!("{:.9}", report.root_delay_s))
        .say(" seconds\nRoot dispersion : ")
        .both(format_args!("{:.9}", report.root_dispersion_s))
        .say(" seconds\nUpdate interval : ")
        .both(format_args!("{:.1}", report.last_update_interval_s))
        .say(" seconds\nLeap status     : ")
        .both(json::leap(report.leap))
        .end();
}

/// `rtcdata`
pub(super) fn rtcdata(session: &mut Session) -> Result<(), Failure> {
    let Reply::Rtc(report) = session.ask(Question::Rtc)?.reply else {
        return Err(Failure::Astray);
    };
    session.record(
        |sheet| write_rtc(sheet, &report),
        || {
            json!({
                "reference_time": json::time(report.reference_time),
                "samples": report.samples,
                "runs": report.runs,
                "span_s": report.span_s,
                "fast_s": report.fast_s,
                "gain_ppm": report.gain_ppm,
            })
        },
    );
    Ok(())
}

fn write_rtc(sheet: &mut Sheet, report: &RtcReport) {
    sheet
        .say("RTC ref time (UTC) : ")
        .field(date(report.reference_time), moment(report.reference_time))
        .say("\nNumber of samples  : ")
        .both(report.samples)
        .say("\nNumber of runs     : ")
        .both(report.runs)
        .say("\nSample span period : ")
        .field(super::figures::age(Some(report.span_s)), report.span_s)
        .say("\nRTC is fast by     : ")
        .field(
            format_args!("{:12.6}", report.fast_s),
            format_args!("{:.6}", report.fast_s),
        )
        .say(" seconds\nRTC gains time at  : ")
        .field(
            format_args!("{:9.3}", report.gain_ppm),
            format_args!("{:.3}", report.gain_ppm),
        )
        .say(" ppm")
        .end();
}

/// `smoothing`
pub(super) fn smoothing(session: &mut Session) -> Result<(), Failure> {
    let Reply::Smoothing(report) = session.ask(Question::Smoothing)?.reply else {
        return Err(Failure::Astray);
    };
    session.record(
        |sheet| write_smoothing(sheet, &report),
        || {
            json!({
                "is_active": report.is_active,
                "leap_only": report.leap_only,
                "offset_s": report.offset_s,
                "frequency_ppm": report.frequency_ppm,
                "wander_ppm_per_s": report.wander_ppm,
                "last_update_age_s": report.last_update_age_s,
                "remaining_s": report.remaining_s,
            })
        },
    );
    Ok(())
}

fn write_smoothing(sheet: &mut Sheet, report: &SmoothingReport) {
    let leap_only = if report.leap_only {
        "(leap second only)"
    } else {
        ""
    };
    sheet
        .say("Active         : ")
        .both(yes_or_no(report.is_active))
        .say(" ")
        .both(leap_only)
        .say("\nOffset         : ")
        .field(
            format_args!("{:+.9} seconds", report.offset_s),
            format_args!("{:.9}", report.offset_s),
        )
        .say("\nFrequency      : ")
        .field(
            format_args!("{:+.6} ppm", report.frequency_ppm),
            format_args!("{:.6}", report.frequency_ppm),
        )
        .say("\nWander         : ")
        .field(
            format_args!("{:+.6} ppm per second", report.wander_ppm),
            format_args!("{:.6}", report.wander_ppm),
        )
        .say("\nLast update    : ")
        .both(format_args!("{:.1}", report.last_update_age_s))
        .say(" seconds ago\nRemaining time : ")
        .both(format_args!("{:.1}", report.remaining_s))
        .say(" seconds")
        .end();
}

/// `manual list`
pub(super) fn manual_list(session: &mut Session) -> Result<(), Failure> {
    let Reply::ManualList(samples) = session.ask(Question::ManualList)?.reply else {
        return Err(Failure::Astray);
    };
    session.begin_list();
    session
        .sheet
        .say(format_args!("210 n_samples = {}\n", samples.len()))
        .title("#    Date     Time(UTC)    Slewed   Original   Residual");
    for (place, sample) in samples.iter().enumerate() {
        session.record(
            |sheet| write_manual(sheet, place, sample),
            || {
                json!({
                    "place": place,
                    "time": json::time(sample.at),
                    "slewed_offset_s": 0.0 - sample.slewed_offset_s,
                    "original_offset_s": 0.0 - sample.original_offset_s,
                    "residual_s": 0.0 - sample.residual_s,
                })
            },
        );
    }
    Ok(())
}

fn write_manual(sheet: &mut Sheet, place: usize, sample: &ManualSample) {
    sheet
        .field(format_args!("{place:2}"), place)
        .say(" ")
        .both(numeric_date(sample.at));
    for seconds in [
        sample.slewed_offset_s,
        sample.original_offset_s,
        sample.residual_s,
    ] {
        let seconds = 0.0 - seconds;
        sheet.field(
            format_args!(" {seconds:10.2}"),
            format_args!("{seconds:.2}"),
        );
    }
    sheet.end();
}
