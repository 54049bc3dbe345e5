//! The key file, from the disk into a store.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::auth::{self, Key};
use crate::config::keyfile;

/// Loads what loads, and says what came of it. chrony's rule: nothing about a key file is fatal.
pub(super) fn load_and_tell(file: &Path) -> Vec<Key> {
    let (keys, warnings) = load(file);
    for warning in warnings {
        log::warn!("{warning}");
    }
    let hardware = if auth::hardware_accelerated() {
        "with"
    } else {
        "without"
    };
    log::info!(
        "loaded {} symmetric keys; AES {hardware} the processor's instructions",
        keys.len()
    );
    keys
}

/// Loads what loads; the rest are warnings for people, each with file and line.
pub(super) fn load(path: &Path) -> (Vec<Key>, Vec<String>) {
    let place = path.display();
    let (text, mode) = match read(path) {
        Ok(read) => read,
        Err(error) => {
            let warning =
                format!("{place}: {error}: no key is loaded, so no signed request is answered");
            return (Vec::new(), vec![warning]);
        }
    };
    let (keys, problems) = keyfile::keys(&text);
    let mode = keyfile::mode_warning(mode).map(|warning| format!("{place}: {warning}"));
    let lines = problems.iter().map(|warning| format!("{place}: {warning}"));
    (keys, mode.into_iter().chain(lines).collect())
}

fn read(path: &Path) -> io::Result<(Zeroizing<Vec<u8>>, u32)> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    // Room for all of it at once: a vector that grows leaves copies of the secrets behind.
    let len = usize::try_from(metadata.len()).unwrap_or(0);
    let mut text = Zeroizing::new(Vec::with_capacity(len + 1));
    file.read_to_end(&mut text)?;
    Ok((text, metadata.mode()))
}
