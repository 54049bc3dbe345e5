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

const FOOT: &str = "AMD EPYC 9B14, 2 cores, Linux 6.18 (virtual): NTPv4, basic=1, 2 s a step. Hollow: more than 1 % \
                    of the requests did not leave in time. Dashed across: closed loop.";

/// Set `MASER_BLESS=1` to write the golden file anew after a change that was looked at in a browser.
#[test]
fn the_picture_is_the_golden_one() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/bench/picture.svg");
    let svg = draw(&example(), FOOT);
    if std::env::var_os("MASER_BLESS").is_some() {
        std::fs::write(golden, &svg).expect("our own file");
    }
    let expected = std::fs::read_to_string(golden).expect("the golden file");
    assert!(
        svg == expected,
        "tests/data/bench/picture.svg is another picture"
    );
}

#[test]
fn nothing_at_all_is_a_picture_too() {
    assert!(draw(&[], "").ends_with("</svg>\n"));
}

/// Numbers in attributes that are coordinates.
fn coordinates(svg: &str) -> Vec<f64> {
    let mut found = Vec::new();
    for name in [
        " x=\"",
        " y=\"",
        " x1=\"",
        " x2=\"",
        " y1=\"",
        " y2=\"",
        " points=\"",
    ] {
        for rest in svg.split(name).skip(1) {
            let value = rest.split('"').next().unwrap_or_default();
            found.extend(
                value
                    .split([' ', ','])
                    .filter(|text| !text.is_empty())
                    .map(|text| {
                        text.parse::<f64>()
                            .unwrap_or_else(|_| panic!("{text:?} is no number"))
                    }),
            );
        }
    }
    found
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

proptest! {
    #[test]
    fn any_figures_make_a_whole_picture(
        dots in prop::collection::vec(
            (".{0,60}", prop::option::of(any::<f64>()), any::<f64>(), prop::option::of(any::<[f64; 3]>())),
            0..12,
        ),
        sane in prop::collection::vec((0usize..3, 1.0..1e7f64, 0.0..1e7f64, 1e2..1e10f64), 0..12),
        foot in ".{0,300}",
    ) {
        let wild = dots.into_iter().map(|(label, offered, replies, latency)| Dot {
            label, offered, replies, latency, unsent: 0.0,
        });
        let sane = sane.into_iter().map(|(label, offered, replies, latency)| Dot {
            label: format!("run {label} <&\">'"),
            offered: Some(offered),
            replies,
            latency: Some([latency, 2.0 * latency, 9.0 * latency]),
            unsent: 0.5,
        });
        let svg = draw(&wild.chain(sane).collect::<Vec<_>>(), &foot);
        assert_well_formed(&svg);
        let height: f64 = svg.split("viewBox=\"0 0 680 ").nth(1).and_then(|rest| rest.split('"').next())
            .and_then(|height| height.parse().ok()).expect("a height");
        for at in coordinates(&svg) {
            prop_assert!(at.is_finite() && (-10.0..=height.max(WIDTH)).contains(&at), "{at} of {height}");
        }
    }
}
