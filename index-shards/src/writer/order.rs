//! The order of rows: by place, so that a window on the ground is a few ranges of rows, and along tracks, so that
//! neighbouring rows resemble each other and are read and compressed together.
//!
//! A track is what was pushed one after the other, each within 250 m of the one before, at most 64 references. Tracks
//! come in the order of a Hilbert curve over latitude and longitude (D. Hilbert, "Ueber die stetige Abbildung einer
//! Linie auf ein Flächenstück", 1891), by where they start, and then by when they were pushed. Everything is computed
//! in whole numbers or by additions and multiplications alone, so that the order is the same on every machine.

use super::scratch::Scratch;
use super::sorter::{Sorted, Sorter};
use std::io;

/// How far a reference may be from the one before it in its track, metres.
const STEP_M: f64 = 250.0;
/// References of a track, at most.
const TRACK_ROWS: u32 = 64;
/// Metres of a stored unit of latitude: the mean radius of the earth times 1e-7 degree.
const UNIT_M: f64 = 0.011_119_508;
/// Radians of a stored unit.
const UNIT_RAD: f64 = std::f64::consts::PI / 1.8e9;
/// A full turn in stored units.
const TURN: i64 = 3_600_000_000;

/// Where a pushed reference lies in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pushed {
    pub(super) position: u32,
    pub(super) offset: u64,
    pub(super) bytes: u32,
}

/// Bytes of a reference on its way to its row: place on the curve, first position of its track, position, offset,
/// bytes.
const RECORD: usize = 28;

/// Takes references in, in the order in which they are pushed, and gives them out in the order of their rows.
#[derive(Debug)]
pub(super) struct Order {
    sorter: Sorter<RECORD>,
    track: Option<Track>,
}

#[derive(Debug, Clone, Copy)]
struct Track {
    key: u64,
    first: u32,
    rows: u32,
    last: (i32, i32),
}

impl Order {
    pub(super) fn new() -> Self {
        Self { sorter: Sorter::new(), track: None }
    }

    /// Takes in a reference at this latitude and longitude, in stored units.
    pub(super) fn push(&mut self, lat: i32, lon: i32, pushed: Pushed, scratch: &mut Scratch) -> io::Result<()> {
        let track = match self.track {
            Some(track) if track.rows < TRACK_ROWS && is_step(track.last, (lat, lon)) => {
                Track { rows: track.rows + 1, last: (lat, lon), ..track }
            }
            _ => Track { key: along_curve(lat, lon), first: pushed.position, rows: 1, last: (lat, lon) },
        };
        self.track = Some(track);
        let mut record = [0; RECORD];
        let fields = track.key.to_be_bytes().into_iter().chain(track.first.to_be_bytes());
        let fields = fields.chain(pushed.position.to_be_bytes()).chain(pushed.offset.to_be_bytes());
        record.iter_mut().zip(fields.chain(pushed.bytes.to_be_bytes())).for_each(|(to, from)| *to = from);
        self.sorter.push(record, scratch)
    }

    /// The references in the order of their rows.
    pub(super) fn into_rows(self, scratch: &Scratch) -> io::Result<Rows<'_>> {
        Ok(Rows { sorted: self.sorter.into_sorted(scratch)? })
    }
}

/// References in the order of their rows.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    sorted: Sorted<'a, RECORD>,
}

impl Iterator for Rows<'_> {
    type Item = io::Result<Pushed>;

    fn next(&mut self) -> Option<Self::Item> {
        let decode = |record: [u8; RECORD]| {
            let [.., p0, p1, p2, p3, o0, o1, o2, o3, o4, o5, o6, o7, b0, b1, b2, b3] = record;
            Pushed {
                position: u32::from_be_bytes([p0, p1, p2, p3]),
                offset: u64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
                bytes: u32::from_be_bytes([b0, b1, b2, b3]),
            }
        };
        Some(self.sorted.next()?.map(decode))
    }
}

/// Whether two places, in stored units, are near enough to be on one track. On a plane that touches the earth between
/// them, which over this distance is right to millimetres but at the poles.
fn is_step(from: (i32, i32), to: (i32, i32)) -> bool {
    let north = (i64::from(to.0) - i64::from(from.0)) as f64 * UNIT_M;
    let mut east = (i64::from(to.1) - i64::from(from.1)).abs();
    east = east.min(TURN - east);
    let middle = (f64::from(from.0) + f64::from(to.0)) / 2.0;
    let east = east as f64 * UNIT_M * cosine(middle * UNIT_RAD);
    north * north + east * east <= STEP_M * STEP_M
}

/// The cosine of at most a quarter turn, within 3e-8: its series (std's is not the same on every machine).
fn cosine(angle_rad: f64) -> f64 {
    let square = angle_rad * angle_rad;
    let series = [479_001_600.0, -3_628_800.0, 40_320.0, -720.0, 24.0, -2.0, 1.0];
    series.iter().fold(0.0, |sum, factorial| sum * square + 1.0 / factorial)
}

/// How far along the Hilbert curve over the whole earth a place, in stored units, lies.
fn along_curve(lat: i32, lon: i32) -> u64 {
    let cell = |units: i32, half: i64| {
        let from_edge = (i64::from(units) + half).clamp(0, 2 * half);
        u32::try_from((from_edge << 31) / half).unwrap_or(u32::MAX)
    };
    hilbert(cell(lon, TURN / 2), cell(lat, TURN / 4))
}

/// How far along the curve of order 32 a cell lies.
fn hilbert(mut x: u32, mut y: u32) -> u64 {
    let mut along = 0;
    for bit in (0..u32::BITS).rev() {
        let (right, upper) = (x >> bit & 1, y >> bit & 1);
        along = along << 2 | u64::from((3 * right) ^ upper);
        // The curve runs through each quarter turned so that the quarters join.
        if upper == 0 {
            if right == 1 {
                (x, y) = (!x, !y);
            }
            (x, y) = (y, x);
        }
    }
    along
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::place::to_units;
    use std::sync::Arc;

    fn ordered(places: &[(f64, f64)]) -> Vec<u32> {
        let folder = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::new(Arc::new(RealDisk), folder.path().join("scratch"));
        let mut order = Order::new();
        for (&(lat, lon), position) in places.iter().zip(0..) {
            let pushed = Pushed { position, offset: u64::from(position) << 33, bytes: position + 7 };
            order.push(to_units(lat), to_units(lon), pushed, &mut scratch).unwrap();
        }
        let rows: Vec<Pushed> = order.into_rows(&scratch).unwrap().map(Result::unwrap).collect();
        for row in &rows {
            assert_eq!((row.offset, row.bytes), (u64::from(row.position) << 33, row.position + 7));
        }
        rows.into_iter().map(|row| row.position).collect()
    }

    #[test]
    fn curve_visits_every_cell_and_only_steps_to_neighbours() {
        // The upper bits of 8 x 8 cells: along the curve, x and y change by one cell in all.
        let mut cells: Vec<(u64, i32, i32)> = (0..8_i32)
            .flat_map(|x| (0..8_i32).map(move |y| (hilbert((x as u32) << 29, (y as u32) << 29) >> 58, x, y)))
            .collect();
        cells.sort_unstable();
        assert!(cells.iter().zip(0..).all(|(cell, along)| cell.0 == along));
        assert!(cells.windows(2).all(|pair| (pair[0].1 - pair[1].1).abs() + (pair[0].2 - pair[1].2).abs() == 1));
    }

    #[test]
    fn corners_of_the_world_have_their_place() {
        for (lat, lon) in [(90.0, 180.0), (-90.0, -180.0), (90.0, -180.0), (-90.0, 180.0)] {
            along_curve(to_units(lat), to_units(lon));
        }
        along_curve(i32::MIN, i32::MAX);
        assert_ne!(along_curve(1, 1), along_curve(-1, 1));
    }

    #[test]
    fn tracks_stay_together_and_come_by_their_start() {
        let north = |step: u32| (10.0 + f64::from(step) * 0.002, 10.0);
        // Two tracks whose ways cross, pushed one after the other, and a far place between.
        let mut places: Vec<(f64, f64)> = (0..5).map(north).collect();
        places.push((-80.0, -100.0));
        places.extend((0..5).map(|step| (10.0 + f64::from(step) * 0.002, 10.000_1)));
        let order = ordered(&places);
        let at = |position: u32| order.iter().position(|found| *found == position).unwrap();
        for first in [0, 6] {
            assert!((first..first + 4).all(|position| at(position + 1) == at(position) + 1), "{order:?}");
        }
    }

    #[test]
    fn long_tracks_are_cut_and_steps_are_measured() {
        let here = (to_units(60.0), to_units(179.999));
        assert!(is_step(here, (to_units(60.0), to_units(-179.997))));
        assert!(!is_step(here, (to_units(60.0), to_units(-179.996))));
        assert!(is_step((0, 0), (22_400, 0)) && !is_step((0, 0), (22_500, 0)));
        assert!((0..=90).all(|deg| {
            let angle = f64::from(deg).to_radians();
            (cosine(angle) - angle.cos()).abs() < 3e-8
        }));
        let order = ordered(&vec![(1.0, 1.0); 130]);
        assert_eq!(order, (0..130).collect::<Vec<_>>());
    }
}
