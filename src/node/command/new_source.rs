//! `add server`, `add peer`, `add pool`: from the request to what a line of configuration says.

use crate::client::{Family, PoolSize, Role, SourceOptions};
use crate::control::{NewSource, SOURCE_FLAGS, Status};
use crate::discipline::SourceSpec;
use crate::wire::KeyId;

/// The line that the request stands for.
///
/// # Errors
/// A value that no line can have, or an option that we do not have.
pub(in crate::node) fn source_spec(new: &NewSource) -> Result<SourceSpec, Status> {
    let (role, size) = match new.kind {
        SERVER => (Role::Client, PoolSize::One),
        PEER => (Role::Peer, PoolSize::One),
        POOL => (Role::Client, PoolSize::AtMost(number(new.sources_max)?)),
        _ => return Err(Status::Invalid),
    };
    if new.name.is_empty() || new.name.contains(char::is_whitespace) {
        return Err(Status::BadName);
    }
    if has(new, "nts") {
        log::warn!(
            "add: {}: maser cannot authenticate a source with NTS yet; use key ID with an AES128 key",
            new.name
        );
        return Err(Status::Failed);
    }
    Ok(SourceSpec {
        host: new.name.clone(),
        role,
        size,
        options: options(new)?,
    })
}

fn options(new: &NewSource) -> Result<SourceOptions, Status> {
    let family = match (has(new, "ipv4"), has(new, "ipv6")) {
        (true, false) => Some(Family::V4),
        (false, true) => Some(Family::V6),
        _ => None,
    };
    Ok(SourceOptions {
        min_poll: Some(number(new.min_poll)?),
        max_poll: Some(number(new.max_poll)?),
        iburst: has(new, "iburst"),
        burst: has(new, "burst"),
        key: (new.key != 0).then_some(KeyId(new.key)),
        max_delay_s: new.max_delay_s,
        max_delay_ratio: (new.max_delay_ratio > 0.0).then_some(new.max_delay_ratio),
        max_delay_dev_ratio: new.max_delay_dev_ratio,
        max_delay_quantile: (new.max_delay_quantile > 0.0).then_some(new.max_delay_quantile),
        min_delay_s: (new.min_delay_s > 0.0).then_some(new.min_delay_s),
        asymmetry: (new.asymmetry.abs() <= 0.5).then_some(new.asymmetry),
        offset_s: new.offset_s,
        min_samples: usize::try_from(new.samples_min).ok(),
        max_samples: usize::try_from(new.samples_max).ok(),
        max_unreach: match new.max_unreach {
            0 => SourceOptions::default().max_unreach,
            given => given,
        },
        filter: number(new.filter.max(0))?,
        offline: !has(new, "online"),
        auto_offline: has(new, "auto_offline"),
        prefer: has(new, "prefer"),
        noselect: has(new, "noselect"),
        trust: has(new, "trust"),
        require: has(new, "require"),
        xleave: has(new, "xleave"),
        poll_target: new.poll_target,
        port: number(new.port)?,
        presend: i8::try_from(new.presend).ok().filter(|poll| *poll < NEVER),
        min_stratum: number(new.min_stratum)?,
        version: match new.version {
            0 => None,
            version @ 1..=4 => Some(number(version)?),
            _ => return Err(Status::Invalid),
        },
        copy: has(new, "copy"),
        family,
    })
}

fn has(new: &NewSource, flag: &str) -> bool {
    let place = SOURCE_FLAGS.iter().position(|name| *name == flag);
    place.is_some_and(|place| new.flags >> place & 1 == 1)
}

fn number<T, N: TryFrom<T>>(value: T) -> Result<N, Status> {
    N::try_from(value).map_err(|_| Status::Invalid)
}

const SERVER: u32 = 1;
const PEER: u32 = 2;
const POOL: u32 = 3;
/// A poll interval that is not reached: chronyc's for no `presend`.
const NEVER: i8 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> NewSource {
        NewSource {
            kind: SERVER,
            name: "ntp.example".to_owned(),
            port: 123,
            min_poll: 6,
            max_poll: 10,
            presend: 100,
            poll_target: 8,
            samples_min: -1,
            samples_max: -1,
            asymmetry: 1.0,
            max_delay_s: 3.0,
            max_delay_dev_ratio: 10.0,
            flags: 1,
            ..NewSource::default()
        }
    }

    #[test]
    fn what_chronyc_sends_of_a_bare_line_is_what_the_configuration_makes_of_it() {
        let spec = source_spec(&new()).unwrap();
        let bare = SourceOptions {
            min_poll: Some(6),
            max_poll: Some(10),
            ..SourceOptions::default()
        };
        assert_eq!(spec.options, bare);
        assert_eq!((spec.role, spec.size), (Role::Client, PoolSize::One));
    }

    #[test]
    fn what_no_line_has_is_refused() {
        let wrong = |change: fn(&mut NewSource)| {
            let mut new = new();
            change(&mut new);
            source_spec(&new).map(drop)
        };
        assert_eq!(wrong(|new| new.kind = 4), Err(Status::Invalid));
        assert_eq!(wrong(|new| new.name = String::new()), Err(Status::BadName));
        assert_eq!(wrong(|new| new.port = 70_000), Err(Status::Invalid));
        assert_eq!(wrong(|new| new.version = 5), Err(Status::Invalid));
        assert_eq!(wrong(|new| new.flags |= 1 << 9), Err(Status::Failed));
        assert_eq!(wrong(|new| new.flags = 0), Ok(()));
    }
}
