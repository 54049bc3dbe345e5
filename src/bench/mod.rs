//! The load harness (floor 4): what an NTP server holds, told so that it cannot flatter.
//!
//! *Open loop*: requests leave on a schedule that is fixed beforehand and never waits for an answer
//! (`schedule.rs`); a reply's latency counts from the moment its request was *meant* to leave, so a server
//! that stalls cannot hide it, and neither can a harness that is late. What the harness did not send in
//! time is told apart from what the server lost. *Closed loop*: a fixed number in flight, for the ceiling.
//!
//! Each thread (`driver.rs`) plays many clients (`clients.rs`), sends by sockets or as whole frames
//! (`carrier.rs`, `raw.rs`), finds the request of each reply (`reception.rs`, `ledger.rs`) and keeps its own
//! figures (`figures.rs`); at the rates of XDP programs in the kernel do the same (`xdp/`). Nothing is shared while it runs, and nothing is allocated. `step.rs` runs the threads for
//! one rate and `machine/` reads what the machine did meanwhile, `ladder.rs` chooses the rates, `report.rs`
//! prints them.

mod association;
mod carrier;
mod clients;
mod driver;
mod figures;
pub mod frame;
pub mod json;
mod judge;
mod ladder;
mod ledger;
pub mod machine;
mod manifest;
mod mix;
mod noise;
mod null;
pub mod picture;
mod plan;
mod progress;
mod raw;
mod reception;
mod report;
mod samples;
mod schedule;
mod step;
mod xdp;

pub use clients::Order;
pub use figures::{Counts, Deviations, Percentiles, Second};
pub use ladder::{Audience, Ended, run};
pub use machine::Machine;
pub use manifest::Manifest;
pub use mix::{Kind, Mix};
pub use noise::Noise;
pub use null::NullServer;
pub use plan::{Carriage, Course, Ladder, Load, Plan, Raw, Signature};
pub use progress::Progress;
pub use report::Report;
pub use step::{Step, StepError};
pub use xdp::{Echo, XdpError};
