//! Centroids and codes: two passes over the vectors as they lie in the shard. The first finds the centroid of each row,
//! the second makes the codes, list by list or in row order.

use super::places::{end, write_whole};
use super::rows::Taken;
use super::scratch::Scratch;
use super::sorter::{Sorted, Sorter};
use crate::clusters::{Clusters, Layout, LayoutChoice, Members, StoredRows};
use crate::decoder::{self, Decoder};
use crate::disk::{DiskFile, read_exact_at};
use crate::header::Coding;
use crate::layers::{BLOCK_SLOTS, BlockWriter, Layers};
use crate::row::dequantize;
use crate::sections::centroids::{Centroid, NO_ROW};
use crate::sections::writer::SectionWriter;
use crate::sections::{ALIGNMENT, Entry, Kind, centroids, codes, vectors};
use std::io;
use std::num::NonZero;
use std::thread;

/// Bytes of the vectors that are assigned at once.
const CHUNK_BYTES: usize = 8 << 20;
/// Rows of a piece of codes that one thread makes: whole blocks.
const JOB_ROWS: usize = 64 * BLOCK_SLOTS;
/// Rows that are read at once when they follow each other.
const READ_ROWS: usize = 256;
/// Bytes of an assigned row while it is sorted: centroid, row, squared distance.
const RECORD: usize = 12;

/// What a shard is made of, as far as codes need it.
pub(super) struct Source<'a> {
    pub(super) file: &'a dyn DiskFile,
    pub(super) taken: &'a Taken,
    pub(super) rows: u32,
    pub(super) dimensions: usize,
    pub(super) threads: NonZero<usize>,
}

/// The sections `codes`, `second`, `centroids` and `slots`, and what the header says of them.
pub(super) struct Coded {
    pub(super) coding: Coding,
    pub(super) sections: [Entry; 4],
    /// The section of the decoder, which is not written yet.
    pub(super) decoder: Vec<u8>,
}

impl Coded {
    /// Of no rows.
    fn nothing(file: &dyn DiskFile, offset: u64, seed: u64) -> io::Result<Self> {
        let empty = |kind| write_whole(file, kind, offset, &[]);
        let sections = [empty(Kind::Codes)?, empty(Kind::Second)?, empty(Kind::Centroids)?, empty(Kind::Slots)?];
        let coding = Coding { seed, centroids: 0, lists: false, slots: 0 };
        Ok(Self { coding, sections, decoder: Vec::new() })
    }
}

/// Writes the sections at `offset`.
pub(super) fn write(
    source: &Source<'_>,
    offset: u64,
    (choice, seed): (LayoutChoice, u64),
    scratch: &mut Scratch,
) -> io::Result<Coded> {
    if source.rows == 0 {
        return Coded::nothing(source.file, offset, seed);
    }
    let layout = Layout::choose(source.rows, choice);
    let sample = source.taken.sample.stored(source.dimensions);
    let clusters = Clusters::train(sample, layout.centroids, &source.taken.mean, source.threads);
    let mut assigned = Sorter::new();
    let counts = source.assign(&clusters, &mut assigned, scratch)?;
    let coding = coding(seed, layout.lists, source.rows, &counts)?;
    let layers = Layers::new(source.dimensions);
    let decoder = source.decoder(&clusters, layout.lists);
    let mut encoder = Encoder::new(source, (&clusters, Decoder::new(&decoder, layers)), &coding, offset)?;
    let mut records: Vec<u8> = source.taken.mean.iter().flat_map(|component| component.to_le_bytes()).collect();
    let mut lists = Lists { sorted: assigned.into_sorted(scratch)?, ahead: None };
    let mut first_block = 0;
    for (centroid, list) in clusters.centroids.iter().zip(0..) {
        let mut members = lists.next(list, &mut encoder)?;
        let rows = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let (medoid, radius) = (members.medoid().unwrap_or(NO_ROW), members.radius());
        let (scale, bytes) = (centroid.scale, centroid.bytes.as_slice());
        let record = Centroid { first_block, rows, medoid, radius, scale, bytes };
        record.encode(&mut records);
        first_block += if coding.lists { record.blocks() } else { 0 };
    }
    let [codes, second, slots] = encoder.finish()?;
    let centroids = write_whole(source.file, Kind::Centroids, end(&second)?, &records)?;
    Ok(Coded { coding, sections: [codes, second, centroids, slots], decoder })
}

/// What the header says, by the number of rows of each centroid.
fn coding(seed: u64, lists: bool, rows: u32, counts: &[u32]) -> io::Result<Coding> {
    let blocks = |rows: u32| u64::from(rows.div_ceil(BLOCK_SLOTS as u32));
    let blocks = if lists { counts.iter().copied().map(blocks).sum() } else { blocks(rows) };
    let beyond = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let slots = u32::try_from(blocks * BLOCK_SLOTS as u64).map_err(beyond)?;
    Ok(Coding { seed, centroids: u32::try_from(counts.len()).map_err(beyond)?, lists, slots })
}

impl Source<'_> {
    fn stride(&self) -> usize {
        vectors::stride(self.dimensions)
    }

    /// Reads the records of `count` rows from `first` on.
    fn read(&self, first: u32, count: usize, records: &mut Vec<u8>) -> io::Result<()> {
        records.resize(count * self.stride(), 0);
        read_exact_at(self.file, records, self.taken.vectors.offset + u64::from(first) * self.stride() as u64)
    }

    /// What the sample says of the residuals that codes are made of: to the mean, or to centroids.
    fn decoder(&self, clusters: &Clusters, lists: bool) -> Vec<u8> {
        let sample = self.taken.sample.stored(self.dimensions);
        let assigned = if lists { clusters.assign_all(sample, self.threads) } else { Vec::new() };
        let centroid = |row: usize| {
            let list = assigned.get(row).map(|(list, _)| *list as usize);
            let centroid = list.and_then(|list| clusters.centroids.get(list));
            centroid.map_or(self.taken.mean.as_slice(), |centroid| &centroid.vector)
        };
        decoder::build(&decoder::residuals(sample, centroid), Layers::new(self.dimensions), self.threads)
    }

    /// Finds the centroid of every row, which goes into `assigned` with its row and squared distance. Returns how many
    /// rows each centroid has.
    fn assign(
        &self,
        clusters: &Clusters,
        assigned: &mut Sorter<RECORD>,
        scratch: &mut Scratch,
    ) -> io::Result<Vec<u32>> {
        let mut counts = vec![0; clusters.centroids.len()];
        let chunk = u32::try_from(CHUNK_BYTES / self.stride()).unwrap_or(u32::MAX).max(1);
        let (mut records, mut scales, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        for first in (0..self.rows).step_by(chunk as usize) {
            let count = (self.rows - first).min(chunk);
            self.read(first, count as usize, &mut records)?;
            scales.clear();
            bytes.clear();
            for record in records.chunks_exact(self.stride()) {
                let (scale, vector) = vectors::decode(record, self.dimensions).unwrap_or_default();
                scales.push(scale);
                bytes.extend_from_slice(vector);
            }
            let stored = StoredRows { scales: &scales, bytes: &bytes, dimensions: self.dimensions };
            let found = clusters.assign_all(stored, self.threads);
            for ((list, squared_distance), row) in found.into_iter().zip(first..) {
                if let Some(count) = counts.get_mut(list as usize) {
                    *count += 1;
                }
                let mut record = [0; RECORD];
                // Distances are not negative, so their bits sort as they do.
                let fields = [list, row, squared_distance.to_bits()].into_iter().flat_map(u32::to_be_bytes);
                record.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
                assigned.push(record, scratch)?;
            }
        }
        Ok(counts)
    }
}

/// The rows of the lists, one list after the other.
struct Lists<'a> {
    sorted: Sorted<'a, RECORD>,
    /// What was read of the next list.
    ahead: Option<[u32; 3]>,
}

impl Lists<'_> {
    fn read(&mut self) -> io::Result<Option<[u32; 3]>> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        let Some(record) = self.sorted.next().transpose()? else { return Ok(None) };
        let [a, b, c, d, e, f, g, h, i, j, k, l] = record;
        Ok(Some([[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_be_bytes)))
    }

    /// Goes over the rows of `list`, ascending, and hands them to the encoder.
    fn next(&mut self, list: u32, encoder: &mut Encoder<'_>) -> io::Result<Members> {
        let (mut members, mut rows) = (Members::default(), Vec::new());
        while let Some([of_list, row, squared_distance]) = self.read()? {
            if of_list != list {
                self.ahead = Some([of_list, row, squared_distance]);
                break;
            }
            members.push(row, f32::from_bits(squared_distance));
            rows.push(row);
            if rows.len() == JOB_ROWS {
                encoder.add_list(list, std::mem::take(&mut rows))?;
            }
        }
        encoder.add_list(list, rows)?;
        Ok(members)
    }
}

/// Rows of one list, or of a flat shard, whose codes are made together. Whole blocks, but at the end of a list.
struct Job {
    list: Option<u32>,
    rows: Vec<u32>,
}

/// Makes codes on several threads and writes them in order.
struct Encoder<'a> {
    source: &'a Source<'a>,
    clusters: &'a Clusters,
    decoder: Option<Decoder<'a>>,
    layers: Layers,
    lists: bool,
    jobs: Vec<Job>,
    /// Rows of all jobs.
    waiting: usize,
    codes: SectionWriter<'a>,
    second: SectionWriter<'a>,
    slots: SectionWriter<'a>,
}

impl<'a> Encoder<'a> {
    /// The sections begin at `offset`.
    fn new(
        source: &'a Source<'a>,
        (clusters, decoder): (&'a Clusters, Option<Decoder<'a>>),
        coding: &Coding,
        offset: u64,
    ) -> io::Result<Self> {
        let layers = Layers::new(source.dimensions);
        let beyond = || io::Error::from(io::ErrorKind::FileTooLarge);
        let behind =
            |offset: u64, length: Option<u64>| offset.checked_add(length?)?.checked_next_multiple_of(ALIGNMENT);
        let second = behind(offset, Some(codes::length(coding.slots, layers))).ok_or_else(beyond)?;
        let centroids = behind(second, Some(codes::second_length(coding.slots, layers))).ok_or_else(beyond)?;
        let length = centroids::length(source.rows, source.dimensions, coding.centroids);
        let slots = behind(centroids, length).ok_or_else(beyond)?;
        Ok(Self {
            source,
            clusters,
            decoder,
            layers,
            lists: coding.lists,
            jobs: Vec::new(),
            waiting: 0,
            codes: SectionWriter::new(source.file, Kind::Codes, offset),
            second: SectionWriter::new(source.file, Kind::Second, second),
            slots: SectionWriter::new(source.file, Kind::Slots, slots),
        })
    }

    /// Takes rows of a list of a shard that has lists.
    fn add_list(&mut self, list: u32, rows: Vec<u32>) -> io::Result<()> {
        if self.lists && !rows.is_empty() { self.add(Job { list: Some(list), rows }) } else { Ok(()) }
    }

    fn add(&mut self, job: Job) -> io::Result<()> {
        self.waiting += job.rows.len();
        self.jobs.push(job);
        if self.waiting >= self.source.threads.get() * JOB_ROWS { self.work() } else { Ok(()) }
    }

    /// Makes the codes of all jobs that wait.
    fn work(&mut self) -> io::Result<()> {
        let jobs = std::mem::take(&mut self.jobs);
        self.waiting = 0;
        let share = jobs.len().div_ceil(self.source.threads.get()).max(1);
        let this = &*self;
        let made = thread::scope(|scope| {
            let workers: Vec<_> = jobs.chunks(share).map(|share| scope.spawn(move || this.encode_all(share))).collect();
            let join = |worker: thread::ScopedJoinHandle<'_, _>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            workers.into_iter().map(join).collect::<io::Result<Vec<_>>>()
        })?;
        for (codes, second) in made {
            self.codes.write(&codes)?;
            self.second.write(&second)?;
        }
        for job in jobs.iter().filter(|job| job.list.is_some()) {
            let filled = job.rows.len().next_multiple_of(BLOCK_SLOTS);
            for row in job.rows.iter().copied().chain(std::iter::repeat(NO_ROW)).take(filled) {
                self.slots.write(&row.to_le_bytes())?;
            }
        }
        Ok(())
    }

    fn encode_all(&self, jobs: &[Job]) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let (mut codes, mut second) = (Vec::new(), Vec::new());
        let mean = &self.source.taken.mean;
        let mut writer = BlockWriter::new(self.layers, mean, self.decoder);
        let mut take = |writer: &mut BlockWriter<'_>| {
            writer.take(|block, words| {
                codes.extend_from_slice(block);
                second.extend_from_slice(words);
            });
        };
        let mut vector = vec![0.0; self.source.dimensions];
        let mut records = Vec::new();
        for job in jobs {
            let centroid = job.list.and_then(|list| self.clusters.centroids.get(list as usize));
            let centroid = centroid.map_or(mean, |centroid| &centroid.vector);
            for rows in consecutive(&job.rows) {
                let first = rows.first().copied().unwrap_or_default();
                self.source.read(first, rows.len(), &mut records)?;
                for record in records.chunks_exact(self.source.stride()) {
                    let (scale, bytes) = vectors::decode(record, self.source.dimensions).unwrap_or_default();
                    dequantize(scale, bytes, &mut vector);
                    if writer.push(&vector, centroid, 0.0) {
                        take(&mut writer);
                    }
                }
            }
            if !writer.is_empty() {
                take(&mut writer);
            }
        }
        Ok((codes, second))
    }

    /// Makes what is left, in a flat shard everything, and writes the paddings: the sections of codes, second layer and
    /// slots.
    fn finish(mut self) -> io::Result<[Entry; 3]> {
        if !self.lists {
            let rows = self.source.rows;
            for first in (0..rows).step_by(JOB_ROWS) {
                let end = first.saturating_add(JOB_ROWS as u32).min(rows);
                self.add(Job { list: None, rows: (first..end).collect() })?;
            }
        }
        self.work()?;
        Ok([self.codes.finish()?, self.second.finish()?, self.slots.finish()?])
    }
}

/// Runs of rows that follow each other, at most [`READ_ROWS`] long.
fn consecutive(rows: &[u32]) -> impl Iterator<Item = &[u32]> {
    rows.chunk_by(|row, next| row.checked_add(1) == Some(*next)).flat_map(|run| run.chunks(READ_ROWS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_rows_are_read_together() {
        let rows = [0, 1, 2, 5, 9, 10, u32::MAX];
        assert_eq!(consecutive(&rows).map(<[u32]>::len).collect::<Vec<_>>(), [3, 1, 2, 1]);
        let rows: Vec<u32> = (7..600).collect();
        assert_eq!(consecutive(&rows).map(<[u32]>::len).collect::<Vec<_>>(), [256, 256, 81]);
        assert_eq!(consecutive(&[]).count(), 0);
    }
}
