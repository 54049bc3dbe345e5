//! What must hold for any bytes. The fuzz targets call these, and `tests/properties.rs` does on a small
//! corpus, so that they cannot rot where no fuzzer runs.

use maser::control::{REPLY_HEADER_LEN, TRACKING_REPLY_LEN, TrackingReport};
use maser::wire::{ExtensionFields, HEADER_LEN, PACKET_LEN_MAX, Split, Trailer};

/// Taking a packet apart: the first byte chooses the version, the rest is the packet.
///
/// The parts add up, a MAC has its shortest digest, and the fields cover what is authenticated.
pub(crate) fn split(bytes: &[u8]) {
    let Some((choice, packet)) = bytes.split_first() else {
        return;
    };
    let packet = &packet[..packet.len().min(PACKET_LEN_MAX)];
    let version = choice % 5;
    let Ok(split) = Split::of(packet, version) else {
        // Up to NTPv3 all that follows a whole header is one trailer: nothing can be malformed.
        assert!(packet.len() < HEADER_LEN || version >= 4);
        return;
    };
    assert!((HEADER_LEN..=packet.len()).contains(&split.authenticated_len));
    let trailer = packet.len() - split.authenticated_len;
    match split.trailer {
        Trailer::Absent => assert_eq!(trailer, 0),
        Trailer::CryptoNak => assert_eq!(packet[split.authenticated_len..], [0; 4]),
        Trailer::ShortMac => assert!((1..20).contains(&trailer)),
        Trailer::Mac { .. } => assert!(trailer >= 20 && (version < 4 || trailer <= 24)),
        Trailer::MsSntp => assert!(version == 3 && (trailer == 20 || trailer == 72)),
    }
    if version < 4 {
        assert_eq!(split.authenticated_len, HEADER_LEN);
        return;
    }
    let mut walk = ExtensionFields::new(&packet[HEADER_LEN..]);
    let mut covered = HEADER_LEN;
    for field in &mut walk {
        let field = field.expect("split has walked them all");
        assert!(field.value.len() >= 12 && field.value.len().is_multiple_of(4));
        covered += 4 + field.value.len();
    }
    assert_eq!(covered, split.authenticated_len);
    assert_eq!(walk.rest().len(), trailer);
}

/// A reply to `tracking`: it is read or refused, and what was read is written so that it reads the same.
///
/// The header is ours, with the first byte of the input in the place of one byte of it, so that most
/// inputs reach the data.
pub(crate) fn tracking(bytes: &[u8]) {
    const SEQUENCE: u32 = 0x5eed_1234;
    let [at, value, data @ ..] = bytes else {
        return;
    };
    let mut packet = vec![0; REPLY_HEADER_LEN];
    packet[..8].copy_from_slice(&[6, 2, 0, 0, 0, 33, 0, 5]);
    packet[16..20].copy_from_slice(&SEQUENCE.to_be_bytes());
    packet.extend(data);
    if let Some(byte) = packet.get_mut(usize::from(*at)) {
        *byte = *value;
    }
    let Ok(report) = TrackingReport::parse(&packet, SEQUENCE) else {
        return;
    };
    assert!(packet.len() >= TRACKING_REPLY_LEN);
    assert!(report.root_dispersion_s.is_finite() && report.current_correction_s.is_finite());
    assert!(report.reference_time.1 < 1_000_000_000);
    let again = TrackingReport::parse(&report.emit(SEQUENCE), SEQUENCE);
    assert_eq!(again, Ok(report), "written and read again");
}

/// Must fail: it proves that a failure would be seen.
pub(crate) fn canary(bytes: &[u8]) {
    assert!(!bytes.starts_with(b"tu"), "the canary sings");
}
