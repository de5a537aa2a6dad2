//! The one function from a frame to its prediction.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use index_shards::{
    Dissimilar, Filter, Footprint, Hit, PositionOf, ReadError, Reference, SearchOptions, ShardSet, Window,
};
use quantized_models::{DecodeLimits, Encoder, RgbImage, SpaceId, View, decode};
use thiserror::Error;

use super::centring::{centred, index_mean, rescore};
use super::support::{LOOKED_AT, add_support};
use super::{
    BadFrame, CameraContext, CameraMean, CameraOffset, Candidate, Fingerprint, Frame, FrameError, FrameFigures,
    Framing, FuseOptions, Hints, IgnoredHint, Located, NoFixReason, Outcome, Posterior, Prediction, Prior,
    RefusedFrames, StageCalibration, StageTimes, distance_m,
};

/// What the pipeline may be told.
#[derive(Debug, Clone, Default)]
pub struct PipelineOptions {
    /// What is asked of the index for every frame. The window is that of the frame's prior, where it has one.
    pub search: SearchOptions,
    /// What a picture may be at most.
    pub limits: DecodeLimits,
    /// How candidates become a position.
    pub fuse: FuseOptions,
    /// Which bad frames get no fix; all kinds by default.
    pub refuse: RefusedFrames,
    /// How many of the most similar references are found for a reranking. Where that is more than the search asks for,
    /// those beyond are [`Prediction::further`].
    pub pool: usize,
}

/// Why a pipeline could not be put together.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// Encoder and index do not speak of the same vectors.
    #[error(
        "encoder \"{encoder}\" makes vectors of space \"{encoder_space}\" ({encoder_dimensions} dimensions), but {} holds space \"{index_space}\" ({index_dimensions} dimensions): build the index with this encoder or choose the encoder of the index",
        index.display()
    )]
    OtherSpace {
        /// Name of the encoder.
        encoder: String,
        /// Its space.
        encoder_space: String,
        /// Width of its vectors.
        encoder_dimensions: usize,
        /// The first shard of the index.
        index: PathBuf,
        /// The space of the index.
        index_space: String,
        /// Width of the vectors in the index.
        index_dimensions: usize,
    },
}

/// Passes when an encoder, or the manifest of one, makes vectors that may be compared with those of `shards`.
///
/// # Errors
/// [`PipelineError::OtherSpace`], with both names, spaces and widths.
pub(crate) fn same_space(
    encoder: &str,
    space: &SpaceId,
    dimensions: usize,
    shards: &ShardSet,
) -> Result<(), PipelineError> {
    if space.as_str() == shards.space() && dimensions == shards.dimensions() {
        return Ok(());
    }
    Err(PipelineError::OtherSpace {
        encoder: encoder.to_owned(),
        encoder_space: space.to_string(),
        encoder_dimensions: dimensions,
        index: shards.shards().first().map(|shard| shard.path().to_owned()).unwrap_or_default(),
        index_space: shards.space().to_owned(),
        index_dimensions: shards.dimensions(),
    })
}

/// Encoder, index and options, ready for frames. Shared between threads by reference.
pub struct Pipeline {
    encoder: Option<Arc<Encoder>>,
    shards: ShardSet,
    options: PipelineOptions,
    position_of: PositionOf,
    verified: bool,
    generation: Option<u64>,
    mean: OnceLock<Option<Vec<f32>>>,
    side_m: OnceLock<Option<f64>>,
    calibrated: Option<Calibrated>,
    calibration_problem: Option<String>,
}

/// What a calibration says for the answers of each stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrated {
    /// How fast the weight of a candidate falls with its similarity; takes the place of [`FuseOptions::sharpness`].
    pub sharpness: f64,
    /// Share of frames of mapped ground among those that it was fitted on, in (0, 1); absent where all were.
    pub mapped_share: Option<f64>,
    /// For answers by retrieval alone.
    pub retrieved: StageCalibration,
    /// For reranked answers: the name of the comparator, the strategy's word, and what holds for them.
    pub reranked: Option<(String, String, StageCalibration)>,
}

impl Pipeline {
    /// Puts encoder and index together; pipelines may share an encoder. Without an encoder only [`Pipeline::locate_embedding`] answers.
    /// `verified` says whether the digests of the shards were checked; it is passed on in each message.
    ///
    /// # Errors
    /// [`PipelineError::OtherSpace`] when the vectors of the two may not be compared.
    pub fn new(
        encoder: Option<Arc<Encoder>>,
        shards: ShardSet,
        options: PipelineOptions,
        verified: bool,
    ) -> Result<Self, PipelineError> {
        if let Some(encoder) = &encoder {
            same_space(encoder.name(), encoder.space(), encoder.dimensions(), &shards)?;
        }
        let footprints = shards.shards().iter().all(|s| s.description().position_of == PositionOf::FootprintCentre);
        let position_of = if footprints { PositionOf::FootprintCentre } else { PositionOf::Camera };
        Ok(Self {
            encoder,
            shards,
            options,
            position_of,
            verified,
            generation: None,
            mean: OnceLock::new(),
            side_m: OnceLock::new(),
            calibrated: None,
            calibration_problem: None,
        })
    }

    /// The same pipeline, whose index is that of this generation.
    pub fn with_generation(mut self, counter: u64) -> Self {
        self.generation = Some(counter);
        self
    }

    /// Number of the generation of the index, where it is one.
    pub fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// The same pipeline, whose answers are as certain as a calibration says. The caller has seen that it is one of this
    /// index and these options.
    pub fn with_calibration(mut self, calibrated: Calibrated) -> Self {
        self.options.fuse.sharpness = calibrated.sharpness;
        self.calibrated = Some(calibrated);
        self
    }

    /// The same pipeline, which remembers why the calibration that was meant for it is not used.
    pub fn with_calibration_problem(mut self, problem: String) -> Self {
        self.calibration_problem = Some(problem);
        self
    }

    /// Why the calibration that was meant for it is not used.
    pub fn calibration_problem(&self) -> Option<&str> {
        self.calibration_problem.as_deref()
    }

    /// Takes another scale of similarity, without a calibration: see [`FuseOptions::sharpness`].
    pub fn set_sharpness(&mut self, sharpness: f64) {
        self.options.fuse.sharpness = sharpness;
        self.calibrated = None;
    }

    /// What a calibration says of its answers, where there is one.
    pub fn calibrated(&self) -> Option<&Calibrated> {
        self.calibrated.as_ref()
    }

    /// Says how certain the reranked answer is that followed `retrieved`, where a calibration of its comparator and
    /// strategy is there, and takes back a fix that is not certain enough. Where there is only one of retrieval, the
    /// answer has no radii, and what that took back stays so. A fix of retrieval that is taken back by what the comparator
    /// said is [`NoFixReason::ComparatorRejected`].
    pub fn certify_reranked(&self, prediction: &mut Prediction, retrieved: &Prediction) {
        let Some(calibrated) = &self.calibrated else { return };
        let is_its = |(comparator, strategy, _): &&(String, String, StageCalibration)| {
            prediction.reranking.as_ref().is_some_and(|reranking| {
                reranking.comparator == *comparator && reranking.strategy.as_str() == strategy && reranking.ran()
            })
        };
        match calibrated.reranked.as_ref().filter(is_its) {
            Some((_, _, calibration)) => {
                calibration.apply(prediction, &self.options.fuse);
                let withheld = prediction.certainty.is_some_and(|certainty| certainty.withheld.is_some());
                // Retrieval alone would have stood for a place: it is what the comparator said that took it back.
                if withheld && matches!(retrieved.outcome, Outcome::Fix(_)) {
                    prediction.outcome = Outcome::NoFix(NoFixReason::ComparatorRejected);
                }
            }
            None if retrieved.certainty.is_some_and(|certainty| certainty.withheld.is_some()) => {
                prediction.outcome = retrieved.outcome.clone();
            }
            None => {}
        }
    }

    /// What is asked of the index for every frame.
    pub fn search_options(&self) -> &SearchOptions {
        &self.options.search
    }

    /// The encoder, if there is one.
    pub fn encoder(&self) -> Option<&Encoder> {
        self.encoder.as_deref()
    }

    /// The encoder, for another pipeline to share.
    pub fn shared_encoder(&self) -> Option<Arc<Encoder>> {
        self.encoder.clone()
    }

    /// The index.
    pub fn shards(&self) -> &ShardSet {
        &self.shards
    }

    /// What the positions of the index, and so of the fixes, stand for. Shards of both kinds together speak of cameras.
    pub fn position_of(&self) -> PositionOf {
        self.position_of
    }

    /// How candidates become a position.
    pub fn fuse_options(&self) -> &FuseOptions {
        &self.options.fuse
    }

    /// What a picture may be at most.
    pub fn limits(&self) -> &DecodeLimits {
        &self.options.limits
    }

    /// Whether the digests of the shards were checked.
    pub fn verified(&self) -> bool {
        self.verified
    }

    /// Answers where `frame` was taken: decode → check → embed → retrieve → fuse. Never fails: what goes wrong with the
    /// frame is its outcome. The clock is read for the stage times alone.
    pub fn locate(&self, frame: &Frame) -> Prediction {
        self.locate_in(frame, &CameraContext::default()).prediction
    }

    /// The same for a camera of which something is remembered.
    pub fn locate_in(&self, frame: &Frame, context: &CameraContext<'_>) -> Located {
        let start = Instant::now();
        let mut stages = StageTimes::default();
        let mut left = Left::default();
        let mut prediction = match self.seen(frame, context, &mut stages, &mut left) {
            Ok(embedding) => {
                let offset = self.offset(&frame.hints, context, &mut left.ignored);
                let known = Known { prior: frame.prior.as_ref(), offset };
                let prediction = self.retrieve_and_fuse(&embedding, known, context, stages);
                left.embedding = context.mean.map(|_| embedding);
                prediction
            }
            Err(Stopped::Failed(error)) => Prediction::failed(error, stages),
            Err(Stopped::Refused(kind)) => Prediction::no_fix(NoFixReason::BadFrame(kind), stages),
        };
        prediction.stages.total_ms = Some(milliseconds_since(start));
        Located { prediction, fingerprint: left.fingerprint, embedding: left.embedding, ignored: left.ignored }
    }

    /// The same as [`Pipeline::locate`] for a query vector that was made elsewhere: retrieve → fuse.
    pub fn locate_embedding(&self, embedding: &[f32], prior: Option<&Prior>) -> Prediction {
        self.locate_embedding_in(embedding, &Hints::default(), prior, &CameraContext::default())
    }

    /// The same for a camera of which something is remembered; of the hints, those that ask for no picture are used.
    pub fn locate_embedding_in(
        &self,
        embedding: &[f32],
        hints: &Hints,
        prior: Option<&Prior>,
        context: &CameraContext<'_>,
    ) -> Prediction {
        let start = Instant::now();
        let known = Known { prior, offset: self.offset(hints, context, &mut Vec::new()) };
        let mut prediction = self.retrieve_and_fuse(embedding, known, context, StageTimes::default());
        prediction.stages.total_ms = Some(milliseconds_since(start));
        prediction
    }

    /// The mean of a camera of which nothing is known yet; `None` where the index is empty or cannot be read. The first
    /// call reads a sample of the index, some milliseconds.
    pub fn new_camera_mean(&self) -> Option<CameraMean> {
        self.index_mean().map(CameraMean::starting_at)
    }

    fn index_mean(&self) -> Option<&[f32]> {
        // Of a shard that cannot be read the search says so, better than this.
        self.mean.get_or_init(|| index_mean(&self.shards).ok().flatten()).as_deref()
    }

    /// The median of the shorter sides of some references' footprints, metres; `None` where they have none.
    fn reference_side_m(&self) -> Option<f64> {
        *self.side_m.get_or_init(|| {
            let first = self.shards.shards().iter().find(|shard| !shard.is_empty())?;
            let step = first.len().div_ceil(SIDES_LOOKED_AT).max(1);
            let rows: Vec<u32> = (0..first.len()).step_by(step).filter_map(|row| u32::try_from(row).ok()).collect();
            let references = first.references(&rows).ok()?;
            let footprints = references.iter().filter_map(|reference| reference.place.footprint.as_ref());
            let mut sides: Vec<f64> = footprints.map(|footprint| extent_m(footprint) / EXTENT_OF_SIDE).collect();
            sides.sort_unstable_by(f64::total_cmp);
            sides.get(sides.len() / 2).copied()
        })
    }

    /// From the frame to its embedding, if it is worth one.
    fn seen(
        &self,
        frame: &Frame,
        context: &CameraContext<'_>,
        stages: &mut StageTimes,
        left: &mut Left,
    ) -> Result<Vec<f32>, Stopped> {
        let image = self.decode(&frame.encoded, stages).map_err(Stopped::Failed)?;
        self.check(&image, context, stages, &mut left.fingerprint).map_err(Stopped::Refused)?;
        let image = self.framed(image, frame, context, &mut left.ignored);
        self.embed(&image, stages).map_err(Stopped::Failed)
    }

    /// The picture as the hints ask for it.
    fn framed(
        &self,
        image: RgbImage,
        frame: &Frame,
        context: &CameraContext<'_>,
        ignored: &mut Vec<IgnoredHint>,
    ) -> RgbImage {
        let side_m = context.hints.altitude.then(|| self.reference_side_m()).flatten();
        let (framing, not_used) = Framing::of(&frame.hints, context.hints, side_m, image.dimensions());
        *ignored = not_used;
        match framing {
            Some(framing) => framing.apply(&image),
            None => image,
        }
    }

    /// How far the camera is from the ground that it sees, where that is to be used.
    fn offset(
        &self,
        hints: &Hints,
        context: &CameraContext<'_>,
        ignored: &mut Vec<IgnoredHint>,
    ) -> Option<CameraOffset> {
        if !context.hints.attitude {
            return None;
        }
        let offset = match self.position_of {
            PositionOf::FootprintCentre => CameraOffset::of(hints),
            PositionOf::Camera => Err(IgnoredHint::CameraPositions),
        };
        offset.map_err(|reason| ignored.push(reason)).ok()
    }

    fn decode(&self, encoded: &[u8], stages: &mut StageTimes) -> Result<RgbImage, FrameError> {
        let start = Instant::now();
        let image = decode(encoded, &self.options.limits).map_err(FrameError::Decode)?;
        stages.decode_ms = Some(milliseconds_since(start));
        Ok(image)
    }

    /// Passes when the picture is worth an embedding.
    fn check(
        &self,
        image: &RgbImage,
        context: &CameraContext<'_>,
        stages: &mut StageTimes,
        fingerprint: &mut Option<Fingerprint>,
    ) -> Result<(), BadFrame> {
        let refuse = &self.options.refuse;
        if refuse.0.is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        let figures = FrameFigures::of(image);
        stages.check_ms = Some(milliseconds_since(start));
        let Some(figures) = figures else { return Ok(()) };
        // A picture that is bad by itself is no measure for the next one: a dark one looks like every other.
        match figures.bad().filter(|kind| refuse.contains(*kind)) {
            Some(kind) => return Err(kind),
            None => *fingerprint = Some(figures.fingerprint),
        }
        let is_frozen = refuse.contains(BadFrame::Frozen) && context.previous == Some(figures.fingerprint);
        if is_frozen { Err(BadFrame::Frozen) } else { Ok(()) }
    }

    fn embed(&self, image: &RgbImage, stages: &mut StageTimes) -> Result<Vec<f32>, FrameError> {
        let start = Instant::now();
        let encoder = self.encoder.as_ref().ok_or_else(|| FrameError::Embed("no encoder is loaded".to_owned()))?;
        let embedding = encoder.embed(image, View::Query).map_err(|error| FrameError::Embed(error.to_string()))?;
        stages.embed_ms = Some(milliseconds_since(start));
        Ok(embedding.into_vec())
    }

    fn retrieve_and_fuse(
        &self,
        embedding: &[f32],
        Known { prior, offset }: Known<'_>,
        context: &CameraContext<'_>,
        mut stages: StageTimes,
    ) -> Prediction {
        let start = Instant::now();
        let (mut similar, dissimilar) = match self.retrieve(embedding, prior, context) {
            Ok(ends) => ends,
            Err(error) => return Prediction::failed(error, stages),
        };
        if let Some(prior) = prior.filter(|_| context.hints.prior) {
            similar.iter_mut().for_each(|one| one.prior_nats = prior.log_weight(one.lat_deg, one.lon_deg));
        }
        similar.iter_mut().for_each(|one| one.offset = offset);
        stages.search_ms = Some(milliseconds_since(start));
        let start = Instant::now();
        let prediction = self.fused(similar, dissimilar);
        stages.fuse_ms = Some(milliseconds_since(start));
        Prediction { stages, ..prediction }
    }

    /// The answer that both ends of a search give, with what a calibration says of it; `candidates` are those for an answer
    /// and those for a reranking behind them.
    fn fused(&self, candidates: Vec<Candidate>, dissimilar: Vec<Candidate>) -> Prediction {
        let mut similar = candidates;
        let further = similar.split_off(self.options.search.k.min(similar.len()));
        let posterior = Posterior::of_retrieval(&similar, &dissimilar, &self.options.fuse);
        let outcome = posterior.outcome(&self.options.fuse);
        let mut prediction = Prediction {
            outcome,
            similar,
            further,
            dissimilar,
            posterior,
            certainty: None,
            reranking: None,
            stages: StageTimes::default(),
        };
        if let Some(Calibrated { retrieved, .. }) = &self.calibrated {
            retrieved.apply(&mut prediction, &self.options.fuse);
        }
        prediction
    }

    /// The answer that the candidates of `prediction` would give if they lay elsewhere, as `moved` says: what wrong
    /// positions of references do. Candidates that were found for a reranking are looked at for what they say together.
    ///
    /// # Errors
    /// A shard was cut.
    pub fn with_places_moved(
        &self,
        prediction: &Prediction,
        moved: impl Fn(&Candidate) -> (f64, f64),
    ) -> Result<Prediction, ReadError> {
        let elsewhere = |candidate: &Candidate| {
            let (lat_deg, lon_deg) = moved(candidate);
            Candidate { lat_deg, lon_deg, support: None, ..candidate.clone() }
        };
        let mut candidates: Vec<Candidate> =
            prediction.similar.iter().chain(&prediction.further).map(elsewhere).collect();
        if self.options.fuse.overlap {
            add_support(&mut candidates, &self.shards, None, &self.options.fuse)?;
        }
        Ok(self.fused(candidates, prediction.dissimilar.clone()))
    }

    fn retrieve(
        &self,
        embedding: &[f32],
        prior: Option<&Prior>,
        context: &CameraContext<'_>,
    ) -> Result<(Vec<Candidate>, Vec<Candidate>), FrameError> {
        let failed = |error: &dyn std::fmt::Display| FrameError::Search(error.to_string());
        let usual = &self.options.search;
        let window = match prior.copied() {
            Some(prior) if context.hints.prior => Some(prior.wide_window()),
            Some(prior) => Some(Window::from(prior)),
            None => usual.filter.window,
        };
        let k = usual.k.max(self.options.pool);
        // References of one place are looked for further down than places themselves.
        let found = if self.options.fuse.overlap { k.max(LOOKED_AT) } else { k };
        let about = context.mean.and_then(|camera| Some((centred(embedding, camera.as_slice())?, self.index_mean()?)));
        // About a mean the order changes when what was found is scored exactly, so more is looked at.
        let asked = if about.is_some() { found.saturating_mul(2) } else { found };
        let options = SearchOptions { k: asked, filter: Filter { window, ..usual.filter.clone() }, ..usual.clone() };
        let query = about.as_ref().map_or(embedding, |(query, _)| query.as_slice());
        let mut retrieval = self.shards.search(query, &options).map_err(|error| failed(&error))?;
        if let Some((query, mean)) = &about {
            rescore(&self.shards, query, mean, &mut retrieval.similar).map_err(|error| failed(&error))?;
            rescore(&self.shards, query, mean, &mut retrieval.dissimilar).map_err(|error| failed(&error))?;
            retrieval.dissimilar.reverse();
            retrieval.similar.truncate(found);
        }
        let far = far_end(retrieval.dissimilar, usual);
        let hits = [retrieval.similar.as_slice(), &far].concat();
        let references = self.shards.references(&hits).map_err(|error| failed(&error))?;
        let mut similar: Vec<Candidate> =
            hits.iter().zip(references).map(|(hit, reference)| candidate(hit, reference)).collect();
        let dissimilar = similar.split_off(retrieval.similar.len().min(similar.len()));
        if self.options.fuse.overlap {
            let mean = about.as_ref().map(|(_, mean)| *mean);
            add_support(&mut similar, &self.shards, mean, &self.options.fuse).map_err(|error| failed(&error))?;
        }
        similar.truncate(k);
        Ok((similar, dissimilar))
    }
}

/// What is known of a frame beside its picture.
struct Known<'a> {
    prior: Option<&'a Prior>,
    offset: Option<CameraOffset>,
}

/// What a frame leaves behind beside its answer.
#[derive(Default)]
struct Left {
    fingerprint: Option<Fingerprint>,
    embedding: Option<Vec<f32>>,
    ignored: Vec<IgnoredHint>,
}

/// Footprints from which the side of a typical one is taken, at most.
const SIDES_LOOKED_AT: usize = 64;
/// Part of a footprint's shorter side that [`Candidate::extent_m`] is.
const EXTENT_OF_SIDE: f64 = 0.3;

/// Why a frame gets no further than its picture.
enum Stopped {
    Failed(FrameError),
    Refused(BadFrame),
}

/// The dissimilar end as it is without a pool: only the similar one is looked at further down. References drawn at random
/// come sorted, so every n-th of them stands for all.
fn far_end(dissimilar: Vec<Hit>, usual: &SearchOptions) -> Vec<Hit> {
    let step = match usual.dissimilar {
        Dissimilar::Random { .. } => dissimilar.len().div_ceil(usual.k.max(1)).max(1),
        _ => 1,
    };
    dissimilar.into_iter().step_by(step).take(usual.k).collect()
}

fn candidate(hit: &Hit, reference: Reference) -> Candidate {
    Candidate {
        lat_deg: reference.place.lat_deg,
        lon_deg: reference.place.lon_deg,
        similarity: hit.score,
        reference: reference.name,
        shard: hit.shard,
        row: hit.row,
        extent_m: reference.place.footprint.as_ref().map(extent_m),
        prior_nats: 0.0,
        support: None,
        offset: None,
    }
}

/// 0.3 of the shorter side of a footprint in metres.
fn extent_m(footprint: &Footprint) -> f64 {
    let (north, south) = (footprint.north_deg, footprint.south_deg);
    let height_m = distance_m(north, footprint.west_deg, south, footprint.west_deg);
    let middle_deg = f64::midpoint(north, south);
    let width_m = distance_m(middle_deg, footprint.west_deg, middle_deg, footprint.east_deg);
    height_m.min(width_m) * EXTENT_OF_SIDE
}

fn milliseconds_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
