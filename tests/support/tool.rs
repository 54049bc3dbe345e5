//! Programs beside ours: where they are, and running them.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Where a program is: on the path, or where Debian keeps root's.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A program that a test needs; says why the test is skipped where it is missing.
pub(crate) fn need(name: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        super::skip(&format!("{name} is not installed"));
    }
    found
}

/// Whether this is root; says why the test is skipped where it is not.
pub(crate) fn need_root() -> bool {
    let root = user("-u") == "0";
    if !root {
        super::skip("it needs root");
    }
    root
}

/// What `id` says of us: `-u` a number, `-un` a name.
pub(crate) fn user(option: &str) -> String {
    let output = run(Command::new("id").arg(option));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs a program to its end, with nothing to read.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// All that a program said, for a failing test.
pub(crate) fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    )
}
