//! Runs as a picture (SVG): replies and latency by the offered rate, for light and dark screens alike.
//!
//! Functions over figures: they read and write nothing.

mod curve;
mod scale;
mod text;

use std::fmt::{self, Write as _};

use curve::{Curve, Rung, Spread, curves};
use scale::Scale;
use text::{cut, escaped, width, wrapped};

pub use curve::Dot;

/// Everything is drawn in these units; the picture scales.
const WIDTH: f64 = 680.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = WIDTH - 20.0;
const PANEL_HEIGHT: f64 = 270.0;
const LINE: f64 = 21.0;
/// Height of letters, and of those at the foot.
const LETTER: f64 = 15.0;
const FOOT_LETTER: f64 = 12.0;
/// A run's name is cut where it would be wider.
const LABEL_WIDTH_MAX: f64 = 400.0;
/// From 1 to this many times as much on a linear axis; a logarithmic one has more.
const LINEAR_MAX: f64 = 10.0;
/// And less than this is one rate for the eye, in the middle of its axis.
const LINEAR_MIN: f64 = 1.25;
/// Half the width of a band with a single rate.
const BAND_HALF: f64 = 6.0;
/// Runs have colours and marks by turns.
const COLOURS: usize = 6;

/// How the percentiles are told apart: name, and dashes of the line.
const PERCENTILES: [(&str, &str); 3] = [("50 %", ""), ("99 %", "7 4"), ("99.9 %", "2 4")];

const STYLE: &str = "\
svg{--paper:#ffffff;--ink:#1b1f24;--line:#c9ced6;--c0:#0a5ea8;--c1:#b23a00;--c2:#00734f;--c3:#7d3c98;--c4:#7a5b00;--c5:#4a4f57;background:var(--paper)}
@media(prefers-color-scheme:dark){svg{--paper:#14171b;--ink:#e8eaed;--line:#454c56;--c0:#6cb4ff;--c1:#ff9d66;--c2:#4fd3a2;--c3:#d5a0f2;--c4:#e5c452;--c5:#b8bec7}}
text{font:15px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:var(--ink)}
.title{font-weight:600}.foot{font-size:12px}.paper{fill:var(--paper)}
.grid{stroke:var(--line);stroke-width:1}.axis{stroke:var(--ink);stroke-width:1}
.guide{stroke:var(--ink);stroke-width:1;stroke-dasharray:1 5;fill:none;opacity:.7}
.curve{fill:none;stroke-width:2;stroke-linejoin:round}.band{opacity:.16;stroke:none}
";

/// What the signs mean.
const SIGNS: &str = "Dotted: all answered. Hollow: more than 1 % of the requests did not leave in time. Shaded: \
                     repeated, from least to most. Dashed across: closed loop.";

/// Draws all runs into one picture.
pub fn draw(dots: &[Dot]) -> String {
    let curves = curves(dots);
    let legend = Legend::of(&curves);
    let top = 16.0 + legend.height;
    let replies = Panel::replies(&curves, top + 34.0);
    let latency = Panel::latency(&curves, replies.bottom + 95.0);
    let foot = foot(dots);
    let foot_top = latency.bottom + 68.0;
    let lines = f64::from(u16::try_from(foot.len()).unwrap_or(u16::MAX));
    let height = foot_top + 16.0 * lines + 8.0;

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
         aria-labelledby=\"title desc\">\n<title id=\"title\">Replies and latency by offered rate</title>\n\
         <desc id=\"desc\">{}</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height:.0}\"/>\n",
        escaped(&described(&curves)),
    );
    svg += &legend.svg;
    svg += &replies.svg;
    svg += &latency.svg;
    for (line, text) in (0u16..).zip(&foot) {
        let y = foot_top + 16.0 * f64::from(line);
        add(
            &mut svg,
            format_args!(
                "<text class=\"foot\" x=\"16\" y=\"{y:.1}\">{}</text>\n",
                escaped(text)
            ),
        );
    }
    svg += "</svg>\n";
    svg
}

/// Where the runs were measured, each by its name where they differ; and what the signs mean.
fn foot(dots: &[Dot]) -> Vec<String> {
    let mut places: Vec<(&str, Vec<&str>)> = Vec::new();
    for Dot { label, place, .. } in dots {
        match places.iter_mut().find(|(other, _)| other == place) {
            Some((_, labels)) if labels.contains(&label.as_str()) => {}
            Some((_, labels)) => labels.push(label),
            None => places.push((place, vec![label])),
        }
    }
    let is_one = places.len() == 1;
    let told = places.into_iter().map(|(place, labels)| {
        if is_one {
            place.to_owned()
        } else {
            format!("{}: {place}", labels.join(", "))
        }
    });
    told.chain([SIGNS.to_owned()])
        .flat_map(|text| wrapped(&text, FOOT_LETTER, RIGHT - 16.0))
        .collect()
}

/// For who cannot see it.
fn described(curves: &[Curve]) -> String {
    let peaks = curves.iter().map(|curve| {
        let rungs = curve.rungs.iter().map(|rung| rung.replies.median);
        let peak = rungs
            .chain(curve.ceiling.map(|ceiling| ceiling.median))
            .fold(0.0, f64::max);
        format!(
            "{}: up to {} replies a second",
            curve.label,
            scale::rate(peak)
        )
    });
    peaks.collect::<Vec<_>>().join("; ")
}

/// The runs' names above the panels, in as many lines as they need.
struct Legend {
    svg: String,
    height: f64,
}

impl Legend {
    fn of(curves: &[Curve]) -> Self {
        let (mut x, mut y) = (16.0, 30.0);
        let mut svg = String::new();
        for (number, curve) in curves.iter().enumerate() {
            let label = cut(&curve.label, LETTER, LABEL_WIDTH_MAX);
            let width = 46.0 + width(&label, LETTER);
            if x > 16.0 && x + width > RIGHT {
                (x, y) = (16.0, y + LINE);
            }
            let colour = number % COLOURS;
            let middle = y - 5.0;
            add(
                &mut svg,
                format_args!(
                    "<line x1=\"{x:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" class=\"curve\" \
                     stroke=\"var(--c{colour})\"/>\n",
                    x + 24.0
                ),
            );
            mark(&mut svg, number, (x + 12.0, middle), true);
            add(
                &mut svg,
                format_args!(
                    "<text x=\"{:.1}\" y=\"{y:.1}\">{}</text>\n",
                    x + 30.0,
                    escaped(&label)
                ),
            );
            x += width;
        }
        Self { svg, height: y }
    }
}

/// One of the two diagrams.
struct Panel {
    svg: String,
    bottom: f64,
}

impl Panel {
    fn replies(curves: &[Curve], top: f64) -> Self {
        let bottom = top + PANEL_HEIGHT;
        let replies = curves.iter().flat_map(|curve| {
            let rungs = curve.rungs.iter().map(|rung| rung.replies.most);
            rungs.chain(curve.ceiling.map(|ceiling| ceiling.most))
        });
        let most = replies.fold(1.0, f64::max);
        let (x, y) = (rates(curves), Scale::linear(0.0, most, (bottom, top)));
        let mut svg = frame("Replies a second", (&x, &y), scale::rate);
        // Where everything would be answered.
        let guide = x.values_to(y.ends().1);
        line(
            &mut svg,
            guide.map(|rate| (x.place(rate), y.place(rate))),
            format_args!("class=\"guide\""),
        );
        for (number, curve) in curves.iter().enumerate() {
            if let Some(ceiling) = curve.ceiling {
                across(&mut svg, number, ceiling, &y);
            }
            let spreads: Vec<_> = curve
                .rungs
                .iter()
                .map(|rung| (rung, rung.replies))
                .collect();
            series(&mut svg, number, "", &spreads, (&x, &y));
        }
        Self { svg, bottom }
    }

    fn latency(curves: &[Curve], top: f64) -> Self {
        let bottom = top + PANEL_HEIGHT;
        let times = || {
            let rungs = curves.iter().flat_map(|curve| &curve.rungs);
            let spreads = rungs.filter_map(|rung| rung.latency).flatten();
            spreads.flat_map(|spread| [spread.least, spread.most])
        };
        let least = times().fold(f64::INFINITY, f64::min).clamp(100.0, 1e9);
        let most = times().fold(least, f64::max).max(10.0 * least);
        let (x, y) = (
            rates(curves),
            Scale::logarithmic(least, most, (bottom, top)),
        );
        let mut svg = frame("Latency from the intended moment", (&x, &y), scale::time);
        let mut at = RIGHT;
        for (name, dashes) in PERCENTILES.into_iter().rev() {
            at -= width(name, LETTER) + 42.0;
            let middle = top - 21.0;
            let ends = [(at, middle), (at + 26.0, middle)];
            line(
                &mut svg,
                ends.into_iter(),
                format_args!("class=\"curve\" stroke=\"var(--ink)\" stroke-dasharray=\"{dashes}\""),
            );
            add(
                &mut svg,
                format_args!(
                    "<text x=\"{:.1}\" y=\"{:.1}\">{name}</text>\n",
                    at + 31.0,
                    top - 16.0
                ),
            );
        }
        for (number, curve) in curves.iter().enumerate() {
            for (which, (_, dashes)) in PERCENTILES.into_iter().enumerate() {
                let rungs = curve.rungs.iter();
                let spreads: Vec<_> = rungs
                    .filter_map(|rung| Some((rung, rung.latency?[which])))
                    .collect();
                series(&mut svg, number, dashes, &spreads, (&x, &y));
            }
        }
        Self { svg, bottom }
    }
}

/// The axis of offered rates, alike in both panels: logarithmic where they span more than a decade.
fn rates(curves: &[Curve]) -> Scale {
    let rates = || {
        curves
            .iter()
            .flat_map(|curve| &curve.rungs)
            .map(|rung| rung.offered)
    };
    let least = rates().fold(f64::INFINITY, f64::min);
    let most = rates().fold(0.0, f64::max);
    let (least, most) = if most > 0.0 {
        (least, most)
    } else {
        (1e3, 1e5)
    };
    if (LINEAR_MIN..=LINEAR_MAX).contains(&(most / least)) {
        Scale::linear(least, most, (LEFT, RIGHT))
    } else {
        Scale::logarithmic(least, most, (LEFT, RIGHT))
    }
}

/// Title, grid, axes and their names.
fn frame(title: &str, (x, y): (&Scale, &Scale), name: fn(f64) -> String) -> String {
    let (bottom, top) = (y.place(y.ends().0), y.place(y.ends().1));
    let mut svg = format!(
        "<text class=\"title\" x=\"16\" y=\"{:.1}\">{title}</text>\n",
        top - 16.0
    );
    for value in y.ticks(24.0) {
        let at = y.place(value);
        add(
            &mut svg,
            format_args!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
                LEFT - 8.0,
                at + 5.0,
                name(value),
            ),
        );
    }
    for value in x.ticks(56.0) {
        let at = x.place(value);
        // A name at the end of the axis stays inside the picture.
        let middle = at.min(WIDTH - 30.0);
        add(
            &mut svg,
            format_args!(
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>\n\
                 <text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                bottom + 20.0,
                scale::rate(value),
            ),
        );
    }
    add(
        &mut svg,
        format_args!(
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{bottom:.1}\" y2=\"{bottom:.1}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">requests offered a second</text>\n",
            f64::midpoint(LEFT, RIGHT),
            bottom + 45.0,
        ),
    );
    svg
}

/// A line through the medians, a band where there are several figures, and marks; hollow where the harness
/// could not drive the rate.
fn series(
    svg: &mut String,
    number: usize,
    dashes: &str,
    spreads: &[(&Rung, Spread)],
    (x, y): (&Scale, &Scale),
) {
    let colour = number % COLOURS;
    let is_spread = |(_, spread): &(&Rung, Spread)| spread.most > spread.least;
    if spreads.iter().any(is_spread) {
        // A single rate has a band about its mark.
        let half = if spreads.len() == 1 { BAND_HALF } else { 0.0 };
        let upper = spreads.iter().flat_map(|(rung, spread)| {
            let (at, height) = (x.place(rung.offered), y.place(spread.most));
            [(at - half, height), (at + half, height)]
        });
        let lower = spreads.iter().rev().flat_map(|(rung, spread)| {
            let (at, height) = (x.place(rung.offered), y.place(spread.least));
            [(at + half, height), (at - half, height)]
        });
        band(svg, colour, upper.chain(lower));
    }
    let medians = || {
        spreads
            .iter()
            .map(|(rung, spread)| (x.place(rung.offered), y.place(spread.median)))
    };
    if spreads.len() > 1 {
        let style = format_args!(
            "class=\"curve\" stroke=\"var(--c{colour})\" stroke-dasharray=\"{dashes}\""
        );
        line(svg, medians(), style);
    }
    for ((rung, _), at) in spreads.iter().zip(medians()) {
        mark(svg, number, at, rung.is_driven);
    }
}

/// A closed loop's figures, which have no rate: a line across with its mark at the ends.
fn across(svg: &mut String, number: usize, spread: Spread, y: &Scale) {
    let colour = number % COLOURS;
    let [least, height, most] = [spread.least, spread.median, spread.most].map(|at| y.place(at));
    if spread.most > spread.least {
        let corners = [(LEFT, most), (RIGHT, most), (RIGHT, least), (LEFT, least)];
        band(svg, colour, corners.into_iter());
    }
    let ends = [(LEFT, height), (RIGHT, height)];
    let style =
        format_args!("class=\"curve\" stroke=\"var(--c{colour})\" stroke-dasharray=\"12 5\"");
    line(svg, ends.into_iter(), style);
    for at in ends {
        mark(svg, number, at, true);
    }
}

fn band(svg: &mut String, colour: usize, corners: impl Iterator<Item = (f64, f64)>) {
    let mut corners: Vec<_> = corners.collect();
    corners.dedup();
    add(
        svg,
        format_args!(
            "<polygon class=\"band\" fill=\"var(--c{colour})\" points=\"{}\"/>\n",
            joined(corners.into_iter())
        ),
    );
}

fn line(svg: &mut String, points: impl Iterator<Item = (f64, f64)>, style: fmt::Arguments<'_>) {
    add(
        svg,
        format_args!("<polyline {style} points=\"{}\"/>\n", joined(points)),
    );
}

/// A run's mark: shapes as well as colours, for who does not tell the colours apart.
fn mark(svg: &mut String, number: usize, (x, y): (f64, f64), is_full: bool) {
    let outline = match number % 4 {
        0 => &[(-3.0, -3.0), (3.0, -3.0), (3.0, 3.0), (-3.0, 3.0)][..],
        1 => &[(0.0, -4.5), (4.2, 3.2), (-4.2, 3.2)],
        2 => &[(0.0, -4.6), (4.6, 0.0), (0.0, 4.6), (-4.6, 0.0)],
        _ => &[(-4.2, -3.2), (4.2, -3.2), (0.0, 4.5)],
    };
    let colour = number % COLOURS;
    let fill = if is_full {
        format!("var(--c{colour})")
    } else {
        "var(--paper)".to_owned()
    };
    let points = joined(outline.iter().map(|(dx, dy)| (x + dx, y + dy)));
    add(
        svg,
        format_args!(
            "<polygon points=\"{points}\" fill=\"{fill}\" stroke=\"var(--c{colour})\" stroke-width=\"1.5\"/>\n"
        ),
    );
}

fn joined(points: impl Iterator<Item = (f64, f64)>) -> String {
    points
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect::<Vec<_>>()
        .join(" ")
}

fn add(svg: &mut String, what: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = svg.write_fmt(what);
}

#[cfg(test)]
mod tests;
