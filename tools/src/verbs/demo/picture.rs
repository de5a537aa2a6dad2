//! The flight as one picture: the map with truth and fixes, and some frames beside their best candidates.

use std::fs;
use std::path::Path;

use anyhow::Context;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, overlay, resize};
use image::{ExtendedColorType, RgbImage};
use quantized_models::{DecodeLimits, decode};

use super::frame::Flown;
use super::map::{MapFrame, Mark, tracks};
use super::outcome::Outcome;
use super::paint::Canvas;
use super::plan::{Ground, Plan};
use crate::pictures;

/// Pixels along the longer side of the map.
const MAP_PX: f64 = 1200.0;
/// Pixels along a side of a frame or a candidate.
const PAIR_PX: u32 = 188;
/// Pixels between them.
const GAP_PX: u32 = 10;
const PAPER: [u8; 3] = [244, 244, 242];
const OFF_THE_MAP: [u8; 3] = [216, 216, 212];
const QUALITY: u8 = 85;

/// Writes the picture as a JPEG.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(path: &Path, plan: &Plan) -> anyhow::Result<()> {
    let map = MapFrame::around(&plan.frames, plan.ground.as_ref());
    let drawn = drawn_map(plan, &map);
    let (width, height) = drawn.dimensions();
    let rows = (height.saturating_sub(GAP_PX) / (PAIR_PX + GAP_PX)).max(1);
    let mut canvas = Canvas::new(width + PAIR_PX * 2 + GAP_PX * 4, height.max(PAIR_PX + GAP_PX * 2), PAPER);
    overlay(&mut canvas.0, &drawn, 0, 0);
    for (row, frame) in chosen(&plan.frames, rows as usize).into_iter().enumerate() {
        let y = GAP_PX + row as u32 * (PAIR_PX + GAP_PX);
        pair(&mut canvas, plan, frame, [width + GAP_PX * 2, y]);
    }
    let mut jpeg = Vec::new();
    let (width, height) = canvas.0.dimensions();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode(&canvas.0, width, height, ExtendedColorType::Rgb8)?;
    fs::write(path, jpeg).with_context(|| format!("{}: cannot be written", path.display()))
}

fn drawn_map(plan: &Plan, map: &MapFrame) -> RgbImage {
    let px_per_m = MAP_PX / map.width_m.max(map.height_m);
    let px = |[x, y]: [f64; 2]| [x * px_per_m, y * px_per_m];
    let side = |metres: f64| (metres * px_per_m).round().max(1.0) as u32;
    let mut canvas = Canvas::new(side(map.width_m), side(map.height_m), OFF_THE_MAP);
    if let Some(ground) = &plan.ground {
        lay(&mut canvas, ground, map, px_per_m);
    }
    for track in tracks(&plan.frames, map) {
        for (width, colour, opacity) in [(3.2, [0, 0, 0], 0.45), (1.6, [255, 255, 255], 1.0)] {
            for (from, to) in track.iter().zip(track.iter().skip(1)) {
                canvas.line(px(*from), px(*to), width, colour, opacity);
            }
        }
    }
    let marks = Mark::all(&plan.frames, map, plan.right_within_m);
    for mark in &marks {
        if let Some(fix) = mark.fix {
            canvas.line(px(mark.truth), px(fix), 1.2, mark.outcome.colour(), 0.65);
        }
    }
    for mark in &marks {
        canvas.mark(mark.outcome.shape(), px(mark.at()), map.mark_m() * px_per_m, mark.outcome.colour());
    }
    canvas.0
}

/// Lays the picture of the ground where it belongs.
fn lay(canvas: &mut Canvas, ground: &Ground, map: &MapFrame, px_per_m: f64) {
    let pixel = |[x, y]: [f64; 2]| [x * px_per_m, y * px_per_m];
    let [left, upper] = pixel(map.at(ground.north_deg, ground.west_deg));
    let [right, lower] = pixel(map.at(ground.south_deg, ground.east_deg));
    let side = |low: f64, high: f64| (high - low).round().max(1.0) as u32;
    let scaled = resize(&ground.picture, side(left, right), side(upper, lower), FilterType::Triangle);
    overlay(&mut canvas.0, &scaled, left.round() as i64, upper.round() as i64);
}

/// As many frames as there is room for, in even steps over the flights.
fn chosen(frames: &[Flown], room: usize) -> Vec<&Flown> {
    let with_candidate = |frame: &&Flown| frame.last().is_some_and(|answer| !answer.message.candidates.is_empty());
    let candidates: Vec<&Flown> = frames.iter().filter(with_candidate).collect();
    let step = (candidates.len() as f64 / room.max(1) as f64).max(1.0);
    (0..room).filter_map(|at| candidates.get((at as f64 * step) as usize).copied()).collect()
}

/// A frame beside its best candidate, in the colour of how it is judged. What cannot be read stays empty.
fn pair(canvas: &mut Canvas, plan: &Plan, frame: &Flown, [x, y]: [u32; 2]) {
    let outcome = frame.outcome(plan.right_within_m);
    let best = frame.last().and_then(|answer| answer.message.candidates.first());
    let best = best.and_then(|best| pictures::path_below(&plan.pictures, &best.reference).ok());
    let rim = Canvas::new(PAIR_PX * 2 + GAP_PX, PAIR_PX + 4, outcome.colour());
    overlay(&mut canvas.0, &rim.0, i64::from(x) - 2, i64::from(y) - 2);
    for (path, at) in [(Some(frame.picture.clone()), x), (best, x + PAIR_PX + GAP_PX - 4)] {
        let image =
            path.and_then(|path| fs::read(path).ok()).and_then(|bytes| decode(&bytes, &DecodeLimits::default()).ok());
        if let Some(image) = image {
            overlay(
                &mut canvas.0,
                &resize(&image, PAIR_PX, PAIR_PX, FilterType::Triangle),
                i64::from(at),
                i64::from(y),
            );
        }
    }
    if outcome != Outcome::Right {
        let at = [f64::from(x + PAIR_PX) + f64::from(GAP_PX) * 0.5 - 2.0, f64::from(y) + f64::from(PAIR_PX) * 0.5];
        canvas.mark(outcome.shape(), at, 9.0, outcome.colour());
    }
}
