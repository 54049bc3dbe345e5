//! Closed loop over real loopback sockets: replies per second with 128 requests in flight, one core for
//! the server and one for the generator, servers by turns in one run.
//!
//! - `echo`: a bare recvmmsg/sendmmsg loop with receive stamps and destination addresses, which sends
//!   back what came: what the kernel and the generator leave to any server.
//! - `maser` and `maser signed` (AES-128-CMAC): the binary.
//! - `chronyd` and `chronyd signed`, where it is installed. With `-x`: it never touches the clock.
//!
//! `cargo bench --bench loopback -- [--rounds N] [--seconds S] [--only NAME]`. Each round is checked reply
//! by reply; what was lost is sent again and counted.

mod generator;
#[expect(
    dead_code,
    reason = "a closed loop is not compared operation by operation"
)]
#[path = "../harness/mod.rs"]
mod harness;
mod servers;

use std::time::Duration;

use generator::{Answer, Generator, Round};
use servers::{Echo, Process, Server};

/// Requests in flight.
const IN_FLIGHT: usize = 128;

struct Arguments {
    rounds: usize,
    seconds: f64,
    only: Option<String>,
}

impl Arguments {
    fn parse() -> Self {
        let words: Vec<String> = std::env::args().collect();
        let value = |name: &str| {
            let at = words.iter().position(|word| word == name)?;
            words.get(at + 1).cloned()
        };
        let real = words.iter().any(|word| word == "--bench");
        let (rounds, seconds) = if real { (5, 2.0) } else { (1, 0.05) };
        Self {
            rounds: value("--rounds")
                .and_then(|text| text.parse().ok())
                .unwrap_or(rounds),
            seconds: value("--seconds")
                .and_then(|text| text.parse().ok())
                .unwrap_or(seconds),
            only: value("--only"),
        }
    }
}

/// One row of the table.
struct Row {
    name: &'static str,
    server: Server,
    answer: Answer,
    signed: bool,
    rounds: Vec<Round>,
    /// The server's CPU seconds per million replies, where it is a process of its own.
    cpu_s: Vec<f64>,
}

impl Row {
    fn rates(&self) -> Vec<f64> {
        let mut rates: Vec<f64> = self
            .rounds
            .iter()
            .map(|round| round.replies as f64 / round.seconds)
            .collect();
        rates.sort_by(f64::total_cmp);
        rates
    }

    fn median(&self) -> Option<f64> {
        let rates = self.rates();
        rates.get(rates.len() / 2).copied()
    }
}

fn main() {
    let arguments = Arguments::parse();
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let [server_core, .., generator_core] = cores[..] else {
        println!("loopback: skipped, because there is one core only");
        return;
    };
    let maser = || Process::maser(server_core.id);
    let chronyd = || Process::chronyd(server_core.id);
    let mut rows = vec![
        row(
            "echo",
            Some(Server::Echo(Echo::open(server_core))),
            Answer::Echo,
            false,
        ),
        row("maser", maser().map(Server::Process), Answer::Time, false),
        row(
            "maser signed",
            maser().map(Server::Process),
            Answer::Time,
            true,
        ),
        row(
            "chronyd",
            chronyd().map(Server::Process),
            Answer::Time,
            false,
        ),
        row(
            "chronyd signed",
            chronyd().map(Server::Process),
            Answer::Time,
            true,
        ),
    ];
    rows.retain(|row| match (&row, &arguments.only) {
        (None, _) => false,
        (Some(row), Some(only)) => row.name == only,
        (Some(_), None) => true,
    });
    let mut rows: Vec<Row> = rows.into_iter().flatten().collect();

    assert!(
        core_affinity::set_for_current(generator_core),
        "the generator's core"
    );
    let length = Duration::from_secs_f64(arguments.seconds);
    for _ in 0..arguments.rounds {
        for row in &mut rows {
            let running = row.server.wake();
            let before = row.server.cpu_seconds();
            let mut generator = Generator::new(row.server.address(), IN_FLIGHT, row.signed);
            let round = generator.run(length, &row.answer);
            if let (Some(before), Some(after)) = (before, row.server.cpu_seconds()) {
                row.cpu_s
                    .push((after - before) * 1e6 / generator.replies_in_all() as f64);
            }
            row.rounds.push(round);
            drop(running);
        }
    }
    report(&rows, &arguments);
}

fn row(name: &'static str, server: Option<Server>, answer: Answer, signed: bool) -> Option<Row> {
    if server.is_none() {
        println!("{name}: skipped, because it is not installed");
    }
    Some(Row {
        name,
        server: server?,
        answer,
        signed,
        rounds: Vec::new(),
        cpu_s: Vec::new(),
    })
}

fn report(rows: &[Row], arguments: &Arguments) {
    println!(
        "{IN_FLIGHT} in flight, one core each side, {} alternating rounds of {} s\n",
        arguments.rounds, arguments.seconds
    );
    println!(
        "{:<16} {:>10} {:>8} {:>8} {:>7} {:>6} {:>16}",
        "", "median k/s", "least", "most", "/ echo", "lost", "cpu s / million"
    );
    let median = |name: &str| {
        rows.iter()
            .find(|row| row.name == name)
            .and_then(Row::median)
    };
    for row in rows {
        let rates = row.rates();
        let ratio = row
            .median()
            .zip(median("echo"))
            .map_or(f64::NAN, |(rate, echo)| rate / echo);
        let lost: u64 = row.rounds.iter().map(|round| round.lost).sum();
        let mut cpu_s = row.cpu_s.clone();
        cpu_s.sort_by(f64::total_cmp);
        let cpu_s = cpu_s
            .get(cpu_s.len() / 2)
            .map_or_else(|| "-".into(), |cpu_s| format!("{cpu_s:.2}"));
        println!(
            "{:<16} {:>10.1} {:>8.1} {:>8.1} {ratio:>7.3} {lost:>6} {cpu_s:>16}",
            row.name,
            row.median().unwrap_or(f64::NAN) / 1e3,
            rates.first().unwrap_or(&f64::NAN) / 1e3,
            rates.last().unwrap_or(&f64::NAN) / 1e3,
        );
    }
    println!();
    for (part, whole) in [
        ("maser", "echo"),
        ("maser", "chronyd"),
        ("maser signed", "maser"),
        ("maser signed", "chronyd signed"),
    ] {
        if let (Some(part_rate), Some(whole_rate)) = (median(part), median(whole)) {
            println!("{part} / {whole}: {:.3}", part_rate / whole_rate);
        }
    }
    for row in rows {
        if let Some(said) = row.server.end() {
            println!("\n{}: {said}", row.name);
        }
    }
}
