//! Lines about chronyc's access.

use super::After;
use crate::config::CommandConfig;
use crate::server::{AccessRule, RateLimit};

pub(super) fn lines(config: &CommandConfig, lines: &mut Vec<String>) {
    let CommandConfig {
        port,
        addresses,
        path,
        device,
        access,
        rate_limit,
        open,
    } = config;
    lines.extend(port.map(|port| format!("cmdport {port}")));
    let addresses = addresses.iter();
    lines.extend(addresses.map(|address| format!("bindcmdaddress {address}")));
    let path = path.as_ref().map(|path| path.display().to_string());
    lines.push(format!("bindcmdaddress {}", path.as_deref().unwrap_or("/")));
    lines.extend(
        device
            .iter()
            .map(|device| format!("bindcmddevice {device}")),
    );
    for AccessRule { subnet, allow, all } in access {
        let name = if *allow { "cmdallow" } else { "cmddeny" };
        let all = if *all { " all" } else { "" };
        lines.push(format!("{name}{all}{}", After(subnet)));
    }
    if let Some(limit) = rate_limit {
        let RateLimit {
            interval_log2,
            burst,
            leak_log2,
            kod_log2: _,
        } = limit;
        lines.push(format!(
            "cmdratelimit interval {interval_log2} burst {burst} leak {leak_log2}"
        ));
    }
    let words = open.iter().map(|word| format!(" {word}"));
    lines.push(format!("opencommands{}", words.collect::<String>()));
}
