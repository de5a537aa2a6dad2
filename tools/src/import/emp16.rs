//! EMP-16: JSON lines, perhaps compressed by bzip2 in several parts, one object per photo.
//!
//! Which keys the published files have could not be seen here; those of YFCC100M and of MP-16 are understood, and
//! `--columns` names others.

use std::fs;
use std::path::PathBuf;

use anyhow::bail;

use super::json_lines::{JsonLines, text};
use super::plain_table::Names;
use super::sink::{Row, Sink};
use super::summary::Summary;
use super::{Request, flickr};

const FILE: [&str; 8] = ["file", "image", "img_id", "IMG_ID", "filename", "file_name", "image_path", "path"];
const PHOTO: [&str; 4] = ["photo", "photo_id", "photoid", "id"];
const LAT: [&str; 3] = ["lat", "latitude", "LAT"];
const LON: [&str; 4] = ["lon", "lng", "longitude", "LON"];
const USER: [&str; 6] = ["user", "author", "AUTHOR", "user_nsid", "uid", "owner"];

/// Imports the set.
///
/// # Errors
/// There is no file of JSON lines, one is damaged, no picture is found, or a file cannot be written.
pub(crate) fn import(request: &Request, names: &Names) -> anyhow::Result<Summary> {
    let mut sink = Sink::places(request, "emp16", &["photo", "user"])?;
    let files = files(request)?;
    if files.is_empty() {
        let root = request.root.display();
        bail!("{root}: expected files of JSON lines (.jsonl, .json, with or without .bz2 or .gz), found none");
    }
    let looks = sink.looks_at_pictures();
    for path in files {
        let mut lines = JsonLines::open(&path)?;
        while let Some((line, value)) = lines.next_line()? {
            let value = match value {
                Ok(value) => value,
                Err(message) => {
                    sink.drop_line(&path, line, &message)?;
                    continue;
                }
            };
            let of = |name: &Option<String>, usual: &[&str]| match name {
                Some(name) => text(&value, &[name]),
                None => text(&value, usual),
            };
            let (lat, lon, user) = (of(&names.lat, &LAT), of(&names.lon, &LON), text(&value, &USER));
            let mut file = of(&names.file, &FILE);
            let mut photo = text(&value, &PHOTO);
            if file.is_empty() && !photo.is_empty() {
                file = format!("{photo}.jpg");
            }
            if photo.is_empty() {
                flickr::photo_and_user(&file).0.clone_into(&mut photo);
            }
            if looks && !request.root.join(&file).is_file() && request.root.join("images").join(&file).is_file() {
                file = format!("images/{file}");
            }
            let more = [photo.as_str(), user.as_str()];
            sink.row(&Row { line, file: &file, lat: &lat, lon: &lon, photo: &photo, user: &user, more: &more })?;
        }
        sink.add_bytes(lines.bytes());
    }
    sink.finish()
}

/// The files of JSON lines in the root and its folder `metadata`, sorted.
fn files(request: &Request) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in [request.root.clone(), request.root.join("metadata")] {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
            let plain = name.trim_end_matches(".bz2").trim_end_matches(".gz");
            if [".jsonl", ".json", ".ndjson"].iter().any(|end| plain.ends_with(end)) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
