//! What is wrong with a variable.

use std::fmt;

/// A variable whose value cannot be used. The value itself is not repeated: it may be a secret in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}; for example {variable}={example}")]
pub struct Problem {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong, as the rest of a sentence that begins with the variable.
    pub problem: String,
    /// A value that would do.
    pub example: &'static str,
}

/// All variables whose values cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Invalid(pub Vec<Problem>);

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the environment cannot be used")?;
        self.0.iter().try_for_each(|problem| write!(formatter, "\n  {problem}"))
    }
}
