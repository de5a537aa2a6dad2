//! Measures searches in one shard, on one thread.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use index_shards::{Dissimilar, Hit, Retrieval, SearchOptions, Shard, ShardSet, active_kernel};

use super::cold::{self, elapsed_ms};
use super::report::{
    FilePart, KindPart, LayoutPart, MemoryPart, Quantiles, RecallPart, Report, SectionPart, TimesPart, TruthSource,
    WorkPart,
};
use crate::bench::folder::chunks;
use crate::bench::process::Memory;
use crate::bench::questions::{Questions, Truth};
use crate::metrics::quantile;

/// How often the shard is opened for the time that this takes.
const OPENINGS: usize = 21;

/// What is asked.
pub(super) struct Asked {
    /// Queries, kind by kind.
    pub(super) questions: Vec<Questions>,
    /// The truth about each kind, by positions of rows in the order given to the writer; `None`: it is found from the
    /// vectors that the shard holds.
    pub(super) truths: Option<Vec<Truth>>,
    pub(super) options: SearchOptions,
    /// How often every query is asked.
    pub(super) rounds: usize,
    /// Whether the first query with cold pages is measured too.
    pub(super) cold: bool,
}

/// What was seen of one kind of query.
#[derive(Debug, Default)]
struct Seen {
    times_ms: Vec<f64>,
    found: Vec<Retrieval>,
}

/// Searches of all kinds, each for both ends and for the similar one alone.
struct Searches {
    both: Vec<Seen>,
    near: Vec<Seen>,
}

impl Searches {
    /// Asks for both ends, then for one: an answer that was just found would be found again from the cache.
    fn of(shards: &ShardSet, asked: &Asked) -> anyhow::Result<Self> {
        let near = SearchOptions { dissimilar: Dissimilar::None, ..asked.options.clone() };
        Ok(Self { both: ask(shards, asked, &asked.options)?, near: ask(shards, asked, &near)? })
    }

    /// Of all kinds together.
    fn times(&self) -> TimesPart {
        let all = |seen: &[Seen]| quantiles(&seen.iter().flat_map(|seen| seen.times_ms.clone()).collect::<Vec<_>>());
        TimesPart { both: all(&self.both), near: all(&self.near) }
    }
}

/// Measures a shard.
///
/// # Errors
/// The shard cannot be opened or searched, or does not fit the queries.
pub(super) fn measure(path: &Path, asked: &Asked) -> anyhow::Result<Report> {
    let before = Memory::now();
    let shards = ShardSet::open(&[path.to_owned()])?;
    for questions in &asked.questions {
        let (expected, found) = (shards.dimensions(), questions.dimensions);
        ensure!(expected == found, "{}: expected queries of {expected} dimensions, found {found}", path.display());
        questions.each().try_for_each(|query| shards.search(query, &asked.options).map(drop))?;
    }
    let memory = Memory::now().since(before);
    let mut report = report(&shards, asked)?;
    let Memory { anonymous_bytes, file_backed_bytes } = memory;
    report.memory = MemoryPart { anonymous_bytes, file_backed_bytes };
    report.open_ms = open_ms(path)?;
    drop(shards);
    let first = asked.questions.first().and_then(|questions| questions.each().next());
    if let Some(query) = first.filter(|_| asked.cold) {
        report.cold = Some(cold::measure(path, query, &asked.options)?);
    }
    Ok(report)
}

/// What searches tell; memory and opening are left out.
fn report(shards: &ShardSet, asked: &Asked) -> anyhow::Result<Report> {
    let searches = Searches::of(shards, asked)?;
    let shard = shards.shards().first().context("a set has a shard")?;
    let (truth, recalls) = recalls(shard, asked, &searches.both)?;
    let kinds = asked.questions.iter().zip(searches.both.iter().zip(&searches.near)).zip(&recalls);
    Ok(Report {
        schema: 1,
        rows: shard.len(),
        dimensions: shards.dimensions(),
        k: asked.options.k,
        vectors: None,
        kernel: active_kernel().to_string(),
        layout: layout(shard),
        truth,
        recall: mean_recall(recalls.iter().flatten()),
        ms: searches.times(),
        work: mean_work(searches.both.iter().flat_map(|seen| &seen.found)),
        kinds: kinds.map(|((questions, (both, near)), recalls)| kind(questions, both, near, recalls)).collect(),
        open_ms: 0.0,
        memory: MemoryPart::default(),
        cold: None,
        build_seconds: None,
        file: file(shard),
    })
}

/// Asks all queries, kinds in turn, `rounds` times.
fn ask(shards: &ShardSet, asked: &Asked, options: &SearchOptions) -> anyhow::Result<Vec<Seen>> {
    let mut seen: Vec<Seen> = asked.questions.iter().map(|_| Seen::default()).collect();
    for round in 0..asked.rounds {
        let mut left: Vec<_> = asked.questions.iter().map(Questions::each).collect();
        let mut asking = true;
        while asking {
            asking = false;
            for (queries, seen) in left.iter_mut().zip(&mut seen) {
                let Some(query) = queries.next() else { continue };
                asking = true;
                let start = Instant::now();
                let retrieval = shards.search(query, options)?;
                seen.times_ms.push(elapsed_ms(start));
                if round == 0 {
                    seen.found.push(retrieval);
                }
            }
        }
    }
    Ok(seen)
}

/// The recall of each query, kind by kind.
fn recalls(shard: &Shard, asked: &Asked, seen: &[Seen]) -> anyhow::Result<(TruthSource, Vec<Vec<RecallPart>>)> {
    let stored;
    let (source, truths) = match &asked.truths {
        Some(truths) => (TruthSource::GivenVectors, truths),
        None => {
            stored = stored_truths(shard, asked)?;
            (TruthSource::StoredVectors, &stored)
        }
    };
    let name = |hit: &Hit| match source {
        TruthSource::GivenVectors => Ok(shard.position(hit.row)?),
        TruthSource::StoredVectors => anyhow::Ok(hit.row),
    };
    let share = |hits: &[Hit], truth: &[u32]| {
        let found = hits.iter().map(name).collect::<anyhow::Result<Vec<_>>>()?;
        anyhow::Ok(share(&found, truth))
    };
    let of_kind = |(seen, truth): (&Seen, &Truth)| {
        let queries = seen.found.iter().zip(&truth.near).zip(&truth.far);
        let recall = |((found, near), far): ((&Retrieval, &Vec<u32>), &Vec<u32>)| {
            anyhow::Ok(RecallPart { near: share(&found.similar, near)?, far: share(&found.dissimilar, far)? })
        };
        queries.map(recall).collect::<anyhow::Result<Vec<_>>>()
    };
    let recalls = seen.iter().zip(truths).map(of_kind).collect::<anyhow::Result<_>>()?;
    Ok((source, recalls))
}

/// The share of the true rows that were found; 1 where there is none.
#[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
fn share(found: &[u32], truth: &[u32]) -> f64 {
    let hits = truth.iter().filter(|row| found.contains(row)).count();
    if truth.is_empty() { 1.0 } else { hits as f64 / truth.len() as f64 }
}

/// The truth by exact search over the vectors as they are stored, by row.
fn stored_truths(shard: &Shard, asked: &Asked) -> anyhow::Result<Vec<Truth>> {
    let searches = asked.questions.iter().map(|questions| questions.truth(asked.options.k));
    let mut searches = searches.collect::<Result<Vec<_>, _>>()?;
    for range in chunks(shard.len()) {
        let mut vectors = Vec::new();
        for row in range {
            vectors.append(&mut shard.vector(u32::try_from(row)?)?);
        }
        searches.iter_mut().try_for_each(|search| search.push(&vectors))?;
    }
    Ok(searches.into_iter().map(Truth::of).collect())
}

/// How long opening takes, milliseconds: the median.
fn open_ms(path: &Path) -> anyhow::Result<f64> {
    let mut times_ms = Vec::new();
    for _ in 0..OPENINGS {
        let start = Instant::now();
        let shards = ShardSet::open(&[path.to_owned()])?;
        times_ms.push(elapsed_ms(start));
        drop(shards);
    }
    Ok(quantiles(&times_ms).p50)
}

fn kind(questions: &Questions, both: &Seen, near: &Seen, recalls: &[RecallPart]) -> KindPart {
    KindPart {
        kind: questions.kind.clone(),
        queries: questions.len(),
        recall: mean_recall(recalls),
        ms: TimesPart { both: quantiles(&both.times_ms), near: quantiles(&near.times_ms) },
        work: mean_work(&both.found),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn quantiles(times_ms: &[f64]) -> Quantiles {
    let at = |fraction| quantile(times_ms, fraction).unwrap_or_default();
    let mean = times_ms.iter().sum::<f64>() / times_ms.len().max(1) as f64;
    Quantiles { p50: at(0.5), p99: at(0.99), mean }
}

fn mean_recall<'a>(recalls: impl IntoIterator<Item = &'a RecallPart>) -> RecallPart {
    let (mut near, mut far, mut count) = (0.0, 0.0, 0.0);
    for recall in recalls {
        near += recall.near;
        far += recall.far;
        count += 1.0;
    }
    let count = f64::max(count, 1.0);
    RecallPart { near: near / count, far: far / count }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn mean_work<'a>(found: impl IntoIterator<Item = &'a Retrieval>) -> WorkPart {
    let mut sum = WorkPart::default();
    let mut count = 0.0;
    for Retrieval { work, .. } in found {
        sum.scanned_rows += work.scanned_rows as f64;
        sum.second_rows += work.second_rows as f64;
        sum.exact_rows += work.exact_rows as f64;
        sum.lists += work.lists as f64;
        sum.bytes += work.bytes as f64;
        count += 1.0;
    }
    let count = f64::max(count, 1.0);
    WorkPart {
        scanned_rows: sum.scanned_rows / count,
        second_rows: sum.second_rows / count,
        exact_rows: sum.exact_rows / count,
        lists: sum.lists / count,
        bytes: sum.bytes / count,
    }
}

fn layout(shard: &Shard) -> LayoutPart {
    let layout = shard.layout();
    LayoutPart { lists: layout.lists, first_layer_dimensions: layout.first_layer_dimensions, reason: layout.reason }
}

#[expect(clippy::cast_precision_loss, reason = "lengths of files far below 2^52")]
fn file(shard: &Shard) -> FilePart {
    let per_row = |bytes: u64| bytes as f64 / shard.len().max(1) as f64;
    let sections = shard.sections().filter(|section| section.length > 0).map(|section| SectionPart {
        name: section.name.to_owned(),
        bytes: section.length,
        bytes_per_row: per_row(section.length),
    });
    FilePart { bytes: shard.bytes(), bytes_per_row: per_row(shard.bytes()), sections: sections.collect() }
}
