//! The floors: which module may import which.

use super::source::{Source, after_brace, line_of, words};
use super::{assert_none, assert_tells, src};

/// What each module may import. A module that is not here has no floor yet, and fails.
const FLOORS: &[(&str, &[&str])] = &[
    ("sys", &[]),
    ("wire", &[]),
    ("auth", &["wire"]),
    ("server", &["wire", "auth"]),
    ("client", &["wire", "auth"]),
    ("discipline", &["wire", "auth", "client"]),
    ("config", RULES),
    ("control", RULES),
    ("fastpath", BELOW_RUNTIME),
    ("node", RUNTIME),
    ("bench", BELOW_RUNTIME),
    ("doctor", &["sys", "wire"]), // The loop test asks for the time.
    ("cli", EVERYTHING),
    ("main", EVERYTHING),
    ("lib", &[]),
];
const RULES: &[&str] = &["wire", "auth", "server", "client", "discipline"];
const BELOW_RUNTIME: &[&str] = &[
    "sys",
    "wire",
    "auth",
    "server",
    "client",
    "discipline",
    "config",
    "control",
];
/// The second datapath is handed the node's tables, so the node stands above it.
const RUNTIME: &[&str] = &[
    "sys",
    "wire",
    "auth",
    "server",
    "client",
    "discipline",
    "config",
    "control",
    "fastpath",
];
const EVERYTHING: &[&str] = &[
    "wire",
    "auth",
    "server",
    "client",
    "discipline",
    "config",
    "control",
    "node",
    "bench",
    "doctor",
    "cli",
];

/// An import of another module of the crate: where, and which.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let code = &source.shipped;
    let depth = source.module().len();
    for (root, levels) in [
        ("crate::", None),
        ("maser::", None),
        ("super::", Some(depth)),
    ] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut rest = &code[at + root.len()..];
            if let Some(levels) = levels {
                let mut climbed = 1;
                while let Some(above) = rest.strip_prefix("super::") {
                    climbed += 1;
                    rest = above;
                }
                if climbed < levels {
                    continue; // Still inside its own module.
                }
            }
            let line = line_of(code, at);
            found.extend(first_names(rest).into_iter().map(|name| (line, name)));
        }
    }
    found
}

/// `a` of `a::b`, or `a` and `c` of `{a::b, c::{d, e}}`.
fn first_names(path: &str) -> Vec<String> {
    let first = |text: &str| words(text).next().map(|(_, word)| word.to_owned());
    if !path.starts_with('{') {
        return first(path).into_iter().collect();
    }
    let group = &path[1..after_brace(path, 0) - 1];
    let mut names = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                names.extend(first(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names.extend(first(&group[start..]));
    names
}

fn floors(all: &[Source]) -> Vec<String> {
    let is_module = |name: &str| FLOORS.iter().any(|(module, _)| *module == name);
    let mut complaints = Vec::new();
    for source in all {
        let top = source.top();
        let Some((_, allowed)) = FLOORS.iter().find(|(module, _)| *module == top) else {
            complaints.push(format!(
                "{}:1: `{top}` has no floor in tests/tidy.rs",
                source.path
            ));
            continue;
        };
        for (line, name) in imports(source) {
            if is_module(&name) && name != top && !allowed.contains(&name.as_str()) {
                let path = &source.path;
                complaints.push(format!("{path}:{line}: `{top}` may not import `{name}`"));
            }
        }
    }
    complaints
}

#[test]
fn a_module_imports_from_floors_below() {
    assert_none(&floors(&src()));
    let good = "use crate::wire::Mode;\nuse super::super::wire;\n// crate::node\n\
                #[cfg(test)]\nmod tests { use crate::node::Node; }\n";
    let bad = "use x;\nuse crate::config::Config;";
    assert_tells(floors, "src/server/a.rs", bad, 2, good);
    let bad = "use crate::{wire::{A, B}, node};";
    assert_tells(floors, "src/server/a.rs", bad, 1, good);
    let bad = "use super::config::Config;";
    assert_tells(floors, "src/control/mod.rs", bad, 1, "use super::wire;");
    let bad = "fn f() { super::super::sys::now() }";
    assert_tells(floors, "src/wire/a.rs", bad, 1, "use super::config;");
    assert_tells(
        floors,
        "src/main.rs",
        "use maser::sys::clock;",
        1,
        "use maser::cli;",
    );
    assert_eq!(floors(&[Source::new("src/cellar/mod.rs", "")]).len(), 1);
}
