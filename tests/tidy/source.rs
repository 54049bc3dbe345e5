//! A Rust file as the tidy rules read it: code without comments, strings and tests.

use std::path::{Path, PathBuf};

/// One Rust file, with what each rule asks of it worked out once.
pub(crate) struct Source {
    /// Relative to the package, with `/`.
    pub(crate) path: String,
    /// The text with every comment and the inside of every string and character blanked; lines stay
    /// where they were.
    pub(crate) code: String,
    /// `code` with test modules blanked as well; empty for a file of tests.
    pub(crate) shipped: String,
}

impl Source {
    /// From a path relative to the package, and the file's text.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = blank_comments_and_strings(text);
        let shipped = if is_test_file(path) {
            String::new()
        } else {
            blank_test_modules(&code)
        };
        Self {
            path: path.to_owned(),
            code,
            shipped,
        }
    }

    /// The module path below the crate: `["wire", "mac"]` for `src/wire/mac.rs`. `src/lib.rs` is the
    /// root; a binary is a module of its own name.
    pub(crate) fn module(&self) -> Vec<&str> {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let below = below.strip_suffix(".rs").unwrap_or(below);
        let below = below.strip_suffix("/mod").unwrap_or(below);
        match below {
            "lib" => Vec::new(),
            other => other.split('/').collect(),
        }
    }

    /// The module of the first floor that this file belongs to; `lib` for the root.
    pub(crate) fn top(&self) -> &str {
        self.module().first().copied().unwrap_or("lib")
    }

    /// Lines of code that ship: not blank, not comment, not test.
    pub(crate) fn shipped_lines(&self) -> usize {
        self.shipped
            .lines()
            .filter(|l| !l.trim().is_empty())
            .count()
    }
}

/// All Rust files below `folder` of the package at `root`, in a stable order.
pub(crate) fn sources(root: &Path, folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    walk(&root.join(folder), &mut paths);
    let mut found: Vec<_> = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .map(|path| {
            let relative = path.strip_prefix(root).expect("walked from the root");
            let text = std::fs::read_to_string(path).expect("a source file is text");
            Source::new(&relative.to_string_lossy(), &text)
        })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Every file below `folder` but build output and version control.
pub(crate) fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    const SKIPPED: [&str; 5] = ["target", ".git", "__pycache__", "corpus", "artifacts"];
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder {
            found.push(entry.path());
        } else if !SKIPPED.iter().any(|skipped| name == *skipped) {
            walk(&entry.path(), found);
        }
    }
}

/// The identifiers of a line, each with the byte where it begins.
pub(crate) fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = line.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && !is_word(bytes[at]) {
            at += 1;
        }
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        (start < at).then(|| (start, &line[start..at]))
    })
}

/// The byte behind the brace that closes the one at `open`; the end where none does.
pub(crate) fn after_brace(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// The number of the line that holds a byte, from 1.
pub(crate) fn line_of(code: &str, at: usize) -> usize {
    code.as_bytes()[..at]
        .iter()
        .filter(|b| **b == b'\n')
        .count()
        + 1
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.starts_with("src/") && path.contains("/tests/")
}

fn blank_comments_and_strings(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut blank = |from: usize, to: usize| {
        for byte in &mut code[from..to] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    };
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let word_before =
            at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        if rest.starts_with(b"//") {
            let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            blank(at, at + length);
            at += length;
        } else if rest.starts_with(b"/*") {
            let length = block_comment(rest);
            blank(at, at + length);
            at += length;
        } else if let (false, Some((open, length))) = (word_before, raw_string(rest)) {
            blank(at + open, at + length - 1);
            at += length;
        } else if rest[0] == b'"' {
            let length = quoted(rest, b'"');
            blank(at + 1, (at + length - 1).max(at + 1));
            at += length;
        } else if rest[0] == b'\'' && is_character(rest) {
            let length = quoted(rest, b'\'');
            blank(at + 1, at + length - 1);
            at += length;
        } else {
            at += 1;
        }
    }
    String::from_utf8(code).expect("only whole comments and strings were blanked")
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Length of the opening and of the whole of `r"…"`, `r#"…"#`, `br"…"`.
fn raw_string(rest: &[u8]) -> Option<(usize, usize)> {
    let mut open = usize::from(rest.starts_with(b"b"));
    if rest.get(open) != Some(&b'r') {
        return None;
    }
    open += 1;
    let hashes = rest[open..].iter().take_while(|b| **b == b'#').count();
    open += hashes + 1;
    if rest.get(open - 1) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.extend(vec![b'#'; hashes]);
    let inside = rest[open..]
        .windows(end.len())
        .position(|window| window == end)?;
    Some((open, open + inside + end.len()))
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Whether a `'` begins a character and not a lifetime.
fn is_character(rest: &[u8]) -> bool {
    match rest {
        [_, b'\\', ..] => true,
        [_, first, ..] if first.is_ascii() => rest.get(2) == Some(&b'\''),
        [_, _, ..] => true,
        _ => false,
    }
}

fn blank_test_modules(code: &str) -> String {
    let mut shipped = code.to_owned();
    while let Some(from) = shipped.find("#[cfg(test)]") {
        // An item ends with its braces or its semicolon, whichever comes first.
        let rest = &shipped[from..];
        let to = match (rest.find('{'), rest.find(';')) {
            (Some(open), Some(end)) if end < open => from + end + 1,
            (Some(open), _) => after_brace(&shipped, from + open),
            (None, Some(end)) => from + end + 1,
            (None, None) => shipped.len(),
        };
        let blank: String = shipped[from..to]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        shipped.replace_range(from..to, &blank);
    }
    shipped
}
