//! Detached houses in gardens, and terraces. Few models per district: many places of a quarter look alike.

use super::super::geometry::Frame;
use super::super::palette::{Material, plain, toned};
use super::super::scene::{Facade, Layer, Roof, TreeKind};
use super::blocks::Room;
use super::brush::{Brush, Building};
use crate::bench::random::Random;

/// A lot at a street: the frame's origin is in the middle of its front, the second axis leads into the depth.
struct Lot {
    frame: Frame,
    width: f64,
    depth: f64,
}

/// What the houses of a district have in common.
#[derive(Debug, Clone, Copy)]
struct Model {
    size: [f64; 2],
    eave_m: f64,
    rise_m: f64,
    hip: bool,
    /// Whether the ridge runs along the street.
    along: bool,
    setback_m: f64,
}

fn models(taste: u64) -> [Model; 3] {
    [0_u64, 1, 2].map(|number| {
        let mut random = Random::of(&[taste, number]);
        let mut between = |low: f64, high: f64| super::between(&mut random, low, high);
        let size = [between(9.0, 13.0), between(8.0, 10.5)];
        let (eave_m, rise_m, setback_m) = (between(3.4, 6.2), between(2.4, 4.2), between(4.0, 7.5));
        let (hip, along) = (between(0.0, 1.0) < 0.3, between(0.0, 1.0) < 0.6);
        Model { size, eave_m, rise_m, hip, along, setback_m }
    })
}

/// The lots of a block: two rows, back to back.
fn lots(brush: &mut Brush<'_>, room: &Room, widths: [f64; 2]) -> Vec<Lot> {
    let mut lots = Vec::new();
    let depth = room.depth() * 0.5;
    let count = (room.width() / super::between(&mut brush.random, widths[0], widths[1])).floor().max(1.0) as i32;
    let width = room.width() / f64::from(count);
    for number in 0..count {
        let u = room.u[0] + (f64::from(number) + 0.5) * width;
        lots.push(Lot { frame: brush.district.place(u, room.v[0]), width, depth });
        let far = brush.district.place(u, room.v[1]);
        lots.push(Lot { frame: Frame { origin: far.origin, axis: far.axis * -1.0 }, width, depth });
    }
    lots
}

/// A block of detached houses.
pub(super) fn gardens(brush: &mut Brush<'_>, room: &Room) {
    let models = models(brush.district.taste);
    for lot in lots(brush, room, [16.0, 24.0]) {
        let half = lot.width * 0.5;
        if !brush.is_free_rectangle(&lot.frame, [-half, half], [0.5, lot.depth], 0.0) {
            rough(brush, &lot);
            continue;
        }
        let tone = brush.between(-9.0, 9.0);
        let green = brush.pick(&[Material::Lawn, Material::Lawn, Material::Grass], Material::Lawn);
        brush.lay(Layer::Lot, toned(green, tone), &lot.frame, [-half, half], [0.0, lot.depth]);
        let model = brush.pick(&models, Model { size: [10.0, 9.0], ..models[0] });
        house(brush, &lot, &model);
        garden(brush, &lot, &model);
        let side = lot.frame.moved(half, lot.depth * 0.6).turned();
        if brush.chance(0.55) {
            brush.hedge(&side, lot.depth * 0.75);
        }
        if brush.chance(0.4) {
            brush.hedge(&lot.frame.moved(0.0, lot.depth - 0.5), lot.width * 0.9);
        }
    }
}

/// A lot that does not fit beside road or water: left to trees.
fn rough(brush: &mut Brush<'_>, lot: &Lot) {
    for _ in 0..2 {
        let (u, v) = (brush.between(-0.4, 0.4) * lot.width, brush.between(0.2, 0.9) * lot.depth);
        let (radius, kind) = (brush.between(1.4, 3.0), brush.tree_kind(0.15));
        brush.plant(lot.frame.at(u, v), radius, kind);
    }
}

fn house(brush: &mut Brush<'_>, lot: &Lot, model: &Model) {
    let jitter = brush.between(-0.6, 0.6);
    let [long, wide] = model.size;
    let deep = if model.along { wide } else { long };
    let front = (if model.along { long } else { wide }).min(lot.width - 4.5);
    let side = (lot.width - front) * 0.5 - 1.4;
    let shift = if brush.district.taste & 8 == 0 { -side } else { side } + jitter;
    let mid = model.setback_m + deep * 0.5;
    let spot = lot.frame.moved(shift, mid);
    let roof = if model.hip { Roof::Hip { rise_m: model.rise_m } } else { Roof::Gable { rise_m: model.rise_m } };
    let (wall, roof_paint) = (brush.wall(), brush.roof());
    let building = |size| Building { size, eave_m: model.eave_m, roof, wall, roof_paint, facade: Facade::House };
    let stands = if model.along {
        brush.raise(spot, &building([front, deep]))
    } else {
        brush.raise(spot.turned(), &building([deep, front]))
    };
    if !stands {
        return;
    }
    // The drive lies where the house is not, perhaps with a garage at its end.
    let drive = if shift < 0.0 { lot.width * 0.5 - 2.2 } else { 2.2 - lot.width * 0.5 };
    let paving = brush.pick(&[Material::Concrete, Material::PavingRed, Material::Gravel], Material::Concrete);
    let end = mid + 1.0;
    brush.lay(Layer::Yard, plain(paving), &lot.frame, [drive - 1.5, drive + 1.5], [-0.2, end]);
    brush.lay(Layer::Yard, plain(paving), &lot.frame, [shift - 0.7, shift + 0.7], [-0.2, model.setback_m]);
    brush.park(lot.frame.moved(drive, 3.2).turned(), 110);
    if brush.chance(0.6) {
        let garage = lot.frame.moved(drive, end + 1.6).turned();
        let (wall, roof_paint) = (brush.wall(), toned(Material::RoofFlat, -8.0));
        let building =
            Building { size: [5.6, 3.2], eave_m: 2.6, roof: Roof::Flat, wall, roof_paint, facade: Facade::Blank };
        brush.raise(garage, &building);
    }
    let terrace = mid + deep * 0.5;
    brush.lay(
        Layer::Yard,
        toned(Material::Paving, 4.0),
        &lot.frame,
        [shift - 2.6, shift + 2.4],
        [terrace, terrace + 3.0],
    );
}

fn garden(brush: &mut Brush<'_>, lot: &Lot, model: &Model) {
    let behind = model.setback_m + model.size[0] + 2.0;
    if behind + 3.0 > lot.depth {
        return;
    }
    let half = lot.width * 0.5 - 1.5;
    let count = brush.random.below(5);
    for _ in 0..count {
        let (u, v) = (brush.between(-half, half), brush.between(behind, lot.depth - 0.5));
        let (radius, kind) = (brush.between(1.1, 2.9), brush.tree_kind(0.18));
        brush.plant(lot.frame.at(u, v), radius, kind);
    }
    feature(brush, lot, behind);
    if brush.chance(0.35) {
        let (u, v) = (brush.between(-half, half), brush.between(1.2, 3.0));
        brush.plant(lot.frame.at(u, v), 1.3, TreeKind::Bush);
    }
}

/// A pool, a shed or a bed behind a house.
fn feature(brush: &mut Brush<'_>, lot: &Lot, behind: f64) {
    let half = lot.width * 0.5 - 3.5;
    let u = brush.between(-half, half);
    match brush.random.below(16) {
        0 => {
            let v = [behind, (behind + 4.0).min(lot.depth - 1.0)];
            brush.lay(Layer::Yard, plain(Material::Concrete), &lot.frame, [u - 4.0, u + 4.0], v);
            brush.lay(
                Layer::YardDetail,
                plain(Material::Pool),
                &lot.frame,
                [u - 3.2, u + 3.2],
                [v[0] + 0.7, v[1] - 0.7],
            );
        }
        1..=4 => {
            let wood = toned(Material::RoofBrown, 5.0);
            let shed = Building {
                size: [3.4, 2.6],
                eave_m: 2.1,
                roof: Roof::Gable { rise_m: 0.8 },
                wall: wood,
                roof_paint: wood,
                facade: Facade::Blank,
            };
            brush.raise(lot.frame.moved(u, lot.depth - 2.4), &shed);
        }
        5 | 6 => brush.lay(
            Layer::Yard,
            plain(Material::Soil),
            &lot.frame,
            [u - 2.0, u + 2.0],
            [behind, (behind + 5.0).min(lot.depth - 0.5)],
        ),
        _ => {}
    }
}

/// A block of terraces: two rows of narrow houses with gardens back to back.
pub(super) fn terraces(brush: &mut Brush<'_>, room: &Room) {
    let taste = brush.district.taste;
    let mut random = Random::of(&[taste, 17]);
    let mut between = |low: f64, high: f64| super::between(&mut random, low, high);
    let (width, deep) = (between(5.6, 7.6), between(9.0, 11.0));
    let (eave_m, rise_m, setback) = (between(5.2, 8.4), between(3.0, 4.6), between(2.4, 4.5));
    let run = 4 + random.below(4);
    for (number, lot) in lots(brush, room, [width, width + 0.1]).into_iter().enumerate() {
        // Rows are lots alternately in front and behind, so every second one belongs to the same row.
        let is_gap = (number / 2) % (run + 1) == run;
        let half = lot.width * 0.5;
        if !brush.is_free_rectangle(&lot.frame, [-half, half], [0.3, lot.depth], 0.0) {
            rough(brush, &lot);
            continue;
        }
        let tone = brush.between(-9.0, 9.0);
        brush.lay(Layer::Lot, toned(Material::Lawn, tone), &lot.frame, [-half, half], [0.0, lot.depth]);
        if is_gap {
            brush.lay(Layer::Yard, plain(Material::Paving), &lot.frame, [-1.2, 1.2], [-0.2, lot.depth]);
            brush.plant(lot.frame.at(2.0, lot.depth * 0.4), 2.2, TreeKind::Broadleaf);
            continue;
        }
        let (wall, roof_paint) = (brush.wall(), brush.roof());
        let building = Building {
            size: [lot.width, deep],
            eave_m,
            roof: Roof::Gable { rise_m },
            wall,
            roof_paint,
            facade: Facade::House,
        };
        brush.raise(lot.frame.moved(0.0, setback + deep * 0.5), &building);
        let paving = brush.pick(&[Material::Concrete, Material::PavingRed, Material::Lawn], Material::Concrete);
        brush.lay(Layer::Yard, plain(paving), &lot.frame, [-half + 0.2, half - 0.2], [0.0, setback]);
        yard(brush, &lot, setback + deep);
    }
}

/// The garden behind a house of a terrace.
fn yard(brush: &mut Brush<'_>, lot: &Lot, from: f64) {
    let half = lot.width * 0.5 - 0.2;
    brush.lay(Layer::Yard, plain(Material::Paving), &lot.frame, [-half, half], [from, from + 2.4]);
    if lot.depth - from > 7.0 && brush.chance(0.45) {
        let (u, v) = (brush.between(-half, half) * 0.6, brush.between(from + 4.0, lot.depth - 1.5));
        let (radius, kind) = (brush.between(0.9, 2.2), brush.tree_kind(0.12));
        brush.plant(lot.frame.at(u, v), radius, kind);
    }
    if brush.chance(0.3) {
        let wood = toned(Material::RoofBrown, 8.0);
        brush.put(lot.frame.moved(half - 1.4, lot.depth - 1.6), [2.2, 2.2], [0.0, 2.2], [wood, wood]);
    }
    brush.hedge(&lot.frame.moved(lot.width * 0.5, (from + lot.depth) * 0.5).turned(), lot.depth - from - 2.5);
}
