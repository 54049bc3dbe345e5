//! A worker's memory: as much as `maser serve -p` prints, and no cache line of it is another's.
//!
//! The allocator remembers each block that a thread with a number of its own holds.

#![expect(unsafe_code, reason = "a recording allocator is an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use maser::auth::KeyStore;
use maser::config::{self, Config, Origin};
use maser::node::counters::WorkerCounters;
use maser::node::{
    Apart, ClientLog, Files, HandoverReceiver, HandoverSender, KeyUse, Memory, Pace, Published,
    Rules, Seeds, Subscription, Worker, WorkerParts, responder,
};
use maser::sys::{PortOptions, UdpPort};
use maser::wire::SystemVariables;

thread_local! {
    /// Whose blocks are remembered; 0: nobody's.
    static OWNER: Cell<usize> = const { Cell::new(0) };
}

/// A block on the heap: its address (0: this place is free), its size, the thread that asked for it.
struct Block([AtomicUsize; 3]);

static BLOCKS: [Block; 4096] = [const { Block([const { AtomicUsize::new(0) }; 3]) }; 4096];
static FORGOTTEN: AtomicUsize = AtomicUsize::new(0);

struct Recording;

fn remember(memory: *mut u8, size: usize) {
    let owner = OWNER.get();
    if owner == 0 || memory.is_null() {
        return;
    }
    let free = BLOCKS.iter().find(|Block([address, ..])| {
        let free = address.compare_exchange(0, memory.addr(), Ordering::SeqCst, Ordering::SeqCst);
        free.is_ok()
    });
    match free {
        Some(Block([_, its_size, its_owner])) => {
            its_size.store(size, Ordering::SeqCst);
            its_owner.store(owner, Ordering::SeqCst);
        }
        None => drop(FORGOTTEN.fetch_add(1, Ordering::SeqCst)),
    }
}

fn forget(memory: *mut u8) {
    let is_it = |block: &&Block| block.0[0].load(Ordering::SeqCst) == memory.addr();
    if let Some(Block([address, ..])) = BLOCKS.iter().find(is_it) {
        address.store(0, Ordering::SeqCst);
    }
}

// SAFETY: every call goes to the system's allocator as it came; the record is a static array of atomics,
// and the owner a cell of this thread that needs no allocation and no destructor.
unsafe impl GlobalAlloc for Recording {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        let memory = unsafe { System.alloc(layout) };
        remember(memory, layout.size());
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        forget(memory);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static RECORDING: Recording = Recording;

/// The blocks that a thread holds.
fn blocks(owner: usize) -> Vec<Range<usize>> {
    assert_eq!(
        FORGOTTEN.load(Ordering::SeqCst),
        0,
        "the record is too short"
    );
    let held = BLOCKS.iter().map(|Block(words)| {
        let [address, size, by] = [0, 1, 2].map(|at| words[at].load(Ordering::SeqCst));
        (address, size, by)
    });
    held.filter(|(address, _, by)| *address != 0 && *by == owner)
        .map(|(address, size, _)| address..address + size)
        .collect()
}

fn configuration(lines: &[&str]) -> Config {
    let core = core_affinity::get_core_ids().expect("cores")[0].id;
    let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    lines.extend(["port 0".to_owned(), format!("cpus {core}")]);
    let loaded = config::load(Origin::Arguments(&lines), &Files).expect("a configuration");
    loaded.config
}

/// What a worker's thread does at start, on ports of its own.
fn worker(
    config: &Config,
    (rules, handovers): (Rules, HandoverReceiver),
    sockets: usize,
    published: &Arc<Published>,
    counters: &Arc<WorkerCounters>,
) -> Worker {
    let options = PortOptions {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        device: None,
        dscp: 0,
        shared: false,
        buffer_bytes: 1 << 16,
    };
    let ports = (0..sockets).map(|_| UdpPort::open(&options).expect("a port"));
    let workers = config.runtime.workers.unwrap_or(1);
    let seeds = Seeds::draw().expect("randomness");
    let log = ClientLog::share(&config.server, workers);
    let keys = Arc::new(KeyStore::default());
    let parts = WorkerParts {
        ports: ports.collect(),
        responder: responder(&config.server, rules, log, Arc::clone(&keys), &seeds),
        subscription: Subscription::new(Arc::clone(published)),
        counters: Arc::clone(counters),
        key_use: Arc::new(KeyUse::new(keys)),
        pace: Pace::new(config.runtime.pace),
        poll: mio::Poll::new().expect("epoll"),
        burst_slots: config.runtime.burst,
        handovers,
    };
    Worker::new(parts).expect("a worker")
}

/// The bytes that a thread holds once it has made counters and a worker.
fn allocated(config: Config, sockets: usize, owner: usize) -> usize {
    let thread = thread::spawn(move || {
        let published = Published::new(&SystemVariables::not_synchronised(0));
        let (_sender, handovers) = HandoverSender::new(None);
        OWNER.set(owner);
        let counters = Arc::new(WorkerCounters::default());
        let rules = Rules::of(&config.server);
        let worker = worker(&config, (rules, handovers), sockets, &published, &counters);
        OWNER.set(0);
        let bytes = blocks(owner).iter().map(Range::len).sum();
        drop(worker);
        bytes
    });
    thread.join().expect("it ends")
}

/// The figure that `maser serve -p` prints for a worker.
fn printed(config: &Config) -> usize {
    let text = Memory::of(config).to_string();
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("#   worker "));
    let figure = lines.find_map(|line| line.split_whitespace().next()?.parse().ok());
    figure.unwrap_or_else(|| panic!("no worker in {text}"))
}

#[test]
fn the_printed_figure_of_a_worker_is_what_the_allocator_gave() {
    let cases = [
        (&["allow 127.0.0.1"][..], 1),
        (
            &["allow", "bindaddress 127.0.0.1", "bindaddress 127.0.0.2"],
            2,
        ),
        (&["allow 10/8", "deny 10.1/16", "burst 1", "noclientlog"], 1),
        (
            &[
                "allow 10/8",
                "burst 1024",
                "clientloglimit 8000000",
                "workers 3",
            ],
            1,
        ),
        (&["allow 127.0.0.1", "clientloglimit 1"], 1),
    ];
    for (owner, (lines, sockets)) in (100..).zip(cases) {
        let mut config = configuration(lines);
        let allocated = allocated(config.clone(), sockets, owner);
        // The test's own ports are not the configured one, which is 0 so that nothing was opened so far.
        config.server.port = 11123;
        let printed = printed(&config);
        let difference = printed.abs_diff(allocated);
        assert!(
            difference * 20 <= allocated,
            "{lines:?}: printed {printed}, allocated {allocated}"
        );
    }
}

/// Pairs of cache lines.
const PAIR: usize = 128;

/// Each pair of lines in which more than one writes, with the writers.
fn shared(written: &[(&'static str, Range<usize>)]) -> Vec<String> {
    let mut writers: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (writer, bytes) in written.iter().filter(|(_, bytes)| !bytes.is_empty()) {
        for pair in bytes.start / PAIR..=(bytes.end - 1) / PAIR {
            let known = writers.entry(pair).or_default();
            if !known.contains(writer) {
                known.push(writer);
            }
        }
    }
    let shared = writers.iter().filter(|(_, writers)| writers.len() > 1);
    shared
        .map(|(pair, writers)| format!("{:x}: {writers:?}", pair * PAIR))
        .collect()
}

fn place<T>(value: &T) -> Range<usize> {
    let start = std::ptr::from_ref(value).addr();
    start..start + size_of::<T>()
}

#[test]
fn no_line_that_a_worker_writes_is_another_threads() {
    let config = configuration(&["allow 127.0.0.1", "ratelimit", "workers 2"]);
    let published = Published::new(&SystemVariables::not_synchronised(0));
    let stop = Arc::new(Apart(AtomicBool::new(false)));
    // As at start: the main thread makes them, one after the other.
    let counters = [(), ()].map(|()| Arc::new(WorkerCounters::default()));
    let (tell, places) = mpsc::channel();
    let (ends, threads): (Vec<_>, Vec<_>) = (1..)
        .zip(&counters)
        .map(|(owner, counters)| {
            let (end, ended) = mpsc::channel::<()>();
            let (config, tell) = (config.clone(), tell.clone());
            let (published, counters) = (Arc::clone(&published), Arc::clone(counters));
            let thread = thread::spawn(move || {
                // Read by the worker, written by nobody.
                let rules = Rules::of(&config.server);
                let (_sender, handovers) = HandoverSender::new(None);
                OWNER.set(owner);
                let worker = worker(&config, (rules, handovers), 1, &published, &counters);
                OWNER.set(0);
                tell.send((owner, place(&worker)))
                    .expect("they are waited for");
                ended.recv().expect_err("the other end goes");
            });
            (end, thread)
        })
        .unzip();

    let names = ["worker 0", "worker 1"];
    let mut written = vec![
        ("the published record", place(&*published)),
        ("the flag that ends workers", place(&*stop)),
    ];
    for (owner, worker) in places.iter().take(2) {
        let name = names[owner - 1];
        let held = blocks(owner);
        assert!(held.len() > 10, "{name} holds {held:?}");
        written.push((name, worker));
        written.extend(held.into_iter().map(|block| (name, block)));
        written.push((name, place(&*counters[owner - 1])));
    }
    let found = shared(&written);
    drop(ends);
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("it ends"));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn sharing_is_found() {
    let written = [
        ("a", 0..PAIR),
        ("b", PAIR..PAIR + 1),
        ("c", PAIR + 100..2 * PAIR + 1),
        ("a", 2 * PAIR + 100..2 * PAIR + 101),
        ("d", 4 * PAIR..4 * PAIR),
    ];
    assert_eq!(
        shared(&written),
        [r#"80: ["b", "c"]"#, r#"100: ["c", "a"]"#]
    );
}
