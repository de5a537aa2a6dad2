//! GTA-UAV: drone pictures and map tiles of a game's world. Its coordinates are those of the game, not of the Earth, so
//! the rows have no `lat,lon`, and `build` refuses them as places; they say which tile shows which picture, for
//! retrieval.
//!
//! `same-area-drone2sate-test.json` and its like are one JSON array of some ten thousand objects, which is read one
//! object after the other.

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::Request;
use super::line_guard::LineGuard;
use super::sink::{Row, Sink};
use super::summary::Summary;
use super::vigor::{AreaArg, PartArg};
use crate::pictures::names_below;

const MORE: [&str; 9] =
    ["role", "positive", "semi_positives", "x_m", "y_m", "agl_m", "heading_deg", "camera_pitch", "camera_roll"];

/// Imports a part of an area.
///
/// # Errors
/// The file is missing or damaged, no picture is found, or a file cannot be written.
pub(crate) fn import(request: &Request, area: AreaArg, part: PartArg) -> anyhow::Result<Summary> {
    let mut sink = Sink::pairs(request, "gtauav", &MORE)?;
    sink.note("coordinates are those of a game, not WGS 84: the rows have none, and build refuses them as places");
    let area = if area == AreaArg::Same { "same" } else { "cross" };
    let part = if part == PartArg::Train { "train" } else { "test" };
    let path = request.file(&[&format!("{area}-area-drone2sate-{part}.json")])?;
    if request.root.join("satellite").is_dir() {
        for name in names_below(&request.root.join("satellite"))? {
            let file = format!("satellite/{name}");
            sink.row(&Row { file: &file, more: &["reference", "", "", "", "", "", "", "", ""], ..Row::default() })?;
        }
    }
    let file = File::open(&path).with_context(|| format!("{}: cannot read", path.display()))?;
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(LineGuard::new(file)));
    let walked = json.deserialize_seq(Walk { sink: &mut sink, path: &path });
    walked.and_then(|()| json.end()).with_context(|| format!("{}: is the download whole?", path.display()))?;
    sink.finish()
}

/// One picture.
#[derive(Debug, Deserialize)]
struct Entry {
    drone_img_dir: String,
    drone_img_name: String,
    drone_loc_x_y: [f64; 2],
    sate_img_dir: String,
    #[serde(default)]
    pair_pos_sate_img_list: Vec<String>,
    #[serde(default)]
    pair_pos_sate_weight_list: Vec<f64>,
    #[serde(default)]
    pair_pos_semipos_sate_img_list: Vec<String>,
    #[serde(default)]
    drone_metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    height: Option<f64>,
    cam_roll: Option<f64>,
    cam_pitch: Option<f64>,
    cam_yaw: Option<f64>,
}

struct Walk<'a> {
    sink: &'a mut Sink,
    path: &'a Path,
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a JSON array of pictures")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut number = 0_u64;
        while let Some(entry) = entries.next_element::<Entry>()? {
            number += 1;
            write(self.sink, self.path, number, &entry).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}

fn write(sink: &mut Sink, path: &Path, number: u64, entry: &Entry) -> anyhow::Result<()> {
    let row = format!("{}, entry {number}, {}", path.display(), entry.drone_img_name);
    // The tile that shows most of the picture's ground is the positive one.
    let weight = |at: usize| entry.pair_pos_sate_weight_list.get(at).copied().unwrap_or_default();
    let best = (0..entry.pair_pos_sate_img_list.len()).max_by(|a, b| weight(*a).total_cmp(&weight(*b)).then(b.cmp(a)));
    let in_folder = |name: &String| format!("{}/{name}", entry.sate_img_dir);
    let best =
        best.and_then(|at| entry.pair_pos_sate_img_list.get(at)).or(entry.pair_pos_semipos_sate_img_list.first());
    let Some(best) = best else {
        return sink.drop_row(&row, "no_reference", "no tile shows its ground");
    };
    let all = entry.pair_pos_sate_img_list.iter().chain(&entry.pair_pos_semipos_sate_img_list);
    let mut semi: Vec<String> = all.filter(|name| *name != best).map(in_folder).collect();
    semi.sort();
    semi.dedup();
    let text = |value: Option<f64>| value.map(|value| format!("{value}")).unwrap_or_default();
    let [x, y] = entry.drone_loc_x_y;
    let metadata = &entry.drone_metadata;
    let heading = text(metadata.cam_yaw.map(|deg| deg.rem_euclid(360.0)));
    let file = format!("{}/{}", entry.drone_img_dir, entry.drone_img_name);
    let (x, y, best, semi) = (format!("{x}"), format!("{y}"), in_folder(best), semi.join(";"));
    let (height, pitch, roll) = (text(metadata.height), text(metadata.cam_pitch), text(metadata.cam_roll));
    let more = ["query", &best, &semi, &x, &y, &height, &heading, &pitch, &roll];
    sink.row(&Row { file: &file, more: &more, ..Row::default() })
}
