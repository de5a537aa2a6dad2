//! A folder with vectors, queries and truth as `.npy` files, for programs that are compared with ours.
//!
//! | file | what |
//! |---|---|
//! | `base.npy` | float32 [rows, dimensions], the stored vectors |
//! | `queries_KIND.npy` | float32 [queries, dimensions], for each [`QueryKind`](super::queries::QueryKind) |
//! | `truth_near_KIND.npy`, `truth_far_KIND.npy` | int32 [queries, k], rows nearest and farthest, best first |
//! | `tuning/` | queries and truth of the same names from another seed, for choosing settings |

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::npy_writer::NpyWriter;
use super::questions::{Questions, Truth};
use super::vectors::VectorWorld;

/// Rows that are made at once.
pub const CHUNK_ROWS: usize = 8192;
/// Folder of the queries that settings are chosen on, below the folder of the others.
pub const TUNING: &str = "tuning";

/// How many queries a folder gets and what is asked of them.
#[derive(Debug, Clone, Copy)]
pub struct FolderPlan {
    /// Queries of each kind, in either set.
    pub queries: usize,
    /// Rows at either end in the truth.
    pub k: usize,
    /// Seed of the queries that figures are reported for.
    pub reported_seed: u64,
    /// Seed of the queries that settings are chosen on.
    pub tuning_seed: u64,
}

/// Where the queries of a kind are.
pub fn query_file(dir: &Path, kind: &str) -> PathBuf {
    dir.join(format!("queries_{kind}.npy"))
}

/// Where the truth about a kind is, near and far.
pub fn truth_files(dir: &Path, kind: &str) -> [PathBuf; 2] {
    ["near", "far"].map(|end| dir.join(format!("truth_{end}_{kind}.npy")))
}

/// The ranges of rows that chunks have, in order.
pub fn chunks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(CHUNK_ROWS).map(move |start| start..rows.min(start + CHUNK_ROWS))
}

/// Writes a world into a folder, which is made; `step` is called for each row.
///
/// # Errors
/// The folder cannot be written.
pub fn write(world: &VectorWorld, plan: FolderPlan, dir: &Path, step: impl Fn()) -> anyhow::Result<()> {
    let tuning = dir.join(TUNING);
    std::fs::create_dir_all(&tuning)?;
    let mut searches = Vec::new();
    for (dir, seed) in [(dir, plan.reported_seed), (&tuning, plan.tuning_seed)] {
        for questions in Questions::made(world, plan.queries, seed) {
            questions.write(dir)?;
            searches.push((dir, questions.truth(plan.k)?, questions.kind));
        }
    }
    let mut base = NpyWriter::create(&dir.join("base.npy"), world.rows(), world.dimensions())?;
    for range in chunks(world.rows()) {
        let rows = world.chunk(range.clone());
        base.push(&rows)?;
        for (_, search, _) in &mut searches {
            search.push(&rows)?;
        }
        range.for_each(|_| step());
    }
    base.finish()?;
    for (dir, search, kind) in searches {
        Truth::of(search).write(dir, &kind)?;
    }
    Ok(())
}
