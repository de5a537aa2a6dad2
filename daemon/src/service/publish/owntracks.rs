//! The newest fix of a camera as OwnTracks has it (<https://owntracks.org/booklet/tech/json/>).

use serde_json::{Value, json};

use super::Answer;

/// A location; `None` without a position, or without a time that may be right: OwnTracks has no word for either.
/// `name` is the camera's; its first two letters stand on the map.
pub(super) fn location(answer: &Answer, name: &str) -> Option<Value> {
    let (lat, lon) = answer.position()?;
    let time = answer.time()?.as_second();
    let letters: String = name.chars().filter(|letter| letter.is_alphanumeric()).take(2).collect();
    let mut location = json!({ "_type": "location", "lat": lat, "lon": lon, "tst": time, "tid": letters });
    if let (Some(radius_m), Some(object)) = (answer.radius_68_m, location.as_object_mut()) {
        object.insert("acc".to_owned(), json!(radius_m.ceil().clamp(0.0, 1e9) as u64));
    }
    Some(location)
}

#[cfg(test)]
mod tests {
    use super::super::answer::tests::fix;
    use super::super::beside::tests::assert_valid;
    use super::*;

    #[test]
    fn a_fix_is_a_location_and_its_accuracy_is_said_where_it_is_known() {
        let found = location(&fix(&json!({})), "nadir").unwrap();
        assert_valid("owntracks", &found);
        let expected =
            json!({"_type": "location", "lat": 30.1711628, "lon": -98.0898855, "tst": 1_769_860_800, "tid": "na"});
        assert_eq!(found, expected);
        let found = location(&fix(&json!({"radius_68_m": 12.2})), "-").unwrap();
        assert_valid("owntracks", &found);
        assert_eq!(found["acc"], 13);
    }

    #[test]
    fn without_a_position_or_a_time_there_is_no_location() {
        assert_eq!(location(&fix(&json!({"status": "ambiguous", "lat": null, "lon": null})), "nadir"), None);
        assert_eq!(location(&fix(&json!({"captured_at": null})), "nadir"), None);
    }
}
