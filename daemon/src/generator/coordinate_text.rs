//! Reads the one place that an answer names, or none.
//!
//! JSON: an object with `latitude` and `longitude` (or `lat`, `lon`, `lng`), anywhere in the answer, with numbers or with
//! texts as below. Else text: two angles one after the other, decimal or in degrees, minutes and seconds, with or without
//! letters for the hemispheres, latitude first unless letters or labels say otherwise. An answer that names two places,
//! an impossible one, or (0, 0), the usual stand-in for "I don't know", is no answer: it never becomes a place.

use serde::Serialize;
use serde_json::{Map, Value};

use super::text_angle::{Angle, Axis, angles};

/// Two places that are nearer in both coordinates are the same, said twice; degrees.
const SAME_DEG: f64 = 1e-4;

/// Why an answer names no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoAnswer {
    /// There is no text.
    Empty,
    /// No two coordinates stand in it.
    Unparsable,
    /// They are no place on the Earth, or contradict themselves.
    Impossible,
    /// Several places stand in it.
    Several,
    /// Latitude and longitude are 0.
    Zero,
}

impl NoAnswer {
    /// The word that stands in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Unparsable => "unparsable",
            Self::Impossible => "impossible",
            Self::Several => "several",
            Self::Zero => "zero",
        }
    }
}

/// Latitude and longitude in WGS 84 degrees that `answer` names.
///
/// # Errors
/// Why it names none.
pub fn place(answer: &str) -> Result<(f64, f64), NoAnswer> {
    if answer.trim().is_empty() {
        return Err(NoAnswer::Empty);
    }
    let in_json = json_places(answer);
    let found = if in_json.is_empty() { text_places(answer) } else { in_json };
    let mut place = None;
    for found in found {
        let found = checked(found?)?;
        match place {
            Some(before) if !same(before, found) => return Err(NoAnswer::Several),
            _ => place = Some(found),
        }
    }
    place.ok_or(NoAnswer::Unparsable)
}

fn checked((lat, lon): (f64, f64)) -> Result<(f64, f64), NoAnswer> {
    if !(lat.abs() <= 90.0 && lon.abs() <= 180.0) {
        Err(NoAnswer::Impossible)
    } else if lat == 0.0 && lon == 0.0 {
        Err(NoAnswer::Zero)
    } else {
        Ok((lat, lon))
    }
}

fn same(a: (f64, f64), b: (f64, f64)) -> bool {
    (a.0 - b.0).abs() < SAME_DEG && (a.1 - b.1).abs() < SAME_DEG
}

type Found = Result<(f64, f64), NoAnswer>;

/// The places of all JSON objects in a text that have both keys.
fn json_places(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text.get(from..).and_then(|rest| rest.find(['{', '['])).map(|at| from + at) {
        let rest = text.get(start..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                collect(&value, &mut found);
                from = start + values.byte_offset().max(1);
            }
            _ => from = start + 1,
        }
    }
    found
}

fn collect(value: &Value, found: &mut Vec<Found>) {
    match value {
        Value::Object(object) => match object_place(object) {
            Some(place) => found.push(place),
            None => object.values().for_each(|value| collect(value, found)),
        },
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

fn object_place(object: &Map<String, Value>) -> Option<Found> {
    let of = |names: &[&str]| {
        let is_it = |(key, _): &(&String, &Value)| names.iter().any(|name| key.eq_ignore_ascii_case(name));
        object.iter().find(is_it).map(|(_, value)| value)
    };
    let (lat, lon) = (of(&["latitude", "lat"])?, of(&["longitude", "lon", "lng", "long"])?);
    let degrees = |value: &Value, axis: Axis| match value {
        Value::Number(number) => number.as_f64().ok_or(NoAnswer::Unparsable),
        Value::String(text) => match angles(text).as_slice() {
            [angle] if angle.is_contradiction || angle.axis.is_some_and(|found| found != axis) => {
                Err(NoAnswer::Impossible)
            }
            [angle] => Ok(angle.degrees),
            _ => Err(NoAnswer::Unparsable),
        },
        _ => Err(NoAnswer::Unparsable),
    };
    Some(degrees(lat, Axis::Lat).and_then(|lat| Ok((lat, degrees(lon, Axis::Lon)?))))
}

/// The places of all pairs of angles in a text.
fn text_places(text: &str) -> Vec<Found> {
    let angles = angles(text);
    let (mut found, mut at) = (Vec::new(), 0);
    while let (Some(first), Some(second)) = (angles.get(at), angles.get(at + 1)) {
        match pair(first, second) {
            Some(place) => {
                found.push(place);
                at += 2;
            }
            None => at += 1,
        }
    }
    found
}

/// What two angles that follow each other say; `None` where they are no pair.
fn pair(first: &Angle, second: &Angle) -> Option<Found> {
    if !second.follows || !first.is_angle || !second.is_angle {
        return None;
    }
    let place = match (first.axis, second.axis) {
        (Some(Axis::Lat), Some(Axis::Lon)) | (None, None) => (first.degrees, second.degrees),
        (Some(Axis::Lon), Some(Axis::Lat)) => (second.degrees, first.degrees),
        (Some(Axis::Lat), None) | (None, Some(Axis::Lon)) => (first.degrees, second.degrees),
        (Some(Axis::Lon), None) | (None, Some(Axis::Lat)) => (second.degrees, first.degrees),
        (Some(_), Some(_)) => return None,
    };
    Some(if first.is_contradiction || second.is_contradiction { Err(NoAnswer::Impossible) } else { Ok(place) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_place(answer: &str, lat: f64, lon: f64) {
        match place(answer) {
            Ok(found) => assert!(same(found, (lat, lon)), "{answer}: {found:?}"),
            Err(none) => panic!("{answer}: {none:?}"),
        }
    }

    #[test]
    fn json_is_read_wherever_it_stands() {
        for answer in [
            r#"{"latitude": 48.8584, "longitude": 2.2945}"#,
            r#"{"lat": "48.8584", "lng": "2.2945"}"#,
            "```json\n{\"Latitude\": 48.8584, \"Longitude\": 2.2945}\n```",
            r#"I see the Eiffel Tower [1]. {"location": {"lat": 48.8584, "lon": 2.2945}, "confidence": 0.9} Done."#,
            r#"{"latitude": "48°51'30.24\" N", "longitude": "2°17'40.2\" E"}"#,
            r#"{"lat": 48.8584, "lon": 2.2945} as said: {"lat": 48.8584, "lon": 2.2945}"#,
        ] {
            assert_place(answer, 48.8584, 2.2945);
        }
        assert_place(r#"{"lat": "33.8568 S", "lon": "151.2153 E"}"#, -33.8568, 151.2153);
    }

    #[test]
    fn text_is_read_decimal_and_in_degrees_minutes_and_seconds() {
        for answer in [
            "48.8584, 2.2945",
            "(48.8584, 2.2945)",
            "48.8584 2.2945",
            "The photo was taken at 48.8584, 2.2945.",
            "**Latitude:** 48.8584\n**Longitude:** 2.2945",
            "Latitude: 48.8584° N, Longitude: 2.2945° E",
            "48.8584°N 2.2945°E",
            "N 48.8584, E 2.2945",
            "N 48.8584 E 2.2945",
            "2.2945° E, 48.8584° N",
            "Longitude 2.2945, latitude 48.8584",
            "48°51'30.24\"N 2°17'40.2\"E",
            "48° 51′ 30.24″ N, 2° 17′ 40.2″ E",
            "48 51 30.24 N, 2 17 40.2 E",
            "N48°51'30.24'', E2°17'40.2''",
            "Latitude is 48.8584 and longitude is 2.2945",
        ] {
            assert_place(answer, 48.8584, 2.2945);
        }
        assert_place("-33.8568, 151.2153", -33.8568, 151.2153);
        assert_place("33.8568° S, 151.2153° E", -33.8568, 151.2153);
        assert_place("\u{2212}33.8568, 151.2153", -33.8568, 151.2153);
        assert_place("22°57'07\"S 43°12'38\"W", -22.951_944, -43.210_556);
        assert_place("12° S, 77° W", -12.0, -77.0);
        assert_place("-0°30'0\", 0°15'0\"", -0.5, 0.25);
    }

    #[test]
    fn whatever_else_is_no_answer_and_says_why() {
        for (answer, reason) in [
            ("", NoAnswer::Empty),
            (" \n", NoAnswer::Empty),
            ("Paris", NoAnswer::Unparsable),
            ("I cannot tell where this was taken.", NoAnswer::Unparsable),
            ("48.8584", NoAnswer::Unparsable),
            ("Route 66, exit 12", NoAnswer::Unparsable),
            ("It is in district 16, built in 1889.", NoAnswer::Unparsable),
            ("16, 3", NoAnswer::Unparsable),
            ("48,8584, 2,2945", NoAnswer::Unparsable),
            ("4.8e1, 2.2e0", NoAnswer::Unparsable),
            ("192.168.10.1", NoAnswer::Unparsable),
            ("between 48.8584 km and then 2.2945", NoAnswer::Unparsable),
            (r#"{"latitude": null, "longitude": 2.3}"#, NoAnswer::Unparsable),
            (r#"{"latitude": "unknown", "longitude": "unknown"}"#, NoAnswer::Unparsable),
            ("95.5, 2.2945", NoAnswer::Impossible),
            ("48.8584, 181.5", NoAnswer::Impossible),
            (r#"{"lat": 139.7, "lon": 35.6}"#, NoAnswer::Impossible),
            ("48°75'00\"N 2°17'40\"E", NoAnswer::Impossible),
            ("-48.8584° S, 2.2945° E", NoAnswer::Impossible),
            (r#"{"lat": "48.85 E", "lon": "2.29 N"}"#, NoAnswer::Impossible),
            (r#"{"lat": 1e999, "lon": 1}"#, NoAnswer::Unparsable),
            ("0.0, 0.0", NoAnswer::Zero),
            (r#"{"latitude": 0, "longitude": 0}"#, NoAnswer::Zero),
            ("48.8584, 2.2945 or 43.2965, 5.3698", NoAnswer::Several),
            (r#"[{"lat": 48.8, "lon": 2.2}, {"lat": 43.2, "lon": 5.3}]"#, NoAnswer::Several),
        ] {
            assert_eq!(place(answer), Err(reason), "{answer}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic_and_gives_a_place_on_the_earth(text: String) {
            if let Ok((lat, lon)) = place(&text) {
                proptest::prop_assert!(lat.abs() <= 90.0 && lon.abs() <= 180.0);
            }
        }

        #[test]
        fn what_the_prompt_asks_for_comes_back(lat in -89.9_f64..89.9, lon in -179.9_f64..179.9) {
            proptest::prop_assume!(lat.abs() > 0.001 || lon.abs() > 0.001);
            for answer in [
                format!("{lat:.6}, {lon:.6}"),
                format!("{{\"latitude\": {lat:.6}, \"longitude\": {lon:.6}}}"),
                crate::generator::dms(lat, lon),
            ] {
                let found = place(&answer);
                proptest::prop_assert!(found.is_ok_and(|found| same(found, (lat, lon))), "{answer}: {found:?}");
            }
        }
    }
}
