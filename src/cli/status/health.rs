//! `maser health`: one line and an exit code, as `/readyz` has it.

use super::Whom;
use crate::cli::{Exit, complain, print};

/// Whether clients should be sent to this node: exit code 0 if so; 1 if not, or if it does not answer.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Health {
    /// Say nothing.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    whom: Whom,
}

impl Health {
    pub(in crate::cli) fn run(&self) -> Exit {
        match self.whom.get("/readyz") {
            Ok((code, line)) => {
                let exit = if code == 200 {
                    Exit::Success
                } else {
                    Exit::Failure
                };
                if !self.quiet {
                    let line = line.trim_end().replace(|c: char| c.is_control(), "?");
                    print(&(line + "\n"));
                }
                exit
            }
            Err(why) if !self.quiet => complain(&format!("maser health: {why}"), Exit::Failure),
            Err(_) => Exit::Failure,
        }
    }
}
