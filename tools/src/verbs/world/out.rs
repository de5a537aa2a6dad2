//! The folder to write, the threads that draw, the report.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use crate::dataset::all_cores;
use crate::index_args::at_least_one;
use crate::output::{JsonTarget, say};
use crate::progress::Progress;
use crate::world::GENERATOR;
use crate::world::data::draw;
use crate::world::data::folder::{IMAGES, Occupied, OutFolder};
use crate::world::render::Renderer;
use crate::world::town::World;
use crate::world::view::shot::Shot;

/// Where to write.
#[derive(Debug, Args)]
pub(super) struct OutArgs {
    /// Folder to write; it is made
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Go on with a stopped run of the same options
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Remove what an earlier run left
    #[arg(long)]
    force: bool,
    /// Threads that draw [default: all cores]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    threads: Option<usize>,
}

/// What was made, and how fast.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    out: PathBuf,
    generator: u32,
    /// Pictures that the folder holds now.
    views: usize,
    /// Pictures that this run has drawn.
    drawn: usize,
    threads: usize,
    seconds: f64,
    views_per_minute: f64,
}

impl OutArgs {
    /// Threads that draw.
    pub(super) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(all_cores)
    }

    /// Opens the folder for a run that these lines describe.
    ///
    /// # Errors
    /// As [`OutFolder::open`].
    pub(super) fn open(&self, what: &str, lines: &[(&'static str, String)]) -> anyhow::Result<OutFolder> {
        let occupied = match (self.resume, self.force) {
            (true, _) => Occupied::Resume,
            (_, true) => Occupied::Force,
            _ => Occupied::Refuse,
        };
        let mut manifest = format!("generator = {GENERATOR}\nwhat = \"{what}\"\n");
        for (key, value) in lines {
            manifest += &format!("{key} = {value}\n");
        }
        Ok(OutFolder::open(&self.out, &manifest, occupied)?)
    }

    /// Says what was made.
    ///
    /// # Errors
    /// The target of the report cannot be written.
    pub(super) fn report(
        &self,
        views: usize,
        drawn: usize,
        start: Instant,
        json: Option<&JsonTarget>,
    ) -> anyhow::Result<()> {
        let seconds = start.elapsed().as_secs_f64();
        let report = Report {
            out: self.out.clone(),
            generator: GENERATOR,
            views,
            drawn,
            threads: self.threads(),
            seconds,
            views_per_minute: drawn as f64 / seconds.max(1e-9) * 60.0,
        };
        let (out, per_minute) = (self.out.display(), report.views_per_minute);
        let threads = report.threads;
        say(json, &format!("{out}: {views} views, {drawn} drawn in {seconds:.1} s on {threads} threads"))?;
        say(json, &format!(" ({per_minute:.0} a minute)\n"))?;
        json.map_or(Ok(()), |json| json.write(&report))
    }
}

/// Draws pictures into a folder, but for those that are there; how many were drawn.
///
/// # Errors
/// A picture cannot be written.
pub(super) fn pictures(
    folder: &OutFolder,
    world: World,
    shots: impl Iterator<Item = (String, Shot)>,
    total: usize,
    threads: usize,
) -> anyhow::Result<usize> {
    folder.make_images()?;
    let progress = Progress::new("drawing", total);
    let mut drawn = 0;
    let missing = shots.filter(|(file, _)| {
        let is_there = folder.has(&format!("{IMAGES}/{file}"));
        if is_there {
            progress.step();
        }
        !is_there
    });
    let draw = |(_, shot): &(String, Shot), renderer: &mut Renderer| shot.jpeg(renderer);
    draw::all(
        missing,
        threads,
        |_| world,
        draw,
        |(file, _), jpeg| {
            folder.write(&format!("{IMAGES}/{file}"), &jpeg?)?;
            drawn += 1;
            progress.step();
            anyhow::Ok(())
        },
    )?;
    Ok(drawn)
}
