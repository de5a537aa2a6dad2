//! What the steps of a comparison cost, and how much of it is the runtime's.

use std::time::Instant;

use image::RgbImage;

use super::Comparator;
use super::error::CompareError;
use crate::bench::{cpu_time, milliseconds};

/// What one step took, run after run, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepTiming {
    /// Processor time of the whole process, which with one thread is that of the calling thread.
    pub cpu_ms: Vec<f64>,
    /// Time on the clock.
    pub wall_ms: Vec<f64>,
}

/// What comparisons of one comparator took, in the order of the runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CompareTiming {
    /// One picture to its tokens, preprocessing included.
    pub see: StepTiming,
    /// Instruction and query.
    pub begin: StepTiming,
    /// The first candidate on the prefix.
    pub first: StepTiming,
    /// The second candidate and the question on a pivot.
    pub pair: StepTiming,
    /// The question alone.
    pub suffix: StepTiming,
    /// Of each round, the share of the time on the clock that was not spent in the runtime: see, begin, first, pair.
    pub overhead: Vec<f64>,
}

/// Runs each of `comparators` on a query and two candidates, in `rounds` rounds of one comparison each, everything run
/// anew, after one that is not counted. Taking turns, they meet the same hours of a shared machine. Nothing else should
/// run in the process meanwhile.
///
/// # Errors
/// What a comparator says of the pictures.
pub fn interleaved_comparisons(
    comparators: &[&Comparator],
    pictures: [&RgbImage; 3],
    rounds: usize,
) -> Result<Vec<CompareTiming>, CompareError> {
    let mut timings = vec![CompareTiming::default(); comparators.len()];
    for comparator in comparators {
        round(comparator, pictures, &mut CompareTiming::default())?;
    }
    for _ in 0..rounds {
        for (comparator, timing) in comparators.iter().zip(&mut timings) {
            round(comparator, pictures, timing)?;
        }
    }
    Ok(timings)
}

fn round(comparator: &Comparator, pictures: [&RgbImage; 3], timing: &mut CompareTiming) -> Result<(), CompareError> {
    let spent = || (comparator.vision.network.spent() + comparator.decoder.network.spent()).as_secs_f64();
    let (before, started) = (spent(), Instant::now());
    let [query, first, second] = pictures;
    let query = timing.see.of(|| comparator.see(query))?;
    let first = timing.see.of(|| comparator.see(first))?;
    let second = timing.see.of(|| comparator.see(second))?;
    let query = timing.begin.of(|| comparator.begin(&query))?;
    let pivot = timing.first.of(|| comparator.first(&query, &first))?;
    timing.pair.of(|| comparator.pair(&pivot, &second))?;
    let (wall, in_runtime) = (started.elapsed().as_secs_f64(), spent() - before);
    timing.overhead.push(if wall > 0.0 { 1.0 - in_runtime / wall } else { 0.0 });
    let past = comparator.second(&pivot, &second)?;
    timing.suffix.of(|| comparator.margin(&past))?;
    Ok(())
}

impl StepTiming {
    fn of<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (cpu, wall) = (cpu_time(), Instant::now());
        let done = work();
        self.wall_ms.push(milliseconds(wall.elapsed()));
        self.cpu_ms.push(milliseconds(cpu_time().saturating_sub(cpu)));
        done
    }
}
