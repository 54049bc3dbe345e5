use super::*;
use crate::wire::{NtpDuration, NtpTimestamp};
use proptest::prelude::*;

fn at(second: f64) -> CookedTime {
    let start = NtpTimestamp::from_unix(1_700_000_000, 0);
    CookedTime(start + NtpDuration::from_seconds(second))
}

fn reading(second: f64, shows: Shows) -> Reading {
    Reading {
        at: at(second),
        shows,
        leap: LeapIndicator::NoWarning,
        dispersion_s: 1e-6,
    }
}

fn clock(options: RefclockOptions) -> Refclock {
    Refclock::new(options, 1e-7, 0)
}

const OWN: Completion = Completion::Own(None);

fn offset_of(taken: Result<Sample, Unused>) -> f64 {
    taken.expect("it is used").offset_s
}

#[test]
fn a_poll_averages_the_readings_near_the_median() {
    let mut clock = clock(RefclockOptions {
        offset_s: 0.5,
        stratum: 2,
        delay_s: 0.01,
        ..RefclockOptions::default()
    });
    for (second, offset_s) in [
        (0.0, 0.001),
        (1.0, 7.0),
        (2.0, 0.002),
        (3.0, 0.003),
        (4.0, -9.0),
    ] {
        clock
            .take(&reading(second, Shows::Time(offset_s)), OWN, None)
            .expect("it is used");
    }
    assert_eq!(clock.readings(), 5);
    let sample = clock.poll(16_000_000_000).expect("five are enough");
    assert!((sample.offset_s - 0.502).abs() < 1e-12, "{sample:?}");
    assert_eq!((sample.stratum, sample.root_delay_s), (2, 0.01));
    assert!(clock.reach().is_reachable());
    assert_eq!(clock.next_poll_ns(), 32_000_000_000);
    assert_eq!(clock.readings(), 0);
}

#[test]
fn too_few_readings_make_no_sample() {
    let mut long = clock(RefclockOptions::default());
    let mut short = clock(RefclockOptions {
        filter: 2,
        ..RefclockOptions::default()
    });
    for second in [0.0, 1.0, 2.0] {
        for clock in [&mut long, &mut short] {
            clock
                .take(&reading(second, Shows::Time(0.1)), OWN, None)
                .expect("it is used");
        }
    }
    assert_eq!(long.poll(1), None);
    assert_eq!(long.reach().register(), 0);
    assert!(short.poll(1).is_some());
}

#[test]
fn scatter_above_the_limit_is_no_sample() {
    let mut clock = clock(RefclockOptions {
        dispersion_max_s: 1e-3,
        filter: 4,
        ..RefclockOptions::default()
    });
    for (second, offset_s) in [(0.0, 0.1), (1.0, -0.1), (2.0, 0.2), (3.0, -0.2)] {
        clock
            .take(&reading(second, Shows::Time(offset_s)), OWN, None)
            .expect("it is used");
    }
    assert_eq!(clock.poll(1), None);
}

#[test]
fn a_pulse_is_completed_by_the_clock_it_is_locked_to() {
    let mut gps = clock(RefclockOptions::default());
    let mut pulses = clock(RefclockOptions {
        rate: 5,
        ..RefclockOptions::default()
    });
    // The receiver's message is late by 30 ms; the pulse is 0.3 ms behind one of five in a second.
    gps.take(&reading(10.0, Shows::Time(3.37)), OWN, None)
        .expect("it is used");
    let locked = Completion::Locked(gps.last().copied());
    let found = pulses.take(&reading(10.2, Shows::Pulse(0.0003)), locked, None);
    assert!((offset_of(found) - 3.3997).abs() < 1e-9);
    let late = pulses.take(&reading(11.0, Shows::Pulse(0.0)), locked, None);
    assert_eq!(late, Err(Unused::NoSecond), "older than two pulses");
    let nothing = Completion::Locked(None);
    let alone = pulses.take(&reading(10.2, Shows::Pulse(0.0)), nothing, None);
    assert_eq!(alone, Err(Unused::NoSecond));
}

#[test]
fn a_pulse_is_completed_by_a_clock_that_is_near_enough() {
    let mut pulses = clock(RefclockOptions::default());
    let pulse = reading(10.0, Shows::Pulse(0.9997));
    assert_eq!(pulses.take(&pulse, OWN, None), Err(Unused::NoSecond));
    let near = pulses.take(&pulse, Completion::Own(Some(0.1)), None);
    assert!((offset_of(near) - 0.0003).abs() < 1e-9);
    let far = pulses.take(&pulse, Completion::Own(Some(0.41)), None);
    assert_eq!(far, Err(Unused::TooFar));
    // Halfway between two seconds it could be either.
    let middle = reading(11.0, Shows::Pulse(0.45));
    let taken = pulses.take(&middle, Completion::Own(Some(0.0)), None);
    assert_eq!(taken, Err(Unused::TooFar));
}

#[test]
fn width_tells_the_other_edge_apart() {
    let mut pulses = clock(RefclockOptions {
        width_s: 0.1,
        ..RefclockOptions::default()
    });
    let own = Completion::Own(Some(1e-3));
    assert!(
        pulses
            .take(&reading(1.0, Shows::Pulse(0.001)), own, None)
            .is_ok()
    );
    let other = pulses.take(&reading(1.1, Shows::Pulse(0.1)), own, None);
    assert_eq!(other, Err(Unused::TooFar));
}

#[test]
fn whole_seconds_are_left_out_of_a_clock_that_is_read_as_pulses() {
    let mut atomic = clock(RefclockOptions {
        pps: true,
        ..RefclockOptions::default()
    });
    let own = Completion::Own(Some(1e-3));
    let found = atomic.take(&reading(1.0, Shows::Time(37.0002)), own, None);
    assert!((offset_of(found) - 0.0002).abs() < 1e-9);
}

#[test]
fn atomic_time_is_made_utc_by_the_table() {
    let mut atomic = clock(RefclockOptions {
        tai: true,
        ..RefclockOptions::default()
    });
    let shows = reading(1.0, Shows::Time(37.25));
    assert!((offset_of(atomic.take(&shows, OWN, Some(37))) - 0.25).abs() < 1e-12);
    assert_eq!(atomic.take(&shows, OWN, None), Err(Unused::NoSecond));
    let mut lost = shows;
    lost.leap = LeapIndicator::NotSynchronised;
    assert_eq!(
        atomic.take(&lost, OWN, Some(37)),
        Err(Unused::NotSynchronised)
    );
}

#[test]
fn a_changed_clock_moves_what_waits() {
    let mut clock = clock(RefclockOptions {
        filter: 1,
        ..RefclockOptions::default()
    });
    clock
        .take(&reading(1.0, Shows::Time(2.0)), OWN, None)
        .expect("it is used");
    clock.shift(&ClockChange {
        at: at(2.0),
        frequency: 0.0,
        offset_s: 2.0,
    });
    assert!(clock.last().is_some_and(|last| last.offset_s.abs() < 1e-9));
    let sample = clock.poll(1).expect("one is enough");
    assert!(sample.offset_s.abs() < 1e-9);
    clock.forget();
    assert_eq!(clock.last(), None);
}

proptest! {
    #[test]
    fn a_completed_pulse_is_within_half_a_pulse(
        behind_s in -2.0..2.0_f64,
        other_s in -1e6..1e6_f64,
        rate in 1..100_u32,
    ) {
        let mut pulses = clock(RefclockOptions { rate, ..RefclockOptions::default() });
        let mut other = clock(RefclockOptions::default());
        let _ = other.take(&reading(5.0, Shows::Time(other_s)), OWN, None);
        let locked = Completion::Locked(other.last().copied());
        if let Ok(sample) = pulses.take(&reading(5.0, Shows::Pulse(behind_s)), locked, None) {
            prop_assert!((sample.offset_s - other_s).abs() <= 0.4 / f64::from(rate) + 1e-6);
            let pulses_apart = (sample.offset_s + behind_s) * f64::from(rate);
            prop_assert!((pulses_apart - pulses_apart.round()).abs() < 1e-3);
        }
    }
}
