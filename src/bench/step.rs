//! One rate for one while: the threads, and what they found in sum.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use super::driver::{Driver, Moments, seconds};
use super::figures::{Counts, Deviations, Figures, Percentiles, Second, distribution};
use super::machine::{self, Machine, Watch};
use super::mix::Kind;
use super::plan::{Carriage, Load, Plan};
use super::xdp::{self, XdpStep};
use crate::sys::{clock, random};

/// Time for threads to open their ports before the first request is due, in nanoseconds.
const PREPARATION_NS: u64 = 50_000_000;

/// What a step came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Requests a second that were to be sent; `None` in a closed loop.
    pub offered: Option<f64>,
    /// Seconds that were measured.
    pub seconds: f64,
    /// How requests and replies ended.
    pub counts: Counts,
    /// Kind, requests sent, replies to them; kinds that were sent.
    pub by_kind: Vec<(Kind, u64, u64)>,
    /// From the intended moment to the reply's arrival.
    pub latency: Percentiles,
    /// The same as a text for HdrHistogram's tools.
    pub latency_distribution: String,
    /// From the intended moment to the call that sent the request.
    pub lateness: Percentiles,
    /// From the server's transmit timestamp to the reply's arrival here: true where both have one clock.
    pub transmit_error: Deviations,
    /// The same of interleaved replies, whose transmit timestamp is that of the reply before, as the server
    /// learned it.
    pub interleaved_error: Deviations,
    /// From the departure of a request, as this kernel stamped it, to the server's receive timestamp.
    pub receive_error: Deviations,
    /// From the server's receive to its transmit timestamp.
    pub residence: Deviations,
    /// Replies that were looked at in full, checksum and MAC; `None`: each was. In XDP some stand for all.
    pub inspected: Option<u64>,
    /// Of what is lost, replies that came with a wrong checksum, which no network stack takes; known in XDP only.
    pub broken: u64,
    /// Second by second.
    pub series: Vec<Second>,
    /// Share of the requests that left within 50 us of their moment, of all that were due.
    pub punctual: f64,
    /// Share of the threads' time in which they had something to send or to take: near one, the harness is
    /// at its limit. They never sleep, so their CPU time does not tell.
    pub busy: f64,
    /// The harness's own CPU time per second: user and system, of one core each; without the null responder's.
    pub cpu: (f64, f64),
    /// Core seconds that the hypervisor took from this machine meanwhile.
    pub steal_s: f64,
    /// What server, harness and machine did meanwhile.
    pub machine: Machine,
    /// Bytes of the harness's tables.
    pub memory_bytes: usize,
}

/// A step could not be run.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A socket, or the kernel's randomness.
    #[error("the harness cannot start: {0}")]
    System(#[from] io::Error),
    /// A thread died, which is a mistake of the harness.
    #[error("a thread of the harness ended badly")]
    Thread,
}

impl Step {
    /// Runs one step; `rate` has no meaning in a closed loop.
    ///
    /// # Errors
    /// A thread cannot start.
    pub fn run(plan: &Plan, rate: f64) -> Result<Self, StepError> {
        let watch = Watch::new(Path::new("/proc"), plan.target, &plan.server_pids);
        let preparation_ns = match plan.carriage {
            Carriage::Udp | Carriage::Raw(_) => PREPARATION_NS,
            Carriage::Xdp(_) => xdp::PREPARATION_NS,
        };
        let start_ns = clock::monotonic_ns() + preparation_ns;
        let measured_from_ns = start_ns + u64::try_from(plan.warm_up.as_nanos()).unwrap_or(0);
        let end_ns = measured_from_ns + u64::try_from(plan.duration.as_nanos()).unwrap_or(0);
        let moments = Moments {
            start_ns,
            measured_from_ns,
            end_ns,
        };
        let (figures, memory_bytes, machine) = drive(plan, rate, moments, &watch)?;
        Ok(Self {
            cpu: machine.harness_cores(),
            steal_s: machine.steal_s(),
            machine,
            memory_bytes,
            ..Self::of(plan, rate, &figures)
        })
    }

    fn of(plan: &Plan, rate: f64, figures: &Figures) -> Self {
        let kinds = Kind::ALL.into_iter().filter(|kind| plan.mix.has(*kind));
        Self {
            offered: matches!(plan.load, Load::Open { .. }).then_some(rate),
            seconds: plan.duration.as_secs_f64(),
            counts: figures.counts,
            by_kind: kinds
                .map(|kind| {
                    (
                        kind,
                        figures.by_kind[kind as usize][0],
                        figures.by_kind[kind as usize][1],
                    )
                })
                .collect(),
            latency: Percentiles::of(&figures.latency),
            latency_distribution: distribution(&figures.latency),
            lateness: Percentiles::of(&figures.lateness),
            transmit_error: figures.transmit_error.deviations(),
            interleaved_error: figures.interleaved_error.deviations(),
            receive_error: figures.receive_error.deviations(),
            residence: figures.residence.deviations(),
            inspected: figures.inspected,
            broken: figures.broken,
            series: figures.series.to_vec(),
            punctual: figures.punctual(),
            busy: busy(plan, figures),
            ..Self::default()
        }
    }

    /// Good replies a second.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub fn replies_per_s(&self) -> f64 {
        self.counts.good as f64 / self.seconds
    }

    /// Honest requests sent that got no reply in time, as a share.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub fn loss(&self) -> f64 {
        if self.counts.sent == 0 {
            0.0
        } else {
            self.counts.lost as f64 / self.counts.sent as f64
        }
    }

    /// Requests that did not leave in time, as a share of those that should have.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub fn unsent(&self) -> f64 {
        let unsent = self.counts.not_sent + self.counts.send_errors;
        let due: u64 =
            self.by_kind.iter().map(|(_, sent, _)| sent).sum::<u64>() + self.counts.not_sent;
        if due == 0 {
            0.0
        } else {
            unsent as f64 / due as f64
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "times far below 2^53 ns")]
fn busy(plan: &Plan, figures: &Figures) -> f64 {
    let measured_ns = plan.duration.as_nanos() as f64 * plan.cpus.len() as f64;
    (1.0 - figures.idle_ns as f64 / measured_ns).clamp(0.0, 1.0)
}

/// Runs the threads, and reads what the machine does meanwhile: figures, bytes of tables, the machine.
fn drive(
    plan: &Plan,
    rate: f64,
    moments: Moments,
    watch: &Watch,
) -> Result<(Figures, usize, Machine), StepError> {
    let threads = plan.cpus.len().max(1);
    let seeds: Vec<u64> = (0..threads)
        .map(|_| random::array().map(u64::from_ne_bytes))
        .collect::<io::Result<_>>()?;
    // A thread that is done waits for this, so that its CPU time can still be read.
    let reading = Mutex::new(());
    let hold = || reading.lock().unwrap_or_else(PoisonError::into_inner);
    thread::scope(|scope| {
        let run = |thread, cpu: Option<usize>, seed| {
            move || -> io::Result<(Figures, usize)> {
                if let Some(id) = cpu {
                    core_affinity::set_for_current(core_affinity::CoreId { id });
                }
                let rate = rate / threads_f64(threads);
                let (figures, memory_bytes) = if let Carriage::Xdp(raw) = &plan.carriage {
                    xdp::run(&XdpStep {
                        plan,
                        raw,
                        moments,
                        rate,
                        seed,
                    })?
                } else {
                    let driver = Driver::new(plan, moments, thread, rate, seed)?;
                    let memory_bytes = driver.memory_bytes();
                    (driver.run(), memory_bytes)
                };
                drop(hold());
                Ok((figures, memory_bytes))
            }
        };
        let unread = hold();
        let mut running = Vec::new();
        for (number, (cpu, seed)) in plan.cpus.iter().zip(seeds).enumerate() {
            let name = format!("{}-{number}", machine::THREAD_NAME);
            let thread = thread::Builder::new().name(name);
            running.push(thread.spawn_scoped(scope, run(number, *cpu, seed))?);
        }
        sleep_until(moments.measured_from_ns - machine::LEAD_NS);
        let drops = watch.drops();
        let before = watch.read(clock::monotonic_ns());
        // A thread that cannot start ends at once, and the step with it.
        if !running.iter().any(ScopedJoinHandle::is_finished) {
            sleep_until(moments.end_ns);
        }
        let after = watch.read(clock::monotonic_ns());
        drop(unread);
        let mut sum = Figures::new(seconds(plan));
        let mut memory_bytes = 0;
        for thread in running {
            let (figures, bytes) = thread.join().map_err(|_| StepError::Thread)??;
            sum.add(&figures);
            memory_bytes += bytes;
        }
        let drops = watch.drops_since(&drops);
        Ok((sum, memory_bytes, watch.between(&before, &after, drops)))
    })
}

fn sleep_until(due_ns: u64) {
    let rest_ns = due_ns.saturating_sub(clock::monotonic_ns());
    thread::sleep(Duration::from_nanos(rest_ns));
}

#[expect(clippy::cast_precision_loss, reason = "a handful of threads")]
const fn threads_f64(threads: usize) -> f64 {
    threads as f64
}
