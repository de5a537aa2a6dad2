//! Which topics were ever given a retained message, beside the device's own: one to a line.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

use crate::whole_file;

/// Topics in a file of the state directory.
#[derive(Debug)]
pub(super) struct RetainedTopics {
    path: PathBuf,
    topics: BTreeSet<String>,
    /// More are not published.
    most: usize,
}

impl RetainedTopics {
    /// Those of earlier starts, none where they cannot be read.
    pub(super) fn open(path: &Path, most: usize) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let topics = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        Self { path: path.to_owned(), topics, most }
    }

    /// Remembers a topic; false where there are too many, and it must not be published.
    pub(super) fn add(&mut self, topic: &str) -> bool {
        if self.topics.contains(topic) {
            return true;
        }
        let room = self.topics.len() < self.most;
        if room {
            self.topics.insert(topic.to_owned());
            self.keep();
        }
        room
    }

    /// The broker has it no more.
    pub(super) fn remove(&mut self, topic: &str) {
        if self.topics.remove(topic) {
            self.keep();
        }
    }

    /// Those that are not wanted any more.
    pub(super) fn all_but(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        self.topics.iter().filter(|topic| !wanted(topic)).cloned().collect()
    }

    fn keep(&self) {
        let text: String = self.topics.iter().map(|topic| format!("{topic}\n")).collect();
        let write = || -> io::Result<()> {
            if let Some(folder) = self.path.parent() {
                fs::create_dir_all(folder)?;
            }
            whole_file::replace(&self.path, text.as_bytes())
        };
        if let Err(problem) = write() {
            let path = self.path.display();
            warn!(%path, %problem, "which topics are retained could not be kept: a later start may not remove them");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_remembered_until_they_are_removed_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/retained_topics");
        let mut topics = RetainedTopics::open(&path, 2);
        assert!(topics.add("a/1") && topics.add("b/2") && topics.add("a/1"));
        assert!(!topics.add("c/3"), "no room");
        let mut again = RetainedTopics::open(&path, 2);
        assert_eq!(again.all_but(|topic| topic.starts_with("a/")), ["b/2"]);
        again.remove("b/2");
        assert_eq!(RetainedTopics::open(&path, 2).all_but(|_| false), ["a/1"]);
    }
}
