//! Which references carry a wrong position? Those whose look-alikes agree with one another on another place.
//!
//! Tiles that overlap look alike, and so do photos taken a few steps apart. The nearest neighbours of a reference in
//! the space of embeddings therefore lie around its place, or, where the ground looks the same everywhere, anywhere. A
//! reference is suspect when they lie together, but elsewhere. Only mutual neighbours count (each is among the nearest
//! of the other): a picture that is everybody's neighbour says little. Neighbours do not depend on positions, so they
//! are found once, by the search of the index itself.

pub mod corrupt;
pub mod judge;

use anyhow::Context;
use geolocated::locate::distance_m;
use index_shards::{Dissimilar, SearchOptions, Shard, ShardSet};

use crate::ordered::ordered_map;
use crate::progress::Progress;

/// Nearest neighbours that are looked at.
const NEIGHBOURS: usize = 12;
/// Without footprints: two references show one place within so many times the usual distance between neighbours.
const SPACINGS: f64 = 2.0;
/// And never less than this, metres: positions are not better than that.
const LEAST_REACH_M: f64 = 10.0;
/// References by which the usual distance is measured, at most.
const SPACINGS_LOOKED_AT: usize = 256;

/// A reference with the position that it is labelled with.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// Name of the reference.
    pub name: String,
    /// Position of its shard in the set.
    pub shard: usize,
    /// Its row in that shard.
    pub row: u32,
    /// Latitude in WGS 84 degrees.
    pub lat_deg: f64,
    /// Longitude in WGS 84 degrees.
    pub lon_deg: f64,
}

/// All references of an index with their nearest neighbours.
#[derive(Debug, Clone)]
pub struct Labels {
    /// By shard, then by row.
    pub labels: Vec<Label>,
    /// For each reference the mutual neighbours with their cosines, the most similar first.
    pub neighbours: Vec<Vec<(usize, f32)>>,
    /// Two references show one place within this distance, metres.
    pub reach_m: f64,
}

impl Labels {
    /// Reads all references and searches for each.
    ///
    /// # Errors
    /// A shard is damaged or was cut.
    pub fn read(shards: &ShardSet, threads: usize) -> anyhow::Result<Self> {
        let (mut labels, mut sides_m) = (Vec::with_capacity(shards.len()), Vec::new());
        shards.for_each_reference(|shard, reference| {
            let (lat_deg, lon_deg) = (reference.place.lat_deg, reference.place.lon_deg);
            if let Some(footprint) = &reference.place.footprint {
                sides_m.push(distance_m(footprint.north_deg, lon_deg, footprint.south_deg, lon_deg));
            }
            labels.push(Label { name: reference.name, shard, row: reference.row, lat_deg, lon_deg });
            anyhow::Ok(())
        })?;
        labels.sort_by_key(|label| (label.shard, label.row));
        let neighbours = mutual(&neighbours(shards, &labels, threads)?);
        let reach_m = if sides_m.len() == labels.len() { median(&mut sides_m) } else { None };
        let reach_m = reach_m.unwrap_or_else(|| spacing_m(&labels)).max(LEAST_REACH_M);
        Ok(Self { labels, neighbours, reach_m })
    }
}

/// The nearest neighbours of each reference, itself left out.
fn neighbours(shards: &ShardSet, labels: &[Label], threads: usize) -> anyhow::Result<Vec<Vec<(usize, f32)>>> {
    let options = SearchOptions { k: NEIGHBOURS + 1, dissimilar: Dissimilar::None, ..SearchOptions::default() };
    let progress = Progress::new("comparing", labels.len());
    let mut all = Vec::with_capacity(labels.len());
    let look = |label: &Label| -> anyhow::Result<Vec<(usize, f32)>> {
        let shard: &Shard = shards.shards().get(label.shard).context("a shard that is not there")?;
        let found = shards.search(&shard.vector(label.row)?, &options)?.similar;
        let others = found.iter().filter(|hit| (hit.shard, hit.row) != (label.shard, label.row));
        let index =
            |shard: usize, row: u32| labels.binary_search_by_key(&(shard, row), |one| (one.shard, one.row)).ok();
        Ok(others.filter_map(|hit| Some((index(hit.shard, hit.row)?, hit.score))).take(NEIGHBOURS).collect())
    };
    ordered_map(labels, threads, look, |found| {
        all.push(found?);
        progress.step();
        anyhow::Ok(())
    })?;
    Ok(all)
}

/// Those neighbours of whom each is the other's.
fn mutual(all: &[Vec<(usize, f32)>]) -> Vec<Vec<(usize, f32)>> {
    let has = |of: usize, who: usize| all.get(of).is_some_and(|list| list.iter().any(|(other, _)| *other == who));
    let kept =
        |(who, list): (usize, &Vec<(usize, f32)>)| list.iter().filter(|(of, _)| has(*of, who)).copied().collect();
    all.iter().enumerate().map(kept).collect()
}

/// A small multiple of the median distance from a reference to its nearest other place.
fn spacing_m(labels: &[Label]) -> f64 {
    let step = labels.len().div_ceil(SPACINGS_LOOKED_AT).max(1);
    let nearest = |one: &Label| {
        let apart = |other: &Label| distance_m(one.lat_deg, one.lon_deg, other.lat_deg, other.lon_deg);
        labels.iter().map(apart).filter(|metres| *metres > 0.0).min_by(f64::total_cmp)
    };
    let mut nearest: Vec<f64> = labels.iter().step_by(step).filter_map(nearest).collect();
    median(&mut nearest).unwrap_or_default() * SPACINGS
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
