//! Queries of one kind, with the truth about them.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, ensure};

use super::folder::{query_file, truth_files};
use super::npy_writer::NpyWriter;
use super::queries::QueryKind;
use super::truth::{TruthSearch, WidthError};
use super::vectors::VectorWorld;
use crate::npy::{NpyReader, read_rows_i32};
use crate::unit_vector::normalise;

/// Kind of queries from a file that names none.
const UNNAMED: &str = "queries";

/// A file of queries with the name of their kind, written `KIND=FILE.npy` or `FILE.npy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryFile {
    /// The kind.
    pub kind: String,
    /// Float32, one query per row.
    pub path: PathBuf,
}

impl FromStr for QueryFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, path) = text.split_once('=').unwrap_or((UNNAMED, text));
        let good = !kind.is_empty() && kind.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        if !good || path.is_empty() {
            return Err(format!("found {text:?}, expected KIND=FILE.npy or FILE.npy; KIND has letters, digits and _"));
        }
        Ok(Self { kind: kind.to_owned(), path: PathBuf::from(path) })
    }
}

/// Queries of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Questions {
    /// The kind.
    pub kind: String,
    /// The queries, one after the other, of unit length.
    pub vectors: Vec<f32>,
    /// Values of a query.
    pub dimensions: usize,
}

impl Questions {
    /// `count` queries of each kind about a world.
    pub fn made(world: &VectorWorld, count: usize, seed: u64) -> Vec<Self> {
        let dimensions = world.dimensions();
        let of = |kind: QueryKind| {
            let vectors = world.queries(kind, count, seed);
            Self { kind: kind.to_string(), vectors, dimensions }
        };
        QueryKind::ALL.into_iter().map(of).collect()
    }

    /// The queries of a file.
    ///
    /// # Errors
    /// The file cannot be read, or holds a vector without a direction.
    pub fn read(file: &QueryFile) -> anyhow::Result<Self> {
        let mut reader = NpyReader::open(&file.path)?;
        let mut vectors = Vec::new();
        for row in 0..reader.rows() {
            let mut vector = reader.next_row()?;
            normalise(&mut vector).with_context(|| format!("{}: row {row}", file.path.display()))?;
            vectors.append(&mut vector);
        }
        Ok(Self { kind: file.kind.clone(), vectors, dimensions: reader.columns() })
    }

    /// Writes the queries under their usual name into a folder.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, dir: &Path) -> anyhow::Result<QueryFile> {
        let path = query_file(dir, &self.kind);
        let mut file = NpyWriter::create(&path, self.len(), self.dimensions)?;
        file.push(&self.vectors)?;
        file.finish()?;
        Ok(QueryFile { kind: self.kind.clone(), path })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.vectors.len().checked_div(self.dimensions).unwrap_or_default()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The queries, each as a slice.
    pub fn each(&self) -> impl Iterator<Item = &[f32]> {
        self.vectors.chunks_exact(self.dimensions.max(1))
    }

    /// An exact search for them.
    ///
    /// # Errors
    /// The values are no multiple of the dimensions.
    pub fn truth(&self, k: usize) -> Result<TruthSearch, WidthError> {
        TruthSearch::new(&self.vectors, self.dimensions, k)
    }
}

/// Rows that are truly nearest to and farthest from each query of a kind, best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// The nearest of each query.
    pub near: Vec<Vec<u32>>,
    /// The farthest of each query.
    pub far: Vec<Vec<u32>>,
}

impl Truth {
    /// What an exact search found.
    pub fn of(search: TruthSearch) -> Self {
        let (near, far) = search.finish().into_iter().map(|ends| (ends.near, ends.far)).unzip();
        Self { near, far }
    }

    /// Reads the truth about a kind from a folder, at most `k` rows for each query.
    ///
    /// # Errors
    /// A file cannot be read or holds something else than rows for as many queries.
    pub fn read(dir: &Path, questions: &Questions, k: usize) -> anyhow::Result<Self> {
        let rows = |path: &Path| {
            let rows = read_rows_i32(path)?;
            let (expected, found) = (questions.len(), rows.len());
            ensure!(expected == found, "{}: expected {expected} rows, one per query, found {found}", path.display());
            let row = |&row: &i32| u32::try_from(row).with_context(|| format!("{}: found {row}", path.display()));
            rows.iter().map(|rows| rows.iter().take(k).map(row).collect()).collect()
        };
        let [near, far] = truth_files(dir, &questions.kind);
        Ok(Self { near: rows(&near)?, far: rows(&far)? })
    }

    /// Writes the truth about a kind into a folder.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, dir: &Path, kind: &str) -> std::io::Result<()> {
        for (path, rows) in truth_files(dir, kind).iter().zip([&self.near, &self.far]) {
            let columns = rows.first().map_or(0, Vec::len);
            let mut file = NpyWriter::create(path, rows.len(), columns)?;
            for rows in rows {
                let rows: Vec<i32> = rows.iter().map(|&row| i32::try_from(row).unwrap_or(i32::MAX)).collect();
                file.push(&rows)?;
            }
            file.finish()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_queries_may_name_its_kind() {
        let file = |kind: &str, path: &str| Ok(QueryFile { kind: kind.into(), path: path.into() });
        assert_eq!("revisit=a/q.npy".parse(), file("revisit", "a/q.npy"));
        assert_eq!("a/q.npy".parse(), file("queries", "a/q.npy"));
        for bad in ["", "=q.npy", "kind=", "a/b=q.npy"] {
            assert!(bad.parse::<QueryFile>().is_err(), "{bad}");
        }
    }

    #[test]
    fn queries_and_truth_come_back_from_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let world = VectorWorld::new(3, 24, 500);
        for questions in Questions::made(&world, 3, 9) {
            let mut search = questions.truth(4).unwrap();
            search.push(&world.chunk(0..500)).unwrap();
            let truth = Truth::of(search);
            truth.write(folder.path(), &questions.kind).unwrap();
            let file = questions.write(folder.path()).unwrap();
            assert_eq!(Questions::read(&file).unwrap().len(), 3);
            assert_eq!(Truth::read(folder.path(), &questions, 4).unwrap(), truth);
            assert_eq!(Truth::read(folder.path(), &questions, 2).unwrap().far[1], truth.far[1][..2]);
            let other = Questions { vectors: questions.vectors[..24].to_vec(), ..questions };
            assert!(Truth::read(folder.path(), &other, 4).unwrap_err().to_string().contains("expected 1 rows"));
        }
    }
}
