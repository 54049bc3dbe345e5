//! Which kinds of request are sent, and in which shares.

use std::fmt;
use std::str::FromStr;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// 48 bytes, no MAC.
    Basic,
    /// With the MAC of a key both sides have.
    Signed,
    /// 48 bytes of a client in interleaved mode (RFC 9769).
    Interleaved,
    /// With an extension field that nobody knows (RFC 7822), which a server is to pass over; version 4.
    Extension,
    /// Hostile: a length that no request has.
    Malformed,
    /// Hostile: a known key, and a MAC of chance.
    BadMac,
    /// Hostile: a key identifier the server should not know.
    UnknownKey,
    /// Hostile: the same signed request, again and again.
    Replay,
    /// Hostile: from an address that is not the sender's.
    Spoofed,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Basic,
        Self::Signed,
        Self::Interleaved,
        Self::Extension,
        Self::Malformed,
        Self::BadMac,
        Self::UnknownKey,
        Self::Replay,
        Self::Spoofed,
    ];

    /// Its name in `--mix` and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Signed => "signed",
            Self::Interleaved => "interleaved",
            Self::Extension => "extension",
            Self::Malformed => "malformed",
            Self::BadMac => "badmac",
            Self::UnknownKey => "unknownkey",
            Self::Replay => "replay",
            Self::Spoofed => "spoofed",
        }
    }

    /// Whether a server owes it an answer, so that none is a loss.
    pub const fn is_honest(self) -> bool {
        matches!(
            self,
            Self::Basic | Self::Signed | Self::Interleaved | Self::Extension
        )
    }

    /// Whether it takes a key to make one.
    pub const fn needs_key(self) -> bool {
        matches!(self, Self::Signed | Self::BadMac | Self::Replay)
    }
}

/// Shares of kinds, as whole numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    shares: [u32; Kind::ALL.len()],
}

impl Mix {
    /// One kind alone.
    pub fn only(kind: Kind) -> Self {
        let mut shares = [0; Kind::ALL.len()];
        shares[kind as usize] = 1;
        Self { shares }
    }

    /// Whether any of a kind is sent.
    pub const fn has(&self, kind: Kind) -> bool {
        self.shares[kind as usize] > 0
    }

    /// A cycle of kinds with these shares, each spread as evenly as whole numbers allow.
    pub(super) fn cycle(&self) -> Box<[Kind]> {
        let divisor = self
            .shares
            .iter()
            .fold(0, |divisor, share| common_divisor(divisor, *share))
            .max(1);
        let shares = self.shares.map(|share| share / divisor);
        let length: u32 = shares.iter().sum();
        let mut owed = [0i64; Kind::ALL.len()];
        let kinds = (0..length).map(|_| {
            for (owed, share) in owed.iter_mut().zip(shares) {
                *owed += i64::from(share);
            }
            let most = (0..Kind::ALL.len())
                .max_by_key(|at| (owed[*at], usize::MAX - at))
                .unwrap_or(0);
            owed[most] -= i64::from(length);
            Kind::ALL[most]
        });
        kinds.collect()
    }
}

const fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// `--mix` does not say a mix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected KIND=SHARE, of {Names}, separated by commas; found {0:?}")]
pub struct BadMix(String);

struct Names;

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Kind::ALL.map(Kind::name).join(", "))
    }
}

impl FromStr for Mix {
    type Err = BadMix;

    /// `basic=70,signed=30`
    fn from_str(text: &str) -> Result<Self, BadMix> {
        let mut shares = [0; Kind::ALL.len()];
        for part in text.split(',') {
            let bad = || BadMix(part.to_owned());
            let (name, share) = part.split_once('=').ok_or_else(bad)?;
            let kind = Kind::ALL
                .into_iter()
                .find(|kind| kind.name() == name)
                .ok_or_else(bad)?;
            let share: u16 = share.parse().map_err(|_| bad())?;
            shares[kind as usize] = u32::from(share);
        }
        if shares == [0; Kind::ALL.len()] {
            return Err(BadMix(text.to_owned()));
        }
        Ok(Self { shares })
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = Kind::ALL.into_iter().filter(|kind| self.has(*kind));
        let parts: Vec<_> = parts
            .map(|kind| format!("{}={}", kind.name(), self.shares[kind as usize]))
            .collect();
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept_and_spread() {
        let mix: Mix = "basic=70,signed=30".parse().unwrap();
        let cycle = mix.cycle();
        assert_eq!(cycle.len(), 10);
        assert_eq!(
            cycle.iter().filter(|kind| **kind == Kind::Signed).count(),
            3
        );
        // Never two of the rarer kind in a row.
        assert!(
            cycle
                .windows(2)
                .all(|pair| pair != [Kind::Signed, Kind::Signed])
        );
        assert_eq!(mix.to_string(), "basic=70,signed=30");
    }

    #[test]
    fn what_is_no_mix_is_said() {
        for text in ["", "basic", "basic=x", "bassic=1", "basic=0", "basic=1,"] {
            let error = text.parse::<Mix>().unwrap_err().to_string();
            assert!(error.contains("unknownkey"), "{error}");
        }
    }
}
