use super::*;
use crate::wire::NtpTimestamp;

fn at(second: f64) -> CookedTime {
    let start = NtpTimestamp::from_unix(1_700_000_000, 0);
    CookedTime(start + NtpDuration::from_seconds(second))
}

fn estimate(second: f64, offset_s: f64, frequency: f64, skew: f64) -> Update {
    Update {
        estimate: Estimate {
            at: at(second),
            offset_s,
            offset_sd_s: 1e-5,
            frequency,
            frequency_sd: skew / 4.0,
            skew,
            root_delay_s: 2e-3,
            root_dispersion_s: 1e-3,
            newest_distance_s: 1e-3,
        },
        now: at(second),
        remaining_s: 0.0,
    }
}

#[track_caller]
fn adjustment(verdict: Verdict) -> Adjustment {
    match verdict {
        Verdict::Adjust(adjustment) => adjustment,
        other => panic!("{other:?}"),
    }
}

fn assert_near(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{found} is not {expected} ± {tolerance}"
    );
}

#[test]
fn the_first_frequency_is_taken_whole_and_later_ones_by_their_doubt() {
    let mut servo = Servo::new(ServoOptions::default(), None);
    let first = adjustment(servo.update(&estimate(0.0, 0.1, 1e-4, 5e-4), 0.0));
    assert_near(first.frequency, 1e-4, 1e-9);
    assert_near(first.offset_s, 0.1, 0.0);
    assert_near(servo.tracking().skew, 5e-4, 1e-5);
    // As well known as what is in use: it weighs three of four.
    let mut servo = Servo::new(ServoOptions::default(), Some(1e-7));
    let second = adjustment(servo.update(&estimate(64.0, 0.0, 4e-7, 1e-7), 0.0));
    assert_near(second.frequency, 3e-7, 1e-12);
    assert_near(servo.tracking().residual_frequency, 1e-7, 1e-12);
    // Both doubts, and that the two lay 0.4 ppm apart.
    let apart = (0.75f64 * 1e-7 * 1e-7 + 0.25 * 3e-7 * 3e-7).sqrt();
    assert_near(servo.tracking().skew, 1e-7 + apart, 1e-12);
}

#[test]
fn a_doubtful_frequency_is_not_used_and_its_offset_is() {
    let options = ServoOptions {
        skew_max: 1e-4,
        ..ServoOptions::default()
    };
    let mut servo = Servo::new(options, None);
    let found = adjustment(servo.update(&estimate(0.0, 0.1, 1e-4, 1.1e-4), 0.0));
    assert_near(found.frequency, 0.0, 0.0);
    assert_near(found.offset_s, 0.1, 0.0);
    assert_near(servo.tracking().residual_frequency, 1e-4, 0.0);
    servo.set_skew_max(2e-4);
    let found = adjustment(servo.update(&estimate(64.0, 0.1, 1e-4, 1.1e-4), 0.0));
    assert_near(found.frequency, 1e-4, 1e-8);
}

#[test]
fn an_offset_as_large_as_its_deviation_takes_one_and_a_half_intervals() {
    let mut servo = Servo::new(ServoOptions::default(), None);
    let first = adjustment(servo.update(&estimate(0.0, 0.1, 0.0, 1e-6), 0.0));
    assert_near(first.duration_offset_s2, 0.0, 0.0);
    let now = 64.1;
    let second = adjustment(servo.update(&estimate(now, 1e-5, 0.0, 1e-6), 0.0));
    assert_near(second.duration_offset_s2 / 1e-5, 1.5 * 64.0, 0.01);
    assert_near(servo.tracking().update_interval_s, 64.0, 1e-6);
}

#[test]
fn an_older_estimate_is_carried_to_the_moment() {
    let mut servo = Servo::new(ServoOptions::default(), None);
    let mut update = estimate(0.0, 1e-3, 1e-5, 1e-6);
    update.now = at(100.0);
    let found = adjustment(servo.update(&update, 0.0));
    assert_near(found.offset_s, 2e-3, 1e-9);
    let tracking = servo.tracking();
    assert_near(tracking.root_dispersion_s, 1e-3 + 1e-4, 1e-9);
    assert_near(tracking.root_delay_s, 2e-3, 0.0);
}

#[test]
fn large_offsets_are_stepped_in_the_first_updates() {
    let options = ServoOptions {
        make_step: Some(MakeStep {
            threshold_s: 1.0,
            updates: Some(2),
        }),
        ..ServoOptions::default()
    };
    let mut servo = Servo::new(options, None);
    let mut steps = |second, offset_s, remaining_s| {
        let mut update = estimate(second, offset_s, 0.0, 1e-6);
        update.remaining_s = remaining_s;
        adjustment(servo.update(&update, 0.0)).is_step
    };
    assert!(!steps(0.0, 0.9, 0.0));
    assert!(steps(64.0, 0.9, 0.2), "what was not slewed in yet counts");
    assert!(!steps(128.0, -5.0, 0.0), "two updates are over");
    let every = MakeStep {
        threshold_s: 1.0,
        updates: None,
    };
    servo.set_make_step(Some(every));
    let update = estimate(192.0, -5.0, 0.0, 1e-6);
    assert!(adjustment(servo.update(&update, 0.0)).is_step);
}

#[test]
fn an_offset_beyond_belief_is_ignored_and_then_the_end() {
    let options = ServoOptions {
        max_change: Some(MaxChange {
            offset_s: 1.0,
            start: 1,
            ignore: Some(2),
        }),
        ..ServoOptions::default()
    };
    let mut servo = Servo::new(options, None);
    let mut verdict = |second, offset_s| servo.update(&estimate(second, offset_s, 0.0, 1e-6), 0.0);
    adjustment(verdict(0.0, 100.0));
    assert_eq!(verdict(64.0, 2.0), Verdict::Ignored(2.0));
    adjustment(verdict(128.0, 0.5));
    assert_eq!(verdict(192.0, -2.0), Verdict::Ignored(-2.0));
    assert_eq!(verdict(256.0, 2.0), Verdict::GiveUp(2.0));
    assert_near(servo.tracking().last_offset_s, 0.5, 0.0);
}

#[test]
fn root_dispersion_grows_between_updates() {
    let mut servo = Servo::new(ServoOptions::default(), Some(1e-6));
    assert_near(servo.root_dispersion_s(at(0.0)), 0.0, 0.0);
    servo.update(&estimate(0.0, 0.0, 0.0, 1e-6), 0.0);
    let rate = servo.dispersion_rate();
    assert_near(rate, 2e-6, 1e-9);
    let grown = servo.root_dispersion_s(at(1000.0)) - servo.root_dispersion_s(at(0.0));
    assert_near(grown, 1000.0 * rate, 1e-9);
    servo.step(1000.0);
    assert_near(servo.root_dispersion_s(at(1000.0)), 1e-3, 1e-9);
}

#[test]
fn the_root_mean_square_forgets_the_start() {
    let mut servo = Servo::new(ServoOptions::default(), None);
    servo.update(&estimate(0.0, 100.0, 0.0, 1e-6), 0.0);
    for turn in 0..100u8 {
        let sign = if turn % 2 == 0 { 1.0 } else { -1.0 };
        let second = 64.0f64.mul_add(f64::from(turn), 200.0);
        servo.update(&estimate(second, sign * 1e-5, 0.0, 1e-6), 0.0);
    }
    assert_near(servo.tracking().rms_offset_s, 1e-5, 1e-9);
}

#[test]
fn silence_falls_back_on_what_the_frequency_was() {
    let options = ServoOptions {
        fallback_drift: Some(FallbackDrift {
            interval_min_log2: 10,
            interval_max_log2: 11,
        }),
        ..ServoOptions::default()
    };
    let mut servo = Servo::new(options, None);
    assert_eq!(
        (servo.fall_back_deadline(), servo.fall_back(at(0.0))),
        (None, None)
    );
    for turn in 0..100u8 {
        let second = 64.0 * f64::from(turn);
        servo.update(&estimate(second, 0.0, 0.0, 1e-7), 3e-6);
    }
    let last = 64.0 * 99.0;
    assert_eq!(servo.fall_back_deadline(), Some(at(last + 1024.0)));
    assert_eq!(servo.fall_back(at(last + 1000.0)), None);
    let found = servo.fall_back(at(last + 1024.0)).expect("it is time");
    assert_near(found, 3e-6, 1e-12);
    assert_eq!(servo.fall_back_deadline(), Some(at(last + 2048.0)));
}
