//! Forms in which fixes are written to a file.

use std::io::Write;

use clap::ValueEnum;
use geolocated::service::ArchivedMessage;
use serde_json::{Value, json};

use super::form_gpx::Tracks;

/// How fixes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// One fix object per line, as on MQTT
    Ndjson,
    /// A FeatureCollection; a fix without a position has no geometry
    Geojson,
    /// A track per camera; fixes without a position are left out
    Gpx,
    /// A line per fix
    Csv,
}

const COLUMNS: [&str; 13] = [
    "boot",
    "seq",
    "cam",
    "id",
    "status",
    "reason",
    "captured_at",
    "clock",
    "lat",
    "lon",
    "position_of",
    "reference",
    "similarity",
];

/// Writes fixes in one form.
pub(super) struct FormWriter<W: Write> {
    kind: Kind<W>,
}

enum Kind<W: Write> {
    Ndjson(W),
    Geojson { out: W, any: bool },
    Gpx { out: W, tracks: Tracks },
    Csv(Box<csv::Writer<W>>),
}

impl<W: Write> FormWriter<W> {
    /// Writes what comes before the fixes.
    pub(super) fn new(form: Form, mut out: W) -> anyhow::Result<Self> {
        let kind = match form {
            Form::Ndjson => Kind::Ndjson(out),
            Form::Geojson => {
                out.write_all(b"{\"type\":\"FeatureCollection\",\"features\":[")?;
                Kind::Geojson { out, any: false }
            }
            Form::Gpx => Kind::Gpx { out, tracks: Tracks::default() },
            Form::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(COLUMNS)?;
                Kind::Csv(Box::new(writer))
            }
        };
        Ok(Self { kind })
    }

    /// Writes a fix; false where the form has no room for it, because it has no position.
    pub(super) fn write(&mut self, message: &ArchivedMessage) -> anyhow::Result<bool> {
        if let Kind::Ndjson(out) = &mut self.kind {
            out.write_all(message.json.as_bytes())?;
            out.write_all(b"\n")?;
            return Ok(true);
        }
        let fix: Value = serde_json::from_str(&message.json)?;
        let position = fix.get("lat").and_then(Value::as_f64).zip(fix.get("lon").and_then(Value::as_f64));
        match &mut self.kind {
            Kind::Ndjson(_) => {}
            Kind::Geojson { out, any } => {
                let geometry = position.map(|(lat, lon)| json!({"type": "Point", "coordinates": [lon, lat]}));
                let feature = json!({"type": "Feature", "geometry": geometry, "properties": fix});
                out.write_all(if *any { b",\n" } else { b"\n" })?;
                serde_json::to_writer(out, &feature)?;
                *any = true;
            }
            Kind::Gpx { tracks, .. } => {
                let Some(position) = position else { return Ok(false) };
                tracks.add(&message.camera, position, text(&fix, "captured_at"), text(&fix, "id"));
            }
            Kind::Csv(writer) => writer.write_record(COLUMNS.map(|column| cell(&fix, column)))?,
        }
        Ok(true)
    }

    /// Writes what comes after the fixes, and gives back what was written to.
    pub(super) fn finish(self) -> anyhow::Result<W> {
        match self.kind {
            Kind::Ndjson(out) => Ok(out),
            Kind::Geojson { mut out, .. } => {
                out.write_all(b"\n]}\n")?;
                Ok(out)
            }
            Kind::Gpx { mut out, tracks } => {
                tracks.write(&mut out)?;
                Ok(out)
            }
            Kind::Csv(writer) => writer.into_inner().map_err(|error| anyhow::anyhow!("{error}")),
        }
    }
}

fn text<'a>(fix: &'a Value, key: &str) -> Option<&'a str> {
    fix.get(key).and_then(Value::as_str)
}

/// One cell of a CSV line; empty where the fix does not say. Reference and similarity are those of the best candidate.
fn cell(fix: &Value, column: &str) -> String {
    let of_candidate = matches!(column, "reference" | "similarity");
    let best = || fix.get("candidates").and_then(|candidates| candidates.get(0)?.get(column));
    match if of_candidate { best() } else { fix.get(column) } {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use geolocated::service::MessageFate;

    fn message(seq: u64, more: &str) -> ArchivedMessage {
        let json = format!("{{\"v\":1,\"boot\":1,\"seq\":{seq},\"id\":\"a,b<{seq}\",\"cam\":\"nadir\"{more}}}");
        ArchivedMessage { boot: 1, seq, camera: "nadir".to_owned(), fate: MessageFate::Waiting, json }
    }

    fn written(form: Form) -> (String, Vec<bool>) {
        let mut writer = FormWriter::new(form, Vec::new()).unwrap();
        let place = ",\"status\":\"fix\",\"lat\":50.5,\"lon\":8.25,\"captured_at\":\"2026-01-01T00:00:00.000Z\",\
                     \"candidates\":[{\"reference\":\"r1\",\"similarity\":0.9}]";
        let taken = [message(1, place), message(2, ",\"status\":\"ambiguous\"")].map(|message| {
            let taken = writer.write(&message);
            taken.unwrap()
        });
        (String::from_utf8(writer.finish().unwrap()).unwrap(), taken.to_vec())
    }

    #[test]
    fn ndjson_is_the_fixes_as_they_are() {
        let (text, taken) = written(Form::Ndjson);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), &lines[1]["seq"]), (2, &json!(2)));
        assert_eq!(taken, [true, true]);
    }

    #[test]
    fn geojson_has_longitude_first_and_no_geometry_without_a_position() {
        let (text, _) = written(Form::Geojson);
        let collection: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(collection["type"], "FeatureCollection");
        let features = collection["features"].as_array().unwrap();
        assert_eq!(features[0]["geometry"], json!({"type": "Point", "coordinates": [8.25, 50.5]}));
        assert_eq!((&features[1]["geometry"], &features[1]["properties"]["seq"]), (&Value::Null, &json!(2)));
    }

    #[test]
    fn csv_has_a_line_per_fix_and_quotes_what_needs_it() {
        let (text, _) = written(Form::Csv);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap(), &COLUMNS[..]);
        let lines: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let expected =
            ["1", "1", "nadir", "a,b<1", "fix", "", "2026-01-01T00:00:00.000Z", "", "50.5", "8.25", "", "r1", "0.9"];
        assert_eq!(lines[0], expected[..]);
        assert_eq!((lines.len(), &lines[1][4]), (2, "ambiguous"));
    }

    #[test]
    fn gpx_has_a_track_per_camera_and_says_what_it_leaves_out() {
        let (text, taken) = written(Form::Gpx);
        assert_eq!(taken, [true, false]);
        let point =
            "<trkpt lat=\"50.5\" lon=\"8.25\"><time>2026-01-01T00:00:00.000Z</time><name>a,b&lt;1</name></trkpt>";
        assert!(text.contains("<trk><name>nadir</name><trkseg>") && text.contains(point), "{text}");
        assert_eq!(text.matches("<trkpt").count(), 1);
    }

    #[test]
    fn an_empty_outbox_gives_files_that_can_be_read() {
        for form in [Form::Ndjson, Form::Geojson, Form::Gpx, Form::Csv] {
            let out = FormWriter::new(form, Vec::new()).unwrap().finish().unwrap();
            let text = String::from_utf8(out).unwrap();
            match form {
                Form::Ndjson => assert_eq!(text, ""),
                Form::Geojson => assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["features"], json!([])),
                Form::Gpx => assert!(text.ends_with("</gpx>\n"), "{text}"),
                Form::Csv => assert_eq!(text, COLUMNS.join(",") + "\n"),
            }
        }
    }
}
