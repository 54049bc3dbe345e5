//! Text in a picture: how wide it is at most, where it is cut, and how it is written down.

/// How wide letters of this height are at most, with the widest of the fonts that the picture names (DejaVu
/// Sans).
pub(super) fn width(text: &str, height: f64) -> f64 {
    text.chars().map(|letter| advance(letter) * height).sum()
}

/// The text, or as much of its beginning as has room, and an ellipsis.
pub(super) fn cut(text: &str, height: f64, width_max: f64) -> String {
    if width(text, height) <= width_max {
        return text.to_owned();
    }
    let mut room = width_max - width("\u{2026}", height);
    let is_room = |letter: &char| {
        room -= advance(*letter) * height;
        room >= 0.0
    };
    text.chars()
        .take_while(is_room)
        .chain(['\u{2026}'])
        .collect()
}

/// As lines that have room; a word that has not is cut.
pub(super) fn wrapped(text: &str, height: f64, width_max: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = cut(word, height, width_max);
        match lines.last_mut() {
            Some(line) if width(line, height) + width(&word, height) + height < width_max => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// As XML takes it: nothing that ends a text or an attribute, and no control characters.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                safe.push('\u{fffd}')
            }
            letter => safe.push(letter),
        }
    }
    safe
}

/// A letter's share of its line's height. What is no letter of ours may be square, as Chinese is.
const fn advance(letter: char) -> f64 {
    match letter {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | ' ' => 0.34,
        'f' | 'r' | 't' | '-' | '(' | ')' | '[' | ']' | '/' | '!' | 'I' | 'J' => 0.42,
        'm' | 'M' | 'W' | 'w' | '%' | '@' | '\u{2026}' => 1.0,
        'A'..='Z' | '#' | '+' | '<' | '=' | '>' | '&' | '~' | '^' => 0.84,
        ' '..='~' => 0.64,
        _ => 1.1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_has_no_room_is_cut() {
        assert_eq!(cut("maser", 10.0, 34.0), "maser");
        assert_eq!(cut("maser, signed", 10.0, 50.0), "maser,\u{2026}");
        assert_eq!(wrapped("one two  three", 10.0, 60.0), ["one two", "three"]);
        assert_eq!(wrapped("  ", 10.0, 50.0), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn lines_have_room(text in ".{0,200}", width_max in 20.0..600.0f64) {
            prop_assert!(width(&cut(&text, 12.0, width_max), 12.0) <= width_max + 1e-9);
            for line in wrapped(&text, 12.0, width_max) {
                prop_assert!(width(&line, 12.0) <= width_max + 1e-9, "{line:?}");
            }
        }
    }
}
