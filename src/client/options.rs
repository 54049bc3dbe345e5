//! What a `server`, `pool` or `peer` line says of a source (chrony.conf(5), "Time sources").

use crate::wire::KeyId;

/// The shortest poll interval when the line names none, log2 of seconds.
pub const MIN_POLL_DEFAULT: i8 = 6;
/// The longest poll interval when the line names none, log2 of seconds.
pub const MAX_POLL_DEFAULT: i8 = 10;
/// NTP's port.
pub const PORT_DEFAULT: u16 = 123;

/// All options of a source but its name, with chrony's defaults.
///
/// Seconds are floats; poll intervals are log2 of seconds, -7 to 24. `nts`, `ntsport`, `certset` are not here, nor
/// is `extfield`, whose fields are experimental (F323) or of PTP's transport (10A).
#[derive(Clone, Debug, PartialEq)]
pub struct SourceOptions {
    /// `minpoll`
    pub min_poll: Option<i8>,
    /// `maxpoll`
    pub max_poll: Option<i8>,
    /// `iburst`: the first requests follow each other quickly.
    pub iburst: bool,
    /// `burst`: at each poll up to four requests, until one has a good reply.
    pub burst: bool,
    /// `key`: requests and replies carry a MAC by this key.
    pub key: Option<KeyId>,
    /// `maxdelay`, test A.
    pub max_delay_s: f64,
    /// `maxdelayratio`, test B; off by default.
    pub max_delay_ratio: Option<f64>,
    /// `maxdelaydevratio`, test C.
    pub max_delay_dev_ratio: f64,
    /// `maxdelayquant`, 0.05 to 0.95: takes the place of `maxdelaydevratio` in test C.
    pub max_delay_quantile: Option<f64>,
    /// `mindelay`: the least delay of the path, where it is not to be measured.
    pub min_delay_s: Option<f64>,
    /// `asymmetry`, -0.5 to 0.5: of the path's jitter; measured where it is `None`.
    pub asymmetry: Option<f64>,
    /// `offset`: added to each measured offset.
    pub offset_s: f64,
    /// `minsamples`; the global value where it is `None`.
    pub min_samples: Option<usize>,
    /// `maxsamples`; the global value where it is `None`, no limit where it is 0.
    pub max_samples: Option<usize>,
    /// `maxunreach`: polls for which an unreachable source may still be selected.
    pub max_unreach: u32,
    /// `filter`: so many measurements become one sample; off where it is 0 or 1.
    pub filter: usize,
    /// `offline`: no requests until it is told to be online.
    pub offline: bool,
    /// `auto_offline`: a request that cannot be sent takes the source offline.
    pub auto_offline: bool,
    /// `prefer`
    pub prefer: bool,
    /// `noselect`
    pub noselect: bool,
    /// `trust`
    pub trust: bool,
    /// `require`
    pub require: bool,
    /// `xleave`: interleaved mode (RFC 9769) where the source speaks it.
    pub xleave: bool,
    /// `polltarget`: the number of samples the poll interval aims at.
    pub poll_target: u32,
    /// `port`
    pub port: u16,
    /// `presend`: from this poll interval on, a request 4 s ahead wakes the path.
    pub presend: Option<i8>,
    /// `minstratum`: a lower one is taken for this.
    pub min_stratum: u8,
    /// `version`, 1 to 4; by default 4, and 3 where the key's digest is longer than 20 bytes.
    pub version: Option<u8>,
    /// `copy`: its stratum and reference id become ours unchanged.
    pub copy: bool,
    /// `ipv4` or `ipv6`: addresses of this family only.
    pub family: Option<Family>,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `ipv4`
    V4,
    /// `ipv6`
    V6,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            min_poll: None,
            max_poll: None,
            iburst: false,
            burst: false,
            key: None,
            max_delay_s: 3.0,
            max_delay_ratio: None,
            max_delay_dev_ratio: 10.0,
            max_delay_quantile: None,
            min_delay_s: None,
            asymmetry: None,
            offset_s: 0.0,
            min_samples: None,
            max_samples: None,
            max_unreach: 100_000,
            filter: 0,
            offline: false,
            auto_offline: false,
            prefer: false,
            noselect: false,
            trust: false,
            require: false,
            xleave: false,
            poll_target: 8,
            port: PORT_DEFAULT,
            presend: None,
            min_stratum: 0,
            version: None,
            copy: false,
            family: None,
        }
    }
}

impl SourceOptions {
    /// The shortest and the longest poll interval. What the line names moves a default out of its way; of two that
    /// contradict each other the shortest holds.
    pub fn poll_range(&self) -> (i8, i8) {
        let (min, max) = match (self.min_poll, self.max_poll) {
            (Some(min), Some(max)) => (min, max),
            (Some(min), None) => (min, MAX_POLL_DEFAULT),
            (None, Some(max)) => (max.min(MIN_POLL_DEFAULT), max),
            (None, None) => (MIN_POLL_DEFAULT, MAX_POLL_DEFAULT),
        };
        (min, max.max(min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_moves_a_default() {
        let range = |min_poll, max_poll| {
            let options = SourceOptions {
                min_poll,
                max_poll,
                ..SourceOptions::default()
            };
            options.poll_range()
        };
        assert_eq!(range(None, None), (6, 10));
        assert_eq!(range(Some(-4), None), (-4, 10));
        assert_eq!(range(Some(12), None), (12, 12));
        assert_eq!(range(None, Some(4)), (4, 4));
        assert_eq!(range(None, Some(17)), (6, 17));
        assert_eq!(range(Some(8), Some(3)), (8, 8));
    }
}
