//! What is wrong with a configuration, what is worth saying about it, and where.

use core::fmt::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

/// Where something was typed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file as a whole.
    File(Arc<Path>),
    /// A line of a file, counted from 1.
    Line(Arc<Path>, usize),
    /// An argument of the command line, counted from 1; each is one line.
    Argument(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Line(file, line) => write!(f, "{}:{line}", file.display()),
            Self::Argument(number) => write!(f, "argument {number}"),
        }
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {}{fault}", Subject(.directive))]
pub struct ConfigError {
    /// The line it is on.
    pub place: Place,
    /// The byte of the line at which the faulty word starts, counted from 1.
    pub column: usize,
    /// The directive as typed; empty where a line or file cannot be read at all.
    pub directive: String,
    /// What is wrong, and what would be right.
    pub fault: Fault,
}

/// All mistakes of a configuration, in the order in which they were met; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", Lines(.0))]
pub struct ConfigErrors(pub Vec<ConfigError>);

/// Something that is not wrong but that the operator should hear of, once, at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The first line it is about.
    pub place: Place,
    /// The directive by its name in the table.
    pub directive: String,
    /// What there is to say.
    pub text: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = Subject(&self.directive);
        write!(f, "{}: {subject}{}", self.place, self.text)
    }
}

/// The kinds of mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No row of the table has this name.
    #[error("no such directive{}", Suggestion(.nearest))]
    Unknown {
        /// The row whose name differs least, if one comes near.
        nearest: Option<&'static str>,
    },
    /// The line ends where something must follow.
    #[error("expected {expected}, found nothing")]
    Missing {
        /// What must follow.
        expected: String,
    },
    /// A word of the wrong kind, or out of range.
    #[error("expected {expected}, found {}", Quoted(.found))]
    Unexpected {
        /// What would be right.
        expected: String,
        /// The word.
        found: String,
    },
    /// More words than the directive takes.
    #[error("expected the end of the line, found {}", Quoted(.found))]
    Surplus {
        /// The first word too many.
        found: String,
    },
    /// Accepting it would be a lie.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The line has more bytes than chrony reads.
    #[error("the line has {0} bytes, the most is 2047; divide it")]
    TooLong(usize),
    /// The line is not UTF-8.
    #[error("the line is not UTF-8; only comments may hold other bytes")]
    NotText,
    /// A file or a name that the line leads to cannot be had.
    #[error("cannot {}: {reason}", Plain(.action))]
    Unreachable {
        /// What was tried.
        action: String,
        /// Why it failed.
        reason: String,
    },
    /// Files include each other without end.
    #[error("files include each other more than {0} deep")]
    TooDeep(usize),
    /// Two directives that exclude each other.
    #[error("cannot stand together with {0}; remove one of them")]
    Excludes(&'static str),
}

/// A fault and the byte it starts at: all that a parser of words knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) column: usize,
    pub(super) fault: Fault,
}

struct Subject<'a>(&'a str);

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, "{}: ", Plain(cut(self.0)))
    }
}

/// Text without a character that would steer a terminal.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_debug())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", cut(self.0))
    }
}

struct Suggestion<'a>(&'a Option<&'static str>);

impl fmt::Display for Suggestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "; did you mean {name}?"),
            None => Ok(()),
        }
    }
}

struct Lines<'a>(&'a [ConfigError]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            let newline = if at == 0 { "" } else { "\n" };
            write!(f, "{newline}{error}")?;
        }
        Ok(())
    }
}

/// At most [`SHOWN_LEN_MAX`] bytes of a word, so that no line of a file floods the screen.
fn cut(word: &str) -> &str {
    &word[..word.floor_char_boundary(SHOWN_LEN_MAX)]
}

const SHOWN_LEN_MAX: usize = 64;
