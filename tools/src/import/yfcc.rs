//! YFCC4k and YFCC26k: pictures named by the numbers of their photos, and either `info.txt`, lines of YFCC100M, where
//! longitude stands before latitude, or a table of GeoEstimation's form.
//!
//! Lines of YFCC100M are separated by tabs and have no header. The 2014 form begins with the photo, later ones with the
//! row and a hash; the owner's number, as in `12345678@N00`, tells which it is: longitude follows nine fields after it.

use std::path::Path;

use super::sink::{Row, Sink};
use super::summary::Summary;
use super::table::{Fields, Form, Table};
use super::{Request, im2gps};

/// Fields after the owner's number.
const TAKEN: usize = 2;
const LON: usize = 9;
const LAT: usize = 10;
const ACCURACY: usize = 11;

/// Imports either set; `labels` is the table, where it is not the one of the set.
///
/// # Errors
/// The table is missing or damaged, no picture is found, or a file cannot be written.
pub(crate) fn import(
    request: &Request,
    data_set: &'static str,
    tables: &[&str],
    labels: Option<&Path>,
) -> anyhow::Result<Summary> {
    let lines = labels.map(Path::to_owned).or_else(|| request.optional_file(&["info.txt", "yfcc4k/info.txt"]));
    match lines.filter(|path| path.extension().is_none_or(|extension| extension != "csv")) {
        Some(path) => import_lines(request, data_set, &path),
        None => im2gps::import(request, data_set, tables, labels),
    }
}

fn import_lines(request: &Request, data_set: &'static str, path: &Path) -> anyhow::Result<Summary> {
    let mut sink = Sink::places(request, data_set, &["photo", "user", "time", "accuracy"])?;
    let folder = ["images", "yfcc4k", "."].into_iter().find(|name| {
        let folder = request.root.join(name);
        std::fs::read_dir(folder).is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.path().extension().is_some_and(|extension| extension == "jpg"))
        })
    });
    let folder = folder.filter(|name| *name != ".").map(|name| format!("{name}/")).unwrap_or_default();
    let mut table = Table::open(path, Form::Tsv)?;
    while let Some(row) = table.next_row()? {
        let fields = match row {
            Ok(fields) => fields,
            Err((line, message)) => {
                sink.drop_line(path, line, &message)?;
                continue;
            }
        };
        let Some((photo, owner)) = photo_and_owner(&fields) else {
            let message = "expected a line of YFCC100M with the owner's number (12345678@N00) near its beginning";
            sink.drop_line(path, fields.line, message)?;
            continue;
        };
        let text = |field: usize| fields.text(owner + field);
        let time = time(text(TAKEN));
        let (lat, lon, user) = (text(LAT), text(LON), fields.text(owner));
        let file = format!("{folder}{photo}.jpg");
        let more = [photo, user, &time, text(ACCURACY)];
        sink.row(&Row { line: fields.line, file: &file, lat, lon, photo, user, more: &more })?;
    }
    sink.add_bytes(table.bytes());
    sink.finish()
}

/// The photo's number, and in which field its owner's is.
fn photo_and_owner<'a>(fields: &Fields<'a>) -> Option<(&'a str, usize)> {
    let is_owner =
        |text: &str| text.split_once("@N").is_some_and(|(number, _)| number.bytes().all(|b| b.is_ascii_digit()));
    let owner = (1..=3).find(|field| is_owner(fields.text(*field)))?;
    let photo = fields.text(if owner == 1 { 0 } else { 1 });
    (!photo.is_empty() && photo.bytes().all(|byte| byte.is_ascii_digit())).then_some((photo, owner))
}

/// `2012-02-16 09:56:37.0`, which has no zone, in the form of RFC 3339; empty where it is none.
fn time(text: &str) -> String {
    let text = text.replace('+', " ");
    text.trim()
        .parse::<jiff::civil::DateTime>()
        .map(|time| format!("{}Z", time.round(jiff::Unit::Second).unwrap_or(time)))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_without_a_zone_become_rfc_3339() {
        assert_eq!(time("2012-02-16 09:56:37.0"), "2012-02-16T09:56:37Z");
        assert_eq!(time("2012-02-16+09:56:37.0"), "2012-02-16T09:56:37Z");
        assert_eq!(time("null"), "");
    }
}
