//! `allow`, `deny` and what is written like them (chrony.conf(5), `allow`).

use core::net::{IpAddr, Ipv4Addr};

use crate::config::arguments::Arguments;
use crate::config::error::At;
use crate::server::Subnet;

/// Whom an access line is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Who {
    /// A range of addresses.
    Subnet(Subnet),
    /// A host, all of whose addresses count; its name is looked up once, when the file is read.
    Host(String),
}

/// `[all] [SUBNET]`: whether the word `all` is there, and whom the line is about.
pub(super) fn line(arguments: &mut Arguments<'_>) -> Result<(bool, Who), At> {
    let all = arguments.exactly("all");
    if arguments.is_empty() {
        return Ok((all, Who::Subnet(Subnet::Any)));
    }
    let who = arguments.take("all, a subnet or a host", who)?;
    Ok((all, who))
}

/// One address, subnet or host.
pub(super) fn who(word: &str) -> Option<Who> {
    if let Some(subnet) = subnet(word) {
        return Some(Who::Subnet(subnet));
    }
    // What cannot be a host's name is a subnet with a slip in it.
    let label = |label: &str| !label.is_empty() && !label.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = word
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let last = word.trim_end_matches('.').rsplit('.').next()?;
    (is_name && label(last)).then(|| Who::Host(word.to_owned()))
}

/// `a.b.c.d`, `a.b.c`, `a.b`, `a` (whose missing parts are free), an IPv6 address; each may have `/n`. `None`: another form.
pub fn subnet(word: &str) -> Option<Subnet> {
    let (address, length) = match word.split_once('/') {
        Some((address, length)) => (address, Some(length.parse().ok()?)),
        None => (word, None),
    };
    if let Ok(address) = address.parse::<IpAddr>() {
        let full = if address.is_ipv4() { 32 } else { 128 };
        return Subnet::new(address, length.unwrap_or(full));
    }
    let mut octets = [0; 4];
    let mut implied = 0;
    for (at, part) in address.split('.').enumerate() {
        *octets.get_mut(at)? = part.parse().ok()?;
        implied += 8;
    }
    Subnet::new(
        IpAddr::V4(Ipv4Addr::from(octets)),
        length.unwrap_or(implied),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(address: [u8; 4], length: u8) -> Option<Who> {
        Subnet::new(address.into(), length).map(Who::Subnet)
    }

    #[test]
    fn every_form_of_a_subnet() {
        assert_eq!(who("1.2.3.4"), v4([1, 2, 3, 4], 32));
        assert_eq!(who("1.2.3.4/16"), v4([1, 2, 0, 0], 16));
        assert_eq!(who("1.2.3"), v4([1, 2, 3, 0], 24));
        assert_eq!(who("1.2"), v4([1, 2, 0, 0], 16));
        assert_eq!(who("10"), v4([10, 0, 0, 0], 8));
        assert_eq!(who("0/0"), v4([0; 4], 0));
        let v6 = Subnet::new("2001:db8::".parse().unwrap(), 32).map(Who::Subnet);
        assert_eq!(who("2001:db8::1/32"), v6);
        assert_eq!(
            who("::/0"),
            Subnet::new("::".parse().unwrap(), 0).map(Who::Subnet)
        );
    }

    #[test]
    fn a_slip_is_not_a_name() {
        for slip in [
            "1.2.3.4/33",
            "1.2.3.400",
            "1.2.3.4.5",
            "::/129",
            "300",
            "a/8",
            "a b",
            ".",
        ] {
            assert_eq!(who(slip), None, "{slip}");
        }
        assert_eq!(
            who("ntp-1.example.net"),
            Some(Who::Host("ntp-1.example.net".to_owned()))
        );
    }
}
