//! `calibration.toml`: how certain the answers of one encoder, index, comparator and strategy are.
//!
//! Measured by `geolocate calibrate` on flights with known places. It holds for what it names and for nothing else:
//! where the index or the way of asking is another one, its numbers are not used.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use index_shards::{Dissimilar, SearchOptions, ShardSet};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::locate::{Calibrated, FuseOptions, Hint, Pipeline, StageCalibration};
use crate::whole_file;

/// Version of the file's form.
pub const FORMAT: u32 = 2;
/// No calibration is longer.
const MOST_BYTES: u64 = 1 << 20;

/// A calibration with what it was measured with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Version of the form.
    pub format: u32,
    /// Space of the vectors.
    pub space: String,
    /// Digests of the shards, 64 hexadecimal digits each, sorted.
    pub shards: Vec<String>,
    /// What was asked of the index, as [`asked`] says it.
    pub asked: String,
    /// How candidates become places.
    pub fuse: FuseScale,
    /// What it was fitted on.
    pub fitted_on: FittedOn,
    /// For answers by retrieval alone.
    pub retrieved: StageCalibration,
    /// For reranked answers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reranked: Option<RerankedCalibration>,
}

/// How candidates become places: see [`FuseOptions`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FuseScale {
    /// As in [`FuseOptions::same_place_m`].
    pub same_place_m: f64,
    /// As in [`FuseOptions::ambiguous_share`].
    pub ambiguous_share: f64,
    /// As in [`FuseOptions::overlap`].
    pub overlap: bool,
    /// Fitted; takes the place of [`FuseOptions::sharpness`].
    pub sharpness: f64,
}

/// What a calibration was fitted on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedOn {
    /// Name of the file of poses.
    pub poses: String,
    /// How many flights.
    pub flights: usize,
    /// How many frames of mapped ground.
    pub frames: usize,
    /// How many frames from outside.
    pub outside: usize,
    /// A fix counted as right within so many metres of the truth.
    pub right_within_m: f64,
    /// Share of frames from outside that may get a fix, in (0, 1).
    pub risk: f64,
    /// Which hints of the frames were used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<Hint>,
}

/// The calibration of reranked answers, and whose answers they were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RerankedCalibration {
    /// Name of the comparator.
    pub comparator: String,
    /// The strategy's word.
    pub strategy: String,
    /// What holds for its answers.
    pub stage: StageCalibration,
}

/// Why a calibration cannot be used.
#[derive(Debug, Error)]
pub enum CalibrationError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: not a calibration: {message}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// The calibration is of something else.
    #[error("{}: calibrated for {what} {expected}, found {found}: calibrate again", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What is another one.
        what: &'static str,
        /// What it was calibrated for.
        expected: String,
        /// What is there.
        found: String,
    },
}

impl Calibration {
    /// Reads and checks a calibration.
    ///
    /// # Errors
    /// The file cannot be read, is of another form, or holds numbers that make no sense.
    pub fn load(path: &Path) -> Result<Self, CalibrationError> {
        let read = |source| CalibrationError::Read { path: path.to_owned(), source };
        let form = |message| CalibrationError::Form { path: path.to_owned(), message };
        let bytes = fs::metadata(path).map_err(read)?.len();
        if bytes > MOST_BYTES {
            return Err(form(format!("expected at most {MOST_BYTES} bytes, found {bytes}")));
        }
        let text = fs::read_to_string(path).map_err(read)?;
        let found: Self = toml::from_str(&text).map_err(|error| form(error.message().to_owned()))?;
        if found.format != FORMAT {
            return Err(form(format!("format: expected {FORMAT}, found {}", found.format)));
        }
        if !(found.fuse.sharpness.is_finite() && found.fuse.sharpness >= 0.0) {
            return Err(form(format!(
                "fuse.sharpness: expected a number of at least 0, found {}",
                found.fuse.sharpness
            )));
        }
        let stages = [("retrieved", Some(&found.retrieved)), ("reranked", found.reranked.as_ref().map(|of| &of.stage))];
        match stages.iter().find(|(_, stage)| stage.is_some_and(|stage| !stage.is_sound())) {
            Some((name, _)) => Err(form(format!("{name}: numbers are missing, out of order or out of range"))),
            None => Ok(found),
        }
    }

    /// Writes it in place of the file at `path`.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn store(&self, path: &Path) -> Result<(), io::Error> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        let head = "# How certain answers are: written by `geolocate calibrate`, for this index and this way of asking alone.\n";
        whole_file::replace(path, (head.to_owned() + &text).as_bytes())
    }

    /// Sees that it is one of this index and of these options; `path` is named in errors.
    ///
    /// # Errors
    /// What is another one, with both.
    pub fn check(&self, path: &Path, pipeline: &Pipeline) -> Result<(), CalibrationError> {
        let (shards, fuse) = (pipeline.shards(), pipeline.fuse_options());
        let other = |what, expected: &str, found: &str| CalibrationError::Other {
            path: path.to_owned(),
            what,
            expected: expected.to_owned(),
            found: found.to_owned(),
        };
        if self.space != shards.space() {
            return Err(other("the space", &self.space, shards.space()));
        }
        let found = digests(shards);
        if self.shards != found {
            return Err(other("the shards", &shortened(&self.shards), &shortened(&found)));
        }
        let found = asked(pipeline.search_options());
        if self.asked != found {
            return Err(other("a search of", &self.asked, &found));
        }
        let says = |fuse: FuseScale| format!("{} m, {} and {}", fuse.same_place_m, fuse.ambiguous_share, fuse.overlap);
        let (expected, found) = (says(self.fuse), says(FuseScale::of(fuse)));
        if expected != found {
            return Err(other("same_place_m, ambiguous_share and overlap of", &expected, &found));
        }
        Ok(())
    }

    /// What a pipeline is told of it.
    pub fn calibrated(&self) -> Calibrated {
        let reranked = self.reranked.clone();
        let FittedOn { frames, outside, .. } = self.fitted_on;
        Calibrated {
            sharpness: self.fuse.sharpness,
            mapped_share: (frames > 0 && outside > 0).then(|| frames as f64 / (frames as f64 + outside as f64)),
            retrieved: self.retrieved.clone(),
            reranked: reranked.map(|reranked| (reranked.comparator, reranked.strategy, reranked.stage)),
        }
    }
}

/// The pipeline with the calibration at `path`, where there is one, it can be read, and it is one of its index; else the
/// pipeline as it is, and why.
pub fn calibrate(pipeline: Pipeline, path: Option<&Path>) -> (Pipeline, Option<CalibrationError>) {
    let Some(path) = path else { return (pipeline, None) };
    let loaded = Calibration::load(path).and_then(|found| found.check(path, &pipeline).map(|()| found));
    match loaded {
        Ok(calibration) => (pipeline.with_calibration(calibration.calibrated()), None),
        Err(error) => (pipeline, Some(error)),
    }
}

/// Why reranked answers of this comparator and strategy have no radii although a calibration is there; `None` where they
/// have some, or there is none at all.
pub fn missing_for_reranked(pipeline: &Pipeline, comparator: &str, strategy: &str) -> Option<String> {
    let calibrated = pipeline.calibrated()?;
    let found = format!("comparator {comparator} with strategy {strategy}");
    match &calibrated.reranked {
        None => Some(format!("reranked fixes have no radii: calibrated for retrieval alone, found {found}")),
        Some((name, word, _)) if name != comparator || word != strategy => Some(format!(
            "reranked fixes have no radii: calibrated for comparator {name} with strategy {word}, found {found}"
        )),
        Some(_) => None,
    }
}

/// The digests of all shards, sorted: their order changes no answer.
pub fn digests(shards: &ShardSet) -> Vec<String> {
    let mut digests: Vec<String> = shards.shards().iter().map(|shard| shard.digest().to_owned()).collect();
    digests.sort_unstable();
    digests
}

/// What is asked of the index for every frame, as far as answers depend on it, in words.
pub fn asked(search: &SearchOptions) -> String {
    let dissimilar = match search.dissimilar {
        Dissimilar::Farthest => "farthest".to_owned(),
        Dissimilar::None => "no".to_owned(),
        Dissimilar::Random { .. } => "random".to_owned(),
        Dissimilar::Centroid => "centroid".to_owned(),
        Dissimilar::FarInWindow { radius_m } => format!("far_in_window ({radius_m} m)"),
    };
    let per_place = search.per_place.map(|limit| format!(", {} per place of {} m", limit.most, limit.radius_m));
    format!("{} similar, {dissimilar} dissimilar{}", search.k, per_place.unwrap_or_default())
}

impl FuseScale {
    /// That of these options.
    pub fn of(options: &FuseOptions) -> Self {
        Self {
            same_place_m: options.same_place_m,
            ambiguous_share: options.ambiguous_share,
            overlap: options.overlap,
            sharpness: options.sharpness,
        }
    }
}

/// Digests by their first twelve digits.
fn shortened(digests: &[String]) -> String {
    let digests: Vec<&str> = digests.iter().map(|digest| digest.get(..12).unwrap_or(digest)).collect();
    digests.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::rerank::{StoppedBy, Strategy};
    use crate::locate::{
        FEATURE_NAMES, Logistic, NoFixReason, Outcome, PipelineOptions, Prediction, RadiusBand, RerankEnd, Reranking,
        Term,
    };
    use index_shards::{Place, PositionOf, Row, ShardDescription, ShardWriter, WriterOptions};

    fn pipeline(folder: &Path, name: &str, space: &str, options: PipelineOptions) -> Pipeline {
        let path = folder.join(name);
        let description = ShardDescription {
            space: space.into(),
            dimensions: 2,
            encoder: "test".into(),
            encoder_sha256: None,
            position_of: PositionOf::Camera,
            licence: "CC0-1.0".into(),
            attribution: String::new(),
            created_at_ms: 0,
            blobs: None,
        };
        let mut writer = ShardWriter::create(&path, description, WriterOptions::default()).unwrap();
        for (at, embedding) in [[1.0, 0.0], [0.6, 0.8]].iter().enumerate() {
            let place = Place::at(50.0, 8.0 + at as f64);
            let name = format!("{name}{at}");
            writer.push(&Row { name: &name, place: &place, source: None, embedding, blob: None }).unwrap();
        }
        writer.finish().unwrap();
        Pipeline::new(None, ShardSet::open(&[path]).unwrap(), options, true).unwrap()
    }

    fn calibration(pipeline: &Pipeline) -> Calibration {
        let term = |name: &&str| Term { feature: (*name).to_owned(), mean: 0.0, deviation: 1.0, weight: 0.0 };
        let stage = StageCalibration {
            least_confidence: Some(0.25),
            mapped: Some(Logistic { intercept: 3.0, terms: FEATURE_NAMES.iter().map(term).collect() }),
            right: Logistic { intercept: 1.0, terms: FEATURE_NAMES.iter().map(term).collect() },
            radius: vec![RadiusBand { above: 0.0, sigmas_68: 1.0, sigmas_95: 2.5 }],
        };
        Calibration {
            format: FORMAT,
            space: pipeline.shards().space().to_owned(),
            shards: digests(pipeline.shards()),
            asked: asked(pipeline.search_options()),
            fuse: FuseScale { sharpness: 48.0, ..FuseScale::of(pipeline.fuse_options()) },
            fitted_on: FittedOn {
                poses: "poses.csv".into(),
                flights: 60,
                frames: 1200,
                outside: 90,
                right_within_m: 50.0,
                risk: 0.05,
                hints: Vec::new(),
            },
            reranked: Some(RerankedCalibration {
                comparator: "vlm".into(),
                strategy: "adaptive".into(),
                stage: stage.clone(),
            }),
            retrieved: stage,
        }
    }

    #[test]
    fn what_is_stored_is_loaded_and_gives_fixes_radii() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calibration.toml");
        let pipeline = pipeline(folder.path(), "a", "test", PipelineOptions::default());
        let stored = calibration(&pipeline);
        stored.store(&path).unwrap();
        assert_eq!(Calibration::load(&path).unwrap(), stored);
        assert!(pipeline.locate_embedding(&[1.0, 0.0], None).certainty.is_none());
        let (pipeline, problem) = calibrate(pipeline, Some(&path));
        assert!(problem.is_none(), "{problem:?}");
        assert_eq!(pipeline.fuse_options().sharpness, 48.0);
        assert_eq!(pipeline.calibrated().unwrap().mapped_share, Some(1200.0 / 1290.0));
        let certainty = pipeline.locate_embedding(&[1.0, 0.0], None).certainty.unwrap();
        assert!(certainty.radii.is_some() && certainty.confidence > 0.5, "{certainty:?}");
        assert_eq!(missing_for_reranked(&pipeline, "vlm", "adaptive"), None);
        assert!(missing_for_reranked(&pipeline, "vlm", "bubble").unwrap().contains("strategy adaptive, found"));
        assert!(missing_for_reranked(&pipeline, "other", "adaptive").unwrap().contains("comparator vlm"));
    }

    #[test]
    fn what_the_comparator_takes_back_is_rejected_by_it_and_what_retrieval_withheld_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = pipeline(folder.path(), "a", "test", PipelineOptions::default());
        let mut stored = calibration(&pipeline);
        // Of retrieval a fix, of the comparator none: its answers would have to be surer than they are.
        stored.reranked.as_mut().unwrap().stage.least_confidence = Some(0.9);
        let pipeline = pipeline.with_calibration(stored.calibrated());
        let retrieved = pipeline.locate_embedding(&[1.0, 0.0], None);
        assert!(matches!(retrieved.outcome, Outcome::Fix(_)), "{:?}", retrieved.outcome);
        let reranked = |first: &Prediction| {
            let end = RerankEnd::Ran(StoppedBy::Finished);
            let mut second = first.clone();
            second.reranking = Some(Reranking::skipped("vlm", Strategy::Adaptive, end));
            pipeline.certify_reranked(&mut second, first);
            second
        };
        let rejected = reranked(&retrieved);
        let Outcome::NoFix(reason) = &rejected.outcome else { panic!("{:?}", rejected.outcome) };
        assert_eq!(reason.to_string(), "comparator_rejected");
        assert!(rejected.certainty.unwrap().withheld.is_some());
        let mut unsure = retrieved.clone();
        unsure.outcome = Outcome::NoFix(NoFixReason::OutOfCoverage);
        assert!(!matches!(reranked(&unsure).outcome, Outcome::NoFix(NoFixReason::ComparatorRejected)));
    }

    #[test]
    fn a_calibration_of_something_else_gives_no_radii_and_says_what_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calibration.toml");
        let options = PipelineOptions::default();
        calibration(&pipeline(folder.path(), "a", "test", options.clone())).store(&path).unwrap();
        let mut fewer = options.clone();
        fewer.search.k = 8;
        let mut wider = options.clone();
        wider.fuse.same_place_m = 80.0;
        for (name, space, options, part) in [
            ("b", "test", options.clone(), "the shards"),
            ("c", "other", options, "the space test, found other"),
            ("a", "test", fewer, "16 similar, farthest dissimilar, found 8 similar"),
            ("a", "test", wider, "50 m, 0.7 and true, found 80 m, 0.7 and true"),
        ] {
            std::fs::remove_file(folder.path().join(name)).ok();
            let (pipeline, problem) = calibrate(pipeline(folder.path(), name, space, options), Some(&path));
            let problem = problem.unwrap().to_string();
            assert!(problem.contains(part) && problem.contains("calibrate again"), "{problem}");
            assert!(pipeline.calibrated().is_none());
            assert!(pipeline.locate_embedding(&[1.0, 0.0], None).certainty.is_none());
        }
    }

    #[test]
    fn files_that_are_none_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calibration.toml");
        let good = calibration(&pipeline(folder.path(), "a", "test", PipelineOptions::default()));
        let refusal = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Calibration::load(&path).unwrap_err().to_string()
        };
        let text = toml::to_string(&good).unwrap();
        for (from, to, part) in [
            ("format = 2", "format = 1", "format: expected 2, found 1"),
            ("sigmas_95 = 2.5", "sigmas_95 = nan", "retrieved"),
            ("least_confidence = 0.25", "least_confidence = 7.0", "out of range"),
            ("sharpness = 48.0", "sharpness = -1.0", "fuse.sharpness"),
            ("space = ", "colour = ", "colour"),
            ("\"entropy_nats\"", "\"entropy\"", "retrieved"),
        ] {
            assert!(text.contains(from), "{from}: {text}");
            let error = refusal(&text.replacen(from, to, 1));
            assert!(error.contains(part) && error.contains("calibration.toml"), "{error}");
        }
        assert!(refusal("not toml").contains("not a calibration"));
        assert!(refusal(&" ".repeat(2 << 20)).contains("at most"));
        std::fs::remove_file(&path).unwrap();
        assert!(Calibration::load(&path).unwrap_err().to_string().contains("cannot be read"));
    }
}
