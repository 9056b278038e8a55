//! What is wrong with a parameter, in words that never repeat its value.

use std::fmt;

/// One parameter that an operation does not take as it was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Misfit {
    /// The parameter.
    pub parameter: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Problem {
    /// The operation has no such parameter.
    Unknown,
    /// It must be there and is not.
    Missing,
    /// It is no flag.
    NoFlag,
    /// It is no whole number.
    NoInteger,
    /// It is no number.
    NoNumber,
    /// The number is too small.
    Below(f64),
    /// The number is too large.
    Above(f64),
    /// The text is too short.
    Short(usize),
    /// The text is too long.
    Long(usize),
    /// It is none of the values there are.
    NoWord(Vec<Box<str>>),
    /// The text does not match the expression.
    Pattern(Box<str>),
    /// The text has not the named form.
    Form(Box<str>),
    /// A part of the property string has no key, and there is none that it could stand for.
    NoKey,
    /// A key of the property string does not fit.
    Key(Box<str>, Box<Problem>),
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => formatter.write_str("is not a parameter of this operation"),
            Self::Missing => formatter.write_str("is required"),
            Self::NoFlag => formatter.write_str("must be a boolean: 0 or 1"),
            Self::NoInteger => formatter.write_str("must be a whole number"),
            Self::NoNumber => formatter.write_str("must be a number"),
            Self::Below(least) => write!(formatter, "must be at least {least}"),
            Self::Above(most) => write!(formatter, "must be at most {most}"),
            Self::Short(least) => write!(formatter, "must have at least {least} characters"),
            Self::Long(most) => write!(formatter, "must have at most {most} characters"),
            Self::NoWord(words) => write!(formatter, "must be one of: {}", words.join(", ")),
            Self::Pattern(source) => write!(formatter, "must match the pattern {source}"),
            Self::Form(name) => write!(formatter, "must have the form {name}"),
            Self::NoKey => formatter.write_str("must be a list of key=value"),
            Self::Key(key, problem) => write!(formatter, "key `{key}` {problem}"),
        }
    }
}
