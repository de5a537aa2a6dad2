//! The tracks of many cameras, as many as there is room for.

use std::collections::HashMap;

use super::estimate::TrackEstimate;
use super::history::Track;
use super::observation::Observation;
use super::options::{Motion, TrackOptions};
use super::window::{Window, WindowOptions};
use crate::locate::{Candidate, Prior};

/// A track with its window, and when it was last asked for, by counting.
#[derive(Debug)]
struct Kept {
    track: Track,
    window: Window,
    used: u64,
}

/// The tracks of at most so many cameras. A further one takes the room of the camera that has been silent for longest,
/// whose track begins anew when it comes back. One track takes at most about
/// `history x (hypotheses x 136 B + candidates x 32 B)`: some 260 KB with the usual options.
#[derive(Debug)]
pub struct Tracks {
    options: TrackOptions,
    most: usize,
    kept: HashMap<String, Kept>,
    uses: u64,
}

impl Tracks {
    /// Room for the tracks of `most` cameras, at least one.
    pub fn new(options: TrackOptions, most: usize) -> Self {
        Self { options, most: most.max(1), kept: HashMap::new(), uses: 0 }
    }

    /// What its track makes of a frame, or of the revision of one; see [`Track::observe`]. `motion` is that of the camera
    /// and counts from the first frame on.
    pub fn observe(&mut self, camera: &str, motion: Motion, observation: Observation) -> Option<TrackEstimate> {
        self.uses += 1;
        if !self.kept.contains_key(camera) {
            self.make_room();
            let (track, window) = (Track::new(motion, self.options), Window::default());
            let kept = Kept { track, window, used: self.uses };
            self.kept.insert(camera.to_owned(), kept);
        }
        let kept = self.kept.get_mut(camera)?;
        kept.used = self.uses;
        kept.track.observe(observation)
    }

    /// Takes in what is said anew of a frame; see [`Track::revise`].
    pub fn revise(&mut self, camera: &str, observation: Observation) -> Option<TrackEstimate> {
        self.kept.get_mut(camera)?.track.revise(observation)
    }

    /// Where to search for a frame of `camera` taken at `time_ms`; `None` for everywhere. See [`Window`].
    pub fn window(&self, camera: &str, time_ms: i64, options: &WindowOptions) -> Option<Prior> {
        let kept = self.kept.get(camera)?;
        kept.window.next(&kept.track, time_ms, options)
    }

    /// Notes what a search found for `camera`, after its frame was observed; see [`Window::found`].
    pub fn found(&mut self, camera: &str, similar: &[Candidate], limited: bool, options: &WindowOptions) {
        if let Some(kept) = self.kept.get_mut(camera) {
            let holds = kept.track.latest().position.is_some();
            kept.window.found(similar, limited, holds, options);
        }
    }

    /// The track of a camera, where there is one.
    pub fn get(&self, camera: &str) -> Option<&Track> {
        self.kept.get(camera).map(|kept| &kept.track)
    }

    /// Number of tracks.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// What the tracks take and when they speak.
    pub fn options(&self) -> &TrackOptions {
        &self.options
    }

    fn make_room(&mut self) {
        while self.kept.len() >= self.most {
            let longest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(camera, _)| camera.clone());
            let Some(camera) = longest else { return };
            self.kept.remove(&camera);
        }
    }
}
