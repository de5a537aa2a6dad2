//! `geolocate bench rerank`: schedules of comparisons against simulated comparators.

mod curves;
mod guards;
mod plots;
mod report;
mod settings;
mod target;
mod text;

use std::path::PathBuf;

use clap::Args;

use crate::bench::rerank::consistency::Consistency;
use crate::bench::rerank::published::PublishedShape;
use crate::cli::Status;
use crate::index_args::at_least_one;
use crate::output::{JsonTarget, say};

use report::{ComparatorPart, Report};
use settings::{Eye, Simulation};

/// Queries of the published comparison of schedules.
const PUBLISHED_QUERIES: u64 = 200;

/// Simulates reranking: the daemon's own schedules, frames whose truth is known, comparators that err as published
/// ones do. Quality against calls and cost.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  geolocate bench rerank --frames 2000 --svg docs/rerank --json rerank.json")]
pub(super) struct RerankBenchArgs {
    /// How many frames each schedule reranks
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = at_least_one)]
    frames: usize,
    /// Correlation of the retrieval's scores with the truth, from 0 to 1
    #[arg(long, value_name = "R", default_value_t = 0.6, value_parser = correlation)]
    retrieval_skill: f64,
    /// Seed of frames and errors
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Write the curves as SVG into this folder; it is made
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
}

fn correlation(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("expected a number from 0 to 1, found {text:?}"))?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(format!("expected a number from 0 to 1, found {value}")) }
}

/// Runs the verb.
///
/// # Errors
/// The plots or the figures cannot be written.
pub(super) fn run(args: &RerankBenchArgs, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let simulation = Simulation::new(args.frames, args.retrieval_skill, args.seed);
    let report = Report {
        schema: 1,
        frames: args.frames,
        retrieval_skill: args.retrieval_skill,
        seed: args.seed,
        comparators: Eye::ALL.into_iter().map(|eye| comparator(&simulation, eye)).collect(),
        published: PublishedShape::of(&simulation.comparator(Eye::Middling), PUBLISHED_QUERIES, args.seed),
        target: target::measure(&simulation),
        scheduling: target::scheduling(&simulation),
        curves: curves::measure(&simulation),
        tops: guards::tops(&simulation),
        probes: guards::probes(&simulation),
        gates: guards::gates(&simulation),
        confidences: guards::confidences(&simulation),
        calibrations: guards::calibrations(&simulation),
    };
    if let Some(folder) = &args.svg {
        plots::write(folder, &report)?;
    }
    say(json, &text::of(&report))?;
    if let Some(json) = json {
        json.write(&report)?;
    }
    Ok(Status::Done)
}

fn comparator(simulation: &Simulation, eye: Eye) -> ComparatorPart {
    let comparator = simulation.comparator(eye);
    ComparatorPart {
        eye,
        perception_noise: comparator.perception_noise,
        consistency: Consistency::of(&comparator, simulation.seed),
    }
}
