//! Patterns of file names, as `include` has them (glob(7)): `*`, `?`, `[a-z]`, `[!a-z]`, `\`.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::Outside;

/// Whether a word is a pattern, not a plain name.
pub(super) fn is_pattern(word: &str) -> bool {
    word.contains(['*', '?', '['])
}

/// The paths that fit a pattern, sorted; none is no error.
pub(super) fn expand(pattern: &str, outside: &dyn Outside) -> io::Result<Vec<PathBuf>> {
    let mut paths = vec![PathBuf::new()];
    let mut sure = true; // that the paths exist: not known of those made by a pattern
    for component in Path::new(pattern).components() {
        match component {
            Component::Normal(name) if !sure || is_pattern(&name.to_string_lossy()) => {
                sure = false;
                let mut fitting = Vec::new();
                for directory in &paths {
                    let names = names(directory, outside)?;
                    let fits = |entry: &&String| matches(&name.to_string_lossy(), entry);
                    fitting.extend(names.iter().filter(fits).map(|entry| directory.join(entry)));
                }
                paths = fitting;
            }
            other => paths.iter_mut().for_each(|path| path.push(other)),
        }
    }
    paths.sort();
    Ok(paths)
}

/// The names in a directory; none where there is no such directory.
fn names(directory: &Path, outside: &dyn Outside) -> io::Result<Vec<String>> {
    let here = Path::new(".");
    let directory = if directory.as_os_str().is_empty() {
        here
    } else {
        directory
    };
    let paths = match outside.list(directory) {
        Ok(paths) => paths,
        Err(error) if is_absent(&error) => Vec::new(),
        Err(error) => return Err(error),
    };
    let name = |path: &PathBuf| Some(path.file_name()?.to_str()?.to_owned());
    Ok(paths.iter().filter_map(name).collect())
}

/// Whether an error only says that there is nothing.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Whether a name fits a pattern. A leading dot must be matched by a dot.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Behind the last star, and the place in the name at which it stopped: one star to go back to is
    // enough, so a long pattern costs no more than the product of the lengths.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            p += 1;
            star = Some((p, n));
            continue;
        }
        if let Some(next) = matches_one(&pattern, p, name[n]) {
            (p, n) = (next, n + 1);
            continue;
        }
        let Some((behind, stopped)) = &mut star else {
            return false;
        };
        *stopped += 1;
        (p, n) = (*behind, *stopped);
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

/// Where the pattern goes on behind the element at `at`, if that matches the character.
fn matches_one(pattern: &[char], at: usize, character: char) -> Option<usize> {
    match *pattern.get(at)? {
        '?' => Some(at + 1),
        '[' => match set(pattern, at + 1, character) {
            Some((true, behind)) => Some(behind),
            Some((false, _)) => None,
            None => (character == '[').then_some(at + 1), // never closed: an ordinary bracket
        },
        '\\' if at + 1 < pattern.len() => (pattern[at + 1] == character).then_some(at + 2),
        plain => (plain == character).then_some(at + 1),
    }
}

/// Whether the set that starts at `start` has the character, and where the pattern goes on.
fn set(pattern: &[char], start: usize, character: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(start), Some('!' | '^'));
    let first = start + usize::from(negated);
    let mut at = first;
    let mut found = false;
    loop {
        let low = *pattern.get(at)?;
        if low == ']' && at > first {
            return Some((found != negated, at + 1));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some('-'), Some(high)) if *high != ']' => {
                found |= (low..=*high).contains(&character);
                at += 3;
            }
            _ => {
                found |= low == character;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_names() {
        for (pattern, yes, no) in [
            ("*.conf", "a.conf", "a.con"),
            ("*.conf", "a.conf.conf", ".conf"),
            (".*", ".conf", "conf"),
            ("a?c", "abc", "ac"),
            ("[0-9]*", "10-local", "local"),
            ("[!0-9]*", "local", "10-local"),
            ("[]a]", "]", "b"),
            ("[a-]", "-", "b"),
            ("[a", "[a", "a"),
            ("\\*", "*", "a"),
            ("*a*b*c", "xxaxxbxxc", "xxaxxcxxb"),
        ] {
            assert!(matches(pattern, yes), "{pattern} {yes}");
            assert!(!matches(pattern, no), "{pattern} {no}");
        }
    }

    #[test]
    fn many_stars_end_soon() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(1000)));
    }
}
