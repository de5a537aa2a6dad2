//! The folder that a run writes: what it is, whether a stopped run goes on in it.
//!
//! A run first writes `world.toml.part`, which says what is made; the last thing that it does is to rename it to
//! `world.toml`. Files appear under their names when they are complete.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What a complete folder says about itself.
pub const MANIFEST: &str = "world.toml";
/// The same while the folder is not complete.
const PART: &str = "world.toml.part";
/// Folder of the pictures.
pub const IMAGES: &str = "images";
/// All that a run may leave, for removing it.
const OURS: [&str; 8] =
    [MANIFEST, PART, "poses.csv", "map.npy", "drone.npy", "street.npy", "records.npy", ".world.tmp"];

/// What to do about a folder that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Occupied {
    /// It is refused.
    #[default]
    Refuse,
    /// A stopped run of the same settings goes on.
    Resume,
    /// What an earlier run left is removed.
    Force,
}

/// Why a folder cannot be used.
#[derive(Debug, Error)]
pub enum FolderError {
    /// Something is in it.
    #[error(
        "{path}: expected an empty folder or none, found {found} (--resume goes on with a stopped run, --force \
        removes what an earlier run left)"
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// A file in it.
        found: String,
    },
    /// Another run's.
    #[error("{path}: expected what a stopped run with the same settings left, found {found}")]
    Another {
        /// The folder.
        path: PathBuf,
        /// What stands in its manifest instead.
        found: String,
    },
    /// Other files than a run leaves.
    #[error("{path}: expected only what an earlier run left, found {found}; remove it yourself")]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// The file.
        found: String,
    },
    /// The system refuses.
    #[error("{path}: cannot write: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A folder that is being filled.
#[derive(Debug)]
pub struct OutFolder {
    path: PathBuf,
    resumed: bool,
    complete: bool,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FolderError + '_ {
    move |source| FolderError::Write { path: path.to_owned(), source }
}

impl OutFolder {
    /// Makes or takes over a folder for what `manifest` describes.
    ///
    /// # Errors
    /// It is not empty and that is not wanted, holds something else, or cannot be written.
    pub fn open(path: &Path, manifest: &str, occupied: Occupied) -> Result<Self, FolderError> {
        fs::create_dir_all(path).map_err(failed(path))?;
        let names = names(path)?;
        let mut folder = Self { path: path.to_owned(), resumed: false, complete: false };
        if let Some(found) = names.first().cloned() {
            match occupied {
                Occupied::Refuse => return Err(FolderError::NotEmpty { path: path.to_owned(), found }),
                Occupied::Resume => folder.take_over(manifest)?,
                Occupied::Force => folder.empty(&names)?,
            }
        }
        if !folder.resumed {
            folder.write(PART, manifest.as_bytes())?;
        }
        Ok(folder)
    }

    fn take_over(&mut self, manifest: &str) -> Result<(), FolderError> {
        let text = |name: &str| fs::read_to_string(self.path.join(name)).ok();
        let (part, whole) = (text(PART), text(MANIFEST));
        (self.resumed, self.complete) = (true, part.is_none() && whole.is_some());
        let Some(found) = part.or(whole) else {
            let found = format!("no {PART}");
            return Err(FolderError::Another { path: self.path.clone(), found });
        };
        let unlike = found.lines().zip(manifest.lines().chain(std::iter::repeat(""))).find(|(found, own)| found != own);
        match unlike {
            None if found.len() == manifest.len() => Ok(()),
            None => Err(FolderError::Another { path: self.path.clone(), found: "fewer lines".to_owned() }),
            Some((found, own)) => {
                let found = format!("{found:?} instead of {own:?}");
                Err(FolderError::Another { path: self.path.clone(), found })
            }
        }
    }

    fn empty(&self, names: &[String]) -> Result<(), FolderError> {
        if let Some(found) = names.iter().find(|name| *name != IMAGES && !OURS.contains(&name.as_str())) {
            return Err(FolderError::Foreign { path: self.path.clone(), found: found.clone() });
        }
        for name in names {
            let path = self.path.join(name);
            let done = if name == IMAGES { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            done.map_err(failed(&path))?;
        }
        Ok(())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a stopped run goes on.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Whether all is there already.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Makes the folder of pictures.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make_images(&self) -> Result<(), FolderError> {
        let path = self.path.join(IMAGES);
        fs::create_dir_all(&path).map_err(failed(&path))
    }

    /// Whether a file of a resumed run is there; files appear when they are complete.
    pub fn has(&self, name: &str) -> bool {
        self.resumed && self.path.join(name).metadata().is_ok_and(|file| file.len() > 0)
    }

    /// Writes a file, which appears when it is complete.
    ///
    /// # Errors
    /// It cannot be written, for example because the disk is full; then nothing of it stays.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        let (path, beside) = (self.path.join(name), self.path.join(".world.tmp"));
        let written = fs::File::create(&beside)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&beside, &path));
        written.map_err(|source| {
            // What is left over is in nobody's way, but it takes room.
            drop(fs::remove_file(&beside));
            FolderError::Write { path, source }
        })
    }

    /// Says that all is there.
    ///
    /// # Errors
    /// The manifest cannot be renamed.
    pub fn finish(self) -> Result<(), FolderError> {
        let (part, whole) = (self.path.join(PART), self.path.join(MANIFEST));
        if part.exists() { fs::rename(&part, &whole).map_err(failed(&whole)) } else { Ok(()) }
    }
}

fn names(path: &Path) -> Result<Vec<String>, FolderError> {
    let entries = fs::read_dir(path).map_err(failed(path))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<String>>>().map_err(failed(path))?;
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_empty_is_refused_resumed_or_emptied() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("new");
        let folder = OutFolder::open(&path, "seed = 1\n", Occupied::Refuse).unwrap();
        folder.make_images().unwrap();
        folder.write("images/a.jpg", b"a").unwrap();
        assert!(!folder.has("images/a.jpg"), "a run that was not resumed makes all files");
        assert!(OutFolder::open(&path, "seed = 1\n", Occupied::Refuse).unwrap_err().to_string().contains("--resume"));
        let again = OutFolder::open(&path, "seed = 1\n", Occupied::Resume).unwrap();
        assert!(again.has("images/a.jpg") && !again.has("images/b.jpg") && !again.is_complete());
        again.finish().unwrap();
        assert!(OutFolder::open(&path, "seed = 1\n", Occupied::Resume).unwrap().is_complete());
        let message = OutFolder::open(&path, "seed = 2\n", Occupied::Resume).unwrap_err().to_string();
        assert!(message.contains("seed = 1") && message.contains("seed = 2"), "{message}");
        OutFolder::open(&path, "seed = 2\n", Occupied::Force).unwrap();
        assert_eq!(names(&path).unwrap(), [PART]);
    }

    #[test]
    fn files_of_others_are_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("thesis.txt"), "years").unwrap();
        for occupied in [Occupied::Refuse, Occupied::Resume, Occupied::Force] {
            OutFolder::open(folder.path(), "", occupied).unwrap_err();
        }
        assert!(folder.path().join("thesis.txt").exists());
    }
}
