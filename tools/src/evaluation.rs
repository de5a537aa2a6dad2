//! Runs queries through the pipeline and holds the answers against the truth.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use geolocated::locate::{Frame, Hints, Outcome, Pipeline, Prediction, StageTimes, distance_m};
use index_shards::Place;
use quantized_models::{DecodeLimits, decode};

use crate::baseline::{Baseline, random_rows, retrieve};
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
    /// Milliseconds per stage.
    pub stages: StageTimes,
    /// The row's columns, to group by.
    pub columns: BTreeMap<String, String>,
}

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

/// Runs all queries, each on its own through [`Pipeline::locate`] or, for vectors made elsewhere,
/// [`Pipeline::locate_embedding`]. Neither the true place nor heading, height or time reach the pipeline.
pub fn answer_all(
    pipeline: &Pipeline,
    queries: Vec<Query<'_>>,
    images: Option<&Path>,
    limits: &DecodeLimits,
    threads: usize,
) -> Vec<Answered> {
    let progress = Progress::new("locating", queries.len());
    let mut answers = Vec::with_capacity(queries.len());
    let never_fails = ordered_map(
        queries,
        threads,
        |query| answer(pipeline, &query, images, limits),
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
        Ok(()) => answers,
        Err(never) => match never {},
    }
}

fn answer(pipeline: &Pipeline, query: &Query<'_>, images: Option<&Path>, limits: &DecodeLimits) -> Answered {
    let file = &query.pose.file;
    let prediction = match (&query.vector, images) {
        (Some(vector), _) => Ok(pipeline.locate_embedding(vector, None)),
        (None, Some(images)) => pictures::read_below(images, file, limits)
            .map(|encoded| pipeline.locate(&frame(file, encoded)))
            .map_err(|error| format!("{}: {error}", error.reason())),
        (None, None) => Err("missing_picture: there is no folder of pictures".to_owned()),
    };
    judge(query, prediction)
}

fn frame(file: &str, encoded: Vec<u8>) -> Frame {
    Frame {
        id: file.to_owned(),
        camera: "evaluate".to_owned(),
        captured_at_ms: None,
        hints: Hints::default(),
        prior: None,
        encoded,
    }
}

fn judge(query: &Query<'_>, prediction: Result<Prediction, String>) -> Answered {
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
        stages: StageTimes::default(),
        columns: query.pose.columns.clone(),
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
    answered.stages = prediction.stages;
    answered.published = match &prediction.outcome {
        Outcome::Fix(fix) => {
            answered.judged.fix_m = Some(from_truth_m(fix.lat_deg, fix.lon_deg));
            Published::Fix
        }
        Outcome::Ambiguous => Published::Ambiguous,
        Outcome::NoFix(reason) => Published::NoFix(reason.as_str()),
        Outcome::Error(error) => Published::Error(error.to_string()),
    };
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
