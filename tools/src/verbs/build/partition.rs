//! A share of a build, so that several machines can build one index.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};

/// Where an orchestrator tells a job which of its parts it is, counted from 0: Kubernetes (an Indexed Job) and Slurm (an
/// array whose ids begin with 0).
const INDEX_VARIABLES: [&str; 2] = ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID"];

/// What stands for the number of the partition in the name of its shard.
pub(super) const NUMBER: &str = "{i}";

/// What `--partition` says: `i/N`, or `auto/N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartitionArg {
    /// `None`: what the orchestrator says.
    index: Option<usize>,
    count: usize,
}

impl FromStr for PartitionArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |expected: &str| format!("found {text:?}, expected {expected}");
        let like = "i/N with i from 0 to N - 1, like 0/8, or auto/N";
        let (index, count) = text.split_once('/').ok_or_else(|| wrong(like))?;
        let count = count.parse::<usize>().ok().filter(|count| *count > 0).ok_or_else(|| wrong(like))?;
        let index = match index {
            "auto" => None,
            index => Some(index.parse::<usize>().ok().filter(|index| *index < count).ok_or_else(|| wrong(like))?),
        };
        Ok(Self { index, count })
    }
}

impl PartitionArg {
    /// The partition that is meant; `variable` reads the environment.
    ///
    /// # Errors
    /// For `auto`: no variable says which one, two say different ones, or it is none of this many.
    pub(super) fn resolve(self, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Partition> {
        if let Some(index) = self.index {
            return Ok(Partition { index, count: self.count });
        }
        let said: Vec<(&str, String)> =
            INDEX_VARIABLES.into_iter().filter_map(|name| Some((name, variable(name)?))).collect();
        let ((name, text), others) = said.split_first().with_context(|| {
            format!(
                "--partition auto/{}: expected {} to be set, found neither",
                self.count,
                INDEX_VARIABLES.join(" or ")
            )
        })?;
        if let Some((other, found)) = others.iter().find(|(_, other)| other != text) {
            bail!("--partition auto/{}: {name} is {text:?}, but {other} is {found:?}", self.count);
        }
        match text.parse::<usize>() {
            Ok(index) if index < self.count => Ok(Partition { index, count: self.count }),
            _ => bail!("{name}: expected a number from 0 to {}, found {text:?}", self.count - 1),
        }
    }
}

/// One of several contiguous shares of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Partition {
    /// From 0.
    pub(super) index: usize,
    /// More than `index`.
    count: usize,
}

impl Partition {
    /// The path with the number of this partition for each `{i}`, with leading zeros, so that names sort as the numbers
    /// do.
    pub(super) fn named(self, path: &Path) -> PathBuf {
        let width = (self.count - 1).to_string().len();
        let numbered = |text: &str| PathBuf::from(text.replace(NUMBER, &format!("{:0width$}", self.index)));
        path.to_str().map_or_else(|| path.to_owned(), numbered)
    }

    /// The share of a list of `length`: contiguous, all shares together are the list, and no two differ by more than one
    /// in length.
    pub(super) fn range(self, length: usize) -> Range<usize> {
        let start = |index: usize| {
            let start = index as u128 * length as u128 / self.count as u128;
            usize::try_from(start).unwrap_or(length)
        };
        start(self.index)..start(self.index + 1)
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_each_other_and_are_even() {
        for (length, count) in [(10, 3), (0, 2), (2, 5), (1000, 7), (usize::MAX, 64)] {
            let ranges: Vec<_> = (0..count).map(|index| Partition { index, count }.range(length)).collect();
            assert_eq!((ranges[0].start, ranges[count - 1].end), (0, length));
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            let lengths: Vec<usize> = ranges.iter().map(ExactSizeIterator::len).collect();
            assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1, "{lengths:?}");
        }
    }

    #[test]
    fn names_of_partitions_sort_as_their_numbers() {
        let name = |index, count| Partition { index, count }.named(Path::new("{i}/part-{i}.shard"));
        assert_eq!(name(9, 10), Path::new("9/part-9.shard"));
        assert_eq!(name(9, 11), Path::new("09/part-09.shard"));
        assert_eq!(name(0, 1), Path::new("0/part-0.shard"));
        assert_eq!(Partition { index: 1, count: 2 }.named(Path::new("a.shard")), Path::new("a.shard"));
    }

    #[test]
    fn a_partition_is_said_or_found_in_the_environment() {
        let none = |_: &str| None;
        let partition = |text: &str| text.parse::<PartitionArg>().unwrap();
        assert_eq!(partition("2/8").resolve(none).unwrap(), Partition { index: 2, count: 8 });
        let slurm = |name: &str| (name == "SLURM_ARRAY_TASK_ID").then(|| "7".to_owned());
        assert_eq!(partition("auto/8").resolve(slurm).unwrap(), Partition { index: 7, count: 8 });
        let message = |text: &str, variable: &dyn Fn(&str) -> Option<String>| {
            partition(text).resolve(variable).unwrap_err().to_string()
        };
        assert!(message("auto/7", &slurm).contains("SLURM_ARRAY_TASK_ID: expected a number from 0 to 6, found \"7\""));
        assert!(message("auto/8", &none).contains("JOB_COMPLETION_INDEX or SLURM_ARRAY_TASK_ID"));
        let differ = |name: &str| Some(name.len().to_string());
        assert!(message("auto/99", &differ).contains("but SLURM_ARRAY_TASK_ID is"));
        for bad in ["", "3", "8/8", "0/0", "-1/8", "x/8", "auto/", "auto", "1/8/9"] {
            assert!(bad.parse::<PartitionArg>().unwrap_err().contains("auto/N"), "{bad}");
        }
    }
}
