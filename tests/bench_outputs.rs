//! The files that `maser bench` writes, and the pictures it makes of them.

use std::fs;
use std::process::{Command, Output};

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use maser::bench::NullServer;
use support::node::Folder;
use support::tool::{self, said};

fn maser(arguments: &[&str]) -> Output {
    tool::run(Command::new(env!("CARGO_BIN_EXE_maser")).args(arguments))
}

#[test]
fn a_ladder_leaves_figures_a_picture_and_a_histogram_a_rung() {
    let folder = Folder::new();
    let at = |name: &str| folder.write(name, "").display().to_string();
    let (json, svg, hgrm) = (at("a.json"), at("a.svg"), at("a.hgrm"));
    let ladder = [
        "--ladder",
        "200-400:x2",
        "--duration",
        "0.3",
        "--warmup",
        "0",
        "--late",
        "10000",
    ];
    let files = [
        "--json", &json, "--svg", &svg, "--hgrm", &hgrm, "--label", "first",
    ];
    let output = maser(&[&["bench", "--null"][..], &ladder, &files].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        output.stderr.is_empty(),
        "no progress line in a pipe: {}",
        said(&output)
    );
    assert_eq!(folder.read("a.json").lines().count(), 2);
    let picture = folder.read("a.svg");
    assert!(
        picture.contains(">null</text>") && picture.contains(">200</text>"),
        "{picture}"
    );
    for rate in [200, 400] {
        let histogram = folder.read(&format!("a.{rate}.hgrm"));
        let count = format!("Total count    = {:>12}]", rate * 3 / 10);
        assert!(histogram.contains(&count), "{histogram}");
    }

    // The same figures, drawn again, are the same picture; beside another run's there are two curves.
    let again = at("again.svg");
    assert!(
        maser(&["bench", "plot", &json, "--svg", &again])
            .status
            .success()
    );
    assert_eq!(folder.read("again.svg"), picture);
    let other = folder.write(
        "other.json",
        &folder.read("a.json").replace("\"null\"", "\"other\""),
    );
    let output = maser(&[
        "bench",
        "plot",
        &json,
        &other.to_string_lossy(),
        "--svg",
        "-",
    ]);
    let both = String::from_utf8(output.stdout).expect("text");
    assert!(
        both.contains(">null</text>") && both.contains(">other</text>"),
        "{both}"
    );
}

#[test]
fn the_null_responders_latencies_do_not_take_the_targets_place() {
    let folder = Folder::new();
    let file = folder.write("a.hgrm", "").display().to_string();
    let server = NullServer::start(None).expect("loopback");
    let target = server.address().to_string();
    let step = [
        "--rate",
        "200",
        "--duration",
        "0.3",
        "--warmup",
        "0",
        "--late",
        "10000",
    ];
    let output = maser(&[&["bench", &target, "--null", "--hgrm", &file][..], &step].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for name in ["a.hgrm", "a.null.hgrm"] {
        let text = folder.read(name);
        assert!(
            text.contains("Total count    =           60]"),
            "{name}: {text}"
        );
    }
}

#[test]
fn a_path_that_is_wrong_is_known_before_the_run() {
    for (option, path, code) in [
        ("--svg", "/nowhere/a.svg", 1),
        ("--hgrm", "/nowhere/a.hgrm", 1),
        ("--json", "/nowhere/a.json", 1),
        ("--svg", "-", 2),
        ("--hgrm", "-", 2),
    ] {
        let output = maser(&["bench", "--null", "--duration", "60", option, path]);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(output.stdout.is_empty(), "no table: {}", said(&output));
        let text = String::from_utf8(output.stderr).expect("text");
        assert!(
            text.starts_with(&format!("maser bench: {option}")),
            "{text}"
        );
    }
}

#[test]
fn files_that_hold_no_figures_are_named_with_their_line() {
    let folder = Folder::new();
    let bad = folder
        .write("bad.json", "{\"label\": 1}\n")
        .display()
        .to_string();
    let output = maser(&["bench", "plot", &bad, "--svg", "-"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(
        text.contains(&format!("{bad}:1: not a line of maser bench --json")),
        "{text}"
    );
    assert!(output.stdout.is_empty());
    let output = maser(&["bench", "plot", "/nowhere.json", "--svg", "-"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(fs::metadata("/nowhere.json").is_err());
}
