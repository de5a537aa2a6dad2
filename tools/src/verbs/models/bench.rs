//! `geolocate models bench`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Args;
use quantized_models::{DecodeLimits, Encoder, LoadOptions, Manifest, Memory, RgbImage, RuntimeKind, Timing};
use quantized_models::{decode, interleaved};
use serde::Serialize;

use super::ModelsFolder;
use super::held::shown_bytes;
use crate::cli::Status;
use crate::index_args::at_least_one;
use crate::output::{JsonTarget, say};
use crate::runtime_args::{LoadingBar, RuntimeArgs};

/// Runs models side by side under every runtime that takes them: time of one picture on one thread, memory.
///
/// Of comparators: what each step of a comparison takes, and memory after loading and in use.
///
/// All take turns in one process, so that ratios between them mean something on a shared machine. Memory is what loading
/// added to the process, one model after the other.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  geolocate models bench siglip-b16-224-fp32 siglip-b16-224-int8 --image frame.jpg")]
pub(super) struct BenchArgs {
    /// Names in the folder of models, or models' folders or manifests
    #[arg(required = true, value_name = "MODEL")]
    wanted: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) runtime: RuntimeArgs,
    /// The picture [default: the first golden picture of the first model; comparators take their golden pictures]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Counted runs of each
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value = "15")]
    pub(super) rounds: usize,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    picture: Picture,
    models: Vec<Measured>,
}

/// The picture, and what decoding it takes.
#[derive(Debug, Serialize)]
struct Picture {
    path: PathBuf,
    width: u32,
    height: u32,
    bytes: usize,
    decode_ms: Spread,
    #[serde(skip)]
    image: RgbImage,
}

/// One model under one runtime.
#[derive(Debug, Serialize)]
struct Measured {
    model: String,
    runtime: String,
    graph_cpu_ms: Spread,
    graph_wall_ms: Spread,
    preprocess_cpu_ms: Spread,
    /// Median of the graph's processor time to that of the first one.
    to_first: f64,
    loaded_anonymous_bytes: u64,
    loaded_file_bytes: u64,
    golden_cosine: f32,
}

/// Median and 95 % of milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Spread {
    pub(super) p50: f64,
    pub(super) p95: f64,
}

impl Spread {
    pub(super) fn of(values: &[f64]) -> Self {
        let at = |share| Timing::quantile(values, share).unwrap_or(f64::NAN);
        Self { p50: at(0.5), p95: at(0.95) }
    }
}

/// A loaded encoder and what loading it added to the process.
struct Loaded {
    encoder: Encoder,
    added: Memory,
}

/// Runs the verb.
///
/// # Errors
/// A model that no runtime takes, or a picture that cannot be read.
pub(super) fn run(args: &BenchArgs, models: &ModelsFolder, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let wanted: Vec<PathBuf> = args.wanted.iter().map(|model| models.resolve(model)).collect::<Result<_, _>>()?;
    if wanted.iter().any(|model| Manifest::kind_of(model).is_ok_and(|kind| kind == "comparator")) {
        return super::bench_comparators::run(args, &wanted, json);
    }
    let manifests: Vec<Manifest> = wanted.iter().map(|model| Manifest::load(model)).collect::<Result<_, _>>()?;
    let picture = picture(args, &manifests)?;
    let loaded = load_all(args, &manifests)?;
    let encoders: Vec<&Encoder> = loaded.iter().map(|loaded| &loaded.encoder).collect();
    let timings = interleaved(&encoders, &picture.image, args.rounds)?;
    let first = timings.first().map_or(f64::NAN, |timing| Spread::of(&timing.graph_cpu_ms).p50);
    let models = loaded.iter().zip(&timings).map(|(loaded, timing)| Measured::new(loaded, timing, first)).collect();
    let report = Report { picture, models };
    say(json, &report.text(args.rounds))?;
    if let Some(json) = json {
        json.write(&report)?;
    }
    Ok(Status::Done)
}

/// The picture, decoded as often as models are run.
fn picture(args: &BenchArgs, manifests: &[Manifest]) -> anyhow::Result<Picture> {
    let golden = || manifests.first()?.golden_files().next().map(|(image, _)| image.to_owned());
    let path: PathBuf = args.image.clone().or_else(golden).context("expected --image: the model has no goldens")?;
    let bytes = std::fs::read(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let limits = DecodeLimits::default();
    let again = || decode(&bytes, &limits).with_context(|| path.display().to_string());
    let (image, mut decode_ms) = (again()?, Vec::new());
    for _ in 0..args.rounds {
        let start = Instant::now();
        again()?;
        decode_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let (width, height) = image.dimensions();
    Ok(Picture { width, height, bytes: bytes.len(), decode_ms: Spread::of(&decode_ms), image, path: path.clone() })
}

/// Every model under every runtime of its manifest, or under the one that was asked for. What a runtime refuses is said
/// and left out.
fn load_all(args: &BenchArgs, manifests: &[Manifest]) -> anyhow::Result<Vec<Loaded>> {
    let mut loaded = Vec::new();
    for manifest in manifests {
        let asked = args.runtime.runtime.map(|runtime| vec![runtime]);
        let before = loaded.len();
        for runtime in asked.unwrap_or_else(|| manifest.runtimes().to_vec()) {
            match load(manifest, runtime, args.runtime.options(1)) {
                Ok(encoder) => loaded.push(encoder),
                Err(error) => eprintln!("geolocate: {} under {runtime}: {error:#}", manifest.name()),
            }
        }
        ensure!(loaded.len() > before, "{}: no runtime takes it", manifest.path().display());
    }
    if loaded.is_empty() {
        bail!("expected at least one model");
    }
    Ok(loaded)
}

fn load(manifest: &Manifest, runtime: RuntimeKind, options: LoadOptions) -> anyhow::Result<Loaded> {
    let options = LoadOptions { runtime: Some(runtime), ..options };
    let memory = || Memory::of(None).context("the memory of this process cannot be read");
    let before = memory()?;
    let mut bar = LoadingBar::new();
    let encoder = Encoder::load_with(manifest, &options, &mut |progress| bar.show(progress))?;
    drop(bar);
    let after = memory()?;
    let added = Memory {
        anonymous: after.anonymous.saturating_sub(before.anonymous),
        file: after.file.saturating_sub(before.file),
        ..after
    };
    Ok(Loaded { encoder, added })
}

impl Measured {
    fn new(loaded: &Loaded, timing: &Timing, first: f64) -> Self {
        let graph_cpu_ms = Spread::of(&timing.graph_cpu_ms);
        Self {
            model: loaded.encoder.name().to_owned(),
            runtime: loaded.encoder.runtime().label(),
            graph_cpu_ms,
            graph_wall_ms: Spread::of(&timing.graph_wall_ms),
            preprocess_cpu_ms: Spread::of(&timing.preprocess_cpu_ms),
            to_first: graph_cpu_ms.p50 / first,
            loaded_anonymous_bytes: loaded.added.anonymous,
            loaded_file_bytes: loaded.added.file,
            golden_cosine: loaded.encoder.golden_cosine(),
        }
    }
}

impl Report {
    fn text(&self, rounds: usize) -> String {
        let Picture { width, height, decode_ms, .. } = &self.picture;
        let head = format!(
            "picture of {width} x {height} pixels, decoded in {:.2} ms p50, {:.2} ms p95\n\
             one thread, processor time of one picture over {rounds} runs in turn\n\
             {:<28} {:<28} {:>8} {:>8} {:>8} {:>9} {:>11} {:>11}\n",
            decode_ms.p50,
            decode_ms.p95,
            "model",
            "runtime",
            "ms p50",
            "ms p95",
            "to first",
            "resize ms",
            "anonymous",
            "of files"
        );
        self.models.iter().fold(head, |text, row| text + &row.line())
    }
}

impl Measured {
    fn line(&self) -> String {
        format!(
            "{:<28} {:<28} {:>8.1} {:>8.1} {:>8.2} {:>9.2} {:>11} {:>11}\n",
            self.model,
            self.runtime,
            self.graph_cpu_ms.p50,
            self.graph_cpu_ms.p95,
            self.to_first,
            self.preprocess_cpu_ms.p50,
            shown_bytes(self.loaded_anonymous_bytes),
            shown_bytes(self.loaded_file_bytes)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_model_that_is_not_there_is_an_error_that_names_it() {
        let args = BenchArgs {
            wanted: vec![Path::new("/no/such/model").to_owned()],
            runtime: RuntimeArgs::default(),
            image: None,
            rounds: 1,
        };
        let error = run(&args, &ModelsFolder::find(Some(Path::new("/no"))), None).unwrap_err();
        assert!(error.to_string().contains("/no/such/model"), "{error}");
    }
}
