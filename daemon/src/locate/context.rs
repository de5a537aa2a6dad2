//! What is known of a camera beside the frame at hand, and what a frame leaves behind for the next one.

use super::{CameraMean, Fingerprint, HintUse, IgnoredHint, Prediction};

/// What the caller remembers of a camera, for [`super::Pipeline::locate_in`].
#[derive(Debug, Clone, Copy, Default)]
pub struct CameraContext<'a> {
    /// The picture that the camera gave before, where this one must not look the same.
    pub previous: Option<Fingerprint>,
    /// Which of the frame's hints are used.
    pub hints: HintUse,
    /// Mean of the camera's embeddings, about which its frames are looked for; without one they are as they come.
    pub mean: Option<&'a CameraMean>,
}

impl CameraContext<'_> {
    /// The context after `last`, for a frame that was taken at `captured_at_ms`. The same picture is a frozen camera's
    /// only where both capture times are known and differ: a frame that was delivered twice is one frame, and a sender
    /// that says no times may mean the same.
    pub fn after(last: Option<LastPicture>, captured_at_ms: Option<i64>) -> Self {
        let is_later =
            |last: &LastPicture| last.captured_at_ms.is_some_and(|at| captured_at_ms.is_some_and(|now| now != at));
        Self { previous: last.filter(is_later).map(|last| last.fingerprint), ..Self::default() }
    }
}

/// A picture that a camera gave, by which a frozen one is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastPicture {
    /// What it is recognised by.
    pub fingerprint: Fingerprint,
    /// When it was taken, Unix milliseconds.
    pub captured_at_ms: Option<i64>,
}

/// The answer for a frame, and what it leaves behind.
#[derive(Debug, Clone)]
pub struct Located {
    /// The answer.
    pub prediction: Prediction,
    /// What the picture is recognised by; absent where it was not decoded or is not checked for being frozen.
    pub fingerprint: Option<Fingerprint>,
    /// The embedding; absent where there is none, and where no mean of the camera's is kept.
    pub embedding: Option<Vec<f32>>,
    /// Hints that were to be used and could not be.
    pub ignored: Vec<IgnoredHint>,
}

impl From<Prediction> for Located {
    /// An answer that leaves nothing behind.
    fn from(prediction: Prediction) -> Self {
        Self { prediction, fingerprint: None, embedding: None, ignored: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::FrameFigures;
    use quantized_models::RgbImage;

    #[test]
    fn the_same_picture_is_suspicious_only_under_another_time() {
        let fingerprint = FrameFigures::of(&RgbImage::new(4, 4)).unwrap().fingerprint;
        let last = |captured_at_ms| Some(LastPicture { fingerprint, captured_at_ms });
        for (last, now, suspicious) in [
            (last(Some(1000)), Some(2000), true),
            (last(Some(2000)), Some(1000), true),
            (last(Some(1000)), Some(1000), false),
            (last(None), Some(1000), false),
            (last(Some(1000)), None, false),
            (None, Some(1000), false),
        ] {
            assert_eq!(CameraContext::after(last, now).previous.is_some(), suspicious, "{last:?} {now:?}");
        }
    }
}
