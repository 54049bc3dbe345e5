//! Rules of this code base that the compiler does not know: floors, names, lengths, where the
//! dangerous things may be.
//!
//! Each rule is one function from sources to complaints (`file:line: what`). It is tested twice: on
//! the code, which must give none, and on a small bad sample, which must give some.

use std::collections::BTreeSet;
use std::path::Path;

#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/text.rs"]
mod text;

use source::{Source, after_brace, line_of, sources, words};

/// Where the clock and randomness may be asked.
const CLOCK_FLOORS: [&str; 4] = ["sys", "node", "bench", "fastpath"];
const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Complains of each line of `text(source)` on which `finds` finds something, by what it names.
fn lines_with(
    all: &[Source],
    text: fn(&Source) -> &str,
    finds: impl Fn(&Source, &str) -> Option<String>,
) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in all {
        for (at, line) in text(source).lines().enumerate() {
            if let Some(what) = finds(source, line) {
                complaints.push(format!("{}:{}: {what}", source.path, at + 1));
            }
        }
    }
    complaints
}

/// The path `name::` on a line, not as the tail of a longer one.
fn has_path(line: &str, name: &str) -> bool {
    words(line).any(|(at, word)| {
        word == name && line[at + word.len()..].starts_with("::") && !line[..at].ends_with("::")
    })
}

fn wire_is_core_only(all: &[Source]) -> Vec<String> {
    lines_with(
        all,
        |s| &s.shipped,
        |source, line| {
            let used = ["std", "alloc"]
                .into_iter()
                .find(|name| has_path(line, name));
            let external = line
                .trim_start()
                .strip_prefix("use ")
                .and_then(|path| words(path).next())
                .map(|(_, word)| word)
                .filter(|word| !["core", "crate", "super", "self"].contains(word));
            let foreign = used.or(external)?;
            (source.top() == "wire").then(|| format!("`wire` uses `{foreign}`: core only"))
        },
    )
}

fn unsafe_in_sys_only(all: &[Source]) -> Vec<String> {
    lines_with(
        all,
        |s| &s.code,
        |source, line| {
            let keyword = words(line).any(|(_, word)| word == "unsafe");
            let found = if keyword {
                "unsafe"
            } else if has_path(line, "libc") {
                "libc::"
            } else {
                return None;
            };
            (source.top() != "sys").then(|| format!("`{found}` outside src/sys"))
        },
    )
}

fn mio_in_the_runtime_only(all: &[Source]) -> Vec<String> {
    lines_with(
        all,
        |s| &s.code,
        |source, line| {
            let outside = !["node", "bench"].contains(&source.top());
            (outside && has_path(line, "mio")).then(|| "`mio::` outside node and bench".to_owned())
        },
    )
}

fn clock_in_the_runtime_only(all: &[Source]) -> Vec<String> {
    lines_with(
        all,
        |s| &s.shipped,
        |source, line| {
            let word = words(line).map(|(_, word)| word).find(|word| {
                [
                    "SystemTime",
                    "UNIX_EPOCH",
                    "getrandom",
                    "RandomState",
                    "thread_rng",
                ]
                .contains(word)
            });
            let asked = word.or_else(|| line.contains("Instant::now").then_some("Instant::now"))?;
            let outside = !CLOCK_FLOORS.contains(&source.top());
            outside.then(|| {
                format!("`{asked}`: time and chance are arguments outside floor 4 and sys")
            })
        },
    )
}

fn files_are_short(all: &[Source]) -> Vec<String> {
    let long = all
        .iter()
        .filter(|source| source.shipped_lines() > FILE_LINES_MAX);
    long.map(|source| {
        format!(
            "{}:1: {} lines of code",
            source.path,
            source.shipped_lines()
        )
    })
    .collect()
}

fn functions_are_short(all: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in all {
        let code = &source.shipped;
        for (at, _) in words(code).filter(|(_, word)| *word == "fn") {
            let rest = &code[at..];
            if rest.starts_with("fn(") {
                continue; // The type of a function.
            }
            let Some(open) = rest.find('{').filter(|open| !rest[..*open].contains(';')) else {
                continue; // A declaration.
            };
            let body = &code[at + open + 1..after_brace(code, at + open) - 1];
            let length = body.lines().filter(|line| !line.trim().is_empty()).count();
            if length > FUNCTION_LINES_MAX {
                let line = line_of(code, at);
                complaints.push(format!(
                    "{}:{line}: a function of {length} lines",
                    source.path
                ));
            }
        }
    }
    complaints
}

/// The words of a name in `snake_case` or `CamelCase`, in lower case.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in name.chars() {
        let boundary = c == '_' || c == '-' || c == '.';
        let last = parts.last_mut().expect("never empty");
        if boundary || c.is_uppercase() && last.chars().next_back().is_some_and(char::is_lowercase)
        {
            parts.push(String::new());
        }
        if !boundary {
            parts
                .last_mut()
                .expect("never empty")
                .extend(c.to_lowercase());
        }
    }
    parts
}

fn says_nothing(name: &str) -> bool {
    parts(name).iter().any(|part| {
        let singular = part.strip_suffix('s').unwrap_or(part);
        ["manager", "helper", "util", "common"].contains(&singular)
    })
}

fn names_say_something(all: &[Source]) -> Vec<String> {
    let mut complaints = lines_with(
        all,
        |s| &s.code,
        |_, line| {
            let kinds = ["struct", "enum", "trait", "type", "union", "mod"];
            let named: Vec<_> = words(line).map(|(_, word)| word).collect();
            let pair = named
                .windows(2)
                .find(|w| kinds.contains(&w[0]) && says_nothing(w[1]))?;
            Some(format!("`{}` is no name", pair[1]))
        },
    );
    for source in all.iter().filter(|s| s.path.split('/').any(says_nothing)) {
        complaints.push(format!("{}:1: the path says nothing", source.path));
    }
    complaints
}

fn files_are_reachable(all: &[Source]) -> Vec<String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<String> = vec!["src/lib.rs".to_owned(), "src/main.rs".to_owned()];
    while let Some(path) = open.pop() {
        let Some(source) = all.iter().find(|source| source.path == path) else {
            continue;
        };
        if !reached.insert(path.clone()) {
            continue;
        }
        let is_root = ["lib.rs", "main.rs", "mod.rs"]
            .iter()
            .any(|end| path.ends_with(end));
        let folder = if is_root {
            path.rsplit_once('/').expect("below src").0.to_owned()
        } else {
            path.trim_end_matches(".rs").to_owned()
        };
        for line in source.code.lines() {
            let named: Vec<_> = words(line).map(|(_, word)| word).collect();
            if let Some(pair) = named.windows(2).find(|w| w[0] == "mod") {
                open.push(format!("{folder}/{}.rs", pair[1]));
                open.push(format!("{folder}/{}/mod.rs", pair[1]));
            }
        }
    }
    let lost = all.iter().filter(|source| !reached.contains(&source.path));
    lost.map(|source| format!("{}:1: no `mod` leads here", source.path))
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn src() -> Vec<Source> {
    let found = sources(root(), "src");
    assert!(found.iter().any(|source| source.path == "src/lib.rs"));
    found
}

/// All Rust of the package: also tests, benches and fuzz targets.
fn all_rust() -> Vec<Source> {
    let folders = ["src", "tests", "benches"];
    folders
        .iter()
        .flat_map(|folder| sources(root(), folder))
        .collect()
}

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// The rule complains of `bad`, at `line`, and not of `good`, both taken as the file `path`.
#[track_caller]
fn assert_tells(
    rule: fn(&[Source]) -> Vec<String>,
    path: &str,
    bad: &str,
    line: usize,
    good: &str,
) {
    let complaints = rule(&[Source::new(path, bad)]);
    let place = format!("{path}:{line}: ");
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(
        complaints[0].starts_with(&place),
        "{complaints:?} not at {place}"
    );
    assert_none(&rule(&[Source::new(path, good)]));
}

#[test]
fn wire_uses_core_only() {
    assert_none(&wire_is_core_only(&src()));
    let good =
        "use core::fmt;\nuse super::Mode;\n#[cfg(test)]\nmod tests { use proptest::prelude::*; }";
    assert_tells(wire_is_core_only, "src/wire/a.rs", "use std::fmt;", 1, good);
    let bad = "\nfn f() -> std::time::Duration {}";
    assert_tells(wire_is_core_only, "src/wire/mod.rs", bad, 2, good);
    assert_tells(
        wire_is_core_only,
        "src/wire/a.rs",
        "use subtle::Choice;",
        1,
        good,
    );
}

#[test]
fn unsafe_and_libc_live_in_sys() {
    assert_none(&unsafe_in_sys_only(&src()));
    let good = "// unsafe\nconst A: &str = \"unsafe { libc::read }\";\n#[deny(unsafe_code)]";
    assert_tells(
        unsafe_in_sys_only,
        "src/node/a.rs",
        "fn f() {\n    unsafe { g() }\n}",
        2,
        good,
    );
    assert_tells(
        unsafe_in_sys_only,
        "src/cli/mod.rs",
        "use libc::c_int;",
        1,
        good,
    );
    assert_none(&unsafe_in_sys_only(&[Source::new(
        "src/sys/udp.rs",
        "unsafe { libc::read() }",
    )]));
}

#[test]
fn mio_lives_in_the_runtime() {
    assert_none(&mio_in_the_runtime_only(&src()));
    let bad = "use mio::Poll;";
    assert_tells(
        mio_in_the_runtime_only,
        "src/server/a.rs",
        bad,
        1,
        "// mio::Poll",
    );
    assert_none(&mio_in_the_runtime_only(&[Source::new(
        "src/node/a.rs",
        bad,
    )]));
}

#[test]
fn time_and_chance_are_arguments() {
    assert_none(&clock_in_the_runtime_only(&src()));
    let good = "use std::time::Instant;\nfn f(now: Instant) {}";
    let rule = clock_in_the_runtime_only;
    assert_tells(
        rule,
        "src/server/a.rs",
        "let now = Instant::now();",
        1,
        good,
    );
    assert_tells(
        rule,
        "src/control/a.rs",
        "use std::time::SystemTime;",
        1,
        good,
    );
    assert_tells(
        rule,
        "src/config/a.rs",
        "\nsys::getrandom(&mut seed);",
        2,
        good,
    );
}

#[test]
fn a_file_is_at_most_600_lines_of_code() {
    assert_none(&files_are_short(&all_rust()));
    let bad = "let a = 1;\n".repeat(601);
    let good =
        "// why\n\n".repeat(400) + &"let a = 1;\n".repeat(600) + "#[cfg(test)]\nmod tests {\n}\n";
    assert_tells(files_are_short, "src/node/a.rs", &bad, 1, &good);
    assert_none(&files_are_short(&[Source::new(
        "src/node/a/tests.rs",
        &bad,
    )]));
}

#[test]
fn a_function_is_at_most_70_lines() {
    assert_none(&functions_are_short(&src()));
    let function = |lines| {
        format!(
            "\nfn f(g: fn(u8) -> u8) {{\n{}}}\n",
            "a();\n// why\n".repeat(lines)
        )
    };
    assert_tells(
        functions_are_short,
        "src/node/a.rs",
        &function(71),
        2,
        &function(70),
    );
}

#[test]
fn names_come_from_the_field() {
    assert_none(&names_say_something(&all_rust()));
    let good = "struct Commonwealth;\n// struct KeyManager\nmod utility;";
    assert_tells(
        names_say_something,
        "src/a.rs",
        "\nstruct KeyManager;",
        2,
        good,
    );
    assert_tells(
        names_say_something,
        "src/a.rs",
        "pub mod test_helpers;",
        1,
        good,
    );
    assert_eq!(
        names_say_something(&[Source::new("src/utils/a.rs", "")]).len(),
        1
    );
}

#[test]
fn every_file_is_reached_by_a_mod() {
    assert_none(&files_are_reachable(&src()));
    let tree = |lib| {
        [
            "src/node/mod.rs",
            "src/node/worker.rs",
            "src/node/worker/tests.rs",
        ]
        .map(|path| {
            Source::new(
                path,
                if path.ends_with("r.rs") {
                    "mod tests;"
                } else {
                    "mod worker;"
                },
            )
        })
        .into_iter()
        .chain([Source::new("src/lib.rs", lib)])
        .collect::<Vec<_>>()
    };
    assert_none(&files_are_reachable(&tree("pub mod node;")));
    assert_eq!(files_are_reachable(&tree("// mod node;")).len(), 3);
}

#[test]
fn the_reader_of_source_blanks_what_is_not_code() {
    let text =
        "a('\"'); b(\"x // \\\" y\"); c::<'static>(r#\"unsafe \" \"#); /* d /* e */ */ f(b'\\'');";
    let read = Source::new("src/a.rs", text);
    let kept: Vec<_> = words(&read.code).map(|(_, word)| word).collect();
    assert_eq!(kept, ["a", "b", "c", "static", "r", "f", "b"]);
    assert_eq!(read.code.len(), text.len());
    assert_eq!(Source::new("src/wire/mod.rs", "").module(), ["wire"]);
    assert_eq!(Source::new("src/lib.rs", "").top(), "lib");
}
