//! Replies that chrony 4.4 and later want, byte by byte as their protocol lays them out.

use maser::client::{Counts, StampSource, Tests};
use maser::control::{Edition, NtpDataReport, Reply, ServerStatsReport};
use maser::wire::{LeapIndicator, Mode, ReferenceId};

/// The header of every reply here: version 6, a reply, the request's code and the reply's, success, the sequence.
fn header(command: u16, reply: u16) -> Vec<u8> {
    let mut bytes = vec![6, 2, 0, 0];
    bytes.extend(command.to_be_bytes());
    bytes.extend(reply.to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend(super::SEQUENCE.to_be_bytes());
    bytes.extend([0; 8]);
    bytes
}

/// The bytes of a reply that has these bytes at these places behind its header.
fn golden(command: u16, reply: u16, length: usize, data: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = header(command, reply);
    bytes.resize(length, 0);
    for (at, data) in data {
        bytes[28 + at..28 + at + data.len()].copy_from_slice(data);
    }
    bytes
}

#[test]
fn serverstats_of_4_4() {
    let report = ServerStatsReport {
        ntp_hits: 0x1_0000_0001,
        nke_hits: 2,
        command_hits: 3,
        ntp_drops: 4,
        nke_drops: 5,
        command_drops: 6,
        log_drops: 7,
        ntp_auth_hits: 8,
        ntp_interleaved_hits: 9,
        ntp_timestamps: 10,
        ntp_span_s: 11,
        ntp_daemon_received: 12,
        ntp_daemon_sent: 13,
        ntp_kernel_received: 14,
        ntp_kernel_sent: 15,
        ntp_hardware_received: 16,
        ntp_hardware_sent: 17,
    };
    let mut data = vec![0, 0, 0, 1, 0, 0, 0, 1];
    for count in 2..=17 {
        data.extend([0, 0, 0, 0, 0, 0, 0, count]);
    }
    // Four are reserved, all bits one.
    data.extend([0xff; 32]);
    let said = Reply::ServerStats(report).emit(54, super::SEQUENCE, Edition::V4_4);
    assert_eq!(said, Ok(golden(54, 25, 196, &[(0, &data)])));
    // chrony 4.3 reads 32 bits of each, of which there are eleven.
    let said = Reply::ServerStats(report).emit(54, super::SEQUENCE, Edition::V4_2);
    let mut data = vec![0xff; 4];
    for count in 2..=11 {
        data.extend([0, 0, 0, count]);
    }
    assert_eq!(said, Ok(golden(54, 24, 72, &[(0, &data)])));
}

#[test]
fn ntpdata_of_4_6() {
    let report = NtpDataReport {
        remote: Some("192.0.2.1".parse().expect("an address")),
        local: Some("2001:db8::2".parse().expect("an address")),
        port: 123,
        leap: LeapIndicator::InsertSecond,
        version: 4,
        mode: Mode::Server,
        stratum: 2,
        poll: 6,
        precision: -24,
        root_delay_s: 0.5,
        root_dispersion_s: 0.25,
        reference_id: ReferenceId::from_bytes([10, 11, 12, 13]),
        reference_time: (0x1_0000_0002, 3),
        offset_s: -0.125,
        peer_delay_s: 1.0,
        peer_dispersion_s: 2.0,
        response_time_s: 4.0,
        jitter_asymmetry: 0.0,
        tests: Tests::from_bits(0x3ff),
        is_interleaved: true,
        is_authenticated: true,
        transmit_source: Some(StampSource::Kernel),
        receive_source: Some(StampSource::Hardware),
        counts: Counts {
            sent: 1,
            received: 2,
            valid: 3,
            good: 4,
            kernel_sent: 5,
            kernel_received: 6,
            hardware_sent: 7,
            hardware_received: 8,
        },
    };
    let words = |values: &[u32]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_be_bytes())
            .collect()
    };
    let data: Vec<(usize, Vec<u8>)> = vec![
        (0, vec![192, 0, 2, 1]),
        (16, vec![0, 1]),
        (20, vec![0x20, 0x01, 0x0d, 0xb8]),
        (35, vec![2, 0, 2]),
        (40, vec![0, 123, 1, 4, 4, 2, 6, 0xe8]),
        // Floats: seven bits of exponent, then 25 of coefficient; 1.0 is 2^23 * 2^(2 - 25).
        (48, words(&[0x0280_0000, 0x0080_0000])),
        (56, vec![10, 11, 12, 13]),
        (60, vec![0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]),
        (
            72,
            words(&[0xff80_0000, 0x0480_0000, 0x0680_0000, 0x0880_0000]),
        ),
        (92, vec![0xc3, 0xff, b'K', b'H']),
        (96, words(&[1, 2, 3, 4, 5, 6, 7, 8])),
        (128, vec![0xff; 16]),
    ];
    let places: Vec<(usize, &[u8])> = data.iter().map(|(at, bytes)| (*at, &bytes[..])).collect();
    let said = Reply::NtpData(report).emit(57, super::SEQUENCE, Edition::V4_6);
    assert_eq!(said, Ok(golden(57, 26, 172, &places)));
}
