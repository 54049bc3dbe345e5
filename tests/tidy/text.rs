//! Rules of every tracked file, whatever language it is in.

use std::process::Command;

use super::source::walk;
use super::{assert_none, root};

fn dependencies_have_reasons(path: &str, manifest: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut among_dependencies = false;
    for (at, line) in manifest.lines().enumerate() {
        let table = line
            .trim()
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next());
        let is_dependency = if let Some(table) = table {
            let last = table.rsplit('.').next().unwrap_or(table);
            among_dependencies = last.ends_with("dependencies");
            table.contains("dependencies.") // `[dependencies.name]`
        } else {
            let key = line.split('=').next().unwrap_or("").trim();
            let names_one = line.contains('=') && !line.starts_with(char::is_whitespace);
            among_dependencies && names_one && !key.starts_with('#')
        };
        if is_dependency && !line.contains('#') {
            complaints.push(format!(
                "{path}:{}: a dependency without its reason",
                at + 1
            ));
        }
    }
    complaints
}

/// Marks of unfinished work, spelt so that this file is free of them.
const UNFINISHED: [&str; 6] = [
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("db", "g!("),
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("XX", "X"),
];

fn nothing_is_left_unfinished(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for mark in UNFINISHED.iter().filter(|mark| line.contains(**mark)) {
            complaints.push(format!("{path}:{}: `{mark}`", at + 1));
        }
    }
    complaints
}

/// Folders and hosts that only one machine has, spelt so that this file is free of them.
const FOLDERS: [&str; 3] = [
    concat!("/wo", "rk"),
    concat!("/ro", "ot"),
    concat!("/ho", "me"),
];
const HOSTS: [&str; 6] = [
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("deb.", "debian.org"),
    concat!("registry.", "npmjs.org"),
];

fn no_machine_is_named(path: &str, text: &str) -> Vec<String> {
    let in_name = |c: char| c.is_alphanumeric() || "_-.}".contains(c);
    let mut complaints = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let folder = FOLDERS.iter().find(|folder| {
            line.match_indices(**folder).any(|(from, _)| {
                let (before, after) = (&line[..from], &line[from + folder.len()..]);
                !before.ends_with(in_name) && !after.starts_with(in_name)
            })
        });
        let host = HOSTS.iter().find(|host| line.contains(**host));
        if let Some(named) = folder.or(host) {
            complaints.push(format!("{path}:{}: `{named}` is of one machine", at + 1));
        }
    }
    complaints
}

/// Every text file that is tracked, or, outside a repository, every one that is here.
fn tracked() -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output();
    let mut paths: Vec<String> = match listed {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .split_terminator('\0')
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    };
    if paths.is_empty() {
        let mut found = Vec::new();
        walk(root(), &mut found);
        let below = found
            .iter()
            .map(|path| path.strip_prefix(root()).unwrap_or(path));
        paths = below
            .map(|path| path.to_string_lossy().into_owned())
            .collect();
    }
    let text = |path: String| {
        let bytes = std::fs::read(root().join(&path)).ok()?;
        Some((path, String::from_utf8(bytes).ok()?))
    };
    let all: Vec<_> = paths.into_iter().filter_map(text).collect();
    assert!(all.iter().any(|(path, _)| path == "Cargo.toml"));
    all
}

#[test]
fn every_dependency_has_its_reason() {
    for (path, text) in tracked()
        .iter()
        .filter(|(path, _)| path.ends_with("Cargo.toml"))
    {
        assert_none(&dependencies_have_reasons(path, text));
    }
    let good =
        "[package]\nname = \"a\"\n[dependencies]\naes = \"0.9\" # the cipher\n[lib]\nb = 1\n";
    assert_none(&dependencies_have_reasons("Cargo.toml", good));
    let bad = "[dependencies]\naes = \"0.9\"\n[dev-dependencies.x]\n[target.'cfg(a)'.dependencies]\nb = \"1\"";
    let places: Vec<_> = dependencies_have_reasons("Cargo.toml", bad);
    assert_eq!(places.len(), 3, "{places:?}");
    assert!(places[1].starts_with("Cargo.toml:3: "));
}

#[test]
fn no_work_is_left_unfinished() {
    for (path, text) in tracked() {
        assert_none(&nothing_is_left_unfinished(&path, &text));
    }
    for mark in UNFINISHED {
        let complaints = nothing_is_left_unfinished("a.rs", &format!("\n// {mark} later"));
        assert!(complaints[0].starts_with("a.rs:2: "));
    }
}

#[test]
fn no_file_names_a_machine() {
    for (path, text) in tracked() {
        assert_none(&no_machine_is_named(&path, &text));
    }
    for folder in FOLDERS {
        let complaints = no_machine_is_named("a.sh", &format!("\ncd {folder}/x"));
        assert!(complaints[0].starts_with("a.sh:2: "), "{complaints:?}");
        assert_none(&no_machine_is_named(
            "a.sh",
            &format!("cd $top{folder}ers ./x{folder}/y"),
        ));
    }
    for host in HOSTS {
        assert_eq!(
            no_machine_is_named("a.sh", &format!("curl https://{host}/")).len(),
            1
        );
    }
}
