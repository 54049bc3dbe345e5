//! Where it cannot have a fast path, a node does not start, and says why.

use std::process::Output;

use super::support::tool;
use super::wire::{INTERFACE, Wire, on_wire};

const SERVES: [&str; 2] = ["allow", "local stratum 3"];

/// The only line that a person sees of it, but for those that are no complaints.
#[track_caller]
fn assert_says(output: &Output, sentence: &str) {
    let said = tool::said(output);
    let ends = format!("maser serve: fastpath: {sentence}");
    assert!(said.lines().any(|line| line == ends), "{said}");
}

fn with<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    [&SERVES, lines].concat()
}

fn has_program(wire: &Wire, interface: &str) -> bool {
    wire.ip(&format!("link show {interface}")).contains("xdp")
}

#[test]
fn an_interface_must_be_there() {
    on_wire("refusals::an_interface_must_be_there", |wire| {
        let output = wire.refused(&with(&["fastpath nosuch0"]));
        assert_says(&output, "there is no interface nosuch0");
        let output = wire.refused(&with(&["fastpath wire", "fastpath nosuch0"]));
        assert_says(&output, "there is no interface nosuch0");
        assert!(!has_program(wire, INTERFACE), "nothing is left behind");
        assert!(!wire.pins().exists(), "nor its name");
    });
}

#[test]
fn other_programs_stay() {
    on_wire("refusals::other_programs_stay", |wire| {
        // Ours of this end of the wire lets all pass, and is no node's.
        for line in [
            "fastpath wire",
            "fastpath wire native",
            "fastpath wire generic",
        ] {
            let output = wire.refused_here(&with(&[line]));
            assert_says(
                &output,
                "wire has another program in XDP, which `ip link show wire` names: take it away, or let xdp-loader \
                 (package xdp-tools) load it, beside which there is room",
            );
        }
        let shown = wire.here(&format!("ip link show {INTERFACE}"));
        assert!(shown.contains("let_pass"), "{shown}");
    });
}

#[test]
fn of_two_nodes_the_first_has_it() {
    on_wire("refusals::of_two_nodes_the_first_has_it", |wire| {
        let first = wire.start(&with(&["fastpath wire"]));
        let output = wire.refused(&with(&["port 1123", "fastpath wire"]));
        assert_says(&output, "another maser has its fast path on wire");
        assert!(has_program(wire, INTERFACE), "the first's");
        assert!(first.end("-TERM").0);
        assert!(!has_program(wire, INTERFACE));
    });
}

#[test]
fn a_driver_must_be_able_to() {
    on_wire("refusals::a_driver_must_be_able_to", |wire| {
        let output = wire.refused(&with(&["fastpath lo native"]));
        let said = tool::said(&output);
        let begin = "maser serve: fastpath: the driver of lo cannot run it (";
        let end = "): write `fastpath lo generic`, or `auto`, for the kernel's own, slower way";
        let is_it = |line: &str| line.starts_with(begin) && line.ends_with(end);
        assert!(said.lines().any(is_it), "{said}");
        for line in ["fastpath lo", "fastpath lo generic"] {
            let node = wire.start(&with(&[line]));
            assert!(wire.ip("link show lo").contains("xdpgeneric"));
            let (ended_well, said) = node.end("-TERM");
            assert!(ended_well, "{said}");
            assert!(said.contains("fastpath lo: run by the kernel, not the driver"));
            let warns = said.contains("fastpath lo: the driver cannot run it (");
            assert_eq!(warns, line == "fastpath lo", "{said}");
            assert!(!has_program(wire, "lo"));
        }
    });
}
