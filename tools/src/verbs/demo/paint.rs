//! Shapes with smooth edges on a picture, by the distance of a pixel to their edge.

use image::{Rgb, RgbImage};

use super::outcome::Shape;

/// A picture that is painted on; coordinates are pixels, the middle of the first one at (0.5, 0.5).
#[derive(Debug)]
pub(super) struct Canvas(pub(super) RgbImage);

impl Canvas {
    /// One colour all over.
    pub(super) fn new(width: u32, height: u32, colour: [u8; 3]) -> Self {
        Self(RgbImage::from_pixel(width, height, Rgb(colour)))
    }

    /// A line with round ends.
    pub(super) fn line(&mut self, from: [f64; 2], to: [f64; 2], half_width: f64, colour: [u8; 3], opacity: f64) {
        let low = [from[0].min(to[0]), from[1].min(to[1])];
        let high = [from[0].max(to[0]), from[1].max(to[1])];
        self.fill(low, high, half_width, colour, opacity, |at| to_segment(at, from, to) - half_width);
    }

    /// A mark with a light rim, that it shows on any ground.
    pub(super) fn mark(&mut self, shape: Shape, at: [f64; 2], size: f64, colour: [u8; 3]) {
        let edge = |x: [f64; 2]| edge(shape, [x[0] - at[0], x[1] - at[1]], size);
        let rim = size * 0.3;
        self.fill(at, at, size * 2.0, [20, 20, 20], 0.55, |x| edge(x) - rim * 1.5);
        self.fill(at, at, size * 2.0, [255, 255, 255], 1.0, |x| edge(x) - rim);
        self.fill(at, at, size * 2.0, colour, 1.0, edge);
    }

    /// Colours pixels whose distance to the edge, as `distance` tells it, is negative.
    fn fill(
        &mut self,
        low: [f64; 2],
        high: [f64; 2],
        reach: f64,
        colour: [u8; 3],
        opacity: f64,
        distance: impl Fn([f64; 2]) -> f64,
    ) {
        let range = |low: f64, high: f64, side: u32| {
            let bound = |value: f64| value.clamp(0.0, f64::from(side)) as u32;
            bound((low - reach - 1.0).floor())..bound((high + reach + 2.0).ceil())
        };
        let (width, height) = self.0.dimensions();
        for y in range(low[1], high[1], height) {
            for x in range(low[0], high[0], width) {
                let share = (0.5 - distance([f64::from(x) + 0.5, f64::from(y) + 0.5])).clamp(0.0, 1.0) * opacity;
                if share > 0.0 {
                    let pixel = self.0.get_pixel_mut(x, y);
                    for (value, new) in pixel.0.iter_mut().zip(colour) {
                        *value = (f64::from(*value) + (f64::from(new) - f64::from(*value)) * share).round() as u8;
                    }
                }
            }
        }
    }
}

/// Distance to a segment.
fn to_segment(at: [f64; 2], from: [f64; 2], to: [f64; 2]) -> f64 {
    let ([ax, ay], [bx, by]) = ([at[0] - from[0], at[1] - from[1]], [to[0] - from[0], to[1] - from[1]]);
    let length = bx * bx + by * by;
    let along = if length > 0.0 { ((ax * bx + ay * by) / length).clamp(0.0, 1.0) } else { 0.0 };
    (ax - bx * along).hypot(ay - by * along)
}

/// Distance to the edge of a shape around the origin, negative inside. As the symbols of the page.
fn edge(shape: Shape, [x, y]: [f64; 2], size: f64) -> f64 {
    let square = x.abs().max(y.abs());
    let line = size * 0.3;
    match shape {
        Shape::Disc => x.hypot(y) - size,
        Shape::Square => square - size * 0.9,
        Shape::Diamond => (x.abs() + y.abs() - size * 1.35) * std::f64::consts::FRAC_1_SQRT_2,
        Shape::Cross => {
            let reach = size * 0.8;
            let [falling, rising] =
                [[reach, reach], [reach, -reach]].map(|end| to_segment([x, y], [-end[0], -end[1]], end));
            falling.min(rising) - line
        }
        Shape::Ring => (x.hypot(y) - size * 0.85).abs() - line,
        Shape::Box => (square - size * 0.8).abs() - line,
        Shape::Dot => x.hypot(y) - size * 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_differ_in_where_they_are_filled() {
        // The middle, the side, the corner.
        let filled = |shape| [[0.0, 0.0], [9.0, 0.0], [8.5, 8.5]].map(|at| edge(shape, at, 10.0) < 0.0);
        assert_eq!(filled(Shape::Disc), [true, true, false]);
        assert_eq!(filled(Shape::Square), [true, false, true]);
        assert_eq!(filled(Shape::Diamond), [true, true, false]);
        assert_eq!(filled(Shape::Cross), [true, false, true]);
        assert_eq!(filled(Shape::Ring), [false, true, false]);
        assert_eq!(filled(Shape::Box), [false, true, true]);
    }

    #[test]
    fn what_lies_outside_the_picture_is_left_out() {
        let mut canvas = Canvas::new(10, 10, [0, 0, 0]);
        canvas.mark(Shape::Disc, [-50.0, 5.0], 4.0, [255, 0, 0]);
        assert!(canvas.0.pixels().all(|pixel| pixel.0 == [0, 0, 0]));
        canvas.line([-5.0, 5.0], [50.0, 5.0], 1.0, [255, 255, 255], 1.0);
        assert_eq!(canvas.0.get_pixel(5, 5).0, [255, 255, 255]);
        assert_eq!(canvas.0.get_pixel(5, 0).0, [0, 0, 0]);
    }
}
