//! What `evaluate` tells the pipeline of each frame beside the picture: measurements of the row, never its true place.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use anyhow::bail;
use geolocated::locate::{
    CameraContext, CameraMean, Corners, Frame, Hint, HintUse, Hints, Located, Pipeline, Prediction, Prior,
};

use crate::poses::{Pose, PoseTable};

/// A hint on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HintArg(pub Hint);

impl FromStr for HintArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hint = Hint::ALL.into_iter().find(|hint| hint.as_str() == text);
        hint.map(Self).ok_or_else(|| format!("found {text:?}, expected one of heading, altitude, prior, attitude"))
    }
}

/// Which columns are passed on, and what is remembered of each flight.
#[derive(Debug, Default)]
pub struct EvaluatedHints {
    uses: HintUse,
    centre: bool,
    /// The mean of each flight's embeddings so far; rows without a flight are one.
    means: Mutex<BTreeMap<String, CameraMean>>,
}

impl EvaluatedHints {
    /// Those that are asked for; `cut` cuts the corners of turned pictures off instead of mirroring them.
    ///
    /// # Errors
    /// The poses lack a column that a hint needs.
    pub fn new(hints: &[HintArg], cut: bool, centre: bool, table: &PoseTable) -> anyhow::Result<Self> {
        for HintArg(hint) in hints {
            let needed: &[&str] = match hint {
                Hint::Heading => &["heading_deg"],
                Hint::Altitude => &["agl_m", "hfov_deg"],
                Hint::Attitude => &["heading_deg", "pitch_deg", "agl_m"],
                Hint::Prior => &["prior_lat", "prior_lon", "prior_radius_m"],
            };
            if let Some(missing) = needed.iter().find(|column| !table.columns.iter().any(|found| found == *column)) {
                let (hint, found) = (hint.as_str(), table.columns.join(","));
                bail!("--hints {hint}: {} needs a column {missing}, found {found}", table.path.display());
            }
        }
        let asked: Vec<Hint> = hints.iter().map(|HintArg(hint)| *hint).collect();
        let corners = if cut { Corners::Cut } else { Corners::Mirrored };
        Ok(Self { uses: HintUse { corners, ..HintUse::of(&asked) }, centre, means: Mutex::default() })
    }

    /// The same uses, of which no flight has been seen yet: for another pass over the rows.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self { uses: self.uses, centre: self.centre, means: Mutex::default() }
    }

    /// What the row says of the camera, as far as it is to be used.
    fn hints(&self, pose: &Pose) -> Hints {
        let number = |column: &str| pose.columns.get(column).and_then(|text| text.parse::<f32>().ok());
        if self.uses.heading || self.uses.altitude || self.uses.attitude {
            Hints {
                heading_deg: pose.place.heading_deg.or_else(|| number("heading_deg")),
                pitch_deg: number("pitch_deg"),
                rel_alt_m: number("rel_alt_m"),
                agl_m: number("agl_m"),
                speed_mps: None,
                hfov_deg: number("hfov_deg"),
            }
        } else {
            Hints::default()
        }
    }

    /// The frame of a row.
    pub fn frame(&self, pose: &Pose, encoded: Vec<u8>) -> Frame {
        Frame {
            id: pose.file.clone(),
            camera: "evaluate".to_owned(),
            captured_at_ms: None,
            hints: self.hints(pose),
            prior: self.prior(pose),
            encoded,
        }
    }

    /// The prior of a row, where it has one that makes sense.
    fn prior(&self, pose: &Pose) -> Option<Prior> {
        let number = |column: &str| pose.columns.get(column).and_then(|text| text.parse::<f64>().ok());
        if !self.uses.prior {
            return None;
        }
        Prior::new(number("prior_lat")?, number("prior_lon")?, number("prior_radius_m")?).ok()
    }

    /// Locates a row by its picture.
    pub fn locate(&self, pipeline: &Pipeline, pose: &Pose, frame: &Frame) -> Located {
        let mean = self.mean(pipeline, pose);
        let context = CameraContext { hints: self.uses, mean: mean.as_ref(), ..CameraContext::default() };
        let located = pipeline.locate_in(frame, &context);
        if let Some(embedding) = &located.embedding {
            self.remember(pose, mean, embedding);
        }
        located
    }

    /// Locates a row by a vector that was made elsewhere.
    pub fn locate_vector(&self, pipeline: &Pipeline, pose: &Pose, vector: &[f32]) -> Located {
        let mean = self.mean(pipeline, pose);
        let context = CameraContext { hints: self.uses, mean: mean.as_ref(), ..CameraContext::default() };
        let prediction = pipeline.locate_embedding_in(vector, &self.hints(pose), self.prior(pose).as_ref(), &context);
        self.remember(pose, mean, vector);
        prediction.into()
    }

    /// The same within a window, which replaces the prior of the row; about no mean.
    pub fn locate_within(&self, pipeline: &Pipeline, pose: &Pose, encoded: Vec<u8>, window: Prior) -> Prediction {
        let frame = Frame { prior: Some(window), ..self.frame(pose, encoded) };
        pipeline.locate_in(&frame, &self.in_window()).prediction
    }

    /// The same for a vector that was made elsewhere.
    pub fn locate_vector_within(&self, pipeline: &Pipeline, pose: &Pose, vector: &[f32], window: Prior) -> Prediction {
        pipeline.locate_embedding_in(vector, &self.hints(pose), Some(&window), &self.in_window())
    }

    fn in_window(&self) -> CameraContext<'static> {
        CameraContext { hints: HintUse { prior: false, ..self.uses }, ..CameraContext::default() }
    }

    fn mean(&self, pipeline: &Pipeline, pose: &Pose) -> Option<CameraMean> {
        if !self.centre {
            return None;
        }
        let known = self.means.lock().unwrap_or_else(PoisonError::into_inner).get(flight(pose)).cloned();
        known.or_else(|| pipeline.new_camera_mean())
    }

    fn remember(&self, pose: &Pose, mean: Option<CameraMean>, embedding: &[f32]) {
        if let Some(mut mean) = mean {
            mean.add(embedding);
            let mut means = self.means.lock().unwrap_or_else(PoisonError::into_inner);
            means.insert(flight(pose).to_owned(), mean);
        }
    }
}

fn flight(pose: &Pose) -> &str {
    pose.columns.get("flight").map_or("", String::as_str)
}
