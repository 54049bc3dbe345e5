//! Whether clients should be sent here.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use maser::auth::KeyStore;
use maser::wire::LeapIndicator;

use super::skewed::{Skew, SkewedServer};
use super::support::seen::{ask, within};
use super::support::tool;
use super::{LOOPBACK, Told};

#[test]
fn ready_is_lost_with_the_source_within_a_second_and_comes_back() {
    let source = SkewedServer::start(LOOPBACK, 0, Skew::default(), KeyStore::default());
    let line = format!(
        "server 127.0.0.1 port {} iburst minpoll 0 maxpoll 0",
        source.address().port()
    );
    // The error of a clock so bad grows past the bound in seconds once nobody is there to say what time it is.
    let told = Told::with(&[&line, "maxclockerror 2000", "readydistance 0.01"], true);
    let code = |path| told.get(path).code;
    within(Duration::from_secs(20), "it follows the source", || {
        code("/readyz") == 200
    });
    let figures = told.figures();
    assert_eq!(figures.count("maser_ready", &[]), 1);
    assert_eq!(
        figures.count("maser_source_selected", &[("source", "127.0.0.1")]),
        1
    );
    assert_eq!(told.status()["clock"]["reference"], "127.0.0.1");
    source.change(|skew| skew.is_silent = true);
    let address = told.node.address("127.0.0.1");
    // What clients are told says when it has to turn.
    within(Duration::from_secs(30), "the error grows", || {
        ask(address).is_some_and(|seen| seen.root_dispersion_s + seen.root_delay_s / 2.0 > 0.0101)
    });
    let answer = told.get("/readyz");
    assert_eq!(answer.code, 503, "{}", answer.body);
    assert!(answer.body.contains("root distance"), "{}", answer.body);
    assert_eq!(code("/healthz"), 200);
    source.change(|skew| skew.is_silent = false);
    within(Duration::from_secs(20), "it is right again", || {
        code("/readyz") == 200
    });
    // It says itself that it is not synchronised, and so must we.
    source.change(|skew| skew.leap = LeapIndicator::NotSynchronised);
    within(Duration::from_secs(30), "not ready", || {
        code("/readyz") == 503
    });
}

#[test]
fn not_synchronised_is_said_with_the_reason() {
    let told = Told::with(&["server 127.0.0.1 port 9 iburst"], false);
    let answer = told.get("/readyz");
    assert_eq!(answer.code, 503);
    assert!(
        answer
            .body
            .starts_with("not synchronised: no source is selected: 1 unreachable"),
        "{}",
        answer.body
    );
    let status = told.status();
    assert_eq!(status["clock"]["synchronised"], false);
    assert!(
        status["warnings"][0]["what"]
            .as_str()
            .is_some_and(|what| what.contains("not synchronised"))
    );
}

#[test]
fn who_drains_answers_clients_but_is_not_ready() {
    let told = Told::start(&["drain 2"]);
    let pid = told.node.pid().to_string();
    let signal = |name: &str| tool::run(Command::new("kill").args([name, &pid]));
    let ready = |wanted: u16| {
        within(Duration::from_secs(1), "ready", || {
            told.get("/readyz").code == wanted
        })
    };
    ready(200);
    signal("-USR1");
    ready(503);
    assert_eq!(told.figures().count("maser_draining", &[]), 1);
    signal("-USR2");
    ready(200);
    signal("-TERM");
    ready(503);
    assert!(
        ask(told.node.address("127.0.0.1")).is_some(),
        "it still answers"
    );
    within(Duration::from_secs(10), "it ends", || {
        TcpStream::connect(told.http).is_err()
    });
    assert!(told.node.folder().read("stdout").contains("received"));
}
