//! `maser tracking`, `sources`, … beside Debian's chronyc: the same text, the same lines of `-c`.

#[path = "reports/pretended.rs"]
mod pretended;
#[path = "reports/running.rs"]
mod running;
#[expect(dead_code, reason = "other tests ask how far ahead it is")]
#[path = "impaired/skewed.rs"]
mod skewed;
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

/// A newer daemon says more: chronyc 4.3 knows the first lines, and the rest is behind them.
#[test]
fn newer_figures_follow_those_that_an_old_chronyc_prints() {
    let Some(path) = need("chronyc") else {
        return;
    };
    let daemon = Pretended::start(7, Edition::NEWEST);
    for (report, more) in [("serverstats", 6), ("ntpdata 192.0.2.1", 4)] {
        let theirs = chronyc(&path, daemon.port, &["-n"], report);
        let ours = printed(&maser(daemon.port, &["-n"], report));
        assert!(ours.starts_with(&theirs), "{ours}\n{theirs}");
        assert_eq!(ours.lines().count(), theirs.lines().count() + more);
        let theirs = chronyc(&path, daemon.port, &["-c"], report);
        let ours = printed(&maser(daemon.port, &["-c"], report));
        assert!(ours.starts_with(theirs.trim_end()), "{ours}\n{theirs}");
        assert_eq!(ours.split(',').count(), theirs.split(',').count() + more);
    }
    // What such a daemon says to a request as short as an old chronyc's is asked for again in that form.
    let old = Pretended::start(7, Edition::V4_0);
    assert_eq!(
        printed(&maser(old.port, &[], "serverstats"))
            .lines()
            .count(),
        8
    );
}

#[test]
fn waitsync_says_what_chronyc_says() {
    let Some(path) = need("chronyc") else {
        return;
    };
    for seed in 0..8 {
        let daemon = Pretended::start(seed, Edition::V4_2);
        for limits in ["waitsync 1", "waitsync 1 1", "waitsync 1 0 0.1"] {
            let mut command = Command::new(&path);
            command.args(["-h", "127.0.0.1", "-p", &daemon.port.to_string()]);
            let theirs = run(command.args(limits.split(' ')));
            let ours = maser(daemon.port, &[], limits);
            assert_eq!(ours.stdout, theirs.stdout, "{limits}");
            assert_eq!(ours.status.code(), theirs.status.code(), "{limits}");
        }
    }
}

/// Names, units and kinds of every value. Programs read these, so they do not change.
#[test]
fn json_has_the_documented_fields() {
    let daemon = Pretended::start(3, Edition::NEWEST);
    let mut told = String::new();
    for report in REPORTS.map(|report| report.replace("manual list", "manual-list")) {
        if report.contains(['-', '.', ':']) && report != "manual-list" {
            continue;
        }
        let text = printed(&maser(daemon.port, &["--json"], &report));
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let mut paths = std::collections::BTreeSet::new();
        kinds(&value, &report, &mut paths);
        told.extend(paths.into_iter().map(|path| path + "\n"));
    }
    let documented = include_str!("data/reports/json-fields.txt");
    assert_eq!(told, documented);
}

/// The kind of each value, `path kind`.
fn kinds(value: &serde_json::Value, path: &str, found: &mut std::collections::BTreeSet<String>) {
    use serde_json::Value;
    let kind = match value {
        Value::Array(all) => {
            for one in all {
                kinds(one, &format!("{path}[]"), found);
            }
            return;
        }
        Value::Object(fields) => {
            for (name, one) in fields {
                kinds(one, &format!("{path}.{name}"), found);
            }
            return;
        }
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "number",
        Value::String(_) => "string",
    };
    found.insert(format!("{path} {kind}"));
}

#[test]
fn who_does_not_answer_is_named() {
    let nobody = support::node::Port::free();
    let output = maser(nobody.number, &[], "tracking");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let place = format!("127.0.0.1:{}", nobody.number);
    assert!(
        text.starts_with("maser tracking: no answer from ") && text.contains(&place),
        "{text}"
    );
    assert!(text.contains("-h"), "{text}");
    // The first of several that answers is asked.
    let daemon = Pretended::start(1, Edition::NEWEST);
    let port = daemon.port.to_string();
    let hosts = "/no/such/socket,127.0.0.2,127.0.0.1";
    let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
    let output = run(command.args(["activity", "-c", "-h", hosts, "-p", &port]));
    assert_eq!(printed(&output).split(',').count(), 5);
}

#[test]
fn silence_is_waited_for_as_long_as_told() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let port = silent.local_addr().expect("bound").port();
    let output = maser(port, &["--timeout", "20", "--retries", "2"], "tracking");
    assert_eq!(output.status.code(), Some(1));
    // Three tries, each of them counted, each with a sequence of its own.
    let mut packet = [0; 200];
    let mut tries = Vec::new();
    silent.set_nonblocking(true).expect("ours");
    while let Ok(len) = silent.recv(&mut packet) {
        let header = maser::control::RequestHeader::parse(&packet[..len]).expect("a request");
        tries.push((header.attempt, header.sequence));
    }
    assert_eq!(
        tries
            .iter()
            .map(|(attempt, _)| *attempt)
            .collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert!(tries[0].1 != tries[1].1 || tries[1].1 != tries[2].1);
}

/// Whatever chronyc sends for these words, we send, and print what it prints.
#[test]
fn orders_are_chronycs() {
    let Some(path) = need("chronyc") else {
        return;
    };
    let daemon = Pretended::start(1, Edition::V4_2);
    let taken = || std::mem::take(&mut *daemon.orders.lock().expect("nobody panicked"));
    for words in ORDERS {
        let theirs = chronyc(&path, daemon.port, &[], words);
        let their_orders = taken();
        let mut command = Command::new(env!("CARGO_BIN_EXE_maser"));
        command.args(["order", words, "-h", "127.0.0.1"]);
        let output = run(command.args(["-p", &daemon.port.to_string()]));
        assert_eq!(printed(&output), theirs, "{words}");
        assert_eq!(taken(), their_orders, "{words}");
        assert!(
            !their_orders.is_empty() || words.contains("check"),
            "{words}"
        );
    }
}

const ORDERS: [&str; 52] = [
    "online",
    "online 192.0.2.1",
    "online 2001:db8::1",
    "offline 255.255.255.0/192.0.2.0",
    "offline",
    "onoffline",
    "burst 2/10",
    "burst 3/4 192.0.2.1",
    "burst 1/1 255.0.0.0/10.0.0.0",
    "minpoll 192.0.2.1 4",
    "maxpoll 192.0.2.1 -2",
    "maxdelay 192.0.2.1 0.25",
    "maxdelayratio 192.0.2.1 1.5",
    "maxdelaydevratio 192.0.2.1 4",
    "minstratum 192.0.2.1 2",
    "polltarget 192.0.2.1 12",
    "delete 192.0.2.1",
    "refresh",
    "reload sources",
    "reset sources",
    "reselect",
    "reselectdist 0.001",
    "makestep",
    "makestep 0.5 3",
    "makestep 0.5 -1",
    "maxupdateskew 5.5",
    "manual on",
    "manual off",
    "manual reset",
    "manual delete 2",
    "smoothtime reset",
    "smoothtime activate",
    "local",
    "local off",
    "local stratum 7 distance 0.5 orphan",
    "allow",
    "allow all",
    "allow 192.0.2.0/24",
    "allow all 192.0.2",
    "deny 2001:db8::/32",
    "deny all 10",
    "cmdallow 192.0.2.1",
    "cmdallow all",
    "cmddeny 192.0.2.1",
    "cmddeny all 2001:db8::1",
    "accheck 192.0.2.1",
    "cmdaccheck 2001:db8::1",
    "trimrtc",
    "writertc",
    "rekey",
    "dump",
    "cyclelogs",
];
