//! Where log lines leave the program.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use log::Level;

use super::LogPlace;
use crate::node::calendar::date_and_time;
use crate::sys::clock;

/// An open place for lines.
#[derive(Debug)]
pub(super) enum Outlet {
    /// Somebody looks, or a program that keeps lines as they are.
    Stderr,
    /// The journal of systemd.
    Journal,
    File(PathBuf, File),
    Syslog(Syslog),
}

/// A connection to the system's logger, which may be started anew at any time.
#[derive(Debug)]
pub(super) struct Syslog {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Outlet {
    pub(super) fn open(place: &LogPlace) -> io::Result<Self> {
        Ok(match place {
            LogPlace::Stderr if is_journal() => Self::Journal,
            LogPlace::Stderr => Self::Stderr,
            LogPlace::File(path) => Self::File(path.clone(), append(path)?),
            LogPlace::Syslog(path) => Self::Syslog(Syslog {
                path: path.clone(),
                socket: Some(connect(path)?),
            }),
        })
    }

    /// Opens a file anew, by its name.
    pub(super) fn reopen(&mut self) {
        if let Self::File(path, file) = self
            && let Ok(new) = append(path)
        {
            *file = new;
        }
    }

    /// A log that cannot be written has nobody to tell.
    pub(super) fn write(&mut self, level: Level, text: &str) {
        let text = one_line(text);
        let _ = match self {
            Self::Stderr => io::stderr().write_all(dated(level, &text).as_bytes()),
            Self::Journal => {
                let line = format!("<{}>{text}\n", severity(level));
                io::stderr().write_all(line.as_bytes())
            }
            Self::File(_, file) => file.write_all(dated(level, &text).as_bytes()),
            Self::Syslog(syslog) => syslog.write(level, &text),
        };
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Syslog {
    fn write(&mut self, level: Level, text: &str) -> io::Result<()> {
        let priority = FACILITY_DAEMON << 3 | severity(level);
        let packet = format!("<{priority}>maser[{}]: {text}", std::process::id());
        if let Some(socket) = &self.socket
            && let Ok(_) = socket.send(packet.as_bytes())
        {
            return Ok(());
        }
        self.socket = connect(&self.path).ok();
        if let Some(socket) = &self.socket {
            socket.send(packet.as_bytes())?;
        }
        Ok(())
    }
}

/// A logger that does not read must not hold the program up.
fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

/// Whether what is written to stderr goes to the journal: systemd names device and inode of its end in `JOURNAL_STREAM`
/// (systemd.exec(5)). A child's stderr may be another by now.
fn is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let opened = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    opened
        .and_then(|stderr| stderr.metadata())
        .is_ok_and(|metadata| named == format!("{}:{}", metadata.dev(), metadata.ino()))
}

fn dated(level: Level, text: &str) -> String {
    let kind = match level {
        Level::Error => "error: ",
        Level::Warn => "warning: ",
        _ => "",
    };
    format!("{} {kind}{text}\n", utc(clock::realtime().secs))
}

/// `YYYY-MM-DDTHH:MM:SSZ` of Unix seconds.
fn utc(unix_s: i64) -> String {
    let (date, time) = date_and_time(unix_s);
    format!("{date}T{time}Z")
}

/// The numbers of syslog(3).
const fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// A name or an error may come from elsewhere: it must not look like a line of its own, or steer a terminal.
fn one_line(text: &str) -> String {
    text.trim_end()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

const FACILITY_DAEMON: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_time_is_in_the_form_of_iso_8601() {
        assert_eq!(utc(1_709_251_199), "2024-02-29T23:59:59Z");
    }

    #[test]
    fn one_message_is_one_line() {
        assert_eq!(one_line("a\nb\x1b[2J\n"), "a b [2J");
    }

    #[test]
    fn a_file_that_was_renamed_is_begun_anew() {
        let path = std::env::temp_dir().join(format!("maser-log-{}", std::process::id()));
        let other = path.with_extension("old");
        let mut outlet = Outlet::open(&LogPlace::File(path.clone())).expect("ours");
        outlet.write(Level::Error, "one");
        std::fs::rename(&path, &other).expect("ours");
        outlet.write(Level::Info, "two");
        outlet.reopen();
        outlet.write(Level::Info, "three");
        let read = |path: &Path| std::fs::read_to_string(path).expect("it is there");
        let (old, new) = (read(&other), read(&path));
        assert!(old.contains("error: one") && old.contains(" two"), "{old}");
        assert!(
            new.ends_with("Z three\n") && new.lines().count() == 1,
            "{new}"
        );
        for path in [path, other] {
            std::fs::remove_file(path).expect("ours");
        }
    }

    #[test]
    fn a_logger_that_is_started_anew_gets_the_next_line() {
        let name = format!("maser-syslog-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let bind = || {
            let _ = std::fs::remove_file(&path);
            let logger = UnixDatagram::bind(&path).expect("our folder");
            let patience = Some(Duration::from_secs(5));
            logger.set_read_timeout(patience).expect("not zero");
            logger
        };
        let said = |logger: &UnixDatagram| {
            let mut packet = [0; 200];
            let len = logger.recv(&mut packet).expect("a line");
            String::from_utf8_lossy(&packet[..len]).into_owned()
        };
        let place = LogPlace::Syslog(path.clone());
        assert!(Outlet::open(&place).is_err());
        let logger = bind();
        let mut outlet = Outlet::open(&place).expect("it is there");
        outlet.write(Level::Warn, "one");
        assert_eq!(
            said(&logger),
            format!("<28>maser[{}]: one", std::process::id())
        );
        drop(logger);
        outlet.write(Level::Warn, "nobody hears this");
        let logger = bind();
        outlet.write(Level::Error, "two\nin one");
        let pid = std::process::id();
        assert_eq!(said(&logger), format!("<27>maser[{pid}]: two in one"));
        let _ = std::fs::remove_file(&path);
    }
}
