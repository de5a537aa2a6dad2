//! `geolocated run` and `geolocated check`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Parser, Subcommand};
use geolocated::calibration::Calibration;
use geolocated::generations::{self, Generation};
use geolocated::locate::{Pipeline, PipelineOptions};
use geolocated::service::{GenerationSettings, GeneratorSettings, Settings, run};
use geolocated::{assemble, environment};
use index_shards::ShardSet;
use quantized_models::{ComparatorManifest, Generator, LoadOptions};
use tracing_subscriber::EnvFilter;

/// Answers on the device where a camera frame was taken, and publishes the answer over MQTT.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
#[command(after_help = "Example:\n  geolocated check --config /etc/geolocated/geolocated.toml\n  \
                        geolocated run --config /etc/geolocated/geolocated.toml\n\n\
                        GEOLOCATED__SECTION__KEY=VALUE in the environment overrides a setting.\n\
                        GEOLOCATED_LOG sets what is logged: error, warn, info (default), debug.")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs until SIGTERM or SIGINT.
    Run {
        /// Settings in TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Checks settings, manifest and shards without running; says what is wrong and where.
    Check {
        /// Settings in TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

fn main() {
    environment::ensure(&[environment::NO_TELEMETRY, environment::TRIM_MEMORY]);
    let arguments = Arguments::parse();
    log_to_stderr();
    let done = match &arguments.verb {
        Verb::Run { config } => run(config).with_context(|| format!("{} cannot be run", config.display())),
        Verb::Check { config } => check(config).with_context(|| format!("{} does not hold", config.display())),
    };
    let status = match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("geolocated: {error:#}");
            1
        }
    };
    // Without the destructors of libraries: a model may still be loaded or at work on its thread, and the runtime must not
    // be taken apart under it.
    signal_hook::low_level::exit(status)
}

fn check(config: &Path) -> anyhow::Result<()> {
    let settings = Settings::load(config, std::env::vars())?;
    let comparator = settings.rerank.as_ref().map(|rerank| rerank.comparator.as_path());
    settings.generate.as_ref().map(|generate| check_generator(generate, &settings.load)).transpose()?;
    match (&settings.generations, &settings.encoder) {
        (Some(generations), _) => {
            say_generations(generations);
            comparator.map(ComparatorManifest::load).transpose()?;
        }
        (None, Some(encoder)) => assemble::check(encoder, comparator, &settings.shards)?,
        (None, None) => {}
    }
    say_calibration(&settings)?;
    eprintln!("{}: good", config.display());
    Ok(())
}

/// Its manifest reads, and says how questions are put.
fn check_generator(settings: &GeneratorSettings, load: &LoadOptions) -> anyhow::Result<()> {
    Generator::check(&ComparatorManifest::load(&settings.model)?, load)?;
    Ok(())
}

/// Says why no radii would be published, where a calibration is named. It keeps the daemon from nothing.
fn say_calibration(settings: &Settings) -> anyhow::Result<()> {
    let Some(path) = &settings.calibration else { return Ok(()) };
    let calibration = match Calibration::load(path) {
        Ok(calibration) => calibration,
        Err(error) => {
            eprintln!("fixes would have no radii: {error}");
            return Ok(());
        }
    };
    if !settings.shards.is_empty() {
        let options =
            PipelineOptions { search: settings.search.clone(), fuse: settings.fuse, ..PipelineOptions::default() };
        let pipeline = Pipeline::new(None, ShardSet::open(&settings.shards)?, options, false)?;
        if let Err(error) = calibration.check(path, &pipeline) {
            eprintln!("fixes would have no radii: {error}");
        }
    }
    Ok(())
}

/// Says which generations were brought. None that is refused keeps the daemon from starting: what was active serves.
fn say_generations(settings: &GenerationSettings) {
    match generations::list(&settings.folder) {
        Err(error) => eprintln!("{}: cannot be looked at: {error}", settings.folder.display()),
        Ok(found) if found.is_empty() => eprintln!("{}: no generation yet", settings.folder.display()),
        Ok(found) => {
            for (_, folder) in found {
                match Generation::open(&folder, &settings.keys).and_then(|found| found.check_lengths()) {
                    Ok(()) => eprintln!("{}: signed, all files there", folder.display()),
                    Err(error) => eprintln!("refused: {error}"),
                }
            }
        }
    }
}

/// The journal stamps lines itself; elsewhere each gets its time.
fn log_to_stderr() {
    let filter =
        EnvFilter::try_from_env("GEOLOCATED_LOG").unwrap_or_else(|_| EnvFilter::new("info,tract=warn,ort=warn"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let subscriber = subscriber.with_ansi(std::io::stderr().is_terminal());
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        subscriber.without_time().init();
    } else {
        subscriber.init();
    }
}
