use super::*;
use crate::client::regression::as_float;
use crate::server::Chance;
use crate::wire::{LeapIndicator, NtpDuration, NtpTimestamp};
use proptest::prelude::*;

fn at(second: f64) -> CookedTime {
    let start = NtpTimestamp::from_unix(1_700_000_000, 0);
    CookedTime(start + NtpDuration::from_seconds(second))
}

fn sample(second: f64, offset_s: f64, delay_s: f64) -> Sample {
    Sample {
        at: at(second),
        offset_s,
        peer_delay_s: delay_s,
        peer_dispersion_s: 1e-6,
        root_delay_s: delay_s + 1e-3,
        root_dispersion_s: 1e-4,
        stratum: 2,
        leap: LeapIndicator::NoWarning,
    }
}

fn assert_near(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{found} is not {expected} ± {tolerance}"
    );
}

/// Uniform in -0.5 to 0.5.
fn noise(chance: &mut Chance) -> f64 {
    f64::from(chance.bits()) / f64::from(u32::MAX) - 0.5
}

#[test]
fn nothing_is_claimed_before_there_is_a_line() {
    let mut samples = Samples::new(SamplesOptions::default());
    assert_eq!(samples.predict_s(at(0.0)), None);
    assert_eq!(samples.delay_min_s(), None);
    samples.accumulate(sample(0.0, 0.1, 1e-3));
    samples.accumulate(sample(2.0, 0.1, 1e-3));
    assert_eq!(samples.selectable(at(2.0)), None);
    assert_eq!(samples.estimate(), None);
    assert_near(samples.statistics().skew, 2e-3, 0.0);
    assert_near(samples.predict_s(at(10.0)).expect("two samples"), 0.1, 0.0);
    samples.accumulate(sample(4.0, 0.1, 1e-3));
    assert!(samples.selectable(at(4.0)).is_some());
}

#[test]
fn offset_and_frequency_of_a_noisy_line() {
    let mut chance = Chance::new(1);
    let mut samples = Samples::new(SamplesOptions::default());
    for second in (0..1024).step_by(64) {
        let second = f64::from(second);
        let offset_s = 5e-6f64.mul_add(second, 0.25) + 1e-5 * noise(&mut chance);
        samples.accumulate(sample(second, offset_s, 1e-3));
    }
    let found = *samples.statistics();
    assert_eq!(found.samples, samples.len());
    assert_near(found.frequency, 5e-6, found.frequency_sd * 4.0);
    assert_near(found.frequency, 5e-6, 2e-8);
    assert_near(found.offset_s, 0.25 + 5e-6 * 960.0, 1e-5);
    assert_near(found.standard_deviation_s, 1e-5 / 12f64.sqrt(), 1.5e-6);
    assert!(found.skew > 3.0 * found.frequency_sd && found.skew < 1e-6);
    let ahead = samples.predict_s(at(10_960.0)).expect("there are samples");
    assert_near(ahead, found.offset_s + 10_000.0 * found.frequency, 1e-12);
}

#[test]
fn a_sample_that_waited_weighs_little() {
    let delays = [1e-3, 1.02e-3, 1.05e-3, 1.1e-3];
    let mut samples = Samples::new(SamplesOptions::default());
    for (second, delay_s) in (0..20).zip(delays.iter().cycle()) {
        samples.accumulate(sample(f64::from(second), 0.0, *delay_s));
    }
    samples.accumulate(sample(20.0, 0.1, 0.201));
    assert_near(samples.statistics().offset_s, 0.0, 1e-5);
    assert_near(samples.delay_min_s().expect("there are samples"), 1e-3, 0.0);
}

#[test]
fn the_register_holds_the_newest_and_no_more() {
    let mut chance = Chance::new(2);
    for samples_max in [0usize, 8] {
        let mut samples = Samples::new(SamplesOptions {
            samples_max,
            samples_min: 64,
            ..SamplesOptions::default()
        });
        let memory = samples.samples.capacity();
        for second in 0..1000u16 {
            let second = f64::from(second);
            samples.accumulate(sample(second, 1e-5 * noise(&mut chance), 1e-3));
        }
        let expected = if samples_max == 0 { 64 } else { 8 };
        assert_eq!(samples.len(), expected);
        assert_near(samples.statistics().span_s, as_float(expected - 1), 1e-9);
        assert_eq!(samples.samples.capacity(), memory);
    }
}

#[test]
fn a_changed_frequency_shortens_the_register() {
    let mut chance = Chance::new(3);
    let mut samples = Samples::new(SamplesOptions::default());
    let mut shortest = usize::MAX;
    for second in 0..120u16 {
        let second = f64::from(second);
        let offset_s = 1e-4 * (second - 60.0).max(0.0) + 1e-5 * noise(&mut chance);
        samples.accumulate(sample(second, offset_s, 1e-3));
        if second > 60.0 {
            shortest = shortest.min(samples.len());
        }
    }
    assert!((6..20).contains(&shortest), "{shortest}");
    assert_near(samples.statistics().frequency, 1e-4, 1e-6);
}

#[test]
fn jitter_of_one_direction_is_taken_out_once_it_is_sure() {
    let mut chance = Chance::new(4);
    let mut samples = Samples::new(SamplesOptions::default());
    let mut least = f64::INFINITY;
    for second in 0..40u16 {
        let excess_s = 1e-3 * (noise(&mut chance) + 0.5);
        least = least.min(excess_s);
        samples.accumulate(sample(f64::from(second), 0.5 * excess_s, 1e-3 + excess_s));
        let expected = if second < 12 { 0.0 } else { 0.5 };
        assert_near(samples.statistics().asymmetry, expected, 1e-6);
    }
    let found = samples.statistics();
    assert_near(found.offset_s, 0.5 * least, 1e-7);
    assert!(found.standard_deviation_s < 1e-8);

    let mut given = Samples::new(SamplesOptions {
        asymmetry: Some(-0.5),
        delay_min_s: Some(1e-3),
        ..SamplesOptions::default()
    });
    for (second, excess_s) in [(0.0, 0.0), (1.0, 1e-3), (2.0, 2e-3)] {
        given.accumulate(sample(second, -0.5 * excess_s, 1e-3 + excess_s));
    }
    assert_near(given.statistics().offset_s, 0.0, 1e-12);
}

#[test]
fn a_moment_that_is_not_newer_begins_anew() {
    let mut samples = Samples::new(SamplesOptions::default());
    for second in [0.0, 1.0, 2.0, 2.0] {
        samples.accumulate(sample(second, 0.1, 1e-3));
    }
    assert_eq!(samples.len(), 1);
    samples.clear();
    assert!(samples.is_empty());
    assert_eq!(samples.newest(), None);
}

#[test]
fn the_distance_grows_with_the_age_of_the_best_sample() {
    let mut chance = Chance::new(5);
    let mut samples = Samples::new(SamplesOptions {
        samples_min: 10,
        ..SamplesOptions::default()
    });
    for second in 0..10u8 {
        let delay_s = if second == 4 { 1e-3 } else { 2e-3 };
        samples.accumulate(sample(
            f64::from(second),
            1e-6 * noise(&mut chance),
            delay_s,
        ));
    }
    let now = samples.selectable(at(9.0)).expect("ten samples");
    let skew = samples.statistics().skew;
    assert_near(now.root_distance_s, 1e-3 + 1e-4 + 5.0 * skew, 1e-9);
    assert_near(now.oldest_age_s, 9.0, 1e-9);
    assert_near(now.newest_age_s, 0.0, 1e-9);
    let later = samples.selectable(at(109.0)).expect("ten samples");
    let growth = later.root_distance_s - now.root_distance_s;
    assert_near(growth, 100.0 * skew, 1e-9);
    let estimate = samples.estimate().expect("ten samples");
    assert_near(estimate.root_delay_s, 2e-3, 0.0);
    assert!(estimate.root_dispersion_s > 1e-4 + 5.0 * skew);
}

#[test]
fn symmetric_jitter_is_no_asymmetry() {
    let mut chance = Chance::new(6);
    let mut samples = Samples::new(SamplesOptions::default());
    for second in 0..400u16 {
        let [there, back] = [0; 2].map(|_| 1e-3 * (noise(&mut chance) + 0.5));
        let offset_s = (there - back) / 2.0;
        samples.accumulate(sample(f64::from(second), offset_s, 1e-3 + there + back));
        assert_near(samples.statistics().asymmetry, 0.0, 0.0);
    }
}

#[test]
fn a_walking_frequency_shortens_the_register() {
    let mut chance = Chance::new(7);
    let mut mean_length = |walk: f64, noise_s: f64| {
        let mut samples = Samples::new(SamplesOptions::default());
        let (mut offset_s, mut frequency, mut length) = (0.0, 0.0, 0);
        for turn in 0..200u16 {
            frequency += walk * noise(&mut chance);
            offset_s += 64.0 * frequency;
            let seen_s = offset_s + noise_s * noise(&mut chance);
            samples.accumulate(sample(64.0 * f64::from(turn), seen_s, 0.2));
            let found = samples.statistics();
            let wrong_s = (found.offset_s - offset_s).abs();
            assert!(
                turn < 3 || wrong_s < 5.0 * found.offset_sd_s + noise_s,
                "{found:?}"
            );
            length += if turn < 100 { 0 } else { samples.len() };
        }
        length / 100
    };
    let (steady, walking) = (mean_length(0.0, 0.03), mean_length(3e-6, 1e-4));
    assert!(steady > 24 && walking < 10, "{steady} {walking}");
}

/// A clock that is set and one that is left alone see the same source: the lines say the same of it.
#[test]
fn setting_the_clock_changes_nothing_in_what_is_known() {
    let mut chance = Chance::new(8);
    let mut alone = Samples::new(SamplesOptions::default());
    let mut set = alone.clone();
    // By how much the clock that is set is ahead of the other, and faster, since the last change.
    let (mut ahead_s, mut faster, mut changed) = (0.0, 0.0, 0.0);
    for turn in 0..60u8 {
        let second = 64.0 * f64::from(turn);
        let truth_s = 2e-5f64.mul_add(second, 1e-9 * second.powi(2)) + 1e-4 * noise(&mut chance);
        let delay_s = 1e-3 + 2e-4 * (noise(&mut chance) + 0.5);
        let now_s: f64 = faster * (second - changed) + ahead_s;
        alone.accumulate(sample(second, truth_s, delay_s));
        set.accumulate(sample(second + now_s, truth_s - now_s, delay_s));
        let (left, made) = (*alone.statistics(), *set.statistics());
        assert_eq!(made.samples, left.samples);
        assert_near(made.offset_s, left.offset_s - now_s, 1e-8);
        assert_near(made.offset_sd_s / left.offset_sd_s, 1.0, 1e-3);
        let frequency = (1.0 + made.frequency).mul_add(1.0 + faster, -1.0);
        assert_eq!(made.has_line, left.has_line);
        assert!(!made.has_line || (frequency - left.frequency).abs() < 1e-10);
        let change = ClockChange {
            at: at(second + now_s),
            frequency: 1e-6 * noise(&mut chance),
            offset_s: 1e-3 * noise(&mut chance),
        };
        set.shift(&change);
        ahead_s = now_s + change.offset_s;
        faster = (1.0 + faster).mul_add(1.0 + change.frequency, -1.0);
        changed = second;
    }
}

proptest! {
    /// Samples that a changed clock restates are those that the changed clock would have measured.
    #[test]
    fn a_shift_is_what_the_changed_clock_would_have_seen(
        frequency in -1e-4_f64..1e-4,
        step_s in -1.0..1.0,
        source in -1e-4_f64..1e-4,
    ) {
        let mut samples = Samples::new(SamplesOptions::default());
        for second in 0..10u8 {
            let second = f64::from(second);
            samples.accumulate(sample(second, 0.5 + source * second, 1e-3));
        }
        let change = ClockChange { at: at(12.0), frequency, offset_s: step_s };
        let before = samples.predict_s(at(12.0)).expect("there are samples");
        let elapsed = 12.0 - 9.0;
        samples.shift(&change);
        let found = *samples.statistics();
        // As good as the line is through offsets of ten seconds, with a precision of 0.1 us.
        prop_assert!((found.frequency - (source - frequency) / (1.0 + frequency)).abs() < 1e-10);
        let newest = samples.newest().expect("there are samples");
        let moved = (newest.at.0 - at(9.0).0).to_seconds();
        prop_assert!((moved - (step_s - elapsed * frequency)).abs() < 1e-9);
        let after = samples.predict_s(change.restate(at(12.0))).expect("there are samples");
        prop_assert!((after - (before - step_s)).abs() < 1e-8);
        // The line drawn anew through the restated samples is the restated line.
        samples.renew();
        prop_assert!((samples.statistics().frequency - found.frequency).abs() < 1e-10);
        prop_assert!((samples.statistics().offset_s - found.offset_s).abs() < 1e-8);
    }

    #[test]
    fn no_sample_makes_it_panic(
        parts in proptest::collection::vec((any::<u64>(), any::<f64>(), any::<f64>(), any::<f64>()), 0..80),
    ) {
        let mut samples = Samples::new(SamplesOptions::default());
        for (moment, offset_s, delay_s, dispersion_s) in parts {
            let moment = CookedTime(NtpTimestamp::from_bits(moment));
            samples.accumulate(Sample {
                at: moment,
                offset_s,
                peer_delay_s: delay_s,
                peer_dispersion_s: dispersion_s,
                root_delay_s: delay_s,
                root_dispersion_s: dispersion_s,
                stratum: 1,
                leap: LeapIndicator::NoWarning,
            });
            samples.shift(&ClockChange { at: moment, frequency: offset_s, offset_s: delay_s });
            samples.step(offset_s);
            let seen = (samples.selectable(moment), samples.estimate(), samples.predict_s(moment));
            prop_assert!(samples.len() <= SAMPLES_MAX && seen.0.is_some() == seen.1.is_some());
        }
    }
}

#[test]
fn a_register_goes_on_where_it_was_left() {
    let mut chance = Chance::new(7);
    let mut samples = Samples::new(SamplesOptions::default());
    for second in (0..1600).step_by(16) {
        // All of the jitter is on one way, so it shows as an offset of half the excess.
        let excess_s = 1e-3 * (noise(&mut chance) + 0.5);
        let second = f64::from(second);
        let offset_s = 0.5f64.mul_add(-excess_s, 1e-6 * second);
        samples.accumulate(sample(second, offset_s, 1e-3 + excess_s));
    }
    assert_eq!(samples.asymmetry_run(), -10);
    let mut restored = Samples::new(SamplesOptions::default());
    restored.accumulate(sample(0.0, 9.0, 1.0));
    restored.restore(samples.register(), samples.asymmetry_run());
    assert_eq!(restored.len(), samples.len());
    assert_eq!(restored.asymmetry_run(), -10);
    let (before, after) = (samples.statistics(), restored.statistics());
    // What had left the register before, and still told how steady the clock is, is not there any more.
    assert_near(after.offset_s, before.offset_s, 2e-5);
    assert_near(after.frequency, before.frequency, 1e-7);
    assert_near(after.asymmetry, before.asymmetry, 0.05);

    let few = SamplesOptions {
        samples_max: 8,
        ..SamplesOptions::default()
    };
    let mut few = Samples::new(few);
    few.restore(samples.register(), 0);
    assert!((6..=8).contains(&few.len()), "{}", few.len());
    assert_eq!(few.newest(), samples.newest());
    few.restore(&[], 0);
    assert!(few.is_empty());
}
