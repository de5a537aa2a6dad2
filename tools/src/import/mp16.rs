//! MP-16 and MP16-Pro: 4.7 million photos of Flickr, a table of GeoEstimation's form, pictures in one tar cut into parts.
//!
//! The table calls a photo `48/0f/5165333402.jpg`, the tar `images/48_0f_5165333402.jpg`. Photos that were deleted since
//! are there as a placeholder of 5,120 bytes or fewer.

use super::places365::{Columns, MORE};
use super::sink::{Row, Sink};
use super::summary::Summary;
use super::table::{Form, Table};
use super::{Request, flickr};

/// The largest placeholder in bytes.
const PLACEHOLDER_BYTES: u64 = 5120;
const TABLES: [&str; 8] = [
    "MP16_Pro_filtered.csv",
    "metadata/MP16_Pro_filtered.csv",
    "MP16_Pro_places365.csv",
    "metadata/MP16_Pro_places365.csv",
    "mp16_places365.csv",
    "metadata/mp16_places365.csv",
    "mp16_urls.csv",
    "metadata/mp16_urls.csv",
];

/// Imports the set; `labels` is the table, where it is not the one of the set.
///
/// # Errors
/// The table is missing or damaged, no picture is found, or a file cannot be written.
pub(crate) fn import(request: &Request, labels: Option<&std::path::Path>) -> anyhow::Result<Summary> {
    let mut sink = Sink::places(request, "mp16", &MORE)?.with_placeholders(PLACEHOLDER_BYTES);
    let path = labels.map_or_else(|| request.file(&TABLES), |labels| Ok(labels.to_owned()))?;
    let mut table = Table::open(&path, Form::Csv)?;
    let columns = Columns::of(&table)?;
    let (looks, mut file) = (sink.looks_at_pictures(), String::new());
    while let Some(row) = table.next_row()? {
        let fields = match row {
            Ok(fields) => fields,
            Err((line, message)) => {
                sink.drop_line(&path, line, &message)?;
                continue;
            }
        };
        let name = fields.text(columns.picture);
        file.clear();
        if !name.is_empty() {
            file.push_str("images");
            name.split('/').zip(std::iter::once("/").chain(std::iter::repeat("_"))).for_each(|(part, before)| {
                file.push_str(before);
                file.push_str(part);
            });
            if looks && !request.root.join(&file).is_file() && name.contains('/') {
                let nested = format!("images/{name}");
                if request.root.join(&nested).is_file() {
                    file = nested;
                }
            }
        }
        let (photo, _) = flickr::photo_and_user(name);
        let user = fields.optional(columns.author);
        let (country, region) = (fields.optional(columns.country), fields.optional(columns.region));
        let more = [photo, user, country, region, fields.optional(columns.city), fields.optional(columns.scene)];
        let (lat, lon) = (fields.text(columns.lat), fields.text(columns.lon));
        sink.row(&Row { line: fields.line, file: &file, lat, lon, photo, user, more: &more })?;
    }
    sink.add_bytes(table.bytes());
    sink.finish()
}
