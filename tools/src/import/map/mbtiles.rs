//! MBTiles: tiles in an SQLite file, whose rows count from the south.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::mosaic::TileSource;

/// A tile may have so many bytes.
const MOST_TILE_BYTES: usize = 16 << 20;

pub(super) struct MbTiles {
    path: PathBuf,
    file: Connection,
}

impl MbTiles {
    /// Opens a file, which is not changed. Nothing but tables and views is asked for, so a file that was made to do harm
    /// brings no code.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if !path.is_file() {
            bail!("{}: no such file", path.display());
        }
        let file =
            Connection::open_with_flags(path, flags).with_context(|| format!("{}: cannot read", path.display()))?;
        let tiles = Self { path: path.to_owned(), file };
        let version: i64 = tiles.ask(tiles.file.query_row("PRAGMA schema_version", [], |row| row.get(0)))?;
        if version == 0 {
            bail!("{}: expected the tables of MBTiles, found an empty file", path.display());
        }
        if let Some(format @ ("pbf" | "mvt")) = tiles.metadata("format").as_deref() {
            bail!("{}: expected tiles that are pictures, found vector tiles ({format})", path.display());
        }
        Ok(tiles)
    }

    fn ask<T>(&self, answer: rusqlite::Result<T>) -> anyhow::Result<T> {
        answer.with_context(|| format!("{}: expected MBTiles; is the download whole?", self.path.display()))
    }

    fn metadata(&self, name: &str) -> Option<String> {
        let query = "SELECT value FROM metadata WHERE name = ?1";
        self.file.query_row(query, [name], |row| row.get(0)).optional().ok().flatten()
    }
}

/// A row counted from the other side.
fn flipped(zoom: u8, row: u32) -> Option<u32> {
    1_u32.checked_shl(u32::from(zoom))?.checked_sub(row.checked_add(1)?)
}

impl TileSource for MbTiles {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn zooms(&self) -> anyhow::Result<Vec<u8>> {
        let mut statement = self.ask(self.file.prepare("SELECT DISTINCT zoom_level FROM tiles"))?;
        let zooms = self.ask(statement.query_map([], |row| row.get::<_, i64>(0)))?;
        let zooms: Vec<i64> = self.ask(zooms.collect())?;
        Ok(zooms.into_iter().filter_map(|zoom| u8::try_from(zoom).ok()).collect())
    }

    fn range(&self, zoom: u8) -> anyhow::Result<Option<[u32; 4]>> {
        let query =
            "SELECT min(tile_column), min(tile_row), max(tile_column), max(tile_row) FROM tiles WHERE zoom_level = ?1";
        let found = self
            .file
            .query_row(query, [zoom], |row| Ok([row.get::<_, Option<u32>>(0)?, row.get(1)?, row.get(2)?, row.get(3)?]));
        let [west, south, east, north] = self.ask(found)?;
        let (Some(west), Some(south), Some(east), Some(north)) = (west, south, east, north) else { return Ok(None) };
        Ok(flipped(zoom, north).zip(flipped(zoom, south)).map(|(north, south)| [west, north, east, south]))
    }

    fn tile(&self, zoom: u8, column: u32, row: u32) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(row) = flipped(zoom, row) else { return Ok(None) };
        let query = "SELECT tile_data FROM tiles WHERE zoom_level = ?1 AND tile_column = ?2 AND tile_row = ?3 \
                     AND length(tile_data) <= ?4";
        let found = self.file.query_row(query, (zoom, column, row, MOST_TILE_BYTES as i64), |row| row.get(0));
        self.ask(found.optional())
    }

    fn attribution(&self) -> Option<String> {
        self.metadata("attribution").filter(|text| !text.trim().is_empty())
    }
}
