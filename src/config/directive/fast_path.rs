//! `fastpath` and its kin: what the kernel does for us. Ours.

use super::Directive;
use super::Support::{self, Honoured, Refused};
use crate::config::arguments::Arguments;
use crate::config::error::At;
use crate::config::{FastPathLine, FastPathMode, PassedLimit};

type Read = Result<Directive, At>;

/// A line about the fast path, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum FastPathWords {
    Fastpath(FastPathLine),
    Fastpathlimit(PassedLimit),
    Fastpathdeparture(i32),
}

pub(super) fn fastpath(arguments: &mut Arguments<'_>) -> Read {
    let interface = arguments.take("an interface, such as eth0", |word| {
        let fits = (1..=INTERFACE_LEN_MAX).contains(&word.len());
        (fits && !word.contains('/')).then(|| word.to_owned())
    })?;
    let mode = if arguments.is_empty() {
        FastPathMode::Auto
    } else {
        arguments.one_of(&FAST_PATH_MODES)?
    };
    let line = FastPathLine { interface, mode };
    Ok(Directive::FastPath(FastPathWords::Fastpath(line)))
}

pub(super) fn fastpathlimit(arguments: &mut Arguments<'_>) -> Read {
    let rate = arguments.integer(1..=RATE_MAX)?;
    let burst = if arguments.is_empty() {
        rate.div_ceil(100)
    } else {
        arguments.integer(1..=RATE_MAX)?
    };
    let limit = PassedLimit { rate, burst };
    Ok(Directive::FastPath(FastPathWords::Fastpathlimit(limit)))
}

pub(super) fn fastpathdeparture(arguments: &mut Arguments<'_>) -> Read {
    let nanos = arguments.integer(-DEPARTURE_NS_MAX..=DEPARTURE_NS_MAX)?;
    Ok(Directive::FastPath(FastPathWords::Fastpathdeparture(nanos)))
}

/// The words for who runs the program.
pub(in crate::config) const FAST_PATH_MODES: [(&str, FastPathMode); 3] = [
    ("auto", FastPathMode::Auto),
    ("native", FastPathMode::Native),
    ("generic", FastPathMode::Generic),
];

/// A program for the kernel is part of the build, or it is not.
pub(super) const SUPPORT: Support = if cfg!(feature = "xdp") {
    Honoured
} else {
    Refused(
        "this maser was built without the fast path; build it with `cargo build --release --features xdp`",
    )
};

/// `IFNAMSIZ`, less the zero at the end.
const INTERFACE_LEN_MAX: usize = 15;
/// No processor takes more from a card.
const RATE_MAX: u32 = 100_000_000;
/// A millisecond.
const DEPARTURE_NS_MAX: i32 = 1_000_000;
