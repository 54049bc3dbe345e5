//! Directives that are checked and kept as typed: their grammar as data.

use crate::config::arguments::Arguments;
use crate::config::error::At;

/// What one word must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// Any word; this is what it stands for.
    Word(&'static str),
    /// A whole number in this range.
    Integer(i64, i64),
    /// A number in this range.
    Number(f64, f64),
    /// An IP address.
    Address,
}

/// A stretch of arguments.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// One word.
    One(Value),
    /// One word or the end of the line.
    Optional(Value),
    /// All words that are left, each of this kind.
    Each(Value),
    /// Options in any order until the end of the line: name and what follows it.
    Options(&'static [(&'static str, Value)]),
}

/// The arguments of a directive, from left to right.
pub(super) type Form = &'static [Part];

/// Whether the words fit the form, to the end of the line.
pub(super) fn check(form: Form, arguments: &mut Arguments<'_>) -> Result<(), At> {
    for part in form {
        check_part(*part, arguments)?;
    }
    arguments.end()
}

fn check_part(part: Part, arguments: &mut Arguments<'_>) -> Result<(), At> {
    match part {
        Part::One(value) => check_value(value, arguments),
        Part::Optional(_) if arguments.is_empty() => Ok(()),
        Part::Optional(value) => check_value(value, arguments),
        Part::Each(value) => {
            while !arguments.is_empty() {
                check_value(value, arguments)?;
            }
            Ok(())
        }
        Part::Options(options) => {
            while let Some(name) = arguments.option() {
                let Some((_, value)) = options.iter().find(|(known, _)| *known == name) else {
                    return Err(arguments.no_such_option(&meant(&name, options)));
                };
                check_value(*value, arguments)?;
            }
            Ok(())
        }
    }
}

fn check_value(value: Value, arguments: &mut Arguments<'_>) -> Result<(), At> {
    match value {
        Value::Word(expected) => arguments.word(expected).map(drop),
        Value::Integer(least, most) => arguments.integer(least..=most).map(drop),
        Value::Number(least, most) => arguments.number(least..=most).map(drop),
        Value::Address => arguments.address().map(drop),
    }
}

/// The option that comes near `name`, or all of them if they are few.
fn meant(name: &str, options: &[(&'static str, Value)]) -> String {
    let names: Vec<_> = options.iter().map(|(name, _)| *name).collect();
    match super::nearest(name, names.iter().copied()) {
        Some(near) => near.to_owned(),
        None if names.len() <= OPTIONS_SHOWN_MAX => names.join(" or "),
        None => "an option that chrony.conf(5) has for it".to_owned(),
    }
}

const OPTIONS_SHOWN_MAX: usize = 10;
/// A number of at least 0.
pub(super) const POSITIVE: Value = Value::Number(0.0, f64::MAX);
/// A UDP or TCP port; 0 is none.
pub(super) const PORT: Value = Value::Integer(0, 65535);
