//! A folder of tiles, `z/x/y.png`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::mosaic::TileSource;
use crate::pictures;

/// Extensions that a tile may have.
const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];
/// A tile may have so many bytes.
const MOST_TILE_BYTES: usize = 16 << 20;

pub(super) struct XyzFolder {
    folder: PathBuf,
    /// Rows count from the south.
    tms: bool,
}

impl XyzFolder {
    pub(super) fn open(folder: &Path, tms: bool) -> anyhow::Result<Self> {
        fs::read_dir(folder).with_context(|| format!("{}: cannot read", folder.display()))?;
        Ok(Self { folder: folder.to_owned(), tms })
    }

    fn row(&self, zoom: u8, row: u32) -> Option<u32> {
        if self.tms { 1_u32.checked_shl(u32::from(zoom))?.checked_sub(row.checked_add(1)?) } else { Some(row) }
    }
}

/// The numbers that name the entries of a folder.
fn numbers(folder: &Path) -> anyhow::Result<Vec<u32>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}: cannot read", folder.display()))?;
    let mut numbers = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("{}: cannot read", folder.display()))?.path();
        numbers.extend(path.file_stem().and_then(|stem| stem.to_str()?.parse::<u32>().ok()));
    }
    Ok(numbers)
}

impl TileSource for XyzFolder {
    fn name(&self) -> String {
        self.folder.display().to_string()
    }

    fn zooms(&self) -> anyhow::Result<Vec<u8>> {
        Ok(numbers(&self.folder)?.into_iter().filter_map(|zoom| u8::try_from(zoom).ok()).collect())
    }

    fn range(&self, zoom: u8) -> anyhow::Result<Option<[u32; 4]>> {
        let folder = self.folder.join(zoom.to_string());
        let columns = numbers(&folder)?;
        let mut range: Option<[u32; 4]> = None;
        for column in columns {
            let rows = numbers(&folder.join(column.to_string()))?;
            for row in rows.into_iter().filter_map(|row| self.row(zoom, row)) {
                let [west, north, east, south] = range.unwrap_or([column, row, column, row]);
                range = Some([west.min(column), north.min(row), east.max(column), south.max(row)]);
            }
        }
        Ok(range)
    }

    fn tile(&self, zoom: u8, column: u32, row: u32) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(row) = self.row(zoom, row) else { return Ok(None) };
        let folder = self.folder.join(zoom.to_string()).join(column.to_string());
        let found =
            EXTENSIONS.iter().map(|extension| folder.join(format!("{row}.{extension}"))).find(|path| path.is_file());
        Ok(found.map(|path| pictures::read(&path, MOST_TILE_BYTES)).transpose()?)
    }

    fn attribution(&self) -> Option<String> {
        let text = ["metadata.json", "tiles.json", "tilejson.json"]
            .iter()
            .find_map(|name| fs::read_to_string(self.folder.join(name)).ok())?;
        let json: serde_json::Value = serde_json::from_str(&text).ok()?;
        json.get("attribution")?.as_str().map(str::to_owned)
    }
}
