//! One value that is not as it must be.

use std::fmt;

/// A value that is not as it must be: which one, what was expected, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field, with its unit where it has one, for example `lat_deg`.
    pub field: &'static str,
    /// What was expected, in words.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl Fault {
    pub(crate) fn new(field: &'static str, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self { field, expected: expected.to_string(), found: found.to_string() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.field, self.expected, self.found)
    }
}

/// Passes when `good`, else says what was expected of `field` and what was found.
pub(crate) fn expect(
    good: bool,
    field: &'static str,
    expected: impl fmt::Display,
    found: impl fmt::Display,
) -> Result<(), Fault> {
    if good { Ok(()) } else { Err(Fault::new(field, expected, found)) }
}

impl std::error::Error for Fault {}
