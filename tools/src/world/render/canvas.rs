//! Samples of a picture: a colour with a tag, and how near what is seen there is.

/// A colour with its tag: red in the lowest byte, green, blue, the tag in the highest.
pub type Tagged = u32;

/// Bit of the tag that says that the sample lies in a shadow already.
pub const SHADOW: u32 = 0x8000_0000;
/// Tag of samples in which nothing was drawn.
pub const SKY: u32 = 127 << 24;

/// The samples of a picture.
#[derive(Debug, Default)]
pub struct Canvas {
    width: usize,
    height: usize,
    colours: Vec<Tagged>,
    /// One over the distance along the view, in 1/m; 0 on the ground and in the sky.
    nearness: Vec<f32>,
    /// Where the current polygon begins and ends in each row.
    spans: Vec<[f32; 2]>,
    crossings: Vec<(usize, f32)>,
    /// Corners of the current polygon, kept here so that no polygon takes memory.
    pub(super) screen: Vec<[f32; 2]>,
}

/// One over the distance along the view as a function of the place on the picture: the plane of a polygon.
#[derive(Debug, Clone, Copy)]
pub struct Plane {
    /// Change per sample to the right.
    pub x: f32,
    /// Change per sample downwards.
    pub y: f32,
    /// Value at the upper left corner of the picture.
    pub start: f32,
}

/// The first row or column whose centre lies at an edge or beyond it.
#[inline]
fn first_centre(edge: f32, limit: usize) -> usize {
    // Centres lie at half samples. `ceil` is slow where the CPU lacks it; casts saturate.
    let from = (edge - 0.5).max(0.0);
    let near = from as i32;
    ((near + i32::from((near as f32) < from)) as usize).min(limit)
}

/// A colour darkened to `share` of 256, its blue a little less.
#[inline]
fn shaded(colour: Tagged, share: u32) -> Tagged {
    let pair = (((colour & 0x00ff_00ff) * share) >> 8) & 0x00ff_00ff;
    let green = (((colour & 0x0000_ff00) * share) >> 8) & 0x0000_ff00;
    let blue = (((pair >> 16) * 9) >> 3).min(255) << 16;
    (pair & 0xff) | green | blue | (colour & 0x7f00_0000) | SHADOW
}

impl Canvas {
    /// Makes it empty, of this size in samples.
    pub fn clear(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.colours.clear();
        self.colours.resize(width * height, SKY);
        self.nearness.clear();
        self.nearness.resize(width * height, 0.0);
        self.spans.resize(height, [0.0; 2]);
    }

    /// Samples per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Colours of a row.
    pub fn colours(&self, row: usize) -> &[Tagged] {
        self.colours.get(row * self.width..(row + 1) * self.width).unwrap_or_default()
    }

    /// Nearness of a row's samples, in 1/m.
    pub fn nearness(&self, row: usize) -> &[f32] {
        self.nearness.get(row * self.width..(row + 1) * self.width).unwrap_or_default()
    }

    /// Paints a polygon on the ground: what comes later lies higher.
    pub fn paint(&mut self, convex: bool, colour: Tagged) {
        self.for_each_span(convex, |colours, _, _, _| colours.fill(colour));
    }

    /// Darkens a convex polygon on the ground to `share` of 256, once.
    pub fn shade(&mut self, share: u32) {
        self.for_each_span(true, |colours, _, _, _| {
            for colour in colours {
                if *colour & SHADOW == 0 {
                    *colour = shaded(*colour, share);
                }
            }
        });
    }

    /// Draws a convex polygon in space where nothing nearer is drawn yet.
    pub fn draw(&mut self, plane: Plane, colour: Tagged) {
        self.for_each_span(true, |colours, nearness, x, y| {
            let mut near = plane.start + (y as f32 + 0.5) * plane.y + (x as f32 + 0.5) * plane.x;
            for (sample, held) in colours.iter_mut().zip(nearness) {
                if near > *held {
                    (*sample, *held) = (colour, near);
                }
                near += plane.x;
            }
        });
    }

    /// Calls for each run of samples of the polygon in `screen`: colours, nearness, first column, row.
    pub(super) fn for_each_span(&mut self, convex: bool, mut run: impl FnMut(&mut [Tagged], &mut [f32], usize, usize)) {
        if convex {
            let rows = self.convex_spans();
            for row in rows {
                let Some([left, right]) = self.spans.get(row).copied() else { continue };
                self.run(row, left, right, &mut run);
            }
        } else {
            self.any_crossings();
            let crossings = std::mem::take(&mut self.crossings);
            for pair in crossings.chunks_exact(2) {
                if let [(row, left), (_, right)] = pair {
                    self.run(*row, *left, *right, &mut run);
                }
            }
            self.crossings = crossings;
        }
    }

    /// Calls for the samples of a row between two places.
    pub(super) fn run(
        &mut self,
        row: usize,
        left: f32,
        right: f32,
        call: &mut impl FnMut(&mut [Tagged], &mut [f32], usize, usize),
    ) {
        let (from, to) = (first_centre(left, self.width), first_centre(right, self.width));
        let range = row * self.width + from..row * self.width + to;
        if from < to
            && let (Some(colours), Some(nearness)) = (self.colours.get_mut(range.clone()), self.nearness.get_mut(range))
        {
            call(colours, nearness, from, row);
        }
    }

    fn convex_spans(&mut self) -> std::ops::Range<usize> {
        let top = self.screen.iter().fold(f32::INFINITY, |top, at| top.min(at[1]));
        let bottom = self.screen.iter().fold(f32::NEG_INFINITY, |bottom, at| bottom.max(at[1]));
        let rows = first_centre(top, self.height)..first_centre(bottom, self.height);
        if let Some(spans) = self.spans.get_mut(rows.clone()) {
            spans.fill([f32::INFINITY, f32::NEG_INFINITY]);
        }
        for (a, b) in self.screen.iter().zip(self.screen.iter().cycle().skip(1)) {
            let (from, to) = if a[1] <= b[1] { (a, b) } else { (b, a) };
            let slope = (to[0] - from[0]) / (to[1] - from[1]);
            let edge = first_centre(from[1], self.height)..first_centre(to[1], self.height);
            let start = edge.start;
            for (step, span) in self.spans.get_mut(edge).unwrap_or_default().iter_mut().enumerate() {
                let x = from[0] + ((start + step) as f32 + 0.5 - from[1]) * slope;
                *span = [span[0].min(x), span[1].max(x)];
            }
        }
        rows
    }

    fn any_crossings(&mut self) {
        self.crossings.clear();
        for (a, b) in self.screen.iter().zip(self.screen.iter().cycle().skip(1)) {
            let (from, to) = if a[1] <= b[1] { (a, b) } else { (b, a) };
            let slope = (to[0] - from[0]) / (to[1] - from[1]);
            for row in first_centre(from[1], self.height)..first_centre(to[1], self.height) {
                self.crossings.push((row, from[0] + (row as f32 + 0.5 - from[1]) * slope));
            }
        }
        self.crossings.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(convex: bool, polygon: &[[f32; 2]]) -> Vec<usize> {
        let mut canvas = Canvas::default();
        canvas.clear(4, 4);
        canvas.screen = polygon.to_vec();
        canvas.paint(convex, 1);
        (0..16).filter(|index| canvas.colours[*index] == 1).collect()
    }

    #[test]
    fn samples_whose_centre_lies_within_are_painted() {
        let square = [[1.0, 1.0], [3.0, 1.0], [3.0, 2.4], [1.0, 2.4]];
        for convex in [true, false] {
            assert_eq!(painted(convex, &square), [5, 6]);
            assert_eq!(painted(convex, &[[-9.0, -9.0], [99.0, -9.0], [99.0, 99.0], [-9.0, 99.0]]).len(), 16);
        }
        let cup = [[0.0, 0.0], [1.0, 0.0], [1.0, 3.0], [3.0, 3.0], [3.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]];
        assert_eq!(painted(false, &cup), [0, 3, 4, 7, 8, 11, 12, 13, 14, 15]);
    }

    #[test]
    fn the_nearer_polygon_wins_whatever_the_order() {
        for order in [[0.5_f32, 0.25], [0.25, 0.5]] {
            let mut canvas = Canvas::default();
            canvas.clear(2, 1);
            canvas.screen = vec![[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]];
            order.iter().for_each(|near| {
                canvas.draw(Plane { x: 0.0, y: 0.0, start: *near }, (near * 100.0) as u32);
            });
            assert_eq!(canvas.colours(0), [50, 50]);
        }
    }

    #[test]
    fn a_shadow_falls_once() {
        let mut canvas = Canvas::default();
        canvas.clear(1, 1);
        canvas.screen = vec![[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
        canvas.paint(true, 0x05c8_c8c8);
        canvas.shade(128);
        canvas.shade(128);
        assert_eq!(canvas.colours(0), [0x8570_6464]);
    }
}
