//! The binary `maser`.

use std::process::ExitCode;

fn main() -> ExitCode {
    maser::cli::run().into()
}
