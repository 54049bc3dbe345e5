//! What a network card's driver says of itself (`SIOCETHTOOL`, include/uapi/linux/ethtool.h). Nothing is set.

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

use super::{check, named};

/// Queues of a card, now and at most. A driver has either combined ones or separate ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// Queues that receive only.
    pub receive: u32,
    /// Of these at most.
    pub receive_max: u32,
    /// Queues that receive and send.
    pub combined: u32,
    /// Of these at most.
    pub combined_max: u32,
}

/// How many packets a receive queue of the card holds, now and at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rings {
    /// Now.
    pub receive: u32,
    /// At most.
    pub receive_max: u32,
}

/// How long a card waits with its interrupt for more packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coalescing {
    /// Microseconds after the first packet.
    pub receive_us: u32,
    /// The driver chooses the time by the load.
    pub adaptive: bool,
}

/// By which fields a card chooses the queue of a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowHash {
    /// The source address (`s`).
    pub source: bool,
    /// The destination address (`d`).
    pub destination: bool,
    /// The source port (`f`).
    pub source_port: bool,
    /// The destination port (`n`).
    pub destination_port: bool,
}

/// Which moments a card and its driver can stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamping {
    /// The driver stamps what it receives by the system clock.
    pub receive_software: bool,
    /// The driver stamps what it sends by the system clock.
    pub transmit_software: bool,
    /// The card stamps what it receives by a clock of its own.
    pub receive_hardware: bool,
    /// The card stamps what it sends by a clock of its own.
    pub transmit_hardware: bool,
    /// The number of that clock: /dev/ptpN.
    pub clock: Option<u32>,
}

/// Something that a card or the kernel's part for it does or does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feature {
    /// It does.
    pub on: bool,
    /// Nobody can change that.
    pub fixed: bool,
}

/// Datagrams of which family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// UDP over IPv4.
    Udp4,
    /// UDP over IPv6.
    Udp6,
}

/// The card's queues (`ethtool --show-channels`).
///
/// # Errors
/// The driver does not say, or there is no such interface.
pub fn channels(interface: &str) -> io::Result<Channels> {
    // struct ethtool_channels: command; at most: receive, transmit, other, combined; now: the same.
    let answer = ask(interface, [GET_CHANNELS, 0])?;
    Ok(Channels {
        receive: answer[5],
        receive_max: answer[1],
        combined: answer[8],
        combined_max: answer[4],
    })
}

/// The card's queues' lengths (`ethtool --show-ring`).
///
/// # Errors
/// As [`channels`].
pub fn rings(interface: &str) -> io::Result<Rings> {
    // struct ethtool_ringparam: command; at most: receive, mini, jumbo, transmit; now: the same.
    let answer = ask(interface, [GET_RINGS, 0])?;
    Ok(Rings {
        receive: answer[5],
        receive_max: answer[1],
    })
}

/// The card's delay of interrupts (`ethtool --show-coalesce`).
///
/// # Errors
/// As [`channels`].
pub fn coalescing(interface: &str) -> io::Result<Coalescing> {
    // struct ethtool_coalesce: command, rx_coalesce_usecs, eight more, use_adaptive_rx_coalesce, ….
    let answer = ask(interface, [GET_COALESCING, 0])?;
    Ok(Coalescing {
        receive_us: answer[1],
        adaptive: answer[11] != 0,
    })
}

/// By what the card spreads datagrams over its queues (`ethtool --show-nfc … rx-flow-hash`).
///
/// # Errors
/// As [`channels`].
pub fn flow_hash(interface: &str, flow: Flow) -> io::Result<FlowHash> {
    let flow = match flow {
        Flow::Udp4 => UDP_V4_FLOW,
        Flow::Udp6 => UDP_V6_FLOW,
    };
    // struct ethtool_rxnfc: command, type of flow, 64 bits of which the fields are the lower half.
    let answer = ask(interface, [GET_FLOW_HASH, flow])?;
    let bits = u64::from_ne_bytes(
        [answer[2].to_ne_bytes(), answer[3].to_ne_bytes()]
            .concat()
            .try_into()
            .unwrap_or_default(),
    );
    Ok(FlowHash {
        source: bits & 1 << 4 != 0,
        destination: bits & 1 << 5 != 0,
        source_port: bits & 1 << 6 != 0,
        destination_port: bits & 1 << 7 != 0,
    })
}

/// What card and driver can stamp (`ethtool --show-time-stamping`).
///
/// # Errors
/// As [`channels`].
pub fn stamping(interface: &str) -> io::Result<Stamping> {
    Ok(stamping_in_full(interface)?.0)
}

/// The same with the kinds of the card's transmit stamps and its filters for receive stamps, a bit for each.
pub(super) fn stamping_in_full(interface: &str) -> io::Result<(Stamping, u32, u32)> {
    // struct ethtool_ts_info: command, SOF_TIMESTAMPING_*, number of the clock, kinds of transmit stamps,
    // three spare words, filters of receive stamps, three spare words.
    let answer = ask(interface, [GET_STAMPING, 0])?;
    let has = |flag: libc::c_uint| answer[1] & flag != 0;
    let stamping = Stamping {
        receive_software: has(libc::SOF_TIMESTAMPING_RX_SOFTWARE),
        transmit_software: has(libc::SOF_TIMESTAMPING_TX_SOFTWARE),
        receive_hardware: has(libc::SOF_TIMESTAMPING_RX_HARDWARE),
        transmit_hardware: has(libc::SOF_TIMESTAMPING_TX_HARDWARE),
        clock: (answer[2].cast_signed() >= 0).then_some(answer[2]),
    };
    Ok((stamping, answer[3], answer[7]))
}

/// A feature, by the kernel's name of it (`ethtool --show-features` shortens some): `rx-lro`; `None`: it knows none of this
/// name.
///
/// # Errors
/// As [`channels`].
pub fn feature(interface: &str, name: &str) -> io::Result<Option<Feature>> {
    // struct ethtool_sset_info: command, spare word, 64 bits of sets, for each of them how many it has.
    let mut counts = [GET_SET_INFO, 0, 1 << SET_OF_FEATURES, 0, 0];
    ask_words(interface, &mut counts)?;
    // A kernel that has no such set clears its bit.
    let count = if counts[2] == 0 { 0 } else { counts[4] };
    // struct ethtool_gstrings: command, set, how many, 32 bytes for each; of this set a kernel has always as many.
    let mut names = vec![0; 3 + count as usize * NAME_WORDS];
    names[..3].copy_from_slice(&[GET_STRINGS, SET_OF_FEATURES, count]);
    ask_words(interface, &mut names)?;
    let is_wanted = |words: &[u32]| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.split(|byte| *byte == 0).next() == Some(name.as_bytes())
    };
    let Some(place) = names[3..].chunks(NAME_WORDS).position(is_wanted) else {
        return Ok(None);
    };
    // struct ethtool_gfeatures: command, how many blocks of 32; of each: available, requested, active, never changed.
    let blocks = count.div_ceil(32);
    let mut states = vec![0; 2 + blocks as usize * 4];
    states[..2].copy_from_slice(&[GET_FEATURES, blocks]);
    ask_words(interface, &mut states)?;
    let block = states.get(2 + place / 32 * 4..).unwrap_or_default();
    let has = |word: usize| {
        block
            .get(word)
            .is_some_and(|bits| bits >> (place % 32) & 1 == 1)
    };
    Ok(Some(Feature {
        on: has(2),
        fixed: !has(0) || has(3),
    }))
}

/// A request about an interface whose data are elsewhere.
pub(super) fn request(interface: &str, data: *mut libc::c_char) -> io::Result<libc::ifreq> {
    let name = CString::new(interface).map_err(io::Error::other)?;
    let name = name.as_bytes_with_nul();
    if name.len() > libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    let mut named_request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: data },
    };
    for (to, from) in named_request.ifr_name.iter_mut().zip(name) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    Ok(named_request)
}

/// Asks the driver; the answer begins with the two words asked.
fn ask(interface: &str, request_words: [u32; 2]) -> io::Result<[u32; WORDS]> {
    let mut words = [0; WORDS];
    words[..2].copy_from_slice(&request_words);
    ask_words(interface, &mut words)?;
    Ok(words)
}

/// Asks the driver with a structure that it fills in: it must be as long as its own words say.
fn ask_words(interface: &str, words: &mut [u32]) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).map_err(named("socket"))?;
    let mut named_request = request(interface, words.as_mut_ptr().cast())?;
    // SAFETY: the request names an interface by a C string and points to `words`, which outlives the call and
    // is as long as the structure of its command: what the kernel reads and writes lies in it.
    check(unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCETHTOOL as _,
            &raw mut named_request,
        )
    })
    .map_err(named("SIOCETHTOOL"))?;
    Ok(())
}

/// Room for the longest structure of a fixed length, ethtool_rxnfc, which has 192 bytes.
const WORDS: usize = 64;
const GET_COALESCING: u32 = 0x0e;
const GET_RINGS: u32 = 0x10;
const GET_STRINGS: u32 = 0x1b;
const GET_FLOW_HASH: u32 = 0x29;
const GET_SET_INFO: u32 = 0x37;
const GET_FEATURES: u32 = 0x3a;
const GET_CHANNELS: u32 = 0x3c;
const GET_STAMPING: u32 = 0x41;
const SET_OF_FEATURES: u32 = 4;
/// Words of a name.
const NAME_WORDS: usize = 8;
const UDP_V4_FLOW: u32 = 2;
const UDP_V6_FLOW: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    /// The loopback has no queues to speak of, but the network stack stamps what goes through it.
    #[test]
    fn the_loopback_is_stamped_and_has_no_rings() {
        let stamping = stamping("lo").unwrap();
        assert!(stamping.receive_software && stamping.transmit_software);
        assert!(!stamping.receive_hardware && stamping.clock.is_none());
        let refused = rings("lo").unwrap_err().to_string();
        assert!(refused.starts_with("SIOCETHTOOL: "), "{refused}");
    }

    #[test]
    fn features_have_names() {
        let state = |name| feature("lo", name).unwrap();
        let (on, fixed) = (true, true);
        assert_eq!(state("loopback"), Some(Feature { on, fixed }));
        assert_eq!(state("rx-lro"), Some(Feature { on: false, fixed }));
        assert!(!state("rx-gro").unwrap().fixed);
        assert_eq!(feature("lo", "no-such-feature").unwrap(), None);
        assert!(feature("no-such-card", "rx-lro").is_err());
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        for name in [
            "no-such-card",
            "a-name-that-is-far-too-long-for-linux",
            "a\0b",
            "",
        ] {
            assert!(channels(name).is_err() && flow_hash(name, Flow::Udp6).is_err());
            assert!(coalescing(name).is_err() && stamping(name).is_err());
        }
    }
}
