//! The command line, by running the binary. Nothing here opens a socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn maser(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maser"))
        .args(arguments)
        .current_dir(conf())
        .output()
        .unwrap()
}

fn conf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/conf")
}

fn data(name: &str) -> String {
    fs::read_to_string(conf().join(name)).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn five_mistakes_are_five_lines_and_exit_1() {
    for print in [
        &["serve", "-f", "five-mistakes.conf"][..],
        &["serve", "-p", "-f", "five-mistakes.conf"],
    ] {
        let output = maser(print);
        assert_eq!(output.status.code(), Some(1));
        let expected =
            data("five-mistakes.errors").replace("/etc/maser/maser.conf", "five-mistakes.conf");
        assert_eq!(stderr(&output), expected);
        assert_eq!(expected.lines().count(), 5);
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn p_prints_the_configuration_and_comments_on_this_machine() {
    let output = maser(&["serve", "-p", "-f", "guide.conf"]);
    assert_eq!(output.status.code(), Some(0));
    let printed = stdout(&output);
    let comments = printed.strip_prefix(&data("guide.printed")).unwrap();
    assert!(comments.lines().count() > 5, "{comments}");
    assert!(
        comments.lines().all(|line| line.starts_with('#')),
        "{comments}"
    );
    assert!(output.stderr.is_empty());
    // And it is a configuration again.
    let file = std::env::temp_dir().join(format!("maser-printed-{}", std::process::id()));
    fs::write(&file, &printed).unwrap();
    let again = maser(&["serve", "-p", "-f", file.to_str().unwrap()]);
    fs::remove_file(&file).unwrap();
    assert_eq!(stdout(&again), printed, "{}", stderr(&again));
}

/// The figures of a line of comment: its first number, and those behind words.
fn figure(printed: &str, name: &str) -> usize {
    let line = printed
        .lines()
        .find_map(|line| line.strip_prefix("#   ")?.strip_prefix(name))
        .unwrap_or_else(|| panic!("{name}: {printed}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn p_tells_the_memory_of_clients_keys_and_workers() {
    let keys = std::env::temp_dir().join(format!("maser-memory-keys-{}", std::process::id()));
    let line = |key: u32| format!("{key} AES128 HEX:{key:032X}\n");
    fs::write(&keys, (1..=100).map(line).collect::<String>()).unwrap();
    let core = core_affinity::get_core_ids().unwrap()[0].id;
    let (key_file, cpus) = (
        format!("keyfile {}", keys.display()),
        format!("cpus {core}"),
    );
    let with = |lines: &[&str]| {
        let both = ["serve", "-p", "port 11123", "allow 127.0.0.1", &cpus];
        stdout(&maser(&[&both, lines].concat()))
    };
    let small = with(&["clientloglimit 1000000"]);
    let large = with(&["clientloglimit 8000000", &key_file, "workers 3"]);
    fs::remove_file(&keys).unwrap();
    let more = with(&["clientloglimit 1000000", "burst 128"]);

    let worker = figure(&small, "worker ");
    assert!((1_000_000..1_500_000).contains(&worker), "{small}");
    assert_eq!(figure(&small, "in sum"), worker);
    assert_eq!(figure(&large, "all keys"), 100 * figure(&large, "key "));
    let sum = 3 * figure(&large, "worker ") + figure(&large, "all keys");
    assert_eq!(figure(&large, "in sum"), sum);
    assert!(figure(&large, "sockets' queues") == 3 * figure(&small, "sockets' queues"));
    assert!(figure(&small, "sockets' queues") > 0, "{small}");
    // 64 slots more, each of which has room for the longest packet.
    assert!(figure(&more, "worker ") - worker >= 64 * 1024, "{more}");
    let none = with(&["noclientlog"]);
    assert!(
        none.contains("a worker remembers 0") && figure(&none, "worker ") < 500_000,
        "{none}"
    );
}

#[test]
fn p_says_where_it_would_not_start() {
    let printed = stdout(&maser(&["serve", "-p", "port 11123", "cpus 1023"]));
    assert!(
        printed.contains("#   it does not start: cpus: core 1023 is not among"),
        "{printed}"
    );
}

#[test]
fn directives_take_the_place_of_a_file() {
    let output = maser(&[
        "serve",
        "-p",
        "-f",
        "five-mistakes.conf",
        "port 11123",
        "allow 1.2",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let printed = stdout(&output);
    assert!(printed.contains("port 11123\n") && printed.contains("allow 1.2.0.0/16\n"));
    let output = maser(&["serve", "-p", "port 11123", "steer nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "argument 2: steer: expected source or cpu or hash, found \"nowhere\"\n"
    );
}

#[test]
fn options_win_over_directives() {
    let line = [
        "serve",
        "-p",
        "-6",
        "-4",
        "-u",
        "nobody",
        "-P",
        "5",
        "-m",
        "user x",
        "sched_priority 1",
    ];
    let printed = stdout(&maser(&line));
    for expected in [
        "! with the option -4",
        "user nobody",
        "sched_priority 5",
        "lock_all",
    ] {
        assert!(
            printed.lines().any(|line| line == expected),
            "{expected}: {printed}"
        );
    }
}

#[test]
fn what_maser_does_anyhow_is_taken() {
    let line = [
        "serve", "-p", "-n", "-d", "-d", "-U", "-x", "-L", "-1", "-l", "log", "-F", "0", "port 1",
    ];
    let output = maser(&line);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn refused_options_are_named_and_exit_2() {
    let cases = [
        (
            &["-F", "1"][..],
            "-F: refused: maser does not filter its system calls yet; use -F 0",
        ),
        (
            &["-F", "-1"],
            "-F: refused: maser does not filter its system calls yet; use -F 0",
        ),
    ];
    for (option, expected) in cases {
        let output = maser(&[&["serve"], option, &["port 11123"]].concat());
        assert_eq!(output.status.code(), Some(2), "{option:?}");
        assert_eq!(stderr(&output), format!("maser serve: {expected}\n"));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn slips_in_the_arguments_exit_2() {
    for slip in [
        &["serv"][..],
        &["serve", "-Z"],
        &["serve", "-L", "4"],
        &["serve", "-P", "101"],
        &[],
    ] {
        let output = maser(slip);
        assert_eq!(output.status.code(), Some(2), "{slip:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{slip:?}"
        );
    }
}

#[test]
fn help_is_an_answer() {
    for help in [&["--help"][..], &["serve", "--help"], &["serve", "-h"]] {
        let output = maser(help);
        assert_eq!(output.status.code(), Some(0), "{help:?}");
        assert!(
            output.stderr.is_empty() && !output.stdout.is_empty(),
            "{help:?}"
        );
    }
    assert!(stdout(&maser(&["--help"])).contains("Exit codes: 0 done; 1 "));
}

#[test]
fn version_is_the_first_line() {
    let first = format!("maser {}\n", env!("CARGO_PKG_VERSION"));
    for version in [&["--version"][..], &["-V"], &["serve", "-v"]] {
        let output = maser(version);
        assert_eq!(output.status.code(), Some(0), "{version:?}");
        assert!(stdout(&output).starts_with(&first), "{}", stdout(&output));
    }
}

#[test]
fn a_reader_that_has_gone_is_no_crash() {
    let shell = format!(
        "{} serve -p -f guide.conf >/dev/full",
        env!("CARGO_BIN_EXE_maser")
    );
    let output = Command::new("sh")
        .args(["-c", &shell])
        .current_dir(conf())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn keygen_writes_a_line_for_the_key_file() {
    for (arguments, head, digits) in [
        (&["keygen"][..], "1 SHA1 HEX:", 40),
        (&["keygen", "7", "AES128"], "7 AES128 HEX:", 32),
        (&["keygen", "8", "AES256", "80"], "8 AES256 HEX:", 64),
        (&["keygen", "9", "SHA256", "100"], "9 SHA256 HEX:", 26),
    ] {
        let (one, other) = (stdout(&maser(arguments)), stdout(&maser(arguments)));
        let key = one.strip_prefix(head).unwrap().strip_suffix('\n').unwrap();
        assert_eq!(key.len(), digits);
        assert!(
            key.bytes()
                .all(|digit| b"0123456789ABCDEF".contains(&digit))
        );
        assert_ne!(one, other);
    }
    for slip in [
        &["keygen", "0"][..],
        &["keygen", "1", "aes128"],
        &["keygen", "1", "TIGER"],
    ] {
        assert_eq!(maser(slip).status.code(), Some(2), "{slip:?}");
    }
}

#[test]
fn version_tells_what_there_is() {
    let text = stdout(&maser(&["--version"]));
    assert!(
        text.contains("key types: MD5 SHA1") && text.contains(" AES128 AES256\n"),
        "{text}"
    );
    assert!(text.contains("AES-CMAC: AES in "), "{text}");
}

#[cfg(not(feature = "xdp"))]
#[test]
fn without_the_fast_path_its_directive_is_refused() {
    for line in ["fastpath lo", "fastpathlimit 1000", "fastpathdeparture 100"] {
        let output = maser(&["serve", "-p", "port 11123", line]);
        assert_eq!(output.status.code(), Some(1), "{line}");
        let said = stderr(&output);
        let how = "this maser was built without the fast path; build it with `cargo build --release --features xdp`";
        assert!(said.contains(line.split(' ').next().unwrap()), "{said}");
        assert!(said.contains(how), "{said}");
    }
}

#[cfg(not(feature = "xdp"))]
#[test]
fn without_the_fast_path_the_harness_in_it_is_refused() {
    let frames = [
        "--dst-mac",
        "02:00:00:00:00:01",
        "--source-net",
        "192.0.2.0/24",
    ];
    let asks = [&["bench", "192.0.2.1", "--xdp", "lo"][..], &frames].concat();
    for arguments in [&asks[..], &["bench", "--echo", "lo"]] {
        let output = maser(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        let said = stderr(&output);
        let how = "this maser was built without XDP; build it with `cargo build --release --features xdp`";
        assert!(said.contains(how), "{said}");
    }
}
