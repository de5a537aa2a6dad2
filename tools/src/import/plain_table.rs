//! Any table with a picture, a latitude and a longitude in each row, such as those of MR600k and MR40k.

use std::path::Path;
use std::str::FromStr;

use super::sink::{Row, Sink};
use super::summary::Summary;
use super::table::{Form, Table};
use super::{Request, flickr};

const FILE: [&str; 8] = ["file", "image", "filename", "file_name", "image_path", "img", "path", "IMG_ID"];
const LAT: [&str; 3] = ["lat", "latitude", "y"];
const LON: [&str; 4] = ["lon", "lng", "longitude", "x"];

/// Which column means what: `file=NAME,lat=NAME,lon=NAME`, and `also=NAME` for columns that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) file: Option<String>,
    pub(crate) lat: Option<String>,
    pub(crate) lon: Option<String>,
    pub(crate) also: Vec<String>,
}

impl FromStr for Names {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut names = Self::default();
        for part in text.split(',') {
            let wrong = || format!("found {part:?}, expected file=NAME, lat=NAME, lon=NAME or also=NAME");
            let (key, name) = part.split_once('=').ok_or_else(wrong)?;
            let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty()).ok_or_else(wrong)?;
            match key.trim() {
                "file" => names.file = Some(name),
                "lat" => names.lat = Some(name),
                "lon" => names.lon = Some(name),
                "also" => names.also.push(name),
                _ => return Err(wrong()),
            }
        }
        Ok(names)
    }
}

/// Imports a table; pictures lie below the root, perhaps in its folder `images`.
///
/// # Errors
/// The table is missing or damaged, no picture is found, or a file cannot be written.
pub(crate) fn import(
    request: &Request,
    data_set: &'static str,
    labels: &Path,
    names: &Names,
) -> anyhow::Result<Summary> {
    let mut more: Vec<&str> = vec!["photo"];
    more.extend(names.also.iter().map(String::as_str));
    let mut sink = Sink::places(request, data_set, &more)?;
    let mut table = Table::open(labels, Form::Csv)?;
    let column = |name: &Option<String>, usual: &[&str]| match name {
        Some(name) => table.column(&[name]),
        None => table.column(usual),
    };
    let (file, lat, lon) = (column(&names.file, &FILE)?, column(&names.lat, &LAT)?, column(&names.lon, &LON)?);
    let also = names.also.iter().map(|name| table.column(&[name])).collect::<Result<Vec<usize>, _>>()?;
    let looks = sink.looks_at_pictures();
    let mut below_images = String::new();
    while let Some(row) = table.next_row()? {
        let fields = match row {
            Ok(fields) => fields,
            Err((line, message)) => {
                sink.drop_line(labels, line, &message)?;
                continue;
            }
        };
        let mut name = fields.text(file);
        if looks && !name.is_empty() && !request.root.join(name).is_file() {
            below_images.clear();
            below_images.push_str("images/");
            below_images.push_str(name);
            if request.root.join(&below_images).is_file() {
                name = &below_images;
            }
        }
        let (photo, user) = flickr::photo_and_user(name);
        let more: Vec<&str> = std::iter::once(photo).chain(also.iter().map(|column| fields.text(*column))).collect();
        let (lat, lon) = (fields.text(lat), fields.text(lon));
        sink.row(&Row { line: fields.line, file: name, lat, lon, photo, user, more: &more })?;
    }
    sink.add_bytes(table.bytes());
    sink.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_by_what_they_mean() {
        let names: Names = "file=img, lat=y,lon=x,also=country,also=city".parse().unwrap();
        assert_eq!(
            (names.file.as_deref(), names.lat.as_deref(), names.lon.as_deref()),
            (Some("img"), Some("y"), Some("x"))
        );
        assert_eq!(names.also, ["country", "city"]);
        for bad in ["", "file", "file=", "height=h"] {
            assert!(bad.parse::<Names>().unwrap_err().contains("expected"), "{bad}");
        }
    }
}
