//! `[camera.NAME]`: what is particular to one camera.

use serde::Deserialize;

use crate::locate::{Corners, Hint, HintUse};

/// How frames of one camera are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CameraSettings {
    /// Which measurements that come with its frames are used in locating them; none unless said.
    pub hints: Vec<Hint>,
    /// What becomes of the corners of pictures that are turned by their heading.
    pub corners: Corners,
    /// Whether its frames are looked for about the mean of its embeddings.
    pub centre: bool,
}

impl CameraSettings {
    /// Which hints are used.
    pub fn hint_use(&self) -> HintUse {
        HintUse { corners: self.corners, ..HintUse::of(&self.hints) }
    }
}
