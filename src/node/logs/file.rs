//! A log's file: opened late, appended to, given up quietly.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::Log;

/// One file and how it stands.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    log: Log,
    banner_lines: u32,
    file: Option<File>,
    /// Lines since the last banner.
    lines: u32,
    /// A line was cut off; the next one is not to stand behind it.
    is_torn: bool,
    /// It was told of.
    has_failed: bool,
}

impl LogFile {
    pub(super) fn new(directory: &Path, log: Log, banner_lines: u32) -> Self {
        Self {
            path: directory.join(log.name).with_extension("log"),
            log,
            banner_lines,
            file: None,
            lines: 0,
            is_torn: false,
            has_failed: false,
        }
    }

    /// Adds a line, and a banner above it where it is due.
    pub(super) fn append(&mut self, line: &str) {
        if let Err(error) = self.try_append(line) {
            if !self.has_failed {
                log::warn!("{}: {error}", self.path.display());
            }
            self.has_failed = true;
        }
    }

    /// The next line is written into the file that has the name then, under a banner.
    pub(super) fn close(&mut self) {
        self.file = None;
        self.lines = 0;
        self.is_torn = false;
        self.has_failed = false;
    }

    fn try_append(&mut self, line: &str) -> io::Result<()> {
        let mut text = String::new();
        if self.is_torn {
            text.push('\n');
        }
        if self.banner_lines > 0 && self.lines.is_multiple_of(self.banner_lines) {
            let rule = "=".repeat(self.log.banner.len());
            text += &format!("{rule}\n{}\n{rule}\n", self.log.banner);
        }
        text += line;
        text.push('\n');
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            self.file = Some(options.create(true).append(true).open(&self.path)?);
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        self.is_torn = true;
        // All at once, so that whoever follows the file meets whole lines.
        file.write_all(text.as_bytes())?;
        self.is_torn = false;
        self.lines = self.lines.wrapping_add(1) % self.banner_lines.max(1);
        Ok(())
    }
}

/// Makes `logdir` where it is not there; where it cannot, opening the files will tell.
pub(super) fn make_directory(directory: &Path) {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o750).create(directory);
    if let Err(error) = made {
        log::warn!("{}: {error}", directory.display());
    }
}
