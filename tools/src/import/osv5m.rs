//! OpenStreetView-5M: `train.csv` (2.9 GB) and `test.csv`, pictures in zips, `images/train/00.zip` to `97.zip`.
//!
//! The table does not say in which zip a picture lies, so rows and pictures are sorted by the picture's number on the
//! disk and joined: the poses come in that order. `sequence` is the drive that a picture is from, and becomes `flight`:
//! a split that cuts through drives compares a street with itself. `captured_at` is in milliseconds.

use std::path::Path;

use anyhow::bail;

use super::sink::{Row, Sink};
use super::summary::Summary;
use super::table::{Form, Table};
use super::{Request, last_part, stem};
use crate::pictures::{PictureError, for_each_below};
use crate::sorter::Sorter;

const MORE: [&str; 8] = ["photo", "user", "time", "flight", "country", "region", "city", "role"];

/// Which part of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// 4.9 million references
    Train,
    /// 210,000 queries
    Test,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// Imports a part of the set.
///
/// # Errors
/// The table is missing or damaged, no picture is found, or a file cannot be written.
pub(crate) fn import(request: &Request, part: Part) -> anyhow::Result<Summary> {
    let mut sink = Sink::places(request, "osv5m", &MORE)?;
    let role = if part == Part::Train { "reference" } else { "query" };
    let path = request.file(&[&format!("{}.csv", part.name())])?;
    let mut table = Table::open(&path, Form::Csv)?;
    let id = table.column(&["id"])?;
    let columns = [(table.column(&["latitude"])?, "latitude"), (table.column(&["longitude"])?, "longitude")];
    let optional =
        ["captured_at", "sequence", "country", "region", "city", "creator_id"].map(|name| table.find(&[name]));
    let folder = request.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut sorter = Sorter::new(folder);
    let images = request.root.join("images").join(part.name());
    if sink.looks_at_pictures() {
        if !images.is_dir() {
            bail!("{}: expected this folder of pictures, found none (--no-pictures does without)", images.display());
        }
        for_each_below(&images, |name| {
            let pushed = sorter.push(&[stem(last_part(name)).as_bytes(), &[0, 0], name.as_bytes()]);
            pushed.map_err(|source| PictureError::Read { path: images.clone(), source })
        })?;
    }
    let mut record = Vec::new();
    while let Some(row) = table.next_row()? {
        let fields = match row {
            Ok(fields) => fields,
            Err((line, message)) => {
                sink.drop_line(&path, line, &message)?;
                continue;
            }
        };
        record.clear();
        record.extend_from_slice(fields.text(id).as_bytes());
        record.extend_from_slice(&[0, 1]);
        let line = fields.line.to_string();
        let texts = [line.as_str(), fields.text(columns[0].0), fields.text(columns[1].0)];
        for text in texts.into_iter().chain(optional.iter().map(|column| fields.optional(*column))) {
            record.extend_from_slice(text.as_bytes());
            record.push(SEPARATOR);
        }
        sorter.push(&[&record])?;
    }
    sink.add_bytes(table.bytes());
    join(sorter, &mut sink, part, role)?;
    sink.finish()
}

/// Between the fields of a record; no table has it.
const SEPARATOR: u8 = 0x1f;

/// Hands over the rows in the order of their pictures' numbers, each with the picture that was found for it.
fn join(sorter: Sorter, sink: &mut Sink, part: Part, role: &str) -> anyhow::Result<()> {
    let sorted = sorter.sorted();
    let mut picture: (Vec<u8>, String) = (Vec::new(), String::new());
    let prefix = format!("images/{}", part.name());
    for record in sorted.records()? {
        let record = record?;
        let Some(end) = record.iter().position(|byte| *byte == 0) else { continue };
        let (id, rest) = record.split_at(end);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match rest {
            [0, 0, name @ ..] => picture = (id.to_vec(), text(name)),
            [0, 1, fields @ ..] => {
                let fields: Vec<&str> = fields
                    .split(|byte| *byte == SEPARATOR)
                    .map(|bytes| std::str::from_utf8(bytes).unwrap_or_default())
                    .collect();
                let [line, lat, lon, captured, sequence, country, region, city, user, ..] = fields.as_slice() else {
                    continue;
                };
                let id = text(id);
                let found = picture.0 == id.as_bytes();
                let file = match (found, id.is_empty()) {
                    (_, true) => String::new(),
                    (true, _) => format!("{prefix}/{}", picture.1),
                    (false, _) => format!("{prefix}/{id}.jpg"),
                };
                let time = time(captured);
                let more = [id.as_str(), user, &time, sequence, country, region, city, role];
                let line = line.parse().unwrap_or_default();
                sink.row(&Row { line, file: &file, lat, lon, photo: &id, user, more: &more })?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Unix milliseconds in the form of RFC 3339; empty where they are none.
fn time(text: &str) -> String {
    let instant = text.parse::<i64>().ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    instant.map(|time| time.to_string()).unwrap_or_default()
}
