//! What reading the clock costs: each clock, and once per packet against once per burst.

mod harness;

use std::hint::black_box;

use maser::sys::clock;
use maser::wire::{NtpDuration, NtpTimestamp};

use harness::{Case, compare};

fn main() {
    let mut each = [
        Case::new("realtime", |n| {
            (0..n).map(|_| u64::from(clock::realtime().secs > 0)).sum()
        }),
        Case::new("monotonic", |n| {
            (0..n).map(|_| u64::from(clock::monotonic_ns() > 0)).sum()
        }),
    ];
    compare("a clock read", &mut each);

    let mut stamps = [
        Case::new("a read per packet", |n| stamped(n, 1)),
        Case::new("a read per burst of 64", |n| stamped(n, 64)),
    ];
    compare("a packet's transmit timestamp", &mut stamps);
}

/// Timestamps for this many packets, from a read for each `burst` of them and a delay by place, as a
/// worker makes them. Answers how many there are.
fn stamped(packets: u64, burst: u64) -> u64 {
    let mut start = NtpTimestamp::ZERO;
    let mut made = 0;
    for number in 0..packets {
        let place = number % burst;
        if place == 0 {
            let now = clock::realtime();
            start = NtpTimestamp::from_unix(now.secs, now.nanos);
        }
        let delay = NtpDuration::from_nanos(black_box(700) * place.cast_signed());
        made += u64::from(!(start + delay).is_zero());
    }
    made
}
