use super::*;

const KERN: ReferenceId = ReferenceId::from_bytes(*b"KERN");

fn at(millis: i64) -> RawTime {
    RawTime(NtpTimestamp::from_unix(1_800_000_000, 0) + NtpDuration::from_nanos(millis * 1_000_000))
}

fn kernel(max_error_us: i64) -> KernelClock {
    KernelClock {
        synchronised: true,
        leap: 0,
        max_error_us,
        estimated_error_us: 10,
    }
}

#[test]
fn the_kernels_largest_error_is_our_root_dispersion() {
    let mut follow = FollowKernel::new(3, KERN, 1.0);
    let system = follow.variables(kernel(2_500), at(0), -24);
    assert_eq!((system.stratum, system.reference_id), (3, KERN));
    assert_eq!(system.root_dispersion, NtpDuration::from_nanos(2_500_000));
    assert_eq!(system.reference_timestamp, at(0).0);
    // Grown: nobody has set the clock. Shrunk: somebody has.
    assert_eq!(
        follow
            .variables(kernel(3_000), at(1000), -24)
            .reference_timestamp,
        at(0).0
    );
    assert_eq!(
        follow
            .variables(kernel(100), at(2000), -24)
            .reference_timestamp,
        at(2000).0
    );
    let leap = KernelClock {
        leap: -1,
        ..kernel(100)
    };
    assert_eq!(
        follow.variables(leap, at(3000), -24).leap,
        LeapIndicator::DeleteSecond
    );
}

#[test]
fn an_unsynchronised_kernel_makes_us_so() {
    let mut follow = FollowKernel::new(3, KERN, 1.0);
    let lost = KernelClock {
        synchronised: false,
        ..kernel(16_000_000)
    };
    let system = follow.variables(lost, at(0), -24);
    assert_eq!(system, SystemVariables::not_synchronised(-24));
}

fn report(current_correction_s: f64) -> TrackingReport {
    TrackingReport {
        reference_id: ReferenceId::from_bytes([192, 0, 2, 1]),
        address: Some("192.0.2.1".parse().unwrap()),
        stratum: 3,
        leap: LeapIndicator::NoWarning,
        reference_time: (1_799_999_990, 500_000_000),
        current_correction_s,
        last_offset_s: 0.0,
        rms_offset_s: 0.0,
        frequency_ppm: -12.0,
        residual_frequency_ppm: -1.0,
        skew_ppm: 2.0,
        root_delay_s: 0.004,
        root_dispersion_s: 0.002,
        last_update_interval_s: 64.0,
    }
}

fn follower() -> FollowChronyd {
    FollowChronyd::new(ChronydAddress::Udp("127.0.0.1:9".parse().unwrap()), 7, 1.0)
}

#[test]
fn chronyds_tracking_becomes_ours_with_its_age() {
    let mut follow = follower();
    assert!(!follow.variables(at(0), -24).is_synchronised());
    follow.take(report(0.0), at(0));
    let system = follow.variables(at(2000), -24);
    assert_eq!(
        (system.stratum, system.reference_id.to_bytes()),
        (3, [192, 0, 2, 1])
    );
    assert_eq!(
        system.reference_timestamp,
        NtpTimestamp::from_unix(1_799_999_990, 500_000_000)
    );
    // 4 ppm (residual, skew, clock error) for 2 s.
    let grown = system.root_dispersion_at(at(2000)).to_seconds();
    assert!((grown - 0.002_008).abs() < 1e-8, "{grown}");
}

#[test]
fn a_silent_or_unsynchronised_chronyd_makes_us_so() {
    let mut follow = follower();
    follow.take(report(0.0), at(0));
    assert!(follow.variables(at(9_999), -24).is_synchronised());
    assert!(!follow.variables(at(10_000), -24).is_synchronised());
    assert!(
        !follow.variables(at(-20_000), -24).is_synchronised(),
        "the clock stepped back"
    );
    follow.take(
        TrackingReport {
            leap: LeapIndicator::NotSynchronised,
            ..report(0.0)
        },
        at(11_000),
    );
    assert!(!follow.variables(at(11_000), -24).is_synchronised());
}

#[test]
fn what_chronyd_has_yet_to_slew_is_in_the_served_time() {
    let mut follow = follower();
    follow.take(report(0.010), at(0));
    let served = follow.variables(at(0), -24).correction.cook(at(0)).0;
    assert!(((served - at(0).0).to_seconds() - 0.010).abs() < 1e-9);
    // A second later half is left: half a second on, a quarter.
    follow.take(report(0.005), at(1000));
    let served = follow.variables(at(1500), -24).correction.cook(at(1500)).0;
    assert!(((served - at(1500).0).to_seconds() - 0.0025).abs() < 1e-8);
}

#[test]
fn only_a_shrinking_correction_is_a_slew() {
    let cases = [
        (0.010, 0.005, 1.0, -0.005),
        (-0.010, -0.008, 1.0, 0.002),
        (0.010, 0.001, 1.0, -0.001), // Not beyond zero before the next report.
        (0.010, 0.020, 1.0, 0.0),
        (0.010, -0.005, 1.0, 0.0),
        (0.010, 0.005, 0.0, 0.0),
        (f64::NAN, 0.005, 1.0, 0.0),
    ];
    for (before, after, elapsed, expected) in cases {
        let seen = slewing(before, after, elapsed);
        assert!(
            (seen - expected).abs() < 1e-12,
            "{before} {after} {elapsed}: {seen}"
        );
    }
}
