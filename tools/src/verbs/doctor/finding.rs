//! One thing that was looked at.

use std::fmt::Display;

use serde::Serialize;

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// As it should be.
    Good,
    /// It works, and could be better.
    Warning,
    /// It does not work.
    Wrong,
}

/// What was looked at, how it stands, and how to mend it.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    pub(super) state: State,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Finding {
    pub(super) fn good(check: &'static str, what: impl Display) -> Self {
        Self { check, state: State::Good, what: what.to_string(), mend: None }
    }

    pub(super) fn warning(check: &'static str, what: impl Display, mend: impl Into<String>) -> Self {
        Self { check, state: State::Warning, what: what.to_string(), mend: Some(mend.into()) }
    }

    pub(super) fn wrong(check: &'static str, what: impl Display, mend: impl Into<String>) -> Self {
        Self { check, state: State::Wrong, what: what.to_string(), mend: Some(mend.into()) }
    }

    /// For people: a line, and one more with how to mend it.
    pub(super) fn text(&self) -> String {
        let state = match self.state {
            State::Good => "good",
            State::Warning => "warning",
            State::Wrong => "WRONG",
        };
        let mend = self.mend.as_ref().map(|mend| format!("{:19} -> {mend}\n", "")).unwrap_or_default();
        format!("{state:<8} {:<10} {}\n{mend}", self.check, self.what)
    }
}
