//! What the tests of a running server share: the server, clients that ask it, packets and their MACs.
//!
//! The server is the binary under test, or, with `MASER_CONFORMANCE_SERVER=chronyd`, Debian's chronyd
//! with the same configuration: what both must do is thereby tried on both. chronyd runs with `-x`
//! always, so it never touches the machine's clock.

pub(crate) mod bench;
pub(crate) mod client;
pub(crate) mod exposition;
pub(crate) mod http;
pub(crate) mod keys;
pub(crate) mod lan;
pub(crate) mod node;
pub(crate) mod seen;
pub(crate) mod tool;

use std::io::Write as _;

/// Says that a test could not run, and why. Under `MASER_NO_SKIP=1` that is a failure.
///
/// It writes past the capture of a passing test's output: nobody shall take a skipped test for a
/// passed one.
pub(crate) fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    assert!(
        std::env::var_os("MASER_NO_SKIP").is_none_or(|value| value.is_empty()),
        "cannot run: {why}"
    );
    // Losing the line is no reason to fail: standard error may be closed.
    let _ = writeln!(std::io::stderr(), "{test}: skipped, because {why}");
}
