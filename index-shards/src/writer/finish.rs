//! Making the shard from the spool.

use super::codes::{self, Source};
use super::order::Order;
use super::places::{self, KeptRows, end, write_whole};
use super::rows;
use super::seen::Seen;
use super::spool::Kind as SpoolKind;
use super::unique::Names;
use super::unique::Twice;
use super::{SHOWN_NAME_CHARS, ShardSummary, ShardWriter, refused};
use crate::disk::DiskFile;
use crate::error::WriteError;
use crate::header::{HEADER_BYTES, Header};
use crate::sections::{Kind, removed, sources};
use std::io;
use std::num::NonZero;
use std::sync::Arc;

impl ShardWriter {
    /// Puts the shard together, has it all on the disk, and moves it into place in one step, replacing what was there.
    ///
    /// # Errors
    /// There is neither a row nor a tombstone; a name came twice; or the operating system refused: then the output is
    /// as it was before. Only when it is the folder that cannot be synced, which is the last step, the new file is in
    /// place already. With a [plan](super::WriterOptions::plan), what was told is kept for the next try.
    pub fn finish(mut self) -> Result<ShardSummary, WriteError> {
        self.check_failed()?;
        if self.told.rows == 0 && self.told.tombstones.is_empty() {
            return Err(WriteError::Empty { path: self.out().into() });
        }
        self.check_names()?;
        let (disk, paths) = (Arc::clone(&self.leftovers.disk), self.leftovers.paths.clone());
        let refused = |action| refused(&paths.out, action);
        let file = disk.create(&paths.finishing).map_err(refused("create a temporary file beside it"))?;
        let header = self.write_sections(&*file).map_err(refused("write it"))?;
        let fault = |fault| WriteError::Description { path: paths.out.clone(), fault };
        let (page, digest) = header.encode().map_err(fault)?;
        file.write_at(page.as_slice(), 0).map_err(refused("write its header"))?;
        file.sync().map_err(refused("sync"))?;
        drop(file);
        disk.rename(&paths.finishing, &paths.out).map_err(refused("move the finished file into place"))?;
        disk.sync_folder(paths.folder()).map_err(refused("sync the folder"))?;
        self.leftovers.keep_spool = false;
        let bytes = header.file_bytes().unwrap_or_default();
        Ok(ShardSummary { path: paths.out, rows: header.rows as usize, bytes, digest: digest.to_string() })
    }

    /// Passes when no name came twice.
    fn check_names(&mut self) -> Result<(), WriteError> {
        let names = std::mem::replace(&mut self.told.names, Names::new());
        let refused = |error| refused(&self.leftovers.paths.out, "compare the names")(error);
        let Some(twice) = names.find_twice(&self.told.scratch).map_err(refused)? else { return Ok(()) };
        let name = self.name_of(&twice).map_err(refused)?;
        Err(WriteError::NameTwice { path: self.out().into(), name, first: twice.first, again: twice.again })
    }

    fn name_of(&self, twice: &Twice) -> io::Result<String> {
        let mut entry = Vec::new();
        self.spool.read(SpoolKind::Row, twice.offset, twice.bytes, &mut entry)?;
        let told = super::Told::decode(&entry, self.description.dimensions).map_err(io::Error::other)?;
        Ok(told.name.chars().take(SHOWN_NAME_CHARS).collect())
    }

    /// Writes everything behind the header, and returns what the header has to say.
    fn write_sections(&mut self, file: &dyn DiskFile) -> io::Result<Header> {
        let dimensions = self.description.dimensions;
        let Seen { rows, order, sources: names, tombstones, scratch, .. } = &mut self.told;
        let count = *rows;
        let order = std::mem::replace(order, Order::new()).into_rows(scratch)?;
        let taken = rows::write(file, HEADER_BYTES as u64, (order, count, dimensions), &self.spool, names, scratch)?;
        scratch.grow_to(taken.kept.end);
        let threads = NonZero::new(self.threads).unwrap_or(NonZero::<usize>::MIN);
        let source = Source { file, taken: &taken, rows: count, dimensions, threads };
        let coded = codes::write(&source, end(&taken.vectors)?, (self.layout, self.seed), scratch)?;
        let [codes, second, centroids, slots] = coded.sections;
        let kept = KeptRows { scratch, kept: taken.kept.clone(), rows: count };
        let [columns, zones] = places::write_columns(file, end(&slots)?, &kept)?;
        let details = places::write_details(file, end(&zones)?, &kept)?;
        let sources = write_whole(file, Kind::Sources, end(&details)?, &sources::encode(names))?;
        let blobs = (&self.spool, self.description.blobs.is_some());
        let blobs = places::write_blobs(file, end(&sources)?, &kept, blobs)?;
        let removed = write_whole(file, Kind::Removed, end(&blobs)?, &removed::encode(tombstones))?;
        let decoder = write_whole(file, Kind::Decoder, end(&removed)?, &coded.decoder)?;
        Ok(Header {
            description: self.description.clone(),
            rows: count,
            bounds: taken.bounds,
            coding: coded.coding,
            sections: [
                taken.vectors,
                codes,
                second,
                centroids,
                slots,
                columns,
                zones,
                details,
                sources,
                blobs,
                removed,
                decoder,
            ],
        })
    }
}
