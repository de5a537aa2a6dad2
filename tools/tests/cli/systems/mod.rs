//! `geolocate evaluate --system`: published systems against a server of the test's own, and with a model that runs here.

mod answers;
mod local;
mod server;
mod sft;
mod sweep;
mod trouble;

use std::fs;
use std::path::PathBuf;

use image::{Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Run, at_angle, command, finish, npy, run};
use server::{Reply, Server};

/// Four references in four cities, and three queries with pictures: the first two next to the first and the second
/// reference, the third in a city that no reference shows.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    shard: PathBuf,
}

pub(crate) const PARIS: (f64, f64) = (48.8584, 2.2945);
pub(crate) const SYDNEY: (f64, f64) = (-33.8568, 151.2153);
pub(crate) const LIMA: (f64, f64) = (-12.0464, -77.0428);

impl World {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        npy(&path("r.npy"), &[0.0, 60.0, 120.0, 180.0].map(at_angle));
        fs::write(
            path("r.csv"),
            "file,lat,lon,source\nr/1234567.jpg,48.8590,2.2950,emp16\nr/2.jpg,-33.8600,151.2100,osv5m\nr/3.jpg,35.6,139.7,osv5m\n\
             r/4.jpg,40.7,-74.0,emp16\n",
        )
        .unwrap();
        let shard = path("r.shard");
        run(
            "build",
            &[&"--vectors", &path("r.npy"), &"--poses", &path("r.csv"), &"--space", &"plane", &"--out", &shard],
        )
        .expect(0);
        npy(&path("q.npy"), &[2.0, 58.0, 100.0].map(at_angle));
        fs::write(
            path("q.csv"),
            format!(
                "file,lat,lon,country,photo\nparis.png,{},{},FR,7654321\nsydney.png,{},{},AU,\nlima.png,{},{},PE,\n",
                PARIS.0, PARIS.1, SYDNEY.0, SYDNEY.1, LIMA.0, LIMA.1
            ),
        )
        .unwrap();
        for (number, name) in ["paris.png", "sydney.png", "lima.png"].into_iter().enumerate() {
            RgbImage::from_fn(40, 30, |x, y| Rgb([(x * 6) as u8, (y * 8) as u8, number as u8 * 90]))
                .save(path(name))
                .unwrap();
        }
        Self { folder, shard }
    }

    pub(crate) fn evaluate(&self, system: &str, server: &Server, more: &[&str]) -> Run {
        self.run(system, &["--generator", &server.url(), "--generator-model", "test-model"], more)
    }

    /// The same with whatever generator.
    pub(crate) fn run(&self, system: &str, generator: &[&str], more: &[&str]) -> Run {
        let path = |name: &str| self.folder.path().join(name);
        let mut evaluate = command("evaluate");
        evaluate.env("XDG_CACHE_HOME", path("cache")).args(["--system", system]).args(generator);
        evaluate
            .arg("--index")
            .arg(&self.shard)
            .arg("--query-vectors")
            .arg(path("q.npy"))
            .arg("--poses")
            .arg(path("q.csv"));
        evaluate.arg("--images").arg(self.folder.path()).arg("--answers").arg(path("answers"));
        finish(evaluate.args(["--json", "-", "--retry-wait-ms", "1"]).args(more))
    }
}

/// Answers each query with what it is, by the blue of its picture: known cities in the order of the queries.
pub(crate) fn knows(request: &server::Request, answers: [&str; 3]) -> Reply {
    Reply::text(answers[request.query])
}

/// A share within a threshold of the first answers.
pub(crate) fn within(figures: &Value, metres: &str) -> f64 {
    figures["within_m"][metres].as_f64().unwrap()
}
