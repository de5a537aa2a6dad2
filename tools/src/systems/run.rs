//! Runs a published system that asks a generator.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use geolocated::generator::geometric_median;
use geolocated::locate::{Pipeline, Prediction};
use h3o::{LatLng, Resolution};

use super::aggregate::{cluster_vote, rescored_by_retrieval};
use super::answer_cache::Kept;
use super::args::{GeneratorAt, SystemArgs};
use super::figures::{RagFigures, SftFigures, SftRow, Within, error_m};
use super::generator::Generator;
use super::geodesy::geodesic_m;
use super::local::LocalGenerator;
use super::neighbours::{Neighbours, retrieve};
use super::openai::{KEY_VARIABLE, OpenAiServer, ServerOptions};
use super::published::published;
use super::questions::{Answer, Asked, Asking, Place, Why};
use super::report::{Gallery, SystemReport};
use super::retrieval::{CheckEncoder, Reopen};
use super::sweep;
use crate::dataset::all_cores;
use crate::evaluated_hints::EvaluatedHints;
use crate::evaluation::{Answered, Published, Query, judge};
use crate::metrics::Threshold;
use crate::report::{Evaluated, Report};
use crate::runtime_args::{RuntimeArgs, user_cache};

/// What every system is given.
pub struct Inputs<'a> {
    /// Retrieval.
    pub pipeline: &'a Pipeline,
    /// The queries.
    pub queries: &'a [Query<'a>],
    /// Folder of their pictures.
    pub images: Option<&'a Path>,
    /// Columns to group by; `cell` is the cell of H3 that holds the true place.
    pub by: &'a [String],
    /// What the rows tell of the frames.
    pub hints: &'a EvaluatedHints,
    /// Queries to retrieve for at the same time.
    pub threads: usize,
    /// How a generator that runs here is loaded.
    pub runtime: &'a RuntimeArgs,
    /// Opens other retrievals, for sweeps.
    pub reopen: &'a Reopen<'a>,
    /// Looks at the encoders of a sweep before it begins.
    pub check: &'a CheckEncoder<'a>,
}

/// Cells of `--by cell` are some 290 km wide.
const CELL: Resolution = Resolution::Two;
/// Answers so near one another vote together, metres.
const VOTE_RADIUS_M: f64 = 25_000.0;
/// A reference speaks for answers within some such distance, metres.
const RESCORE_SCALE_M: f64 = 25_000.0;

/// Runs the system that the arguments name, and returns the report with what became of each query.
///
/// # Errors
/// The generator refuses all questions, or a file cannot be read or written.
pub fn run(args: &SystemArgs, inputs: &Inputs<'_>) -> anyhow::Result<(Report, Vec<Answered>)> {
    let images = inputs.images.context("--system: expected --images, which the generator is shown")?;
    let generator = generator(args, inputs.runtime, None)?;
    let retrieved = retrieve(inputs.pipeline, (inputs.queries, inputs.images), inputs.hints, inputs.threads);
    let neighbours: Vec<Neighbours> = inputs
        .queries
        .iter()
        .zip(&retrieved)
        .map(|(query, found)| found.as_ref().map(|found| Neighbours::of(query, found)).unwrap_or_default())
        .collect();
    let asking = Asking {
        generator: &generator,
        images,
        limits: inputs.pipeline.limits(),
        picture_px: args.picture_px,
        temperature: args.temperature,
        runs: args.runs(),
        concurrency: concurrency(args),
    };
    let sweep = args.sweep.as_ref().map(|path| sweep::run(path, args, &asking, inputs, &neighbours));
    let sweep = sweep.transpose()?.unwrap_or_default();
    let own: Vec<&Neighbours> = neighbours.iter().collect();
    let asked = asking.ask("asking", &args.prompt(), inputs.queries, &own)?;
    let thresholds = args.thresholds();
    let mut system = SystemReport {
        name: if args.is_sft() { "sft" } else { "rag" },
        paper: if args.is_sft() { "arXiv 2506.01277" } else { "arXiv 2509.01341" },
        gallery: Gallery::of(inputs.pipeline.shards(), args.sources()),
        generator: Some(generator.name().to_owned()),
        temperature: Some(args.temperature),
        rag: None,
        sft: None,
        sweep,
        published: published(if args.is_sft() { "sft" } else { "rag" }, args.data_set.as_deref()),
    };
    let places = if args.is_sft() {
        let (figures, places) = sft(args, inputs, &asking, &neighbours, &asked, &thresholds)?;
        system.sft = Some(figures);
        places
    } else {
        let shuffled =
            args.control_shuffled.then(|| asking.ask("shuffled", &args.prompt(), inputs.queries, &rotated(&own)));
        let shuffled = shuffled.transpose()?;
        let inside = (inputs.queries, own.as_slice());
        system.rag = Some(RagFigures::of(inside, &asked, shuffled.as_ref(), args.prompt(), &thresholds));
        asked.answers.iter().map(|answers| first(answers)).collect()
    };
    let answers: Vec<Answered> = inputs
        .queries
        .iter()
        .zip(retrieved)
        .zip(places)
        .map(|((query, retrieved), place)| answered(query, retrieved, place))
        .collect();
    let evaluated = Evaluated {
        space: inputs.pipeline.shards().space().to_owned(),
        digest: inputs.pipeline.shards().digest(),
        encoder: inputs.pipeline.encoder().map(|encoder| encoder.name().to_owned()),
        comparator: None,
    };
    let mut report = Report::new(&answers, inputs.pipeline.shards().len(), &thresholds, inputs.by, evaluated);
    report.distance = "WGS 84 geodesic";
    report.system = Some(system);
    Ok((report, answers))
}

/// Questions under way at the same time; a model that runs here has no use for more than there are cores.
fn concurrency(args: &SystemArgs) -> usize {
    match args.generator {
        Some(GeneratorAt::Folder(_)) => args.concurrency.min(all_cores()),
        _ => args.concurrency,
    }
}

/// What answers, with its kept answers; `base` is another model at the same server, or in another folder.
fn generator(args: &SystemArgs, runtime: &RuntimeArgs, base: Option<&str>) -> anyhow::Result<Kept<Box<dyn Generator>>> {
    let expected = "--generator: expected the address of a server, or a model folder";
    let patience = Duration::from_secs(args.timeout_s.max(1));
    let inner: Box<dyn Generator> = match args.generator.as_ref().context(expected)? {
        GeneratorAt::Server(url) => {
            let model = base.or(args.generator_model.as_deref());
            let options = ServerOptions {
                url: url.clone(),
                model: model.context("--generator-model: expected the name of the model at the server")?.to_owned(),
                timeout: patience,
                attempts: args.attempts.max(1),
                first_wait: Duration::from_millis(args.retry_wait_ms),
                most_tokens: args.answer_tokens,
            };
            let key = std::env::var(KEY_VARIABLE).ok().filter(|key| !key.is_empty());
            Box::new(OpenAiServer::new(options, key.as_deref())?)
        }
        GeneratorAt::Folder(_) if args.generator_model.is_some() => {
            bail!("--generator-model: expected none with a model folder, which names its model")
        }
        GeneratorAt::Folder(folder) => {
            let folder = base.map_or(folder.as_path(), Path::new);
            let most_tokens = usize::try_from(args.answer_tokens).unwrap_or(usize::MAX);
            Box::new(LocalGenerator::open(folder, &runtime.options(concurrency(args)), most_tokens, patience)?)
        }
    };
    let folder: PathBuf = match &args.answers {
        Some(folder) => folder.clone(),
        None => {
            user_cache().context("--answers: expected a folder, found neither XDG_CACHE_HOME nor HOME")?.join("answers")
        }
    };
    Kept::new(inner, &folder).with_context(|| format!("{}: cannot be made", folder.display()))
}

/// Each with the neighbours of another one: of the one half of all further on.
fn rotated<'a>(neighbours: &[&'a Neighbours]) -> Vec<&'a Neighbours> {
    let mut rotated = neighbours.to_vec();
    rotated.rotate_left((neighbours.len() / 2).max(usize::from(neighbours.len() > 1)));
    rotated
}

fn first(answers: &[Answer]) -> Answer {
    answers.first().cloned().unwrap_or_else(|| Err(Why::Failed("given_up", "it was not asked".to_owned())))
}

/// The table of a fine-tuned model, and the place of each query by the last of its rows that has one.
fn sft(
    args: &SystemArgs,
    inputs: &Inputs<'_>,
    asking: &Asking<'_>,
    neighbours: &[Neighbours],
    asked: &Asked,
    thresholds: &[Threshold],
) -> anyhow::Result<(SftFigures, Vec<Answer>)> {
    let queries = inputs.queries;
    let own: Vec<&Neighbours> = neighbours.iter().collect();
    let mut tokens = asked.tokens;
    let row = |name: &'static str, places: &[Option<(f64, f64)>]| {
        let errors: Vec<Option<f64>> =
            queries.iter().zip(places).map(|(query, place)| place.map(|place| error_m(query, place))).collect();
        SftRow { name, answered: places.iter().flatten().count(), within: Within::of(&errors, thresholds) }
    };
    let pair = |Place(lat, lon): &Place| (*lat, *lon);
    let firsts = |asked: &Asked| -> Vec<Option<(f64, f64)>> {
        asked.answers.iter().map(|answers| answers.first()?.as_ref().ok().map(pair)).collect()
    };
    let mut rows = Vec::new();
    if let Some(base) = &args.base_model {
        let generator = generator(args, inputs.runtime, Some(base))?;
        let asking = Asking { generator: &generator, runs: 1, ..*asking };
        let asked = asking.ask("asking the base model", &args.prompt(), queries, &own)?;
        tokens = tokens.and(asked.tokens);
        rows.push(row("base", &firsts(&asked)));
    }
    rows.push(row("sft", &firsts(asked)));
    let all: Vec<Vec<(f64, f64)>> = asked
        .answers
        .iter()
        .map(|answers| answers.iter().filter_map(|answer| answer.as_ref().ok().map(pair)).collect())
        .collect();
    let nearest = |(query, places): (&Query<'_>, &Vec<(f64, f64)>)| {
        places.iter().copied().min_by(|a, b| error_m(query, *a).total_cmp(&error_m(query, *b)))
    };
    rows.push(row("best_of_answers", &queries.iter().zip(&all).map(nearest).collect::<Vec<_>>()));
    let medians: Vec<Option<(f64, f64)>> = all.iter().map(|places| geometric_median(places)).collect();
    rows.push(row("geometric_median", &medians));
    rows.push(row("cluster_vote", &all.iter().map(|places| cluster_vote(places, VOTE_RADIUS_M)).collect::<Vec<_>>()));
    let sharpness = inputs.pipeline.fuse_options().sharpness;
    let rescored = |(places, found): (&Vec<(f64, f64)>, &Neighbours)| {
        let best = found.cosines.iter().copied().reduce(f64::max).unwrap_or_default();
        let weights = found.cosines.iter().map(|cosine| libm::exp(sharpness * (cosine - best)));
        let retrieved: Vec<((f64, f64), f64)> = found.similar.iter().copied().zip(weights).collect();
        rescored_by_retrieval(places, &retrieved, RESCORE_SCALE_M)
    };
    rows.push(row("rescored_by_retrieval", &all.iter().zip(neighbours).map(rescored).collect::<Vec<_>>()));
    let place = |(median, answers): (Option<(f64, f64)>, &Vec<Answer>)| match median {
        Some((lat, lon)) => Ok(Place(lat, lon)),
        None => first(answers),
    };
    let places = medians.into_iter().zip(&asked.answers).map(place).collect();
    Ok((SftFigures { runs: asking.runs, rows, tokens: tokens.into() }, places))
}

/// A query with the place that a generator named, held against the truth on the ellipsoid.
fn answered(query: &Query<'_>, retrieved: Result<Prediction, String>, place: Answer) -> Answered {
    let truth = (query.pose.place.lat_deg, query.pose.place.lon_deg);
    let metres = |found: &Prediction| {
        found.similar.iter().map(|found| geodesic_m(truth, (found.lat_deg, found.lon_deg))).collect::<Vec<f64>>()
    };
    let reference_m = retrieved.as_ref().map(metres).unwrap_or_default();
    let mut answered = judge(query, retrieved);
    answered.judged.reference_m = reference_m;
    answered.judged.fix_m = None;
    answered.belief.place = None;
    answered.belief.place_m = None;
    match place {
        Ok(Place(lat, lon)) => {
            answered.published = Published::Fix;
            answered.judged.fix_m = Some(geodesic_m(truth, (lat, lon)));
            answered.belief.place = Some((lat, lon));
            answered.belief.place_m = answered.judged.fix_m;
        }
        Err(Why::NoPlace(reason)) => answered.published = Published::NoFix(reason.as_str()),
        Err(Why::Failed(_, message)) => answered.published = Published::Error(message),
    }
    answered.retrieved = answered.judged.clone();
    if let Ok(place) = LatLng::new(truth.0, truth.1) {
        answered.columns.entry("cell".to_owned()).or_insert_with(|| place.to_cell(CELL).to_string());
    }
    answered
}
