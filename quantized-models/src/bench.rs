//! What a model costs: time of its runs, interleaved between runtimes, and memory of a process.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use image::RgbImage;
use rustix::time::{ClockId, clock_gettime};

use crate::encoder::Encoder;
use crate::error::EmbedError;
use crate::manifest::View;

/// What runs of one encoder took, in milliseconds, in the order of the runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timing {
    /// Processor time of the whole process for the graph alone, which with one thread is that of the calling thread.
    pub graph_cpu_ms: Vec<f64>,
    /// Time on the clock for the graph alone.
    pub graph_wall_ms: Vec<f64>,
    /// Processor time for preprocessing: resize, normalise.
    pub preprocess_cpu_ms: Vec<f64>,
}

impl Timing {
    /// The value below which `share` (0..=1) of `values` lie, by the nearest rank; `None` without values.
    #[must_use]
    pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

/// Runs each of `encoders` on `image`, in `rounds` rounds of one run each, after one run that is not counted. Taking
/// turns, they meet the same hours of a shared machine, so that ratios between them mean something. Nothing else should
/// run in the process meanwhile.
///
/// # Errors
/// What an encoder says of the picture.
pub fn interleaved(encoders: &[&Encoder], image: &RgbImage, rounds: usize) -> Result<Vec<Timing>, EmbedError> {
    let mut timings = vec![Timing::default(); encoders.len()];
    for encoder in encoders {
        encoder.embed(image, View::Query)?;
    }
    for _ in 0..rounds {
        for (encoder, timing) in encoders.iter().zip(&mut timings) {
            run(encoder, image, timing)?;
        }
    }
    Ok(timings)
}

fn run(encoder: &Encoder, image: &RgbImage, timing: &mut Timing) -> Result<(), EmbedError> {
    let tower = encoder.tower(View::Query);
    let before = cpu_time();
    let input = tower.preprocess.apply(image)?;
    let (prepared, started) = (cpu_time(), Instant::now());
    let outcome = tower.graph.run(&input);
    let (wall, after) = (started.elapsed(), cpu_time());
    let runtime = || tower.graph.info().label();
    outcome.map_err(|reason| EmbedError::Runtime { model: encoder.name().to_owned(), runtime: runtime(), reason })?;
    timing.preprocess_cpu_ms.push(milliseconds(prepared.saturating_sub(before)));
    timing.graph_cpu_ms.push(milliseconds(after.saturating_sub(prepared)));
    timing.graph_wall_ms.push(milliseconds(wall));
    Ok(())
}

/// Processor time of all threads of this process.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// A time in milliseconds.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// What of a process lies in memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Its own pages: heap, stacks, what was written.
    pub anonymous: u64,
    /// Pages of files, which other processes may share and the system may take back.
    pub file: u64,
    /// All pages, shared ones whole.
    pub resident: u64,
    /// All pages, each divided by the number of processes that have it.
    pub proportional: u64,
}

impl Memory {
    /// Of the process `pid`; `None` is this one.
    ///
    /// # Errors
    /// `/proc` is not there, or of another form.
    pub fn of(pid: Option<u32>) -> io::Result<Self> {
        let process = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        Ok(Self {
            anonymous: kibibytes(&status, "RssAnon:")?,
            file: kibibytes(&status, "RssFile:")?,
            resident: kibibytes(&rollup, "Rss:")?,
            proportional: kibibytes(&rollup, "Pss:")?,
        })
    }
}

/// Bytes of the line that begins with `key`.
fn kibibytes(text: &str, key: &str) -> io::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    number.map(|number| number * 1024).ok_or_else(|| io::Error::other(format!("no line {key} in /proc")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(
            [0.0, 0.5, 0.95, 1.0].map(|share| Timing::quantile(&values, share)),
            [Some(1.0), Some(2.0), Some(4.0), Some(4.0)]
        );
        assert_eq!(Timing::quantile(&[], 0.5), None);
    }

    #[test]
    fn memory_of_this_process_is_told() {
        let memory = Memory::of(None).unwrap();
        assert!(memory.anonymous > 0 && memory.resident >= memory.proportional, "{memory:?}");
        assert!(Memory::of(Some(u32::MAX)).is_err());
    }
}
