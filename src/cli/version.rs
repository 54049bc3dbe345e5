//! What this build is and what the machine gives it.

/// The text of `--version`: the name and version alone on the first line.
pub(super) fn text() -> String {
    let lines = [
        format!("maser {}", env!("CARGO_PKG_VERSION")),
        format!("key types: {}", key_types()),
        format!("AES-CMAC: {}", aes()),
    ];
    lines.join("\n") + "\n"
}

fn key_types() -> String {
    let supported = crate::auth::KeyType::ALL
        .into_iter()
        .filter(|key_type| key_type.is_supported())
        .map(crate::auth::KeyType::name);
    supported.collect::<Vec<_>>().join(" ")
}

fn aes() -> &'static str {
    if crate::auth::hardware_accelerated() {
        "AES in hardware"
    } else {
        "AES in software"
    }
}
