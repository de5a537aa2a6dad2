//! Verbs, exit statuses, and how errors are said.

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::output::is_broken_pipe;
use crate::verbs;

/// Builds, inspects and verifies shards of geolocated, locates pictures, and measures how well that goes.
///
/// Exit status: 0 done, 1 failed, 2 wrong usage, 3 ran, but a stated requirement did not hold.
#[derive(Debug, Parser)]
#[command(name = "geolocate", version, about, long_about, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
enum Verb {
    Build(Box<verbs::build::BuildArgs>),
    Search(Box<verbs::search::SearchArgs>),
    Locate(verbs::locate::LocateArgs),
    Evaluate(Box<verbs::evaluate::EvaluateArgs>),
    Inspect(verbs::inspect::InspectArgs),
    Verify(verbs::verify::VerifyArgs),
    Merge(verbs::merge::MergeArgs),
    Outbox(verbs::outbox::OutboxArgs),
    Demo(verbs::demo::DemoArgs),
    Bench(verbs::bench::BenchArgs),
    Models(verbs::models::ModelsArgs),
    Doctor(verbs::doctor::DoctorArgs),
    World(verbs::world::WorldArgs),
    Sign(Box<verbs::sign::SignArgs>),
    Bundle(Box<verbs::bundle::BundleArgs>),
    Calibrate(Box<verbs::calibrate::CalibrateArgs>),
    Import(Box<verbs::import::ImportArgs>),
    Sample(Box<verbs::sample::SampleArgs>),
}

/// How a verb ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All is done: exit status 0.
    Done,
    /// It ran, and part of it went wrong, which has been said: exit status 1.
    Failed,
    /// It ran, and a stated requirement did not hold: exit status 3.
    RequirementFailed,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status::Done => Self::SUCCESS,
            Status::Failed => Self::FAILURE,
            Status::RequirementFailed => Self::from(3),
        }
    }
}

/// Reads the command line, runs its verb, says errors in one line on standard error, and gives the exit status.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match run(cli.verb) {
        Ok(status) => status.into(),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("geolocate: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<Status> {
    match verb {
        Verb::Build(args) => verbs::build::run(&args),
        Verb::Search(args) => verbs::search::run(&args),
        Verb::Locate(args) => verbs::locate::run(&args),
        Verb::Evaluate(args) => verbs::evaluate::run(&args),
        Verb::Inspect(args) => verbs::inspect::run(&args),
        Verb::Verify(args) => verbs::verify::run(&args),
        Verb::Merge(args) => verbs::merge::run(&args),
        Verb::Outbox(args) => verbs::outbox::run(&args),
        Verb::Demo(args) => verbs::demo::run(&args),
        Verb::Bench(args) => verbs::bench::run(&args),
        Verb::Models(args) => verbs::models::run(&args),
        Verb::Doctor(args) => verbs::doctor::run(&args),
        Verb::World(args) => verbs::world::run(&args),
        Verb::Sign(args) => verbs::sign::run(&args),
        Verb::Bundle(args) => verbs::bundle::run(&args),
        Verb::Calibrate(args) => verbs::calibrate::run(&args),
        Verb::Import(args) => verbs::import::run(&args),
        Verb::Sample(args) => verbs::sample::run(&args),
    }
}

/// The error with its causes on one line. A cause whose text the line holds already is not repeated.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if !line.contains(&text) {
            let separator = if line.is_empty() { "" } else { ": " };
            line = format!("{line}{separator}{text}");
        }
    }
    line.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_example_and_offers_json() {
        for verb in Cli::command().get_subcommands() {
            let example = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains(&format!("geolocate {}", verb.get_name())), "{}: {example}", verb.get_name());
            assert!(verb.get_about().is_some(), "{}", verb.get_name());
            assert!(verb.get_arguments().any(|argument| argument.get_id() == "json"), "{}", verb.get_name());
        }
    }

    #[test]
    fn an_error_is_one_line_and_says_nothing_twice() {
        let error: anyhow::Error =
            Err::<(), _>(anyhow!("broken\nin two")).context("a.shard: broken\nin two").unwrap_err();
        assert_eq!(one_line(&error), "a.shard: broken in two");
        let error: anyhow::Error = Err::<(), _>(anyhow!("no such file")).context("a.shard").unwrap_err();
        assert_eq!(one_line(&error), "a.shard: no such file");
    }
}
