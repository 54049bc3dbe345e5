//! Compares ways to do the same work, in one run, alternating.
//!
//! Under `cargo bench` each case runs [`RUNS`] times for about [`RUN_TIME`]; the table has the median,
//! the fastest and the slowest run, and the median as a ratio to the first case. Elsewhere (`cargo test
//! --benches`) each runs a few operations, so that it cannot rot. The last column is a hash of the
//! results of a fixed number of operations: equal work has equal hashes, on every machine.

use std::fs;
use std::sync::Once;
use std::time::{Duration, Instant};

/// One way.
pub(crate) struct Case<'a> {
    /// Its row in the table.
    pub(crate) name: &'a str,
    /// Does the operation this many times, the same ones each time it is called, and answers with
    /// something that depends on all results.
    pub(crate) run: Box<dyn FnMut(u64) -> u64 + 'a>,
}

impl<'a> Case<'a> {
    /// A case of this name.
    pub(crate) fn new(name: &'a str, run: impl FnMut(u64) -> u64 + 'a) -> Self {
        let run = Box::new(run);
        Self { name, run }
    }
}

/// Runs the cases by turns and prints the table. The first is what the others are compared with.
pub(crate) fn compare(title: &str, cases: &mut [Case<'_>]) {
    static MACHINE: Once = Once::new();
    MACHINE.call_once(|| println!("{}", machine()));

    let hashes: Vec<u64> = cases
        .iter_mut()
        .map(|case| (case.run)(OPERATIONS_HASHED))
        .collect();
    if !is_real() {
        println!("{title}: {} cases run", cases.len());
        return;
    }

    let operations: Vec<u64> = cases.iter_mut().map(calibrate).collect();
    let mut nanos: Vec<Vec<f64>> = vec![Vec::new(); cases.len()];
    for _ in 0..RUNS {
        for (at, case) in cases.iter_mut().enumerate() {
            let elapsed = time(case, operations[at]);
            nanos[at].push(elapsed.as_secs_f64() * 1e9 / operations[at] as f64);
        }
    }

    println!("\n{title}");
    println!(
        "  {:<40} {:>9} {:>9} {:>9} {:>7}  work",
        "", "median ns", "fastest", "slowest", "ratio"
    );
    let mut first = None;
    for ((case, nanos), hash) in cases.iter().zip(&mut nanos).zip(hashes) {
        nanos.sort_by(f64::total_cmp);
        let median = nanos[RUNS / 2];
        let ratio = median / *first.get_or_insert(median);
        println!(
            "  {:<40} {median:>9.1} {:>9.1} {:>9.1} {ratio:>7.2}  {hash:016x}",
            case.name,
            nanos[0],
            nanos[RUNS - 1]
        );
    }
}

/// How many operations take about [`RUN_TIME`].
fn calibrate(case: &mut Case<'_>) -> u64 {
    let mut operations = OPERATIONS_HASHED;
    loop {
        let elapsed = time(case, operations);
        if elapsed >= RUN_TIME / 4 {
            let scaled = u128::from(operations) * RUN_TIME.as_nanos() / elapsed.as_nanos();
            return u64::try_from(scaled).unwrap_or(operations);
        }
        operations *= 2;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bench measures with the real clock"
)]
fn time(case: &mut Case<'_>, operations: u64) -> Duration {
    let begin = Instant::now();
    std::hint::black_box((case.run)(operations));
    begin.elapsed()
}

/// Whether figures are wanted (`cargo bench`), and not only that it runs.
pub(crate) fn is_real() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// What the figures belong to.
pub(crate) fn machine() -> String {
    let file = |path| fs::read_to_string(path).unwrap_or_default();
    let cpus = file("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let kernel = file("/proc/sys/kernel/osrelease");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores, kernel {}", kernel.trim())
}

const RUNS: usize = 9;
const RUN_TIME: Duration = Duration::from_millis(20);
const OPERATIONS_HASHED: u64 = 64;
