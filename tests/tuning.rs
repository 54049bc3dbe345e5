//! The scripts of `tuning/`: what they show, that nothing happens without `--really`, and that undo puts back
//! every byte. On folders with files as Linux has them, and on a cable between namespaces of the test's own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;
#[path = "doctor/tree.rs"]
mod tree;

use support::skip;
use support::tool::{self, need, need_root, said};
use tree::Tree;

const SCRIPTS: [&str; 4] = ["sysctl", "nic", "irq", "cpu"];

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tuning")
        .join(name)
}

fn run(name: &str, arguments: &[&str]) -> Output {
    tool::run(Command::new(script(name)).args(arguments))
}

/// Runs a script on a tree, with its state beside it.
fn on(tree: &Tree, name: &str, arguments: &[&str]) -> Output {
    let root = tree.path().to_str().expect("text");
    let state = format!("{root}/state");
    run(
        name,
        &[arguments, &["--root", root, "--state", &state]].concat(),
    )
}

#[track_caller]
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Every file below a folder but for the scripts' state, with what is in it.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let kind = entry.file_type().expect("ours");
        if kind.is_dir() && entry.file_name() != "state" {
            files.append(&mut snapshot(&entry.path()));
        } else if kind.is_file() {
            files.insert(entry.path(), fs::read(entry.path()).expect("ours"));
        }
    }
    files
}

#[test]
fn without_really_nothing_is_changed() {
    for tree in [Tree::bad(), Tree::guest()] {
        let before = snapshot(tree.path());
        for name in SCRIPTS {
            let shown = text(&on(&tree, name, &[]));
            assert_eq!(shown, text(&on(&tree, name, &["show"])));
            let applied = text(&on(&tree, name, &["apply"]));
            assert!(applied.ends_with("# dry run: nothing was changed; --really does it\n"));
            let wanted = shown
                .lines()
                .filter(|line| line.contains("; apply: "))
                .count();
            let commands = applied
                .lines()
                .filter(|line| !line.starts_with('#'))
                .count();
            assert_eq!(wanted, commands, "{name}: {shown}{applied}");
            let undone = text(&on(&tree, name, &["undo"]));
            assert!(undone.starts_with("# nothing to undo"), "{undone}");
        }
        assert_eq!(before, snapshot(tree.path()));
        assert!(!tree.path().join("state").exists());
    }
}

#[test]
fn the_commands_of_a_dry_run_are_what_really_does() {
    let (by_hand, by_script) = (Tree::bad(), Tree::bad());
    for name in SCRIPTS {
        let commands = text(&on(&by_hand, name, &["apply"]));
        // irqbalance is stopped by a command for the real machine.
        let files = commands
            .lines()
            .filter(|line| !line.starts_with("systemctl "));
        let files = files.collect::<Vec<_>>().join("\n");
        let shell = tool::run(Command::new("sh").args(["-euc", &files]));
        assert!(shell.status.success(), "{}", said(&shell));
        text(&on(&by_script, name, &["apply", "--really"]));
    }
    let relative = |tree: &Tree| {
        let files = snapshot(tree.path()).into_iter();
        let inner = |path: &Path| path.strip_prefix(tree.path()).expect("below").to_owned();
        files
            .map(|(path, bytes)| (inner(&path), bytes))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(relative(&by_hand), relative(&by_script));
}

#[test]
fn undo_puts_back_what_was_before_the_first_apply() {
    for tree in [Tree::bad(), Tree::guest()] {
        let before = snapshot(tree.path());
        let more: &[(&str, &[&str])] = &[
            (
                "sysctl",
                &[
                    "--loose",
                    "--budget",
                    "600",
                    "--backlog",
                    "9000",
                    "--busy-poll",
                    "20",
                ],
            ),
            ("nic", &["--interface", "eth0"]),
            ("irq", &[]),
            ("cpu", &["--wake", "0"]),
        ];
        for (name, options) in more {
            text(&on(&tree, name, &["apply", "--really"]));
            text(&on(
                &tree,
                name,
                &[&["apply", "--really"], *options].concat(),
            ));
        }
        let applied = snapshot(tree.path());
        let changed = before
            .iter()
            .filter(|(path, bytes)| applied[*path] != **bytes)
            .count();
        assert!(changed > 5, "{changed}");
        assert_eq!(tree.read("proc/sys/net/core/rmem_max"), "8388608\n");
        assert_eq!(tree.read("proc/sys/net/core/netdev_max_backlog"), "9000\n");
        // Dry first: it says what it would do, and does not.
        let dry = text(&on(&tree, "sysctl", &["undo"]));
        assert!(
            dry.contains("rmem_max\n") && dry.contains("# dry run"),
            "{dry}"
        );
        assert_eq!(applied, snapshot(tree.path()));
        for name in SCRIPTS {
            text(&on(&tree, name, &["undo", "--really"]));
        }
        assert_eq!(before, snapshot(tree.path()));
        let again = text(&on(&tree, "sysctl", &["undo", "--really"]));
        assert!(again.starts_with("# nothing to undo"), "{again}");
    }
}

#[test]
fn what_is_larger_or_right_already_stays() {
    let tree = Tree::good();
    let before = snapshot(tree.path());
    for name in SCRIPTS {
        let applied = text(&on(&tree, name, &["apply", "--really"]));
        assert!(
            applied.lines().all(|line| line.starts_with('#')),
            "{name}: {applied}"
        );
    }
    let larger = tree.path().join("proc/sys/net/core/wmem_max");
    assert_eq!(before[&larger], fs::read(&larger).expect("written before"));
}

#[test]
fn each_queue_gets_a_core_of_its_own_and_each_idle_core_packets() {
    let tree = Tree::bad();
    text(&on(
        &tree,
        "irq",
        &["apply", "--really", "--interface", "eth0"],
    ));
    assert_eq!(tree.read("proc/irq/60/smp_affinity_list"), "0\n");
    assert_eq!(tree.read("proc/irq/61/smp_affinity_list"), "1\n");
    text(&on(
        &tree,
        "nic",
        &["apply", "--really", "--interface", "eth1"],
    ));
    assert_eq!(tree.read("sys/class/net/eth1/queues/rx-0/rps_cpus"), "ff\n");
    assert_eq!(
        tree.read("sys/class/net/eth0/queues/rx-0/rps_cpus"),
        "00000000\n"
    );
    text(&on(&tree, "cpu", &["apply", "--really"]));
    let cpu = "sys/devices/system/cpu/cpu7";
    assert_eq!(
        tree.read(&format!("{cpu}/cpufreq/scaling_governor")),
        "performance\n"
    );
    assert_eq!(tree.read(&format!("{cpu}/cpuidle/state3/disable")), "1\n");
    let applied = text(&on(&Tree::bad(), "irq", &["apply"]));
    assert!(
        applied.starts_with("systemctl stop irqbalance.service\n"),
        "{applied}"
    );
}

#[test]
fn masks_are_in_words_of_32_cores() {
    let tree = Tree::guest();
    tree.write(&[("sys/devices/system/cpu/online", "0-1,31-33\n")]);
    text(&on(&tree, "nic", &["apply", "--really"]));
    assert_eq!(
        tree.read("sys/class/net/eth0/queues/rx-0/rps_cpus"),
        "3,80000003\n"
    );
}

#[test]
fn what_was_kept_before_a_restart_is_not_put_back() {
    let tree = Tree::guest();
    let boot = "proc/sys/kernel/random/boot_id";
    tree.write(&[(boot, "one\n")]);
    text(&on(&tree, "sysctl", &["apply", "--really"]));
    tree.write(&[(boot, "two\n"), ("proc/sys/net/core/rmem_max", "1000\n")]);
    let undone = text(&on(&tree, "sysctl", &["undo"]));
    assert!(undone.starts_with("# nothing to undo"), "{undone}");
    text(&on(&tree, "sysctl", &["apply", "--really"]));
    text(&on(&tree, "sysctl", &["undo", "--really"]));
    assert_eq!(tree.read("proc/sys/net/core/rmem_max"), "1000\n");
}

#[test]
fn slips_change_nothing_and_exit_2() {
    let tree = Tree::guest();
    let before = snapshot(tree.path());
    for (name, slip) in [
        ("sysctl", &["apply", "--really", "--backlog", "many"][..]),
        ("sysctl", &["aply"]),
        ("nic", &["apply", "--really", "--interface", "eth9"]),
        ("nic", &["apply", "--interface", "../eth0"]),
        ("irq", &["--interface"]),
        ("cpu", &["--wake"]),
        ("cpu", &["--state"]),
    ] {
        let output = on(&tree, name, slip);
        let alone = run(name, slip);
        let code = if slip.last() == Some(&"--state") {
            alone.status.code()
        } else {
            output.status.code()
        };
        assert_eq!(code, Some(2), "{name} {slip:?}: {}", said(&output));
    }
    assert_eq!(before, snapshot(tree.path()));
}

#[test]
fn every_script_has_a_help() {
    for name in SCRIPTS.into_iter().chain(["systemd/install"]) {
        let help = text(&run(name, &["--help"]));
        assert!(help.contains("[show | apply | undo]"), "{help}");
    }
}

#[test]
fn the_service_is_installed_by_commands_that_are_shown_first() {
    let shown = text(&run("systemd/install", &["apply"]));
    assert!(
        shown.contains("systemctl enable --now maser.service\n# dry run"),
        "{shown}"
    );
    let unit = script("systemd/maser.service");
    assert!(shown.contains(unit.to_str().expect("text")), "{shown}");
}

/// What the kernel and the driver say of the card in the namespace.
fn card(namespace: &str) -> Vec<String> {
    let mut said = Vec::new();
    for question in [
        "ethtool --show-channels node",
        "ethtool --show-coalesce node",
        "cat /sys/class/net/node/queues/rx-0/rps_cpus",
        "cat /proc/sys/net/ipv4/conf/all/rp_filter",
    ] {
        let words: Vec<_> = question.split_whitespace().collect();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).args(words);
        let output = tool::run(&mut command);
        said.push(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    said
}

/// No device of this machine joins what it receives, and may be told not to: a driver that does is made up, by an
/// `ethtool` that keeps two features in a file.
#[test]
fn the_fast_path_has_nothing_joined_and_undo_joins_again() {
    let tree = Tree::guest();
    tree.write(&[
        ("features", "large-receive-offload: on\nrx-gro-hw: off [fixed]\nrx-all: on\n"),
        (
            "ethtool",
            "#!/bin/bash\nfile=$(dirname \"$0\")/features\ncase $1 in\n--show-features) cat \"$file\" ;;\n\
             --features) [[ $3 == lro ]] && sed -i \"s/^large-receive-offload: .*/large-receive-offload: $4/\" \"$file\" ;;\n\
             *) exit 1 ;;\nesac\n",
        ),
    ]);
    let made = tree.path().join("ethtool");
    fs::set_permissions(&made, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let path = format!(
        "{}:{}",
        tree.path().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let tune = |mut command: Command, words: &[&str]| {
        command.args(words).args(["--interface", "lo", "--state"]);
        text(&tool::run(
            command.arg(tree.path().join("state")).env("PATH", &path),
        ))
    };
    let here = || Command::new(script("nic"));
    let before = tree.read("features");
    let shown = tune(here(), &["show", "--fast-path"]);
    assert!(shown.contains("lo lro = on; apply: off\n"), "{shown}");
    assert!(!shown.contains("rx-gro-hw"), "{shown}");
    assert!(!tune(here(), &["apply"]).contains("lro"));
    let said = tune(here(), &["apply", "--fast-path"]);
    assert!(said.contains("ethtool --features lo lro off\n"), "{said}");
    assert_eq!(tree.read("features"), before);
    if !need_root() || need("unshare").is_none() {
        return;
    }
    // A loopback of its own, whose steering is changed as well.
    let apart = || {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount"]);
        command.args(["sh", "-c", "mount -t sysfs sysfs /sys && exec \"$@\"", "sh"]);
        command.arg(script("nic"));
        command
    };
    tune(apart(), &["apply", "--really", "--fast-path"]);
    let off = before.replace("offload: on", "offload: off");
    assert_eq!(tree.read("features"), off);
    tune(apart(), &["undo", "--really"]);
    assert_eq!(tree.read("features"), before);
}

#[test]
fn a_real_card_is_as_before_after_undo() {
    if !need_root() || need("ip").is_none() || need("ethtool").is_none() {
        return;
    }
    let namespace = format!("maser-tuning-{}", std::process::id());
    let ip = |arguments: &str| tool::run(Command::new("ip").args(arguments.split_whitespace()));
    let made = ip(&format!("netns add {namespace}"));
    if !made.status.success() {
        skip(&format!(
            "no network namespace can be made here: {}",
            said(&made)
        ));
        return;
    }
    let tree = Tree::guest(); // For its folder alone.
    let state = tree.path().join("state");
    let outcome = std::panic::catch_unwind(|| {
        let laid = ip(&format!(
            "link add node netns {namespace} type veth peer name other netns {namespace}"
        ));
        assert!(laid.status.success(), "{}", said(&laid));
        let machine = fs::read_to_string("/proc/sys/net/core/netdev_max_backlog").expect("Linux");
        let before = card(&namespace);
        let tune = |name: &str, more: &[&str]| {
            let mut command = Command::new("ip");
            command
                .args(["netns", "exec", &namespace])
                .arg(script(name))
                .args(more);
            tool::run(command.arg("--state").arg(&state))
        };
        text(&tune("nic", &["apply", "--interface", "node"]));
        assert_eq!(before, card(&namespace));
        text(&tune("nic", &["apply", "--really", "--interface", "node"]));
        // Of net.core a namespace has only what it may not change; that is refused, and the rest is done.
        tune("sysctl", &["apply", "--really", "--loose"]);
        let applied = card(&namespace);
        assert_eq!(applied[3], "2\n");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(applied[2] != before[2], cores > 1, "{applied:?}");
        text(&tune("sysctl", &["undo", "--really"]));
        text(&tune("nic", &["undo", "--really"]));
        assert_eq!(before, card(&namespace));
        let after = fs::read_to_string("/proc/sys/net/core/netdev_max_backlog").expect("Linux");
        assert_eq!(machine, after, "the machine outside the namespace");
    });
    ip(&format!("netns del {namespace}"));
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure);
    }
}
