//! The shards that a delta is for: which of their rows it hides.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use index_shards::{Shard, ShardDescription};
use serde::Serialize;

use super::args::BuildArgs;
use super::name_key::name_key;
use crate::poses::Refused;
use crate::sorter::{Sorted, Sorter};

/// The shards of `--replaces`, and the names of `--remove`.
pub(super) struct Bases {
    shards: Vec<Shard>,
    /// Where the names stand, and the names.
    remove: Option<(PathBuf, Vec<String>)>,
}

/// Rows of one shard that the new one hides.
#[derive(Debug, Serialize)]
pub(super) struct Hidden {
    /// The shard.
    pub(super) path: PathBuf,
    /// Its digest.
    pub(super) digest: String,
    /// How many of its rows are hidden.
    #[serde(rename = "removed")]
    count: usize,
    /// They.
    #[serde(skip)]
    pub(super) rows: Vec<u32>,
}

impl Bases {
    /// Opens the shards and reads the names.
    ///
    /// # Errors
    /// A shard that cannot be opened; names that cannot be read, or none.
    pub(super) fn open(args: &BuildArgs) -> anyhow::Result<Self> {
        let shards = args.replaces.iter().map(|path| Shard::open(path)).collect::<Result<_, _>>()?;
        let remove = args.remove.as_deref().map(|path| Ok::<_, anyhow::Error>((path.to_owned(), names(path)?)));
        Ok(Self { shards, remove: remove.transpose()? })
    }

    /// The first of the shards.
    pub(super) fn first(&self) -> Option<&Shard> {
        self.shards.first()
    }

    /// What stands for the shards and the names, for a plan.
    pub(super) fn identity(&self) -> String {
        let digests: Vec<&str> = self.shards.iter().map(Shard::digest).collect();
        let names = self.remove.iter().flat_map(|(_, names)| names);
        format!("{digests:?} {:?}", names.collect::<Vec<_>>())
    }

    /// Passes when a shard of this description may be searched together with the shards.
    ///
    /// # Errors
    /// Both files and what differs.
    pub(super) fn check(&self, out: &Path, new: &ShardDescription) -> anyhow::Result<()> {
        for base in &self.shards {
            let has = base.description();
            ensure!(
                (&has.space, has.dimensions) == (&new.space, new.dimensions),
                "{}: would be of space {:?} ({} dimensions), but {} is of space {:?} ({} dimensions): it cannot be a delta \
                 of it",
                out.display(),
                new.space,
                new.dimensions,
                base.path().display(),
                has.space,
                has.dimensions
            );
        }
        Ok(())
    }

    /// The rows to hide: those whose name is among the [keys](name_key) `kept`, the names that the new shard has, and
    /// those of the names that are to be removed. Names that no shard has come back as refused. Temporary files go to
    /// `scratch`.
    ///
    /// # Errors
    /// A shard is damaged or was cut; a temporary file cannot be written.
    pub(super) fn hidden(&self, kept: &Sorted, scratch: &Path) -> anyhow::Result<(Vec<Hidden>, Vec<Refused>)> {
        let names = self.remove.iter().flat_map(|(_, names)| names);
        let mut wanted: HashMap<&str, bool> = names.map(|name| (name.as_str(), false)).collect();
        let mut hidden = Vec::new();
        for shard in &self.shards {
            let (mut rows, mut others) = (Vec::new(), Sorter::new(scratch));
            shard.for_each_reference(|reference| {
                if wanted.get_mut(reference.name.as_str()).map(|found| *found = true).is_some() {
                    rows.push(reference.row);
                    return anyhow::Ok(());
                }
                Ok(others.push(&[&name_key(&reference.name), &reference.row.to_be_bytes()])?)
            })?;
            add_common(&others.sorted(), kept, &mut rows)?;
            rows.sort_unstable();
            let (path, digest) = (shard.path().to_owned(), shard.digest().to_owned());
            hidden.push(Hidden { path, digest, count: rows.len(), rows });
        }
        let (file, names) = self.remove.as_ref().map(|(file, names)| (file.as_path(), names.as_slice())).unzip();
        let missing = |name: &&String| wanted.get(name.as_str()) == Some(&false);
        let refused = names.into_iter().flatten().filter(missing).map(|name| Refused {
            name: name.clone(),
            reason: "not_in_base",
            message: format!("{}: no shard of --replaces has this name", file.unwrap_or(Path::new("")).display()),
        });
        Ok((hidden, refused.collect()))
    }
}

/// Adds the row of every record, a [key](name_key) and a row, whose key is among `kept`.
fn add_common(records: &Sorted, kept: &Sorted, rows: &mut Vec<u32>) -> io::Result<()> {
    let mut kept = kept.records()?;
    let mut next = kept.next().transpose()?;
    for record in records.records()? {
        let record = record?;
        let Some((key, row)) = record.split_last_chunk() else { continue };
        while next.as_ref().is_some_and(|kept| kept.as_slice() < key) {
            next = kept.next().transpose()?;
        }
        if next.as_ref().is_some_and(|kept| kept == key) {
            rows.push(u32::from_be_bytes(*row));
        }
    }
    Ok(())
}

/// The names in a file, one per line; empty lines are none.
fn names(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let mut seen = HashSet::new();
    let lines = text.lines().filter(|line| !line.is_empty() && seen.insert(*line));
    let names: Vec<String> = lines.map(str::to_owned).collect();
    if names.is_empty() {
        bail!("{}: expected the name of a reference on each line, found none", path.display());
    }
    Ok(names)
}
