//! Whether a runtime gives the margins that the model's author computed, and what it takes for them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use image::RgbImage;

use super::error::CompareError;
use super::manifest::{ComparatorManifest, GoldenComparison};
use super::tokens::ImageTokens;
use super::{Comparator, Times};
use crate::bench::Timing;
use crate::decode::{DecodeLimits, decode};
use crate::error::LoadError;
use crate::options::{OnProgress, Progress, Step};

/// All golden comparisons of a model, with their pictures.
pub(super) struct Goldens<'a> {
    all: &'a [GoldenComparison],
    pictures: BTreeMap<&'a Path, RgbImage>,
}

/// What the goldens told.
pub(super) struct Checked {
    pub(super) times: Times,
    /// Largest difference to the margin of the manifest.
    pub(super) margin_error: f32,
}

/// What each step took, in milliseconds, run after run.
#[derive(Default)]
struct Clock {
    see: Vec<f64>,
    begin: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
    suffix: Vec<f64>,
}

impl<'a> Goldens<'a> {
    pub(super) fn read(manifest: &'a ComparatorManifest) -> Result<Self, LoadError> {
        let mut pictures = BTreeMap::new();
        for path in manifest.pictures() {
            let read = |source| {
                let (model, path) = (manifest.name().to_owned(), path.to_owned());
                LoadError::Read { model, path, source }
            };
            let bytes = std::fs::read(path).map_err(read)?;
            let picture = decode(&bytes, &DecodeLimits::default())
                .map_err(|source| LoadError::GoldenPicture { path: path.to_owned(), source })?;
            pictures.insert(path, picture);
        }
        Ok(Self { all: manifest.goldens(), pictures })
    }

    /// Runs every golden comparison in order, then the first again, its query seen again too.
    pub(super) fn check(&self, comparator: &Comparator, progress: &mut OnProgress<'_>) -> Result<Checked, LoadError> {
        let runtime = comparator.runtime().label();
        let (mut clock, mut seen) = (Clock::default(), BTreeMap::new());
        let (mut margins, mut margin_error) = (Vec::new(), 0.0_f32);
        let total = self.all.len() as u64 + 1;
        for (golden, spec) in self.all.iter().enumerate() {
            progress(Progress { step: Step::Checking, done: golden as u64, total });
            let found = self.compare(comparator, spec, &mut seen, &mut clock)?;
            let GoldenComparison { margin: expected, tolerance, .. } = *spec;
            let error = (found - expected).abs();
            let is_reproduced = error <= tolerance;
            if !is_reproduced {
                return Err(LoadError::MarginMissed { golden, runtime, expected, tolerance, found });
            }
            margin_error = margin_error.max(error);
            margins.push(found);
        }
        if let (Some(spec), Some(&first)) = (self.all.first(), margins.first()) {
            progress(Progress { step: Step::Checking, done: total - 1, total });
            seen.remove(spec.query.as_path());
            let again = self.compare(comparator, spec, &mut seen, &mut clock)?;
            if again.to_bits() != first.to_bits() {
                return Err(LoadError::MarginNotRepeatable { golden: 0, runtime, first, again });
            }
        }
        Ok(Checked { times: clock.times(), margin_error })
    }

    fn compare(
        &self,
        comparator: &Comparator,
        spec: &'a GoldenComparison,
        seen: &mut BTreeMap<&'a Path, ImageTokens>,
        clock: &mut Clock,
    ) -> Result<f32, LoadError> {
        let mut compare = || -> Result<f32, CompareError> {
            let mut see = |path: &'a Path| -> Result<ImageTokens, CompareError> {
                if let (None, Some(picture)) = (seen.get(path), self.pictures.get(path)) {
                    let tokens = timed(&mut clock.see, || comparator.see(picture))?;
                    seen.insert(path, tokens);
                }
                seen.get(path).cloned().ok_or_else(|| comparator.unsupported("see a golden picture"))
            };
            let (query, first, second) = (see(&spec.query)?, see(&spec.first)?, see(&spec.second)?);
            let query = timed(&mut clock.begin, || comparator.begin(&query))?;
            let pivot = timed(&mut clock.first, || comparator.first(&query, &first))?;
            let past = timed(&mut clock.second, || comparator.second(&pivot, &second))?;
            timed(&mut clock.suffix, || comparator.margin(&past))
        };
        compare().map_err(|error| LoadError::GoldenCompare { path: spec.query.clone(), source: Box::new(error) })
    }
}

fn timed<T>(times: &mut Vec<f64>, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = work();
    times.push(started.elapsed().as_secs_f64() * 1e3);
    done
}

impl Clock {
    /// Medians: what a runtime prepares at its first run is not counted.
    fn times(&self) -> Times {
        let median = |times: &[f64]| Timing::quantile(times, 0.5).unwrap_or_default();
        let suffix_ms = median(&self.suffix);
        Times {
            see_ms: median(&self.see),
            begin_ms: median(&self.begin),
            first_ms: median(&self.first),
            pair_ms: median(&self.second) + suffix_ms,
            suffix_ms,
        }
    }
}
