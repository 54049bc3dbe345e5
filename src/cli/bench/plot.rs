//! `maser bench plot`: figures of earlier runs in one picture.

use std::path::PathBuf;

use super::{Mistake, say};
use crate::bench::{json, picture};
use crate::cli::Exit;

/// Draw earlier runs' figures into one picture.
#[derive(Debug, clap::Args)]
pub(super) struct Plot {
    /// Files that maser bench --json wrote; each run in them is a curve of its own, by its label.
    #[arg(required = true, value_name = "JSON")]
    files: Vec<PathBuf>,
    /// Where the picture goes (SVG); - is stdout.
    #[arg(long, value_name = "FILE")]
    svg: PathBuf,
}

impl Plot {
    pub(super) fn run(&self) -> Result<Exit, Mistake> {
        let failed = |text: String| (format!("plot: {text}"), Exit::Failure);
        let mut dots = Vec::new();
        for file in &self.files {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(file)
                .map_err(|error| failed(format!("{name}: {error}")))?;
            dots.extend(json::dots(&name, &text).map_err(|error| failed(error.to_string()))?);
        }
        let svg = picture::draw(&dots);
        if self.svg.as_os_str() == "-" {
            say(&svg);
            return Ok(Exit::Success);
        }
        std::fs::write(&self.svg, svg)
            .map_err(|error| failed(format!("{}: {error}", self.svg.display())))?;
        Ok(Exit::Success)
    }
}
