//! The dump files of `dumpdir`: sources' samples, kept over a restart.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use super::atomic_file;
use super::logs::SourceName;
use crate::client::Dump;
use crate::sys::clock;

/// A folder with a file `ADDRESS.dat` for each server and `refid:HEX.dat` for each reference clock.
#[derive(Clone, Debug)]
pub struct DumpFiles {
    folder: PathBuf,
}

impl DumpFiles {
    /// The folder is made with the first file.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps what is known of a source, at the end or for `chronyc dump`. One without samples has no file. That it
    /// cannot be written is told.
    pub fn save(&self, source: SourceName, dump: &Dump) {
        let path = self.path(source);
        if dump.samples.is_empty() {
            return;
        }
        let written = DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&self.folder)
            .and_then(|()| atomic_file::replace(&path, &dump.format(clock::realtime().secs)));
        if let Err(error) = written {
            log::warn!("{}: {error}", path.display());
        }
    }

    /// What is kept of a source of this name (`None`: a reference clock), for `-r`.
    ///
    /// Not taken is the file of another name, which had the address before, and for a source that is asked with a key,
    /// one of samples that were not authenticated. That a file is not taken is told.
    pub fn load(
        &self,
        source: SourceName,
        name: Option<&str>,
        is_authenticated: bool,
    ) -> Option<Dump> {
        let path = self.path(source);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                log::warn!("{}: {error}", path.display());
                return None;
            }
        };
        let dump = Dump::parse(&text, clock::realtime().secs).ok();
        let dump = dump.filter(|dump| dump.name.as_deref() == name);
        let dump = dump.filter(|dump| dump.is_authenticated || !is_authenticated);
        match &dump {
            Some(_) => log::info!("Loaded dump file for {source}"),
            None => log::warn!("Could not load dump file for {source}"),
        }
        dump
    }

    /// Removes all dump files, those of other sources too: at each start, after what is loaded was loaded. Files of
    /// other names stay.
    pub fn remove_all(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return; // No folder, no files.
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(is_dump)
                && let Err(error) = fs::remove_file(entry.path())
            {
                log::warn!("{}: {error}", entry.path().display());
            }
        }
    }

    fn path(&self, source: SourceName) -> PathBuf {
        let name = match source {
            SourceName::Address(address) => address.to_string(),
            SourceName::Refclock(id) => {
                format!("{REFCLOCK}{:08x}", u32::from_be_bytes(id.to_bytes()))
            }
        };
        self.folder.join(name + END)
    }
}

fn is_dump(name: &str) -> bool {
    let source = name.strip_suffix(END);
    source.is_some_and(|source| {
        let id = source.strip_prefix(REFCLOCK);
        let is_refclock = id.is_some_and(|id| u32::from_str_radix(id, 16).is_ok());
        is_refclock || source.parse::<IpAddr>().is_ok()
    })
}

const REFCLOCK: &str = "refid:";
const END: &str = ".dat";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Sample;
    use crate::wire::{CookedTime, LeapIndicator, NtpTimestamp, ReferenceId};

    fn dump(name: Option<&str>) -> Dump {
        let sample = |age_s| Sample {
            at: CookedTime(NtpTimestamp::from_unix(
                clock::realtime().secs - age_s,
                250_000_000,
            )),
            offset_s: 1e-3,
            peer_delay_s: 1e-4,
            peer_dispersion_s: 1e-6,
            root_delay_s: 1e-4,
            root_dispersion_s: 1e-6,
            stratum: 2,
            leap: LeapIndicator::NoWarning,
        };
        Dump {
            name: name.map(str::to_owned),
            is_authenticated: false,
            reach: 0o377,
            reach_polls: 8,
            stratum: 2,
            leap: LeapIndicator::NoWarning,
            asymmetry_run: 0,
            samples: [30, 20, 10].map(sample).to_vec(),
        }
    }

    fn folder(name: &str) -> PathBuf {
        let name = format!("maser-dumps-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn what_is_saved_is_loaded_by_its_name() {
        let folder = folder("saved");
        let files = DumpFiles::new(folder.join("made"));
        let server = SourceName::Address("2001:db8::1".parse().unwrap());
        let clock = SourceName::Refclock(ReferenceId::from_bytes(*b"TST\0"));
        let (of_server, of_clock) = (dump(Some("ntp.example.net")), dump(None));
        assert_eq!(files.load(server, None, false), None);
        files.save(server, &of_server);
        files.save(clock, &of_clock);
        assert!(folder.join("made/2001:db8::1.dat").exists());
        assert!(folder.join("made/refid:54535400.dat").exists());
        let name = of_server.name.as_deref();
        assert_eq!(files.load(server, name, false), Some(of_server.clone()));
        assert_eq!(files.load(clock, None, false), Some(of_clock));
        assert_eq!(files.load(server, Some("other.example.net"), false), None);
        assert_eq!(files.load(server, name, true), None, "without a key");
        let signed = Dump {
            is_authenticated: true,
            ..of_server.clone()
        };
        files.save(server, &signed);
        assert_eq!(files.load(server, name, true), Some(signed.clone()));
        assert_eq!(files.load(server, name, false), Some(signed));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn only_dumps_are_removed() {
        let folder = folder("removed");
        let files = DumpFiles::new(folder.clone());
        files.remove_all();
        files.save(SourceName::LOCAL, &dump(Some("a")));
        let empty = Dump {
            samples: Vec::new(),
            ..dump(Some("b"))
        };
        files.save(SourceName::NONE, &empty);
        let others = [
            "drift",
            "other.dat",
            "refid:.dat",
            "refid:x.dat",
            "10.0.0.1",
        ];
        for name in others.iter().chain(&["10.0.0.1.dat", "refid:0000000a.dat"]) {
            fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), others.len() + 3);
        files.remove_all();
        for name in others {
            assert!(folder.join(name).exists(), "{name}");
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), others.len());
        fs::remove_dir_all(&folder).unwrap();
    }
}
