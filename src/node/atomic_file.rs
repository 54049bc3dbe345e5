//! Files that are the old one or the new one at each moment, also when the power goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Puts `text` in the place of a file: written beside it as `NAME.tmp`, brought to the disk, renamed.
///
/// The new one has the old one's permissions, and its owner where we may give files away; without an old one it is
/// readable by all and ours. A leftover `.tmp` is replaced, whatever it is; what a symbolic link points to is not
/// touched.
///
/// # Errors
/// The system's reason. The old file then is as it was, and no `.tmp` is left.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = beside(path);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write(&temporary, fs::metadata(path).ok(), text)
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell of.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    // Without it the new name may be lost, but never half of the file.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let _ = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
    Ok(())
}

fn write(temporary: &Path, old: Option<fs::Metadata>, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // New, so that it is no link that somebody has laid there.
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(temporary)?;
    if let Some(old) = old {
        // Only root may give a file away; the owner matters to nobody who reads it.
        let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
        file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o777))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

const MODE: u32 = 0o644;

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let name = format!("maser-atomic-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn the_new_file_is_as_the_old_one() {
        let folder = folder("kept");
        let path = folder.join("drift");
        replace(&path, "one\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        // Who is not root can give nothing away.
        let given = std::os::unix::fs::chown(&path, Some(7), Some(8)).is_ok();
        let old = File::open(&path).unwrap();
        replace(&path, "two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(mode(&path), 0o640);
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()) == (7, 8), given);
        // Another file has taken its place: who has the old one open still reads it.
        assert_ne!(old.metadata().unwrap().ino(), metadata.ino());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let folder = folder("link");
        let (path, precious) = (folder.join("drift"), folder.join("precious"));
        fs::write(&precious, "precious").unwrap();
        std::os::unix::fs::symlink(&precious, folder.join("drift.tmp")).unwrap();
        replace(&path, "one\n").unwrap();
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_fails_leaves_the_old_file() {
        let folder = folder("failed");
        let path = folder.join("drift");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, "one\n").is_err(), "a folder has the name");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert!(replace(&folder.join("absent/drift"), "one\n").is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
