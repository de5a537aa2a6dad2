//! A row of the poses, as a build takes it in and keeps it in a temporary file.

use index_shards::{Footprint, Place};
use serde::{Deserialize, Serialize};

use crate::poses::Refused;

/// A row that can be used.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct InputRow {
    /// Position among all rows, bad ones counted: that of its vector in a matrix.
    pub(super) index: usize,
    /// The picture, relative to the folder of pictures; also the name of the reference.
    pub(super) file: String,
    pub(super) place: Place,
    /// What it comes from.
    pub(super) source: Option<String>,
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadRow {
    /// Position among all rows.
    pub(super) index: usize,
    /// The picture, as far as the row names one.
    pub(super) file: Option<String>,
    pub(super) refused: Refused,
}

/// A row of the poses.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Input {
    Good(InputRow),
    Bad(BadRow),
}

/// A row as it is written: without names of fields, which would be longer than they.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum StoredInput {
    /// Index, file, coordinates; altitude, heading and time; footprint; source.
    #[serde(rename = "+")]
    Good(usize, String, f64, f64, Details, Option<Footprint>, Option<String>),
    /// Index, file; name, reason and message.
    #[serde(rename = "-")]
    Bad(usize, Option<String>, String, String, String),
}

type Details = (Option<f32>, Option<f32>, Option<i64>);

impl From<InputRow> for StoredInput {
    fn from(row: InputRow) -> Self {
        let Place { lat_deg, lon_deg, alt_m, heading_deg, captured_at_ms, footprint } = row.place;
        let details = (alt_m, heading_deg, captured_at_ms);
        Self::Good(row.index, row.file, lat_deg, lon_deg, details, footprint, row.source)
    }
}

impl From<BadRow> for StoredInput {
    fn from(BadRow { index, file, refused: Refused { name, reason, message } }: BadRow) -> Self {
        Self::Bad(index, file, name, reason.to_owned(), message)
    }
}

impl From<StoredInput> for Input {
    fn from(stored: StoredInput) -> Self {
        match stored {
            StoredInput::Good(index, file, lat_deg, lon_deg, details, footprint, source) => {
                let (alt_m, heading_deg, captured_at_ms) = details;
                let place = Place { lat_deg, lon_deg, alt_m, heading_deg, captured_at_ms, footprint };
                Self::Good(InputRow { index, file, place, source })
            }
            StoredInput::Bad(index, file, name, reason, message) => {
                let reason = crate::left_out::reason(&reason).unwrap_or("bad_row");
                Self::Bad(BadRow { index, file, refused: Refused { name, reason, message } })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn again(stored: &StoredInput) -> Input {
        serde_json::from_slice::<StoredInput>(&serde_json::to_vec(stored).unwrap()).unwrap().into()
    }

    proptest! {
        #[test]
        fn rows_come_back_bit_for_bit(
            (index, file, source) in (any::<usize>(), ".*", proptest::option::of(".*")),
            (lat_deg, lon_deg) in (-90.0..90.0_f64, -180.0..180.0_f64),
            (alt_m, heading_deg) in (proptest::option::of(-1e5_f32..1e6), proptest::option::of(0.0_f32..360.0)),
            captured_at_ms in proptest::option::of(any::<i64>()),
            south_deg in proptest::option::of(-90.0..89.0_f64),
        ) {
            let edges = |south_deg| Footprint { north_deg: 90.0, west_deg: lon_deg, south_deg, east_deg: 0.1 };
            let footprint = south_deg.map(edges);
            let place = Place { lat_deg, lon_deg, alt_m, heading_deg, captured_at_ms, footprint };
            let row = InputRow { index, file, place, source };
            prop_assert_eq!(again(&row.clone().into()), Input::Good(row));
        }
    }

    #[test]
    fn bad_rows_come_back() {
        let refused = Refused { name: "p.csv, line 2".into(), reason: "no_position", message: "\"\n".into() };
        let bad = BadRow { index: 7, file: None, refused };
        assert_eq!(again(&bad.clone().into()), Input::Bad(bad));
    }
}
