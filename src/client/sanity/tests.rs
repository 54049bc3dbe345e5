use super::*;
use crate::wire::{HEADER_LEN, HeaderMut, Mode, NtpDuration};

fn reply() -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    let mut header = HeaderMut::new(&mut bytes);
    header.set_first(LeapIndicator::NoWarning, 4, Mode::Server);
    header.set_stratum(2);
    header.set_reference_id(ReferenceId::from_bytes([192, 0, 2, 1]));
    header.set_reference_timestamp(NtpTimestamp::from_bits(7));
    header.set_origin_timestamp(NtpTimestamp::from_bits(1));
    header.set_receive_timestamp(NtpTimestamp::from_bits(2));
    header.set_transmit_timestamp(NtpTimestamp::from_bits(3));
    bytes
}

fn changed(change: impl Fn(&mut HeaderMut<'_>), test: impl Fn(HeaderView<'_>) -> bool) -> bool {
    let mut bytes = reply();
    change(&mut HeaderMut::new(&mut bytes));
    test(HeaderView::new(&bytes))
}

fn expectation() -> Expectation {
    Expectation {
        samples: 8,
        at: at(0),
        offset_s: 1e-3,
        frequency: 1e-6,
        skew: 1e-6,
        standard_deviation_s: 1e-5,
        min_delay_s: 1e-3,
        asymmetry: 0.0,
    }
}

fn at(seconds: i64) -> CookedTime {
    CookedTime(NtpTimestamp::from_unix(1_800_000_000 + seconds, 0))
}

#[test]
fn the_columns_are_chronys() {
    let mut all = Tests::default();
    assert_eq!(all.to_string(), "000 000 0000");
    for test in Test::ALL {
        all = all.with(test, true);
    }
    assert_eq!(
        (all.to_string().as_str(), all.bits()),
        ("111 111 1111", 0x3ff)
    );
    let names: String = Test::ALL.into_iter().map(Test::name).collect();
    assert_eq!(names, "123567ABCD");
    let looped = all.with(Test::Loop, false);
    assert_eq!(
        (looped.to_string().as_str(), looped.bits()),
        ("111 111 1110", 0x3fe)
    );
    assert!(all.is_good() && looped.is_synchronised() && !looped.is_good());
    let far = all.with(Test::RootDistance, false);
    assert!(far.is_valid() && !far.is_synchronised());
    assert!(
        Test::ALL[..4]
            .iter()
            .all(|test| !all.with(*test, false).is_valid())
    );
    assert_eq!(
        format!("{:>13}", all.with(Test::Authentic, false)),
        " 111 011 1111"
    );
}

#[test]
fn failures_are_counted_by_test_and_what_was_not_made_is_not() {
    let mut failed = FailedTests::default();
    failed.count(Tests::default().with(Test::Origin, true));
    let mut valid = Tests::default();
    for test in &Test::ALL[..7] {
        valid = valid.with(*test, true);
    }
    failed.count(valid);
    let counts: Vec<u64> = failed.iter().map(|(_, count)| count).collect();
    assert_eq!(counts, [1, 0, 1, 1, 1, 1, 0, 1, 1, 1]);
    assert_eq!(failed.of(Test::Loop), 1);
}

#[test]
fn a_duplicate_has_both_timestamps_of_the_last() {
    let (two, three, four) = (2, 3, 4);
    let last = |receive, transmit| {
        Some((
            NtpTimestamp::from_bits(receive),
            NtpTimestamp::from_bits(transmit),
        ))
    };
    let bytes = reply();
    let header = HeaderView::new(&bytes);
    assert!(!is_new(header, last(two, three)));
    assert!(
        is_new(header, last(four, three))
            && is_new(header, last(two, four))
            && is_new(header, None)
    );
}

#[test]
fn a_missing_timestamp_fails_test_3() {
    let nothing = NtpTimestamp::ZERO;
    assert!(changed(|_| (), has_timestamps));
    assert!(!changed(
        |header| header.set_origin_timestamp(nothing),
        has_timestamps
    ));
    assert!(!changed(
        |header| header.set_receive_timestamp(nothing),
        has_timestamps
    ));
    assert!(!changed(
        |header| header.set_transmit_timestamp(nothing),
        has_timestamps
    ));
}

#[test]
fn s7_3_stratum_and_leap_say_whether_a_source_is_synchronised() {
    assert!(changed(|header| header.set_stratum(15), is_synchronised));
    assert!(!changed(|header| header.set_stratum(16), is_synchronised));
    assert!(!changed(|header| header.set_stratum(0), is_synchronised));
    let alarm = |header: &mut HeaderMut<'_>| {
        header.set_first(LeapIndicator::NotSynchronised, 4, Mode::Server);
    };
    assert!(!changed(alarm, is_synchronised));
}

#[test]
fn s7_2_a_root_distance_of_16_s_is_too_much() {
    let far = |delay, dispersion| {
        changed(
            |header| {
                header.set_root_delay(NtpShort::from_bits(delay));
                header.set_root_dispersion(NtpShort::from_bits(dispersion));
            },
            has_credible_root,
        )
    };
    assert!(far(2 << 16, (15 << 16) - 1));
    assert!(!far(2 << 16, 15 << 16));
    assert!(!far(u32::MAX, u32::MAX));
}

#[test]
fn delays_are_judged_by_what_is_certain_of_them() {
    assert!(is_within_delay(3.1, 0.2, 1e-6, 3.0));
    assert!(!is_within_delay(3.1, 0.05, 1e-6, 3.0));
    assert!(!is_within_delay(0.0, 0.0, 1e-3, 1e-4));
    let mut expected = expectation();
    assert!(is_within_ratio(2.1e-3, 2e-4, Some(2.0), &expected));
    assert!(!is_within_ratio(2.1e-3, 0.0, Some(2.0), &expected));
    assert!(is_within_ratio(9.0, 0.0, None, &expected));
    expected.samples = 5;
    assert!(is_within_ratio(2.1e-3, 0.0, Some(2.0), &expected));
}

#[test]
fn growth_of_the_delay_is_explained_by_scatter_drift_or_news() {
    let expected = expectation();
    // ten times 10 us of scatter, 64 s of 2 ppm
    let limit_s = 1e-4 + 1.28e-4;
    let measured = |growth_s: f64, error_s| Deviation {
        at: at(64),
        delay_s: 2.0f64.mul_add(growth_s, 1e-3),
        error_s: Some(error_s),
        ratio: 10.0,
        quantile_s: None,
        max_clock_error: 1e-6,
    };
    assert!(is_within_deviation(
        &measured(limit_s - 1e-6, 0.0),
        &expected
    ));
    assert!(!is_within_deviation(
        &measured(limit_s + 1e-6, 0.0),
        &expected
    ));
    assert!(is_within_deviation(
        &measured(limit_s + 1e-6, 2.0 * limit_s),
        &expected
    ));
    let few = Expectation {
        samples: 2,
        ..expected
    };
    assert!(is_within_deviation(&measured(1.0, 0.0), &few));
    let quantile = |delay_s, error_s| Deviation {
        delay_s,
        quantile_s: Some(2e-3),
        ..measured(0.0, error_s)
    };
    assert!(is_within_deviation(&quantile(2e-3, 0.0), &expected));
    assert!(!is_within_deviation(&quantile(2.1e-3, 0.0), &expected));
    assert!(is_within_deviation(&quantile(2.1e-3, 1e-4), &expected));
}

#[test]
fn the_prediction_is_a_line() {
    let expected = expectation();
    assert!((expected.offset_at_s(at(100)) - 1.1e-3).abs() < 1e-12);
    let error_s = expected.error_s(at(100), 1e-3).unwrap();
    assert!((error_s - 1e-4).abs() < 1e-12);
    assert_eq!(Expectation::default().error_s(at(0), 0.0), None);
}

#[test]
fn a_source_that_follows_us_or_is_us_is_a_loop() {
    let system = SystemVariables {
        leap: LeapIndicator::NoWarning,
        stratum: 2,
        reference_id: ReferenceId::from_bytes([192, 0, 2, 1]),
        reference_timestamp: NtpTimestamp::from_bits(7),
        root_delay: NtpDuration::ZERO,
        ..SystemVariables::not_synchronised(-24)
    };
    let ourselves = |address| Identity {
        address: ReferenceId::from_bytes(address),
        system: &system,
    };
    let us = ourselves([192, 0, 2, 9]);
    let followed = ourselves([192, 0, 2, 1]);
    // The same reference data: that is ourselves.
    assert!(!changed(|_| (), |header| is_no_loop(header, Some(&us))));
    // The same source as ours, but another clock.
    let later = |header: &mut HeaderMut<'_>| {
        header.set_reference_timestamp(NtpTimestamp::from_bits(8));
    };
    assert!(changed(later, |header| is_no_loop(header, Some(&us))));
    assert!(!changed(later, |header| is_no_loop(
        header,
        Some(&followed)
    )));
    assert!(changed(later, |header| is_no_loop(header, None)));
    // At stratum 1 it is the name of a reference clock.
    let first = |header: &mut HeaderMut<'_>| header.set_stratum(1);
    assert!(changed(first, |header| is_no_loop(header, Some(&followed))));
}
