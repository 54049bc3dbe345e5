//! The load harness allocates nothing per request: as often in a long step as in a short one.
//!
//! The allocator counts the threads that send and receive, the responder's too. It does not count the one that
//! starts them, which reads /proc beside them: what it takes hangs on what else runs.

#![expect(unsafe_code, reason = "a counting allocator is an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use maser::bench::{Carriage, Course, Load, Mix, NullServer, Order, Plan, Step, run};

static CALLS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static STARTER: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if !STARTER.get() {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
}

struct Counting;

// SAFETY: every call goes to the system's allocator as it came; the count touches an atomic and a cell of this
// thread, which need no allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(memory, layout, new_size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Allocations of a step, and the requests it sent.
fn step(server: &NullServer, load: Load, order: Order, millis: u64) -> (u64, u64) {
    let plan = Plan {
        target: server.address(),
        load,
        course: Course::One(20_000.0),
        mix: "basic=50,interleaved=30,malformed=10,replay=10"
            .parse::<Mix>()
            .expect("a mix"),
        signature: None,
        version: 4,
        duration: Duration::from_millis(millis),
        warm_up: Duration::ZERO,
        patience: Duration::from_millis(20),
        gather: Duration::ZERO,
        lateness_max: Duration::from_secs(10),
        cpus: vec![None],
        ports: 3,
        sources: (1..=200u8).map(|host| [127, 8, 0, host].into()).collect(),
        order,
        associations: 16,
        carriage: Carriage::Udp,
        correction_ns: 0,
        server_pids: vec![std::process::id()],
    };
    let mut told: Option<Step> = None;
    let before = CALLS.load(Ordering::Relaxed);
    run(&plan, None, &mut |step: &Step| told = Some(step.clone())).expect("it runs");
    let calls = CALLS.load(Ordering::Relaxed) - before;
    let step = told.expect("one step");
    assert!(step.memory_bytes > 0);
    (calls, step.by_kind.iter().map(|(_, sent, _)| sent).sum())
}

#[test]
fn a_request_costs_no_allocation() {
    STARTER.set(true);
    let server = NullServer::start(None).expect("loopback");
    for (load, order) in [
        (Load::Open { exponential: true }, Order::Zipf(1.0)),
        (Load::Open { exponential: false }, Order::Storm),
        (Load::Closed { in_flight: 32 }, Order::Turns),
    ] {
        // The first step makes what the C library and the threads keep.
        step(&server, load, order, 20);
        let (short, few) = step(&server, load, order, 50);
        let (long, many) = step(&server, load, order, 950);
        assert!(many > few + 1_000, "{load:?}: {many} requests, and {few}");
        // Some of them are made at the start: the count counts.
        assert!(short > 0);
        assert_eq!(long, short, "{load:?}");
    }
}
