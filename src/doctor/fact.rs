//! Facts read from files, or why they are not known.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Something read, or why it could not be.
pub type Fact<T> = Result<T, Unknown>;

/// Why something is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// There is no such file.
    #[error("there is no /{path}")]
    Missing {
        /// Without the leading slash.
        path: String,
    },
    /// There is one, but it cannot be read.
    #[error("/{path}: {why}")]
    Unreadable {
        /// Without the leading slash.
        path: String,
        /// The system's reason.
        why: String,
    },
    /// What stands in it is not what Linux writes there.
    #[error("/{path} says {text:?}")]
    Strange {
        /// Without the leading slash.
        path: String,
        /// The beginning of it.
        text: String,
    },
    /// The kernel was asked and did not say.
    #[error("{0}")]
    NotSaid(String),
}

impl Unknown {
    /// Whether there is no such thing here, as opposed to one that cannot be looked at.
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    fn new(path: &str, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing { path },
            _ => Self::Unreadable {
                path,
                why: error.to_string(),
            },
        }
    }

    /// What a file says is not what it should be.
    pub(super) fn strange(path: &str, text: &str) -> Self {
        Self::Strange {
            path: path.to_owned(),
            text: text.chars().take(80).collect(),
        }
    }
}

/// Where a machine's `/proc` and `/sys` are.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// Below `path`; `/` is this machine.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// A file's text without the space around it. `path` has no leading slash.
    ///
    /// # Errors
    /// The file is not there or cannot be read.
    pub fn text(&self, path: &str) -> Fact<String> {
        let bytes = fs::read(self.0.join(path)).map_err(|error| Unknown::new(path, &error))?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// A file that holds one number.
    ///
    /// # Errors
    /// As [`text`](Self::text), or it holds something else.
    pub fn number<T: FromStr>(&self, path: &str) -> Fact<T> {
        let text = self.text(path)?;
        text.parse().map_err(|_| Unknown::strange(path, &text))
    }

    /// The names in a folder, in order; none where there is no folder.
    pub fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(path)).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    }

    /// Whether there is such a file or folder.
    pub fn has(&self, path: &str) -> bool {
        self.0.join(path).exists()
    }

    /// Where a link leads, as it is written.
    pub fn link(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.0.join(path)).ok()?;
        Some(target.to_string_lossy().into_owned())
    }

    /// The last part of where a link leads.
    pub fn link_name(&self, path: &str) -> Option<String> {
        let target = self.link(path)?;
        Some(target.rsplit('/').next()?.to_owned())
    }
}
