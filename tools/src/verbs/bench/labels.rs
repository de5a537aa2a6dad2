//! `geolocate bench labels`: what wrong positions of references do, and how many of them are found.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use geolocated::calibration::calibrate;
use geolocated::locate::{Candidate, Outcome, Pipeline, PipelineOptions, Prediction, distance_m};
use index_shards::ShardSet;
use serde::Serialize;

use crate::cli::Status;
use crate::dataset::all_cores;
use crate::index_args::IndexArgs;
use crate::labels::Labels;
use crate::labels::corrupt::{Corrupted, Found};
use crate::metrics::{quantile, share};
use crate::output::{JsonTarget, say};

/// Scores that are reported.
const SCORES: [f64; 4] = [0.2, 0.35, 0.5, 0.7];

/// So many candidates of each query are moved: as many as are looked at for what they say together.
const CANDIDATES: usize = 64;

/// Gives references of an index wrong positions, in memory, and says how many of them `verify --labels` finds, and how
/// much worse the fixes of some queries become.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  geolocate bench labels --index map.shard --queries flight.shard --json labels.json"
)]
pub(super) struct LabelsBenchArgs {
    #[command(flatten)]
    index: IndexArgs,
    /// A shard of queries, in the same space: its vectors are looked for, its positions are the truth
    #[arg(long, value_name = "FILE.shard")]
    queries: Option<PathBuf>,
    /// How certain answers are, as calibrate wrote it for this index: then whether radii hold is reported, too
    #[arg(long, value_name = "FILE.toml", requires = "queries")]
    calibration: Option<PathBuf>,
    /// Shares of references that get a wrong position
    #[arg(long, value_name = "SHARE[,...]", value_delimiter = ',', default_value = "0,0.01,0.05,0.1")]
    shares: Vec<f64>,
    /// Decides which ones, and where they go
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
}

/// The figures for one share.
#[derive(Debug, Serialize)]
struct Figures {
    share: f64,
    found: Vec<Found>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fixes: Option<FixFigures>,
}

/// Fixes of the queries.
#[derive(Debug, Serialize)]
struct FixFigures {
    queries: usize,
    fixes: usize,
    ambiguous: usize,
    error_m: BTreeMap<&'static str, f64>,
    /// Share of the fixes whose true position lies within the radius for 68 %; absent without a calibration.
    #[serde(skip_serializing_if = "Option::is_none")]
    radius_68_coverage: Option<f64>,
    /// The same for 95 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    radius_95_coverage: Option<f64>,
}

/// The whole report.
#[derive(Debug, Serialize)]
struct LabelsReport {
    schema: u32,
    references: usize,
    reach_m: f64,
    shares: Vec<Figures>,
}

/// Runs the verb.
///
/// # Errors
/// A shard cannot be read, or the shards are of different spaces.
pub(super) fn run(args: &LabelsBenchArgs, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let labels = Labels::read(&args.index.open()?, all_cores())?;
    let calibration = args.calibration.as_deref();
    let answers =
        args.queries.as_ref().map(|queries| Answers::of(args.index.open()?, queries, calibration)).transpose()?;
    let figures = |share: &f64| -> anyhow::Result<Figures> {
        let corrupted = Corrupted::new(&labels, *share, args.seed);
        Ok(Figures {
            share: *share,
            found: SCORES.iter().map(|from| Found::of(&labels, &corrupted, *from)).collect(),
            fixes: answers.as_ref().map(|answers| answers.with(&labels, &corrupted)).transpose()?,
        })
    };
    let report = LabelsReport {
        schema: 1,
        references: labels.labels.len(),
        reach_m: labels.reach_m,
        shares: args.shares.iter().map(figures).collect::<anyhow::Result<_>>()?,
    };
    say(json, &report.text())?;
    if let Some(json) = json {
        json.write(&report)?;
    }
    Ok(Status::Done)
}

/// The true place of a query, latitude and longitude in degrees, and its answer.
type Retrieved = ((f64, f64), Prediction);

/// Candidates of each query, with its true place.
struct Answers {
    pipeline: Pipeline,
    queries: Vec<Retrieved>,
}

impl Answers {
    fn of(shards: ShardSet, queries: &Path, calibration: Option<&Path>) -> anyhow::Result<Self> {
        let set = ShardSet::open(&[queries.to_path_buf()])?;
        anyhow::ensure!(
            set.space() == shards.space(),
            "{}: expected vectors of space \"{}\", found \"{}\"",
            queries.display(),
            shards.space(),
            set.space()
        );
        let options = PipelineOptions { pool: CANDIDATES, ..PipelineOptions::default() };
        let (pipeline, problem) = calibrate(Pipeline::new(None, shards, options, false)?, calibration);
        if let Some(problem) = problem {
            return Err(problem.into());
        }
        let mut answers = Vec::with_capacity(set.len());
        set.for_each_reference(|shard, reference| {
            if let Some(shard) = set.shards().get(shard) {
                let prediction = pipeline.locate_embedding(&shard.vector(reference.row)?, None);
                let truth = (reference.place.lat_deg, reference.place.lon_deg);
                answers.push((truth, prediction));
            }
            anyhow::Ok(())
        })?;
        Ok(Self { pipeline, queries: answers })
    }

    /// What the fixes are like when references are labelled as in `corrupted`.
    fn with(&self, labels: &Labels, corrupted: &Corrupted) -> anyhow::Result<FixFigures> {
        let moved = |candidate: &Candidate| {
            let key = (candidate.shard, candidate.row);
            let index = labels.labels.binary_search_by_key(&key, |label| (label.shard, label.row)).ok();
            let place = index.and_then(|index| corrupted.at.get(index)).copied();
            place.unwrap_or((candidate.lat_deg, candidate.lon_deg))
        };
        let (mut errors_m, mut ambiguous, mut held) = (Vec::new(), 0, Vec::new());
        for (truth, prediction) in &self.queries {
            let prediction = self.pipeline.with_places_moved(prediction, moved)?;
            match &prediction.outcome {
                Outcome::Fix(fix) => {
                    let error_m = distance_m(truth.0, truth.1, fix.lat_deg, fix.lon_deg);
                    errors_m.push(error_m);
                    let radii = prediction.certainty.and_then(|certainty| certainty.radii);
                    held.extend(radii.map(|radii| (error_m <= radii.radius_68_m, error_m <= radii.radius_95_m)));
                }
                Outcome::Ambiguous => ambiguous += 1,
                Outcome::NoFix(_) | Outcome::Error(_) => {}
            }
        }
        let quantiles = [("p50", 0.5), ("p75", 0.75), ("p90", 0.9)];
        let error_m = quantiles.iter().filter_map(|(name, at)| Some((*name, quantile(&errors_m, *at)?))).collect();
        let covered = |of: fn(&(bool, bool)) -> bool| (!held.is_empty()).then(|| share(&held, of));
        Ok(FixFigures {
            queries: self.queries.len(),
            fixes: errors_m.len(),
            ambiguous,
            error_m,
            radius_68_coverage: covered(|(inner, _)| *inner),
            radius_95_coverage: covered(|(_, outer)| *outer),
        })
    }
}

impl FixFigures {
    fn radii_text(&self) -> String {
        match (self.radius_68_coverage, self.radius_95_coverage) {
            (Some(inner), Some(outer)) => format!("; radius 68 % holds {inner:.3}, 95 % {outer:.3}"),
            _ => String::new(),
        }
    }
}

impl LabelsReport {
    fn text(&self) -> String {
        let mut text = format!("{} references, one place within {:.0} m\n", self.references, self.reach_m);
        for figures in &self.shares {
            for found in &figures.found {
                let _ = writeln!(
                    text,
                    "wrong {:>5.1} %  score from {:.2}: {} suspects of {} wrong, precision {:.3}, recall {:.3}",
                    figures.share * 100.0,
                    found.from,
                    found.suspects,
                    found.wrong,
                    found.precision,
                    found.recall
                );
            }
            if let Some(fixes) = &figures.fixes {
                let errors: Vec<String> =
                    fixes.error_m.iter().map(|(name, metres)| format!("{name} {metres:.1} m")).collect();
                let _ = writeln!(
                    text,
                    "  {} queries: {} fixes, {} ambiguous, error {}{}",
                    fixes.queries,
                    fixes.fixes,
                    fixes.ambiguous,
                    errors.join(", "),
                    fixes.radii_text()
                );
            }
        }
        text
    }
}
