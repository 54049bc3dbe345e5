//! chronyc's protocol, without a socket: replies of chronyd 4.3 and what chronyc printed for them.
//!
//! `data/tracking/NAME.bin` is a reply as it came over UDP to a request with the sequence
//! 0x01020304; `NAME.csv` what `chronyc -c tracking` said to the same daemon a moment before.

use maser::control::{
    BadReply, Edition, Reply, ReplyHeader, RequestHeader, RequestRow, Status, TrackingReport,
    client, tracking_request,
};
use maser::wire::{LeapIndicator, ReferenceId};

#[path = "control/csv.rs"]
mod csv;
#[path = "control/mutated.rs"]
mod mutated;
#[path = "control/newer.rs"]
mod newer;

const SEQUENCE: u32 = 0x0102_0304;

fn assert_reads_as_printed(reply: &[u8], printed: &str) -> TrackingReport {
    let report = TrackingReport::parse(reply, SEQUENCE).expect("chronyd's own bytes");
    csv::assert_same(&report, printed, 1e-6);
    let ours = report.emit(SEQUENCE).expect("a good report");
    assert_eq!(ours, reply, "our bytes are not chronyd's");
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

/// A request to chronyd 4.3, its reply, and what chronyc printed of the same.
struct Exchange {
    name: &'static str,
    request: Vec<u8>,
    reply: Vec<u8>,
    printed: &'static str,
}

/// `LENGTH HEX`: the bytes without the zeros at their end.
fn bytes(line: &str) -> Vec<u8> {
    let (length, digits) = line.split_once(' ').expect("a length and bytes");
    let pairs = digits.as_bytes().chunks(2);
    let mut bytes: Vec<u8> = pairs
        .map(|pair| {
            let pair = str::from_utf8(pair).expect("digits");
            u8::from_str_radix(pair, 16).expect("digits")
        })
        .collect();
    bytes.resize(length.parse().expect("a number"), 0);
    bytes
}

fn exchanges() -> Vec<Exchange> {
    let text = include_str!("data/control/chronyd-4.3.txt");
    let blocks = text.split("\n\n").filter(|block| !block.starts_with('#'));
    blocks
        .map(|block| {
            let mut lines = block.lines();
            let mut after = |mark: &str| {
                let line = lines.next().unwrap_or_default();
                line.strip_prefix(mark).unwrap_or_default()
            };
            Exchange {
                name: after(""),
                request: bytes(after("> ")),
                reply: bytes(after("< ")),
                printed: after("= "),
            }
        })
        .collect()
}

/// What chronyd 4.3 has said is read, and written again byte by byte; and so is what it was asked.
#[test]
fn chronyds_own_bytes_come_back() {
    let all = exchanges();
    assert!(all.len() > 40, "{}", all.len());
    let mut refused = 0;
    for Exchange {
        name,
        request,
        reply,
        printed,
    } in all
    {
        let header = RequestHeader::parse(&request).expect(name);
        let row = RequestRow::of(header.command).expect(name);
        let (asked, edition) = row.decode(&request).expect(name);
        assert!(edition <= Edition::V4_2, "{name}: {edition:?}");
        let ours = client::encode(&asked, edition, header.sequence, header.attempt);
        assert_eq!(ours.as_deref(), Some(&request[..]), "{name}");
        let said = match client::decode(&reply, &asked, header.sequence) {
            Ok(said) => said,
            Err(BadReply::Refused(status)) => {
                let header = ReplyHeader::parse(&reply).expect(name);
                assert_eq!(header.status, status);
                refused += 1;
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        let ours = said.emit(header.command, header.sequence, edition);
        assert_eq!(ours.as_deref(), Ok(&reply[..]), "{name}: {said:?}");
        assert_reads(name, &said, printed);
    }
    assert!(refused > 0, "some sources are not there");
}

/// Some figures as chronyc printed them.
fn assert_reads(name: &str, said: &Reply, printed: &str) {
    let columns: Vec<&str> = printed.split(',').collect();
    let number = |at: usize| columns[at].parse::<f64>().expect(name);
    match said {
        Reply::Source(report) => {
            assert_eq!(report.state.sign().to_string(), columns[1], "{name}");
            assert_eq!(i32::from(report.poll).to_string(), columns[4], "{name}");
            // chronyc's are positive where we are ahead.
            assert!((report.adjusted_s + number(7)).abs() < 1e-3, "{name}");
        }
        Reply::Sourcestats(report) => {
            assert!((report.offset_s + number(6)).abs() < 1e-3, "{name}");
            assert!(
                (report.skew_ppm - number(5)).abs() < 0.01 * number(5),
                "{name}"
            );
        }
        Reply::SourceName(found) => assert_eq!(found, printed, "{name}"),
        Reply::Activity(report) => assert_eq!(report.online.to_string(), columns[0], "{name}"),
        _ => {}
    }
}

#[test]
fn refusals_have_chronys_numbers() {
    for (status, code) in [
        (Status::Unauthorised, 2),
        (Status::NoSuchSource, 4),
        (Status::BadVersion, 18),
        (Status::BadLength, 19),
    ] {
        assert_eq!(status.code(), code);
    }
}
