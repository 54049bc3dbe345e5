//! What a worker counts of a request: its outcome alone, and with it its kind, how long it stayed, and its key.
//!
//! `count CASE N` does one case N times and nothing else, for valgrind's callgrind to count instructions with.

mod harness;

use std::hint::black_box;
use std::sync::Arc;

use maser::auth::{Key, KeyStore, KeyType};
use maser::node::KeyUse;
use maser::node::counters::WorkerCounters;
use maser::server::{Outcome, Plan};
use maser::wire::KeyId;

use harness::{Case, compare};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [count, case, requests, ..] = arguments.as_slice()
        && count == "count"
    {
        let requests = requests.parse().expect("count CASE N");
        return println!("{:016x}", counted(case)(requests));
    }
    let mut cases = CASES.map(|name| Case::new(name, counted(name)));
    compare("what is counted of a request", &mut cases);
}

const CASES: [&str; 3] = ["outcome", "unsigned", "signed"];

/// One of [`CASES`]: the outcome alone, or all there is of an unsigned or a signed request.
fn counted(case: &str) -> Box<dyn FnMut(u64) -> u64> {
    let counters = WorkerCounters::default();
    let keys = [Key::new(KeyId(7), KeyType::Aes128, b"everybody's key.").expect("16 bytes")];
    let keys = Arc::new(KeyStore::new(&keys).0);
    let key = keys.find(KeyId(7)).filter(|_| case == "signed");
    let key_use = KeyUse::new(keys);
    let has_all = case != "outcome";
    Box::new(move |n| {
        let plan = Plan {
            key,
            ..Plan::UNSIGNED
        };
        let mut sum_ns = 0;
        for at in 0..n {
            let outcome = black_box(Outcome::Answer(plan));
            counters.count(&outcome);
            if !has_all {
                continue;
            }
            counters.count_kind(black_box(0x23), black_box(false));
            if let Outcome::Answer(Plan { key: Some(key), .. }) = outcome {
                key_use.count(key);
            }
            let stayed_ns = black_box(10_000 + at % 50_000);
            counters.residence().record(stayed_ns);
            sum_ns += stayed_ns;
        }
        counters.residence().add_sum(sum_ns);
        counters.snapshot().received() ^ counters.residence().snapshot().sum_ns()
    })
}
