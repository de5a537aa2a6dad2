//! UAV-VisLoc: eleven flights, each a folder `01` with `01.csv`, pictures in `01/drone`, and a satellite map.
//!
//! `height` is above sea level. The angles are kept as they are written (`omega`, `kappa`, `phi1`, `phi2`): their signs are
//! not documented. Positions of some flights are those that the drone was sent to, not where it was, and are off by 24 to
//! 48 m. The maps' corners stand in `satellite_coordinates_range.csv`, which is published with a space in its name;
//! `geolocate import map 01/satellite01.tif` cuts a map into tiles.

use std::fs;

use anyhow::{Context, bail};

use super::Request;
use super::sink::{Row, Sink};
use super::summary::Summary;
use super::table::{Form, Table};

const MORE: [&str; 8] = ["alt_m", "time", "flight", "role", "omega", "kappa", "phi1", "phi2"];

/// Imports all flights.
///
/// # Errors
/// There is no flight, a table is damaged, no picture is found, or a file cannot be written.
pub(crate) fn import(request: &Request) -> anyhow::Result<Summary> {
    let mut sink = Sink::places(request, "uav_visloc", &MORE)?;
    sink.note(
        "positions of some flights are set points, 24 to 48 m off where the drone was: shares within less than 50 m say \
         little about them",
    );
    let mut flights = 0;
    let entries = fs::read_dir(&request.root).with_context(|| format!("{}: cannot read", request.root.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).filter(|name| name.len() == 2).collect();
    names.sort();
    for flight in names {
        let path = request.root.join(&flight).join(format!("{flight}.csv"));
        if !path.is_file() {
            continue;
        }
        flights += 1;
        let mut table = Table::open(&path, Form::Csv)?;
        let name = table.column(&["filename"])?;
        let (lat, lon) = (table.column(&["lat"])?, table.column(&["lon"])?);
        let optional = ["height", "date", "Omega", "Kappa", "Phi1", "Phi2"].map(|name| table.find(&[name]));
        while let Some(row) = table.next_row()? {
            let fields = match row {
                Ok(fields) => fields,
                Err((line, message)) => {
                    sink.drop_line(&path, line, &message)?;
                    continue;
                }
            };
            let picture = fields.text(name);
            let file = if picture.is_empty() { String::new() } else { format!("{flight}/drone/{picture}") };
            let [height, date, omega, kappa, phi1, phi2] = optional.map(|column| fields.optional(column));
            let time = time(date);
            let more = [height, &time, &flight, "query", omega, kappa, phi1, phi2];
            let (lat, lon) = (fields.text(lat), fields.text(lon));
            sink.row(&Row { line: fields.line, file: &file, lat, lon, more: &more, ..Row::default() })?;
        }
        sink.add_bytes(table.bytes());
    }
    if flights == 0 {
        bail!("{}: expected folders 01 to 11 with a table of the same name, found none", request.root.display());
    }
    if let Some(note) = maps(request)? {
        sink.note(note);
    }
    sink.finish()
}

/// What the maps' corners are, for cutting them.
fn maps(request: &Request) -> anyhow::Result<Option<String>> {
    let names = ["satellite_coordinates_range.csv", "satellite_ coordinates_range.csv"];
    let Some(path) = request.optional_file(&names) else { return Ok(None) };
    let mut table = Table::open(&path, Form::Csv)?;
    let name = table.column(&["mapname"])?;
    let corners = [["LT_lat_map"], ["LT_lon_map"], ["RB_lat_map"], ["RB_lon_map"]];
    let corners = corners.iter().map(|name| table.column(name)).collect::<Result<Vec<usize>, _>>()?;
    let mut maps = Vec::new();
    while let Some(row) = table.next_row()? {
        let Ok(fields) = row else { continue };
        let corners: Vec<&str> = corners.iter().map(|column| fields.text(*column)).collect();
        maps.push(format!("{} --bounds {}", fields.text(name), corners.join(",")));
    }
    Ok((!maps.is_empty()).then(|| format!("maps for geolocate import map: {}", maps.join("; "))))
}

/// A date as RFC 3339 or as YYYY-MM-DD HH:MM:SS; empty where it is neither.
fn time(text: &str) -> String {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return text.to_owned();
    }
    text.parse::<jiff::civil::DateTime>().map(|time| format!("{time}Z")).unwrap_or_default()
}
