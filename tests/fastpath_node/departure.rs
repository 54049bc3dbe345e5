//! The loop test of `maser doctor`, over the wire, of what the kernel answers.

use std::process::Command;

use super::support::tool;
use super::wire::{INTERFACE, NODE_V4, Wire, on_wire};

/// What `maser doctor` suggests while a node with this directive serves; and how many requests its program has answered.
#[track_caller]
fn suggested(wire: &Wire, departure: &str) -> (i64, u64) {
    let fast_path = format!("fastpath {INTERFACE}");
    let node = wire.start(&["local stratum 1", "allow", &fast_path, departure]);
    let file = node.folder().write("mark", "").with_file_name("conf");
    let output = tool::run(
        Command::new(env!("CARGO_BIN_EXE_maser"))
            .args(["doctor", "--requests", "1000", "--loop"])
            .arg(NODE_V4.to_string())
            .arg("-f")
            .arg(file),
    );
    let said = tool::said(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    eprintln!("{said}");
    assert!(!said.contains("by the loopback"), "{said}");
    let (_, rest) = said.split_once("`fastpathdeparture ").expect("a line");
    let (number, _) = rest.split_once('`').expect("its end");
    let labels = [("cpu", "xdp"), ("outcome", "answered")];
    let answered = node.figures().count("maser_requests_total", &labels);
    (number.parse().expect("a number"), answered)
}

/// A tenth of a millisecond tells one from the other on any machine.
#[test]
fn the_same_is_suggested_whatever_is_configured() {
    on_wire(
        "departure::the_same_is_suggested_whatever_is_configured",
        |wire| {
            let (before, answered) = suggested(wire, "fastpathdeparture -300000");
            assert!(answered >= 1000, "{answered}");
            let (after, _) = suggested(wire, "fastpathdeparture 300000");
            assert!((before - after).abs() < 100_000, "{before} {after}");
        },
    );
}
