//! Replies per second over real loopback sockets, one core each side: our node, a bare echo of ours, and
//! chronyd where it is installed.
//!
//! A closed loop: so many requests are in flight at all times, and each reply is looked at and followed by
//! the next request. The servers take turns in one run. chronyd runs with `-x`, so that it never touches
//! the clock. Arguments, behind `--`: `--rounds N`, `--seconds S` (of each round), `--only NAME` (of a row;
//! may be repeated).

mod generator;
#[expect(
    dead_code,
    reason = "a closed loop is not compared operation by operation"
)]
#[path = "../harness/mod.rs"]
mod harness;
mod servers;
#[expect(dead_code, reason = "tests use the rest of it")]
#[path = "../../tests/support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use core_affinity::CoreId;
use maser::sys::process;

use generator::{Generator, IN_FLIGHT, Kind, LINKS, Tally};
use servers::{Echo, Program, TICKS_PER_S};
use support::node::Server;

fn main() {
    let options = Options::from_arguments();
    let cores = core_affinity::get_core_ids().expect("the cores of this process");
    let cores = [cores[0], cores[cores.len() - 1]];
    println!("{}", harness::machine());
    println!(
        "loopback: {} rounds of {} s by turns, {IN_FLIGHT} requests in flight from {LINKS} addresses, \
         servers on core {}, generator on core {}",
        options.rounds, options.seconds, cores[0].id, cores[1].id
    );
    if cores[0] == cores[1] {
        println!("there is one core: both sides share it");
    }

    let subjects = Subjects::start(&options, cores[0]);
    let mut rows: Vec<Row> = subjects.rows(&options);
    let before = Spent::so_far(&subjects);
    for round in 0..options.rounds {
        for turn in 0..rows.len() {
            // Back and forth, so that none always follows the same one.
            let forth = round % 2 == 0;
            let at = if forth { turn } else { rows.len() - 1 - turn };
            let measured = subjects.measure(&rows[at], cores, options.seconds);
            rows[at].rounds.push(measured);
        }
    }
    let spent = Spent::so_far(&subjects);
    print_table(&rows);
    for (part, whole) in RATIOS {
        if let Some(Spread { median, min, max }) = ratio(&rows, part, whole) {
            let name = format!("{part} / {whole}");
            println!("{name:<32}{median:>6.3}  ({min:.3} to {max:.3})");
        }
    }
    spent.print_strangers_share(&before);
    subjects.stop();
    for row in &rows {
        let wrong = row.sum(|tally| tally.wrong);
        assert_eq!(wrong, 0, "{}: wrong replies", row.name);
        assert!(row.sum(|tally| tally.replies) > 0, "{}: no reply", row.name);
    }
}

struct Options {
    rounds: usize,
    seconds: f64,
    /// Rows wanted; none is all.
    only: Vec<String>,
}

impl Options {
    fn from_arguments() -> Self {
        let (rounds, seconds) = if harness::is_real() {
            (9, 1.0)
        } else {
            (1, 0.05)
        };
        let mut options = Self {
            rounds,
            seconds,
            only: Vec::new(),
        };
        // Others' arguments (`--bench`, a filter) are none of ours.
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .unwrap_or_else(|| panic!("{argument} what?"))
            };
            match argument.as_str() {
                "--rounds" => options.rounds = value().parse().expect("--rounds N"),
                "--seconds" => options.seconds = value().parse().expect("--seconds S"),
                "--only" => options.only.push(value()),
                _ => {}
            }
        }
        assert!(options.rounds > 0, "--rounds 0");
        for name in &options.only {
            let names = ROWS.map(|(name, ..)| name);
            assert!(
                names.contains(&name.as_str()),
                "--only {name}: one of {names:?}"
            );
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

/// Rows of the table: their name, who is asked (nobody's server is the echo), and what.
const ROWS: [(&str, Option<Server>, Kind); 5] = [
    ("echo", None, Kind::Echo),
    ("maser", Some(Server::Maser), Kind::Plain),
    ("maser signed", Some(Server::Maser), Kind::Signed),
    ("chronyd", Some(Server::Chronyd), Kind::Plain),
    ("chronyd signed", Some(Server::Chronyd), Kind::Signed),
];

const RATIOS: [(&str, &str); 4] = [
    ("maser", "echo"),
    ("maser signed", "maser"),
    ("maser", "chronyd"),
    ("maser signed", "chronyd signed"),
];

struct Row {
    name: &'static str,
    server: Option<Server>,
    kind: Kind,
    rounds: Vec<Round>,
}

struct Round {
    tally: Tally,
    /// The server's seconds on a processor, its own and the kernel's; the echo has no process.
    cpu_seconds: Option<[f64; 2]>,
}

impl Round {
    fn rate(&self) -> f64 {
        self.tally.replies as f64 / self.tally.seconds
    }
}

impl Row {
    fn sum(&self, count: fn(&Tally) -> u64) -> u64 {
        self.rounds.iter().map(|round| count(&round.tally)).sum()
    }
}

/// Who is asked.
struct Subjects {
    echo: Echo,
    programs: Vec<(Server, Program)>,
}

impl Subjects {
    /// Starts the programs that some row needs; says which cannot be.
    fn start(options: &Options, core: CoreId) -> Self {
        let mut programs = Vec::new();
        for server in [Server::Maser, Server::Chronyd] {
            let rows = ROWS.iter().filter(|(_, of, _)| *of == Some(server));
            if !rows.into_iter().any(|(name, ..)| options.wants(name)) {
                continue;
            }
            match Program::start(server, core.id) {
                Ok(program) => programs.push((server, program)),
                Err(why) if server == Server::Chronyd => {
                    println!("chronyd: skipped, because {why}");
                }
                Err(why) => panic!("{why}"),
            }
        }
        Self {
            echo: Echo::open(),
            programs,
        }
    }

    fn rows(&self, options: &Options) -> Vec<Row> {
        let wanted = ROWS.iter().filter(|(name, server, _)| {
            options.wants(name) && server.is_none_or(|server| self.program(server).is_some())
        });
        let row = |&(name, server, kind)| Row {
            name,
            server,
            kind,
            rounds: Vec::new(),
        };
        wanted.map(row).collect()
    }

    fn program(&self, server: Server) -> Option<&Program> {
        let found = self.programs.iter().find(|(of, _)| *of == server);
        found.map(|(_, program)| program)
    }

    /// One round of a row.
    fn measure(&self, row: &Row, cores: [CoreId; 2], seconds: f64) -> Round {
        let program = row.server.and_then(|server| self.program(server));
        let address = program.map_or_else(|| self.echo.address(), Program::address);
        let window = Duration::from_secs_f64(seconds);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            if program.is_none() {
                scope.spawn(|| {
                    assert!(core_affinity::set_for_current(cores[0]), "the echo's core");
                    self.echo.run(&stop);
                });
            }
            let asked = scope.spawn(|| {
                assert!(
                    core_affinity::set_for_current(cores[1]),
                    "the generator's core"
                );
                let mut generator = Generator::new(address, row.kind);
                generator.run(window / WARM_UP_SHARE);
                let before = program.map(Program::cpu_seconds);
                let tally = generator.run(window);
                let after = program.map(Program::cpu_seconds);
                let spent = |(before, after): ([f64; 2], [f64; 2])| {
                    std::array::from_fn(|at| after[at] - before[at])
                };
                Round {
                    tally,
                    cpu_seconds: before.zip(after).map(spent),
                }
            });
            let round = asked.join();
            stop.store(true, Ordering::Relaxed);
            round.expect("the generator's thread")
        })
    }

    fn stop(self) {
        for (_, program) in self.programs {
            let Some(summary) = program.stop() else {
                continue;
            };
            let (received, kernel) = (summary.get("received"), summary.get("timestamps_kernel"));
            println!(
                "maser received {received}, {:.3} % with the kernel's timestamp, {:.1} in a burst; \
                 dropped by the kernel: {}",
                kernel as f64 * 100.0 / received as f64,
                received as f64 / summary.get("bursts") as f64,
                summary.get("queue_dropped"),
            );
        }
    }
}

/// Seconds on processors since they were started, and since the system was.
struct Spent {
    ours: f64,
    all: f64,
    /// What the host of a virtual machine gave to others.
    stolen: f64,
    idle: f64,
}

impl Spent {
    fn so_far(subjects: &Subjects) -> Self {
        let (user, system) = process::cpu_seconds().expect("our own time");
        let programs = subjects.programs.iter();
        let programs = programs.flat_map(|(_, program)| program.cpu_seconds());
        // proc(5): user, nice, system, idle, iowait, irq, softirq, steal.
        let stat = std::fs::read_to_string("/proc/stat").expect("Linux");
        let fields = stat.lines().next().unwrap_or_default().split_whitespace();
        let seconds: Vec<f64> = fields
            .filter_map(|field| Some(field.parse::<f64>().ok()? / TICKS_PER_S))
            .collect();
        Self {
            ours: user + system + programs.sum::<f64>(),
            all: [0, 1, 2, 5, 6].map(|at| seconds[at]).iter().sum(),
            stolen: seconds[7],
            idle: seconds[3] + seconds[4],
        }
    }

    /// Whether the figures are worth anything.
    fn print_strangers_share(&self, before: &Self) {
        let [ours, all, stolen, idle] = [
            self.ours - before.ours,
            self.all - before.all,
            self.stolen - before.stolen,
            self.idle - before.idle,
        ];
        let percent = |seconds: f64| (seconds * 100.0 / (all + stolen + idle)).max(0.0);
        println!(
            "other programs took {:.1} % of the processors meanwhile, the host {:.1} %",
            percent(all - ours),
            percent(stolen)
        );
    }
}

fn print_table(rows: &[Row]) {
    println!(
        "\n{:<16}{:>8}{:>8}{:>8}{:>8}  {:>6}{:>6}{:>6}{:>11}   server CPU s per million",
        "k replies/s", "median", "min", "max", "/ echo", "lost", "late", "wrong", "gen. idle",
    );
    for row in rows {
        let spread = Spread::of(row.rounds.iter().map(|round| round.rate() / 1000.0));
        let of_echo = ratio(rows, row.name, "echo")
            .map_or_else(|| "-".to_owned(), |ratio| format!("{:.3}", ratio.median));
        let idle = Spread::of(row.rounds.iter().map(|round| round.tally.idle * 100.0));
        print!(
            "{:<16}{:>8.1}{:>8.1}{:>8.1}{:>8}  {:>6}{:>6}{:>6}{:>9.1} %",
            row.name,
            spread.median,
            spread.min,
            spread.max,
            of_echo,
            row.sum(|tally| tally.lost),
            row.sum(|tally| tally.late),
            row.sum(|tally| tally.wrong),
            idle.median,
        );
        let millions = row.sum(|tally| tally.replies) as f64 / 1e6;
        let spent = |at: usize| {
            let seconds = row
                .rounds
                .iter()
                .filter_map(|round| Some(round.cpu_seconds?[at]));
            seconds.sum::<f64>() / millions
        };
        match row.server {
            Some(_) => println!("   {:.2} user, {:.2} system", spent(0), spent(1)),
            None => println!(),
        }
    }
    println!();
}

/// Of rates measured one after the other in the same round.
fn ratio(rows: &[Row], part: &str, whole: &str) -> Option<Spread> {
    let find = |name| rows.iter().find(|row| row.name == name);
    let pairs = find(part)?.rounds.iter().zip(&find(whole)?.rounds);
    Some(Spread::of(
        pairs.map(|(part, whole)| part.rate() / whole.rate()),
    ))
}

struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Self {
            median: values[values.len() / 2],
            min: values[0],
            max: values[values.len() - 1],
        }
    }
}

/// The part of a round's time that is run before it and not counted.
const WARM_UP_SHARE: u32 = 5;
