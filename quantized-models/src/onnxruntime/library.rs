//! ONNX Runtime's library: found, loaded once in a process, and asked what it is.
//!
//! Every call into `ort` before a library is loaded panics, so all of them go through a [`Library`].

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::ep::{self, ExecutionProvider};
use ort::logging::LogLevel;

use crate::error::LibraryError;

/// The variable that names the library, or a folder with it.
const VARIABLE: &str = "GEOLOCATED_ONNXRUNTIME";
/// Builds from 1.29 on send reports about models and runs to their maker unless this is set before they start.
const NO_TELEMETRY: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");
/// What the library is called; versions follow.
const NAME: &str = "libonnxruntime.so";
/// From this minor version on packed weights can be saved and mapped.
const MAPS_PACKED_FROM: u32 = 21;

/// The library of this process.
static LOADED: Mutex<Option<Arc<Library>>> = Mutex::new(None);

/// A loaded library and its environment.
pub(crate) struct Library {
    pub(super) environment: Environment,
    path: PathBuf,
    version: String,
    build: String,
}

impl Library {
    /// The library that `setting` names, a file or a folder with it; without a setting the one that
    /// `GEOLOCATED_ONNXRUNTIME` names, else the one beside the program, else the system's. A process loads it once.
    ///
    /// # Errors
    /// There is none, it is too old, or another one is loaded already.
    pub(crate) fn load(setting: Option<&Path>) -> Result<Arc<Self>, LibraryError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = loaded.as_ref() {
            return library.is_what(setting).map(|()| Arc::clone(library));
        }
        let library = Arc::new(Self::find(setting)?);
        tracing::info!(
            path = %library.path.display(),
            version = library.version,
            providers = ?library.providers(),
            "ONNX Runtime loaded"
        );
        Ok(Arc::clone(loaded.insert(library)))
    }

    /// Whether a library is named, by `setting` or by `GEOLOCATED_ONNXRUNTIME`, so that no other will do.
    pub(crate) fn is_named(setting: Option<&Path>) -> bool {
        setting.is_some() || variable().is_some()
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Name and version, e.g. `onnxruntime 1.31.1`.
    pub(crate) fn name(&self) -> String {
        format!("onnxruntime {}", self.version)
    }

    /// What tells its packed weights from those of other builds: version, commit, compiler flags.
    pub(super) fn identity(&self) -> String {
        format!("{} {}", self.version, self.build)
    }

    /// The version, e.g. `1.31.1`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Whether it can map weights in the form in which it computes with them.
    pub(super) fn maps_packed_weights(&self) -> bool {
        minor(&self.version).is_some_and(|minor| minor >= MAPS_PACKED_FROM)
    }

    /// The providers, of those that settings know, that it was built with.
    pub(crate) fn providers(&self) -> Vec<&'static str> {
        let there = |found: ort::Result<bool>| found.unwrap_or(false);
        let all = [
            ("tensorrt", there(ep::TensorRT::is_available())),
            ("cuda", there(ep::CUDA::is_available())),
            ("cpu", true),
        ];
        all.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect()
    }

    /// Whether this is the library that `setting` asks for.
    fn is_what(&self, setting: Option<&Path>) -> Result<(), LibraryError> {
        let Some(setting) = setting else { return Ok(()) };
        let asked = file_at(setting)?;
        let same = |path: &Path| fs::canonicalize(path).ok();
        if same(&asked) == same(&self.path) {
            return Ok(());
        }
        Err(LibraryError::Another { path: asked, loaded: self.path.clone() })
    }

    fn find(setting: Option<&Path>) -> Result<Self, LibraryError> {
        if let Some(path) = setting.map(Path::to_path_buf).or_else(variable) {
            return Self::open(&file_at(&path)?);
        }
        let beside = beside(&std::env::current_exe().unwrap_or_default());
        if let Some(path) = beside.iter().find_map(|folder| newest_in(folder)) {
            return Self::open(&path);
        }
        // Names without a folder are looked up by the system's loader.
        let names = [format!("{NAME}.1"), NAME.to_owned()];
        for name in &names {
            match Self::open(Path::new(name)) {
                Err(LibraryError::NotALibrary { .. }) => {}
                found => return found,
            }
        }
        let beside: Vec<String> = beside.iter().map(|folder| folder.display().to_string()).collect();
        let looked = format!("in {VARIABLE}, in {} and where the system keeps libraries", beside.join(", in "));
        Err(LibraryError::Missing { looked, least: least() })
    }

    /// Loads the library at `path`, or the one that the system's loader finds by that name.
    fn open(path: &Path) -> Result<Self, LibraryError> {
        let refused = |reason: String| LibraryError::NotALibrary { path: path.to_path_buf(), reason };
        // A name alone is for the system's loader to find. The loader keeps what it opened once: what is no library is
        // refused here.
        if path.is_file() && !begins_as_library(path) {
            return Err(refused("a file that is no shared library".to_owned()));
        }
        // What is no ONNX Runtime may trip assertions in `ort`.
        let loaded = catch_unwind(AssertUnwindSafe(|| ort::init_from(path)))
            .map_err(|_| refused("it does not answer as ONNX Runtime does".to_owned()))?;
        let builder = loaded.map_err(|error| match error {
            LoadDynamicError::BadVersion { version_str, path } => {
                LibraryError::TooOld { path, least: least(), found: version_str }
            }
            other => refused(other.to_string()),
        })?;
        // Nothing is sent before an environment is made.
        if std::env::var_os(NO_TELEMETRY.0).is_none_or(|value| value != NO_TELEMETRY.1) {
            return Err(LibraryError::Telemetry { path: mapped_path(path), variable: NO_TELEMETRY.0 });
        }
        let environment = catch_unwind(AssertUnwindSafe(|| {
            builder.with_name("geolocated").with_telemetry(false).build().map_err(|error| error.to_string())
        }));
        let environment = environment.unwrap_or_else(|_| Err("it has no interface of that version".to_owned()));
        let environment = environment.map_err(refused)?;
        environment.set_log_level(LogLevel::Warning);
        let path = mapped_path(path);
        let version = version_of(&path).unwrap_or_else(|| "of unknown version".to_owned());
        Ok(Self { environment, version, build: ort::info().to_owned(), path })
    }
}

/// Whether a file begins as shared libraries do.
fn begins_as_library(path: &Path) -> bool {
    let mut mark = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut mark)).is_ok() && mark == *b"\x7fELF"
}

/// What `GEOLOCATED_ONNXRUNTIME` says.
fn variable() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Where it is looked for beside `program`: in its folder, and where `make install` puts it.
fn beside(program: &Path) -> Vec<PathBuf> {
    let folder = program.parent();
    folder.map(|folder| vec![folder.to_path_buf(), folder.join("../lib/geolocated")]).unwrap_or_default()
}

/// The oldest version that `ort`, as it is built here, speaks to.
fn least() -> String {
    format!("1.{}", ort::MINOR_VERSION)
}

/// The library that `path` names: the file itself, or the newest one in that folder.
fn file_at(path: &Path) -> Result<PathBuf, LibraryError> {
    let refused = |reason: String| LibraryError::NotALibrary { path: path.to_path_buf(), reason };
    // `ort` looks for relative paths beside the program first, which is not what a setting means.
    let absolute = std::path::absolute(path).map_err(|error| refused(error.to_string()))?;
    match fs::metadata(&absolute) {
        Ok(metadata) if metadata.is_dir() => {
            newest_in(&absolute).ok_or_else(|| refused(format!("a folder without {NAME} or {NAME}.1*")))
        }
        Ok(_) => Ok(absolute),
        Err(error) => Err(refused(error.to_string())),
    }
}

/// The library of the highest version in `folder`.
fn newest_in(folder: &Path) -> Option<PathBuf> {
    let names = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.file_name()));
    let found = names.filter_map(|name| Some((numbers(&name)?, name))).max()?;
    Some(folder.join(found.1))
}

/// The numbers after the library's name; `None` for other files.
fn numbers(name: &OsStr) -> Option<Vec<u32>> {
    match name.to_str()?.strip_prefix(NAME)? {
        "" => Some(Vec::new()),
        rest => rest.strip_prefix('.')?.split('.').map(|number| number.parse().ok()).collect(),
    }
}

/// Where the loader found what was asked for, as the kernel tells.
fn mapped_path(asked: &Path) -> PathBuf {
    if asked.is_absolute() {
        return asked.to_path_buf();
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let paths = maps.lines().filter_map(|line| line.find('/').and_then(|at| line.get(at..)));
    let is_it = |path: &&str| Path::new(path).file_name().and_then(numbers).is_some();
    paths.into_iter().find(is_it).map_or_else(|| asked.to_path_buf(), PathBuf::from)
}

/// The version that a library names its symbols by: `VERS_1.31.1`, among the first strings of the file.
fn version_of(path: &Path) -> Option<String> {
    const MARK: &[u8] = b"VERS_1.";
    let mut matched = 0;
    let mut bytes = BufReader::with_capacity(1 << 16, File::open(path).ok()?).bytes();
    while matched < MARK.len() {
        let byte = bytes.next()?.ok()?;
        matched = match MARK.get(matched) {
            Some(expected) if *expected == byte => matched + 1,
            _ => usize::from(MARK.first() == Some(&byte)),
        };
    }
    let rest = bytes.map_while(Result::ok).take_while(|byte| byte.is_ascii_digit() || *byte == b'.').take(16);
    let rest = String::from_utf8(rest.collect()).ok()?;
    (!rest.is_empty()).then(|| format!("1.{rest}"))
}

/// The second number of a version.
fn minor(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_library_of_a_folder_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(newest_in(folder.path()), None);
        for name in ["libonnxruntime.so.1.9.3", "libonnxruntime.so.1.31.1", "libonnxruntime_providers_shared.so"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(newest_in(folder.path()), Some(folder.path().join("libonnxruntime.so.1.31.1")));
    }

    #[test]
    fn the_version_stands_among_the_symbols() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("library");
        for (content, version) in
            [("\x7fELF VERS_VERS_1.31.1\0more", Some("1.31.1")), ("VERS_1.\0", None), ("nothing", None)]
        {
            fs::write(&path, content).unwrap();
            assert_eq!(version_of(&path).as_deref(), version, "{content:?}");
        }
        assert_eq!((minor("1.31.1"), minor("of unknown version")), (Some(31), None));
    }

    #[test]
    fn what_is_no_library_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let error = file_at(folder.path()).unwrap_err().to_string();
        assert!(error.contains("a folder without libonnxruntime.so"), "{error}");
        let error = file_at(&folder.path().join("absent.so")).unwrap_err().to_string();
        assert!(error.contains("absent.so: expected ONNX Runtime's library"), "{error}");
        let file = folder.path().join("libonnxruntime.so");
        fs::write(&file, "not a library").unwrap();
        let error = Library::open(&file).map(drop).unwrap_err().to_string();
        assert!(error.contains("libonnxruntime.so: expected ONNX Runtime's library, found:"), "{error}");
    }
}
