//! The steps from a manifest to a loaded model that are the same for every kind of model: who may write its files,
//! whether they are the ones that are described, which runtimes are tried in which order, and what is said of those that
//! fail.

use std::fmt::Write as _;
use std::path::Path;

use crate::error::LoadError;
use crate::folder;
use crate::manifest::FileSpec;
use crate::onnxruntime::{Library, Sums};
use crate::options::{LoadOptions, OnProgress, Progress, Provider, Step};
use crate::runtime::RuntimeKind;
use crate::stamp::Stamps;

/// What of a model loading is about.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    /// The manifest file.
    pub(crate) path: &'a Path,
    pub(crate) folder: &'a Path,
    /// Files with digests.
    pub(crate) files: Vec<&'a FileSpec>,
    /// Files without: goldens.
    pub(crate) others: Vec<&'a Path>,
    /// The manifest's order.
    pub(crate) runtimes: &'a [RuntimeKind],
}

/// How a model is to be loaded.
pub(crate) struct Loading<'a> {
    pub(crate) subject: Subject<'a>,
    pub(crate) options: &'a LoadOptions,
}

/// Loads a model in one way and runs its goldens.
pub(crate) type LoadOn<'a, T> = dyn FnMut((RuntimeKind, Sums), &mut OnProgress<'_>) -> Result<T, LoadError> + 'a;

impl Loading<'_> {
    /// What `load_on` makes on the first runtime that it succeeds on.
    pub(crate) fn load<T>(&self, load_on: &mut LoadOn<'_, T>, progress: &mut OnProgress<'_>) -> Result<T, LoadError> {
        if !self.options.trust_writable_folders {
            folder::check(&self.subject)?;
        }
        self.verify(progress)?;
        let mut failures = Vec::new();
        for kind in self.order() {
            let error = match load_on((kind, Sums::Fast), progress) {
                Ok(model) => return Ok(model),
                Err(error) if self.is_final(&error) => return Err(error),
                Err(error) => error,
            };
            if let Some(model) = self.load_exact(kind, &error, load_on, progress) {
                return Ok(model);
            }
            failures.push((kind, error));
            self.say(failures.last());
        }
        Err(self.none_left(failures))
    }

    /// The runtimes to try. What only ONNX Runtime has is not asked of another.
    fn order(&self) -> Vec<RuntimeKind> {
        let needs_gpu = self.options.providers.iter().any(|provider| *provider != Provider::Cpu);
        match self.options.runtime {
            Some(kind) => vec![kind],
            None if needs_gpu => vec![RuntimeKind::OnnxRuntime],
            None => self.subject.runtimes.to_vec(),
        }
    }

    /// Whether another runtime would make no difference, or was not meant to be tried.
    fn is_final(&self, error: &LoadError) -> bool {
        match error {
            LoadError::Library(_) => Library::is_named(self.options.onnxruntime.as_deref()),
            LoadError::Operators { .. }
            | LoadError::Graph { .. }
            | LoadError::GoldenMissed { .. }
            | LoadError::GoldenEmbed { .. }
            | LoadError::NotRepeatable { .. }
            | LoadError::GoldenCompare { .. }
            | LoadError::MarginMissed { .. }
            | LoadError::MarginNotRepeatable { .. } => false,
            _ => true,
        }
    }

    /// A second attempt where a golden vector was missed on x86: without VNNI, products of 8-bit numbers are added up in
    /// 16 bits, which saturate, unless ONNX Runtime is told not to.
    fn load_exact<T>(
        &self,
        kind: RuntimeKind,
        error: &LoadError,
        load_on: &mut LoadOn<'_, T>,
        progress: &mut OnProgress<'_>,
    ) -> Option<T> {
        let is_missed = matches!(error, LoadError::GoldenMissed { .. } | LoadError::MarginMissed { .. });
        if !(is_missed && kind == RuntimeKind::OnnxRuntime && cfg!(target_arch = "x86_64")) {
            return None;
        }
        let loaded = load_on((kind, Sums::Exact), progress).ok()?;
        tracing::warn!(
            model = self.subject.name, reason = %error,
            "sums of 8-bit products saturate on this CPU; a slower way is taken, in which they do not. A variant with \
             reduce_range needs none"
        );
        Some(loaded)
    }

    /// A library that is not installed is a choice; anything else deserves a look.
    fn say(&self, failure: Option<&(RuntimeKind, LoadError)>) {
        let model = self.subject.name;
        match failure {
            Some((runtime, reason @ LoadError::Library(_))) => {
                tracing::info!(model, %runtime, %reason, "a runtime is not there; the next is tried");
            }
            Some((runtime, reason)) => {
                tracing::warn!(model, %runtime, %reason, "a runtime cannot run the model; the next is tried");
            }
            None => {}
        }
    }

    /// The one error there is, or all of them. A library that is not there is no news beside another error.
    fn none_left(&self, mut failures: Vec<(RuntimeKind, LoadError)>) -> LoadError {
        if failures.len() > 1 {
            let is_missing = |error: &LoadError| matches!(error, LoadError::Library(_));
            let others = failures.iter().filter(|(_, error)| !is_missing(error)).count();
            if others == 1 {
                failures.retain(|(_, error)| !is_missing(error));
            }
        }
        let mut all = String::new();
        for (at, (kind, error)) in failures.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(all, "{}{kind}: {error}", if at == 0 { "" } else { "; " });
        }
        match failures.pop() {
            Some((_, error)) if failures.is_empty() => error,
            _ => LoadError::NoRuntime { model: self.subject.name.to_owned(), failures: all },
        }
    }

    /// Compares the digest of every file with the manifest.
    fn verify(&self, progress: &mut OnProgress<'_>) -> Result<(), LoadError> {
        let stamps = Stamps::new(self.options.stamps.as_deref());
        let files = &self.subject.files;
        let length = |path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let total = files.iter().map(|file| length(&file.path)).sum();
        let mut done = 0;
        for file in files {
            let known = stamps.sha256(&file.path, |bytes| {
                done += bytes;
                progress(Progress { step: Step::Hashing, done, total });
            });
            let (model, path) = (self.subject.name.to_owned(), file.path.clone());
            let found = known.map_err(|source| LoadError::Read { model, path, source })?.sha256;
            if found != file.sha256 {
                let (path, expected) = (file.path.clone(), file.sha256.clone());
                return Err(LoadError::Digest { path, expected, found });
            }
        }
        Ok(())
    }
}
