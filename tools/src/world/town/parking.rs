//! Car parks with their lines, islands and cars.

use super::super::geometry::Frame;
use super::super::palette::{Material, plain, toned};
use super::super::scene::{Layer, TreeKind};
use super::blocks::Room;
use super::brush::Brush;

/// Width of a bay, in metres.
const BAY_M: f64 = 2.6;
/// Length of a bay, in metres.
const LONG_M: f64 = 5.0;

/// A car park that fills a room, if the room is free.
pub(super) fn lot(brush: &mut Brush<'_>, room: &Room, often: u8) {
    let middle = room.middle(brush.district);
    let half = [room.width() * 0.5 - 1.0, room.depth() * 0.5 - 1.0];
    bays(brush, &middle, half, often);
}

/// A car park around a frame's origin: pairs of rows with lanes of six metres between them.
pub(super) fn bays(brush: &mut Brush<'_>, middle: &Frame, [half_u, half_v]: [f64; 2], often: u8) {
    if !brush.is_free_rectangle(middle, [-half_u, half_u], [-half_v, half_v], 0.0) {
        return;
    }
    let tone = brush.between(-10.0, 10.0);
    let surface = brush.pick(&[Material::Asphalt, Material::AsphaltOld, Material::PavingRed], Material::Asphalt);
    brush.lay(Layer::Yard, toned(surface, tone), middle, [-half_u, half_u], [-half_v, half_v]);
    let mut v = -half_v + 0.3;
    let trees = brush.chance(0.5);
    // A single row along the edge first, then a lane, a double row, a lane, and so on.
    let mut rows = 1;
    while v + LONG_M <= half_v {
        for _ in 0..rows {
            if v + LONG_M <= half_v {
                row(brush, middle, half_u, v, often);
                v += LONG_M;
            }
        }
        if trees && rows == 2 && half_u > 14.0 {
            for u in [-half_u + 1.2, half_u - 1.2] {
                brush.plant(middle.at(u, v - LONG_M), 1.7, TreeKind::Broadleaf);
            }
        }
        v += 6.2;
        rows = 2;
    }
}

fn row(brush: &mut Brush<'_>, middle: &Frame, half_u: f64, v: f64, often: u8) {
    let count = ((half_u * 2.0 - 5.0) / BAY_M).floor().max(0.0) as i32;
    let start = -f64::from(count) * BAY_M * 0.5;
    for bay in 0..=count {
        let u = start + f64::from(bay) * BAY_M;
        brush.lay(Layer::YardDetail, plain(Material::Marking), middle, [u - 0.07, u + 0.07], [v, v + LONG_M]);
        if bay < count {
            let mut frame = middle.moved(u + BAY_M * 0.5, v + LONG_M * 0.5).turned();
            if brush.chance(0.5) {
                frame.axis = frame.axis * -1.0;
            }
            brush.park(frame, often);
        }
    }
}
