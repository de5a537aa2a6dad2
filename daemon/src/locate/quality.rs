//! Is a picture worth an embedding? Dark, covered, over-exposed, blurred and repeated pictures are told from their
//! brightness on a small grid, before the encoder sees them.
//!
//! A pass over the picture gives the mean luminance of each cell of a grid of [`GRID`] cells along the longer side; all
//! figures are of those means, so that noise of the sensor and of the JPEG hardly counts. Limits were chosen on real
//! and on drawn pictures; what they find and what they wrongly refuse stands in `docs/accuracy.md`.
//!
//! Blur is judged at the size at which encoders look: the light that varies between cells is split into octaves, and a
//! picture is blurred when its finer octave is weak beside its coarser one both on the whole and in the sharpest of its
//! textured parts. A picture that is soft only when looked at pixel by pixel passes: the encoder sees no difference.
//!
//! Frozen is exact: every cell's sum equals that of the picture before. Noise makes two exposures of the same unmoved
//! scene differ in nearly every cell, so that a camera on a tripod or a hovering drone is not called frozen for being
//! still.

use std::fmt;

use quantized_models::RgbImage;
use serde::{Deserialize, Serialize};

/// Cells along the longer side of the grid.
const GRID: u32 = 96;
/// Rows of pixels that are looked at in each row of cells, at most.
const ROWS_OF_CELL: u32 = 8;
/// Octaves between the cells and the blocks in which blur is judged: blocks of 16 cells.
const OCTAVES: usize = 4;
/// A picture is dark when hardly a cell (1 in 100) is brighter than this, of 255, and little varies.
const DARK_BELOW: f32 = 48.0;
/// Deviation of a dark picture's cells, at most, of 255.
const DARK_DEVIATION: f32 = 8.0;
/// Below this deviation of the cells nothing is seen: of a dark picture, and of any other.
const NOTHING_SEEN_DARK: f32 = 1.0;
const NOTHING_SEEN: f32 = 2.0;
/// A cell is saturated from this on, of 255.
const SATURATED: f32 = 250.0;
/// Share of saturated cells from which a picture is over-exposed.
const SATURATED_SHARE: f32 = 0.6;
/// A picture is blurred when the octave of 4 cells has less than this share of the energy in that of 16 cells, on the
/// whole picture ...
const BLURRED_WHOLE: f32 = 0.26;
/// ... and in the sharpest tenth of the blocks that have at least the median energy.
const BLURRED_SHARPEST: f32 = 0.40;
/// Added to energies that are divided by, in levels squared: less is not to be told from rounding.
const ENERGY_FLOOR: f32 = 0.05;

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadFrame {
    /// Far too little light.
    Dark,
    /// Nothing is seen: the lens is covered.
    Covered,
    /// Far too much light.
    OverExposed,
    /// So far out of focus or smeared that an encoder sees it.
    Blurred,
    /// The picture of an earlier moment once more.
    Frozen,
}

impl BadFrame {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Dark, Self::Covered, Self::OverExposed, Self::Blurred, Self::Frozen];

    /// The word that stands in messages, settings and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Covered => "covered",
            Self::OverExposed => "over_exposed",
            Self::Blurred => "blurred",
            Self::Frozen => "frozen",
        }
    }
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kinds of bad frames that get no fix; all but blurred ones unless said otherwise: fields under snow are as smooth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RefusedFrames(pub Vec<BadFrame>);

impl Default for RefusedFrames {
    fn default() -> Self {
        Self(BadFrame::ALL.into_iter().filter(|kind| *kind != BadFrame::Blurred).collect())
    }
}

impl RefusedFrames {
    /// None: every frame that can be decoded is located.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether frames of this kind get no fix.
    pub fn contains(&self, kind: BadFrame) -> bool {
        self.0.contains(&kind)
    }
}

/// What a picture is recognised by when it comes again: a digest of its size and of the sum of each cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64, u64);

/// The figures by which a picture is judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrameFigures {
    /// What the picture is recognised by.
    pub fingerprint: Fingerprint,
    /// Luminance that all cells but one in a hundred stay below, 0 to 255.
    pub bright: f32,
    /// Deviation of the cells' luminance, 0 to 128.
    pub deviation: f32,
    /// Share of saturated cells, 0 to 1.
    pub saturated: f32,
    /// Energy in the octave of 4 cells over that of 16 cells, on the whole picture; absent for pictures of fewer than 2
    /// x 2 blocks of 16 cells.
    pub whole_detail: Option<f32>,
    /// The same in the sharpest tenth of the textured blocks.
    pub sharpest_detail: Option<f32>,
}

impl FrameFigures {
    /// The figures of a picture; `None` of one without pixels. Takes a pass over the picture, or over 8 rows of each
    /// row of cells where it has more.
    pub fn of(image: &RgbImage) -> Option<Self> {
        let (cells, fingerprint) = Cells::of(image)?;
        let mut sorted = cells.values.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let count = sorted.len() as f32;
        let saturated = sorted.iter().filter(|value| **value >= SATURATED).count() as f32 / count;
        let (whole_detail, sharpest_detail) = detail(&cells).unzip();
        Some(Self {
            fingerprint,
            bright: quantile(&sorted, 0.99),
            deviation: deviation(&sorted),
            saturated,
            whole_detail,
            sharpest_detail,
        })
    }

    /// What is wrong with the picture by itself. Whether it is frozen takes the picture before it.
    pub fn bad(&self) -> Option<BadFrame> {
        let is_blurred = self.whole_detail.is_some_and(|detail| detail < BLURRED_WHOLE)
            && self.sharpest_detail.is_some_and(|detail| detail < BLURRED_SHARPEST);
        if self.bright < DARK_BELOW && self.deviation < DARK_DEVIATION {
            return Some(if self.deviation < NOTHING_SEEN_DARK { BadFrame::Covered } else { BadFrame::Dark });
        }
        if self.saturated >= SATURATED_SHARE {
            return Some(BadFrame::OverExposed);
        }
        if self.deviation < NOTHING_SEEN {
            return Some(BadFrame::Covered);
        }
        is_blurred.then_some(BadFrame::Blurred)
    }
}

/// Numbers on a grid, row after row.
struct Cells {
    values: Vec<f32>,
    columns: usize,
    rows: usize,
}

impl Cells {
    /// Mean luminance of each cell, 0 to 255, and the digest of their sums; `None` of a picture without pixels.
    fn of(image: &RgbImage) -> Option<(Self, Fingerprint)> {
        let (width, height) = image.dimensions();
        let longer = width.max(height);
        let cells = GRID.min(longer);
        let along = |side: u32| (u64::from(side) * u64::from(cells)).checked_div(u64::from(longer)).map(|n| n.max(1));
        let (columns, rows) = (along(width)?, along(height)?);
        let starts: Vec<usize> = (0..=columns).filter_map(|at| start(at, width, columns)).collect();
        let lines: Vec<&[u8]> = image.as_raw().chunks_exact(usize::try_from(width).ok()?.max(1) * 3).collect();
        let mut digest = Digest::new(width, height);
        let mut values = Vec::with_capacity(starts.len() * usize::try_from(rows).ok()?);
        let mut sums = vec![0_u64; starts.len().saturating_sub(1)];
        for row in 0..rows {
            let lines = lines.get(start(row, height, rows)?..start(row + 1, height, rows)?)?;
            let step = lines.len().div_ceil(usize::try_from(ROWS_OF_CELL).ok()?).max(1);
            sums.fill(0);
            for line in lines.iter().step_by(step) {
                add_luminance(line, &starts, &mut sums);
            }
            let looked_at = lines.len().div_ceil(step);
            for (sum, bounds) in sums.iter().zip(starts.windows(2)) {
                let [from, to] = bounds else { continue };
                digest.add(*sum);
                values.push(*sum as f32 / (256 * looked_at * (to - from)).max(1) as f32);
            }
        }
        let (columns, rows) = (usize::try_from(columns).ok()?, usize::try_from(rows).ok()?);
        (!values.is_empty()).then_some((Self { values, columns, rows }, digest.end()))
    }

    /// The means of 2 x 2 cells, and the variance within them. A last odd row or column is left out.
    fn halved(&self) -> (Self, Self) {
        let (columns, rows) = (self.columns / 2, self.rows / 2);
        let (mut means, mut variances) = (Vec::with_capacity(columns * rows), Vec::with_capacity(columns * rows));
        let two_rows = self.values.chunks_exact((self.columns * 2).max(1));
        for (above, below) in two_rows.take(rows).map(|two| two.split_at(self.columns)) {
            for ([a, b], [c, d]) in above.as_chunks::<2>().0.iter().zip(below.as_chunks::<2>().0) {
                let mean = (a + b + c + d) / 4.0;
                means.push(mean);
                variances.push([a, b, c, d].into_iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 4.0);
            }
        }
        (Self { values: means, columns, rows }, Self { values: variances, columns, rows })
    }

    fn mean(&self) -> f32 {
        self.values.iter().sum::<f32>() / self.values.len().max(1) as f32
    }
}

/// The first pixel of the cell `at` of `cells` along a side.
fn start(at: u64, side: u32, cells: u64) -> Option<usize> {
    usize::try_from((at * u64::from(side)).checked_div(cells)?).ok()
}

/// Adds the luminance of a row of pixels, times 256, to the sums of the cells that begin at `starts`.
fn add_luminance(line: &[u8], starts: &[usize], sums: &mut [u64]) {
    for (sum, bounds) in sums.iter_mut().zip(starts.windows(2)) {
        let [from, to] = bounds else { continue };
        let pixels = line.get(from * 3..to * 3).unwrap_or_default().as_chunks::<3>().0;
        let light =
            |[red, green, blue]: &[u8; 3]| 77 * u32::from(*red) + 150 * u32::from(*green) + 29 * u32::from(*blue);
        *sum += pixels.iter().map(|pixel| u64::from(light(pixel))).sum::<u64>();
    }
}

/// Energy in the octave of 4 cells over that of 16, on the whole picture and in the sharpest textured blocks; `None`
/// where there are fewer than 2 x 2 blocks.
fn detail(cells: &Cells) -> Option<(f32, f32)> {
    let (mut level, mut octaves) = (None::<Cells>, Vec::with_capacity(OCTAVES));
    for _ in 0..OCTAVES {
        let (means, variances) = level.as_ref().unwrap_or(cells).halved();
        octaves.push(variances);
        level = Some(means);
    }
    let [_, fine, _, coarse] = octaves.as_slice() else { return None };
    if coarse.columns < 2 || coarse.rows < 2 {
        return None;
    }
    let mut energies = coarse.values.clone();
    energies.sort_unstable_by(f32::total_cmp);
    let textured = quantile(&energies, 0.5);
    let mut details = Vec::new();
    for (at, energy) in coarse.values.iter().enumerate().filter(|(_, energy)| **energy >= textured) {
        let (left, top) = (at % coarse.columns * 4, at / coarse.columns * 4);
        let rows = fine.values.chunks_exact(fine.columns.max(1)).skip(top).take(4);
        let within = rows.flat_map(|row| row.iter().skip(left).take(4));
        details.push(within.sum::<f32>() / 16.0 / (energy + ENERGY_FLOOR));
    }
    details.sort_unstable_by(f32::total_cmp);
    Some((fine.mean() / (coarse.mean() + ENERGY_FLOOR), quantile(&details, 0.9)))
}

/// The quantile of sorted values, linear between the two nearest; 0 of none.
fn quantile(sorted: &[f32], fraction: f32) -> f32 {
    let position = fraction * sorted.len().saturating_sub(1) as f32;
    let at = |position: f32| sorted.get(position as usize).copied().unwrap_or_default();
    let (below, above) = (at(position.floor()), at(position.ceil()));
    below + (above - below) * position.fract()
}

fn deviation(values: &[f32]) -> f32 {
    let count = values.len().max(1) as f32;
    let mean = values.iter().sum::<f32>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count).sqrt()
}

/// Two independent 64-bit mixes (the finaliser of `SplitMix64`), each over all sums in their order. Not meant to hold
/// against someone who wants a collision: he could as well send the picture.
struct Digest(u64, u64);

impl Digest {
    fn new(width: u32, height: u32) -> Self {
        let mut digest = Self(0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03);
        digest.add(u64::from(width) << 32 | u64::from(height));
        digest
    }

    fn add(&mut self, value: u64) {
        self.0 = mixed(self.0 ^ value);
        self.1 = mixed(self.1.rotate_left(29).wrapping_add(value));
    }

    fn end(self) -> Fingerprint {
        Fingerprint(self.0, self.1)
    }
}

fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests;
