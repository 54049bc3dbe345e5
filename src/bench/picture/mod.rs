//! Runs as a picture (SVG): replies and latency by the offered rate, for light and dark screens alike.
//!
//! Functions over figures: they read and write nothing.

mod curve;
mod scale;

use std::fmt::{self, Write as _};

use curve::{Curve, Rung, Spread, curves};
use scale::Scale;

pub use curve::Dot;

/// Everything is drawn in these units; the picture scales.
const WIDTH: f64 = 680.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = WIDTH - 20.0;
const PANEL_HEIGHT: f64 = 270.0;
const LINE: f64 = 21.0;
/// No letter of the fonts named below is wider than this on the average of a text.
const LETTER: f64 = 8.0;
const LABEL_LETTERS_MAX: usize = 40;
/// Letters of a line at the foot, which is set smaller.
const FOOT_LETTERS: usize = 92;
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

/// Draws all runs into one picture; `foot` says where they were measured.
pub fn draw(dots: &[Dot], foot: &str) -> String {
    let curves = curves(dots);
    let legend = Legend::of(&curves);
    let top = 16.0 + legend.height;
    let replies = Panel::replies(&curves, top + 34.0);
    let latency = Panel::latency(&curves, replies.bottom + 92.0);
    let foot = wrapped(foot);
    let foot_top = latency.bottom + 62.0;
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
            let label: String = curve.label.chars().take(LABEL_LETTERS_MAX).collect();
            let width = 44.0 + LETTER * letters(&label);
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
        let (x, y) = (rates(curves), Scale::linear(most, (bottom, top)));
        let mut svg = frame("Replies a second", (&x, &y), scale::rate);
        // Where everything would be answered.
        let (from, to) = x.ends();
        let guide = (0..=60u8).map(|step| from * (to / from).powf(f64::from(step) / 60.0));
        let guide = guide.take_while(|rate| *rate <= y.ends().1);
        line(
            &mut svg,
            guide.map(|rate| (x.place(rate), y.place(rate))),
            format_args!("class=\"guide\""),
        );
        for (number, curve) in curves.iter().enumerate() {
            let colour = number % COLOURS;
            if let Some(ceiling) = curve.ceiling {
                let height = y.place(ceiling.median);
                let ends = [(x.place(from), height), (x.place(to), height)];
                let style = format_args!(
                    "class=\"curve\" stroke=\"var(--c{colour})\" stroke-dasharray=\"12 5\""
                );
                line(&mut svg, ends.into_iter(), style);
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
            at -= LETTER * letters(name) + 46.0;
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

/// The axis of offered rates, alike in both panels.
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
    Scale::logarithmic(least, most, (LEFT, RIGHT))
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
            bottom + 42.0,
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
    if spreads.len() > 1 && spreads.iter().any(is_spread) {
        let upper = spreads
            .iter()
            .map(|(rung, spread)| (x.place(rung.offered), y.place(spread.most)));
        let lower = spreads.iter().rev();
        let lower = lower.map(|(rung, spread)| (x.place(rung.offered), y.place(spread.least)));
        let points = joined(upper.chain(lower));
        add(
            svg,
            format_args!(
                "<polygon class=\"band\" fill=\"var(--c{colour})\" points=\"{points}\"/>\n"
            ),
        );
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

fn letters(text: &str) -> f64 {
    f64::from(u16::try_from(text.chars().count()).unwrap_or(u16::MAX))
}

/// As lines that are not too long; a word that is, is cut.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word: String = word.chars().take(FOOT_LETTERS).collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < FOOT_LETTERS => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// As XML takes it: nothing that ends a text or an attribute, and no control characters.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                safe.push('\u{fffd}')
            }
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests;
