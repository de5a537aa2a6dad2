//! `geolocate evaluate`: how near the truth are the answers?

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use geolocated::assemble::{self, EncoderChoice, assemble};
use geolocated::calibration::{Calibration, calibrate};
use geolocated::locate::rerank::{RerankOptions, Strategy};
use geolocated::locate::track::{CameraKind, Motion, TrackOptions, WindowOptions};
use geolocated::locate::{BadFrame, Pipeline, PipelineOptions, RefusedFrames};
use geolocated::reranker::Reranker;
use geolocated::stamps::Stamps;
use index_shards::{Filter, SearchOptions, ShardSet};
use quantized_models::DecodeLimits;

use crate::baseline::Baseline;
use crate::builtin;
use crate::cli::Status;
use crate::comparison_log;
use crate::dataset::{all_cores, load_poses, load_split};
use crate::evaluated_hints::{EvaluatedHints, HintArg};
use crate::evaluation::{
    Answered, BaselineFolders, Query, SecondStage, Stages, answer_all, judge_baseline, references,
};
use crate::evaluation_page::EvaluationPage;
use crate::explain::Explainer;
use crate::fuse_args::FuseArgs;
use crate::index_args::{IndexArgs, at_least_one, check_width};
use crate::metrics::{RANKS, Threshold, ranks_for_labels};
use crate::npy::NpyReader;
use crate::output::{JsonTarget, say};
use crate::poses::PoseTable;
use crate::refuse_arg::{RefuseArg, refused};
use crate::report::{Evaluated, Group, Report};
use crate::require::Requirement;
use crate::rerank_args::{RerankArgs, StrategyArg};
use crate::runtime_args::{LoadingBar, RuntimeArgs};
use crate::search_args::EndsArgs;
use crate::sequence::{Following, follow};
use crate::sequence_report::{SequenceFigures, write_pages};
use crate::split::{Split, roles, select};
use crate::systems::args::{SystemArgs, SystemName};
use crate::systems::{self, Inputs, Retrieval, SweptEncoder, SystemReport};
use crate::unit_vector::normalise;

/// The roles that are run where roles are known; the first must occur.
const USUAL: [&str; 2] = ["query", "outside"];
/// The role of frames that should get no fix.
pub(crate) const OUTSIDE: &str = "outside";

/// Runs queries with known positions through the pipeline of the daemon and reports how near the answers are.
///
/// The true position never reaches the pipeline; heading, height and a prior do with --hints alone, the time with
/// --sequence. Distances are great-circle distances
/// (haversine). Figures are shares of all queries; frames of role "outside" are counted apart and should get no fix.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  geolocate evaluate --index reference.shard --encoder models/mobilenetv3-small-576 \
    --images set/images --poses set/poses.csv --split set/split.csv --role query,outside --baseline colour,pixel,random \
    --require 'recall.1.25>=0.85' --json report.json\n  \
    geolocate evaluate --index reference.shard --encoder models/siglip-b16-224 --comparator models/smolvlm-256m \
    --rerank adaptive,pointwise_yes_no --images set/images --poses set/poses.csv --explain a.jpg --html pages"
)]
pub struct EvaluateArgs {
    #[command(flatten)]
    index: IndexArgs,
    /// Model folder or manifest of the encoder, or mini, the built-in one
    #[arg(long, value_name = "MODEL", required_unless_present = "query_vectors", conflicts_with = "query_vectors")]
    encoder: Option<PathBuf>,
    #[command(flatten)]
    runtime: RuntimeArgs,
    /// Query vectors made elsewhere: float32, row i belongs to row i of the poses
    #[arg(long, value_name = "FILE.npy", requires = "poses")]
    query_vectors: Option<PathBuf>,
    /// Folder of the queries' pictures; names in the CSV files are relative to it
    #[arg(long, value_name = "DIR", required_unless_present = "query_vectors")]
    images: Option<PathBuf>,
    /// CSV with at least file,lat,lon in WGS 84 degrees [default: EXIF positions]
    #[arg(long, value_name = "FILE.csv")]
    poses: Option<PathBuf>,
    /// CSV with file,role: which picture plays which role; goes before a column "role" of the poses
    #[arg(long, value_name = "FILE.csv")]
    split: Option<PathBuf>,
    /// Run rows of these roles [default: query,outside where roles are known, else all rows as queries]
    #[arg(long, value_name = "ROLE[,ROLE...]", value_delimiter = ',')]
    role: Vec<String>,
    #[command(flatten)]
    second: RerankArgs,
    /// Rerank the candidates: off, or one or several of adaptive, knockout, round_robin, bubble, listwise,
    /// pointwise_yes_no, pointwise_score. The figures are those of the first; all are held against retrieval alone
    /// [default: adaptive with --comparator, else off]
    #[arg(long, value_name = "STRATEGY[,...]", value_delimiter = ',', requires_ifs = NEED_COMPARATOR)]
    rerank: Vec<StrategyArg>,
    /// Write a page about this frame: the candidates, every comparison with its margin, the order that follows
    #[arg(long, value_name = "FRAME[,...]", value_delimiter = ',', requires = "comparator")]
    explain: Vec<String>,
    /// Write every answer of the comparator, a line of JSON for each query and strategy
    #[arg(long, value_name = "FILE.jsonl", requires = "comparator")]
    comparisons: Option<PathBuf>,
    /// Folder for pages: report.html about all queries, and those of --explain [default: no report, . with --explain]
    #[arg(long, value_name = "DIR")]
    html: Option<PathBuf>,
    /// How certain answers are, as calibrate wrote it: radii, confidence, and fixes that are withheld
    #[arg(long, value_name = "FILE.toml")]
    calibration: Option<PathBuf>,
    /// A fix is right within so many metres, for what is said of risk [default: as calibrated, else 50]
    #[arg(long, value_name = "M")]
    right_within_m: Option<Threshold>,
    /// Also put the frames of each flight (column "flight") together over time (column "time"), as the daemon does for a
    /// camera, and report single frames against the track; with --html, as plots
    #[arg(long)]
    sequence: bool,
    /// How the camera is carried, for --sequence: nadir, forward or handheld
    #[arg(long, value_name = "KIND", default_value = "nadir", value_parser = camera_kind, requires = "sequence")]
    camera_kind: CameraKind,
    /// The fastest that it moves, metres per second, for --sequence [default: what is usual for its kind]
    #[arg(long, value_name = "M_S", requires = "sequence", value_parser = speed)]
    max_speed_m_s: Option<f64>,
    /// Search only around where the track says that the camera is, as long as that does well (daemon: track.window)
    #[arg(long, requires = "sequence")]
    track_window: bool,
    #[command(flatten)]
    ends: EndsArgs,
    #[command(flatten)]
    fuse: FuseArgs,
    /// Also report what is trivial over the same references and queries
    #[arg(long, value_name = "BASELINE[,...]", value_delimiter = ',')]
    baseline: Vec<Baseline>,
    /// Folder of the references' pictures, for baselines [default: the folder of --images]
    #[arg(long, value_name = "DIR", requires = "baseline")]
    reference_images: Option<PathBuf>,
    /// Also report the figures by the values of this column of the poses; may be given several times
    #[arg(long, value_name = "COLUMN")]
    by: Vec<String>,
    /// Distances in metres at which shares are reported
    #[arg(long, value_name = "M[,M...]", value_delimiter = ',', default_value = "10,25,50,100")]
    thresholds_m: Vec<Threshold>,
    /// Use these measurements of the rows: heading (column heading_deg) turns pictures north up, altitude (agl_m,
    /// hfov_deg) brings them to the size of the references, both with pitch_deg where there is one; prior (prior_lat,
    /// prior_lon, prior_radius_m) weighs candidates by their distance; attitude (heading_deg, pitch_deg, agl_m) makes
    /// positions those of the camera, over references that carry the ground that they show
    #[arg(long, value_name = "HINT[,...]", value_delimiter = ',')]
    hints: Vec<HintArg>,
    /// With --hints heading: cut the corners of turned pictures off instead of filling them with the mirrored picture
    #[arg(long, requires = "hints")]
    cut_corners: bool,
    /// Look for frames about the mean of their flight's embeddings so far, and references about that of the index
    #[arg(long)]
    centre: bool,
    /// Kinds of bad frames that get no fix: dark, covered, over_exposed, blurred, frozen, all or none. Frozen ones are
    /// told within a flight (column flight), by the times of its frames
    #[arg(long, value_name = "KIND[,...]", value_delimiter = ',', default_value = "dark,covered,over_exposed,frozen")]
    refuse: Vec<RefuseArg>,
    #[command(flatten)]
    system: SystemArgs,
    /// Exit with status 3 when this does not hold of the JSON; may be given several times
    #[arg(long, value_name = "'recall.1.25>=0.85'")]
    require: Vec<Requirement>,
    /// How many queries to run at the same time; the milliseconds are those of one among so many
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    threads: usize,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

/// Strategies that ask a comparator.
const NEED_COMPARATOR: [(&str, &str); 7] = [
    ("adaptive", "comparator"),
    ("knockout", "comparator"),
    ("round_robin", "comparator"),
    ("bubble", "comparator"),
    ("listwise", "comparator"),
    ("pointwise_yes_no", "comparator"),
    ("pointwise_score", "comparator"),
];

impl EvaluateArgs {
    fn refuse(&self) -> RefusedFrames {
        refused(&self.refuse)
    }
}

/// Runs the verb.
///
/// # Errors
/// An input cannot be used, there is no query, a requirement names no figure, or the report cannot be written.
pub fn run(args: &EvaluateArgs) -> anyhow::Result<Status> {
    let strategies = strategies(args)?;
    let limits = DecodeLimits::default();
    // A system's cells are computed, not columns.
    let columns: Vec<String> =
        args.by.iter().filter(|column| !(args.system.asks_a_generator() && *column == "cell")).cloned().collect();
    let table = load_truth(args.poses.as_deref(), args.images.as_deref(), &columns, &limits)?;
    let hints = EvaluatedHints::new(&args.hints, args.cut_corners, args.centre, &table)?;
    if args.centre && args.threads > 1 {
        bail!("--centre: expected --threads 1, since a flight's mean is that of its frames so far");
    }
    let split = load_split(args.split.as_deref())?;
    let mut queries = choose(&args.role, &table, split.as_ref())?;
    let shards = args.index.open()?;
    let semi_positives = queries.iter().map(|query| query.pose.semi_positives.len()).max().unwrap_or_default();
    let labelled = queries.iter().any(|query| query.pose.positive.is_some());
    let is_rerank = args.system.system == Some(SystemName::Rerank);
    if is_rerank && !labelled {
        bail!("--system rerank: expected labelled poses (column positive), as geolocate import vigor writes them");
    }
    let for_labels = if labelled { ranks_for_labels(shards.len(), semi_positives) } else { 0 };
    let for_system = if args.system.asks_a_generator() { args.system.retrieved() } else { 0 };
    let k = RANKS.into_iter().chain([for_labels, for_system]).max().unwrap_or_default();
    if let Some(path) = &args.query_vectors {
        let mut reader = NpyReader::open(path)?;
        check_width(&reader, &shards)?;
        read_vectors(&mut reader, &table, &mut queries)?;
    }
    let filter = Filter { sources: args.system.sources(), ..Filter::default() };
    let search = args.ends.apply(SearchOptions { k, filter, ..SearchOptions::default() });
    let following = args.sequence.then(|| following(args));
    let observed = following.as_ref().map(|following| following.options.candidates);
    let pool = if strategies.is_empty() { observed.unwrap_or_default() } else { args.second.pool() };
    let options = PipelineOptions { search, limits, pool, refuse: args.refuse(), fuse: args.fuse.options() };
    let (pipeline, right_within_m) = calibrated(args, open(args, options.clone())?);
    if args.system.asks_a_generator() {
        let images = args.images.as_deref();
        let (by, threads, hints, runtime) = (args.by.as_slice(), args.threads, &hints, &args.runtime);
        let reopen = |retrieval: &Retrieval| reopened(args, (&table, &queries), (&pipeline, &options), retrieval);
        let inputs = Inputs {
            pipeline: &pipeline,
            queries: &queries,
            images,
            by,
            hints,
            threads,
            runtime,
            reopen: &reopen,
            check: &check_encoder,
        };
        let (report, answers) = systems::run(&args.system, &inputs)?;
        return finish(args, &pipeline, &report, &answers);
    }
    let reranker = open_reranker(args, &strategies, &pipeline)?;
    let (answers, sequence) = answer(args, hints, (&pipeline, reranker.as_ref()), &strategies, &queries, following)?;
    let evaluated = Evaluated {
        comparator: reranker.as_ref().map(|reranker| reranker.comparator().name().to_owned()),
        space: pipeline.shards().space().to_owned(),
        digest: pipeline.shards().digest(),
        encoder: pipeline.encoder().map(|encoder| encoder.name().to_owned()),
    };
    let mut report = Report::new(&answers, pipeline.shards().len(), &args.thresholds_m, &args.by, evaluated);
    report.add_certainty(&answers, right_within_m);
    report.sequence = sequence;
    report.system = is_rerank.then(|| SystemReport::of_rerank(pipeline.shards(), args.system.sources()));
    add_baselines(args, &pipeline, &queries, &limits, &mut report)?;
    finish(args, &pipeline, &report, &answers)
}

/// Writes the report in all forms that are asked for, and checks what is required of it.
fn finish(args: &EvaluateArgs, pipeline: &Pipeline, report: &Report, answers: &[Answered]) -> anyhow::Result<Status> {
    if let Some(folder) = &args.html {
        let page = EvaluationPage { pipeline, images: args.images.as_deref(), report, answers };
        page.write(folder, pipeline.limits())?;
    }
    say(args.json.as_ref(), &report.table())?;
    if let Some(json) = &args.json {
        json.write(report)?;
    }
    check_requirements(&args.require, report)
}

/// What the comparator is told, once for each strategy; none where nothing is reranked.
fn strategies(args: &EvaluateArgs) -> anyhow::Result<Vec<RerankOptions>> {
    let usual = args.second.comparator.as_ref().map(|_| StrategyArg(Strategy::default()));
    let asked = if args.rerank.is_empty() { usual.into_iter().collect() } else { args.rerank.clone() };
    let is_off = |StrategyArg(strategy): &StrategyArg| *strategy == Strategy::Off;
    if asked.iter().all(is_off) {
        return Ok(Vec::new());
    }
    if asked.iter().any(is_off) {
        bail!("--rerank: expected off alone; retrieval without reranking is reported beside every strategy");
    }
    let options: Vec<RerankOptions> =
        asked.iter().map(|StrategyArg(strategy)| args.second.options(*strategy)).collect::<Result<_, _>>()?;
    if args.threads > 1 && options.iter().any(|options| options.budget_ms.is_some()) {
        bail!("--budget-ms: expected --threads 1, since ending one query's comparisons ends those of all");
    }
    if args.images.is_none() {
        bail!("--comparator: expected --images, which it looks at");
    }
    Ok(options)
}

/// The comparator, with room for as many queries at the same time as are asked for.
fn open_reranker(
    args: &EvaluateArgs,
    strategies: &[RerankOptions],
    pipeline: &Pipeline,
) -> anyhow::Result<Option<Reranker>> {
    let words: Vec<Strategy> = strategies.iter().map(|options| options.strategy).collect();
    if words.is_empty() {
        return Ok(None);
    }
    args.second.open(&args.runtime, args.threads, &words, pipeline.shards())
}

/// Runs all queries, and writes the pages that are asked for.
fn answer(
    args: &EvaluateArgs,
    hints: EvaluatedHints,
    (pipeline, reranker): (&Pipeline, Option<&Reranker>),
    strategies: &[RerankOptions],
    queries: &[Query<'_>],
    following: Option<Following>,
) -> anyhow::Result<(Vec<Answered>, Option<SequenceFigures>)> {
    let folder = args.html.as_deref().unwrap_or_else(|| Path::new("."));
    let explainer = Explainer::new(pipeline, &args.explain, folder);
    if let Some(unknown) = explainer.unknown(queries) {
        bail!("--explain {unknown}: no query of this name");
    }
    let show =
        |query: &Query<'_>, frame: &_, retrieved: &_, reranked: &_| explainer.show(query, frame, retrieved, reranked);
    let stages = Stages {
        pipeline,
        second: reranker.map(|reranker| SecondStage { reranker, options: strategies.to_vec() }),
        on_reranked: Some(&show),
        images: args.images.as_deref(),
        limits: pipeline.limits(),
        refuse_frozen: args.refuse().contains(BadFrame::Frozen),
        hints,
        observed: following.as_ref().map(|following| following.options.candidates),
    };
    let answers = answer_all(&stages, queries.to_vec(), args.threads);
    let flights = following.as_ref().map(|following| follow(&stages, queries, &answers, following)).transpose()?;
    explainer.finish()?;
    if let Some(path) = &args.comparisons {
        comparison_log::write(path, &answers)?;
    }
    let figures = following.as_ref().zip(flights);
    let figures = figures.map(|(following, flights)| SequenceFigures::of(&flights, following, &args.thresholds_m));
    if let (Some(folder), Some(figures)) = (&args.html, &figures) {
        write_pages(folder, figures)?;
    }
    Ok((answers, figures))
}

/// How the frames of a flight are put together over time: as the daemon does it by itself.
fn following(args: &EvaluateArgs) -> Following {
    let max_speed_m_s = args.max_speed_m_s.unwrap_or(args.camera_kind.usual_max_speed_m_s());
    Following {
        options: TrackOptions::default(),
        window: WindowOptions { window: args.track_window, ..WindowOptions::default() },
        motion: Motion::of(args.camera_kind, max_speed_m_s),
        max_speed_m_s,
    }
}

fn camera_kind(text: &str) -> Result<CameraKind, String> {
    match text {
        "nadir" => Ok(CameraKind::Nadir),
        "forward" => Ok(CameraKind::Forward),
        "handheld" => Ok(CameraKind::Handheld),
        _ => Err("expected nadir, forward or handheld".to_owned()),
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err("expected metres per second above 0".to_owned()),
    }
}

/// The pipeline, with room for as many queries at the same time as are asked for.
fn open(args: &EvaluateArgs, options: PipelineOptions) -> anyhow::Result<Pipeline> {
    let load = args.runtime.options(args.threads);
    let model = args.encoder.as_deref().map(builtin::resolve).transpose()?;
    let encoder = model.as_deref().map(|model| EncoderChoice { model, options: &load });
    let mut bar = LoadingBar::new();
    Ok(assemble(encoder, &args.index.index, options, &mut Stamps::none(), &mut |progress| bar.show(progress))?)
}

/// The pipeline of another retrieval than that of the command line, and the queries with its vectors. An encoder that was
/// loaded serves on.
fn reopened<'a>(
    args: &EvaluateArgs,
    (table, queries): (&PoseTable, &[Query<'a>]),
    (pipeline, options): (&Pipeline, &PipelineOptions),
    retrieval: &Retrieval,
) -> anyhow::Result<(Pipeline, Vec<Query<'a>>)> {
    let mut options = options.clone();
    if let Some(sources) = &retrieval.sources {
        options.search.filter.sources = (!sources.is_empty()).then(|| sources.clone());
    }
    if let Some(way) = retrieval.dissimilar_by {
        options.search.dissimilar = args.ends.dissimilar_by(way);
    }
    let mut queries = queries.to_vec();
    let Some(other) = &retrieval.encoder else {
        let pipeline = Pipeline::new(pipeline.shared_encoder(), args.index.open()?, options, pipeline.verified())?;
        return Ok((pipeline, queries));
    };
    let load = args.runtime.options(args.threads);
    let model = other.model.as_deref().map(builtin::resolve).transpose()?;
    let encoder = model.as_deref().map(|model| EncoderChoice { model, options: &load });
    let mut bar = LoadingBar::new();
    let pipeline = assemble(encoder, &other.index, options, &mut Stamps::none(), &mut |progress| bar.show(progress))?;
    queries.iter_mut().for_each(|query| query.vector = None);
    if let Some(path) = &other.query_vectors {
        let mut reader = NpyReader::open(path)?;
        check_width(&reader, pipeline.shards())?;
        read_vectors(&mut reader, table, &mut queries)?;
    }
    Ok((pipeline, queries))
}

/// What can be seen of an encoder of a sweep, and of its gallery, without reading whole files.
fn check_encoder(encoder: &SweptEncoder) -> anyhow::Result<()> {
    if let Some(model) = &encoder.model {
        return Ok(assemble::check(&builtin::resolve(model)?, None, &encoder.index)?);
    }
    let shards = ShardSet::open(&encoder.index)?;
    let Some(path) = &encoder.query_vectors else { return Ok(()) };
    check_width(&NpyReader::open(path)?, &shards)
}

/// The pipeline with the calibration that is asked for, and within how many metres a fix is right. A calibration of
/// something else is not used, which is said on standard error: then there are no radii.
fn calibrated(args: &EvaluateArgs, pipeline: Pipeline) -> (Pipeline, f64) {
    let (pipeline, problem) = calibrate(pipeline, args.calibration.as_deref());
    if let Some(problem) = problem {
        eprintln!("geolocate: no radii: {problem}");
    }
    let asked = args.right_within_m.as_ref().map(|threshold| threshold.metres);
    let fitted = || Calibration::load(args.calibration.as_deref()?).ok().map(|found| found.fitted_on.right_within_m);
    let right_within_m = asked.or_else(fitted).unwrap_or(pipeline.fuse_options().same_place_m);
    (pipeline, right_within_m)
}

/// The poses; a bad row is an error, since figures over the others would not be those of the set.
pub(crate) fn load_truth(
    poses: Option<&Path>,
    images: Option<&Path>,
    by: &[String],
    limits: &DecodeLimits,
) -> anyhow::Result<PoseTable> {
    let table = load_poses(poses, images, limits)?;
    if poses.is_some()
        && let Some(refused) = table.refused.first()
    {
        bail!("{}: {}", refused.name, refused.message);
    }
    for refused in &table.refused {
        eprintln!("not a query: {}: {}", refused.name, refused.message);
    }
    if let Some(column) = by.iter().find(|column| !table.columns.contains(column)) {
        bail!("--by {column}: {} has no such column, found {}", table.path.display(), table.columns.join(","));
    }
    Ok(table)
}

/// The rows that are run, with those of role "outside" told apart.
pub(crate) fn choose<'a>(
    role: &[String],
    table: &'a PoseTable,
    split: Option<&Split>,
) -> anyhow::Result<Vec<Query<'a>>> {
    if let Some(missing) = split.and_then(|split| split.without_pose(table, &roles(role, &USUAL)).into_iter().next()) {
        bail!("{missing}");
    }
    let chosen = select(table, split, role, &USUAL)?;
    let query =
        |(pose, role): (_, Option<String>)| Query { pose, outside: role.as_deref() == Some(OUTSIDE), vector: None };
    let queries: Vec<Query<'a>> = chosen.into_iter().map(query).collect();
    if queries.is_empty() {
        bail!("{}: expected at least one query, found none", table.path.display());
    }
    Ok(queries)
}

/// Gives each query its row of the matrix.
pub(crate) fn read_vectors(reader: &mut NpyReader, table: &PoseTable, queries: &mut [Query<'_>]) -> anyhow::Result<()> {
    if reader.rows() != table.rows {
        let (vectors, poses) = (reader.path().display(), table.path.display());
        bail!("{vectors}: expected {} vectors, one per row of {poses}, found {}", table.rows, reader.rows());
    }
    let mut waiting = queries.iter_mut().peekable();
    for row in 0..reader.rows() {
        let mut vector = reader.next_row()?;
        let Some(query) = waiting.next_if(|query| query.pose.index == row) else { continue };
        normalise(&mut vector)
            .with_context(|| format!("{}: row {row}, which belongs to {}", reader.path().display(), query.pose.file))?;
        query.vector = Some(vector);
    }
    Ok(())
}

fn add_baselines(
    args: &EvaluateArgs,
    pipeline: &Pipeline,
    queries: &[Query<'_>],
    limits: &DecodeLimits,
    report: &mut Report,
) -> anyhow::Result<()> {
    if args.baseline.is_empty() {
        return Ok(());
    }
    let queries: Vec<Query<'_>> = queries.iter().filter(|query| !query.outside).cloned().collect();
    let images = args.images.clone();
    let folders = BaselineFolders {
        references: args.reference_images.clone().or_else(|| images.clone()).unwrap_or_default(),
        queries: images.unwrap_or_default(),
    };
    let looks_at_pictures = args.baseline.iter().any(|baseline| *baseline != Baseline::Random);
    if looks_at_pictures && args.images.is_none() {
        bail!("--baseline colour and pixel need --images");
    }
    let references = references(pipeline)?;
    let deepest = RANKS.into_iter().max().unwrap_or_default();
    for baseline in &args.baseline {
        let judged = judge_baseline(*baseline, &references, &queries, &folders, limits, deepest, all_cores())?;
        let figures = Group::of(&judged, &args.thresholds_m, false);
        report.baselines.0.push((baseline.name().to_owned(), figures));
    }
    Ok(())
}

/// Checks every requirement and names those that do not hold on standard error.
fn check_requirements(requirements: &[Requirement], report: &Report) -> anyhow::Result<Status> {
    let report = serde_json::to_value(report)?;
    let mut status = Status::Done;
    for requirement in requirements {
        let check = requirement.check(&report)?;
        if !check.holds {
            eprintln!("geolocate: requirement {requirement} does not hold, found {}", check.found);
            status = Status::RequirementFailed;
        }
    }
    Ok(status)
}
