//! A nadir picture brought to how the references were cut: north up by the heading, their size by the height.
//!
//! The picture is sampled on a square about its centre, turned by the heading and as wide on the ground as a reference.
//! What lies beyond the picture's edge is mirrored, or, with [`Corners::Cut`], the square is made so small that it lies
//! within the picture. Hints that say nothing sensible leave the picture as it is, each with a reason.

use quantized_models::RgbImage;
use serde::{Deserialize, Serialize};

use super::Hints;

/// Longest side of a framed picture: encoders look at less.
const LONGEST_SIDE: u32 = 512;
/// A camera that looks further up than this, in degrees, does not look straight down.
const NADIR_PITCH_DEG: f32 = -60.0;
/// A picture of less or more than this many sides of a reference is not brought to its size: the height or the field of
/// view is wrong, or too little of the reference is in the picture.
const SIDES: std::ops::RangeInclusive<f64> = 0.5..=4.0;
/// Highest flight above ground, metres, and widest field of view, degrees, that a footprint is worked out of.
pub(super) const HIGHEST_M: f32 = 20_000.0;
const WIDEST_DEG: f32 = 150.0;

/// A measurement that comes with frames and may be used in locating them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hint {
    /// Turns nadir pictures so that north is up.
    Heading,
    /// Brings nadir pictures to the size of the references, by height above ground and field of view.
    Altitude,
    /// A prior weighs candidates by their distance, instead of only limiting the search.
    Prior,
    /// By heading, pitch and height, a position is that of the camera instead of the ground that it sees.
    Attitude,
}

impl Hint {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Heading, Self::Altitude, Self::Prior, Self::Attitude];

    /// The word that stands in settings and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Heading => "heading",
            Self::Altitude => "altitude",
            Self::Prior => "prior",
            Self::Attitude => "attitude",
        }
    }
}

/// What becomes of the corners of a turned picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Corners {
    /// They are filled with the mirrored picture; the picture keeps its size.
    #[default]
    Mirrored,
    /// They are cut off, and with them up to half of the picture.
    Cut,
}

/// Which hints are used of a camera's frames; none unless said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HintUse {
    /// [`Hint::Heading`].
    pub heading: bool,
    /// [`Hint::Altitude`].
    pub altitude: bool,
    /// [`Hint::Prior`].
    pub prior: bool,
    /// [`Hint::Attitude`].
    pub attitude: bool,
    /// For pictures that are turned.
    pub corners: Corners,
}

impl HintUse {
    /// Those of a list.
    pub fn of(hints: &[Hint]) -> Self {
        let has = |hint| hints.contains(&hint);
        Self {
            heading: has(Hint::Heading),
            altitude: has(Hint::Altitude),
            prior: has(Hint::Prior),
            attitude: has(Hint::Attitude),
            corners: Corners::default(),
        }
    }
}

/// Why a hint that was to be used is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IgnoredHint {
    /// The frame brings no heading.
    NoHeading,
    /// The heading is no number within 0 and 360.
    HeadingOutOfRange,
    /// The camera does not look straight down.
    NotNadir,
    /// The frame brings no height above ground or no field of view.
    NoHeight,
    /// Height or field of view are no numbers that a camera can have.
    HeightOutOfRange,
    /// The references have no footprints.
    NoFootprints,
    /// By height and field of view the picture shows far less or far more than a reference.
    OtherScale,
    /// The frame does not say where the camera looks.
    NoAttitude,
    /// The camera looks too near to the horizon, or its pitch is no number.
    NearHorizon,
    /// The references lie where cameras were, not where the ground is that they show.
    CameraPositions,
}

impl IgnoredHint {
    /// The word that stands in logs and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoHeading => "no_heading",
            Self::HeadingOutOfRange => "heading_out_of_range",
            Self::NotNadir => "not_nadir",
            Self::NoHeight => "no_height",
            Self::HeightOutOfRange => "height_out_of_range",
            Self::NoFootprints => "no_footprints",
            Self::OtherScale => "other_scale",
            Self::NoAttitude => "no_attitude",
            Self::NearHorizon => "near_horizon",
            Self::CameraPositions => "camera_positions",
        }
    }
}

/// The square that is cut out of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Framing {
    /// Degrees clockwise from north of what is up in the picture.
    turn_deg: f64,
    /// Side of the square over the shorter side of the picture.
    share: f64,
    corners: Corners,
}

impl Framing {
    /// What the hints ask for of a picture of `width` x `height`; `None` where it stays as it is. `reference_side_m` is
    /// the shorter side of a typical reference's footprint. The second part says which hints cannot be used.
    pub fn of(
        hints: &Hints,
        uses: HintUse,
        reference_side_m: Option<f64>,
        (width, height): (u32, u32),
    ) -> (Option<Self>, Vec<IgnoredHint>) {
        let mut ignored = Vec::new();
        if !(uses.heading || uses.altitude) {
            return (None, ignored);
        }
        // What is no number is no downward pitch either.
        if hints.pitch_deg.is_some_and(|pitch| pitch.is_nan() || pitch > NADIR_PITCH_DEG) {
            return (None, vec![IgnoredHint::NotNadir]);
        }
        let mut used = |asked: bool, value: Result<f64, IgnoredHint>| match value {
            Ok(value) if asked => Some(value),
            Err(reason) if asked => {
                ignored.push(reason);
                None
            }
            _ => None,
        };
        let turn = used(uses.heading, heading(hints));
        let shorter_share = f64::from(width.min(height)) / f64::from(width.max(1));
        let share = used(uses.altitude, share(hints, reference_side_m, shorter_share));
        let framing = Self { turn_deg: turn.unwrap_or(0.0), share: share.unwrap_or(1.0), corners: uses.corners };
        ((turn.is_some() || share.is_some()).then_some(framing), ignored)
    }

    /// The square of `image`, with at most 512 pixels a side; a picture without pixels stays one.
    pub fn apply(&self, image: &RgbImage) -> RgbImage {
        let (width, height) = image.dimensions();
        let shorter = f64::from(width.min(height));
        if shorter < 1.0 {
            return image.clone();
        }
        let (sin, cos) = self.turn_deg.to_radians().sin_cos();
        let cut = match self.corners {
            Corners::Mirrored => 1.0,
            Corners::Cut => 1.0 / (sin.abs() + cos.abs()),
        };
        let side = match self.corners {
            Corners::Mirrored => shorter * self.share,
            Corners::Cut => shorter * self.share.min(cut),
        };
        let pixels = (side.round() as u32).clamp(1, LONGEST_SIDE);
        let step = side / f64::from(pixels);
        let source = Source { raw: image.as_raw(), width: i64::from(width), height: i64::from(height) };
        let centre = (f64::from(width) / 2.0, f64::from(height) / 2.0);
        let mut framed = RgbImage::new(pixels, pixels);
        for (x, y, pixel) in framed.enumerate_pixels_mut() {
            let mut sums = [0_u32; 3];
            // Four points of each pixel, so that a picture made smaller stays smooth.
            for (dx, dy) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
                let east = (f64::from(x) + dx) * step - side / 2.0;
                let south = (f64::from(y) + dy) * step - side / 2.0;
                let right = east * cos + south * sin;
                let down = south * cos - east * sin;
                source.add(centre.0 + right, centre.1 + down, &mut sums);
            }
            pixel.0 = sums.map(|sum| u8::try_from((sum + 512) / 1024).unwrap_or(u8::MAX));
        }
        framed
    }
}

fn heading(hints: &Hints) -> Result<f64, IgnoredHint> {
    match hints.heading_deg {
        None => Err(IgnoredHint::NoHeading),
        Some(heading) if (0.0..=360.0).contains(&heading) => Ok(f64::from(heading) % 360.0),
        Some(_) => Err(IgnoredHint::HeadingOutOfRange),
    }
}

/// The side of a reference over the shorter side of the picture, on the ground.
fn share(hints: &Hints, reference_side_m: Option<f64>, shorter_share: f64) -> Result<f64, IgnoredHint> {
    let reference_m = reference_side_m.filter(|side| side.is_finite() && *side > 0.0);
    let reference_m = reference_m.ok_or(IgnoredHint::NoFootprints)?;
    let (Some(height_m), Some(hfov_deg)) = (hints.agl_m.or(hints.rel_alt_m), hints.hfov_deg) else {
        return Err(IgnoredHint::NoHeight);
    };
    if !(height_m > 0.0 && height_m <= HIGHEST_M && hfov_deg > 0.0 && hfov_deg <= WIDEST_DEG) {
        return Err(IgnoredHint::HeightOutOfRange);
    }
    let shorter_m = 2.0 * f64::from(height_m) * (f64::from(hfov_deg) / 2.0).to_radians().tan() * shorter_share;
    let sides = shorter_m / reference_m;
    if SIDES.contains(&sides) { Ok(1.0 / sides) } else { Err(IgnoredHint::OtherScale) }
}

/// A picture that goes on beyond its edges as its mirror image.
struct Source<'a> {
    raw: &'a [u8],
    width: i64,
    height: i64,
}

impl Source<'_> {
    /// Adds the colour at a point, times 256, linear between the pixels about it.
    fn add(&self, x: f64, y: f64, sums: &mut [u32; 3]) {
        let (x, y) = (x - 0.5, y - 0.5);
        let (left, top) = (x.floor(), y.floor());
        let (part_x, part_y) = (((x - left) * 16.0) as u32, ((y - top) * 16.0) as u32);
        let (left, top) = (left as i64, top as i64);
        for (dx, dy, weight) in [
            (0, 0, (16 - part_x) * (16 - part_y)),
            (1, 0, part_x * (16 - part_y)),
            (0, 1, (16 - part_x) * part_y),
            (1, 1, part_x * part_y),
        ] {
            let (column, row) = (mirrored(left + dx, self.width), mirrored(top + dy, self.height));
            let at = usize::try_from((row * self.width + column) * 3).unwrap_or_default();
            for (sum, value) in sums.iter_mut().zip(self.raw.get(at..).unwrap_or_default()) {
                *sum += u32::from(*value) * weight;
            }
        }
    }
}

/// The position within `0..side` that mirroring at both ends leads to.
fn mirrored(at: i64, side: i64) -> i64 {
    if (0..side).contains(&at) {
        return at;
    }
    let within = at.rem_euclid((2 * side).max(1));
    if within < side { within } else { 2 * side - 1 - within }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: HintUse =
        HintUse { heading: true, altitude: true, prior: true, attitude: true, corners: Corners::Mirrored };

    fn hints(heading_deg: f32, agl_m: f32, hfov_deg: f32) -> Hints {
        let (heading_deg, agl_m, hfov_deg) = (Some(heading_deg), Some(agl_m), Some(hfov_deg));
        Hints { heading_deg, agl_m, hfov_deg, ..Hints::default() }
    }

    /// A picture whose upper half is white.
    fn half(side: u32) -> RgbImage {
        let mut image = RgbImage::new(side, side);
        image.enumerate_pixels_mut().filter(|(_, y, _)| *y < side / 2).for_each(|(_, _, pixel)| pixel.0 = [255; 3]);
        image
    }

    fn turned(heading_deg: f32) -> RgbImage {
        let uses = HintUse { altitude: false, ..ALL };
        let (framing, ignored) = Framing::of(&hints(heading_deg, 1.0, 1.0), uses, None, (64, 64));
        assert_eq!(ignored, []);
        framing.unwrap().apply(&half(64))
    }

    #[test]
    fn what_is_ahead_lies_where_the_heading_points() {
        let light = |image: &RgbImage, x: u32, y: u32| image.get_pixel(x, y).0[0];
        for (heading_deg, lit, dark) in [
            (0.0, (32, 8), (32, 56)),
            (90.0, (56, 32), (8, 32)),
            (180.0, (32, 56), (32, 8)),
            (270.0, (8, 32), (56, 32)),
        ] {
            let image = turned(heading_deg);
            assert_eq!((light(&image, lit.0, lit.1), light(&image, dark.0, dark.1)), (255, 0), "{heading_deg}");
        }
        assert_eq!(turned(360.0), turned(0.0));
    }

    #[test]
    fn height_and_field_of_view_cut_or_widen_to_a_reference() {
        let side = |agl_m: f32| {
            let (framing, ignored) = Framing::of(&hints(0.0, agl_m, 90.0), ALL, Some(50.0), (200, 100));
            (framing.map(|framing| framing.apply(&RgbImage::new(200, 100)).width()), ignored)
        };
        assert_eq!(side(50.0), (Some(100), vec![]));
        assert_eq!(side(100.0), (Some(50), vec![]));
        assert_eq!(side(40.0), (Some(125), vec![]));
        assert_eq!(side(1.0), (Some(100), vec![IgnoredHint::OtherScale]));
        assert_eq!(side(5000.0), (Some(100), vec![IgnoredHint::OtherScale]));
        let uses = HintUse { corners: Corners::Cut, ..ALL };
        let (framing, _) = Framing::of(&hints(45.0, 50.0, 90.0), uses, Some(50.0), (200, 100));
        assert_eq!(framing.unwrap().apply(&RgbImage::new(200, 100)).width(), 71);
    }

    #[test]
    fn hints_that_make_no_sense_are_ignored_by_name() {
        use IgnoredHint::{HeadingOutOfRange, HeightOutOfRange, NoFootprints, NoHeading, NoHeight, NotNadir};
        let found = |hints: &Hints, side_m| Framing::of(hints, ALL, side_m, (64, 48)).1;
        assert_eq!(found(&Hints::default(), Some(50.0)), [NoHeading, NoHeight]);
        for heading in [720.0, -1.0, f32::NAN, f32::INFINITY] {
            assert_eq!(found(&hints(heading, 50.0, 90.0), Some(50.0)), [HeadingOutOfRange], "{heading}");
        }
        for (agl_m, hfov_deg) in
            [(-5.0, 90.0), (0.0, 90.0), (f32::NAN, 90.0), (50.0, 180.0), (50.0, f32::NAN), (1e9, 9.0)]
        {
            assert_eq!(found(&hints(0.0, agl_m, hfov_deg), Some(50.0)), [HeightOutOfRange], "{agl_m} {hfov_deg}");
        }
        for side_m in [None, Some(0.0), Some(f64::NAN)] {
            assert_eq!(found(&hints(0.0, 50.0, 90.0), side_m), [NoFootprints]);
        }
        for pitch in [0.0, -45.0, f32::NAN] {
            let oblique = Hints { pitch_deg: Some(pitch), ..hints(0.0, 50.0, 90.0) };
            assert_eq!(Framing::of(&oblique, ALL, Some(50.0), (64, 48)), (None, vec![NotNadir]), "{pitch}");
        }
        assert_eq!(Framing::of(&hints(0.0, 50.0, 90.0), HintUse::default(), None, (64, 48)), (None, vec![]));
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config {
            rng_seed: proptest::test_runner::RngSeed::Fixed(7), failure_persistence: None, cases: 64, ..Default::default()
        })]

        #[test]
        fn any_hints_give_a_picture_with_the_colours_of_the_source(
            (width, height) in (1_u32..60, 1_u32..60),
            values in prop::collection::vec(prop_oneof![any::<f32>(), -10.0_f32..400.0], 4),
            cut in any::<bool>(),
        ) {
            let hints = Hints { pitch_deg: Some(values[3]), ..hints(values[0], values[1], values[2]) };
            let uses = HintUse { corners: if cut { Corners::Cut } else { Corners::Mirrored }, ..ALL };
            let (framing, _) = Framing::of(&hints, uses, Some(50.0), (width, height));
            let mut image = RgbImage::new(width, height);
            image.pixels_mut().for_each(|pixel| pixel.0 = [10, 200, 77]);
            if let Some(framing) = framing {
                let framed = framing.apply(&image);
                prop_assert!(framed.width() >= 1 && framed.width() <= LONGEST_SIDE);
                prop_assert!(framed.pixels().all(|pixel| pixel.0 == [10, 200, 77]));
            }
        }
    }
}
