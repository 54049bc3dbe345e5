use super::*;
use crate::wire::{CookedTime, NtpTimestamp};
use proptest::prelude::*;

fn seen(offset_s: f64, root_distance_s: f64) -> Selectable {
    Selectable {
        offset_s,
        root_distance_s,
        standard_deviation_s: 1e-4,
        oldest_age_s: 500.0,
        newest_age_s: 10.0,
    }
}

/// A good source with its interval `offset_s ± distance_s`, just updated.
fn source(offset_s: f64, distance_s: f64) -> Candidate {
    Candidate {
        role: SelectOptions::default(),
        reference_id: 7,
        stratum: 2,
        leap: LeapIndicator::NoWarning,
        reach: 0xff,
        reach_polls: 8,
        selectable: Some(seen(offset_s, distance_s)),
        estimate: Some(Estimate {
            at: CookedTime(NtpTimestamp::from_unix(1_700_000_000, 0)),
            offset_s,
            offset_sd_s: 1e-5,
            frequency: 0.0,
            frequency_sd: 1e-8,
            skew: 1e-7,
            root_delay_s: 2e-3,
            root_dispersion_s: 1e-3,
            newest_distance_s: 3e-3,
        }),
        standing: Standing {
            updates: 1,
            ..Standing::default()
        },
    }
}

fn with(mut candidate: Candidate, change: impl Fn(&mut Candidate)) -> Candidate {
    change(&mut candidate);
    candidate
}

fn letters(candidates: &[Candidate]) -> String {
    let all = candidates.iter().map(|c| c.standing.state.letter());
    all.collect()
}

fn choose(candidates: &mut [Candidate]) -> Choice {
    select(&SelectionOptions::default(), candidates, None)
}

#[track_caller]
fn reference(choice: Choice) -> Reference {
    match choice {
        Choice::Selected(reference) => reference,
        other => panic!("{other:?}"),
    }
}

#[test]
fn s11_2_1_falsetickers_are_outvoted() {
    let mut all = [
        source(0.001, 0.01),
        source(0.5, 0.01),
        source(-0.001, 0.02),
        source(-0.7, 0.01),
        source(0.0, 0.015),
    ];
    let found = reference(choose(&mut all));
    assert_eq!(letters(&all), "*x+x+");
    assert_eq!((found.index, found.is_new, found.combined), (0, true, 3));
    let estimate = found.estimate.expect("it is new");
    assert!(estimate.offset_s.abs() < 1e-3);
    assert!(all.iter().all(|c| c.standing.updates == 0));
}

#[test]
fn two_that_disagree_leave_none() {
    let mut all = [source(0.0, 0.01), source(1.0, 0.01)];
    all[0].standing.is_selected = true;
    assert_eq!(choose(&mut all), Choice::NoMajority);
    assert_eq!(letters(&all), "xx");
    assert!(!all[0].standing.is_selected);
    let mut all = [
        source(0.0, 0.01),
        source(1.0, 0.01),
        source(2.0, 0.01),
        source(0.0, 0.02),
    ];
    assert_eq!(choose(&mut all), Choice::NoMajority, "half is no majority");
    assert_eq!(choose(&mut []), Choice::NoSelectable);
}

#[test]
fn an_interval_inside_the_region_or_around_it_agrees() {
    // Three overlap in two places, and from the first to the last of them is the region, 10 ms to 40 ms.
    let mut all = [
        source(0.0, 0.05),
        source(0.0, 0.05),
        source(0.015, 0.005),
        source(0.035, 0.005),
    ];
    reference(choose(&mut all));
    assert_eq!(letters(&all), "DD*+");
    // One that begins before the region and ends in it does neither.
    let mut all = [
        source(0.0, 0.05),
        source(0.0, 0.05),
        source(-0.03, 0.01),
        source(-0.0675, 0.0225),
        source(0.035, 0.005),
    ];
    reference(choose(&mut all));
    assert_eq!(letters(&all), "DD+x*");
}

#[test]
fn what_keeps_a_source_out_by_itself() {
    let good = source(0.0, 0.01);
    let mut all = [
        good,
        with(good, |c| c.role.noselect = true),
        with(good, |c| c.selectable = None),
        with(good, |c| c.leap = LeapIndicator::NotSynchronised),
        with(good, |c| c.stratum = 16),
        with(good, |c| c.selectable = Some(seen(0.0, 3.1))),
        with(good, |c| {
            c.selectable = Some(Selectable {
                standard_deviation_s: 1.1,
                ..seen(0.0, 0.01)
            });
        }),
        with(good, |c| c.selectable = Some(seen(0.0, f64::NAN))),
    ];
    assert_eq!(reference(choose(&mut all)).index, 0);
    assert_eq!(letters(&all), "*NMsrd~d");
    all[0].role.noselect = true;
    assert_eq!(choose(&mut all), Choice::NoSelectable);
    assert!(!all[0].standing.is_selected);
}

#[test]
fn the_first_choice_waits_for_the_others_samples() {
    let early = with(source(0.0, 0.01), |c| {
        c.reach = 0b111;
        c.reach_polls = 3;
    });
    let mut all = [early, with(early, |c| c.selectable = None)];
    assert_eq!(choose(&mut all), Choice::NotYet);
    assert_eq!(letters(&all), "wM");
    all[1].reach = 0;
    assert_eq!(reference(choose(&mut all)).index, 0, "it does not answer");
    all[1].reach = 1;
    assert_eq!(reference(choose(&mut all)).index, 0, "the choice is made");
}

#[test]
fn a_silent_source_is_stale_once_another_has_newer_samples_only() {
    let silent = |age_s| {
        with(source(0.0, 0.001), |c| {
            c.reach = 0;
            let seen = c.selectable.as_mut().expect("it has samples");
            seen.newest_age_s = age_s;
            seen.oldest_age_s = age_s + 500.0;
        })
    };
    let mut all = [source(0.0, 0.01), silent(499.0)];
    assert_eq!(reference(choose(&mut all)).index, 1);
    let mut all = [source(0.0, 0.01), silent(501.0)];
    assert_eq!(reference(choose(&mut all)).index, 0);
    assert_eq!(letters(&all), "*S");
    let mut all = [silent(501.0)];
    assert_eq!(reference(choose(&mut all)).index, 0, "better than none");
}

#[test]
fn among_orphans_the_lowest_leads() {
    let options = SelectionOptions {
        orphan: Some(Orphan {
            stratum: 10,
            reference_id: 5,
        }),
        ..SelectionOptions::default()
    };
    let orphan = |reference_id| {
        with(source(0.0, 0.01), |c| {
            c.stratum = 10;
            c.reference_id = reference_id;
        })
    };
    let mut all = [orphan(9), orphan(3), orphan(4)];
    assert_eq!(reference(select(&options, &mut all, None)).index, 1);
    assert_eq!(letters(&all), "O*O");
    let mut all = [orphan(9), orphan(6)];
    assert_eq!(
        select(&options, &mut all, None),
        Choice::NoSelectable,
        "we lead"
    );
    let mut all = [orphan(3), source(0.0, 0.01)];
    assert_eq!(reference(select(&options, &mut all, None)).index, 1);
    assert_eq!(letters(&all), "O*");
}

#[test]
fn trusted_sources_outvote_the_others() {
    let mut all = [
        source(0.0, 0.01),
        source(0.0, 0.01),
        source(0.0, 0.01),
        with(source(1.0, 0.01), |c| c.role.trust = true),
    ];
    assert_eq!(reference(choose(&mut all)).index, 3);
    assert_eq!(letters(&all), "TTT*");
    let mut all = [
        with(source(0.0, 0.01), |c| c.role.trust = true),
        with(source(1.0, 0.01), |c| c.role.trust = true),
        source(0.0, 0.01),
    ];
    assert_eq!(choose(&mut all), Choice::NoMajority);
}

#[test]
fn too_few_or_none_of_the_required() {
    let options = SelectionOptions {
        sources_min: 2,
        ..SelectionOptions::default()
    };
    let mut all = [source(0.0, 0.01)];
    assert_eq!(select(&options, &mut all, None), Choice::TooFew);
    assert_eq!(letters(&all), "W");
    let required = with(source(0.0, 0.01), |c| {
        c.role.require = true;
        c.selectable = None;
    });
    let mut all = [source(0.0, 0.01), required];
    assert_eq!(choose(&mut all), Choice::TooFew);
    all[1].selectable = Some(seen(0.0, 0.02));
    assert_eq!(reference(choose(&mut all)).index, 0);
}

#[test]
fn preferred_sources_leave_the_others_out() {
    let mut all = [source(0.0, 0.001), source(0.0, 0.01)];
    all[1].role.prefer = true;
    assert_eq!(reference(choose(&mut all)).index, 1);
    assert_eq!(letters(&all), "P*");
    // A preferred falseticker counts for nothing.
    all = [source(0.0, 0.001), source(5.0, 0.01)];
    all[1].role.prefer = true;
    let mut three = [all[0], all[0], all[1]];
    assert_eq!(reference(choose(&mut three)).index, 0);
    assert_eq!(letters(&three), "*+x");
}

#[test]
fn another_source_has_to_be_nearer_for_some_time() {
    let mut all = [source(0.0, 0.010), source(0.0, 0.020)];
    assert_eq!(reference(choose(&mut all)).index, 0);
    all[1].selectable = Some(seen(0.0, 0.005));
    // About twice as near: after three updates its score is 8, after four it is above 10.
    for turn in 1..=3 {
        all[1].standing.updates += 1;
        let found = reference(select(&SelectionOptions::default(), &mut all, Some(1)));
        assert_eq!((found.index, found.is_new), (0, false), "turn {turn}");
        assert_eq!(found.estimate, None, "the selected one has no new sample");
    }
    assert!(all[1].standing.score > 7.0);
    let before = all[1].standing.score;
    select(&SelectionOptions::default(), &mut all, None);
    assert!(
        (all[1].standing.score - before).abs() < 1e-12,
        "no sample, no score"
    );
    all[1].standing.updates += 1;
    let found = reference(select(&SelectionOptions::default(), &mut all, Some(1)));
    assert_eq!((found.index, found.is_new), (1, true));
    assert!((all[1].standing.score - 1.0).abs() < 1e-12);
}

#[test]
fn a_lower_stratum_is_worth_some_distance() {
    let mut all = [source(0.0, 0.0100), source(0.0, 0.0105)];
    all[0].stratum = 3;
    assert_eq!(reference(choose(&mut all)).index, 1);
    let mut all = [source(0.0, 0.0100), source(0.0, 0.0115)];
    all[0].stratum = 3;
    assert_eq!(reference(choose(&mut all)).index, 0);
}

#[test]
fn a_new_choice_waits_for_an_update() {
    let mut all = [source(0.0, 0.01)];
    all[0].standing.updates = 0;
    assert_eq!(choose(&mut all), Choice::NotYet);
    assert_eq!(letters(&all), "U");
}

#[test]
fn far_and_differing_sources_are_not_combined_for_a_while() {
    let mut all = [source(0.0, 0.01), source(0.0, 0.031), source(0.0, 0.01)];
    let outlier = all[2].estimate.as_mut().expect("it has samples");
    outlier.frequency = 1e-5;
    assert_eq!(reference(choose(&mut all)).combined, 1);
    assert_eq!(letters(&all), "*DL");
    all[1].selectable = Some(seen(0.0, 0.01));
    all[2].estimate = all[0].estimate;
    for _ in 0..31 {
        for updated in [1, 2] {
            all[0].standing.updates = 1;
            select(&SelectionOptions::default(), &mut all, Some(updated));
        }
        assert_eq!(letters(&all), "*DL");
    }
    select(&SelectionOptions::default(), &mut all, Some(1));
    select(&SelectionOptions::default(), &mut all, Some(2));
    assert_eq!(letters(&all), "*++");
    let alone = SelectionOptions {
        combine_limit: 0.0,
        ..SelectionOptions::default()
    };
    assert_eq!(reference(select(&alone, &mut all, Some(0))).combined, 1);
}

#[test]
fn most_of_the_truechimers_say_what_the_leap_is() {
    let leaping = |count: usize| {
        let mut all = [source(0.0, 0.01); 4];
        for candidate in &mut all[..count] {
            candidate.leap = LeapIndicator::InsertSecond;
        }
        reference(choose(&mut all)).leap
    };
    assert_eq!(leaping(2), LeapIndicator::NoWarning);
    assert_eq!(leaping(3), LeapIndicator::InsertSecond);
}

#[test]
fn signs_of_the_shorter_report() {
    let states = [
        (State::Selected, '*'),
        (State::Combined, '+'),
        (State::Distant, '-'),
        (State::Falseticker, 'x'),
        (State::Jittery, '~'),
        (State::Noselect, '?'),
    ];
    for (state, sign) in states {
        assert_eq!(state.sign(), sign, "{state:?}");
    }
}

proptest! {
    /// No sources make it panic, at most one is selected, and that one is what is told.
    #[test]
    fn at_most_one_is_selected(
        parts in proptest::collection::vec((any::<f64>(), any::<f64>(), 0u8..20, any::<u8>()), 0..8),
        turns in proptest::collection::vec(any::<proptest::sample::Index>(), 1..8),
    ) {
        let mut all: Vec<_> = parts
            .into_iter()
            .map(|(offset_s, distance_s, stratum, bits)| with(source(offset_s, distance_s), |c| {
                c.stratum = stratum;
                c.role.prefer = bits & 1 != 0;
                c.role.trust = bits & 2 != 0;
                c.reach = bits >> 2;
            }))
            .collect();
        for turn in turns {
            let updated = (!all.is_empty()).then(|| turn.index(all.len()));
            if let Some(updated) = updated {
                all[updated].standing.updates += 1;
            }
            let choice = select(&SelectionOptions::default(), &mut all, updated);
            let selected: Vec<_> = (0..all.len()).filter(|i| all[*i].standing.is_selected).collect();
            prop_assert!(selected.len() <= 1);
            if let Choice::Selected(found) = choice {
                prop_assert_eq!(selected, [found.index]);
                prop_assert_eq!(all[found.index].standing.state, State::Selected);
            }
        }
    }
}
