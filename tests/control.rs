//! chronyc's protocol, without a socket: replies of chronyd 4.3 and what chronyc printed for them.
//!
//! `data/tracking/NAME.bin` is a reply as it came over UDP to a request with the sequence
//! 0x01020304; `NAME.csv` what `chronyc -c tracking` said to the same daemon a moment before.

use maser::control::{TrackingReport, tracking_request};
use maser::wire::{LeapIndicator, ReferenceId};

#[path = "control/csv.rs"]
mod csv;

const SEQUENCE: u32 = 0x0102_0304;

fn assert_reads_as_printed(reply: &[u8], printed: &str) -> TrackingReport {
    let report = TrackingReport::parse(reply, SEQUENCE).expect("chronyd's own bytes");
    csv::assert_same(&report, printed, 1e-6);
    assert_eq!(report.emit(SEQUENCE), reply, "our bytes are not chronyd's");
    report
}

macro_rules! recorded {
    ($name:literal) => {
        assert_reads_as_printed(
            include_bytes!(concat!("data/tracking/", $name, ".bin")),
            include_str!(concat!("data/tracking/", $name, ".csv")),
        )
    };
}

#[test]
fn a_request_is_as_long_as_its_reply() {
    let mut expected = [0; 104];
    expected[..12].copy_from_slice(&[6, 1, 0, 0, 0, 33, 0, 1, 1, 2, 3, 4]);
    assert_eq!(tracking_request(SEQUENCE, 1), expected);
}

#[test]
fn tracking_without_a_source() {
    let report = recorded!("unsynchronised");
    assert!(!report.is_synchronised());
    assert_eq!(report.leap, LeapIndicator::NotSynchronised);
}

#[test]
fn tracking_of_a_local_reference() {
    let report = recorded!("local");
    assert!(report.is_synchronised());
    assert_eq!(
        (report.reference_id, report.stratum),
        (ReferenceId::LOCAL, 5)
    );
}

#[test]
fn tracking_of_a_source_of_either_family() {
    let address = recorded!("source_v4").address;
    assert_eq!(address, Some("127.0.0.1".parse().unwrap()));
    let address = recorded!("source_v6").address;
    assert_eq!(address, Some("::1".parse().unwrap()));
}
