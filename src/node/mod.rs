//! The running node (floor 4): threads, sockets, files, the real clock.
//!
//! Two kinds of thread. *Workers* (`worker.rs`), one per core, own their sockets, buffers and tables; after
//! start they share three things with the rest: the published record downwards (`publish.rs`), counters
//! upwards (`counters.rs`), a flag that ends them; and whole tables are handed over (`handover.rs`). The *timekeeper* (`timekeeper.rs`), the main thread, looks
//! at where the time comes from and publishes it.

mod apart;
mod atomic_file;
mod boot;
mod calendar;
mod cards;
mod command;
mod control_client;
mod control_socket;
pub mod counters;
mod departure;
mod drain;
mod drift_file;
mod dump_files;
mod fast_paths;
mod files;
mod follow;
mod handover;
mod interface;
mod kernel_clock;
mod kernel_form;
mod key_use;
mod keys;
mod leap_file;
mod log;
pub mod logs;
mod memory;
pub mod metrics;
mod pace;
mod placement;
mod ports;
mod publish;
mod queue;
mod readings;
mod real_time_clock;
mod records;
mod refclock;
mod residence;
mod resolver;
mod responders;
mod source_port;
mod stamp_error;
mod stamps;
mod start;
mod start_time;
mod steps;
mod summary;
mod system_process;
mod tables;
mod timekeeper;
mod topology;
mod worker;

pub use apart::Apart;
pub use boot::{Fatal, Options, once, serve};
pub use calendar::civil;
pub use control_client::{Answer, AskError, ControlClient};
pub use drift_file::DriftFile;
pub use dump_files::DumpFiles;
pub use files::Files;
pub use handover::{Handover, HandoverReceiver, HandoverSender};
pub use key_use::KeyUse;
pub use log::{LogOptions, LogPlace};
pub use memory::Memory;
pub use pace::{Next, Pace};
pub use placement::PlacementError;
pub use ports::PortError;
pub use publish::{Published, Subscription};
pub use residence::{Residence, ResidenceCounts};
pub use stamp_error::{StampErrorCounts, StampErrors};
pub use summary::Summary;
pub use tables::{ClientLog, Rules, Seeds, responder};
pub use worker::{Worker, WorkerParts};

pub use crate::sys::host_name;
pub use crate::sys::random;
