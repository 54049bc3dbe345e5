//! One line: words with the columns they start at, or nothing.
//!
//! chrony.conf(5): words are divided by white space, and a line is a comment only if its first
//! character that is not blank says so. There is no quoting, no continuation and no comment behind a
//! directive.

/// A word and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// The word itself, never empty.
    pub(super) text: &'a str,
    /// The byte it starts at, counted from 1.
    pub(super) column: usize,
}

/// The words of a line, in order; none for a comment.
pub(super) fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    if is_comment(line.as_bytes()) {
        return words;
    }
    let mut rest = 0;
    for text in line.split(is_blank) {
        if !text.is_empty() {
            let column = rest + 1;
            words.push(Word { text, column });
        }
        rest += text.len() + 1; // every blank is one byte
    }
    words
}

/// The lines of a file, each without its newline, and whether it had one.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    text.split_inclusive(|byte| *byte == b'\n')
        .map(|line| match line.strip_suffix(b"\n") {
            Some(line) => (line, true),
            None => (line, false),
        })
}

/// Whether a line says nothing, in which case it may hold bytes of any kind and number.
pub(super) fn is_comment(line: &[u8]) -> bool {
    line.iter()
        .find(|byte| !is_blank(char::from(**byte)))
        .is_none_or(|first| b"!;#%".contains(first))
}

/// White space as C's `isspace` has it, which is what chrony asks.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// A line holds at most this many bytes.
pub(super) const LINE_LEN_MAX: usize = 2047;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_know_their_columns() {
        let words = words("  makestep\t1.0  3\r");
        let expected = [("makestep", 3), ("1.0", 12), ("3", 17)];
        assert_eq!(
            words,
            expected
                .map(|(text, column)| Word { text, column })
                .to_vec()
        );
    }

    #[test]
    fn comments_are_whole_lines_only() {
        for comment in ["", "   ", "! a", "; a", "#a", " \t% a"] {
            assert!(words(comment).is_empty(), "{comment:?}");
        }
        assert_eq!(words("port 123 # ours").len(), 4);
    }

    #[test]
    fn the_last_line_may_lack_its_newline() {
        let found: Vec<_> = lines(b"a\n\nb").collect();
        assert_eq!(found, [(&b"a"[..], true), (b"", true), (b"b", false)]);
        assert_eq!(lines(b"").count(), 0);
    }

    proptest! {
        #[test]
        fn columns_point_at_the_words(line in "[ \t\u{e9}a-c!#]{0,40}") {
            for word in words(&line) {
                prop_assert!(line[word.column - 1..].starts_with(word.text));
            }
        }
    }
}
