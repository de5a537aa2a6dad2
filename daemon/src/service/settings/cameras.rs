//! `[camera.NAME]`: what is known of a camera. `[camera."*"]` speaks of all cameras, and each of its keys counts where the
//! camera's own section is silent.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::SettingsError;
use super::validation::Validation;
use crate::locate::track::{CameraKind, Motion};
use crate::locate::{Corners, Hint, HintUse, Hints};

/// The name that stands for all cameras.
const ALL: &str = "*";

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CameraSection {
    kind: Option<CameraKind>,
    hfov_deg: Option<f64>,
    mount_heading_deg: Option<f64>,
    mount_pitch_deg: Option<f64>,
    max_speed_m_s: Option<f64>,
    track: Option<bool>,
    hints: Option<Vec<Hint>>,
    corners: Option<Corners>,
    centre: Option<bool>,
}

/// What is known of one camera.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraSettings {
    /// How it is carried.
    pub kind: CameraKind,
    /// Horizontal field of view in degrees, where frames do not say it.
    pub hfov_deg: Option<f32>,
    /// Where it looks, in degrees clockwise from straight ahead.
    pub mount_heading_deg: f64,
    /// Pitch of its optical axis above the horizon in degrees while what carries it is level, where frames do not say it.
    pub mount_pitch_deg: Option<f32>,
    /// The fastest that it moves, metres per second.
    pub max_speed_m_s: f64,
    /// Whether a track is kept of it.
    pub track: bool,
    /// Which measurements that come with its frames are used in locating them; none unless said.
    pub hints: Vec<Hint>,
    /// What becomes of the corners of pictures that are turned by their heading.
    pub corners: Corners,
    /// Whether its frames are looked for about the mean of its embeddings.
    pub centre: bool,
}

impl Default for CameraSettings {
    fn default() -> Self {
        Self::of(&CameraSection::default(), &CameraSection::default())
    }
}

impl CameraSettings {
    fn of(own: &CameraSection, all: &CameraSection) -> Self {
        let kind = own.kind.or(all.kind).unwrap_or_default();
        // A speed that is said of all cameras is not said of one of another kind.
        let of_all = all.max_speed_m_s.filter(|_| own.kind.is_none() || own.kind == all.kind);
        Self {
            kind,
            hfov_deg: own.hfov_deg.or(all.hfov_deg).map(|deg| deg as f32),
            mount_heading_deg: own.mount_heading_deg.or(all.mount_heading_deg).unwrap_or_default(),
            mount_pitch_deg: own.mount_pitch_deg.or(all.mount_pitch_deg).map(|deg| deg as f32),
            max_speed_m_s: own.max_speed_m_s.or(of_all).unwrap_or(kind.usual_max_speed_m_s()),
            track: own.track.or(all.track).unwrap_or(true),
            hints: own.hints.as_ref().or(all.hints.as_ref()).cloned().unwrap_or_default(),
            corners: own.corners.or(all.corners).unwrap_or_default(),
            centre: own.centre.or(all.centre).unwrap_or_default(),
        }
    }

    /// Which hints are used.
    pub fn hint_use(&self) -> HintUse {
        HintUse { corners: self.corners, ..HintUse::of(&self.hints) }
    }

    /// How it moves.
    pub fn motion(&self) -> Motion {
        let motion = Motion::of(self.kind, self.max_speed_m_s);
        Motion { looks_deg: motion.looks_deg.map(|looks| looks + self.mount_heading_deg), ..motion }
    }

    /// Hints with what is known of the camera where they are silent.
    pub fn complete(&self, hints: Hints) -> Hints {
        let (hfov_deg, pitch_deg) = (hints.hfov_deg.or(self.hfov_deg), hints.pitch_deg.or(self.mount_pitch_deg));
        Hints { hfov_deg, pitch_deg, ..hints }
    }
}

/// What is known of all cameras.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cameras {
    usual: CameraSettings,
    named: BTreeMap<String, CameraSettings>,
}

impl Cameras {
    /// What is known of the camera of this name.
    pub fn of(&self, name: &str) -> &CameraSettings {
        self.named.get(name).unwrap_or(&self.usual)
    }
}

impl FromIterator<(String, CameraSettings)> for Cameras {
    /// Cameras by name; nothing is known of others.
    fn from_iter<T: IntoIterator<Item = (String, CameraSettings)>>(named: T) -> Self {
        Self { usual: CameraSettings::default(), named: named.into_iter().collect() }
    }
}

impl Validation<'_> {
    pub(super) fn cameras(&self, sections: &BTreeMap<String, CameraSection>) -> Result<Cameras, SettingsError> {
        for (name, section) in sections {
            if name != ALL {
                self.level(&format!("camera.{name}"), name)?;
            }
            let check = |key: &str, value: Option<f64>, least: f64, most: f64| {
                value.map_or(Ok(least), |value| self.within(&format!("camera.{name}.{key}"), value, least, most))
            };
            check("hfov_deg", section.hfov_deg, 0.1, 360.0)?;
            check("mount_heading_deg", section.mount_heading_deg, -360.0, 360.0)?;
            check("mount_pitch_deg", section.mount_pitch_deg, -90.0, 90.0)?;
            check("max_speed_m_s", section.max_speed_m_s, 0.01, 10_000.0)?;
        }
        let all = sections.get(ALL).cloned().unwrap_or_default();
        let named = sections.iter().filter(|(name, _)| *name != ALL);
        Ok(Cameras {
            usual: CameraSettings::of(&CameraSection::default(), &all),
            named: named.map(|(name, own)| (name.clone(), CameraSettings::of(own, &all))).collect(),
        })
    }
}
