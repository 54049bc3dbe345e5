//! The words behind a directive's name, read one after the other.

use core::fmt::Display;
use core::net::IpAddr;
use core::ops::RangeInclusive;

use super::error::{At, Fault};
use super::line::Word;

/// A cursor over the arguments of one line. Each reader takes one word or says what is wrong with it.
pub(super) struct Arguments<'a> {
    words: &'a [Word<'a>],
    /// The option whose value is read next, to be named in a message.
    option: Option<Word<'a>>,
    /// Where an argument would stand that is missing.
    end: usize,
}

impl<'a> Arguments<'a> {
    /// Over all words of a line but the first, which is the directive's name.
    pub(super) fn new(line: &'a [Word<'a>]) -> Self {
        let end = line.last().map_or(1, |word| word.column + word.text.len());
        Self {
            words: line.get(1..).unwrap_or_default(),
            option: None,
            end,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// How many words are left.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// The next word without taking it.
    pub(super) fn peek(&self) -> Option<&'a str> {
        self.words.first().map(|word| word.text)
    }

    /// Any word.
    pub(super) fn word(&mut self, expected: &str) -> Result<&'a str, At> {
        self.take(expected, Some)
    }

    /// The name of an option, in lower case; `None` at the end of the line.
    pub(super) fn option(&mut self) -> Option<String> {
        let (name, rest) = self.words.split_first()?;
        self.words = rest;
        self.option = Some(*name);
        Some(name.text.to_ascii_lowercase())
    }

    /// Takes the next word if it is this one, in exactly this case.
    pub(super) fn exactly(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(word);
        if found {
            self.words = &self.words[1..];
        }
        found
    }

    /// A whole number within the range.
    pub(super) fn integer<T>(&mut self, range: RangeInclusive<T>) -> Result<T, At>
    where
        T: Copy + Display + PartialOrd + core::str::FromStr,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.take(&expected, |word| {
            word.parse().ok().filter(|value| range.contains(value))
        })
    }

    /// A number within the range; not an infinite one.
    pub(super) fn number(&mut self, range: RangeInclusive<f64>) -> Result<f64, At> {
        let expected = match (*range.start(), *range.end()) {
            (f64::MIN, f64::MAX) => "a number".to_owned(),
            (start, f64::MAX) => format!("a number of at least {start}"),
            (start, end) => format!("a number from {start} to {end}"),
        };
        self.take(&expected, |word| {
            word.parse().ok().filter(|value| range.contains(value))
        })
    }

    /// An address of either family.
    pub(super) fn address(&mut self) -> Result<IpAddr, At> {
        self.take("an IP address", |word| word.parse().ok())
    }

    /// One of these words, in any case.
    pub(super) fn one_of<T: Copy>(&mut self, choices: &[(&str, T)]) -> Result<T, At> {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        self.take(&names.join(" or "), |word| {
            choices
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(word))
                .map(|(_, value)| *value)
        })
    }

    /// A word that `read` can make something of; `expected` says what that is.
    pub(super) fn take<T>(
        &mut self,
        expected: &str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, At> {
        let expected = match self.option {
            Some(option) => format!("{expected} after {}", option.text),
            None => expected.to_owned(),
        };
        let Some((word, rest)) = self.words.split_first() else {
            let column = self.end;
            return Err(At {
                column,
                fault: Fault::Missing { expected },
            });
        };
        let Some(value) = read(word.text) else {
            let found = word.text.to_owned();
            let fault = Fault::Unexpected { expected, found };
            return Err(At {
                column: word.column,
                fault,
            });
        };
        self.words = rest;
        Ok(value)
    }

    /// That the option taken last is none of those there are.
    pub(super) fn no_such_option(&self, expected: &str) -> At {
        let found = self.option.map_or("", |option| option.text).to_owned();
        let expected = expected.to_owned();
        self.at_option(Fault::Unexpected { expected, found })
    }

    /// A fault of the option taken last.
    pub(super) fn at_option(&self, fault: Fault) -> At {
        let column = self.option.map_or(self.end, |option| option.column);
        At { column, fault }
    }

    /// That nothing is left.
    pub(super) fn end(&self) -> Result<(), At> {
        match self.words.first() {
            None => Ok(()),
            Some(word) => Err(At {
                column: word.column,
                fault: Fault::Surplus {
                    found: word.text.to_owned(),
                },
            }),
        }
    }
}
