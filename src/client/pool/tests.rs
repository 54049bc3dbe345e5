use super::*;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn host(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

fn hosts(numbers: impl IntoIterator<Item = u8>) -> Vec<IpAddr> {
    numbers.into_iter().map(host).collect()
}

fn resolved(pool: &mut Pool, numbers: impl IntoIterator<Item = u8>, now_ns: u64) -> Vec<Change> {
    assert!(pool.timeout(now_ns), "no look-up is due");
    assert_eq!(pool.next_deadline(), None);
    assert!(!pool.timeout(now_ns), "one at a time");
    pool.resolved(&hosts(numbers), &[], now_ns, 1 << 63)
}

#[test]
fn a_pool_starts_with_twice_as_many_and_keeps_those_that_answer() {
    let mut pool = Pool::new(PoolSize::AtMost(2), 0, 0);
    let added = resolved(&mut pool, 1..=9, 0);
    assert_eq!(added.len(), 4);
    assert!(
        added
            .iter()
            .all(|change| matches!(change, Change::Add { .. }))
    );
    assert_eq!(pool.next_deadline(), None);
    assert_eq!(pool.answered(SlotId(2)), []);
    assert_eq!(pool.answered(SlotId(2)), []);
    let removed = pool.answered(SlotId(0));
    let remove = |at: u8| Change::Remove {
        slot: SlotId(usize::from(at)),
        address: host(at + 1),
    };
    assert_eq!(removed, [remove(1), remove(3)]);
    let kept: Vec<_> = pool
        .slots()
        .filter_map(|(_, state)| state.address())
        .collect();
    assert_eq!(kept, hosts([1, 3]));
}

#[test]
fn a_name_that_fails_is_tried_again_ever_more_rarely() {
    let mut pool = Pool::new(PoolSize::One, 0, 0);
    let mut now_ns = 0;
    for doublings in [2, 3, 4, 5, 6, 7, 8, 9, 9] {
        assert_eq!(resolved(&mut pool, [], now_ns), []);
        let next_ns = pool.next_deadline().unwrap();
        assert_eq!(next_ns - now_ns, (7 * SECOND) << doublings);
        assert!(!pool.timeout(next_ns - 1));
        now_ns = next_ns;
    }
    let slot = SlotId(0);
    let added = resolved(&mut pool, [5, 6], now_ns);
    assert_eq!(
        added,
        [Change::Add {
            slot,
            address: host(5)
        }]
    );
    assert_eq!(pool.slots().next().unwrap().1, SlotState::Settled(host(5)));
    assert_eq!(pool.next_deadline(), None);
}

#[test]
fn a_source_is_replaced_after_four_bad_updates_in_a_row() {
    let mut pool = Pool::new(PoolSize::One, 0, 0);
    resolved(&mut pool, [1], 0);
    for is_usable in [false, false, false, true, false, false, false] {
        pool.judged(SlotId(0), is_usable, SECOND);
        assert_eq!(pool.next_deadline(), None);
    }
    pool.judged(SlotId(0), false, SECOND);
    let replaced = resolved(&mut pool, [1, 2], SECOND);
    let slot = SlotId(0);
    let (old, new) = (host(1), host(2));
    assert_eq!(replaced, [Change::Replace { slot, old, new }]);
    // It starts with a clean slate.
    pool.judged(slot, false, SECOND);
    assert_eq!(pool.next_deadline(), None);
}

#[test]
fn replacements_are_rare() {
    let mut pool = Pool::new(PoolSize::AtMost(2), 0, 0);
    resolved(&mut pool, 1..=4, 0);
    pool.answered(SlotId(0));
    pool.answered(SlotId(1));
    pool.unanswered(SlotId(0), 8, SECOND);
    pool.unanswered(SlotId(1), 7, SECOND);
    pool.gone_bad(SlotId(1), SECOND);
    assert_eq!(resolved(&mut pool, 1..=9, SECOND).len(), 1);
    // The chance given was a half: half an hour.
    let next_ns = pool.next_deadline().unwrap();
    assert_eq!(next_ns / SECOND, 1801);
    assert_eq!(resolved(&mut pool, 1..=9, next_ns).len(), 1);
    // A settled source stays one at its new address.
    assert_eq!(pool.settled(), 2);
}

#[test]
fn a_bad_source_without_a_better_one_goes_on() {
    let mut pool = Pool::new(PoolSize::One, 0, 0);
    resolved(&mut pool, [1], 0);
    pool.gone_bad(SlotId(0), 0);
    assert_eq!(resolved(&mut pool, [1], 0), []);
    assert_eq!(pool.next_deadline(), None);
    assert_eq!(pool.slots().next().unwrap().1.address(), Some(host(1)));
    // While the name cannot be looked up the wish stays.
    pool.gone_bad(SlotId(0), 0);
    let now_ns = pool.next_deadline().unwrap();
    assert_eq!(resolved(&mut pool, [], now_ns), []);
    assert!(pool.next_deadline().is_some());
}

#[test]
fn an_address_that_the_name_has_no_more_is_left_at_a_refresh() {
    let mut pool = Pool::new(PoolSize::AtMost(1), 100 * SECOND, 0);
    resolved(&mut pool, 1..=2, 0);
    pool.answered(SlotId(0));
    assert_eq!(pool.next_deadline(), Some(100 * SECOND));
    assert_eq!(resolved(&mut pool, 1..=2, 100 * SECOND), []);
    // The other slot's turn, which is empty.
    assert_eq!(resolved(&mut pool, 3..=4, 200 * SECOND), []);
    let changes = resolved(&mut pool, 3..=4, 300 * SECOND);
    assert!(
        matches!(changes[..], [Change::Replace { .. }]),
        "{changes:?}"
    );
    pool.refresh(310 * SECOND);
    assert_eq!(resolved(&mut pool, [7], 310 * SECOND).len(), 1);
}

#[test]
fn what_another_source_has_is_not_taken() {
    let mut pool = Pool::new(PoolSize::AtMost(4), 0, 0);
    assert!(pool.timeout(0));
    let mut twice = hosts([1, 2, 3]);
    twice.extend(hosts([1, 2, 3]));
    let changes = pool.resolved(&twice, &hosts([2]), 0, 0);
    assert_eq!(changes.len(), 2);
    assert!(pool.next_deadline().is_some(), "there may be more later");
}

proptest! {
    /// Whatever happens, a pool has no address twice, no more settled sources than it may, and its changes tell
    /// what it holds.
    #[test]
    fn changes_tell_what_is_held(
        most in 1usize..20, steps in prop::collection::vec((0u8..5, 0usize..17, 0u8..20, any::<u64>()), 0..60),
    ) {
        let mut pool = Pool::new(PoolSize::AtMost(most), 1_000 * SECOND, 0);
        let mut held = std::collections::BTreeMap::new();
        let mut now_ns = 0u64;
        for (step, slot, number, random) in steps {
            now_ns += random % (1_000 * SECOND);
            let slot = SlotId(slot);
            let changes = match step {
                0 => pool.answered(slot),
                1 => { pool.judged(slot, random % 4 == 0, now_ns); Vec::new() }
                2 => { pool.unanswered(slot, 8, now_ns); Vec::new() }
                3 => { pool.refresh(now_ns); Vec::new() }
                _ if pool.timeout(now_ns) => {
                    pool.resolved(&hosts(number..number + 6), &hosts([7]), now_ns, random)
                }
                _ => Vec::new(),
            };
            for change in changes {
                match change {
                    Change::Add { slot, address } => prop_assert_eq!(held.insert(slot, address), None),
                    Change::Replace { slot, old, new } => prop_assert_eq!(held.insert(slot, new), Some(old)),
                    Change::Remove { slot, address } => prop_assert_eq!(held.remove(&slot), Some(address)),
                }
            }
            let told: std::collections::BTreeMap<_, _> = pool
                .slots()
                .filter_map(|(slot, state)| Some((slot, state.address()?)))
                .collect();
            prop_assert_eq!(&told, &held);
            let distinct: std::collections::BTreeSet<_> = held.values().collect();
            prop_assert_eq!(distinct.len(), held.len());
            prop_assert!(pool.settled() <= most.min(16) && !held.values().any(|address| *address == host(7)));
        }
    }
}
