//! The models that come with the program: what the names `mini` (an encoder) and `vlm-mini` (a comparator) stand for.
//!
//! Their few files are a part of the program, so that an installed one needs nothing beside it. Runtimes and the daemon
//! read models from folders: the files are written to the user's cache when a model is used, and compared with the
//! program's whenever it is used again.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::runtime_args::user_cache;

/// The name that stands for the encoder.
pub const MINI: &str = "mini";
/// The name that stands for the comparator.
pub const COMPARATOR: &str = "vlm-mini";
/// All of them.
const ALL: [BuiltIn; 2] = [
    BuiltIn { name: MINI, folder: "siglip-mini", files: include!(concat!(env!("OUT_DIR"), "/siglip-mini.rs")) },
    BuiltIn { name: COMPARATOR, folder: "vlm-mini", files: include!(concat!(env!("OUT_DIR"), "/vlm-mini.rs")) },
];

/// Why a model cannot be used.
#[derive(Debug, Error)]
pub enum BuiltInError {
    /// The program was built from a checkout without it.
    #[error(
        "{name}: this program was built without this model: expected quantized-models/mini/{folder}/model.toml in the \
         repository that it was built from, found none; name another MODEL"
    )]
    Missing {
        /// What stands for the model.
        name: &'static str,
        /// Its folder.
        folder: &'static str,
    },
    /// There is no folder to write it to.
    #[error("{name}: expected a folder for caches, found neither XDG_CACHE_HOME nor HOME in the environment")]
    NoCache {
        /// What stands for the model.
        name: &'static str,
    },
    /// It cannot be written.
    #[error("{name}: {path}: cannot be written: {source}")]
    Write {
        /// What stands for the model.
        name: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The path that MODEL stands for: that of a built-in model's folder for its name, else itself. A folder of such a name is
/// `./mini`.
///
/// # Errors
/// A built-in model is asked for, and is not a part of this program or cannot be written to the cache.
pub fn resolve(model: &Path) -> Result<PathBuf, BuiltInError> {
    BuiltIn::named(model).map_or_else(|| Ok(model.to_owned()), |built_in| built_in.unpacked())
}

/// The files of a model that is a part of the program.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// What stands for it.
    pub name: &'static str,
    /// The name of its folder in the repository, and in the cache before the digest.
    folder: &'static str,
    /// Path below the model's folder, and content.
    files: &'static [(&'static str, &'static [u8])],
}

impl BuiltIn {
    /// All of which the program was built with the files.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.into_iter().filter(Self::is_there)
    }

    /// The one that MODEL stands for.
    pub fn named(model: &Path) -> Option<Self> {
        ALL.into_iter().find(|built_in| model == Path::new(built_in.name))
    }

    /// Whether the program was built with it.
    fn is_there(&self) -> bool {
        !self.files.is_empty()
    }

    /// The model's folder in the user's cache, with all its files in it.
    ///
    /// # Errors
    /// The program was built without the model, or the cache cannot be written.
    pub fn unpacked(&self) -> Result<PathBuf, BuiltInError> {
        if !self.is_there() {
            return Err(BuiltInError::Missing { name: self.name, folder: self.folder });
        }
        self.unpacked_in(&user_cache().ok_or(BuiltInError::NoCache { name: self.name })?.join("models"))
    }

    /// The same in another folder than the user's cache. What is there and differs from the program's files by a byte is
    /// replaced; folders appear when they are whole.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn unpacked_in(&self, models: &Path) -> Result<PathBuf, BuiltInError> {
        let target = models.join(format!("{}-{}", self.folder, self.digest()));
        if self.is_in(&target) {
            return Ok(target);
        }
        let failed = |path: &Path| failed(self.name, path);
        fs::create_dir_all(models).map_err(failed(models))?;
        let fresh = tempfile::Builder::new().prefix(".unpacking-").tempdir_in(models).map_err(failed(models))?;
        for (name, content) in self.files {
            let path = fresh.path().join(name);
            write(&path, content).map_err(failed(&path))?;
        }
        let put = || fs::rename(fresh.path(), &target);
        if put().is_err() && !self.is_in(&target) {
            // Damaged, or of another kind: aside with it.
            let old = tempfile::Builder::new().prefix(".damaged-").tempdir_in(models).map_err(failed(models))?;
            fs::rename(&target, old.path().join("model")).map_err(failed(&target))?;
            put().map_err(failed(&target))?;
        }
        File::open(models).and_then(|folder| folder.sync_all()).map_err(failed(models))?;
        Ok(target)
    }

    /// First half of the digest over names and contents.
    fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for (name, content) in self.files {
            digest.update((name.len() as u64).to_le_bytes());
            digest.update(name);
            digest.update((content.len() as u64).to_le_bytes());
            digest.update(content);
        }
        digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a folder holds these files to the byte.
    fn is_in(&self, folder: &Path) -> bool {
        let same = |(name, content): &(&str, &[u8])| {
            let path = folder.join(name);
            let is_as_long = fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() == content.len() as u64);
            is_as_long && fs::read(&path).is_ok_and(|found| found == *content)
        };
        self.files.iter().all(same)
    }
}

/// Writes a file that nobody but its owner may write, whatever the umask is: other models are refused.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    }
    let mut file = File::create(path)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(content)?;
    file.sync_all()
}

fn failed(name: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BuiltInError + use<> {
    let path = path.to_owned();
    move |source| BuiltInError::Write { name, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: BuiltIn = BuiltIn {
        name: "some",
        folder: "some-model",
        files: &[("model.toml", b"format = 1"), ("golden/a.f32", b"\0\0\0\0")],
    };

    #[test]
    fn files_appear_whole_and_damaged_ones_are_replaced() {
        let cache = tempfile::tempdir().unwrap();
        let models = cache.path().join("models");
        let folder = SOME.unpacked_in(&models).unwrap();
        let read = |name: &str| fs::read(folder.join(name)).unwrap();
        assert_eq!((read("model.toml"), read("golden/a.f32")), (b"format = 1".to_vec(), vec![0; 4]));
        let written = fs::metadata(folder.join("model.toml")).unwrap().modified().unwrap();
        assert_eq!(SOME.unpacked_in(&models).unwrap(), folder);
        assert_eq!(fs::metadata(folder.join("model.toml")).unwrap().modified().unwrap(), written, "written once");
        for damage in [&b"format = 2"[..], b"short"] {
            fs::write(folder.join("model.toml"), damage).unwrap();
            assert_eq!(SOME.unpacked_in(&models).unwrap(), folder);
            assert_eq!(read("model.toml"), b"format = 1");
        }
        fs::remove_file(folder.join("golden/a.f32")).unwrap();
        SOME.unpacked_in(&models).unwrap();
        assert_eq!(read("golden/a.f32"), vec![0; 4]);
        assert_eq!(fs::read_dir(&models).unwrap().count(), 1, "nothing else stays");
    }

    #[test]
    fn other_files_have_another_folder() {
        let other = BuiltIn { files: &[("model.toml", b"format = 2")], ..SOME };
        assert_ne!(SOME.digest(), other.digest());
    }

    #[test]
    fn nobody_else_may_write_the_files() {
        let cache = tempfile::tempdir().unwrap();
        let folder = SOME.unpacked_in(cache.path()).unwrap();
        for path in [folder.clone(), folder.join("golden"), folder.join("golden/a.f32")] {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o022, 0, "{}", path.display());
        }
    }

    #[test]
    fn only_the_name_itself_is_the_built_in_model() {
        for path in ["./mini", "models/mini", "mini-2", "./vlm-mini"] {
            assert_eq!(resolve(Path::new(path)).unwrap(), Path::new(path));
        }
        let none = BuiltIn { name: MINI, folder: "siglip-mini", files: &[] };
        let names: Vec<&str> = BuiltIn::all().map(|built_in| built_in.name).collect();
        assert_eq!(names, [MINI, COMPARATOR], "the program comes with both");
        let message = none.unpacked().unwrap_err().to_string();
        assert!(message.contains("mini") && message.contains("siglip-mini/model.toml"), "{message}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let cache = tempfile::tempdir().unwrap();
        fs::write(cache.path().join("models"), "a file").unwrap();
        let message = SOME.unpacked_in(&cache.path().join("models")).unwrap_err().to_string();
        assert!(message.contains("models: cannot be written"), "{message}");
    }
}
