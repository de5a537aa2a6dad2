//! `geolocate models bench` of comparators.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use quantized_models::{
    Comparator, ComparatorManifest, CompareTiming, DecodeLimits, LoadOptions, Memory, RgbImage, decode,
    interleaved_comparisons,
};
use serde::Serialize;

use super::bench::{BenchArgs, Spread};
use super::held::shown_bytes;
use crate::cli::Status;
use crate::output::{JsonTarget, say};
use crate::runtime_args::LoadingBar;

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    comparators: Vec<Measured>,
}

/// One comparator under one runtime: processor time of each step in milliseconds, memory in bytes.
#[derive(Debug, Serialize)]
struct Measured {
    model: String,
    runtime: String,
    see_cpu_ms: Spread,
    prefix_cpu_ms: Spread,
    first_cpu_ms: Spread,
    pair_cpu_ms: Spread,
    suffix_cpu_ms: Spread,
    /// With the prefix run and both candidates' tokens stored: first and pair.
    comparison_cpu_ms: f64,
    /// Share of the time that was not spent in the runtime, median.
    overhead: f64,
    loaded_anonymous_bytes: u64,
    loaded_file_bytes: u64,
    /// After the comparisons, of all comparators together when there are several.
    used_anonymous_bytes: u64,
    margin_error: f32,
}

/// A loaded comparator and what loading it added to the process.
struct Loaded {
    comparator: Comparator,
    anonymous: u64,
    file: u64,
}

/// Measures the comparators in the folders `wanted`.
///
/// # Errors
/// A model that is none, or that no runtime takes.
pub(super) fn run(args: &BenchArgs, wanted: &[PathBuf], json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let manifests = wanted.iter().map(|model| ComparatorManifest::load(model));
    let manifests: Vec<ComparatorManifest> = manifests.collect::<Result<_, _>>()?;
    let pictures = pictures(manifests.first().context("expected at least one model")?)?;
    let [query, first, second] = &pictures;
    let before = memory()?;
    let loaded = load_all(args, &manifests)?;
    let comparators: Vec<&Comparator> = loaded.iter().map(|loaded| &loaded.comparator).collect();
    let timings = interleaved_comparisons(&comparators, [query, first, second], args.rounds)?;
    let used = memory()?.anonymous.saturating_sub(before.anonymous);
    let measured = loaded.iter().zip(&timings).map(|(loaded, timing)| Measured::new(loaded, timing, used));
    let report = Report { comparators: measured.collect() };
    say(json, &report.text(args.rounds))?;
    if let Some(json) = json {
        json.write(&report)?;
    }
    Ok(Status::Done)
}

/// The pictures of the first golden comparison.
fn pictures(manifest: &ComparatorManifest) -> anyhow::Result<[RgbImage; 3]> {
    let golden = manifest.goldens().first().context("the model has no goldens")?;
    let read = |path: &PathBuf| {
        let bytes = std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        decode(&bytes, &DecodeLimits::default()).with_context(|| path.display().to_string())
    };
    Ok([read(&golden.query)?, read(&golden.first)?, read(&golden.second)?])
}

/// Every model under every runtime of its manifest, or under the one that was asked for. What a runtime refuses is said
/// and left out.
fn load_all(args: &BenchArgs, manifests: &[ComparatorManifest]) -> anyhow::Result<Vec<Loaded>> {
    let mut loaded = Vec::new();
    for manifest in manifests {
        let asked = args.runtime.runtime.map(|runtime| vec![runtime]);
        let before = loaded.len();
        for runtime in asked.unwrap_or_else(|| manifest.runtimes().to_vec()) {
            match load(manifest, &LoadOptions { runtime: Some(runtime), ..args.runtime.options(1) }) {
                Ok(comparator) => loaded.push(comparator),
                Err(error) => eprintln!("geolocate: {} under {runtime}: {error:#}", manifest.name()),
            }
        }
        ensure!(loaded.len() > before, "{}: no runtime takes it", manifest.path().display());
    }
    Ok(loaded)
}

fn load(manifest: &ComparatorManifest, options: &LoadOptions) -> anyhow::Result<Loaded> {
    let before = memory()?;
    let mut bar = LoadingBar::new();
    let comparator = Comparator::load_with(manifest, options, &mut |progress| bar.show(progress))?;
    drop(bar);
    let after = memory()?;
    let added = |after: u64, before: u64| after.saturating_sub(before);
    let (anonymous, file) = (added(after.anonymous, before.anonymous), added(after.file, before.file));
    Ok(Loaded { comparator, anonymous, file })
}

fn memory() -> anyhow::Result<Memory> {
    Memory::of(None).context("the memory of this process cannot be read")
}

impl Measured {
    fn new(loaded: &Loaded, timing: &CompareTiming, used: u64) -> Self {
        let [first_cpu_ms, pair_cpu_ms] = [&timing.first, &timing.pair].map(|step| Spread::of(&step.cpu_ms));
        Self {
            model: loaded.comparator.name().to_owned(),
            runtime: loaded.comparator.runtime().label(),
            see_cpu_ms: Spread::of(&timing.see.cpu_ms),
            prefix_cpu_ms: Spread::of(&timing.begin.cpu_ms),
            first_cpu_ms,
            pair_cpu_ms,
            suffix_cpu_ms: Spread::of(&timing.suffix.cpu_ms),
            comparison_cpu_ms: first_cpu_ms.p50 + pair_cpu_ms.p50,
            overhead: Spread::of(&timing.overhead).p50,
            loaded_anonymous_bytes: loaded.anonymous,
            loaded_file_bytes: loaded.file,
            used_anonymous_bytes: used,
            margin_error: loaded.comparator.margin_error(),
        }
    }

    fn line(&self) -> String {
        let steps = [self.see_cpu_ms, self.prefix_cpu_ms, self.first_cpu_ms, self.pair_cpu_ms, self.suffix_cpu_ms];
        let steps: String = steps.iter().map(|step| format!(" {:>8.1}", step.p50)).collect();
        format!(
            "{:<36} {:<26}{steps} {:>10.1} {:>8.2}% {:>11} {:>11} {:>11}\n",
            self.model,
            self.runtime,
            self.comparison_cpu_ms,
            self.overhead * 100.0,
            shown_bytes(self.loaded_anonymous_bytes),
            shown_bytes(self.loaded_file_bytes),
            shown_bytes(self.used_anonymous_bytes),
        )
    }
}

impl Report {
    fn text(&self, rounds: usize) -> String {
        let head = format!(
            "one thread, processor time in ms, median of {rounds} rounds in turn; comparison: first and pair; own: time \
             outside the runtime\n{:<36} {:<26} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>9} {:>11} {:>11} {:>11}\n",
            "model",
            "runtime",
            "see",
            "prefix",
            "first",
            "pair",
            "suffix",
            "comparison",
            "own",
            "anonymous",
            "of files",
            "in use"
        );
        self.comparators.iter().fold(head, |text, row| text + &row.line())
    }
}
