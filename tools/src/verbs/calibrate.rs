//! `geolocate calibrate`: how certain are the answers?

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use geolocated::assemble::{EncoderChoice, assemble};
use geolocated::calibration::{Calibration, FORMAT, FittedOn, FuseScale, RerankedCalibration, asked, digests};
use geolocated::locate::rerank::{RerankOptions, Strategy};
use geolocated::locate::{LastPicture, Located, Pipeline, PipelineOptions, Posterior, Prediction, StageCalibration};
use geolocated::reranker::Reranker;
use geolocated::stamps::Stamps;
use index_shards::SearchOptions;
use quantized_models::DecodeLimits;

use super::evaluate::{OUTSIDE, choose, load_truth, read_vectors};
use crate::builtin;
use crate::calibration::fit::{FitOptions, Sample, fit, fitting_flights};
use crate::calibration::scale;
use crate::cli::Status;
use crate::dataset::load_split;
use crate::evaluated_hints::{EvaluatedHints, HintArg};
use crate::evaluation::{Query, flight_of};
use crate::frozen::LastPictures;
use crate::fuse_args::FuseArgs;
use crate::index_args::{IndexArgs, at_least_one, check_width};
use crate::metrics::{Threshold, quantile};
use crate::npy::NpyReader;
use crate::ordered::ordered_map;
use crate::output::{JsonTarget, say};
use crate::pictures;
use crate::progress::Progress;
use crate::rerank_args::{RerankArgs, StrategyArg};
use crate::runtime_args::{LoadingBar, RuntimeArgs};
use crate::search_args::EndsArgs;

/// Fits how certain answers are, on flights with known places, and writes what daemon, locate and evaluate need for
/// radii, confidence, and fixes that are withheld.
///
/// Frames of one flight, by the column flight of the poses, are alike; frames without a flight count as one flight each.
/// One third of the flights is for the confidence, the others for the threshold and the radii. What is promised holds
/// for flights that are like these. Frames of role "outside" should get no fix; bring enough of them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  geolocate calibrate --index reference.shard --encoder models/siglip-b16-224 \
    --images flights/images --poses flights/poses.csv --out calibration.toml")]
pub struct CalibrateArgs {
    #[command(flatten)]
    index: IndexArgs,
    /// Model folder or manifest of the encoder, or mini, the built-in one
    #[arg(long, value_name = "MODEL", required_unless_present = "query_vectors", conflicts_with = "query_vectors")]
    encoder: Option<PathBuf>,
    #[command(flatten)]
    runtime: RuntimeArgs,
    /// Vectors of the frames made elsewhere: float32, row i belongs to row i of the poses
    #[arg(long, value_name = "FILE.npy", requires = "poses")]
    query_vectors: Option<PathBuf>,
    /// Folder of the frames; names in the CSV files are relative to it
    #[arg(long, value_name = "DIR", required_unless_present = "query_vectors")]
    images: Option<PathBuf>,
    /// CSV with at least file,lat,lon in WGS 84 degrees, and flight [default: EXIF positions]
    #[arg(long, value_name = "FILE.csv")]
    poses: Option<PathBuf>,
    /// CSV with file,role: which picture plays which role; goes before a column "role" of the poses
    #[arg(long, value_name = "FILE.csv")]
    split: Option<PathBuf>,
    /// Take rows of these roles [default: query,outside where roles are known, else all rows as queries]
    #[arg(long, value_name = "ROLE[,ROLE...]", value_delimiter = ',')]
    role: Vec<String>,
    #[command(flatten)]
    second: RerankArgs,
    /// Also calibrate reranked answers, of this strategy
    #[arg(long, value_name = "STRATEGY", default_value = "adaptive", requires = "comparator")]
    rerank: StrategyArg,
    /// Use these measurements of the rows, as evaluate and the cameras of the daemon do: heading, altitude, prior, attitude
    #[arg(long, value_name = "HINT[,...]", value_delimiter = ',')]
    hints: Vec<HintArg>,
    #[command(flatten)]
    ends: EndsArgs,
    #[command(flatten)]
    fuse: FuseArgs,
    /// Share of the frames from outside that may get a fix
    #[arg(long, value_name = "SHARE", default_value = "0.05", value_parser = share)]
    risk: f64,
    /// A fix is right within so many metres [default: the larger of 50 and half of a footprint's side]
    #[arg(long, value_name = "M")]
    right_within_m: Option<Threshold>,
    /// Where the calibration goes
    #[arg(long, value_name = "FILE.toml")]
    out: PathBuf,
    /// How many frames to run at the same time
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    threads: usize,
    /// Write the calibration as JSON, too
    #[arg(long, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

/// Parses a share above 0 and below 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err(format!("found {text:?}, expected a share above 0 and below 1")),
    }
}

/// Runs the verb.
///
/// # Errors
/// An input cannot be used, there are too few flights or frames, or the calibration cannot be written.
pub fn run(args: &CalibrateArgs) -> anyhow::Result<Status> {
    let limits = DecodeLimits::default();
    let table = load_truth(args.poses.as_deref(), args.images.as_deref(), &[], &limits)?;
    let split = load_split(args.split.as_deref())?;
    let mut queries = choose(&args.role, &table, split.as_ref())?;
    if let Some(path) = &args.query_vectors {
        let mut reader = NpyReader::open(path)?;
        check_width(&reader, &args.index.open()?)?;
        read_vectors(&mut reader, &table, &mut queries)?;
    }
    let StrategyArg(strategy) = args.rerank;
    let reranked = args.second.comparator.is_some() && strategy != Strategy::Off;
    let pipeline = open(args, if reranked { args.second.pool() } else { 0 })?;
    let hints = EvaluatedHints::new(&args.hints, false, false, &table)?;
    let mut fitter = Fitter::new(args, pipeline, queries, &hints)?;
    fitter.fit_scale();
    let right_within_m = args.right_within_m.as_ref().map_or_else(|| fitter.usual_radius_m(), |given| given.metres);
    let options = FitOptions { right_within_m, risk: args.risk };
    let retrieved = fitter.fit(&fitter.retrieved, &options).context("no calibration")?;
    let reranked = if reranked { fitter.reranked(strategy, &options)? } else { None };
    let calibration = fitter.calibration(args, &options, retrieved, reranked);
    calibration.store(&args.out).with_context(|| format!("{}: cannot write", args.out.display()))?;
    say(args.json.as_ref(), &summary(&calibration, &args.out))?;
    if let Some(json) = &args.json {
        json.write(&calibration)?;
    }
    Ok(Status::Done)
}

fn open(args: &CalibrateArgs, pool: usize) -> anyhow::Result<Pipeline> {
    let limits = DecodeLimits::default();
    let search = args.ends.apply(SearchOptions::default());
    let fuse = args.fuse.options();
    let options = PipelineOptions { search, limits, pool, fuse, ..PipelineOptions::default() };
    let load = args.runtime.options(args.threads);
    let model = args.encoder.as_deref().map(builtin::resolve).transpose()?;
    let encoder = model.as_deref().map(|model| EncoderChoice { model, options: &load });
    let mut bar = LoadingBar::new();
    Ok(assemble(encoder, &args.index.index, options, &mut Stamps::none(), &mut |progress| bar.show(progress))?)
}

/// Frames with their answers by retrieval, and what is fitted to them.
struct Fitter<'a> {
    args: &'a CalibrateArgs,
    pipeline: Pipeline,
    queries: Vec<Query<'a>>,
    /// The answer to each query; absent where it could not be worked on.
    retrieved: Vec<Option<Prediction>>,
    /// Names of the flights for scale and confidence.
    fitting: Vec<String>,
}

impl<'a> Fitter<'a> {
    fn new(
        args: &'a CalibrateArgs,
        pipeline: Pipeline,
        queries: Vec<Query<'a>>,
        hints: &EvaluatedHints,
    ) -> anyhow::Result<Self> {
        let flights: Vec<String> = queries.iter().map(|query| flight_of(query.pose)).collect();
        let mut fitter = Self { args, pipeline, queries, retrieved: Vec::new(), fitting: fitting_flights(&flights) };
        let located = fitter.each("locating", |fitter, _, query| match &query.vector {
            Some(vector) => Some(hints.locate_vector(&fitter.pipeline, query.pose, vector)),
            None => {
                let frame = hints.frame(query.pose, fitter.picture(query)?);
                Some(hints.locate(&fitter.pipeline, query.pose, &frame))
            }
        });
        fitter.retrieved = fitter.usable(located);
        if fitter.retrieved.iter().all(Option::is_none) {
            bail!("expected frames with an answer, found none");
        }
        Ok(fitter)
    }

    /// The answers that something can be learned from: not those that name no place, nor those of a frozen camera's
    /// pictures, to which the daemon gives none.
    fn usable(&self, located: Vec<Option<Located>>) -> Vec<Option<Prediction>> {
        let mut last = LastPictures::default();
        let usable = |(query, located): (&Query<'_>, Option<Located>)| {
            let Located { prediction, fingerprint, .. } = located?;
            let captured_at_ms = query.pose.place.captured_at_ms;
            let picture = fingerprint.map(|fingerprint| LastPicture { fingerprint, captured_at_ms });
            let flight = query.pose.columns.get("flight");
            let repeats = flight.zip(picture).is_some_and(|(flight, picture)| last.repeats(flight, picture));
            (!repeats && !prediction.posterior.modes.is_empty()).then_some(prediction)
        };
        self.queries.iter().zip(located).map(usable).collect()
    }

    /// The picture of a query; one that cannot be read is said on standard error.
    fn picture(&self, query: &Query<'_>) -> Option<Vec<u8>> {
        let images = self.args.images.as_deref()?;
        match pictures::read_below(images, &query.pose.file, &DecodeLimits::default()) {
            Ok(encoded) => Some(encoded),
            Err(error) => {
                eprintln!("geolocate: not used: {error}");
                None
            }
        }
    }

    /// Does `work` for every query, with its position, on as many threads as are asked for.
    fn each<T: Send>(
        &self,
        title: &'static str,
        work: impl Fn(&Self, usize, &Query<'_>) -> Option<T> + Sync,
    ) -> Vec<Option<T>> {
        let progress = Progress::new(title, self.queries.len());
        let mut results = Vec::with_capacity(self.queries.len());
        let never_fails = ordered_map(
            self.queries.iter().enumerate(),
            self.args.threads,
            |(at, query)| work(self, at, query),
            |result| {
                results.push(result);
                progress.step();
                Ok::<(), std::convert::Infallible>(())
            },
        );
        match never_fails {
            Ok(()) => results,
            Err(never) => match never {},
        }
    }

    /// Fits the scale of similarity, and weighs the candidates anew by it.
    fn fit_scale(&mut self) {
        let placed: Vec<_> = self
            .queries
            .iter()
            .zip(&self.retrieved)
            .filter(|(query, _)| !query.outside && self.fitting.contains(&flight_of(query.pose)))
            .filter_map(|(query, prediction)| Some((prediction.as_ref()?, truth(query))))
            .collect();
        let sharpness = scale::fit(&placed, self.pipeline.fuse_options());
        self.pipeline.set_sharpness(sharpness);
        let options = *self.pipeline.fuse_options();
        for prediction in self.retrieved.iter_mut().flatten() {
            prediction.posterior = Posterior::of_retrieval(&prediction.similar, &prediction.dissimilar, &options);
            prediction.outcome = prediction.posterior.outcome(&options);
        }
    }

    /// What counts as right where nobody says it.
    fn usual_radius_m(&self) -> f64 {
        let nearest = self.retrieved.iter().flatten().filter_map(|prediction| prediction.similar.first());
        let halves: Vec<f64> = nearest.filter_map(|found| Some(found.extent_m? / 0.6)).collect();
        quantile(&halves, 0.5).unwrap_or_default().max(self.pipeline.fuse_options().same_place_m)
    }

    fn fit(&self, answers: &[Option<Prediction>], options: &FitOptions) -> anyhow::Result<StageCalibration> {
        let sample = |(query, prediction): (&Query<'_>, &Option<Prediction>)| {
            let fuse = self.pipeline.fuse_options();
            Sample::of(prediction.as_ref()?, fuse, flight_of(query.pose), query.outside, truth(query))
        };
        let samples: Vec<Sample> = self.queries.iter().zip(answers).filter_map(sample).collect();
        Ok(fit(&samples, &self.fitting, options)?)
    }

    /// The calibration of reranked answers.
    fn reranked(&self, strategy: Strategy, options: &FitOptions) -> anyhow::Result<Option<RerankedCalibration>> {
        if self.args.images.is_none() {
            bail!("--comparator: expected --images, which it looks at");
        }
        let second = &self.args.second;
        let told: RerankOptions = second.options(strategy)?;
        let threads = if told.budget_ms.is_some() { 1 } else { self.args.threads };
        let opened = second.open(&self.args.runtime, threads, &[strategy], self.pipeline.shards())?;
        let Some(reranker) = opened else { return Ok(None) };
        let answers = self.rerank(&reranker, &told);
        let stage = self.fit(&answers, options).context("no calibration of reranked answers")?;
        let comparator = reranker.comparator().name().to_owned();
        Ok(Some(RerankedCalibration { comparator, strategy: strategy.as_str().to_owned(), stage }))
    }

    fn rerank(&self, reranker: &Reranker, told: &RerankOptions) -> Vec<Option<Prediction>> {
        self.each("reranking", |fitter, at, query| {
            let retrieved = fitter.retrieved.get(at)?.as_ref()?;
            let encoded = fitter.picture(query)?;
            Some(reranker.rerank(&fitter.pipeline, &encoded, retrieved, told).prediction)
        })
    }

    fn calibration(
        &self,
        args: &CalibrateArgs,
        options: &FitOptions,
        retrieved: StageCalibration,
        reranked: Option<RerankedCalibration>,
    ) -> Calibration {
        let answered = self.queries.iter().zip(&self.retrieved).filter(|(_, prediction)| prediction.is_some());
        let (outside, inside): (Vec<_>, Vec<_>) = answered.map(|(query, _)| query).partition(|query| query.outside);
        let mut flights: Vec<String> = self.queries.iter().map(|query| flight_of(query.pose)).collect();
        flights.sort_unstable();
        flights.dedup();
        let poses = args.poses.as_deref().or(args.images.as_deref()).and_then(Path::file_name);
        Calibration {
            format: FORMAT,
            space: self.pipeline.shards().space().to_owned(),
            shards: digests(self.pipeline.shards()),
            asked: asked(self.pipeline.search_options()),
            fuse: FuseScale::of(self.pipeline.fuse_options()),
            fitted_on: FittedOn {
                poses: poses.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
                flights: flights.len(),
                frames: inside.len(),
                outside: outside.len(),
                right_within_m: options.right_within_m,
                risk: options.risk,
                hints: args.hints.iter().map(|HintArg(hint)| *hint).collect(),
            },
            retrieved,
            reranked,
        }
    }
}

fn truth(query: &Query<'_>) -> (f64, f64) {
    (query.pose.place.lat_deg, query.pose.place.lon_deg)
}

fn summary(calibration: &Calibration, out: &Path) -> String {
    let fitted = &calibration.fitted_on;
    let mut text = format!(
        "{}: {} flights, {} frames of mapped ground, {} from outside; right within {:.0} m; sharpness {}\n",
        out.display(),
        fitted.flights,
        fitted.frames,
        fitted.outside,
        fitted.right_within_m,
        calibration.fuse.sharpness
    );
    let reranked = calibration.reranked.as_ref().map(|reranked| ("reranked", &reranked.stage));
    for (name, stage) in [("retrieved", &calibration.retrieved)].into_iter().chain(reranked) {
        text += &match stage.least_confidence {
            Some(least) => format!("{name}: a fix above a confidence of {least:.3}"),
            None => format!("{name}: every fix is published, since there are no frames of role {OUTSIDE}"),
        };
        for band in &stage.radius {
            let (above, inner, outer) = (band.above, band.sigmas_68, band.sigmas_95);
            text += &format!("; above {above:.3} 68 % within {inner:.2} sigma, 95 % within {outer:.2}");
        }
        text.push('\n');
    }
    text
}
