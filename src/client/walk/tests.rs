use super::*;
use crate::server::Chance;

fn assert_near(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{found} is not {expected} ± {tolerance}"
    );
}

/// About normal, of deviation 1.
fn normal(chance: &mut Chance) -> f64 {
    let sum: f64 = (0..12)
        .map(|_| f64::from(chance.bits()) / f64::from(u32::MAX))
        .sum();
    sum - 6.0
}

/// `count` points 64 s apart with noise of 0.1 ms, the last at 0, of a clock whose frequency walks by `walk`
/// per root of a second; the truth at the last is 0 with a slope of 0.
fn walking(count: usize, walk: f64, chance: &mut Chance) -> (Vec<f64>, Vec<f64>) {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    let (mut at, mut truth, mut slope) = (0.0, 0.0, 0.0);
    for _ in 0..count {
        x.insert(0, at);
        y.insert(0, truth + 1e-4 * normal(chance));
        for _ in 0..64 {
            slope += walk * normal(chance);
            truth -= slope;
            at -= 1.0;
        }
    }
    (x, y)
}

fn fit(x: &[f64], y: &[f64], slope: f64) -> Walk {
    let points = Points {
        x,
        y,
        variance: &vec![1.0; x.len()],
    };
    Walk::fit(&points, 0, slope).expect("there are points enough")
}

#[test]
fn a_steady_clock_is_a_line() {
    let mut chance = Chance::new(1);
    let (mut squares, mut used, mut doubt) = (0.0, 0.0, 0.0);
    for _ in 0..200 {
        let (x, y) = walking(32, 0.0, &mut chance);
        let found = fit(&x, &y, 0.0);
        squares += found.intercept.powi(2) / 200.0;
        doubt += found.intercept_sd.powi(2) / 200.0;
        used += found.points / 200.0;
    }
    // A line's end is known to 2 sd / root of 32; what it costs not to know that it is a line is little.
    let of_line = 2e-4 / 32f64.sqrt();
    assert!(
        (0.8..1.5).contains(&(squares.sqrt() / of_line)),
        "{squares}"
    );
    assert!((0.7..1.4).contains(&(squares / doubt).sqrt()), "{doubt}");
    assert!((18.0..=32.0).contains(&used), "{used}");
}

#[test]
fn a_walk_makes_the_past_count_less_and_the_doubt_is_as_large_as_the_error() {
    let mut chance = Chance::new(2);
    for walk in [3e-9, 3e-8] {
        let (mut ours, mut lines, mut doubt, mut used) = (0.0, 0.0, 0.0, 0.0);
        for _ in 0..200 {
            let (x, y) = walking(48, walk, &mut chance);
            let found = fit(&x, &y, 0.0);
            ours += found.intercept.powi(2);
            doubt += found.intercept_sd.powi(2);
            used += found.points / 200.0;
            let points = Points {
                x: &x,
                y: &y,
                variance: &[1.0; 48],
            };
            let line = super::super::regression::Line::fit(&points, 0, 48).expect("a line");
            lines += line.intercept.powi(2);
        }
        assert!(ours < 0.75 * lines, "{ours} {lines}");
        assert!(
            (0.7..1.4).contains(&(ours / doubt).sqrt()),
            "{ours} {doubt}"
        );
        assert!(used < if walk > 1e-8 { 16.0 } else { 40.0 }, "{used}");
    }
}

#[test]
fn a_frequency_that_no_computer_has_is_believed_only_where_it_is_sure() {
    let x = [-192.0, -128.0, -64.0, 0.0];
    let of = |slope: f64, noise: f64| {
        let errors = [noise, -noise, -noise, noise];
        let y: Vec<f64> = x.iter().zip(errors).map(|(x, e)| slope * x + e).collect();
        fit(&x, &y, 0.0).slope
    };
    assert_near(of(5e-3, 1e-5), 5e-3, 1e-5);
    assert!((0.0..1e-4).contains(&of(5e-3, 1.0)));
    // What the clock was set to since is in the prior.
    let y = [1.0, -1.0, -1.0, 1.0];
    assert_near(fit(&x, &y, -3e-4).slope, -3e-4, 1e-5);
}

const BROAD: Walk = Walk {
    intercept: 0.5,
    intercept_sd: 0.1,
    slope: 0.0,
    slope_sd: 0.01,
    covariance: 0.0,
    points: 8.0,
};

#[test]
fn bounds_are_worth_what_they_are_narrow() {
    let narrowed = |low, high| {
        let mut walk = BROAD;
        walk.narrow(|_| (low, high));
        walk
    };
    let wide = narrowed(-1e3, 1e3);
    assert_near(wide.intercept, 0.5, 1e-6);
    assert_near(wide.intercept_sd, 0.1, 1e-6);
    assert_near(wide.slope_sd, 0.01, 2e-4);
    let inside = narrowed(0.3, 0.301);
    assert_near(inside.intercept, 0.3005, 1e-4);
    assert_near(inside.intercept_sd, 1e-3 / 12f64.sqrt(), 1e-5);
    for (low, high) in [(0.4, 0.3), (f64::NAN, 1.0), (f64::NEG_INFINITY, 0.0)] {
        assert_eq!(narrowed(low, high), BROAD, "they say nothing");
    }
    assert_eq!(narrowed(1.5, 1.501), BROAD, "they cannot be true");
}

#[test]
fn bounds_tell_of_the_slope_too() {
    let mut walk = BROAD;
    // Of two points, 10 before the last and at it, both at 0.5 within 0.01.
    walk.narrow(|slope| {
        let earlier = slope.mul_add(10.0, 0.5);
        (0.49_f64.max(earlier - 0.01), 0.51_f64.min(earlier + 0.01))
    });
    assert_near(walk.slope, 0.0, 1e-9);
    assert!(walk.slope_sd < 0.002, "{walk:?}");
    // Where it is known that a larger slope means a larger ordinate, one bounds the other.
    let mut walk = Walk {
        covariance: 0.9e-3,
        ..BROAD
    };
    walk.narrow(|_| (0.59, 0.61));
    assert_near(walk.slope, 0.009, 1e-3);
    assert!(walk.slope_sd < 0.006 && walk.covariance > 0.0, "{walk:?}");
}

#[test]
fn nothing_comes_of_too_little() {
    let points = Points {
        x: &[-1.0, 0.0],
        y: &[0.0, 0.0],
        variance: &[1.0; 2],
    };
    assert_eq!(Walk::fit(&points, 0, 0.0), None);
    let points = Points {
        x: &[0.0; 4],
        y: &[0.0, f64::NAN, 1.0, 2.0],
        variance: &[1.0; 4],
    };
    assert_eq!(Walk::fit(&points, 0, 0.0), None);
    // Points that lie exactly on a line are no less than one.
    let (x, y) = ([-2.0, -1.0, 0.0], [2.0, 1.0, 0.0]);
    assert_near(fit(&x, &y, -1.0).slope, -1.0, 1e-9);
}
