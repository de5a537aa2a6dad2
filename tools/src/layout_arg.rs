//! How the codes of a new shard are laid out, as an argument says it.

use std::str::FromStr;

use index_shards::LayoutChoice;

/// Rows of a list where the number of lists is not given.
const ROWS_PER_LIST: u64 = 1000;

/// What `--layout` says: `auto`, `flat`, `lists`, or `lists=NUMBER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutArg {
    /// By the number of rows.
    Auto,
    /// All rows in one list.
    Flat,
    /// Lists, whatever the number of rows: so many, or one for a thousand rows.
    Lists(Option<u32>),
}

impl LayoutArg {
    /// The layout of a shard of about so many rows.
    pub fn choice(self, rows: u64) -> LayoutChoice {
        match self {
            Self::Auto => LayoutChoice::Auto,
            Self::Flat => LayoutChoice::Flat,
            Self::Lists(Some(lists)) => LayoutChoice::Lists(lists),
            Self::Lists(None) => {
                LayoutChoice::Lists(u32::try_from(rows.div_ceil(ROWS_PER_LIST)).unwrap_or(u32::MAX).max(2))
            }
        }
    }
}

impl FromStr for LayoutArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("found {text:?}, expected auto, flat, lists, or lists=NUMBER with a number of at least 2");
        match text.split_once('=') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "flat" => Ok(Self::Flat),
            None if text == "lists" => Ok(Self::Lists(None)),
            Some(("lists", number)) => match number.parse::<u32>() {
                Ok(lists) if lists > 1 => Ok(Self::Lists(Some(lists))),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_named() {
        for (text, layout) in [
            ("auto", LayoutArg::Auto),
            ("flat", LayoutArg::Flat),
            ("lists", LayoutArg::Lists(None)),
            ("lists=64", LayoutArg::Lists(Some(64))),
        ] {
            assert_eq!(text.parse(), Ok(layout));
        }
        for bad in ["", "Auto", "lists=", "lists=1", "lists=x", "flat=3", "64"] {
            assert!(bad.parse::<LayoutArg>().unwrap_err().contains("lists=NUMBER"), "{bad}");
        }
    }

    #[test]
    fn a_list_has_about_a_thousand_rows_where_nothing_is_said() {
        assert_eq!(LayoutArg::Lists(None).choice(5001), LayoutChoice::Lists(6));
        assert_eq!(LayoutArg::Lists(None).choice(3), LayoutChoice::Lists(2));
        assert_eq!(LayoutArg::Lists(Some(9)).choice(3), LayoutChoice::Lists(9));
    }
}
