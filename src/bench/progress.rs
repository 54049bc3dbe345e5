//! A line on the terminal while a step runs: what is offered, and how long it will still take.
//!
//! It hangs on the clock alone and never looks at the threads that measure.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::sys::clock;

/// How often the line is written anew.
const EVERY: Duration = Duration::from_millis(500);
/// To the start of the line, and nothing behind it.
const ERASE: &str = "\r\x1b[K";

/// Writes the line to stderr, if that is a terminal.
pub struct Progress {
    shown: Option<Arc<Mutex<Option<Running>>>>,
    /// Steps that have begun.
    steps: u32,
}

/// The step that runs.
#[derive(Clone, Copy)]
struct Running {
    /// From 1.
    step: u32,
    rate: Option<f64>,
    /// By the clock that never steps, since boot.
    began: Duration,
    length: Duration,
}

impl Progress {
    /// Nothing is shown where stderr is no terminal, or nobody wants it.
    pub fn start(is_quiet: bool) -> Self {
        if is_quiet || !io::stderr().is_terminal() {
            return Self {
                shown: None,
                steps: 0,
            };
        }
        let shown = Arc::new(Mutex::new(None));
        let watched = Arc::downgrade(&shown);
        // Without the thread there is no line, and nothing else is missing.
        let _ = thread::Builder::new()
            .name("maser-progress".into())
            .spawn(move || {
                while let Some(shown) = watched.upgrade() {
                    // Held while it writes, so that the table's line comes after it.
                    if let Some(running) = *locked(&shown) {
                        write(&line(running, now()));
                    }
                    drop(shown);
                    thread::sleep(EVERY);
                }
            });
        Self {
            shown: Some(shown),
            steps: 0,
        }
    }

    /// A step of this rate (`None`: a closed loop) takes so long, warm-up included.
    pub fn step_begins(&mut self, rate: Option<f64>, length: Duration) {
        self.steps += 1;
        if let Some(shown) = &self.shown {
            let began = now();
            *locked(shown) = Some(Running {
                step: self.steps,
                rate,
                began,
                length,
            });
        }
    }

    /// Takes the line away.
    pub fn step_ended(&self) {
        if let Some(shown) = &self.shown {
            let mut running = locked(shown);
            if running.take().is_some() {
                write(ERASE);
            }
        }
    }
}

fn locked(shown: &Mutex<Option<Running>>) -> MutexGuard<'_, Option<Running>> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(text: &str) {
    // A terminal that has gone away needs no line.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn now() -> Duration {
    Duration::from_nanos(clock::monotonic_ns())
}

fn line(running: Running, now: Duration) -> String {
    let rate = running.rate.map_or_else(
        || "closed loop".to_owned(),
        |rate| format!("{rate:.0} requests a second"),
    );
    let left = running
        .length
        .saturating_sub(now.saturating_sub(running.began));
    let step = running.step;
    if left.is_zero() {
        format!("{ERASE}step {step}, {rate}: waiting for the last replies")
    } else {
        let seconds = left.as_secs_f64().ceil();
        format!("{ERASE}step {step}, {rate}: {seconds:.0} s to go")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_runs_and_how_long() {
        let began = Duration::from_secs(100);
        let running = Running {
            step: 2,
            rate: Some(20_000.0),
            began,
            length: Duration::from_secs(3),
        };
        let at = |seconds| line(running, began + Duration::from_millis(seconds));
        assert_eq!(
            at(500),
            format!("{ERASE}step 2, 20000 requests a second: 3 s to go")
        );
        assert_eq!(
            at(3_200),
            format!("{ERASE}step 2, 20000 requests a second: waiting for the last replies")
        );
    }
}
