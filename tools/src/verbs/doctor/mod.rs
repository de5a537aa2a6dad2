//! `geolocate doctor`: what is wrong on a device, and how to mend it.

mod comparator;
mod finding;
mod generations;
mod generator;
mod index;
mod model;
mod surroundings;

use std::path::PathBuf;

use clap::Args;
use geolocated::service::Settings;
use serde::Serialize;

use self::finding::{Finding, State};
use crate::cli::Status;
use crate::output::{JsonTarget, say};

/// Says what is wrong on a device, and how to mend it: settings, shards, models, their spaces, stamps, disk, broker.
///
/// Run it as the user of the service, and in its environment. Exit status: 0 nothing is wrong, 3 something is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sudo -u geolocated geolocate doctor\n  \
    geolocate doctor --config geolocated.toml --full --json -")]
pub struct DoctorArgs {
    /// Settings of the daemon
    #[arg(long, value_name = "FILE", default_value = "/etc/geolocated/geolocated.toml")]
    config: PathBuf,
    /// Read every byte of shards and model again, whatever was verified before
    #[arg(long)]
    full: bool,
    /// Write the findings as JSON
    #[arg(long, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

#[derive(Debug, Serialize)]
struct Report {
    config: PathBuf,
    full: bool,
    /// Whether nothing is wrong.
    good: bool,
    findings: Vec<Finding>,
}

/// Runs the verb.
///
/// # Errors
/// The findings cannot be written.
pub fn run(args: &DoctorArgs) -> anyhow::Result<Status> {
    let findings = findings(args);
    let good = findings.iter().all(|finding| finding.state != State::Wrong);
    if args.json != Some(JsonTarget::Stdout) {
        say(args.json.as_ref(), &findings.iter().map(Finding::text).collect::<String>())?;
    }
    let report = Report { config: args.config.clone(), full: args.full, good, findings };
    if let Some(json) = &args.json {
        json.write(&report)?;
    }
    Ok(if good { Status::Done } else { Status::RequirementFailed })
}

fn findings(args: &DoctorArgs) -> Vec<Finding> {
    let settings = match Settings::load(&args.config, std::env::vars()) {
        Ok(settings) => settings,
        Err(error) => {
            let mend = "correct the settings (docs/mqtt.md has all keys); nothing else can be looked at before";
            return vec![Finding::wrong("settings", error, mend)];
        }
    };
    let mut findings = vec![Finding::good("settings", format!("{} holds", args.config.display()))];
    findings.extend(surroundings::state(&settings.state_dir));
    findings.extend(index::findings(&settings, args.full));
    if let Some(encoder) = &settings.encoder {
        findings.extend(model::findings(&settings, encoder, args.full));
    }
    findings.extend(comparator::findings(&settings));
    findings.extend(generator::findings(&settings));
    findings.push(surroundings::broker(&settings.broker));
    findings
}
