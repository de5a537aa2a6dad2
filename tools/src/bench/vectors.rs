//! A world of vectors that look like the embeddings of a geolocation gallery, made from a seed, row by row.
//!
//! A row is the direction of
//!
//! ```text
//! mean + gains * rotation(region + scene + place + pass + frame)
//! ```
//!
//! - `mean` is common to all rows, as embeddings of pictures point into one narrow cone.
//! - The five terms are random vectors with the spectra 1 / (i + 3) (coarse terms) and its square root (fine terms):
//!   few dimensions carry most. Their shares of the variance are [`Shares`]. A fixed random rotation and unequal gains
//!   spread them over all dimensions.
//! - A **region** (about 4,000 rows) and the **scene** (one of 48 kinds, in part its region's own) change slowly: a
//!   route leads from one kind of scene to another.
//! - The **place** is a random walk along the route. Passes along the same route, 1 to 4 of them, share it.
//! - The **pass** (time of day, weather) is common to the frames of one pass, the **frame** to none; how unlike its
//!   frames are, is a matter of the route.
//!
//! Queries are made by [`QueryKind`] from the same world and from another seed. All numbers come from integer and exact
//! float operations, so that a seed gives the same bytes on every CPU.
//!
//! # What they are like
//!
//! Measured on 1,000,000 x 768 with 100 queries of each kind, beside 633 real pictures (four drone flights, tiles
//! and views of a map) under MobileNetV3, 576 dimensions. Medians; 10th and 90th percentile in parentheses.
//!
//! | | made | real |
//! |---|---|---|
//! | length of the mean vector | 0.77 | 0.71 all, 0.81 to 0.95 in one flight |
//! | effective dimensions (participation ratio) | 82 | 9 all, 5 to 14 in one flight |
//! | variance of a dimension, 90th / 10th percentile | 8.2 | 11 |
//! | cosine of neighbouring frames | 0.96 (0.93, 0.98) | 0.87 to 0.97 by flight |
//! | nearest: revisit | 0.94 (0.91, 0.96) | 0.89 to 0.98 by flight; 0.88 views among map tiles |
//! | nearest: new track | 0.82 (0.77, 0.86) | 0.65 (0.59, 0.72) among other flights |
//! | nearest: shifted | 0.88 (0.85, 0.90) | |
//! | nearest: foreign | 0.50 (0.48, 0.52) | 0.48 (0.40, 0.54) flights among map tiles |
//! | any row: revisit, foreign | 0.59, 0.40 | 0.54 all, 0.27 flights among map tiles |
//! | farthest: revisit, foreign | 0.34, 0.26 | 0.08 all, -0.02 flights among map tiles |
//!
//! This small network's space has fewer effective dimensions than those of larger encoders, whose range (50 to 150)
//! the spectrum was chosen for.

use std::ops::Range;

use super::queries::QueryKind;
use super::random::Random;
use super::rotation::Rotation;
use super::routes::{GroundPoint, Routes, Track};

/// Squared length of the mean vector; the other terms share the rest of 1.
const MEAN_SQUARED: f32 = 0.55;
/// Kinds of scenes.
const SCENE_KINDS: usize = 48;
/// What the place of a frame keeps of the frame before it.
const PLACE_KEEPS: f32 = 0.97;
/// Offset of the spectrum 1 / (i + offset).
const SPECTRUM_OFFSET: f32 = 3.0;

/// What a stream of random numbers is for.
const MEAN: u64 = 11;
const GAINS: u64 = 12;
const ROTATION: u64 = 13;
const REGION: u64 = 14;
const SCENE: u64 = 15;
const LOCAL_SCENE: u64 = 16;
const PLACE: u64 = 17;
const PASS: u64 = 18;
const FRAME: u64 = 19;
const SEASON: u64 = 20;
const FOREIGN: u64 = 21;
const QUERY: u64 = 22;
/// First number of routes that are in no world: those of new tracks.
const NEW_ROUTES: u64 = 1 << 40;

/// Shares of the variance around the mean.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    /// The region.
    pub region: f32,
    /// The kind of scene, anywhere.
    pub scene: f32,
    /// The kind of scene as it looks in this region.
    pub local_scene: f32,
    /// The place along the route.
    pub place: f32,
    /// Time of day and weather of the pass.
    pub pass: f32,
    /// The single frame.
    pub frame: f32,
    /// Season and light of the other year; stored rows have none of it.
    pub season: f32,
}

/// What stored rows consist of.
const STORED: Shares =
    Shares { region: 0.22, scene: 0.22, local_scene: 0.14, place: 0.27, pass: 0.07, frame: 0.08, season: 0.0 };
/// A query under another season and light.
const SHIFTED: Shares = Shares { pass: 0.16, frame: 0.14, season: 0.16, ..STORED };

/// A reproducible gallery of unit vectors; holds what is common to all rows and makes rows when they are asked for.
#[derive(Debug)]
pub struct VectorWorld {
    seed: u64,
    dimensions: usize,
    rows: usize,
    basis: Basis,
    foreign: Basis,
    spectra: Spectra,
    routes: Routes,
}

/// Where a cloud of vectors lies and how it is turned.
#[derive(Debug)]
struct Basis {
    mean: Vec<f32>,
    gains: Vec<f32>,
    rotation: Rotation,
}

/// Standard deviations by dimension; their squares sum to the variance around the mean.
#[derive(Debug)]
struct Spectra {
    coarse: Vec<f32>,
    fine: Vec<f32>,
}

impl VectorWorld {
    /// The world of a seed: `rows` vectors of `dimensions` values (at least 1).
    pub fn new(seed: u64, dimensions: usize, rows: usize) -> Self {
        let basis = Basis::new(seed, dimensions);
        let foreign = Basis::foreign_to(&basis, seed);
        let routes = Routes::new(seed, rows, SCENE_KINDS);
        Self { seed, dimensions, rows, basis, foreign, spectra: Spectra::new(dimensions), routes }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values of a row.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Rows of a range, one after the other, each of unit length. Rows beyond the last are left out. A range may begin
    /// anywhere; beginning inside a track costs the walk from its start.
    pub fn chunk(&self, range: Range<usize>) -> Vec<f32> {
        let mut out = Vec::with_capacity(range.len().min(self.rows) * self.dimensions);
        for track in self.routes.tracks_from(range.start) {
            if track.first_row >= range.end {
                break;
            }
            self.push_track(track, &range, &mut out);
        }
        out
    }

    /// Where the rows of a range lie. Rows beyond the last are left out.
    pub fn places(&self, range: Range<usize>) -> Vec<GroundPoint> {
        self.routes.places(range)
    }

    /// Queries of one kind, one after the other, each of unit length. Those that settings are tuned on and those that
    /// are reported come from different seeds.
    pub fn queries(&self, kind: QueryKind, count: usize, seed: u64) -> Vec<f32> {
        let mut out = Vec::with_capacity(count * self.dimensions);
        for number in 0..count as u64 {
            let key = [self.seed, QUERY, kind as u64, seed, number];
            let mut random = Random::of(&key);
            let terms = match kind {
                QueryKind::Revisit => self.query_on_route(self.stored_route(&mut random), STORED, random),
                QueryKind::Shifted => self.query_on_route(self.stored_route(&mut random), SHIFTED, random),
                QueryKind::NewTrack => self.query_on_route(NEW_ROUTES | (random.bits() >> 24), STORED, random),
                QueryKind::Foreign => {
                    let mut terms = self.term(&self.spectra.coarse, 0.5, &[self.seed, FOREIGN, 1 + random.bits() % 64]);
                    add_scaled(&mut random, &mut terms, &self.spectra.fine, 0.5);
                    terms
                }
            };
            let basis = if kind == QueryKind::Foreign { &self.foreign } else { &self.basis };
            basis.push_row(terms, &mut out);
        }
        out
    }

    fn push_track(&self, track: &Track, range: &Range<usize>, out: &mut Vec<f32>) {
        let mut walk = Walk::new(self, track.route);
        let pass = self.term(&self.spectra.coarse, STORED.pass, &[self.seed, PASS, track.route, track.pass]);
        for row in track.first_row..(track.first_row + track.rows).min(range.end) {
            if row >= range.start {
                let mut terms = walk.terms();
                add(&mut terms, &pass);
                let mut frame = Random::of(&[self.seed, FRAME, row as u64]);
                add_scaled(&mut frame, &mut terms, &self.spectra.fine, STORED.frame * walk.unrest);
                self.basis.push_row(terms, out);
            }
            walk.step();
        }
    }

    /// The route of a stored row that is drawn at random.
    fn stored_route(&self, random: &mut Random) -> u64 {
        self.routes.tracks_from(random.below(self.rows)).first().map_or(0, |track| track.route)
    }

    /// A frame of one more pass along a route.
    fn query_on_route(&self, route: u64, shares: Shares, mut random: Random) -> Vec<f32> {
        let mut walk = Walk::new(self, route);
        (0..random.below(walk.frames)).for_each(|_| walk.step());
        let mut terms = walk.terms();
        if shares.season > 0.0 {
            add(&mut terms, &self.term(&self.spectra.coarse, shares.season, &[self.seed, SEASON]));
        }
        add_scaled(&mut random, &mut terms, &self.spectra.coarse, shares.pass);
        add_scaled(&mut random, &mut terms, &self.spectra.fine, shares.frame * walk.unrest);
        terms
    }

    /// A random vector with a spectrum and a share of the variance.
    fn term(&self, spectrum: &[f32], share: f32, key: &[u64]) -> Vec<f32> {
        let mut term = vec![0.0; self.dimensions];
        add_scaled(&mut Random::of(key), &mut term, spectrum, share);
        term
    }
}

/// The way along a route, frame after frame: region, scene and place.
struct Walk<'a> {
    world: &'a VectorWorld,
    from: Vec<f32>,
    to: Vec<f32>,
    place: Vec<f32>,
    scales: Vec<f32>,
    random: Random,
    frame: usize,
    frames: usize,
    /// By which the variance of this route's single frames exceeds the common one.
    unrest: f32,
}

impl<'a> Walk<'a> {
    fn new(world: &'a VectorWorld, number: u64) -> Self {
        let route = world.routes.route(number);
        let spectra = &world.spectra;
        let region = world.term(&spectra.coarse, STORED.region, &[world.seed, REGION, route.region]);
        let scene = |kind: u64| {
            let mut terms = world.term(&spectra.coarse, STORED.scene, &[world.seed, SCENE, kind]);
            let local = [world.seed, LOCAL_SCENE, route.region, kind];
            add(&mut terms, &world.term(&spectra.coarse, STORED.local_scene, &local));
            add(&mut terms, &region);
            terms
        };
        let mut random = Random::of(&[world.seed, PLACE, number]);
        let unrest = 0.5 + 0.9 * random.unit();
        let mut place = vec![0.0; world.dimensions];
        add_scaled(&mut random, &mut place, &spectra.coarse, STORED.place);
        let fresh = (STORED.place * (1.0 - PLACE_KEEPS * PLACE_KEEPS)).sqrt();
        let scales = spectra.coarse.iter().map(|deviation| deviation * fresh).collect();
        let (from, to) = (scene(route.scenes.0), scene(route.scenes.1));
        Self { world, from, to, place, scales, random, frame: 0, frames: route.frames, unrest: unrest * unrest }
    }

    /// Region, scene and place of the present frame.
    #[expect(clippy::cast_precision_loss, reason = "a route has at most 200 frames")]
    fn terms(&self) -> Vec<f32> {
        let done = self.frame as f32 / self.frames as f32;
        let mut terms = Vec::with_capacity(self.world.dimensions);
        let ends = self.from.iter().zip(&self.to).zip(&self.place);
        terms.extend(ends.map(|((from, to), place)| from + (to - from) * done + place));
        terms
    }

    /// Goes on to the next frame.
    fn step(&mut self) {
        for (place, scale) in self.place.iter_mut().zip(&self.scales) {
            *place = *place * PLACE_KEEPS + scale * self.random.normal();
        }
        self.frame += 1;
    }
}

impl Basis {
    fn new(seed: u64, dimensions: usize) -> Self {
        let mut random = Random::of(&[seed, MEAN]);
        let mean = with_length((0..dimensions).map(|_| random.normal() * random.normal()).collect(), MEAN_SQUARED);
        let mut random = Random::of(&[seed, GAINS]);
        #[expect(clippy::cast_precision_loss, reason = "a width is far below 2^24")]
        let gains = with_length((0..dimensions).map(|_| 0.4 + 1.2 * random.unit()).collect(), dimensions as f32);
        Self { mean, gains, rotation: Rotation::new(&[seed, ROTATION], dimensions) }
    }

    /// That of another domain: half of its mean is that of `home`, the rest and its rotation are its own.
    fn foreign_to(home: &Self, seed: u64) -> Self {
        let mut basis = Self::new(Random::of(&[seed, FOREIGN]).bits(), home.mean.len());
        let mixed = basis.mean.iter().zip(&home.mean).map(|(own, home)| own + home).collect();
        basis.mean = with_length(mixed, MEAN_SQUARED);
        basis
    }

    /// Appends the unit vector that terms around the mean make.
    fn push_row(&self, mut terms: Vec<f32>, out: &mut Vec<f32>) {
        self.rotation.apply(&mut terms);
        for ((value, gain), mean) in terms.iter_mut().zip(&self.gains).zip(&self.mean) {
            *value = *value * gain + mean;
        }
        let scale = 1.0 / square(&terms).sqrt();
        out.extend(terms.iter().map(|value| value * scale));
    }
}

impl Spectra {
    #[expect(clippy::cast_precision_loss, reason = "a width is far below 2^24")]
    fn new(dimensions: usize) -> Self {
        let variances: Vec<f32> = (0..dimensions).map(|i| 1.0 / (i as f32 + SPECTRUM_OFFSET)).collect();
        let coarse = variances.iter().map(|variance| variance.sqrt()).collect();
        let fine = variances.iter().map(|variance| variance.sqrt().sqrt()).collect();
        Self { coarse: with_length(coarse, 1.0 - MEAN_SQUARED), fine: with_length(fine, 1.0 - MEAN_SQUARED) }
    }
}

fn add(terms: &mut [f32], other: &[f32]) {
    terms.iter_mut().zip(other).for_each(|(term, other)| *term += other);
}

/// Adds normal numbers with a spectrum and a share of the variance.
fn add_scaled(random: &mut Random, terms: &mut [f32], spectrum: &[f32], share: f32) {
    let scale = share.sqrt();
    for (term, deviation) in terms.iter_mut().zip(spectrum) {
        *term += scale * deviation * random.normal();
    }
}

/// Scales a vector so that its squared length is `squared`.
fn with_length(mut vector: Vec<f32>, squared: f32) -> Vec<f32> {
    let scale = (squared / square(&vector)).sqrt();
    vector.iter_mut().for_each(|value| *value *= scale);
    vector
}

/// Squared length, summed in eight lanes in a fixed order.
fn square(vector: &[f32]) -> f32 {
    let (eights, rest) = vector.as_chunks::<8>();
    let mut lanes = [0.0_f32; 8];
    for eight in eights {
        lanes.iter_mut().zip(eight).for_each(|(lane, value)| *lane += value * value);
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|value| value * value).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIMENSIONS: usize = 96;

    fn world() -> VectorWorld {
        VectorWorld::new(5, DIMENSIONS, 4000)
    }

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    fn nearest(query: &[f32], rows: &[f32]) -> f32 {
        rows.chunks_exact(DIMENSIONS).map(|row| cosine(query, row)).fold(-1.0, f32::max)
    }

    /// FNV-1a over the bytes of floats.
    fn digest(values: &[f32]) -> u64 {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    #[test]
    fn a_row_does_not_depend_on_the_chunk_it_is_made_in() {
        let world = world();
        let rows = world.chunk(0..4000);
        assert_eq!(rows.len(), 4000 * DIMENSIONS);
        for range in [0..1, 17..18, 1000..1300, 3990..4000, 3990..9999, 5000..6000] {
            let made = world.chunk(range.clone());
            assert!(made == rows[range.start.min(4000) * DIMENSIONS..range.end.min(4000) * DIMENSIONS], "{range:?}");
            assert_eq!(world.places(range).len(), made.len() / DIMENSIONS);
        }
    }

    #[test]
    fn rows_and_queries_are_of_unit_length() {
        let world = world();
        let queries = QueryKind::ALL.map(|kind| world.queries(kind, 10, 1)).concat();
        for vector in world.chunk(0..500).chunks_exact(DIMENSIONS).chain(queries.chunks_exact(DIMENSIONS)) {
            assert!((cosine(vector, vector) - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn neighbouring_frames_are_alike_and_rows_lie_in_a_cone() {
        let rows = world().chunk(0..4000);
        let mut apart: Vec<f32> = rows
            .chunks_exact(DIMENSIONS)
            .zip(rows[DIMENSIONS..].chunks_exact(DIMENSIONS))
            .map(|(row, next)| cosine(row, next))
            .collect();
        apart.sort_by(f32::total_cmp);
        assert!((0.93..0.99).contains(&apart[2000]), "{}", apart[2000]);
        let mut mean = vec![0.0; DIMENSIONS];
        rows.chunks_exact(DIMENSIONS).for_each(|row| add(&mut mean, row));
        let length = square(&mean).sqrt() / 4000.0;
        assert!((0.7..0.88).contains(&length), "{length}");
    }

    #[test]
    fn kinds_of_queries_differ_by_how_near_the_rows_are() {
        let world = world();
        let rows = world.chunk(0..4000);
        let typical = |kind| {
            let queries = world.queries(kind, 21, 1);
            let mut nearest: Vec<f32> = queries.chunks_exact(DIMENSIONS).map(|query| nearest(query, &rows)).collect();
            nearest.sort_by(f32::total_cmp);
            nearest[10]
        };
        let [revisit, new_track, shifted, foreign] = QueryKind::ALL.map(typical);
        assert!(revisit > shifted && shifted > new_track && new_track > foreign + 0.1);
        assert!(revisit > 0.9, "{revisit}");
    }

    #[test]
    fn queries_of_another_seed_are_others() {
        let world = world();
        for kind in QueryKind::ALL {
            assert_eq!(world.queries(kind, 2, 1), world.queries(kind, 2, 1));
            assert_ne!(world.queries(kind, 2, 1), world.queries(kind, 2, 2));
        }
    }

    #[test]
    fn a_seed_gives_these_bytes_on_every_cpu() {
        let world = world();
        assert_eq!(digest(&world.chunk(1000..1100)), 14_572_321_942_436_189_049);
        assert_eq!(digest(&QueryKind::ALL.map(|kind| world.queries(kind, 3, 7)).concat()), 3_297_764_014_534_612_526);
    }
}
