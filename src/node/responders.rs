//! The data plane as the control plane sees it: workers on threads of their own, or a responder inside the
//! timekeeper's loop; started, ended, and what they have done.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use mio::{Poll, Waker};

use super::boot::{Fatal, system, worker_priority};
use super::command::Hand;
use super::counters::{Counting, WorkerCounters};
use super::handover::HandoverSender;
use super::ports::Ports;
use super::publish::Published;
use super::stamp_error::StampErrorCounts;
use super::summary::Summary;
use super::tables::STACK_BYTES;
use super::worker::{WAKE, Worker, WorkerParts};
use super::{Apart, ClientLog, KeyUse, Pace, Rules, Seeds, Subscription, responder};
use crate::auth::KeyStore;
use crate::config::{Config, RuntimeConfig};
use crate::sys::{UdpPort, clock, process};

/// Who answers.
pub(super) enum Responders {
    /// Threads.
    Workers(Workers, Vec<usize>),
    /// `workers 0`
    Inline(Box<Inline>),
}

impl Responders {
    /// Starts them; `cpus` are the workers' cores.
    ///
    /// # Errors
    /// A thread or what it needs cannot be had; then none serves.
    pub(super) fn start(
        config: &Config,
        cpus: Vec<usize>,
        by_worker: Vec<Vec<UdpPort>>,
        keys: &Arc<KeyStore>,
        published: &Arc<Published>,
    ) -> Result<Self, Fatal> {
        if config.runtime.workers == Some(0) {
            let inline = Inline::new(config, by_worker, keys, published)?;
            return Ok(Self::Inline(Box::new(inline)));
        }
        let workers = Workers::start(config, &cpus, by_worker, keys, published)?;
        Ok(Self::Workers(workers, cpus))
    }

    /// Threads.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Workers(workers, _) => workers.counters.len(),
            Self::Inline(_) => 0,
        }
    }

    /// Each of them, for those who steer them and read what they count; only once.
    pub(super) fn hands(&mut self) -> Vec<Hand> {
        match self {
            Self::Workers(workers, _) => std::mem::take(&mut workers.hands),
            Self::Inline(inline) => inline.hand.take().into_iter().collect(),
        }
    }

    /// The one that has its turns in the timekeeper's loop.
    pub(super) fn inline(&mut self) -> Option<&mut Worker> {
        match self {
            Self::Workers(..) => None,
            Self::Inline(inline) => Some(&mut inline.worker),
        }
    }

    /// Ends them.
    pub(super) fn finish(self, queues: &Queues) -> Summary {
        let done = match self {
            Self::Workers(workers, cpus) => workers.finish(&cpus),
            Self::Inline(inline) => inline.finish(),
        };
        done.summary(queues)
    }
}

/// Second descriptors of the ports, by worker, to ask the kernel for drops while workers own the first.
pub(super) struct Queues(Vec<Vec<UdpPort>>);

impl Queues {
    pub(super) fn of(ports: &Ports) -> io::Result<Self> {
        let clones = |ports: &Vec<UdpPort>| ports.iter().map(UdpPort::try_clone).collect();
        let by_worker = ports.by_worker.iter().map(clones);
        by_worker.collect::<io::Result<_>>().map(Self)
    }

    /// Datagrams that the kernel dropped because a worker's queue was full, worker by worker.
    pub(super) fn dropped_by_worker(&self) -> impl Iterator<Item = u64> {
        let dropped = |port: &UdpPort| port.dropped().ok().map(u64::from);
        let by_worker = self.0.iter();
        by_worker.map(move |ports| ports.iter().filter_map(dropped).sum())
    }

    /// The same of all.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped_by_worker().sum()
    }
}

/// Threads, one a core.
pub(super) struct Workers {
    threads: Vec<JoinHandle<()>>,
    wakers: Vec<Arc<Waker>>,
    counters: Vec<Arc<WorkerCounters>>,
    hands: Vec<Hand>,
    stop: Arc<Apart<AtomicBool>>,
    started_ns: u64,
}

impl Workers {
    fn start(
        config: &Config,
        cpus: &[usize],
        by_worker: Vec<Vec<UdpPort>>,
        keys: &Arc<KeyStore>,
        published: &Arc<Published>,
    ) -> Result<Self, Fatal> {
        let stop = Arc::new(Apart(AtomicBool::new(false)));
        let mut workers = Self {
            threads: Vec::new(),
            wakers: Vec::new(),
            counters: Vec::new(),
            hands: Vec::new(),
            stop: Arc::clone(&stop),
            started_ns: clock::monotonic_ns(),
        };
        let client_log = ClientLog::share(&config.server, cpus.len());
        let (ready, started) = mpsc::channel();
        for (number, (cpu, ports)) in cpus.iter().copied().zip(by_worker).enumerate() {
            let poll = Poll::new().map_err(system("epoll"))?;
            let waker = Waker::new(poll.registry(), WAKE).map_err(system("epoll"))?;
            let waker = Arc::new(waker);
            let (sender, handovers) = HandoverSender::new(Some(Arc::clone(&waker)));
            workers.wakers.push(waker);
            let counters = Arc::new(WorkerCounters::default());
            workers.counters.push(Arc::clone(&counters));
            let key_use = Arc::new(KeyUse::new(Arc::clone(keys)));
            workers.hands.push(Hand {
                cpu: Some(cpu),
                counters: Arc::clone(&counters),
                sender,
                key_use: vec![Arc::clone(&key_use)],
            });
            let seeds = Seeds::draw().map_err(system("randomness"))?;
            let (server, runtime) = (config.server.clone(), config.runtime.clone());
            let subscription = Subscription::new(Arc::clone(published));
            let (keys, stop, ready) = (Arc::clone(keys), Arc::clone(&stop), ready.clone());
            let run = move || {
                settle_thread(number, cpu, &runtime);
                let worker = Worker::new(WorkerParts {
                    ports,
                    responder: responder(&server, Rules::of(&server), client_log, keys, &seeds),
                    subscription,
                    counters,
                    key_use,
                    pace: Pace::new(runtime.pace),
                    poll,
                    burst_slots: runtime.burst,
                    handovers,
                });
                match worker {
                    Ok(mut worker) => {
                        if runtime.busy_poll_us > 0
                            && let Err(error) = worker.busy_poll(runtime.busy_poll_us)
                        {
                            log::warn!("worker {number}: busypoll: {error}");
                        }
                        // The other end waits for us, so it is there.
                        let _ = ready.send(Ok(()));
                        drop(ready);
                        worker.run(&stop);
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            };
            let name = format!("maser-{number}");
            let thread = thread::Builder::new()
                .name(name)
                .stack_size(STACK_BYTES)
                .spawn(run)
                .map_err(system("starting a worker"))?;
            workers.threads.push(thread);
        }
        drop(ready);
        // Half a server is none: all workers start, or nothing does.
        for outcome in started {
            outcome.map_err(system("starting a worker"))?;
        }
        Ok(workers)
    }

    fn finish(self, cpus: &[usize]) -> Done {
        self.stop.store(true, Ordering::Relaxed);
        for waker in &self.wakers {
            if let Err(error) = waker.wake() {
                log::error!("a worker cannot be woken: {error}");
            }
        }
        for thread in self.threads {
            if thread.join().is_err() {
                log::error!("a worker ended badly");
            }
        }
        Done {
            elapsed_ns: clock::monotonic_ns() - self.started_ns,
            workers: cpus.iter().copied().map(Some).zip(self.counters).collect(),
        }
    }
}

/// A worker's thread: its core, its priority, its rights.
fn settle_thread(number: usize, cpu: usize, runtime: &RuntimeConfig) {
    // What a worker uses is allocated on its core, so that it lies in that core's memory.
    if !core_affinity::set_for_current(core_affinity::CoreId { id: cpu }) {
        log::warn!("worker {number}: cannot be pinned to core {cpu}");
    }
    if runtime.sched_priority > 0
        && let Err(error) = process::set_fifo_priority(worker_priority(runtime))
    {
        log::warn!("worker {number}: sched_priority: {error}");
    }
    // The timekeeper may have kept some of root's rights; who reads strangers' packets needs none of them.
    if runtime.user.is_some()
        && let Err(error) = process::set_capabilities(&[])
    {
        log::warn!("worker {number}: {error}");
    }
}

/// A responder that has its turns in the timekeeper's loop.
pub(super) struct Inline {
    worker: Worker,
    counters: Arc<WorkerCounters>,
    hand: Option<Hand>,
    started_ns: u64,
}

impl Inline {
    fn new(
        config: &Config,
        by_worker: Vec<Vec<UdpPort>>,
        keys: &Arc<KeyStore>,
        published: &Arc<Published>,
    ) -> Result<Self, Fatal> {
        let counters = Arc::new(WorkerCounters::default());
        let seeds = Seeds::draw().map_err(system("randomness"))?;
        let client_log = ClientLog::share(&config.server, 1);
        let rules = Rules::of(&config.server);
        let (sender, handovers) = HandoverSender::new(None);
        let key_use = Arc::new(KeyUse::new(Arc::clone(keys)));
        let worker = Worker::new(WorkerParts {
            ports: by_worker.into_iter().flatten().collect(),
            responder: responder(&config.server, rules, client_log, Arc::clone(keys), &seeds),
            subscription: Subscription::new(Arc::clone(published)),
            counters: Arc::clone(&counters),
            key_use: Arc::clone(&key_use),
            pace: Pace::new(config.runtime.pace),
            poll: Poll::new().map_err(system("epoll"))?,
            burst_slots: config.runtime.burst,
            handovers,
        });
        Ok(Self {
            worker: worker.map_err(system("starting the responder"))?,
            hand: Some(Hand {
                cpu: None,
                counters: Arc::clone(&counters),
                sender,
                key_use: vec![key_use],
            }),
            counters,
            started_ns: clock::monotonic_ns(),
        })
    }

    fn finish(mut self) -> Done {
        // What came before the end is answered.
        self.worker.turn();
        Done {
            elapsed_ns: clock::monotonic_ns() - self.started_ns,
            workers: vec![(None, self.counters)],
        }
    }
}

/// What the responders have done.
#[derive(Default)]
struct Done {
    elapsed_ns: u64,
    /// Each with its core, if it has one of its own.
    workers: Vec<(Option<usize>, Arc<WorkerCounters>)>,
}

impl Done {
    fn summary(&self, queues: &Queues) -> Summary {
        let counts = self.workers.iter();
        Summary {
            seconds: std::time::Duration::from_nanos(self.elapsed_ns).as_secs_f64(),
            workers: counts
                .map(|(cpu, c)| (Counting::Worker(*cpu), c.snapshot()))
                .collect(),
            transmit_errors: StampErrorCounts::sum(
                self.workers
                    .iter()
                    .map(|(_, counters)| counters.transmit_errors().snapshot()),
            ),
            queue_dropped: queues.dropped(),
        }
    }
}
