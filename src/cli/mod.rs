//! The command line (floor 5): arguments in, results on stdout, everything else on stderr.

mod bench;
mod doctor;
mod exit;
mod keygen;
mod report;
mod serve;
mod status;
mod version;

use std::io::{self, Write as _};

use clap::{Parser, Subcommand};

pub use exit::Exit;

/// An NTP server-farm node: answers and signs from every core, reads chrony's configuration and keys.
#[derive(Debug, Parser)]
#[command(
    name = "maser",
    disable_version_flag = true,
    arg_required_else_help = true,
    after_help = EXIT_CODES
)]
struct Arguments {
    /// Print the version and what this build and machine can do.
    #[arg(short = 'V', long)]
    version: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Keygen(keygen::Keygen),
    Bench(Box<bench::Bench>),
    Doctor(doctor::Doctor),
    Status(status::Status),
    Health(status::Health),
    #[command(flatten)]
    Report(report::Report),
    #[command(disable_help_flag = true)]
    Order(report::Order),
}

/// Does what the process's arguments say.
pub fn run() -> Exit {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help is an answer, printed to stdout; all else is a slip, and clap knows which is which.
        Err(error) => {
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Success
            };
            return match error.print() {
                Ok(()) => exit,
                Err(_) => Exit::Failure,
            };
        }
    };
    match arguments.command {
        _ if arguments.version => print(&version::text()),
        Some(Command::Serve(serve)) => serve.run(),
        Some(Command::Keygen(keygen)) => keygen.run(),
        Some(Command::Bench(bench)) => bench.run(),
        Some(Command::Doctor(doctor)) => doctor.run(),
        Some(Command::Status(status)) => status.run(),
        Some(Command::Health(health)) => health.run(),
        Some(Command::Report(report)) => report.run(),
        Some(Command::Order(order)) => order.run(),
        None => complain("maser: expected a command; see maser --help", Exit::Usage),
    }
}

/// Writes a result. A reader that has gone away is no reason to crash.
fn print(text: &str) -> Exit {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Exit::Success,
        Err(_) => Exit::Failure,
    }
}

/// Says on stderr why the process ends.
fn complain(text: &str, exit: Exit) -> Exit {
    // With nobody to hear it, the exit code is all there is.
    let _ = writeln!(io::stderr(), "{text}");
    exit
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 a mistake in the configuration, or a failure at start; 2 a mistake in the \
arguments, or an option that is refused. maser bench: 0 held; 1 a bound was broken, or a failure; 2 \
the rate could not be driven, or a mistake in the arguments. maser doctor: 0 nothing worse than a note; 3 \
something is slow; 4 something is broken. maser health: 0 ready; 1 not ready, or no answer. maser waitsync: 0 \
synchronised; 1 not yet.";
