//! What is remembered of each camera from frame to frame.

use std::collections::HashMap;

use super::settings::Cameras;
use crate::locate::{CameraContext, CameraMean, Frame, LastPicture, Located, Pipeline};

/// Last good picture and mean of the embeddings of each camera; of at most so many cameras, the one that was silent
/// longest is forgotten first.
#[derive(Debug)]
pub(super) struct CameraMemory {
    cameras: HashMap<String, Remembered>,
    settings: Cameras,
    most: usize,
    frames: u64,
}

#[derive(Debug, Default)]
struct Remembered {
    picture: Option<LastPicture>,
    /// The mean, and the digest of the index in whose space it lies.
    mean: Option<(CameraMean, String)>,
    /// Number of the camera's last frame among all.
    frame: u64,
}

impl CameraMemory {
    /// Nothing of nobody, and never of more than `most` cameras. `settings` are those of cameras by name.
    pub(super) fn new(most: usize, settings: Cameras) -> Self {
        Self { cameras: HashMap::new(), settings, most: most.max(1), frames: 0 }
    }

    /// Makes the mean of a camera whose frames are centred, where there is none for this index.
    pub(super) fn prepare(&mut self, camera: &str, pipeline: &Pipeline) {
        if !self.settings.of(camera).centre {
            return;
        }
        let digest = pipeline.shards().digest();
        let remembered = self.cameras.entry(camera.to_owned()).or_default();
        if remembered.mean.as_ref().is_none_or(|(_, of)| *of != digest) {
            remembered.mean = pipeline.new_camera_mean().map(|mean| (mean, digest));
        }
    }

    /// What is known before `frame` is looked at.
    pub(super) fn before(&self, frame: &Frame) -> CameraContext<'_> {
        let remembered = self.cameras.get(&frame.camera);
        let last = remembered.and_then(|remembered| remembered.picture);
        let mean = remembered.and_then(|remembered| remembered.mean.as_ref());
        CameraContext {
            hints: self.settings.of(&frame.camera).hint_use(),
            mean: mean.map(|(mean, _)| mean),
            ..CameraContext::after(last, frame.captured_at_ms)
        }
    }

    /// Remembers what a frame leaves behind.
    pub(super) fn remember(&mut self, frame: &Frame, located: &Located) {
        let picture =
            located.fingerprint.map(|fingerprint| LastPicture { fingerprint, captured_at_ms: frame.captured_at_ms });
        if picture.is_none() && located.embedding.is_none() {
            return;
        }
        self.frames += 1;
        let remembered = self.cameras.entry(frame.camera.clone()).or_default();
        remembered.frame = self.frames;
        remembered.picture = picture.or(remembered.picture);
        if let (Some((mean, _)), Some(embedding)) = (&mut remembered.mean, &located.embedding) {
            mean.add(embedding);
        }
        if self.cameras.len() > self.most {
            let oldest = self.cameras.iter().min_by_key(|(_, remembered)| remembered.frame);
            if let Some(camera) = oldest.map(|(camera, _)| camera.clone()) {
                self.cameras.remove(&camera);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::{FrameFigures, Hint, Hints, NoFixReason, Prediction, StageTimes};
    use crate::service::CameraSettings;
    use quantized_models::RgbImage;

    fn frame(camera: &str, captured_at_ms: i64) -> Frame {
        Frame {
            id: "x".to_owned(),
            camera: camera.to_owned(),
            captured_at_ms: Some(captured_at_ms),
            hints: Hints::default(),
            prior: None,
            encoded: Vec::new(),
        }
    }

    fn located() -> Located {
        let fingerprint = FrameFigures::of(&RgbImage::new(5, 4)).map(|figures| figures.fingerprint);
        Located { fingerprint, ..Prediction::no_fix(NoFixReason::Stale, StageTimes::default()).into() }
    }

    #[test]
    fn each_camera_has_its_own_last_picture_and_thousands_take_no_more_room() {
        let mut memory = CameraMemory::new(3, Cameras::default());
        let located = located();
        for n in 0..5000 {
            memory.remember(&frame(&format!("cam{n}"), n), &located);
        }
        assert_eq!(memory.cameras.len(), 3);
        assert_eq!(memory.before(&frame("cam4999", 9)).previous, located.fingerprint);
        assert_eq!(memory.before(&frame("cam4996", 9)).previous, None);
        memory.remember(&frame("cam4997", 9), &Located { fingerprint: None, ..located.clone() });
        memory.remember(&frame("new", 9), &located);
        assert_eq!(memory.before(&frame("cam4997", 99)).previous, None, "the one that was silent longest is forgotten");
        assert_eq!(memory.before(&frame("cam4999", 99)).previous, located.fingerprint);
    }

    #[test]
    fn hints_are_those_of_the_camera_s_settings() {
        let settings = CameraSettings { hints: vec![Hint::Heading, Hint::Prior], ..CameraSettings::default() };
        let memory = CameraMemory::new(3, std::iter::once(("nadir".to_owned(), settings)).collect());
        let used = memory.before(&frame("nadir", 1)).hints;
        assert_eq!((used.heading, used.altitude, used.prior), (true, false, true));
        assert!(!memory.before(&frame("other", 1)).hints.heading);
    }
}
