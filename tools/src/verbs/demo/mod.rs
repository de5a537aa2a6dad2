//! `geolocate demo`: the whole way once, from photos to fixes over MQTT.

mod broker;
mod flight;
mod hold_out;
mod process;
mod summary;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use quantized_models::DecodeLimits;

use crate::cli::Status;
use crate::dataset::load_poses;
use crate::output::{JsonTarget, say};

use broker::Broker;
use flight::Flight;
use hold_out::HeldOut;
use process::{Daemon, run_to_end};
use summary::Summary;

/// Builds a shard from most of the photos, starts mosquitto and the daemon, publishes the others over MQTT as a drone
/// would, and prints each fix with its error.
///
/// All that it makes stays in the output folder: the shard, the settings, the daemon's log, and the fixes as they came.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    geolocate demo --photos flight/photos --encoder models/mobilenetv3-small-576\n  \
    geolocate demo --photos set/images --poses set/poses.csv --encoder models/mobilenetv3-small-576")]
pub struct DemoArgs {
    /// Folder of photos taken near one another, at least four of them with a position
    #[arg(long, value_name = "DIR")]
    photos: PathBuf,
    /// CSV with at least file,lat,lon [default: positions in the EXIF tags]
    #[arg(long, value_name = "FILE.csv")]
    poses: Option<PathBuf>,
    /// Model folder or manifest of the encoder
    #[arg(long, value_name = "MODEL")]
    encoder: PathBuf,
    /// Folder for what the demo makes
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    out: PathBuf,
    /// Hold out every Nth photo, in the order of time, and publish it
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..))]
    hold_out: u32,
    /// A fix within so many metres of the truth counts as right in the summary
    #[arg(long, value_name = "METRES", default_value_t = 25.0)]
    right_within_m: f64,
    /// Write the summary as JSON
    #[arg(long, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

/// Runs the verb.
///
/// # Errors
/// Too few photos with a position, no mosquitto, a daemon that does not start or does not answer.
pub fn run(args: &DemoArgs) -> anyhow::Result<Status> {
    let table = load_poses(args.poses.as_deref(), Some(&args.photos), &DecodeLimits::default())?;
    let held_out = HeldOut::every(&table, args.hold_out as usize)?;
    let out = &prepared(&args.out)?;
    let (poses, split) = held_out.write(out)?;
    let say = |text: &str| say(args.json.as_ref(), text);
    let (references, queries) = (held_out.references(), held_out.queries());
    say(&format!("{} photos: {references} references, {} queries\n", table.poses.len(), queries.len()))?;

    let shard = out.join("reference.shard");
    let command = build_command(args, &poses, &split, &shard);
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    say(&format!("$ geolocate {}\n", words.join(" ")))?;
    run_to_end(&std::env::current_exe().context("the path of this program")?, &command)?;
    let broker = Broker::start(out)?;
    let settings = write_settings(out, &broker, &shard, &args.encoder)?;
    let mut flight = Flight::connect(&broker)?;
    say(&format!("$ geolocated run --config {}\n", settings.display()))?;
    let daemon = Daemon::start(&settings, &out.join("geolocated.log"))?;
    flight.wait_until_online(&daemon)?;
    say("geolocated is online\n\n")?;

    let mut summary = Summary::create(&out.join("fixes.ndjson"), args.right_within_m)?;
    for pose in queries {
        let answer = flight.ask(&args.photos, &pose.file, &daemon)?;
        say(&summary.take(pose, &answer)?)?;
    }
    daemon.stop()?;
    let report = summary.report();
    say(&format!("\n{report}the shard, the settings, the log and the fixes are in {}\n", out.display()))?;
    if let Some(json) = &args.json {
        json.write(&report)?;
    }
    Ok(if report.any_error() { Status::Failed } else { Status::Done })
}

fn prepared(out: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(out).with_context(|| format!("{}: cannot be made", out.display()))?;
    out.canonicalize().with_context(|| format!("{}: cannot be found", out.display()))
}

fn build_command(args: &DemoArgs, poses: &Path, split: &Path, shard: &Path) -> Vec<OsString> {
    let paths = [("--images", args.photos.as_path()), ("--poses", poses), ("--split", split)];
    let mut command = vec!["build".into(), "--role".into(), "reference".into()];
    for (flag, path) in paths.into_iter().chain([("--encoder", args.encoder.as_path()), ("--out", shard)]) {
        command.extend([flag.into(), path.into()]);
    }
    command
}

fn write_settings(out: &Path, broker: &Broker, shard: &Path, encoder: &Path) -> anyhow::Result<PathBuf> {
    let encoder = encoder.canonicalize().with_context(|| format!("{}: cannot be found", encoder.display()))?;
    let quoted = |path: &Path| toml_string(&path.to_string_lossy());
    let text = format!(
        "[device]\nsite = \"demo\"\nname = \"drone\"\nstate_dir = {}\n\n[mqtt]\nurl = \"{}\"\n\n[index]\nshards = [{}]\n\n\
         [models]\nencoder = {}\n",
        quoted(&out.join("state")),
        broker.url(),
        quoted(shard),
        quoted(&encoder),
    );
    let path = out.join("geolocated.toml");
    fs::write(&path, text).with_context(|| format!("{}: cannot be written", path.display()))?;
    Ok(path)
}

/// A TOML basic string is written like a JSON string.
fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
