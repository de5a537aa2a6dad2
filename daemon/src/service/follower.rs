//! Follows the cameras: puts their frames together over time, and says where to search next.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::settings::{Cameras, TrackSettings};
use crate::locate::track::{Observation, Scale, Tracks};
use crate::locate::{Frame, Pipeline, Prediction, TrackPart};

/// The tracks of all cameras, shared between the threads that answer frames.
#[derive(Debug)]
pub(super) struct Follower {
    settings: Option<TrackSettings>,
    cameras: Cameras,
    tracks: Mutex<Tracks>,
}

impl Follower {
    /// Follows nobody where `settings` are `None`.
    pub(super) fn new(settings: Option<TrackSettings>, cameras: Cameras) -> Self {
        let (options, most) = settings.map(|settings| (settings.options, settings.cameras)).unwrap_or_default();
        Self { settings, cameras, tracks: Mutex::new(Tracks::new(options, most)) }
    }

    /// Completes a frame that was taken at `time_ms` with what is known of its camera, and limits its search to where the
    /// track is, where the settings say so and the frame brings no prior of its own. Says whether it did.
    pub(super) fn prepare(&self, frame: &mut Frame, time_ms: i64) -> bool {
        frame.hints = self.cameras.of(&frame.camera).complete(frame.hints);
        let Some(settings) = self.following(&frame.camera).filter(|settings| settings.window.window) else {
            return false;
        };
        if frame.prior.is_some() {
            return false;
        }
        frame.prior = self.tracks().window(&frame.camera, time_ms, &settings.window);
        frame.prior.is_some()
    }

    /// Takes in the first answer for a frame; `limited` tells whether [`Follower::prepare`] limited its search.
    pub(super) fn take(
        &self,
        pipeline: &Pipeline,
        (frame, time_ms): (&Frame, i64),
        prediction: &Prediction,
        limited: bool,
    ) -> Option<TrackPart> {
        let settings = self.following(&frame.camera)?;
        let observation = observe(pipeline, &settings, frame, time_ms, prediction);
        let motion = self.cameras.of(&frame.camera).motion();
        let mut tracks = self.tracks();
        let estimate = tracks.observe(&frame.camera, motion, observation);
        // Where the sender said where to search, the similarities tell nothing of the window.
        if limited || frame.prior.is_none() {
            tracks.found(&frame.camera, &prediction.similar, limited, &settings.window);
        }
        estimate.map(TrackPart::from)
    }

    /// Takes in a second answer for a frame, at the time of the first.
    pub(super) fn revise(&self, pipeline: &Pipeline, frame: &Frame, prediction: &Prediction) -> Option<TrackPart> {
        let settings = self.following(&frame.camera)?;
        let observation = observe(pipeline, &settings, frame, 0, prediction);
        self.tracks().revise(&frame.camera, observation).map(TrackPart::from)
    }

    fn following(&self, camera: &str) -> Option<TrackSettings> {
        self.settings.filter(|_| self.cameras.of(camera).track)
    }

    fn tracks(&self) -> MutexGuard<'_, Tracks> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn observe(
    pipeline: &Pipeline,
    settings: &TrackSettings,
    frame: &Frame,
    time_ms: i64,
    prediction: &Prediction,
) -> Observation {
    Observation::of(frame, time_ms, prediction, &Scale::of(pipeline, settings.options.candidates))
}
