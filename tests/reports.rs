//! `maser tracking`, `sources`, … beside Debian's chronyc: the same text, the same lines of `-c`.

#[path = "reports/pretended.rs"]
mod pretended;
#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::path::Path;
use std::process::{Command, Output};

use maser::control::Edition;
use pretended::Pretended;
use support::tool::{need, run, said};

/// What both are asked, in chronyc's words; a report of ours has a dash where chronyc has two words.
const REPORTS: [&str; 20] = [
    "tracking",
    "sources",
    "sources -a",
    "sourcestats",
    "sourcestats -a",
    "activity",
    "serverstats",
    "clients",
    "clients -k",
    "clients -p 3 -r",
    "ntpdata",
    "ntpdata 192.0.2.1",
    "ntpdata 2001:db8::1",
    "selectdata",
    "selectdata -a",
    "authdata",
    "authdata -a",
    "rtcdata",
    "smoothing",
    "manual list",
];

/// What chronyc prints.
fn chronyc(chronyc: &Path, port: u16, options: &[&str], report: &str) -> String {
    let mut command = Command::new(chronyc);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    printed(&run(command.args(options).args(report.split(' '))))
}

/// What we print.
fn maser(port: u16, options: &[&str], report: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
    command.args(report.split(' ')).args(options);
    run(command.args(["-h", "127.0.0.1", "--port", &port.to_string()]))
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// The lines that differ.
fn differences(ours: &str, theirs: &str) -> Vec<String> {
    let (mut our_lines, mut their_lines) = (ours.split('\n'), theirs.split('\n'));
    let mut found = Vec::new();
    loop {
        match (our_lines.next(), their_lines.next()) {
            (None, None) => return found,
            (one, two) if one == two => {}
            (one, two) => found.push(format!(
                "ours:    {}\nchronyc: {}",
                one.unwrap_or("(ends)"),
                two.unwrap_or("(ends)")
            )),
        }
    }
}

/// Figures of every size, sources of every kind: byte for byte what chronyc prints of the same replies.
#[test]
fn made_up_figures_are_laid_out_as_by_chronyc() {
    let Some(path) = need("chronyc") else {
        return;
    };
    let mut wrong = Vec::new();
    for seed in 0..12 {
        let daemon = Pretended::start(seed, Edition::V4_2);
        for options in [&["-n"][..], &["-n", "-c"], &["-N", "-n"]] {
            for report in REPORTS {
                let typed = report.replace("manual list", "manual-list");
                let theirs = chronyc(&path, daemon.port, options, report);
                let ours = printed(&maser(daemon.port, options, &typed));
                let found = differences(&ours, &theirs);
                wrong.extend(
                    found
                        .first()
                        .map(|lines| format!("{report} {options:?}:\n{lines}\n")),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
