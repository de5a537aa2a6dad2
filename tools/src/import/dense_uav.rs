//! DenseUAV: drone pictures over 14 campuses at three heights, with satellite tiles at the same places.
//!
//! `Dense_GPS_ALL.txt` has a line `PATH E<longitude> N<latitude> <height>` for each picture. The published description
//! says latitude before longitude; the letters say otherwise, and they are right. Satellite tiles are TIFF files, which
//! `build` does not read: `geolocate import map` or any converter brings them to JPEG, and `--satellite-extension jpg`
//! names them so.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;

use super::line_guard::LineGuard;
use super::sink::{Row, Sink};
use super::summary::Summary;
use super::{Request, stem};

const MORE: [&str; 7] = ["role", "rel_alt_m", "height", "class", "positive", "semi_positives", "split"];

/// Imports the set.
///
/// # Errors
/// The table is missing or damaged, no picture is found, or a file cannot be written.
pub(crate) fn import(request: &Request, satellite_extension: &str) -> anyhow::Result<Summary> {
    let mut sink = Sink::places(request, "denseuav", &MORE)?;
    let path = request.file(&["Dense_GPS_ALL.txt", "Dense_GPS_test.txt", "Dense_GPS_train.txt"])?;
    let file = File::open(&path).with_context(|| format!("{}: cannot read", path.display()))?;
    let mut reader = BufReader::new(LineGuard::new(file));
    let (mut number, mut line) = (0, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line).with_context(|| format!("{}, after line {number}", path.display()))? == 0 {
            break;
        }
        number += 1;
        if line.trim().is_empty() {
            continue;
        }
        match Line::read(&line) {
            Ok(found) => found.write(&mut sink, number, satellite_extension)?,
            Err(message) => sink.drop_line(&path, number, &message)?,
        }
    }
    sink.add_bytes(reader.get_ref().total());
    sink.finish()
}

/// One line, read.
struct Line<'a> {
    /// Below the root: `test/query_drone/002256/H80.JPG`.
    file: &'a str,
    lat: &'a str,
    lon: &'a str,
    height: &'a str,
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Result<Self, String> {
        let mut fields = line.split_whitespace();
        let wrong = || format!("expected PATH E<longitude> N<latitude> <height>, found {:?}", line.trim());
        let (path, first, second) = (fields.next(), fields.next(), fields.next());
        let (Some(path), Some(first), Some(second)) = (path, first, second) else { return Err(wrong()) };
        let (mut lat, mut lon) = (None, None);
        for field in [first, second] {
            // The letter may follow some text: lines were put together by hand.
            let (letter, number) = field
                .char_indices()
                .rev()
                .find(|(_, c)| matches!(c, 'E' | 'W' | 'N' | 'S'))
                .and_then(|(at, letter)| Some((letter, field.get(at + 1..)?)))
                .ok_or_else(wrong)?;
            match letter {
                'E' => lon = Some(number),
                'N' => lat = Some(number),
                _ => return Err(wrong()),
            }
        }
        let parts = ["train/", "test/"].iter().filter_map(|part| Some((path.rfind(part)?, part)));
        let start = parts.map(|(at, _)| at).max().unwrap_or_default();
        Ok(Self {
            file: path.get(start..).unwrap_or(path),
            lat: lat.ok_or_else(wrong)?,
            lon: lon.ok_or_else(wrong)?,
            height: fields.next().unwrap_or_default(),
        })
    }

    fn write(&self, sink: &mut Sink, line: u64, extension: &str) -> anyhow::Result<()> {
        let path = Path::new(self.file);
        let class = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
        let name = path.file_name().and_then(|name| name.to_str()).map(stem).unwrap_or_default();
        let split = if self.file.starts_with("train/") { "train" } else { "test" };
        // H80 is 80 m above where the drone took off.
        let rel_alt = name.trim_start_matches('H').trim_end_matches("_old");
        let is_satellite = self.file.contains("satellite");
        let gallery = if split == "train" { "train/satellite" } else { "test/gallery_satellite" };
        let (role, file, positive, semi);
        if is_satellite {
            let with_extension = path.with_extension(extension);
            (role, positive, semi) = ("reference", String::new(), String::new());
            file = with_extension.to_str().unwrap_or(self.file).to_owned();
        } else {
            role = "query";
            file = self.file.to_owned();
            positive = format!("{gallery}/{class}/{name}.{extension}");
            semi = format!("{gallery}/{class}/{name}_old.{extension}");
        }
        let more = [role, if is_satellite { "" } else { rel_alt }, self.height, class, &positive, &semi, split];
        sink.row(&Row { line, file: &file, lat: self.lat, lon: self.lon, more: &more, ..Row::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letters_tell_which_number_is_which() {
        let line = Line::read("/data/DenseUAV/test/query_drone/002256/H80.JPG E120.3871 N30.3241 93.1\n").unwrap();
        assert_eq!(
            (line.file, line.lat, line.lon, line.height),
            ("test/query_drone/002256/H80.JPG", "30.3241", "120.3871", "93.1")
        );
        let turned = Line::read("train/drone/000001/H90.JPG N30.3241 E120.3871 93.1").unwrap();
        assert_eq!((turned.lat, turned.lon), ("30.3241", "120.3871"));
        for bad in ["a.jpg", "a.jpg 30.3 120.4 93", "a.jpg E120.4 E30.3 9"] {
            assert!(Line::read(bad).err().unwrap().contains("expected PATH"), "{bad}");
        }
    }
}
