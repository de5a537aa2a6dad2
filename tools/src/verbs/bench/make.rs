//! Makes a shard to measure, and the truth about it, in one pass over the vectors.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use index_shards::{LayoutChoice, Place, PositionOf, Row, ShardDescription, ShardWriter, WriterOptions};

use crate::bench::folder::chunks;
use crate::bench::questions::{Questions, Truth};
use crate::bench::routes::Routes;
use crate::bench::vectors::VectorWorld;
use crate::npy::NpyReader;
use crate::progress::Progress;
use crate::unit_vector::normalise;

/// When the first row was captured: 2026-01-01; the others follow second by second.
const FIRST_CAPTURE_MS: i64 = 1_767_225_600_000;
/// Kinds of scenes of the routes that vectors without places are laid along; of no consequence.
const SCENE_KINDS: usize = 1;

/// Where vectors come from.
pub(super) enum Source {
    /// They are made.
    World(VectorWorld),
    /// A file has them.
    File(NpyReader),
}

/// How a shard is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct MakeOptions {
    pub(super) layout: LayoutChoice,
    pub(super) threads: usize,
    pub(super) k: usize,
}

/// What came of it.
pub(super) struct Made {
    /// The truth about each kind of query that was asked for, in their order.
    pub(super) truths: Vec<Truth>,
    /// Time that the writer took, without making or reading the vectors and without the exact search.
    pub(super) writing: Duration,
}

impl Source {
    /// How many vectors there are.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::World(world) => world.rows(),
            Self::File(reader) => reader.rows(),
        }
    }

    /// Values of a vector.
    pub(super) fn dimensions(&self) -> usize {
        match self {
            Self::World(world) => world.dimensions(),
            Self::File(reader) => reader.columns(),
        }
    }

    /// The next vectors, one after the other, of unit length. Ranges follow each other.
    fn next(&mut self, range: Range<usize>) -> anyhow::Result<Vec<f32>> {
        let reader = match self {
            Self::World(world) => return Ok(world.chunk(range)),
            Self::File(reader) => reader,
        };
        let mut vectors = Vec::with_capacity(range.len() * reader.columns());
        for row in range {
            let mut vector = reader.next_row()?;
            normalise(&mut vector).with_context(|| format!("{}: row {row}", reader.path().display()))?;
            vectors.append(&mut vector);
        }
        Ok(vectors)
    }
}

/// Makes the shard `out`. Memory does not grow with the number of rows, but for a third of a byte for each.
///
/// # Errors
/// Vectors cannot be read or do not fit the queries, or the shard cannot be written.
pub(super) fn make(
    mut source: Source,
    questions: &[Questions],
    out: &Path,
    options: MakeOptions,
) -> anyhow::Result<Made> {
    let (rows, dimensions) = (source.rows(), source.dimensions());
    let routes = Routes::new(0, rows, SCENE_KINDS);
    let mut truths = questions.iter().map(|questions| questions.truth(options.k)).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let writing = WriterOptions { layout: options.layout, threads: options.threads, ..WriterOptions::default() };
    let mut writer = ShardWriter::create(out, description(dimensions), writing)?;
    let mut writing = start.elapsed();
    let progress = Progress::new("building", rows);
    for range in chunks(rows) {
        let vectors = source.next(range.clone())?;
        truths.iter_mut().try_for_each(|truth| truth.push(&vectors))?;
        let places = places(&source, &routes, range.clone());
        let start = Instant::now();
        for ((row, place), embedding) in range.zip(&places).zip(vectors.chunks_exact(dimensions)) {
            let name = format!("{row:08}");
            writer.push(&Row { name: &name, place, source: None, embedding, blob: None })?;
            progress.step();
        }
        writing += start.elapsed();
    }
    let start = Instant::now();
    writer.finish()?;
    writing += start.elapsed();
    Ok(Made { truths: truths.into_iter().map(Truth::of).collect(), writing })
}

fn places(source: &Source, routes: &Routes, range: Range<usize>) -> Vec<Place> {
    let ground = match source {
        Source::World(world) => world.places(range.clone()),
        Source::File(_) => routes.places(range.clone()),
    };
    let time = |row: usize| i64::try_from(row).ok().map(|row| FIRST_CAPTURE_MS + row * 1000);
    let places = range.zip(ground);
    places.map(|(row, at)| Place { captured_at_ms: time(row), ..Place::at(at.lat_deg, at.lon_deg) }).collect()
}

fn description(dimensions: usize) -> ShardDescription {
    ShardDescription {
        space: "geolocate-bench".into(),
        dimensions,
        encoder: "geolocate-bench".into(),
        encoder_sha256: None,
        position_of: PositionOf::Camera,
        licence: String::new(),
        attribution: String::new(),
        created_at_ms: 0,
        blobs: None,
    }
}
