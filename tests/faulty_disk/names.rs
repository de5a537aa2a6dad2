//! Folders and the names in them: now, and what of them is certain to be there after a loss of power.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::Numbers;

/// The folder above all.
const ROOT: usize = 0;

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    File(usize),
    Folder(usize),
}

/// A name in the folder of that number.
type Key = (usize, String);
/// Names that change together.
type Change = Vec<(Key, Option<Node>)>;
type Table = BTreeMap<Key, Node>;

#[derive(Debug, Default)]
pub(super) struct Names {
    now: Table,
    durable: Table,
    since: Vec<Change>,
    folders: usize,
}

fn apply(change: &Change, table: &mut Table) {
    for (key, node) in change {
        match node {
            Some(node) => drop(table.insert(key.clone(), *node)),
            None => drop(table.remove(key)),
        }
    }
}

/// The names on the way to `path`, from the root on.
fn parts(path: &Path) -> Vec<String> {
    let names = path.components().filter_map(|part| match part {
        std::path::Component::Normal(name) => Some(name.to_str().unwrap().to_owned()),
        _ => None,
    });
    names.collect()
}

impl Names {
    fn change(&mut self, change: Change) {
        apply(&change, &mut self.now);
        self.since.push(change);
    }

    fn new_folder(&mut self) -> Node {
        self.folders += 1;
        Node::Folder(ROOT + self.folders)
    }

    /// The folder that these names lead to, if they lead to one.
    fn folder(&self, names: &[String]) -> Option<usize> {
        names.iter().try_fold(ROOT, |folder, name| match self.now.get(&(folder, name.clone())) {
            Some(Node::Folder(folder)) => Some(*folder),
            _ => None,
        })
    }

    /// The name of `path` in its folder, which was always there if nobody made it.
    fn key(&mut self, path: &Path) -> Key {
        let names = parts(path);
        let (name, above) = names.split_last().expect("a path below the root");
        let mut folder = ROOT;
        for name in above {
            let key = (folder, name.clone());
            folder = match self.now.get(&key) {
                Some(Node::Folder(folder)) => *folder,
                Some(Node::File(_)) => panic!("{}: {name} is a file", path.display()),
                None => {
                    let node = self.new_folder();
                    self.now.insert(key.clone(), node);
                    self.durable.insert(key, node);
                    self.folders
                }
            };
        }
        (folder, name.clone())
    }

    pub(super) fn node(&self, path: &Path) -> Option<Node> {
        let names = parts(path);
        let (name, above) = names.split_last()?;
        self.now.get(&(self.folder(above)?, name.clone())).copied()
    }

    pub(super) fn give(&mut self, path: &Path, node: Node) {
        let key = self.key(path);
        self.change(vec![(key, Some(node))]);
    }

    pub(super) fn put(&mut self, path: &Path, node: Node) {
        let key = self.key(path);
        self.now.insert(key.clone(), node);
        self.durable.insert(key, node);
    }

    pub(super) fn put_folder(&mut self, path: &Path) {
        if self.node(path).is_none() {
            let node = self.new_folder();
            self.put(path, node);
        }
    }

    pub(super) fn take(&mut self, path: &Path) {
        let key = self.key(path);
        self.change(vec![(key, None)]);
    }

    pub(super) fn make_folder(&mut self, path: &Path) {
        let all: Vec<&Path> = path.ancestors().collect();
        for path in all.into_iter().rev().filter(|path| !parts(path).is_empty()) {
            if self.node(path).is_none() {
                let node = self.new_folder();
                self.give(path, node);
            }
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.node(from).ok_or(io::ErrorKind::NotFound)?;
        match (node, self.node(to)) {
            (Node::Folder(_), Some(Node::File(_))) => return Err(io::ErrorKind::NotADirectory.into()),
            (Node::File(_), Some(Node::Folder(_))) => return Err(io::ErrorKind::IsADirectory.into()),
            (Node::Folder(_), Some(Node::Folder(_))) if self.list(to).is_some_and(|names| !names.is_empty()) => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            _ => {}
        }
        let change = vec![(self.key(from), None), (self.key(to), Some(node))];
        self.change(change);
        Ok(())
    }

    pub(super) fn list(&self, folder: &Path) -> Option<Vec<String>> {
        let folder = self.folder(&parts(folder))?;
        Some(self.now.keys().filter(|(found, _)| *found == folder).map(|(_, name)| name.clone()).collect())
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![(ROOT, PathBuf::from("/"))];
        while let Some((folder, path)) = folders.pop() {
            for ((_, name), node) in self.now.iter().filter(|((found, _), _)| *found == folder) {
                match node {
                    Node::File(_) => found.push(path.join(name)),
                    Node::Folder(number) => folders.push((*number, path.join(name))),
                }
            }
        }
        found.sort();
        found
    }

    /// Every change of a name in this folder is durable from now on.
    pub(super) fn sync(&mut self, folder: &Path) {
        let Some(folder) = self.folder(&parts(folder)) else { return };
        let is_of_it = |change: &Change| change.iter().any(|((found, _), _)| *found == folder);
        let (of_it, others): (Vec<Change>, Vec<Change>) =
            std::mem::take(&mut self.since).into_iter().partition(is_of_it);
        self.since = others;
        of_it.iter().for_each(|change| apply(change, &mut self.durable));
    }

    /// Each change since its folder was synced is there or is not.
    pub(super) fn lose_power(&mut self, numbers: &mut Numbers) {
        let mut names = std::mem::take(&mut self.durable);
        for change in std::mem::take(&mut self.since).iter().filter(|_| numbers.below(2) == 0) {
            apply(change, &mut names);
        }
        (self.now, self.durable) = (names.clone(), names);
    }
}
