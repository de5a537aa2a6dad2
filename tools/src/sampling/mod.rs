//! Chooses a few pictures of many, spread over the ground.
//!
//! The poses are read twice: once to count the rows of each cell of H3, from which follows how many each cell gets
//! ([`quota`]), and once to keep of each cell the candidates that a seeded hash puts first, four times as many as it gets.
//! Of these, cell by cell in turn, those are taken that pass the filters. Memory is that of the cells and candidates.

mod filters;
mod map;
mod population;
mod quota;
mod records;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, bail};
use csv::{ByteRecord, Reader, ReaderBuilder};
use h3o::{CellIndex, LatLng, Resolution};
use serde::Serialize;
use sha2::{Digest, Sha256};

use self::filters::Filters;
use self::population::Population;
pub(crate) use self::quota::Balance;

/// So many candidates are kept for each picture that a cell is to give.
const CANDIDATES: usize = 4;

/// What to choose, from what, and what to write.
pub(crate) struct Request<'a> {
    pub(crate) poses: &'a Path,
    pub(crate) count: usize,
    pub(crate) out: &'a Path,
    pub(crate) resolution: u8,
    pub(crate) balance: Balance,
    pub(crate) population: Option<&'a Path>,
    pub(crate) sparse: bool,
    pub(crate) vectors: Option<&'a Path>,
    pub(crate) near_duplicate: f32,
    pub(crate) images: Option<&'a Path>,
    pub(crate) least_px: u32,
    pub(crate) seed: u64,
    pub(crate) sharegpt: Option<&'a Path>,
    pub(crate) map: Option<&'a Path>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// Rows with a place.
    rows: u64,
    /// Rows without one.
    bad_rows: u64,
    /// Cells with a row, those that were looked at, and those that gave a picture.
    cells: usize,
    cells_considered: usize,
    cells_chosen: usize,
    /// Pictures that were wanted, and chosen.
    wanted: usize,
    chosen: usize,
    /// The most that one cell gave.
    most_of_a_cell: usize,
    /// Candidates that a filter left out, by reason.
    left_out: BTreeMap<&'static str, usize>,
}

impl Summary {
    pub(crate) fn text(&self) -> String {
        let left_out: Vec<String> = self.left_out.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        format!(
            "chosen {} of {} wanted, from {} rows in {} cells ({} looked at); {} cells gave one, at most {}; bad rows {}{}{}\n",
            self.chosen,
            self.wanted,
            self.rows,
            self.cells,
            self.cells_considered,
            self.cells_chosen,
            self.most_of_a_cell,
            self.bad_rows,
            if left_out.is_empty() { "" } else { "; left out: " },
            left_out.join(", ")
        )
    }
}

/// A row that may be chosen.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// Position below the header, from 0.
    pub(super) row: u64,
    /// By which candidates of a cell are in order.
    key: [u8; 16],
    pub(super) file: String,
    pub(super) lat: f64,
    pub(super) lon: f64,
    record: ByteRecord,
}

/// The poses, row by row.
struct Poses {
    reader: Reader<std::fs::File>,
    header: ByteRecord,
    file: usize,
    lat: usize,
    lon: usize,
}

impl Poses {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let mut reader = ReaderBuilder::new()
            .flexible(true)
            .from_path(path)
            .with_context(|| format!("{}: cannot read", path.display()))?;
        let header = reader.byte_headers().with_context(|| path.display().to_string())?.clone();
        let column = |name: &str| {
            let at = header.iter().position(|found| found.trim_ascii() == name.as_bytes());
            at.with_context(|| format!("{}, line 1: expected a column {name}, found none", path.display()))
        };
        Ok(Self { file: column("file")?, lat: column("lat")?, lon: column("lon")?, header, reader })
    }

    /// Reads a row into `record`; `None` at the end. The inner one is the place, where the row has one.
    fn next(&mut self, record: &mut ByteRecord) -> anyhow::Result<Option<Option<LatLng>>> {
        if !self.reader.read_byte_record(record)? {
            return Ok(None);
        }
        let number = |column: usize| std::str::from_utf8(record.get(column)?).ok()?.trim().parse::<f64>().ok();
        let whole = record.len() == self.header.len()
            && record.get(self.file).is_some_and(|file| !file.trim_ascii().is_empty());
        let place = number(self.lat).zip(number(self.lon)).filter(|_| whole);
        Ok(Some(
            place
                .filter(|(lat, lon)| lat.abs() <= 90.0 && lon.abs() <= 180.0)
                .and_then(|(lat, lon)| LatLng::new(lat, lon).ok()),
        ))
    }
}

/// Chooses and writes.
///
/// # Errors
/// An input cannot be used, nothing can be chosen, or a file cannot be written.
pub(crate) fn run(request: &Request<'_>) -> anyhow::Result<Summary> {
    let resolution = Resolution::try_from(request.resolution).context("--resolution")?;
    let (counts, bad_rows) = count(request, resolution)?;
    let rows = counts.values().sum();
    let mut population = request.population.map(Population::open).transpose()?;
    let cells = counts.len();
    let considered = considered(request, counts, population.as_mut())?;
    let quotas = quota::quotas(&considered, request.count, request.balance);
    let candidates = candidates(request, resolution, &quotas)?;
    let mut filters = Filters::open(request, &candidates)?;
    let chosen = choose(&candidates, &quotas, request.count, &mut filters)?;
    if chosen.is_empty() {
        bail!("{}: nothing can be chosen of {rows} rows with a place", request.poses.display());
    }
    let mut per_cell: HashMap<CellIndex, usize> = HashMap::new();
    chosen.iter().for_each(|(cell, _)| *per_cell.entry(*cell).or_default() += 1);
    let header = Poses::open(request.poses)?.header;
    records::write_poses(request.out, &header, &chosen)?;
    if let Some(path) = request.sharegpt {
        records::write_sharegpt(path, &chosen)?;
    }
    if let Some(path) = request.map {
        map::write(path, &chosen)?;
    }
    Ok(Summary {
        rows,
        bad_rows,
        cells,
        cells_considered: considered.len(),
        cells_chosen: per_cell.len(),
        wanted: request.count,
        chosen: chosen.len(),
        most_of_a_cell: per_cell.values().copied().max().unwrap_or_default(),
        left_out: filters.into_counts(),
    })
}

/// Rows of each cell, and how many rows have no place.
fn count(request: &Request<'_>, resolution: Resolution) -> anyhow::Result<(HashMap<CellIndex, u64>, u64)> {
    let (mut poses, mut record) = (Poses::open(request.poses)?, ByteRecord::new());
    let (mut counts, mut bad): (HashMap<CellIndex, u64>, u64) = (HashMap::new(), 0);
    while let Some(place) = poses.next(&mut record)? {
        match place {
            Some(place) => *counts.entry(place.to_cell(resolution)).or_default() += 1,
            None => bad += 1,
        }
    }
    Ok((counts, bad))
}

/// A cell that may give pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    pub(super) index: CellIndex,
    pub(super) rows: u64,
    /// People per pixel of the population map at its middle, where there is one.
    pub(super) people: Option<f64>,
}

/// The cells to choose from, sorted by their number.
fn considered(
    request: &Request<'_>,
    counts: HashMap<CellIndex, u64>,
    mut population: Option<&mut Population>,
) -> anyhow::Result<Vec<Cell>> {
    let mut cells = Vec::with_capacity(counts.len());
    for (index, rows) in counts {
        let middle = LatLng::from(index);
        let people = population.as_mut().map(|map| map.at(middle.lat(), middle.lng())).transpose()?;
        cells.push(Cell { index, rows, people });
    }
    cells.sort_unstable_by_key(|cell| cell.index);
    if request.sparse {
        let by_size = |cell: &Cell| cell.people.unwrap_or(cell.rows as f64);
        cells.sort_by(|a, b| by_size(a).total_cmp(&by_size(b)).then(a.index.cmp(&b.index)));
        cells.truncate(cells.len().div_ceil(4));
        cells.sort_unstable_by_key(|cell| cell.index);
    }
    Ok(cells)
}

/// Of each cell the rows that a seeded hash puts first.
fn candidates(
    request: &Request<'_>,
    resolution: Resolution,
    quotas: &BTreeMap<CellIndex, usize>,
) -> anyhow::Result<BTreeMap<CellIndex, Vec<Candidate>>> {
    let (mut poses, mut record, mut row) = (Poses::open(request.poses)?, ByteRecord::new(), 0_u64);
    let mut kept: BTreeMap<CellIndex, Vec<Candidate>> = BTreeMap::new();
    while let Some(place) = poses.next(&mut record)? {
        let number = row;
        row += 1;
        let Some(place) = place else { continue };
        let cell = place.to_cell(resolution);
        let Some(quota) = quotas.get(&cell).filter(|quota| **quota > 0) else { continue };
        let file =
            record.get(poses.file).map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned()).unwrap_or_default();
        let key = key(request.seed, &file, number);
        let of_cell = kept.entry(cell).or_default();
        let at = of_cell.partition_point(|other| other.key < key);
        let most = quota.saturating_mul(CANDIDATES);
        if at < most {
            let candidate =
                Candidate { row: number, key, file, lat: place.lat(), lon: place.lng(), record: record.clone() };
            of_cell.insert(at, candidate);
            of_cell.truncate(most);
        }
    }
    Ok(kept)
}

fn key(seed: u64, file: &str, row: u64) -> [u8; 16] {
    let mut digest = Sha256::new();
    digest.update(seed.to_le_bytes());
    digest.update(row.to_le_bytes());
    digest.update(file.as_bytes());
    let mut key = [0; 16];
    key.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
    key
}

/// Takes from the cells in turn, so that what filters leave out of one is made up for by all others, not by its
/// neighbours alone: first within each cell's share, then beyond it.
fn choose<'a>(
    candidates: &'a BTreeMap<CellIndex, Vec<Candidate>>,
    quotas: &BTreeMap<CellIndex, usize>,
    count: usize,
    filters: &mut Filters,
) -> anyhow::Result<Vec<(CellIndex, &'a Candidate)>> {
    let mut waiting: Vec<(CellIndex, std::slice::Iter<'a, Candidate>, usize)> =
        candidates.iter().map(|(cell, found)| (*cell, found.iter(), 0)).collect();
    let mut chosen = Vec::with_capacity(count.min(1 << 20));
    for beyond in [false, true] {
        let mut moved = true;
        while moved && chosen.len() < count {
            moved = false;
            for (cell, rest, taken) in &mut waiting {
                let quota = quotas.get(cell).copied().unwrap_or_default();
                if chosen.len() >= count || (!beyond && *taken >= quota) {
                    continue;
                }
                for candidate in rest.by_ref() {
                    if filters.pass(candidate)? {
                        chosen.push((*cell, candidate));
                        *taken += 1;
                        moved = true;
                        break;
                    }
                }
            }
        }
    }
    chosen.sort_by_key(|(_, candidate)| candidate.row);
    Ok(chosen)
}
