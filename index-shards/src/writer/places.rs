//! Passes over what was kept of the rows: columns and zones, details, blobs.

use super::rows::{Kept, for_each_kept};
use super::scratch::Scratch;
use super::spool::Spool;
use crate::disk::DiskFile;
use crate::place::to_units;
use crate::sections::columns::{self, NO_TIME};
use crate::sections::details;
use crate::sections::frame::BlockWriter;
use crate::sections::writer::{Appender, SectionWriter, written};
use crate::sections::zones::{ZONE_ROWS, Zone};
use crate::sections::{Entry, Kind, blobs};
use std::io;
use std::ops::Range;

/// Bytes of a blob that are copied at once.
const COPY_BYTES: u32 = 1 << 18;

/// What was kept of the rows, and how many there are.
pub(super) struct KeptRows<'a> {
    pub(super) scratch: &'a Scratch,
    pub(super) kept: Range<u64>,
    pub(super) rows: u32,
}

impl KeptRows<'_> {
    fn for_each(&self, visit: impl FnMut(Kept<'_>) -> io::Result<()>) -> io::Result<()> {
        for_each_kept(self.scratch, &self.kept, visit)
    }
}

/// Writes the columns at `offset`, and the zones behind them.
pub(super) fn write_columns(file: &dyn DiskFile, offset: u64, kept: &KeptRows<'_>) -> io::Result<[Entry; 2]> {
    let [mut lats, mut lons, mut times, mut sources, mut positions] =
        columns::offsets(kept.rows).map(|column| Appender::new(file, offset + column));
    let (mut zones, mut zone, mut zone_rows) = (Vec::new(), Zone::EMPTY, 0);
    kept.for_each(|row| {
        let (lat, lon) = (to_units(row.told.place.lat_deg), to_units(row.told.place.lon_deg));
        let time = row.told.place.captured_at_ms.unwrap_or(NO_TIME);
        lats.write(&lat.to_le_bytes())?;
        lons.write(&lon.to_le_bytes())?;
        times.write(&time.to_le_bytes())?;
        sources.write(&row.source.to_le_bytes())?;
        positions.write(&row.position.to_le_bytes())?;
        zone.add_lat(lat);
        zone.add_lon(lon);
        zone.add_time(time);
        zone_rows += 1;
        if zone_rows == ZONE_ROWS {
            zones.extend(std::mem::replace(&mut zone, Zone::EMPTY).encode());
            zone_rows = 0;
        }
        Ok(())
    })?;
    if zone_rows > 0 {
        zones.extend(zone.encode());
    }
    for mut column in [lats, lons, times, sources, positions] {
        column.flush()?;
    }
    let columns = written(file, Kind::Columns, offset, columns::length(kept.rows))?;
    let zones = write_whole(file, Kind::Zones, end(&columns)?, &zones)?;
    Ok([columns, zones])
}

/// Writes the section of details at `offset`.
pub(super) fn write_details(file: &dyn DiskFile, offset: u64, kept: &KeptRows<'_>) -> io::Result<Entry> {
    if kept.rows == 0 {
        return write_whole(file, Kind::Details, offset, &[]);
    }
    let table_bytes = details::table_bytes(kept.rows);
    let mut frames = Appender::new(file, offset + table_bytes);
    let (mut writer, mut table) = (BlockWriter::new()?, vec![0; size_of::<u64>()]);
    let mut take = |writer: &mut BlockWriter| {
        frames.write(&writer.take()?)?;
        table.extend((frames.position() - offset - table_bytes).to_le_bytes());
        io::Result::Ok(())
    };
    kept.for_each(|row| {
        let full = writer.push(&row.told.place, row.told.name);
        if full { take(&mut writer) } else { Ok(()) }
    })?;
    if !writer.is_empty() {
        take(&mut writer)?;
    }
    frames.flush()?;
    let length = frames.position() - offset;
    file.write_at(&table, offset)?;
    written(file, Kind::Details, offset, length)
}

/// Writes the section of blobs at `offset`, from the spool.
pub(super) fn write_blobs(
    file: &dyn DiskFile,
    offset: u64,
    kept: &KeptRows<'_>,
    (spool, there): (&Spool, bool),
) -> io::Result<Entry> {
    let mut section = SectionWriter::new(file, Kind::Blobs, offset);
    if !there || kept.rows == 0 {
        return section.finish();
    }
    let mut blob_end = 0_u64;
    section.write(&blob_end.to_le_bytes())?;
    kept.for_each(|row| {
        blob_end += u64::from(row.blob.1);
        section.write(&blob_end.to_le_bytes())
    })?;
    debug_assert_eq!(blobs::table_bytes(kept.rows), (u64::from(kept.rows) + 1) * 8);
    let mut buffer = Vec::new();
    kept.for_each(|row| {
        let (mut from, mut left) = row.blob;
        while left > 0 {
            let now = left.min(COPY_BYTES);
            buffer.resize(now as usize, 0);
            spool.read_part(from, &mut buffer)?;
            section.write(&buffer)?;
            (from, left) = (from + u64::from(now), left - now);
        }
        Ok(())
    })?;
    section.finish()
}

/// Writes a section that is in memory.
pub(super) fn write_whole(file: &dyn DiskFile, kind: Kind, offset: u64, bytes: &[u8]) -> io::Result<Entry> {
    let mut section = SectionWriter::new(file, kind, offset);
    section.write(bytes)?;
    section.finish()
}

/// Where the section after this one begins.
pub(super) fn end(entry: &Entry) -> io::Result<u64> {
    entry.end().ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}
