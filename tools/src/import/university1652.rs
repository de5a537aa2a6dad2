//! University-1652: buildings seen by drones, satellites and people, one folder per building, without positions.
//!
//! So its rows have no `lat,lon`: they say which picture belongs to which, for retrieval alone. With `--labels`, a table
//! `class,lat,lon` of the buildings, they are places. `query_drone` against `gallery_satellite` is the usual task;
//! galleries hold more buildings than queries do.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use super::Request;
use super::sink::{Row, Sink};
use super::summary::Summary;
use super::table::{Form, Table};
use crate::pictures::is_picture;

/// From where to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Task {
    /// Drone pictures are located on satellite pictures
    DroneToSatellite,
    /// Satellite pictures are looked for among drone pictures
    SatelliteToDrone,
    /// Street pictures are located on satellite pictures
    StreetToSatellite,
}

impl Task {
    fn folders(self) -> [&'static str; 2] {
        match self {
            Self::DroneToSatellite => ["test/query_drone", "test/gallery_satellite"],
            Self::SatelliteToDrone => ["test/query_satellite", "test/gallery_drone"],
            Self::StreetToSatellite => ["test/query_street", "test/gallery_satellite"],
        }
    }
}

const MORE: [&str; 4] = ["role", "class", "positive", "semi_positives"];

/// Imports a task of the set.
///
/// # Errors
/// A folder or the table is missing, or a file cannot be written.
pub(crate) fn import(request: &Request, task: Task, labels: Option<&Path>) -> anyhow::Result<Summary> {
    let places = labels.map(places).transpose()?;
    let mut sink = if places.is_some() {
        Sink::places(request, "university1652", &MORE)?
    } else {
        let mut sink = Sink::pairs(request, "university1652", &MORE)?;
        sink.note("the set tells no places: the rows are for retrieval alone, and build refuses them as places");
        sink
    };
    let place_of = |class: &str| match &places {
        Some(places) => places.get(class).map(|(lat, lon)| (lat.clone(), lon.clone())),
        None => Some(<(String, String)>::default()),
    };
    let [queries, gallery] = task.folders();
    let mut positives: BTreeMap<String, Vec<String>> = BTreeMap::new();
    each_class(request, gallery, |class, files| {
        for file in &files {
            let Some((lat, lon)) = place_of(class) else {
                sink.drop_row(file, "no_position", &format!("the table has no building {class}"))?;
                continue;
            };
            let more = ["reference", class, "", ""];
            sink.row(&Row { file, lat: &lat, lon: &lon, more: &more, ..Row::default() })?;
        }
        positives.insert(class.to_owned(), files);
        Ok(())
    })?;
    each_class(request, queries, |class, files| {
        let (best, others) = match positives.get(class).and_then(|found| found.split_first()) {
            Some((best, others)) => (best.as_str(), others.join(";")),
            None => ("", String::new()),
        };
        for file in &files {
            if best.is_empty() {
                sink.drop_row(file, "no_reference", &format!("{gallery} has no building {class}"))?;
                continue;
            }
            let Some((lat, lon)) = place_of(class) else {
                sink.drop_row(file, "no_position", &format!("the table has no building {class}"))?;
                continue;
            };
            let more = ["query", class, best, &others];
            sink.row(&Row { file, lat: &lat, lon: &lon, more: &more, ..Row::default() })?;
        }
        Ok(())
    })?;
    sink.finish()
}

/// The places of the buildings.
fn places(path: &Path) -> anyhow::Result<BTreeMap<String, (String, String)>> {
    let mut table = Table::open(path, Form::Csv)?;
    let (class, lat, lon) = (
        table.column(&["class", "id", "building"])?,
        table.column(&["lat", "latitude"])?,
        table.column(&["lon", "longitude"])?,
    );
    let mut places = BTreeMap::new();
    while let Some(row) = table.next_row()? {
        let fields = row.map_err(|(line, message)| anyhow::anyhow!("{}, line {line}: {message}", path.display()))?;
        places.insert(fields.text(class).to_owned(), (fields.text(lat).to_owned(), fields.text(lon).to_owned()));
    }
    Ok(places)
}

/// Hands over each building of a folder with its pictures, both sorted.
fn each_class(
    request: &Request,
    folder: &str,
    mut each: impl FnMut(&str, Vec<String>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let path = request.folder(folder)?;
    let read = |path: &Path| -> anyhow::Result<Vec<(String, bool)>> {
        let entries = fs::read_dir(path).with_context(|| format!("{}: cannot read", path.display()))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.with_context(|| format!("{}: cannot read", path.display()))?;
            let name = entry.file_name().into_string();
            names.push((name.unwrap_or_default(), entry.file_type()?.is_dir()));
        }
        names.sort();
        Ok(names)
    };
    let mut classes = 0;
    for (class, is_folder) in read(&path)? {
        if !is_folder {
            continue;
        }
        classes += 1;
        let names = read(&path.join(&class))?;
        let pictures = names.into_iter().filter(|(name, is_folder)| !is_folder && is_picture(Path::new(name)));
        each(&class, pictures.map(|(name, _)| format!("{folder}/{class}/{name}")).collect())?;
    }
    if classes == 0 {
        bail!("{}: expected a folder for each building, found none", path.display());
    }
    Ok(())
}
