//! What is remembered of each camera from frame to frame.

use std::collections::HashMap;

use crate::locate::{CameraContext, Fingerprint, Frame, LastPicture};

/// The last good picture of each camera; of at most so many cameras, the one that was silent longest is forgotten first.
#[derive(Debug)]
pub(super) struct CameraMemory {
    cameras: HashMap<String, Remembered>,
    most: usize,
    frames: u64,
}

#[derive(Debug)]
struct Remembered {
    picture: LastPicture,
    /// Number of the camera's last frame among all.
    frame: u64,
}

impl CameraMemory {
    /// Nothing of nobody, and never of more than `most` cameras.
    pub(super) fn new(most: usize) -> Self {
        Self { cameras: HashMap::new(), most: most.max(1), frames: 0 }
    }

    /// What is known before `frame` is looked at.
    pub(super) fn before(&self, frame: &Frame) -> CameraContext {
        let last = self.cameras.get(&frame.camera).map(|remembered| remembered.picture);
        CameraContext::after(last, frame.captured_at_ms)
    }

    /// Remembers the picture of `frame`, if it was one to remember.
    pub(super) fn remember(&mut self, frame: &Frame, fingerprint: Option<Fingerprint>) {
        let Some(fingerprint) = fingerprint else { return };
        self.frames += 1;
        let picture = LastPicture { fingerprint, captured_at_ms: frame.captured_at_ms };
        self.cameras.insert(frame.camera.clone(), Remembered { picture, frame: self.frames });
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
    use crate::locate::{FrameFigures, Hints};
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

    #[test]
    fn each_camera_has_its_own_last_picture_and_thousands_take_no_more_room() {
        let mut memory = CameraMemory::new(3);
        let print = FrameFigures::of(&RgbImage::new(5, 4)).map(|figures| figures.fingerprint);
        for n in 0..5000 {
            memory.remember(&frame(&format!("cam{n}"), n), print);
        }
        assert_eq!(memory.cameras.len(), 3);
        assert_eq!(memory.before(&frame("cam4999", 9)).previous, print);
        assert_eq!(memory.before(&frame("cam4996", 9)).previous, None);
        memory.remember(&frame("cam4997", 9), None);
        memory.remember(&frame("new", 9), print);
        assert_eq!(memory.before(&frame("cam4997", 99)).previous, None, "the one that was silent longest is forgotten");
        assert_eq!(memory.before(&frame("cam4999", 99)).previous, print);
    }
}
