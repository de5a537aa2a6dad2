//! From the ground in the middle of a picture to the camera that took it.
//!
//! An axis that points `pitch` below the horizon meets level ground `height / tan(pitch)` ahead of the camera.

use super::framing::HIGHEST_M;
use super::{Hints, IgnoredHint, Plane};

/// An axis nearer to the horizon than this, in degrees, does not say where it meets the ground: half a degree moves that by
/// more than a thirtieth of the height.
const FLATTEST_PITCH_DEG: f32 = -30.0;

/// How far a camera is from the ground in the middle of its picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CameraOffset {
    /// To the east, metres.
    pub east_m: f64,
    /// To the north, metres.
    pub north_m: f64,
}

impl CameraOffset {
    /// By the heading and pitch of the optical axis, and the height above ground, else above take-off.
    ///
    /// # Errors
    /// What is missing or makes no sense.
    pub fn of(hints: &Hints) -> Result<Self, IgnoredHint> {
        let pitch_deg = hints.pitch_deg.ok_or(IgnoredHint::NoAttitude)?;
        // What is no number is nowhere.
        if !(-90.0..=FLATTEST_PITCH_DEG).contains(&pitch_deg) {
            return Err(IgnoredHint::NearHorizon);
        }
        let heading_deg = hints.heading_deg.ok_or(IgnoredHint::NoAttitude)?;
        if !(0.0..=360.0).contains(&heading_deg) {
            return Err(IgnoredHint::HeadingOutOfRange);
        }
        let height_m = hints.agl_m.or(hints.rel_alt_m).ok_or(IgnoredHint::NoHeight)?;
        if !(height_m > 0.0 && height_m <= HIGHEST_M) {
            return Err(IgnoredHint::HeightOutOfRange);
        }
        let ahead_m = f64::from(height_m) * f64::from(90.0 + pitch_deg).to_radians().tan();
        let (sin, cos) = f64::from(heading_deg).to_radians().sin_cos();
        Ok(Self { east_m: -ahead_m * sin, north_m: -ahead_m * cos })
    }

    /// The camera that sees the ground at this place: latitude and longitude, WGS 84 degrees.
    pub fn camera_of(self, lat_deg: f64, lon_deg: f64) -> (f64, f64) {
        Plane::at(lat_deg, lon_deg).place(self.east_m, self.north_m)
    }

    /// The ground that the camera at this place sees.
    pub fn view_of(self, lat_deg: f64, lon_deg: f64) -> (f64, f64) {
        Plane::at(lat_deg, lon_deg).place(-self.east_m, -self.north_m)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::distance_m;

    fn hints(heading_deg: f32, pitch_deg: f32, agl_m: f32) -> Hints {
        let (heading_deg, pitch_deg, agl_m) = (Some(heading_deg), Some(pitch_deg), Some(agl_m));
        Hints { heading_deg, pitch_deg, agl_m, ..Hints::default() }
    }

    #[test]
    fn the_camera_is_behind_what_it_looks_at() {
        for (heading_deg, pitch_deg, east_m, north_m) in [
            (0.0, -45.0, 0.0, -80.0),
            (90.0, -45.0, -80.0, 0.0),
            (180.0, -82.0, 0.0, 80.0 * 8.0_f64.to_radians().tan()),
            (217.0, -90.0, 0.0, 0.0),
        ] {
            let offset = CameraOffset::of(&hints(heading_deg, pitch_deg, 80.0)).unwrap();
            let off_m = (offset.east_m - east_m).hypot(offset.north_m - north_m);
            assert!(off_m < 1e-4, "{heading_deg} {pitch_deg}: {offset:?}");
            for (lat_deg, lon_deg) in [(50.0, 8.0), (0.0, 180.0), (-89.9999, 10.0)] {
                let camera = offset.camera_of(lat_deg, lon_deg);
                let back = offset.view_of(camera.0, camera.1);
                let far_m = distance_m(lat_deg, lon_deg, camera.0, camera.1);
                assert!((far_m - east_m.hypot(north_m)).abs() < 1e-3, "{far_m}");
                // Around a pole, north is elsewhere after a step.
                assert!(lat_deg < -80.0 || distance_m(lat_deg, lon_deg, back.0, back.1) < 0.01, "{back:?}");
            }
        }
    }

    #[test]
    fn what_is_missing_or_makes_no_sense_is_named() {
        use IgnoredHint::{HeadingOutOfRange, HeightOutOfRange, NearHorizon, NoAttitude, NoHeight};
        let good = hints(10.0, -80.0, 60.0);
        for (hints, reason) in [
            (Hints { pitch_deg: None, ..good }, NoAttitude),
            (Hints { heading_deg: None, ..good }, NoAttitude),
            (Hints { agl_m: None, ..good }, NoHeight),
            (hints(10.0, -29.0, 60.0), NearHorizon),
            (hints(10.0, f32::NAN, 60.0), NearHorizon),
            (hints(10.0, -91.0, 60.0), NearHorizon),
            (hints(f32::INFINITY, -80.0, 60.0), HeadingOutOfRange),
            (hints(10.0, -80.0, 0.0), HeightOutOfRange),
            (hints(10.0, -80.0, f32::NAN), HeightOutOfRange),
        ] {
            assert_eq!(CameraOffset::of(&hints), Err(reason), "{hints:?}");
        }
        assert!(CameraOffset::of(&Hints { agl_m: None, rel_alt_m: Some(60.0), ..good }).is_ok());
    }
}
