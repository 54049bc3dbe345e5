//! What a network card stamps by its own clock, asked and set (Documentation/networking/timestamping.rst, §3).

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

use super::{check, ethtool, named};

/// What a card and its driver can stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CardStamping {
    /// Its clock: /dev/ptpN.
    pub clock: Option<u32>,
    /// Departures.
    pub transmit: bool,
    /// All arrivals.
    pub receive_all: bool,
    /// Arrivals of NTP.
    pub receive_ntp: bool,
    /// Arrivals of PTP.
    pub receive_ptp: bool,
}

/// Which arrivals a card stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardFilter {
    /// None.
    Nothing,
    /// All.
    All,
    /// NTP's.
    Ntp,
    /// PTP's, version 2.
    Ptp,
    /// Others.
    Other,
}

impl CardFilter {
    const fn number(self) -> libc::c_uint {
        match self {
            Self::Nothing | Self::Other => libc::HWTSTAMP_FILTER_NONE,
            Self::All => libc::HWTSTAMP_FILTER_ALL,
            Self::Ntp => libc::HWTSTAMP_FILTER_NTP_ALL,
            Self::Ptp => libc::HWTSTAMP_FILTER_PTP_V2_EVENT,
        }
    }

    const fn of(number: libc::c_uint) -> Self {
        match number {
            libc::HWTSTAMP_FILTER_NONE => Self::Nothing,
            libc::HWTSTAMP_FILTER_ALL => Self::All,
            libc::HWTSTAMP_FILTER_NTP_ALL => Self::Ntp,
            libc::HWTSTAMP_FILTER_PTP_V2_EVENT => Self::Ptp,
            _ => Self::Other,
        }
    }
}

/// What a card is told to stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardSetting {
    /// Departures that are asked for.
    pub transmit: bool,
    /// Arrivals.
    pub receive: CardFilter,
}

/// What the card of an interface can stamp.
///
/// # Errors
/// There is no such interface, or its driver does not say.
pub fn ability(interface: &str) -> io::Result<CardStamping> {
    let (stamping, transmit_kinds, receive_filters) = ethtool::stamping_in_full(interface)?;
    let receives = |filter| stamping.receive_hardware && receive_filters & (1u32 << filter) != 0;
    Ok(CardStamping {
        clock: stamping.clock,
        transmit: stamping.transmit_hardware
            && transmit_kinds & (1u32 << libc::HWTSTAMP_TX_ON) != 0,
        receive_all: receives(libc::HWTSTAMP_FILTER_ALL),
        receive_ntp: receives(libc::HWTSTAMP_FILTER_NTP_ALL),
        receive_ptp: receives(libc::HWTSTAMP_FILTER_PTP_V2_EVENT),
    })
}

/// What the card of an interface is told to stamp now (`SIOCGHWTSTAMP`).
///
/// # Errors
/// There is no such interface, or its driver does not say.
pub fn setting(interface: &str) -> io::Result<CardSetting> {
    exchange(interface, libc::SIOCGHWTSTAMP, None).map_err(named("SIOCGHWTSTAMP"))
}

/// Tells the card of an interface what to stamp (`SIOCSHWTSTAMP`); what it does then, which may be more.
///
/// # Errors
/// It cannot, or the process may not: it takes `CAP_NET_ADMIN`.
pub fn set(interface: &str, setting: CardSetting) -> io::Result<CardSetting> {
    exchange(interface, libc::SIOCSHWTSTAMP, Some(setting)).map_err(named("SIOCSHWTSTAMP"))
}

/// The number of an interface; `None`: there is none of that name.
pub fn interface_index(interface: &str) -> Option<u32> {
    let name = CString::new(interface).ok()?;
    // SAFETY: the call reads a C string that outlives it.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

fn exchange(
    interface: &str,
    request: libc::c_ulong,
    setting: Option<CardSetting>,
) -> io::Result<CardSetting> {
    let mut config = libc::hwtstamp_config {
        flags: 0,
        tx_type: setting.map_or(0, |setting| i32::from(setting.transmit)),
        rx_filter: setting.map_or(0, |setting| setting.receive.number().cast_signed()),
    };
    let mut named_request = ethtool::request(interface, (&raw mut config).cast())?;
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).map_err(named("socket"))?;
    // SAFETY: the request names an interface by a C string and points to the one structure that these two commands read
    // and write, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), request as _, &raw mut named_request) })?;
    Ok(CardSetting {
        transmit: config.tx_type.cast_unsigned() == libc::HWTSTAMP_TX_ON,
        receive: CardFilter::of(config.rx_filter.cast_unsigned()),
    })
}

const _: () = assert!(libc::HWTSTAMP_TX_ON == 1 && libc::HWTSTAMP_TX_OFF == 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_no_card() {
        let ability = ability("lo").unwrap_or_default();
        assert_eq!(ability, CardStamping::default());
        assert!(setting("lo").is_err());
        assert_eq!(interface_index("lo"), Some(1));
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        assert!(ability("nonexistent0").is_err());
        assert!(ability("a-name-that-is-far-too-long").is_err());
        assert_eq!(interface_index("nonexistent0"), None);
    }

    #[test]
    fn filters_there_and_back() {
        for filter in [
            CardFilter::Nothing,
            CardFilter::All,
            CardFilter::Ntp,
            CardFilter::Ptp,
        ] {
            assert_eq!(CardFilter::of(filter.number()), filter);
        }
        assert_eq!(CardFilter::of(6), CardFilter::Other);
    }
}
