//! What two fields say of a place.

use super::trimmed;

/// A place, or one word for why there is none and a sentence that says it.
pub(super) type Checked = Result<(f64, f64), (&'static str, String)>;

/// Reads latitude and longitude in degrees. (0, 0), in the Gulf of Guinea, stands for an unknown place in every set that
/// has it.
pub(super) fn check(lat: &str, lon: &str) -> Checked {
    let number = |text: &str| trimmed(text).parse::<f64>().ok().filter(|value| value.is_finite());
    let (Some(lat_deg), Some(lon_deg)) = (number(lat), number(lon)) else {
        let found = format!("expected latitude and longitude in degrees, found {lat:?} and {lon:?}");
        return Err(("bad_row", found));
    };
    if lat_deg == 0.0 && lon_deg == 0.0 {
        return Err(("no_position", "latitude and longitude are 0, which stands for an unknown place".to_owned()));
    }
    if lat_deg.abs() <= 90.0 && lon_deg.abs() <= 180.0 {
        return Ok((lat_deg, lon_deg));
    }
    let found = format!("expected degrees within 90 and 180, found latitude {lat} and longitude {lon}");
    if lat_deg.abs() <= 180.0 && lon_deg.abs() <= 90.0 {
        Err(("swapped_coordinates", format!("{found}: they look swapped")))
    } else {
        Err(("impossible_coordinates", found))
    }
}

/// What the rows of a table say of which column is which: those that are impossible as named, and those that would be
/// were the two exchanged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Order {
    as_named: u64,
    exchanged: u64,
}

impl Order {
    /// Takes in a row.
    pub(super) fn add(&mut self, lat: &str, lon: &str) {
        let beyond = |text: &str| text.trim().parse::<f64>().is_ok_and(|value| value.abs() > 90.0);
        self.as_named += u64::from(beyond(lat));
        self.exchanged += u64::from(beyond(lon));
    }

    /// Whether the header names the two columns the wrong way round: rows are impossible as named, and none would be
    /// otherwise. Over all continents a third of the longitudes lie beyond 90 degrees.
    pub(super) fn is_exchanged(self) -> bool {
        self.as_named > 0 && self.exchanged == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_from_what_cannot_be_one() {
        assert_eq!(check(" 41.5", "-87.25 "), Ok((41.5, -87.25)));
        let reason = |lat, lon| check(lat, lon).unwrap_err().0;
        assert_eq!(reason("0", "0.0"), "no_position");
        assert_eq!(check("0", "7"), Ok((0.0, 7.0)));
        assert_eq!(reason("-87.6", "x"), "bad_row");
        assert_eq!(reason("NaN", "5"), "bad_row");
        assert_eq!(reason("139.7", "35.6"), "swapped_coordinates");
        assert_eq!(reason("139.7", "95"), "impossible_coordinates");
        assert_eq!(reason("50", "181"), "impossible_coordinates");
        assert_eq!(reason("190", "5"), "impossible_coordinates");
    }

    #[test]
    fn a_header_is_the_wrong_way_round_only_when_no_row_speaks_against_it() {
        let order = |rows: &[(&str, &str)]| {
            let mut order = Order::default();
            rows.iter().for_each(|(lat, lon)| order.add(lat, lon));
            order.is_exchanged()
        };
        assert!(order(&[("139.7", "35.6"), ("2.3", "48.8")]));
        assert!(!order(&[("35.6", "139.7"), ("48.8", "2.3")]));
        assert!(!order(&[("139.7", "35.6"), ("35.6", "139.7")]), "single rows are swapped, not the header");
        assert!(!order(&[("48.8", "2.3")]), "nothing speaks for either");
    }
}
