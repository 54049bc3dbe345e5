//! Where log lines go: stderr, the journal behind it, a file, or syslog.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use log::Level;

/// Where log lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogTarget {
    /// stderr; the journal, where that is what stderr leads to.
    #[default]
    Stderr,
    /// `-l`
    File(PathBuf),
    /// `--syslog`
    Syslog,
}

/// An open one.
#[derive(Debug)]
pub(super) enum Output {
    Stderr,
    /// stderr leads to systemd's journal, which notes the time and takes the level from the line (sd-daemon(3)).
    Journal,
    File(PathBuf, File),
    Syslog(UnixDatagram),
}

impl Output {
    /// # Errors
    /// The file cannot be opened for appending, or nobody takes messages for syslog.
    pub(super) fn open(target: &LogTarget) -> io::Result<Self> {
        match target {
            LogTarget::Stderr if is_journal() => Ok(Self::Journal),
            LogTarget::Stderr => Ok(Self::Stderr),
            LogTarget::File(path) => Ok(Self::File(path.clone(), append(path)?)),
            LogTarget::Syslog => Self::syslog(Path::new(SYSLOG)),
        }
    }

    fn syslog(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        // A log that is stuck must not stop the clock.
        socket.set_nonblocking(true)?;
        Ok(Self::Syslog(socket))
    }

    /// Opens a file anew, which may have been renamed.
    pub(super) fn reopen(&mut self) {
        if let Self::File(path, file) = self
            && let Ok(new) = append(path)
        {
            *file = new;
        }
    }

    /// Writes a line. One that cannot be written has nobody to tell.
    pub(super) fn write(&mut self, level: Level, time: &str, text: &str) {
        let kind = match level {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            _ => "",
        };
        let severity = severity(level);
        let _ = match self {
            Self::Stderr => io::stderr().write_all(format!("{time} {kind}{text}\n").as_bytes()),
            Self::Journal => io::stderr().write_all(format!("<{severity}>{text}\n").as_bytes()),
            Self::File(_, file) => file.write_all(format!("{time} {kind}{text}\n").as_bytes()),
            Self::Syslog(socket) => {
                let priority = FACILITY_DAEMON << 3 | severity;
                let process = std::process::id();
                let message = format!("<{priority}>maser[{process}]: {text}");
                // The daemon behind the socket may have been started anew.
                let again = |_| {
                    let sent = socket.connect(SYSLOG);
                    sent.and_then(|()| socket.send(message.as_bytes()))
                };
                socket.send(message.as_bytes()).or_else(again).map(drop)
            }
        };
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Whether stderr leads to the journal: systemd says which device and inode does.
fn is_journal() -> bool {
    let Ok(wanted) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    let found = stderr.and_then(|stderr| stderr.metadata());
    found.is_ok_and(|found| wanted == format!("{}:{}", found.dev(), found.ino()))
}

/// syslog's number (RFC 5424 §6.2.1).
const fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Where messages for syslog are taken.
const SYSLOG: &str = "/dev/log";
const FACILITY_DAEMON: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_gets_priority_name_and_process() {
        let path = std::env::temp_dir().join(format!("maser-syslog-{}", std::process::id()));
        let daemon = UnixDatagram::bind(&path).expect("a socket");
        let mut output = Output::syslog(&path).expect("it is there");
        output.write(Level::Warn, "now", "the clock is late");
        output.write(Level::Info, "now", "all is well");
        let take = || {
            let mut message = [0; 200];
            let len = daemon.recv(&mut message).expect("a message");
            String::from_utf8_lossy(&message[..len]).into_owned()
        };
        let own = std::process::id();
        assert_eq!(take(), format!("<28>maser[{own}]: the clock is late"));
        assert_eq!(take(), format!("<30>maser[{own}]: all is well"));
        std::fs::remove_file(&path).expect("ours");
    }

    #[test]
    fn a_file_that_was_renamed_is_begun_anew() {
        let path = std::env::temp_dir().join(format!("maser-log-{}", std::process::id()));
        let other = path.with_extension("old");
        let mut output = Output::open(&LogTarget::File(path.clone())).expect("ours");
        output.write(Level::Error, "12:00", "one");
        std::fs::rename(&path, &other).expect("ours");
        output.write(Level::Info, "12:01", "two");
        output.reopen();
        output.write(Level::Info, "12:02", "three");
        let read = |path: &Path| std::fs::read_to_string(path).expect("it is there");
        assert_eq!(read(&other), "12:00 error: one\n12:01 two\n");
        assert_eq!(read(&path), "12:02 three\n");
        for path in [path, other] {
            std::fs::remove_file(path).expect("ours");
        }
    }
}
