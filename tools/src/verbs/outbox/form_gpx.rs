//! Tracks in the GPS Exchange Format, version 1.1 (topografix.com/GPX/1/1).

use std::collections::BTreeMap;
use std::io::{self, Write};

/// A position with what is known of it.
#[derive(Debug)]
struct Point {
    lat: f64,
    lon: f64,
    time: Option<String>,
    name: Option<String>,
}

/// Points by camera, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Tracks(BTreeMap<String, Vec<Point>>);

impl Tracks {
    /// Adds a point at a latitude and longitude in WGS 84 degrees.
    pub(super) fn add(&mut self, camera: &str, (lat, lon): (f64, f64), time: Option<&str>, name: Option<&str>) {
        let point = Point { lat, lon, time: time.map(str::to_owned), name: name.map(str::to_owned) };
        self.0.entry(camera.to_owned()).or_default().push(point);
    }

    /// Writes all tracks as one document.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")?;
        out.write_all(b"<gpx version=\"1.1\" creator=\"geolocate\" xmlns=\"http://www.topografix.com/GPX/1/1\">\n")?;
        for (camera, points) in &self.0 {
            writeln!(out, "<trk><name>{}</name><trkseg>", escaped(camera))?;
            for point in points {
                write!(out, "<trkpt lat=\"{}\" lon=\"{}\">", point.lat, point.lon)?;
                for (element, text) in [("time", &point.time), ("name", &point.name)] {
                    if let Some(text) = text {
                        write!(out, "<{element}>{}</{element}>", escaped(text))?;
                    }
                }
                writeln!(out, "</trkpt>")?;
            }
            writeln!(out, "</trkseg></trk>")?;
        }
        out.write_all(b"</gpx>\n")
    }
}

/// Text as XML 1.0 takes it; control characters, which it does not take at all, become question marks.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            letter if letter.is_control() || matches!(letter, '\u{FFFE}' | '\u{FFFF}') => escaped.push('?'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        assert_eq!(escaped("a<b>&\"c\"\u{1}\n"), "a&lt;b&gt;&amp;&quot;c&quot;? ");
    }
}
