//! A block of a district with the streets on its western and southern side, in the frame of the district.

use super::super::geometry::{Frame, Point};
use super::super::palette::{Material, plain, toned};
use super::super::scene::{CarPlace, Chunk, Layer};
use super::brush::Brush;
use super::district::{District, DistrictKind};
use super::roads::{cut, walk, zebra};
use super::{World, between, centre, chance, estates, fields, halls, houses, landmarks, leisure, style};

const STREET: u64 = 5;
const BLOCK: u64 = 6;

/// Half the width of a side street's roadway, in metres.
pub const STREET_HALF_M: f64 = 3.1;
/// Half its width with pavements, in metres.
pub const STREET_REACH_M: f64 = 4.8;

/// The inside of a block, without its streets: bounds along both axes of the district, in metres.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) u: [f64; 2],
    pub(super) v: [f64; 2],
}

impl Room {
    /// Length along the first axis, in metres.
    pub(super) fn width(&self) -> f64 {
        self.u[1] - self.u[0]
    }

    /// Length along the second axis, in metres.
    pub(super) fn depth(&self) -> f64 {
        self.v[1] - self.v[0]
    }

    /// A frame in its middle.
    pub(super) fn middle(&self, district: &District) -> Frame {
        district.place((self.u[0] + self.u[1]) * 0.5, (self.v[0] + self.v[1]) * 0.5)
    }
}

/// The street on one side of a block, from crossing to crossing; in warped districts a curve.
pub fn street_line(district: &District, u: i32, v: i32, upright: bool) -> Vec<Point> {
    let (u0, v0) = (f64::from(u) * district.block_m.x, f64::from(v) * district.block_m.y);
    let length = if upright { district.block_m.y } else { district.block_m.x };
    let pieces = (length / 8.0).ceil().max(1.0) as usize;
    cut(pieces, |share| {
        let along = share * length;
        if upright { district.place(u0, v0 + along).origin } else { district.place(u0 + along, v0).origin }
    })
}

/// Makes block (u, v) of a district.
pub(super) fn make(world: &World, district: &District, u: i32, v: i32) -> Chunk {
    let mut chunk = Chunk::default();
    let inset = if district.has_streets() {
        street(world, district, &mut chunk, [u, v], false);
        street(world, district, &mut chunk, [u, v], true);
        STREET_REACH_M + 0.2
    } else {
        0.0
    };
    let (size, cell) = (district.block_m, |at: i32, size: f64| f64::from(at) * size);
    let room = Room {
        u: [cell(u, size.x) + inset, cell(u + 1, size.x) - inset],
        v: [cell(v, size.y) + inset, cell(v + 1, size.y) - inset],
    };
    let (i, j) = district.mesh;
    let random = world.random(BLOCK ^ (district.taste & 0xffff_0000), [i, j, u, v]);
    let mut brush = Brush { world, district, chunk: &mut chunk, random };
    if district.landmark == Some((u, v)) {
        landmarks::fill(&mut brush, &room);
        return chunk;
    }
    match district.kind {
        DistrictKind::Centre => centre::fill(&mut brush, &room),
        DistrictKind::Rows => houses::terraces(&mut brush, &room),
        DistrictKind::Houses => houses::gardens(&mut brush, &room),
        DistrictKind::Estates => estates::fill(&mut brush, &room),
        DistrictKind::Halls => halls::fill(&mut brush, &room),
        DistrictKind::Park => leisure::park(&mut brush, &room, (u, v)),
        DistrictKind::Sports => leisure::sports(&mut brush, &room, (u, v)),
        DistrictKind::Fields => fields::field(&mut brush, &room, (u, v)),
        DistrictKind::Forest => fields::forest(&mut brush, &room),
    }
    chunk
}

/// Whether a piece of a street is built: within the district, and not in water or on rails.
pub fn is_street(world: &World, district: &District, from: Point, to: Point) -> bool {
    let middle = from.towards(to, 0.5);
    district.holds(middle, -11.0) && world.is_dry(middle, 5.0)
}

fn street(world: &World, district: &District, chunk: &mut Chunk, [u, v]: [i32; 2], upright: bool) {
    let (i, j) = district.mesh;
    let mut random = world.random(STREET, [i * 512 + u, j * 512 + v, i32::from(upright), 1]);
    let line = street_line(district, u, v, upright);
    let is_path = chance(&mut random, 0.08);
    let tone = (district.taste % 17) as f64 - 8.0;
    let material = if district.taste & 64 == 0 { Material::Asphalt } else { Material::AsphaltOld };
    for pair in line.windows(2) {
        let [from, to] = pair else { continue };
        if !is_street(world, district, *from, *to) {
            continue;
        }
        // Pieces overlap a little, so that no gap shows in bends.
        let over = (*to - *from) * 0.06;
        let piece = [*from - over, *to + over];
        if is_path {
            chunk.strip(Layer::Pavement, plain(Material::Gravel), &piece, 1.4);
        } else {
            chunk.strip(Layer::Pavement, toned(Material::Paving, tone), &piece, STREET_REACH_M);
            chunk.strip(Layer::Street, toned(material, tone), &piece, STREET_HALF_M);
        }
    }
    if is_path {
        return;
    }
    park(world, district, chunk, &line, &mut random);
    let stations = walk(&line, 9.0);
    if let Some(at) = stations.get(1).filter(|at| chance(&mut random, 0.3) && district.holds(at.origin, 4.0))
        && is_street(world, district, at.origin, at.origin)
    {
        zebra(chunk, at, STREET_HALF_M);
    }
}

fn park(
    world: &World,
    district: &District,
    chunk: &mut Chunk,
    line: &[Point],
    random: &mut crate::bench::random::Random,
) {
    let often = match district.kind {
        DistrictKind::Centre => 150,
        DistrictKind::Houses | DistrictKind::Halls => 46,
        _ => 100,
    };
    let stations = walk(line, 6.4);
    let last = stations.len().saturating_sub(2);
    for (index, at) in stations.iter().enumerate() {
        let street = is_street(world, district, at.origin, at.origin) && district.holds(at.origin, 5.0);
        // Crossings stay free.
        if !street || index < 2 || index >= last {
            continue;
        }
        let side = between(random, 2.0, 2.3);
        let ahead = Frame { origin: at.at(0.0, -side), axis: at.axis };
        let back = Frame { origin: at.at(0.0, side), axis: at.axis * -1.0 };
        chunk.cars.push(CarPlace { frame: ahead, often, driving: false, style: style(random) });
        if district.kind == DistrictKind::Centre {
            chunk.cars.push(CarPlace { frame: back, often, driving: false, style: style(random) });
        } else if index % 3 == 0 {
            chunk.cars.push(CarPlace { frame: back, often: 14, driving: true, style: style(random) });
        }
    }
}
