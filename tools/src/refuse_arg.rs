//! Which bad frames get no fix, on the command line.

use std::str::FromStr;

use geolocated::locate::{BadFrame, RefusedFrames};

/// A kind of bad frames, or all, or none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefuseArg {
    /// All kinds.
    All,
    /// No kind.
    None,
    /// This kind.
    Kind(BadFrame),
}

impl FromStr for RefuseArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = || BadFrame::ALL.into_iter().find(|kind| kind.as_str() == text);
        match text {
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            _ => kind().map(Self::Kind).ok_or_else(|| {
                let kinds = BadFrame::ALL.map(BadFrame::as_str).join(", ");
                format!("found {text:?}, expected all, none or one of {kinds}")
            }),
        }
    }
}

/// The kinds that were named together.
pub fn refused(args: &[RefuseArg]) -> RefusedFrames {
    let named = |kind: &BadFrame| args.contains(&RefuseArg::All) || args.contains(&RefuseArg::Kind(*kind));
    RefusedFrames(BadFrame::ALL.into_iter().filter(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_one_by_one_or_together() {
        let read = |text: &str| refused(&text.split(',').map(|word| word.parse().unwrap()).collect::<Vec<_>>());
        assert_eq!(read("all"), RefusedFrames(BadFrame::ALL.to_vec()));
        assert_eq!(read("none"), RefusedFrames::none());
        assert_eq!(read("blurred,dark").0, [BadFrame::Dark, BadFrame::Blurred]);
        assert!("fog".parse::<RefuseArg>().unwrap_err().contains("expected all, none or one of dark, covered"));
    }
}
