use super::*;
use proptest::prelude::*;

/// As chronyd 4.3 has written it, of a server on loopback and of a reference clock.
const SERVER: &str = "SRC0
127.0.0.1
0 377 8 5 0
2 94
1795416516.898079597 2.956972e-06 2.813000e-06 8.749000e-06 5.880729e-08 8.749000e-06 5.880729e-08
1795416517.151002018 -1.901130e-06 2.777000e-06 8.611000e-06 5.880729e-08 8.611000e-06 5.880729e-08
";
const CLOCK: &str = "SRC0
.
0 374 8 0 1
1 -12
1795416509.820877035 -1.002420e-03 -1.003995e-03 1.000000e-09 7.467307e-07 1.000000e-09 7.467307e-07
";
const NOW: i64 = 1_795_416_532;

#[test]
fn what_chronyd_wrote_is_read() {
    let dump = Dump::parse(SERVER, NOW).expect("chronyd's");
    assert_eq!(dump.name.as_deref(), Some("127.0.0.1"));
    assert_eq!((dump.reach, dump.reach_polls), (0o377, 8));
    assert_eq!(
        (dump.stratum, dump.leap),
        (5, LeapIndicator::NoWarning),
        "of the source"
    );
    assert_eq!((dump.asymmetry_run, dump.samples.len()), (94, 2));
    let sample = dump.samples[0];
    assert_eq!(
        sample.at.0,
        NtpTimestamp::from_unix(1_795_416_516, 898_079_597)
    );
    assert!((sample.peer_delay_s - 8.749e-6).abs() < 1e-15);
    assert_eq!((sample.stratum, sample.leap), (5, LeapIndicator::NoWarning));

    let clock = Dump::parse(CLOCK, NOW).expect("chronyd's");
    assert_eq!((clock.name, clock.asymmetry_run), (None, -12));
    assert_eq!(clock.leap, LeapIndicator::InsertSecond);
}

/// The clock of the second sample was ahead of ours by 1 ms: ours is slow, which chrony calls negative.
#[test]
fn chronys_sign_is_the_other_one() {
    let clock = Dump::parse(CLOCK, NOW).expect("chronyd's");
    assert!((clock.samples[0].offset_s - 1.002_42e-3).abs() < 1e-12);
    let text = clock.format(NOW);
    assert!(
        text.contains("1795416509.820877035 -1.002420e-03 -1.002420e-03 "),
        "{text}"
    );
}

#[test]
fn what_is_written_is_what_chronyd_writes() {
    let dump = Dump::parse(SERVER, NOW).expect("chronyd's");
    let text = dump.format(NOW);
    let fields = |text: &str| {
        let lines = text.lines().map(|line| {
            let words = line.split(' ').map(str::to_owned);
            words.collect::<Vec<_>>()
        });
        lines.collect::<Vec<_>>()
    };
    let (mut ours, mut theirs) = (fields(&text), fields(SERVER));
    for lines in [&mut ours, &mut theirs] {
        for line in lines.iter_mut().skip(4) {
            line.remove(2); // The offset as it was measured, which is not kept.
        }
    }
    assert_eq!(ours, theirs);
}

/// Each is refused by chronyd 4.3 as well, but for the two that are marked.
#[test]
fn what_is_no_dump_is_refused() {
    let sample = "1795416516.5 1e-6 1e-6 1e-5 1e-6 1e-5 1e-6";
    let with = |mark: &str, state: &str, count: &str, samples: &[&str]| {
        let samples = samples.join("\n");
        format!("{mark}\nname\n{state}\n{count}\n{samples}\n")
    };
    let good = with("SRC0", "0 377 8 5 0", "1 0", &[sample]);
    assert!(Dump::parse(&good, NOW).is_ok());
    assert!(Dump::parse(good.trim_end(), NOW).is_ok());
    let more = with("SRC0", "0 377 8 5 0 9", "1 0 7", &[sample, "and more"]);
    assert!(Dump::parse(&more, NOW).is_ok());

    let bad = [
        String::new(),
        with("SRC1", "0 377 8 5 0", "1 0", &[sample]),
        with("SRC0", "0 377 8 5", "1 0", &[sample]),
        with("SRC0", "0 378 8 5 0", "1 0", &[sample]),
        with("SRC0", "0 777 9 16 3", "1 0", &[sample]),
        with("SRC0", "0 377 8 5 3", "1 0", &[sample]),
        with("SRC0", "0 377 8 5 0", "0 0", &[]),
        with("SRC0", "0 377 8 5 0", "2 0", &[sample]),
        with("SRC0", "0 377 8 5 0", "65 0", &[sample]),
        with("SRC0", "0 377 8 5 0", "2 0", &[sample, sample]),
        with("SRC0", "0 377 8 5 0", "1", &[sample]),
    ];
    for text in bad {
        assert_eq!(Dump::parse(&text, NOW), Err(BadDump), "{text}");
    }
    let bad_samples = [
        "1795417516.5 1e-6 1e-6 1e-5 1e-6 1e-5 1e-6", // Of the future.
        "1795416516.5 nan 1e-6 1e-5 1e-6 1e-5 1e-6",
        "1795416516.5 1e-6 1e-6 1e-5 1e-6 1e-5",
        "1795416516.5 1e12 1e-6 1e-5 1e-6 1e-5 1e-6",
        "x 1e-6 1e-6 1e-5 1e-6 1e-5 1e-6",
        "1000.5 1e-6 1e-6 1e-5 1e-6 1e-5 1e-6", // chronyd takes it.
        "1795416516.5 1e-6 1e-6 1e-5 -1e-6 1e-5 1e-6", // Likewise.
    ];
    for sample in bad_samples {
        let text = with("SRC0", "0 377 8 5 0", "1 0", &[sample]);
        assert_eq!(Dump::parse(&text, NOW), Err(BadDump), "{sample}");
    }
}

#[test]
fn the_nearest_reading_of_a_timestamp_is_taken() {
    let last_of_era_0 = 2_085_978_495;
    for secs in [0, 1_795_416_516, last_of_era_0, last_of_era_0 + 1] {
        for distance in [-2_000_000_000, -1, 0, 1, 2_000_000_000] {
            let found = unix_near(NtpTimestamp::from_unix(secs, 5), secs + distance);
            assert_eq!(found, (secs, 5), "seen from {}", secs + distance);
        }
    }
}

prop_compose! {
    fn any_sample()(
        since_s in 1..1_000_000_i64,
        nanos in 0..1_000_000_000_u32,
        offset_s in -1e3..1e3_f64,
        errors_s in [0.0..1e3_f64, 0.0..1e3_f64, 0.0..1e3_f64, 0.0..1e3_f64],
    ) -> (i64, u32, Sample) {
        (since_s, nanos, Sample {
            at: CookedTime::default(),
            offset_s,
            peer_delay_s: errors_s[0],
            peer_dispersion_s: errors_s[1],
            root_delay_s: errors_s[2],
            root_dispersion_s: errors_s[3],
            stratum: 3,
            leap: LeapIndicator::DeleteSecond,
        })
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        mut samples in prop::collection::vec(any_sample(), 1..=SAMPLES_MAX),
        now_unix_s in 0..4_000_000_000_i64,
        (reach, reach_polls, asymmetry_run) in any::<(u8, u8, i32)>(),
        is_authenticated: bool,
    ) {
        samples.sort_by_key(|(since_s, ..)| std::cmp::Reverse(*since_s));
        samples.dedup_by_key(|(since_s, ..)| *since_s);
        let samples = samples.into_iter().map(|(since_s, nanos, sample)| Sample {
            at: CookedTime(NtpTimestamp::from_unix((now_unix_s - since_s).max(0), nanos)),
            ..sample
        });
        let mut samples: Vec<_> = samples.collect();
        samples.dedup_by_key(|sample| sample.at.0.to_bits() >> 32);
        let dump = Dump {
            name: Some("ntp.example.net".to_owned()),
            is_authenticated,
            reach,
            reach_polls: reach_polls % 9,
            stratum: 3,
            leap: LeapIndicator::DeleteSecond,
            asymmetry_run,
            samples,
        };
        let read = Dump::parse(&dump.format(now_unix_s), now_unix_s).expect("our own");
        prop_assert_eq!(read.samples.len(), dump.samples.len());
        for (read, kept) in read.samples.iter().zip(&dump.samples) {
            prop_assert_eq!(read.at, kept.at);
            prop_assert!((read.offset_s - kept.offset_s).abs() <= 1e-6 * kept.offset_s.abs());
            prop_assert!((read.root_delay_s - kept.root_delay_s).abs() <= 1e-6 * kept.root_delay_s);
        }
        prop_assert_eq!(
            Dump { samples: Vec::new(), ..read },
            Dump { samples: Vec::new(), ..dump }
        );
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(SRC0\n.{0,8}\n[0-9 ]{0,14}\n)?[-0-9.e \n]{0,200}", now_unix_s: i64) {
        if let Ok(dump) = Dump::parse(&text, now_unix_s) {
            prop_assert!((1..=SAMPLES_MAX).contains(&dump.samples.len()));
        }
    }
}
