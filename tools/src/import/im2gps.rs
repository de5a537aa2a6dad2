//! IM2GPS (237 photos) and IM2GPS3k (2,997 with a place): a folder of pictures and a table of GeoEstimation's form.
//!
//! The pictures of IM2GPS carry a place and a number before the name that the table has. A published table has LAT and
//! LON the wrong way round; that is seen by its rows. `@` stands in every name. The pictures' names are held in memory:
//! the sets are small.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::places365::{Columns, MORE, is_exchanged};
use super::sink::{Row, Sink};
use super::summary::Summary;
use super::table::{Form, Table};
use super::{Request, flickr, last_part};
use crate::pictures::names_below;

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
    let mut sink = Sink::places(request, data_set, &MORE)?;
    let path: PathBuf = labels.map_or_else(|| request.file(tables), |labels| Ok(labels.to_owned()))?;
    let exchanged = is_exchanged(&path)?;
    if exchanged {
        sink.note(format!(
            "{}: the header has LAT and LON the wrong way round; its rows are read as longitude and latitude",
            path.display()
        ));
    }
    let pictures = Pictures::below(request)?;
    let mut table = Table::open(&path, Form::Csv)?;
    let columns = Columns::of(&table)?;
    while let Some(row) = table.next_row()? {
        let fields = match row {
            Ok(fields) => fields,
            Err((line, message)) => {
                sink.drop_line(&path, line, &message)?;
                continue;
            }
        };
        let name = fields.text(columns.picture);
        let file = match pictures.find(name) {
            Found::One(file) => file,
            Found::Several => {
                let message = "expected one picture of this name, found several";
                sink.drop_row(&format!("line {}, {name}", fields.line), "ambiguous_picture", message)?;
                continue;
            }
            Found::None => name,
        };
        let (lat, lon) = (fields.text(columns.lat), fields.text(columns.lon));
        let (lat, lon) = if exchanged { (lon, lat) } else { (lat, lon) };
        let (photo, owner) = flickr::photo_and_user(name);
        let author = fields.optional(columns.author);
        let user = if author.is_empty() { owner } else { author };
        let (country, region) = (fields.optional(columns.country), fields.optional(columns.region));
        let more = [photo, user, country, region, fields.optional(columns.city), fields.optional(columns.scene)];
        sink.row(&Row { line: fields.line, file, lat, lon, photo, user, more: &more })?;
    }
    sink.add_bytes(table.bytes());
    sink.finish()
}

/// The pictures below a folder by what a table may call them.
struct Pictures {
    by_name: HashMap<String, Option<String>>,
}

/// What a name stands for.
enum Found<'a> {
    One(&'a str),
    Several,
    None,
}

impl Pictures {
    fn below(request: &Request) -> anyhow::Result<Self> {
        let mut by_name: HashMap<String, Option<String>> = HashMap::new();
        for path in names_below(&request.root)? {
            let name = last_part(&path).to_owned();
            let bare = flickr::without_place(&name).map(str::to_owned);
            for key in [Some(path.clone()), Some(name), bare].into_iter().flatten() {
                by_name
                    .entry(key)
                    .and_modify(|other| *other = other.take().filter(|other| *other == path))
                    .or_insert_with(|| Some(path.clone()));
            }
        }
        Ok(Self { by_name })
    }

    fn find(&self, name: &str) -> Found<'_> {
        match self.by_name.get(name) {
            Some(Some(path)) => Found::One(path),
            Some(None) => Found::Several,
            None => Found::None,
        }
    }
}
