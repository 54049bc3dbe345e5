//! The discipline (floor 2): from what sources say of the local clock to what is done with it.
//!
//! [`Servo`] decides: by how much the frequency is changed, how fast an offset is corrected, whether it is
//! stepped, which updates are not believed. [`CookedClock`] carries it out on a [`KernelClock`]: it slews
//! by a frequency that is off for a while, and knows at each moment what the kernel's clock still lacks.
//! That is in the time that is served at once, long before the kernel's own clock is right.
//!
//! No clock is read here: moments come as arguments, and the kernel's is behind a trait.

mod cooked;
mod drift;
mod kernel;
mod leap;
mod local;
mod manual;
mod rtc;
mod servo;
mod smooth;
mod system;
mod tempcomp;

pub use cooked::{Adjustment, CookedClock};
pub use drift::Drift;
pub use kernel::{KernelClock, KernelStatus, NoClock, SimulatedClock};
pub use leap::{BadLeapTable, LeapAction, LeapDay, LeapMode, LeapState, LeapTable};
pub use local::{Local, LocalReference};
pub use manual::{Manual, ManualEntry, ManualUpdate};
pub use rtc::{RtcCoefficients, RtcReport, RtcTracking, StartTime};
pub use servo::{
    FallbackDrift, MakeStep, MaxChange, Servo, ServoOptions, Tracking, Update, Verdict,
};
pub use smooth::{Smoothing, SmoothingOptions};
pub use system::{
    Action, AuthSelectMode, CannotAdd, End, InitialStep, Moment, NameId, Notice, Purpose,
    RawCardSample, RawReading, RawStamp, Record, RefclockReading, RefclockRecord, RtcRecord,
    SelectionRecord, ServerReport, Severity, SourceId, SourceReport, SourceSpec, System,
    SystemOptions, TemperatureRecord, TrackingRecord, UnresolvedReport,
};
pub use tempcomp::{BadPoints, COMPENSATION_MAX_PPM, Tempcomp, TempcompPoints};
