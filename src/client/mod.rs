//! The client (floor 2): what is asked of a source, what its replies are worth, which sources are believed.
//!
//! No socket, no clock, no randomness: moments, bytes and random bits come as arguments.

mod association;
mod change;
mod clock_register;
mod combine;
mod dump;
mod exponent;
mod filter;
mod hardware_clock;
mod options;
mod poll;
mod pool;
mod quantile;
mod refclock;
mod reference_id;
mod regression;
mod report;
mod sample;
mod samples;
mod sanity;
mod selection;
mod source_name;
mod stamp;
mod walk;

pub use association::{
    Activity, Association, Due, Local, Port, REQUEST_LEN_MAX, Reply, Request, RequestId, Role,
};
pub use change::ClockChange;
pub use clock_register::{ClockLine, ClockRegister};
pub use combine::{Estimate, combine};
pub use dump::{BadDump, Dump, unix_near};
pub use exponent::Exponent;
pub use filter::Filter;
pub use hardware_clock::{CardSample, HardwareClock};
pub use options::{Family, MAX_POLL_DEFAULT, MIN_POLL_DEFAULT, PORT_DEFAULT, SourceOptions};
pub use poll::{
    Burst, POLL_MAX, POLL_MIN, Poll, Reach, interval_ns, score_change, separated, separation_ns,
};
pub use pool::{Change, Pool, PoolSize, SlotId, SlotState};
pub use refclock::{Completion, Reading, Refclock, RefclockOptions, Shows, Unused};
pub use reference_id::reference_id;
pub use report::{Counts, Measurement};
pub use sample::Sample;
pub use samples::{SAMPLES_MAX, Samples, SamplesOptions, Selectable, Statistics};
pub use sanity::{Expectation, FailedTests, Identity, Test, Tests};
pub use selection::{
    Candidate, Choice, Orphan, Reference, SelectOptions, SelectionOptions, Standing, State, select,
};
pub use source_name::SourceName;
pub use stamp::{Now, Stamp, StampSource};
