//! Timestamps of network cards (chrony.conf(5), "NTP server", `hwtimestamp`).

use super::Directive;
use crate::config::arguments::Arguments;
use crate::config::error::At;
use crate::config::{HardwareLine, ReceiveFilter};

type Read = Result<Directive, At>;

pub(super) fn hwtimestamp(arguments: &mut Arguments<'_>) -> Read {
    let mut line = HardwareLine {
        interface: arguments.word("an interface, or *")?.to_owned(),
        poll: 0,
        max_poll: None,
        samples_min: 2,
        samples_max: 16,
        precision_s: 1e-7,
        transmit_s: 0.0,
        receive_s: 0.0,
        is_crossed: true,
        filter: None,
    };
    while let Some(name) = arguments.option() {
        match name.as_str() {
            "minpoll" => line.poll = arguments.integer(POLL_MIN..=POLL_MAX)?,
            "maxpoll" => line.max_poll = Some(arguments.integer(POLL_MIN..=POLL_MAX)?),
            "minsamples" => line.samples_min = arguments.integer(2..=SAMPLES_MAX)?,
            "maxsamples" => line.samples_max = arguments.integer(2..=SAMPLES_MAX)?,
            "precision" => line.precision_s = arguments.number(0.0..=1.0)?,
            "txcomp" => {
                line.transmit_s = arguments.number(-COMPENSATION_MAX_S..=COMPENSATION_MAX_S)?
            }
            "rxcomp" => {
                line.receive_s = arguments.number(-COMPENSATION_MAX_S..=COMPENSATION_MAX_S)?
            }
            "nocrossts" => line.is_crossed = false,
            "rxfilter" => line.filter = Some(arguments.one_of(&RECEIVE_FILTERS)?),
            name => {
                let near = super::nearest(name, OPTIONS.into_iter());
                let expected = near.map_or_else(|| OPTIONS.join(" or "), str::to_owned);
                return Err(arguments.no_such_option(&expected));
            }
        }
    }
    Ok(Directive::Hwtimestamp(line))
}

pub(super) fn hwtstimeout(arguments: &mut Arguments<'_>) -> Read {
    let seconds = arguments.number(0.0..=TIMEOUT_MAX_S)?;
    Ok(Directive::Hwtstimeout(seconds))
}

/// The words of `rxfilter`.
pub(in crate::config) const RECEIVE_FILTERS: [(&str, ReceiveFilter); 4] = [
    ("all", ReceiveFilter::All),
    ("ntp", ReceiveFilter::Ntp),
    ("ptp", ReceiveFilter::Ptp),
    ("none", ReceiveFilter::Nothing),
];

const OPTIONS: [&str; 9] = [
    "minpoll",
    "maxpoll",
    "minsamples",
    "maxsamples",
    "precision",
    "txcomp",
    "rxcomp",
    "nocrossts",
    "rxfilter",
];
/// A 64th of a second.
const POLL_MIN: i8 = -6;
const POLL_MAX: i8 = 20;
const SAMPLES_MAX: usize = 1024;
/// No cable is as long.
const COMPENSATION_MAX_S: f64 = 1.0;
/// Everything else waits as well.
const TIMEOUT_MAX_S: f64 = 1.0;
