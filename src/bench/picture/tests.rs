use super::*;
use proptest::prelude::*;

fn ladder(label: &str, knee: f64, latency_ns: f64) -> Vec<Dot> {
    let rates = [
        1e4, 1.5e4, 2.25e4, 3.375e4, 5.062_5e4, 7.593_75e4, 1.139e5, 1.708_6e5, 2.562_9e5,
    ];
    let dots = rates.into_iter().flat_map(|offered| {
        [0.97, 1.0, 1.04].map(|luck| {
            let held = offered < knee;
            let slow = if held { 1.0 + offered / knee } else { 80.0 };
            Dot {
                label: label.to_owned(),
                place: PLACE.to_owned(),
                offered: Some(offered),
                replies: if held {
                    offered
                } else {
                    (knee * 0.9).min(offered) * luck
                },
                latency: Some([1.0, 3.5, 12.0].map(|factor| factor * luck * slow * latency_ns)),
                unsent: if offered > 2.5e5 { 0.05 } else { 0.0 },
            }
        })
    });
    dots.collect()
}

/// Three servers up a ladder, and one in a closed loop.
fn example() -> Vec<Dot> {
    let ceiling = Dot {
        label: "echo".into(),
        place: PLACE.to_owned(),
        offered: None,
        replies: 191_000.0,
        latency: Some([3e5, 4e5, 5e5]),
        unsent: 0.0,
    };
    [
        ladder("maser", 180_000.0, 14_000.0),
        ladder("chronyd", 58_000.0, 18_000.0),
        ladder("ntpd-rs", 52_000.0, 21_000.0),
        vec![ceiling],
    ]
    .concat()
}

const PLACE: &str = "AMD EPYC 9B14, 2 cores, Linux 6.18.5. NTPv4, basic=1; 2 s a step.";

/// What is hard to place: names without room, rates of one decade, repeated single rates, a server that is dead,
/// machines that differ.
fn crowd() -> Vec<Dot> {
    let names = [
        "a name that is much longer than anybody has time to read in a legend",
        "WWWWWWWWWWWWWWWWWWWWWWWW",
        "\u{670d}\u{52a1}\u{5668}\u{670d}\u{52a1}\u{5668}\u{670d}\u{52a1}\u{5668}\u{670d}\u{52a1}\u{5668}",
        "short",
        "e <&> \"f\"",
        "server running with 4 workers",
        "seventh",
    ];
    let mut dots: Vec<Dot> = (0u8..)
        .zip(names)
        .flat_map(|(number, name)| {
            let speed = f64::from(number) + 1.0;
            ladder(name, 2e4 * speed, 9e3 * speed)
                .into_iter()
                .filter(|dot| dot.offered.is_some_and(|rate| rate < 9e4))
                .map(move |dot| Dot {
                    place: format!(
                        "Machine {}, 2 cores, Linux 6.18.5. NTPv4, signed=1; 2 s a step.",
                        number % 3
                    ),
                    ..dot
                })
        })
        .collect();
    dots.extend([12e3, 15e3, 19e3].map(|replies| Dot {
        label: "repeated".into(),
        offered: Some(2e4),
        replies,
        latency: Some([1e5, 2e5, 4e5].map(|time| time * replies / 15e3)),
        unsent: 0.0,
        place: PLACE.to_owned(),
    }));
    dots.extend([6e4, 7e4, 75e3].map(|replies| Dot {
        label: "closed loop".into(),
        offered: None,
        replies,
        latency: None,
        unsent: 0.0,
        place: PLACE.to_owned(),
    }));
    dots.extend([1e4, 9e4].map(|offered| Dot {
        label: "dead".into(),
        offered: Some(offered),
        replies: 0.0,
        latency: None,
        unsent: 0.0,
        place: PLACE.to_owned(),
    }));
    dots
}

/// Set `MASER_BLESS=1` to write the golden files anew after a change that was looked at in a browser.
#[test]
fn the_pictures_are_the_golden_ones() {
    for (name, dots) in [("picture", example()), ("crowd", crowd())] {
        let golden = format!("{}/tests/data/bench/{name}.svg", env!("CARGO_MANIFEST_DIR"));
        let svg = draw(&dots);
        if std::env::var_os("MASER_BLESS").is_some() {
            std::fs::write(&golden, &svg).expect("our own file");
        }
        let expected = std::fs::read_to_string(&golden).expect("the golden file");
        assert!(
            svg == expected,
            "tests/data/bench/{name}.svg is another picture"
        );
    }
}

#[test]
fn nothing_at_all_is_a_picture_too() {
    assert!(draw(&[]).ends_with("</svg>\n"));
}

/// Lines at the foot.
fn foot_of(svg: &str) -> Vec<&str> {
    let lines = svg.lines().filter(|line| line.contains("class=\"foot\""));
    lines
        .filter_map(|line| Some(line.split_once('>')?.1.split_once('<')?.0))
        .collect()
}

#[test]
fn the_foot_names_runs_only_where_machines_or_loads_differ() {
    assert_eq!(foot_of(&draw(&example()))[0], PLACE);
    let elsewhere = Dot {
        place: "Z80, 1 cores.".into(),
        ..example()[0].clone()
    };
    let svg = draw(
        &[
            example(),
            vec![
                Dot {
                    label: "old".into(),
                    ..elsewhere.clone()
                },
                elsewhere,
            ],
        ]
        .concat(),
    );
    let foot = foot_of(&svg).join(" ");
    assert!(
        foot.starts_with(&format!("maser, chronyd, ntpd-rs, echo: {PLACE}")),
        "{foot}"
    );
    assert!(
        foot.contains(" old, maser: Z80, 1 cores. Dotted:"),
        "{foot}"
    );
}

#[test]
fn repeated_figures_have_a_band_even_at_one_rate() {
    let bands = |replies: &[f64], offered| {
        let dots: Vec<_> = replies
            .iter()
            .map(|replies| Dot {
                offered,
                replies: *replies,
                latency: None,
                ..example()[0].clone()
            })
            .collect();
        draw(&dots).matches("class=\"band\"").count()
    };
    for offered in [Some(1e4), None] {
        assert_eq!(bands(&[5e3, 6e3], offered), 1);
        assert_eq!(bands(&[5e3, 5e3], offered), 0);
    }
}

#[test]
fn rates_of_one_decade_lie_evenly() {
    let at = |rate: f64| Dot {
        offered: Some(rate),
        ..example()[0].clone()
    };
    let within = draw(&[at(1e4), at(1e5)]);
    assert!(within.contains(">60 k</text>"), "{within}");
    let beyond = draw(&[at(1e4), at(1.01e5)]);
    assert!(
        beyond.contains(">50 k</text>") && !beyond.contains(">60 k</text>"),
        "{beyond}"
    );
}

/// Places in the picture, from attributes: along and down.
fn coordinates(svg: &str) -> (Vec<f64>, Vec<f64>) {
    let numbers = |name: &str| -> Vec<f64> {
        let attribute = format!(" {name}=\"");
        let values = svg.split(&attribute).skip(1);
        let values = values.filter_map(|rest| rest.split('"').next());
        values
            .flat_map(|value| value.split([' ', ',']).filter(|text| !text.is_empty()))
            .map(|text| {
                text.parse()
                    .unwrap_or_else(|_| panic!("{text:?} is no number"))
            })
            .collect()
    };
    let points = numbers("points");
    let every_other = |from| points.iter().skip(from).step_by(2).copied().collect();
    (
        [numbers("x"), numbers("x1"), numbers("x2"), every_other(0)].concat(),
        [numbers("y"), numbers("y1"), numbers("y2"), every_other(1)].concat(),
    )
}

/// Every tag that is opened is closed, and nothing stands unescaped between them.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    for part in svg.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag ends");
        assert!(
            !text.contains(['>', '"']) || open.last() == Some(&"style"),
            "{text}"
        );
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().expect("a name"));
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
    }
    assert!(open.is_empty(), "{open:?}");
}

fn any_dot() -> impl Strategy<Value = Dot> {
    let figure = prop_oneof![
        any::<f64>(),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
        0.0..1e13f64
    ];
    let figure = || figure.clone();
    (
        (".{0,60}", ".{0,200}"),
        prop::option::of(figure()),
        figure(),
        prop::option::of([figure(), figure(), figure()]),
        figure(),
    )
        .prop_map(|((label, place), offered, replies, latency, unsent)| Dot {
            label,
            offered,
            replies,
            latency,
            unsent,
            place,
        })
}

fn sane_dot() -> impl Strategy<Value = Dot> {
    (0usize..3, 1.0..1e7f64, 0.0..1e7f64, 1e2..1e10f64).prop_map(
        |(label, offered, replies, latency)| Dot {
            label: format!("run {label} <&\">'"),
            offered: Some(offered),
            replies,
            latency: Some([latency, 2.0 * latency, 9.0 * latency]),
            unsent: 0.5,
            place: PLACE.to_owned(),
        },
    )
}

proptest! {
    #[test]
    fn any_figures_make_a_whole_picture(
        wild in prop::collection::vec(any_dot(), 0..12),
        sane in prop::collection::vec(sane_dot(), 0..12),
    ) {
        let svg = draw(&[wild, sane].concat());
        assert_well_formed(&svg);
        let height: f64 = svg.split("viewBox=\"0 0 680 ").nth(1).and_then(|rest| rest.split('"').next())
            .and_then(|height| height.parse().ok()).expect("a height");
        let (along, down) = coordinates(&svg);
        prop_assert!(along.iter().all(|at| (0.0..=WIDTH).contains(at)), "{along:?}");
        prop_assert!(down.iter().all(|at| (0.0..=height).contains(at)), "{down:?} of {height}");
        for tick in svg.lines().filter(|line| line.contains("text-anchor=\"end\"")) {
            let name = tick.split_once('>').and_then(|(_, rest)| rest.split_once('<')).expect("a text").0;
            prop_assert!(width(name, LETTER) <= LEFT - 8.0, "{name} leaves the picture");
        }
    }
}
