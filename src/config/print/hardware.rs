//! Lines about timestamps of network cards.

use super::{Number, word};
use crate::config::directive::RECEIVE_FILTERS;
use crate::config::{HardwareConfig, HardwareLine};

pub(super) fn lines(config: &HardwareConfig, lines: &mut Vec<String>) {
    let HardwareConfig {
        interfaces,
        timeout_s,
    } = config;
    lines.extend(interfaces.iter().map(line));
    lines.push(format!("hwtstimeout {}", Number(*timeout_s)));
}

fn line(line: &HardwareLine) -> String {
    let HardwareLine {
        interface,
        poll,
        max_poll,
        samples_min,
        samples_max,
        precision_s,
        transmit_s,
        receive_s,
        is_crossed,
        filter,
    } = line;
    let max_poll = max_poll.map_or_else(String::new, |poll| format!(" maxpoll {poll}"));
    let [precision, transmit, receive] = [*precision_s, *transmit_s, *receive_s].map(Number);
    let crossed = if *is_crossed { "" } else { " nocrossts" };
    let filter = filter.map_or_else(String::new, |filter| {
        format!(" rxfilter {}", word(&RECEIVE_FILTERS, filter))
    });
    format!(
        "hwtimestamp {interface} minpoll {poll}{max_poll} minsamples {samples_min} maxsamples {samples_max} \
         precision {precision} txcomp {transmit} rxcomp {receive}{crossed}{filter}"
    )
}
