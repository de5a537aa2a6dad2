//! The newest answer of a camera as a GeoJSON feature (RFC 7946), for maps.

use serde_json::{Map, Value, json};

use super::Answer;

/// A feature whose geometry is a point; without one where there is no position.
pub(super) fn feature(answer: &Answer) -> Value {
    let geometry =
        answer.position().map_or(Value::Null, |(lat, lon)| json!({ "type": "Point", "coordinates": [lon, lat] }));
    let mut properties = Map::new();
    let texts = [
        ("id", Some(&answer.id)),
        ("cam", answer.cam.as_ref()),
        ("captured_at", answer.captured_at.as_ref()),
        ("published_at", answer.published_at.as_ref()),
        ("clock", answer.clock.as_ref()),
        ("status", Some(&answer.status)),
        ("reason", answer.reason.as_ref()),
        ("position_of", answer.position_of.as_ref()),
    ];
    for (key, text) in texts {
        properties.extend(text.map(|text| (key.to_owned(), json!(text))));
    }
    for (key, number) in [("boot", answer.boot), ("seq", answer.seq)] {
        properties.extend(number.map(|number| (key.to_owned(), json!(number))));
    }
    for (key, metres) in [("radius_68_m", answer.radius_68_m), ("radius_95_m", answer.radius_95_m)] {
        properties.extend(metres.map(|metres| (key.to_owned(), json!(metres))));
    }
    json!({ "type": "Feature", "geometry": geometry, "properties": properties })
}

#[cfg(test)]
mod tests {
    use super::super::answer::tests::fix;
    use super::super::beside::tests::assert_valid;
    use super::*;

    #[test]
    fn a_fix_is_a_point_with_the_longitude_first_and_an_error_has_no_geometry() {
        let point = feature(&fix(&json!({})));
        assert_valid("geojson", &point);
        assert_eq!(point["geometry"], json!({"type": "Point", "coordinates": [-98.0898855, 30.1711628]}));
        assert_eq!((&point["properties"]["seq"], &point["properties"]["status"]), (&json!(7), &json!("fix")));
        assert!(point["properties"].get("radius_68_m").is_none());
        let error =
            feature(&fix(&json!({"status": "error", "reason": "frame_refused: cut", "lat": null, "lon": null})));
        assert_valid("geojson", &error);
        assert_eq!(error["geometry"], Value::Null);
    }
}
