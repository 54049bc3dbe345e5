//! What the process ends with.

use std::process::ExitCode;

/// The exit codes, all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: what was asked has been done.
    Success = 0,
    /// 1: a mistake in the configuration, or something that the machine does not let us do; of `maser
    /// bench`: a bound was broken; of `maser health`: not ready; of the reports: no answer, or a refusal.
    Failure = 1,
    /// 2: arguments that cannot be, or an option that is refused; of `maser bench` also: the rate could not
    /// be driven.
    Usage = 2,
    /// 3: `maser doctor` found something that costs throughput, latency or accuracy, and nothing worse.
    Slow = 3,
    /// 4: `maser doctor` found something that loses requests, or that nothing can be served.
    Broken = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
