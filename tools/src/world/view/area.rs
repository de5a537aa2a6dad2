//! The mapped area and its tiles: squares of equal size on an even grid that overlap.

use super::super::geodesy::{Degrees, Globe};
use super::super::geometry::{Bounds, Point, point};
use super::super::render::camera::{Camera, Pose};

/// Height from which tiles are drawn, in metres: high enough that buildings hardly lean.
const MAP_HEIGHT_M: f64 = 6000.0;

/// A mapped square around the origin of a world, and how it is cut into tiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Side of the square, in metres.
    pub size_m: f64,
    /// Side of a tile, in metres.
    pub tile_m: f64,
    /// Share of a tile's side that it has in common with its neighbour, 0 to 0.9.
    pub overlap: f64,
}

/// A tile by its column from the west and its row from the south.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileId {
    /// Column, from 0.
    pub column: usize,
    /// Row, from 0.
    pub row: usize,
}

impl TileId {
    /// Its file below the folder of pictures.
    pub fn file(&self) -> String {
        format!("tile_{:04}_{:04}.jpg", self.row, self.column)
    }
}

impl Area {
    /// Metres from tile to tile.
    pub fn stride_m(&self) -> f64 {
        self.tile_m * (1.0 - self.overlap)
    }

    /// Tiles along a side; at least 1.
    pub fn per_side(&self) -> usize {
        // A thousandth of a tile is forgiven, so that 2000 m hold what they hold.
        (((self.size_m - self.tile_m) / self.stride_m() + 1e-3).floor().max(0.0) as usize) + 1
    }

    /// All tiles, from the south-west, row after row.
    pub fn tiles(&self) -> impl Iterator<Item = TileId> + use<> {
        let side = self.per_side();
        (0..side).flat_map(move |row| (0..side).map(move |column| TileId { column, row }))
    }

    /// The middle of a tile. The tiles' union is centred on the origin.
    pub fn middle(&self, tile: TileId) -> Point {
        let first = -self.stride_m() * (self.per_side() - 1) as f64 * 0.5;
        point(first + tile.column as f64 * self.stride_m(), first + tile.row as f64 * self.stride_m())
    }

    /// What the tiles cover together.
    pub fn covered(&self) -> Bounds {
        Bounds::around(Point::default(), self.stride_m() * (self.per_side() - 1) as f64 * 0.5 + self.tile_m * 0.5)
    }

    /// The tiles whose footprint holds a point, that whose middle is nearest first.
    pub fn showing(&self, at: Point) -> Vec<TileId> {
        let first = self.middle(TileId { column: 0, row: 0 });
        let reach = self.tile_m * 0.5;
        let range = |value: f64, first: f64| {
            let low = ((value - reach - first) / self.stride_m()).ceil().max(0.0) as usize;
            let high = ((value + reach - first) / self.stride_m()).floor();
            let end = if high < 0.0 { 0 } else { (high as usize + 1).min(self.per_side()) };
            low..end
        };
        let (columns, rows) = (range(at.x, first.x), range(at.y, first.y));
        let mut found: Vec<TileId> =
            rows.flat_map(|row| columns.clone().map(move |column| TileId { column, row })).collect();
        found.sort_by(|a, b| (self.middle(*a) - at).length().total_cmp(&(self.middle(*b) - at).length()));
        found
    }

    /// North-west and south-east corner of a tile.
    pub fn corners(&self, tile: TileId, globe: &Globe) -> [Degrees; 2] {
        let (middle, half) = (self.middle(tile), self.tile_m * 0.5);
        [globe.degrees(middle + point(-half, half)), globe.degrees(middle + point(half, -half))]
    }
}

/// The camera that sees a square of the ground from far above, north up, in so many pixels.
pub fn map_camera(middle: Point, side_m: f64, px: usize) -> Camera {
    let half_angle = libm::atan(side_m * 0.5 / MAP_HEIGHT_M);
    let pose = Pose {
        at: middle,
        height_m: MAP_HEIGHT_M,
        heading_deg: 0.0,
        pitch_deg: -90.0,
        roll_deg: 0.0,
        hfov_deg: half_angle * 360.0 / std::f64::consts::PI,
    };
    Camera::new(&pose, px, px, MAP_HEIGHT_M * 1.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Area = Area { size_m: 400.0, tile_m: 80.0, overlap: 0.5 };

    #[test]
    fn tiles_fill_the_square_and_overlap_as_asked() {
        assert_eq!((AREA.per_side(), AREA.tiles().count()), (9, 81));
        let covered = AREA.covered();
        assert!((covered.max.x - 200.0).abs() < 1e-9 && (covered.min.y + 200.0).abs() < 1e-9);
        assert_eq!(Area { size_m: 2000.0, tile_m: 80.0, overlap: 0.5 }.tiles().count(), 49 * 49);
        assert_eq!(Area { size_m: 10.0, ..AREA }.per_side(), 1);
    }

    #[test]
    fn a_point_is_shown_by_the_tiles_around_it_the_nearest_first() {
        let at = point(13.0, -9.0);
        let showing = AREA.showing(at);
        assert_eq!(showing.len(), 4);
        let distances: Vec<f64> = showing.iter().map(|tile| (AREA.middle(*tile) - at).length()).collect();
        assert!(distances.is_sorted());
        let all = AREA.tiles().filter(|tile| Bounds::around(AREA.middle(*tile), 40.0).holds(at));
        assert_eq!(all.count(), 4);
        assert!(AREA.showing(point(900.0, 0.0)).is_empty());
    }

    #[test]
    fn corners_lie_north_west_and_south_east() {
        let [upper, lower] = AREA.corners(TileId { column: 0, row: 0 }, &Globe::of_seed(1));
        assert!(upper.lat > lower.lat && upper.lon < lower.lon);
    }
}
