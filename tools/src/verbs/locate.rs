//! `geolocate locate`: where were these pictures taken?

use std::path::{Path, PathBuf};

use clap::Args;
use geolocated::assemble::{EncoderChoice, assemble};
use geolocated::calibration::calibrate;
use geolocated::locate::rerank::{RerankOptions, Strategy};
use geolocated::locate::{FixMessage, Frame, Hints, MessageStatus, Pipeline, PipelineOptions};
use geolocated::reranker::Reranker;
use geolocated::stamps::Stamps;
use index_shards::SearchOptions;
use quantized_models::{DecodeLimits, ExifTags};

use crate::builtin;
use crate::cli::Status;
use crate::fuse_args::FuseArgs;
use crate::index_args::IndexArgs;
use crate::output::JsonTarget;
use crate::pictures::{self, PictureError};
use crate::refuse_arg::{RefuseArg, refused};
use crate::rerank_args::{RerankArgs, StrategyArg};
use crate::runtime_args::{LoadingBar, RuntimeArgs};
use crate::search_args::{EndsArgs, FilterArgs};

/// Says where pictures were taken: one fix object in JSON per picture, on one line, in the order given.
///
/// A picture that cannot be worked on gets an object with status "error" and a line on standard error; the others go
/// on, and the exit status is 1. A position in the EXIF tags is not looked at; time and heading are passed on. With a
/// comparator the object is the reranked one, and its "rerank" says what became of that.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  geolocate locate --index reference.shard --encoder models/mobilenetv3-small-576 \
                        photo.jpg --near 50.1,8.6,2000")]
pub struct LocateArgs {
    #[command(flatten)]
    index: IndexArgs,
    /// Model folder or manifest of the encoder, or mini, the built-in one
    #[arg(long, value_name = "MODEL")]
    encoder: PathBuf,
    #[command(flatten)]
    runtime: RuntimeArgs,
    #[command(flatten)]
    second: RerankArgs,
    /// How candidates are reranked: adaptive, knockout, round_robin, bubble, listwise, pointwise_yes_no,
    /// pointwise_score, or off
    #[arg(long, value_name = "STRATEGY", default_value = "adaptive", requires = "comparator")]
    rerank: StrategyArg,
    /// How certain answers are, as calibrate wrote it: radii, confidence, and fixes that are withheld
    #[arg(long, value_name = "FILE.toml")]
    calibration: Option<PathBuf>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    ends: EndsArgs,
    #[command(flatten)]
    fuse: FuseArgs,
    /// Where the objects go
    #[arg(long, value_name = "FILE|-", default_value = "-")]
    json: JsonTarget,
    /// Kinds of bad frames that get no fix: dark, covered, over_exposed, blurred, all or none
    #[arg(long, value_name = "KIND[,...]", value_delimiter = ',', default_value = "dark,covered,over_exposed")]
    refuse: Vec<RefuseArg>,
    /// Pictures to locate
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// The index or the encoder cannot be used, or the result cannot be written.
pub fn run(args: &LocateArgs) -> anyhow::Result<Status> {
    let limits = DecodeLimits::default();
    let search = args.ends.apply(SearchOptions { filter: args.filter.filter(), ..SearchOptions::default() });
    let StrategyArg(strategy) = args.rerank;
    let second = args.second.options(strategy)?;
    let pool = if strategy == Strategy::Off { 0 } else { args.second.pool() };
    let refuse = refused(&args.refuse);
    let options = PipelineOptions { search, limits, pool, refuse, fuse: args.fuse.options() };
    let load = args.runtime.options(1);
    let model = builtin::resolve(&args.encoder)?;
    let encoder = EncoderChoice { model: &model, options: &load };
    let mut bar = LoadingBar::new();
    let pipeline =
        assemble(Some(encoder), &args.index.index, options, &mut Stamps::none(), &mut |progress| bar.show(progress))?;
    drop(bar);
    let (pipeline, problem) = calibrate(pipeline, args.calibration.as_deref());
    if let Some(problem) = problem {
        eprintln!("geolocate: no radii: {problem}");
    }
    let reranker = match strategy {
        Strategy::Off => None,
        _ => args.second.open(&args.runtime, 1, &[strategy], pipeline.shards())?,
    };
    let locator = Locator { pipeline: &pipeline, second: reranker.as_ref().map(|reranker| (reranker, &second)) };
    args.filter.note_unknown_sources(pipeline.shards())?;
    let mut lines = args.json.lines()?;
    let mut status = Status::Done;
    for image in &args.images {
        let message = match pictures::read(image, limits.max_bytes) {
            Ok(encoded) => locator.locate(image, encoded),
            Err(error) => locator.unreadable(image, &error),
        };
        if message.status == MessageStatus::Error {
            eprintln!("geolocate: {}: {}", image.display(), message.reason.as_deref().unwrap_or_default());
            status = Status::Failed;
        }
        lines.write(&message)?;
    }
    Ok(status)
}

/// Both stages, of which the second may be missing.
struct Locator<'a> {
    pipeline: &'a Pipeline,
    second: Option<(&'a Reranker, &'a RerankOptions)>,
}

impl Locator<'_> {
    fn locate(&self, image: &Path, encoded: Vec<u8>) -> FixMessage {
        let tags = ExifTags::read(&encoded);
        let frame = Frame {
            id: image.display().to_string(),
            camera: String::new(),
            captured_at_ms: tags.captured_at_ms,
            hints: Hints { heading_deg: tags.heading_deg, ..Hints::default() },
            prior: None,
            encoded,
        };
        let retrieved = self.pipeline.locate(&frame);
        let second = self.second.filter(|_| !retrieved.similar.is_empty());
        let prediction = match second {
            None => retrieved,
            Some((reranker, options)) => {
                let reranked = reranker.rerank(self.pipeline, &frame.encoded, &retrieved, options);
                if let Some(failure) = &reranked.ranking.failure {
                    eprintln!("geolocate: {}: not reranked: {failure}", image.display());
                }
                reranked.prediction
            }
        };
        FixMessage::new(self.pipeline, &frame.id, None, frame.captured_at_ms, &prediction)
    }

    /// What the pipeline says of an empty frame, with the reason why it is empty.
    fn unreadable(&self, image: &Path, error: &PictureError) -> FixMessage {
        let message = self.locate(image, Vec::new());
        FixMessage { reason: Some(format!("{}: {error}", error.reason())), ..message }
    }
}
