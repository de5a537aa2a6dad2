//! The kinds of queries that a gallery is asked.

use std::fmt;
use std::str::FromStr;

/// How a query relates to the stored rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueryKind {
    /// One more pass along a stored track: the same place, another light, another frame.
    Revisit,
    /// A new track in a region that is stored, through kinds of scenes that are.
    NewTrack,
    /// A revisit under another season and light: an offset that all such queries share, and more noise.
    Shifted,
    /// Another domain: another mean and another spectrum; nothing like it is stored.
    Foreign,
}

impl QueryKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Revisit, Self::NewTrack, Self::Shifted, Self::Foreign];

    /// The name, as in file names and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Revisit => "revisit",
            Self::NewTrack => "new_track",
            Self::Shifted => "shifted",
            Self::Foreign => "foreign",
        }
    }
}

impl fmt::Display for QueryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for QueryKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        let wrong = || format!("found {text:?}, expected one of {names}");
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(wrong)
    }
}
