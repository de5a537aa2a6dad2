//! Runs queries through the pipeline and holds the answers against the truth.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use geolocated::locate::rerank::{Comparison, PriorCandidate, Ranking, RerankOptions, Strategy};
use geolocated::locate::track::{Observation, Scale};
use geolocated::locate::{
    BadFrame, Candidate, Certainty, Frame, IgnoredHint, LastPicture, Located, NoFixReason, Outcome, Pipeline,
    Prediction, Prior, Reranking, StageTimes, distance_m,
};
use geolocated::reranker::{Reranked, Reranker};
use index_shards::Place;
use quantized_models::{DecodeLimits, decode};
use serde::Serialize;

use crate::baseline::{Baseline, random_rows, retrieve};
use crate::evaluated_hints::EvaluatedHints;
use crate::frozen::LastPictures;
use crate::metrics::{Judged, Labelled};
use crate::ordered::ordered_map;
use crate::pictures;
use crate::poses::Pose;
use crate::progress::Progress;

/// What is published for a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// A position.
    Fix,
    /// Several places.
    Ambiguous,
    /// No position, and the word that says why.
    NoFix(&'static str),
    /// The frame could not be worked on, and the sentence that says why.
    Error(String),
}

/// One query with its answer, held against the truth.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The picture.
    pub file: String,
    /// Whether the picture was taken where no reference is, so that there should be no fix.
    pub outside: bool,
    /// What was published.
    pub published: Published,
    /// Distances to the truth.
    pub judged: Judged,
    /// Labels of the query, where it has some, with what was found.
    pub labelled: Option<Labelled>,
    /// The same before any reranking.
    pub labelled_by_retrieval: Option<Labelled>,
    /// Milliseconds per stage.
    pub stages: StageTimes,
    /// Distances to the truth before any reranking.
    pub retrieved: Judged,
    /// What became of the query by each strategy, in the order in which they were asked for; the first one's answer is
    /// what was published.
    pub second: Vec<SecondAnswer>,
    /// What is wrong with the picture, where that is why there is no fix.
    pub bad: Option<BadFrame>,
    /// What the picture is recognised by when it comes again.
    pub picture: Option<LastPicture>,
    /// Hints that were to be used and could not be.
    pub ignored: Vec<IgnoredHint>,
    /// The row's columns, to group by.
    pub columns: BTreeMap<String, String>,
    /// What the answer that was published says to a track; absent where none is kept, and of a frame without a time.
    pub observation: Option<Observation>,
    /// The most similar candidate of that answer, where there is one.
    pub nearest: Option<Candidate>,
    /// What bears on how certain the answer is.
    pub belief: Belief,
}

/// What bears on how certain an answer is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Belief {
    /// Name of the flight.
    pub flight: String,
    /// The true place, latitude and longitude in degrees.
    pub truth: (f64, f64),
    /// The heaviest place, latitude and longitude in degrees; absent where nothing was retrieved.
    pub place: Option<(f64, f64)>,
    /// Metres between the two.
    pub place_m: Option<f64>,
    /// Whether that place is a fix, before a calibration takes back what is not certain enough.
    pub is_fix: bool,
    /// Cosine of the most similar reference.
    pub cosine: Option<f64>,
    /// Share of the heaviest place.
    pub heaviest_share: Option<f64>,
    /// What a calibration says.
    pub certainty: Option<Certainty>,
    /// The best candidate of the heaviest place.
    pub best: Option<Candidate>,
}

impl Belief {
    fn of(query: &Query<'_>, prediction: &Prediction) -> Self {
        let truth = &query.pose.place;
        let mode = prediction.posterior.modes.first();
        let withheld = prediction.certainty.and_then(|certainty| certainty.withheld);
        Self {
            flight: flight_of(query.pose),
            truth: (truth.lat_deg, truth.lon_deg),
            place: mode.map(|mode| (mode.lat_deg, mode.lon_deg)),
            place_m: mode.map(|mode| distance_m(truth.lat_deg, truth.lon_deg, mode.lat_deg, mode.lon_deg)),
            is_fix: matches!(prediction.outcome, Outcome::Fix(_)) || withheld.is_some(),
            cosine: prediction.similar.iter().map(|found| f64::from(found.similarity)).reduce(f64::max),
            heaviest_share: mode.map(|mode| mode.p),
            certainty: prediction.certainty,
            best: best(prediction).cloned(),
        }
    }
}

/// The best candidate of the heaviest place.
fn best(prediction: &Prediction) -> Option<&Candidate> {
    let first = prediction.posterior.modes.first()?.members.first()?;
    prediction.similar.iter().chain(&prediction.further).nth(*first)
}

/// The flight that a frame belongs to: its column `flight`, else one of its own, by the name of the picture.
pub fn flight_of(pose: &Pose) -> String {
    pose.columns.get("flight").unwrap_or(&pose.file).clone()
}

/// One query's second answer, held against the truth.
#[derive(Debug, Clone)]
pub struct SecondAnswer {
    /// What is said of it.
    pub reranking: Reranking,
    /// Distances to the truth.
    pub judged: Judged,
    /// Labels of the query, where it has some, with what was found.
    pub labelled: Option<Labelled>,
    /// Whether the best candidate is another one than before.
    pub changed_top1: bool,
    /// Metres between the truth and each candidate that could be moved to the top: those of the compared places.
    pub compared_m: Vec<f64>,
    /// Each comparison: the margin in nats, above 0 for the first, and the metres of both from the truth.
    pub pairs: Vec<PairJudged>,
    /// Each answer about a candidate by itself: the value, and its metres from the truth.
    pub answers: Vec<(f64, f64)>,
    /// The candidates, in the order of retrieval, which is how the ranking counts them.
    pub candidates: Vec<JudgedCandidate>,
    /// What the reranking left behind.
    pub ranking: Ranking,
}

/// A candidate of a reranking, held against the truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JudgedCandidate {
    /// Name of the reference.
    pub reference: String,
    /// Metres between it and the truth.
    pub metres: f64,
    /// Number of the place that it shows: one candidate of each place is compared.
    pub place: usize,
    /// Logarithm of its weight by retrieval, in nats; 0 for the best.
    pub log_weight: f64,
}

/// A comparison held against the truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairJudged {
    /// In nats, above 0 for the one that was shown first.
    pub margin: f64,
    /// Metres between the truth and the one that was shown first.
    pub first_m: f64,
    /// Metres between the truth and the other one.
    pub second_m: f64,
}

/// A comparator and what it is asked, once for each strategy.
pub struct SecondStage<'a> {
    /// The comparator.
    pub reranker: &'a Reranker,
    /// What each strategy is told; the answers of the first are those that count as published.
    pub options: Vec<RerankOptions>,
}

/// Is shown the frame and both answers of each query that was reranked.
pub type OnReranked<'a> = dyn Fn(&Query<'_>, &Frame, &Prediction, &Reranked) + Sync + 'a;

/// One query to run.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// The picture and its true place.
    pub pose: &'a Pose,
    /// Whether it was taken where no reference is.
    pub outside: bool,
    /// Its vector, when it was made elsewhere.
    pub vector: Option<Vec<f32>>,
}

/// What queries run through.
pub struct Stages<'a> {
    /// Retrieval.
    pub pipeline: &'a Pipeline,
    /// Reranking, where there is any.
    pub second: Option<SecondStage<'a>>,
    /// Is shown what was reranked.
    pub on_reranked: Option<&'a OnReranked<'a>>,
    /// Folder of the queries' pictures.
    pub images: Option<&'a Path>,
    /// What a picture may be at most.
    pub limits: &'a DecodeLimits,
    /// Whether a frozen camera's pictures get no fix.
    pub refuse_frozen: bool,
    /// What the rows' columns tell of the frames.
    pub hints: EvaluatedHints,
    /// How many candidates of each answer a track looks at, where one is kept.
    pub observed: Option<usize>,
}

impl Stages<'_> {
    /// What an answer says to a track: its candidates, at the time of its frame.
    fn observe(&self, query: &Query<'_>, frame: Option<&Frame>, prediction: &Prediction) -> Option<Observation> {
        let (most, time_ms) = (self.observed?, query.pose.place.captured_at_ms?);
        let nameless = frame.is_none().then(|| self.hints.frame(query.pose, Vec::new()));
        Some(Observation::of(frame.or(nameless.as_ref())?, time_ms, prediction, &Scale::of(self.pipeline, most)))
    }
}

/// What a query says to a track when it is searched for within `prior` alone, with its candidates; `None` for one that has
/// no time or cannot be read.
pub fn observe_within(stages: &Stages<'_>, query: &Query<'_>, prior: Prior) -> Option<(Observation, Vec<Candidate>)> {
    let prediction = match (&query.vector, stages.images) {
        (Some(vector), _) => stages.hints.locate_vector_within(stages.pipeline, query.pose, vector, prior),
        (None, Some(images)) => {
            let encoded = pictures::read_below(images, &query.pose.file, stages.limits).ok()?;
            stages.hints.locate_within(stages.pipeline, query.pose, encoded, prior)
        }
        (None, None) => return None,
    };
    Some((stages.observe(query, None, &prediction)?, prediction.similar))
}

/// Runs all queries, each on its own through [`Pipeline::locate`] or, for vectors made elsewhere,
/// [`Pipeline::locate_embedding`], and then through [`Reranker::rerank`]. The true place does not reach them, and heading,
/// height and priors only as [`EvaluatedHints`] say.
pub fn answer_all(stages: &Stages<'_>, queries: Vec<Query<'_>>, threads: usize) -> Vec<Answered> {
    let progress = Progress::new("locating", queries.len());
    let mut answers = Vec::with_capacity(queries.len());
    let never_fails = ordered_map(
        queries,
        threads,
        |query| answer(stages, &query),
        |answer| {
            if let Published::Error(reason) = &answer.published {
                progress.note(&format!("{}: {reason}", answer.file));
            }
            answers.push(answer);
            progress.step();
            Ok::<(), std::convert::Infallible>(())
        },
    );
    match never_fails {
        Ok(()) => {
            if stages.refuse_frozen {
                refuse_frozen(&mut answers);
            }
            answers
        }
        Err(never) => match never {},
    }
}

/// Takes the fix from frames that show the same picture as the one before in their flight, as the daemon does with one
/// camera's frames. Rows without a flight are single pictures. Each frame was answered by itself, so this comes after.
fn refuse_frozen(answers: &mut [Answered]) {
    let mut last = LastPictures::default();
    for answer in answers {
        let Some((flight, picture)) = answer.columns.get("flight").cloned().zip(answer.picture) else { continue };
        if last.repeats(&flight, picture) {
            let none = Judged::default();
            answer.published = Published::NoFix(NoFixReason::BadFrame(BadFrame::Frozen).as_str());
            answer.bad = Some(BadFrame::Frozen);
            (answer.judged, answer.retrieved) = (none.clone(), none);
            answer.second.clear();
        }
    }
}

fn answer(stages: &Stages<'_>, query: &Query<'_>) -> Answered {
    let file = &query.pose.file;
    let read = |images| pictures::read_below(images, file, stages.limits);
    let frame = stages.images.map(|images| read(images).map(|encoded| stages.hints.frame(query.pose, encoded)));
    let prediction = match (&query.vector, &frame) {
        (Some(vector), _) => Ok(stages.hints.locate_vector(stages.pipeline, query.pose, vector)),
        (None, Some(Ok(frame))) => Ok(stages.hints.locate(stages.pipeline, query.pose, frame)),
        (None, Some(Err(error))) => Err(format!("{}: {error}", error.reason())),
        (None, None) => Err("missing_picture: there is no folder of pictures".to_owned()),
    };
    let (prediction, fingerprint, ignored) = match prediction {
        Ok(Located { prediction, fingerprint, ignored, .. }) => (Ok(prediction), fingerprint, ignored),
        Err(reason) => (Err(reason), None, Vec::new()),
    };
    let captured_at_ms = query.pose.place.captured_at_ms;
    let picture = fingerprint.map(|fingerprint| LastPicture { fingerprint, captured_at_ms });
    let mut answered = Answered { picture, ignored, ..judge(query, prediction.clone()) };
    if let Ok(prediction) = &prediction {
        let frame = frame.as_ref().and_then(|frame| frame.as_ref().ok());
        answered.observation = stages.observe(query, frame, prediction);
    }
    match (&stages.second, prediction, frame) {
        (Some(second), Ok(retrieved), Some(frame)) if !retrieved.similar.is_empty() => {
            // A query's vector may come without its picture, which is then a frame that cannot be read.
            let frame = frame.unwrap_or_else(|_| stages.hints.frame(query.pose, Vec::new()));
            answer_again(stages, second, (query, &frame), &retrieved, answered)
        }
        _ => answered,
    }
}

/// Takes the query through the second stage, once for each strategy.
fn answer_again(
    stages: &Stages<'_>,
    second: &SecondStage<'_>,
    (query, frame): (&Query<'_>, &Frame),
    retrieved: &Prediction,
    first: Answered,
) -> Answered {
    let (mut answered, mut answers) = (first, Vec::new());
    for (number, options) in second.options.iter().enumerate() {
        if options.strategy == Strategy::Off {
            continue;
        }
        let reranked = second.reranker.rerank(stages.pipeline, &frame.encoded, retrieved, options);
        answers.extend(second_answer(stages.pipeline, query, retrieved, &reranked, options));
        if number == 0 {
            if let Some(show) = stages.on_reranked {
                show(query, frame, retrieved, &reranked);
            }
            let observation = stages.observe(query, Some(frame), &reranked.prediction);
            answered = Answered {
                retrieved: answered.retrieved,
                labelled_by_retrieval: answered.labelled_by_retrieval,
                picture: answered.picture,
                observation,
                ..judge(query, Ok(reranked.prediction))
            };
        }
    }
    Answered { second: answers, ..answered }
}

/// The second answer to a query, held against the truth; `None` of a reranking that says nothing of itself.
fn second_answer(
    pipeline: &Pipeline,
    query: &Query<'_>,
    retrieved: &Prediction,
    reranked: &Reranked,
    options: &RerankOptions,
) -> Option<SecondAnswer> {
    let candidates: Vec<Candidate> = retrieved.similar.iter().chain(&retrieved.further).cloned().collect();
    let truth = &query.pose.place;
    let metres: Vec<f64> =
        candidates.iter().map(|found| distance_m(truth.lat_deg, truth.lon_deg, found.lat_deg, found.lon_deg)).collect();
    let metres_of = |position: usize| metres.get(position).copied().unwrap_or(f64::INFINITY);
    let places = PriorCandidate::of(&candidates, &retrieved.dissimilar, pipeline.fuse_options());
    let may_move = PriorCandidate::compared(&places, options);
    let compared = metres.iter().zip(&may_move).filter(|(_, may_move)| **may_move);
    let ranking = &reranked.ranking;
    let pair = |pair: &Comparison| PairJudged {
        margin: f64::from(pair.margin),
        first_m: metres_of(pair.first),
        second_m: metres_of(pair.second),
    };
    let top1 = |prediction: &Prediction| prediction.similar.first().map(|first| (first.shard, first.row));
    let again = judge(query, Ok(reranked.prediction.clone()));
    Some(SecondAnswer {
        reranking: reranked.prediction.reranking.clone()?,
        judged: again.judged,
        labelled: again.labelled,
        changed_top1: top1(&reranked.prediction) != top1(retrieved),
        compared_m: compared.map(|(metres, _)| *metres).collect(),
        pairs: ranking.comparisons.iter().map(pair).collect(),
        answers: ranking.answers.iter().map(|answer| (f64::from(answer.value), metres_of(answer.candidate))).collect(),
        candidates: judged_candidates(&candidates, &metres, &places),
        ranking: ranking.clone(),
    })
}

fn judged_candidates(candidates: &[Candidate], metres: &[f64], places: &[PriorCandidate]) -> Vec<JudgedCandidate> {
    let known = candidates.iter().zip(metres).zip(places);
    let judged = |((candidate, metres), prior): ((&Candidate, &f64), &PriorCandidate)| JudgedCandidate {
        reference: candidate.reference.clone(),
        metres: *metres,
        place: prior.place,
        log_weight: prior.log_weight,
    };
    known.map(judged).collect()
}

/// A prediction held against the truth; the error says why there is none.
pub(crate) fn judge(query: &Query<'_>, prediction: Result<Prediction, String>) -> Answered {
    let truth = &query.pose.place;
    let from_truth_m = |lat_deg, lon_deg| distance_m(truth.lat_deg, truth.lon_deg, lat_deg, lon_deg);
    let mut answered = Answered {
        file: query.pose.file.clone(),
        outside: query.outside,
        published: Published::Ambiguous,
        judged: Judged::default(),
        labelled: query.pose.positive.clone().map(|positive| Labelled {
            positive,
            semi_positives: query.pose.semi_positives.clone(),
            found: Vec::new(),
        }),
        labelled_by_retrieval: None,
        stages: StageTimes::default(),
        retrieved: Judged::default(),
        second: Vec::new(),
        bad: None,
        picture: None,
        ignored: Vec::new(),
        columns: query.pose.columns.clone(),
        observation: None,
        nearest: None,
        belief: Belief { flight: flight_of(query.pose), truth: (truth.lat_deg, truth.lon_deg), ..Belief::default() },
    };
    let prediction = match prediction {
        Ok(prediction) => prediction,
        Err(reason) => return Answered { published: Published::Error(reason), ..answered },
    };
    let similar = &prediction.similar;
    answered.judged.reference_m = similar.iter().map(|found| from_truth_m(found.lat_deg, found.lon_deg)).collect();
    if let Some(labelled) = &mut answered.labelled {
        labelled.found = similar.iter().map(|found| found.reference.clone()).collect();
    }
    answered.belief = Belief::of(query, &prediction);
    answered.nearest = similar.first().cloned();
    answered.stages = prediction.stages;
    answered.published = match &prediction.outcome {
        Outcome::Fix(fix) => {
            answered.judged.fix_m = Some(from_truth_m(fix.lat_deg, fix.lon_deg));
            Published::Fix
        }
        Outcome::Ambiguous => Published::Ambiguous,
        Outcome::NoFix(reason) => {
            if let NoFixReason::BadFrame(kind) = reason {
                answered.bad = Some(*kind);
            }
            Published::NoFix(reason.as_str())
        }
        Outcome::Error(error) => Published::Error(error.to_string()),
    };
    answered.retrieved = answered.judged.clone();
    answered.labelled_by_retrieval = answered.labelled.clone();
    answered
}

/// Where the baselines find pictures.
#[derive(Debug, Clone)]
pub struct BaselineFolders {
    /// Folder of the queries' pictures.
    pub queries: PathBuf,
    /// Folder of the references' pictures, found there by the names of the references.
    pub references: PathBuf,
}

/// The references of an index that can be found: their names and places, by shard and in the order given to `build`.
///
/// # Errors
/// A shard is damaged or was cut.
pub fn references(pipeline: &Pipeline) -> anyhow::Result<Vec<(String, Place)>> {
    let mut references = Vec::with_capacity(pipeline.shards().len());
    pipeline.shards().for_each_reference(|shard, reference| {
        references.push((shard, reference));
        anyhow::Ok(())
    })?;
    references.sort_unstable_by_key(|(shard, reference)| (*shard, reference.position));
    Ok(references.into_iter().map(|(_, reference)| (reference.name, reference.place)).collect())
}

/// How the queries fare with a baseline over the same references.
///
/// # Errors
/// A reference's picture cannot be read; a query's picture that cannot be read is a miss.
pub fn judge_baseline(
    baseline: Baseline,
    references: &[(String, Place)],
    queries: &[Query<'_>],
    folders: &BaselineFolders,
    limits: &DecodeLimits,
    k: usize,
    threads: usize,
) -> anyhow::Result<Vec<Judged>> {
    let found: Vec<Vec<Place>> = if baseline == Baseline::Random {
        let place = |row: usize| references.get(row).map(|(_, place)| *place);
        let rows = |query| random_rows(query, references.len(), k).into_iter().filter_map(place).collect();
        (0..queries.len()).map(rows).collect()
    } else {
        let progress = Progress::new(baseline.name(), references.len().saturating_add(queries.len()));
        let feature = |folder: &Path, name: &str| -> anyhow::Result<Vec<f32>> {
            let image = decode(&pictures::read_below(folder, name, limits)?, limits)
                .with_context(|| format!("{}: cannot decode", folder.join(name).display()))?;
            baseline.feature(&image).context("this baseline looks at no picture")
        };
        let mut features = Vec::with_capacity(references.len());
        let of_reference = |(name, place): &(String, Place)| Ok((*place, feature(&folders.references, name)?));
        ordered_map(references, threads, of_reference, |result: anyhow::Result<_>| {
            features.push(result.context("baseline: a reference cannot be used (--reference-images)")?);
            progress.step();
            anyhow::Ok(())
        })?;
        let mut wanted = Vec::with_capacity(queries.len());
        let of_query = |query: &Query<'_>| feature(&folders.queries, &query.pose.file).ok();
        ordered_map(queries, threads, of_query, |feature| {
            wanted.push(feature);
            progress.step();
            anyhow::Ok(())
        })?;
        retrieve(&features, &wanted, k)?
    };
    let judge = |(query, places): (&Query<'_>, Vec<Place>)| {
        let truth = &query.pose.place;
        let from_truth_m = |place: Place| distance_m(truth.lat_deg, truth.lon_deg, place.lat_deg, place.lon_deg);
        Judged { reference_m: places.into_iter().map(from_truth_m).collect(), fix_m: None }
    };
    Ok(queries.iter().zip(found).map(judge).collect())
}
