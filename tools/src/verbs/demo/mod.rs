//! `geolocate demo`: the whole way once, from pictures to fixes over MQTT.

mod broker;
mod explain;
mod flight;
mod frame;
mod ground;
mod hold_out;
mod map;
mod outcome;
mod page;
mod paint;
mod photos;
mod picture;
mod plan;
mod process;
mod summary;
mod world;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Args;

use crate::builtin::{self, COMPARATOR, MINI};
use crate::cli::Status;
use crate::metrics::Ordered;
use crate::output::{JsonTarget, say};

use broker::Broker;
use flight::Flight;
use photos::PhotosArgs;
use plan::Plan;
use process::{Daemon, run_verb};
use summary::{DemoReport, Teller};
use world::WorldArgs;

/// Draws a world, maps it, starts mosquitto and the daemon, flies a drone over it that publishes its frames over MQTT,
/// and prints each fix as it arrives with its error. With --photos: the same over photos of your own.
///
/// All that it makes stays in the output folder: demo.html, a page with the map and the pictures; demo.jpg, the map as
/// a picture; the world, the shard, the settings, the daemon's log, and the fixes as they came.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    geolocate demo\n  \
    geolocate demo --setting easy --seed 1501 --out easy\n  \
    geolocate demo --photos flight/photos --encoder models/mobilenetv3-small-576\n  \
    geolocate demo --photos set/images --poses set/poses.csv --encoder models/mobilenetv3-small-576")]
pub struct DemoArgs {
    #[command(flatten)]
    photos: PhotosArgs,
    #[command(flatten)]
    world: WorldArgs,
    /// Model folder or manifest of the encoder [default: mini, the built-in one, which knows the world only]
    #[arg(long, value_name = "MODEL")]
    encoder: Option<PathBuf>,
    /// Model folder or manifest of the comparator that reranks [default: vlm-mini, the built-in one; none with --photos]
    #[arg(long, value_name = "MODEL", conflicts_with = "no_comparator")]
    comparator: Option<PathBuf>,
    /// Retrieve alone
    #[arg(long)]
    no_comparator: bool,
    /// Folder for what the demo makes
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    out: PathBuf,
    /// A fix within so many metres of the truth counts as right [default: a tile's side; 25 with --photos]
    #[arg(long, value_name = "METRES")]
    right_within_m: Option<f64>,
    /// Write the summary as JSON
    #[arg(long, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

impl DemoArgs {
    /// The built-in one knows the drawn world alone.
    fn comparator(&self) -> Option<&Path> {
        let usual = self.photos.photos.is_none().then_some(Path::new(COMPARATOR));
        self.comparator.as_deref().or(usual).filter(|_| !self.no_comparator)
    }
}

/// Wall-clock seconds of each step.
struct Steps {
    since: Instant,
    seconds: Ordered<f64>,
}

/// Folders of the models.
struct Models {
    encoder: PathBuf,
    comparator: Option<PathBuf>,
}

impl Models {
    fn find(args: &DemoArgs) -> anyhow::Result<Self> {
        let found = |model: &Path| {
            let path = builtin::resolve(model)?;
            path.canonicalize().with_context(|| format!("{}: cannot be found", path.display()))
        };
        let encoder = found(args.encoder.as_deref().unwrap_or(Path::new(MINI)))?;
        Ok(Self { encoder, comparator: args.comparator().map(found).transpose()? })
    }
}

impl Steps {
    fn begin() -> Self {
        Self { since: Instant::now(), seconds: Ordered::default() }
    }

    /// Ends a step, and begins the next.
    fn end(&mut self, name: &str) {
        self.seconds.0.push((name.to_owned(), self.since.elapsed().as_secs_f64()));
        self.since = Instant::now();
    }
}

/// Runs the verb.
///
/// # Errors
/// No encoder, too few photos with a position, no mosquitto, a daemon that does not start or does not answer.
pub fn run(args: &DemoArgs) -> anyhow::Result<Status> {
    let models = Models::find(args)?;
    let out = &prepared(&args.out)?;
    let mut steps = Steps::begin();
    let mut plan = match &args.photos.photos {
        Some(photos) => args.photos.plan(photos, args.right_within_m, out)?,
        None => args.world.plan(args.right_within_m, out)?,
    };
    plan.facts.push(("encoder", args.encoder.as_deref().unwrap_or(Path::new(MINI)).display().to_string()));
    if let Some(comparator) = args.comparator() {
        plan.facts.push(("comparator", comparator.display().to_string()));
    }
    steps.end("pictures");
    let say = |text: &str| say(args.json.as_ref(), text);
    say(&format!("{}\n", plan.title))?;
    fly(&mut plan, &models, out, &mut steps, &say)?;
    let explained = explain::write(&plan, &models, out)?;
    steps.end("explanation");
    let report = DemoReport::new(&plan.frames, plan.right_within_m, plan.references, steps.seconds);
    let (page, picture) = (out.join("demo.html"), out.join("demo.jpg"));
    page::write(&page, &plan, &report)?;
    picture::write(&picture, &plan)?;
    say(&format!("\n{report}\n"))?;
    say(&format!("the page:    {}\nthe picture: {}\n", page.display(), picture.display()))?;
    if let Some(explained) = &explained {
        say(&format!("what the comparator did to one frame: {}\n", explained.display()))?;
    }
    say(&format!("the shard, the settings, the log and the fixes are in {}\n", out.display()))?;
    if let Some(json) = &args.json {
        json.write(&report)?;
    }
    Ok(if report.any_error() { Status::Failed } else { Status::Done })
}

/// Builds the shard, starts broker and daemon, and flies; the answers are in the plan's frames then.
fn fly(
    plan: &mut Plan,
    models: &Models,
    out: &Path,
    steps: &mut Steps,
    say: &impl Fn(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let shard = out.join("reference.shard");
    let mut build = plan.build.clone();
    build.extend(plan::arguments([("--encoder", &*models.encoder), ("--out", &shard)]));
    say(&format!("$ geolocate {}\n", words(&build)))?;
    run_verb(&build)?;
    steps.end("shard");
    let broker = Broker::start(out)?;
    let settings = write_settings(out, &broker, &shard, models)?;
    let mut flight = Flight::connect(&broker)?;
    say(&format!("$ geolocated run --config {}\n", settings.display()))?;
    let daemon = Daemon::start(&settings, &out.join("geolocated.log"))?;
    flight.wait_until_online(&daemon)?;
    steps.end("start");
    say("geolocated is online\n\n")?;
    let mut teller = Teller::create(&out.join("fixes.ndjson"), plan.right_within_m)?;
    flight.fly(&mut plan.frames, plan.pace, &daemon, |number, frame| say(&teller.take(number, frame)?))?;
    daemon.stop()?;
    steps.end("flight");
    Ok(())
}

fn words(command: &[OsString]) -> String {
    command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn prepared(out: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(out).with_context(|| format!("{}: cannot be made", out.display()))?;
    out.canonicalize().with_context(|| format!("{}: cannot be found", out.display()))
}

fn write_settings(out: &Path, broker: &Broker, shard: &Path, models: &Models) -> anyhow::Result<PathBuf> {
    let quoted = |path: &Path| toml_string(&path.to_string_lossy());
    let comparator = models.comparator.as_deref().map(|path| format!("comparator = {}\n", quoted(path)));
    let comparator = comparator.unwrap_or_default();
    let text = format!(
        "[device]\nsite = \"demo\"\nname = \"drone\"\nstate_dir = {}\n\n[mqtt]\nurl = \"{}\"\n\n\
         [index]\nshards = [{}]\n\n[models]\nencoder = {}\n{comparator}",
        quoted(&out.join("state")),
        broker.url(),
        quoted(shard),
        quoted(&models.encoder),
    );
    let path = out.join("geolocated.toml");
    fs::write(&path, text).with_context(|| format!("{}: cannot be written", path.display()))?;
    Ok(path)
}

/// A TOML basic string is written like a JSON string.
fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
