//! A model's folder that appears whole or not at all.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// What the name of an unfinished folder ends with.
pub(super) const ENDING: &str = ".pulling";

/// A hidden folder beside the one that is to be, `.NAME.TAG.pulling`. Locked: only one process at a time has it. It
/// stays where it is when it is dropped, for the next time.
#[derive(Debug)]
pub(super) struct Staging {
    path: PathBuf,
    target: PathBuf,
    /// Holds the lock.
    _folder: File,
}

impl Staging {
    /// Makes the folder, or goes on with the one that is there. `tag` tells apart what must not be mixed.
    pub(super) fn open(target: &Path, tag: &str) -> anyhow::Result<Self> {
        let name =
            target.file_name().with_context(|| format!("{}: expected the name of a folder", target.display()))?;
        let path = parent(target).join(format!(".{}.{tag}{ENDING}", name.to_string_lossy()));
        fs::create_dir_all(&path).with_context(|| format!("{}: cannot be made", path.display()))?;
        let folder = File::open(&path).with_context(|| format!("{}: cannot be opened", path.display()))?;
        match folder.try_lock() {
            Ok(()) => Ok(Self { path, target: target.to_owned(), _folder: folder }),
            Err(TryLockError::WouldBlock) => {
                bail!("{}: another process is pulling or adding it", target.display())
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{}: cannot be locked", path.display()))
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes all files but these, which are relative to the folder.
    pub(super) fn keep_only(&self, files: &[&Path]) -> anyhow::Result<()> {
        let mut folders = vec![self.path.clone()];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).with_context(|| format!("{}: cannot be read", folder.display()))?;
            for entry in entries {
                let (path, kind) = {
                    let entry = entry?;
                    (entry.path(), entry.file_type()?)
                };
                let is_known = path.strip_prefix(&self.path).is_ok_and(|inner| files.contains(&inner));
                if kind.is_dir() {
                    folders.push(path);
                } else if !is_known {
                    fs::remove_file(&path).with_context(|| format!("{}: cannot be removed", path.display()))?;
                }
            }
        }
        Ok(())
    }

    /// Gives the folder its name. What has this name already is replaced in one step, and removed.
    pub(super) fn publish(self) -> anyhow::Result<()> {
        let (from, to) = (&self.path, &self.target);
        sync_folders(from)?;
        let refused = || format!("{}: cannot become {}", from.display(), to.display());
        let occupied = fs::symlink_metadata(to);
        if occupied.as_ref().is_ok_and(|found| found.is_symlink()) {
            fs::remove_file(to).with_context(|| format!("{}: cannot be removed", to.display()))?;
        }
        if occupied.is_ok_and(|found| found.is_dir()) {
            renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE).with_context(refused)?;
            sync(parent(to))?;
            // What was there before now has the hidden name.
            fs::remove_dir_all(from).with_context(|| format!("{}: cannot be removed", from.display()))?;
        } else {
            fs::rename(from, to).with_context(refused)?;
        }
        sync(parent(to))?;
        remove_others(to);
        Ok(())
    }
}

/// The folder that a path lies in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Removes unfinished folders of the same name that nobody is working on.
fn remove_others(target: &Path) {
    let start = format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy());
    for entry in fs::read_dir(parent(target)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let tag = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(ENDING));
        // A name with a dot in its rest is that of another model: `.a.b.TAG.pulling` is of `a.b`.
        if tag.is_some_and(|tag| !tag.contains('.'))
            && File::open(entry.path()).is_ok_and(|folder| folder.try_lock().is_ok())
        {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// Brings the entries of a folder and of all below it to the disk.
fn sync_folders(folder: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}: cannot be read", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync(folder)
}

fn sync(folder: &Path) -> anyhow::Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.with_context(|| format!("{}: cannot be synced", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_whole_and_replaces_another_and_unfinished_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        for content in ["one", "two"] {
            let staging = Staging::open(&target, content).unwrap();
            fs::create_dir(staging.path().join("golden")).unwrap();
            fs::write(staging.path().join("golden/a"), content).unwrap();
            fs::create_dir(folder.path().join(".model.left.pulling")).unwrap();
            fs::create_dir_all(folder.path().join(".model.b.left.pulling")).unwrap();
            staging.publish().unwrap();
            assert_eq!(fs::read_to_string(target.join("golden/a")).unwrap(), content);
            let mut names: Vec<_> =
                fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, [".model.b.left.pulling", "model"]);
        }
    }

    #[test]
    fn only_one_has_a_folder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        let first = Staging::open(&target, "a").unwrap();
        let error = Staging::open(&target, "a").unwrap_err();
        assert!(error.to_string().contains("another process"), "{error}");
        drop(first);
        Staging::open(&target, "a").unwrap();
    }
}
