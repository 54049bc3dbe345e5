//! Families about the clock and its sources.

use crate::discipline::SourceReport;
use crate::node::metrics::exposition::Exposition;
use crate::node::metrics::exposition::Type::{Counter, Gauge};
use crate::node::metrics::view::View;
use crate::node::metrics::words;

/// One figure of the clock.
type ClockFigure = fn(&View<'_>) -> f64;

const CLOCK_FIGURES: [(&str, &str, ClockFigure); 12] = [
    (
        "system_offset_seconds",
        "What is still to be corrected of the system clock; positive: it is behind.",
        |view| view.tracking.current_correction_s,
    ),
    (
        "last_offset_seconds",
        "The offset found at the last update; positive: the clock was behind.",
        |view| view.tracking.last_offset_s,
    ),
    (
        "rms_offset_seconds",
        "The long-term root mean square of offsets.",
        |view| view.tracking.rms_offset_s,
    ),
    (
        "frequency_ppm",
        "By how much the clock would be fast if nobody corrected it.",
        |view| view.tracking.frequency_ppm,
    ),
    (
        "residual_frequency_ppm",
        "What the last update found beyond the frequency in use.",
        |view| view.tracking.residual_frequency_ppm,
    ),
    ("skew_ppm", "The bound of the frequency's error.", |view| {
        view.tracking.skew_ppm
    }),
    (
        "root_delay_seconds",
        "The way to the stratum 1 source and back; 1 while not synchronised.",
        |view| view.variables.root_delay.to_seconds(),
    ),
    (
        "root_distance_seconds",
        "The bound of the clock's error: half the root delay and the root dispersion of this moment.",
        |view| view.root_distance_s,
    ),
    (
        "root_dispersion_seconds",
        "The dispersion on the way from the stratum 1 source, as of this moment.",
        |view| view.root_distance_s - view.variables.root_delay.to_seconds() / 2.0,
    ),
    (
        "update_interval_seconds",
        "From the update before to the last one.",
        |view| view.tracking.last_update_interval_s,
    ),
    (
        "reference_age_seconds",
        "Since the clock was last set by what is followed; NaN: not synchronised.",
        |view| view.reference_age_s.unwrap_or(f64::NAN),
    ),
    (
        "ready_distance_seconds",
        "The root distance beyond which it is not ready (readydistance).",
        |view| view.about.ready_distance_s,
    ),
];

pub(super) fn clock(text: &mut Exposition, view: &View<'_>) {
    let tracking = &view.tracking;
    let synchronised = view.variables.is_synchronised();
    let help = "Whether clients may take time from it.";
    text.single("synchronised", Gauge, help, u8::from(synchronised));
    let help = "Its stratum as clients are told; 0: not synchronised.";
    text.single("stratum", Gauge, help, tracking.stratum);
    let help =
        "The leap indicator as clients are told: 0 none, 1 insert, 2 delete, 3 not synchronised.";
    text.single("leap_indicator", Gauge, help, tracking.leap as u8);
    let help = "Always 1; what it is synchronised to: the reference id in hexadecimal digits, and the source's name.";
    text.family("reference_info", Gauge, help);
    let followed = view.followed.map(|name| name.to_string());
    let labels = [
        ("reference_id", &*tracking.reference_id.to_string()),
        ("source", followed.as_deref().unwrap_or("")),
    ];
    text.sample(&labels, 1);
    for (name, help, value) in CLOCK_FIGURES {
        text.single(name, Gauge, help, value(view));
    }
}

/// A family of gauges of each source.
fn of_sources(
    text: &mut Exposition,
    sources: &[(String, &SourceReport)],
    (name, help): (&'static str, &str),
    value: impl Fn(&SourceReport) -> Option<f64>,
) {
    text.family(name, Gauge, help);
    for (label, source) in sources {
        if let Some(value) = value(source) {
            text.sample(&[("source", label)], value);
        }
    }
}

/// One figure of a source, where there is one.
type SourceFigure = fn(&SourceReport) -> Option<f64>;

const SOURCE_FIGURES: [(&str, &str, SourceFigure); 12] = [
    (
        "source_selected",
        "Whether the clock follows the source.",
        |source| Some(f64::from(u8::from(source.candidate.standing.is_selected))),
    ),
    (
        "source_reachable_ratio",
        "Share of the last eight polls that were answered.",
        |source| Some(f64::from(source.reach.count_ones()) / 8.0),
    ),
    (
        "source_stratum",
        "What the source says of its stratum; 0: nothing yet.",
        |source| Some(f64::from(source.candidate.stratum)),
    ),
    (
        "source_poll_interval_seconds",
        "How often the source is asked.",
        |source| Some(f64::from(source.poll).exp2()),
    ),
    (
        "source_samples",
        "Samples in the source's register.",
        |source| u32::try_from(source.statistics.samples).ok().map(f64::from),
    ),
    (
        "source_offset_seconds",
        "By how much the source is ahead, by the line through its samples.",
        |source| source.selectable.map(|found| found.offset_s),
    ),
    (
        "source_last_offset_seconds",
        "By how much the source is ahead, by its last sample.",
        |source| source.newest.map(|sample| sample.offset_s),
    ),
    (
        "source_delay_seconds",
        "The way to the source and back, by its last sample.",
        |source| source.newest.map(|sample| sample.peer_delay_s),
    ),
    (
        "source_deviation_seconds",
        "Standard deviation of the source's samples around their line.",
        |source| source.selectable.map(|found| found.standard_deviation_s),
    ),
    (
        "source_root_distance_seconds",
        "How wrong the source may be.",
        |source| source.selectable.map(|found| found.root_distance_s),
    ),
    (
        "source_frequency_ppm",
        "By how much the source's clock runs faster.",
        |source| {
            let has_line = source.statistics.has_line;
            has_line.then_some(source.statistics.frequency * 1e6)
        },
    ),
    (
        "source_age_seconds",
        "Since the source's last sample.",
        |source| source.age_s,
    ),
];

pub(super) fn sources(text: &mut Exposition, view: &View<'_>) {
    let named = view.sources.iter();
    let all: Vec<_> = named.map(|one| (one.name.to_string(), one)).collect();
    let help = "Sources by whether they are asked; unresolved: names without an address.";
    text.family("sources", Gauge, help);
    for word in ["online", "offline", "burst_online", "burst_offline"] {
        let these = view.sources.iter();
        let these = these.filter(|one| words::activity(one.activity) == word);
        text.sample(&[("activity", word)], these.count());
    }
    text.sample(&[("activity", "unresolved")], view.unresolved);
    let help = "Always 1; a source: its name in the configuration, what it is to us, and what the last selection made of it.";
    text.family("source_info", Gauge, help);
    for (label, source) in &all {
        let labels = [
            ("source", &**label),
            ("host", source.host.as_deref().unwrap_or("")),
            ("role", words::role(source)),
            ("state", words::state(source)),
        ];
        text.sample(&labels, 1);
    }
    for (name, help, value) in SOURCE_FIGURES {
        of_sources(text, &all, (name, help), value);
    }
    let help = "Packets to a source and from it: sent, received, those that pass the tests of a packet, those that pass all.";
    text.family("source_packets_total", Counter, help);
    for (label, source) in &all {
        let Some(server) = &source.server else {
            continue;
        };
        let counts = &server.counts;
        let kinds = [
            ("sent", counts.sent),
            ("received", counts.received),
            ("valid", counts.valid),
            ("good", counts.good),
        ];
        for (kind, count) in kinds {
            text.sample(&[("source", label), ("kind", kind)], count);
        }
    }
}
