//! A report as it is written: lines for people, or the same figures as comma-separated values.

use std::fmt::{Display, Write as _};

/// What a report is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// chronyc's lines.
    Text,
    /// What `chronyc -c` prints: one line a record, neither titles nor units.
    Csv,
    /// One JSON value.
    Json,
}

/// A report being written, in [`Form::Text`] or [`Form::Csv`].
#[derive(Debug)]
pub(super) struct Sheet {
    is_csv: bool,
    text: String,
    is_fresh: bool,
}

impl Sheet {
    pub(super) const fn new(form: Form) -> Self {
        Self {
            is_csv: matches!(form, Form::Csv),
            text: String::new(),
            is_fresh: true,
        }
    }

    /// A field that people and programs are shown differently.
    pub(super) fn field(&mut self, text: impl Display, csv: impl Display) -> &mut Self {
        if !self.is_csv {
            return self.say(text);
        }
        if !self.is_fresh {
            self.text.push(',');
        }
        self.is_fresh = false;
        self.add(csv)
    }

    /// A field that is the same in both.
    pub(super) fn both(&mut self, value: impl Display) -> &mut Self {
        if self.is_csv {
            self.field("", value)
        } else {
            self.say(value)
        }
    }

    /// What stands around the fields, for people only.
    pub(super) fn say(&mut self, words: impl Display) -> &mut Self {
        if self.is_csv {
            return self;
        }
        self.add(words)
    }

    /// The end of a line that is not the end of a record.
    pub(super) fn turn(&mut self) -> &mut Self {
        self.say("\n")
    }

    /// The end of a record.
    pub(super) fn end(&mut self) -> &mut Self {
        self.is_fresh = true;
        self.add("\n")
    }

    /// A title and the rule below it.
    pub(super) fn title(&mut self, title: &str) -> &mut Self {
        let rule = "=".repeat(title.len());
        self.say(format_args!("{title}\n{rule}\n"))
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn add(&mut self, value: impl Display) -> &mut Self {
        write!(self.text, "{value}").expect("a string takes everything");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: Form) -> String {
        let mut sheet = Sheet::new(form);
        sheet
            .title("A  B")
            .field(" 1s", 1)
            .say(" of ")
            .both(2)
            .end();
        sheet.both("x").turn().both("y").end();
        sheet.into_text()
    }

    #[test]
    fn the_same_in_two_forms() {
        assert_eq!(written(Form::Text), "A  B\n====\n 1s of 2\nx\ny\n");
        assert_eq!(written(Form::Csv), "1,2\nx,y\n");
    }
}
