//! From the files of a graph to sessions of ONNX Runtime: weights packed where that pays, settings, errors by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::pack_disk::RealPackDisk;
use super::packed::{self, Cache, Key};
use super::pool::Pool;
use super::{Library, Packing, Sums, cpu, providers};
use crate::error::LoadError;
use crate::manifest::GraphFiles;
use crate::options::{LoadOptions, OnProgress};
use crate::outline::{self, Outline};
use crate::runtime::{RuntimeInfo, RuntimeKind, WeightsAt};
use crate::stamp::Stamps;

/// Weights of fewer bytes stay in the graph's file: mapping has the grain of a page.
const EXTERNAL_FROM_BYTES: &str = "1024";

/// The steps of loading; each error names the graph file.
pub(super) struct Loader<'a> {
    pub(super) files: &'a GraphFiles,
    pub(super) options: &'a LoadOptions,
    pub(super) sums: Sums,
    pub(super) library: Arc<Library>,
}

/// The file that sessions are opened from.
pub(super) struct Source {
    path: PathBuf,
    level: GraphOptimizationLevel,
    pub(super) weights: WeightsAt,
}

impl Loader<'_> {
    /// Opens a first session.
    pub(super) fn first(
        &self,
        model_folder: &Path,
        packing: Packing,
        progress: &mut OnProgress<'_>,
    ) -> Result<(Source, Session), LoadError> {
        providers::check(&self.library, &self.options.providers)?;
        let source = self.source(model_folder, packing, progress)?;
        let session = self.open(&source)?;
        Ok((source, session))
    }

    /// Sessions for as many runs at once as the options say, of which `first` is one.
    pub(super) fn pool(&self, source: Source, first: Session) -> Pool<Session> {
        let (library, options, sums) = (Arc::clone(&self.library), self.options.clone(), self.sums);
        let again = move || {
            let builder = builder(&library, &options, sums, source.level).map_err(|error| error.to_string())?;
            commit(builder, &source.path).map_err(|error| error.to_string())
        };
        Pool::new(first, self.options.sessions, Box::new(again))
    }

    /// What runs the graph.
    pub(super) fn info(&self, weights: WeightsAt) -> RuntimeInfo {
        RuntimeInfo {
            kind: RuntimeKind::OnnxRuntime,
            name: self.library.name(),
            providers: providers::names(&self.options.providers),
            threads: self.options.threads,
            weights,
        }
    }

    /// Packed weights where there are some or they can be made; else the graph as it is.
    pub(super) fn source(
        &self,
        model_folder: &Path,
        packing: Packing,
        progress: &mut OnProgress<'_>,
    ) -> Result<Source, LoadError> {
        let as_it_is = || Source {
            path: self.files.graph.path.clone(),
            level: GraphOptimizationLevel::All,
            weights: WeightsAt::Own,
        };
        let bytes = packed::total_bytes(self.files);
        if self.options.packed.is_empty() || !providers::are_cpu(&self.options.providers) {
            self.check_outline()?;
            return Ok(as_it_is());
        }
        let is_worth_it = packing == Packing::Demanded || bytes >= self.options.pack_from_bytes;
        match self.packed(model_folder, is_worth_it, progress) {
            Ok(None) => Ok(as_it_is()),
            Ok(Some(path)) => {
                let weights = match copies_weights(&path) {
                    true => WeightsAt::MappedAndCopied,
                    false => self.weights_of_packed(bytes),
                };
                Ok(Source { path, level: GraphOptimizationLevel::Disable, weights })
            }
            Err(LoadError::Pack { folder, reason, .. }) if packing == Packing::Tried => {
                tracing::warn!(
                    graph = %self.files.graph.path.display(), folder = %folder.display(), reason, bytes,
                    "weights are not packed: about as many bytes of memory as the graph has are this process's own"
                );
                Ok(as_it_is())
            }
            Err(error) => Err(error),
        }
    }

    fn weights_of_packed(&self, bytes: u64) -> WeightsAt {
        if self.library.maps_packed_weights() {
            return WeightsAt::Mapped;
        }
        tracing::warn!(
            library = %self.library.path().display(), version = self.library.version(), bytes,
            "this ONNX Runtime maps weights, but copies them once more when it packs them: about as many bytes of memory \
             are this process's own; from 1.21 on it maps packed ones"
        );
        WeightsAt::MappedAndCopied
    }

    /// The packed graph; made now if it is not there and `is_worth_it`.
    fn packed(
        &self,
        model_folder: &Path,
        is_worth_it: bool,
        progress: &mut OnProgress<'_>,
    ) -> Result<Option<PathBuf>, LoadError> {
        let disk = RealPackDisk::new(Stamps::new(self.options.stamps.as_deref()));
        let cache = Cache::new(model_folder, self.options, &disk);
        let key = Key::new(self.files, format!("{} {:?}", self.library.identity(), self.sums), cpu::description());
        if let Some(path) = cache.find(&key, progress) {
            return Ok(Some(path));
        }
        self.check_outline()?;
        if !is_worth_it {
            return Ok(None);
        }
        let started = std::time::Instant::now();
        let mut failure = None;
        let made = cache.make(self.files, &key, progress, |folder| {
            self.save(folder).map_err(|error| {
                let reason = error.to_string();
                failure = Some(error);
                reason
            })
        });
        match (made, failure) {
            // A graph that cannot be run is no matter of packing.
            (Err(_), Some(error)) => Err(error),
            (Err(error), None) => Err(error),
            (Ok(path), _) => {
                let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(path = %path.display(), took_ms, "weights packed for this CPU");
                Ok(Some(path))
            }
        }
    }

    /// Saves the optimised graph and its packed weights in `folder`.
    fn save(&self, folder: &Path) -> Result<(), LoadError> {
        self.save_weights(folder, "1")?;
        let graph = folder.join(packed::GRAPH);
        if !copies_weights(&graph) {
            return Ok(());
        }
        // Packed weights of this operator are not numbers any more when they are loaded again (1.31.1).
        for path in [graph, folder.join(packed::WEIGHTS)] {
            std::fs::remove_file(path).map_err(|error| self.failed("pack", error.to_string()))?;
        }
        self.save_weights(folder, "0")
    }

    /// The same; `packed` is "1" for weights as the kernels take them, "0" for weights as they are stored.
    fn save_weights(&self, folder: &Path, packed: &str) -> Result<(), LoadError> {
        let configured = || -> ort::Result<SessionBuilder> {
            let builder = builder(&self.library, self.options, self.sums, GraphOptimizationLevel::All)?;
            let entries = [
                ("session.optimized_model_external_initializers_file_name", packed::WEIGHTS),
                ("session.optimized_model_external_initializers_min_size_in_bytes", EXTERNAL_FROM_BYTES),
                // Libraries that do not know it save the weights as they are stored.
                ("session.save_external_prepacked_constant_initializers", packed),
            ];
            // It warns that the result is for this CPU alone, which is what it is for.
            let mut builder = builder.with_log_level(LogLevel::Error)?;
            builder = builder.with_optimized_model_path(folder.join(packed::GRAPH))?;
            for (key, value) in entries {
                builder = builder.with_config_entry(key, value)?;
            }
            Ok(builder)
        };
        let builder = configured().map_err(|error| self.failed("be told to pack", error.to_string()))?;
        commit(builder, &self.files.graph.path).map(drop).map_err(|error| self.not_loaded(&error))
    }

    pub(super) fn open(&self, source: &Source) -> Result<Session, LoadError> {
        let builder = builder(&self.library, self.options, self.sums, source.level)
            .map_err(|error| self.failed("open a session", error.to_string()))?;
        commit(builder, &source.path).map_err(|error| self.not_loaded(&error))
    }

    /// Refuses external data that the manifest does not list.
    fn check_outline(&self) -> Result<(), LoadError> {
        let onnx =
            std::fs::read(&self.files.graph.path).map_err(|error| self.failed("read the graph", error.to_string()))?;
        let proto = outline::parse(&onnx).map_err(|reason| self.failed("read the graph", reason))?;
        Outline::of(&proto).check_data(self.files)
    }

    /// Why a session was not opened: operators by name, anything else as the library says it.
    fn not_loaded(&self, error: &ort::Error) -> LoadError {
        let message = error.to_string();
        match missing_operator(&message) {
            Some(operator) => LoadError::Operators {
                path: self.files.graph.path.clone(),
                runtime: self.library.name(),
                operators: operator.to_owned(),
            },
            None => self.failed("load the graph", message),
        }
    }

    pub(super) fn failed(&self, step: &'static str, reason: impl Into<String>) -> LoadError {
        let (path, runtime) = (self.files.graph.path.clone(), self.library.name());
        LoadError::Graph { path, runtime, step, reason: reason.into() }
    }

    pub(super) fn interface(&self, what: &str, expected: String, found: String) -> LoadError {
        LoadError::Interface { path: self.files.graph.path.clone(), what: what.to_owned(), expected, found }
    }
}

/// Whether a graph has an operator whose packed weights cannot be saved.
fn copies_weights(graph: &Path) -> bool {
    let proto = std::fs::read(graph).ok().and_then(|onnx| outline::parse(&onnx).ok());
    proto.is_some_and(|proto| Outline::of(&proto).operators().iter().any(|(_, name)| name == "MatMulNBits"))
}

/// A session's settings.
fn builder(
    library: &Library,
    options: &LoadOptions,
    sums: Sums,
    level: GraphOptimizationLevel,
) -> ort::Result<SessionBuilder> {
    let registered = providers::dispatches(&options.providers);
    let mut builder = Session::builder(&library.environment)?
        .with_optimization_level(level)?
        .with_intra_threads(options.threads.max(1))?
        .with_inter_threads(1)?
        // A device that waits for a frame should not spin.
        .with_intra_op_spinning(false)?
        .with_log_level(LogLevel::Warning)?;
    if sums == Sums::Exact {
        builder = builder.with_precise_qmm()?;
    }
    if !registered.is_empty() {
        builder = builder.with_execution_providers(registered)?;
    }
    Ok(builder)
}

fn commit(mut builder: SessionBuilder, path: &Path) -> ort::Result<Session> {
    builder.commit_from_file(path)
}

/// The operator that a message of ONNX Runtime complains of.
fn missing_operator(message: &str) -> Option<&str> {
    if let Some((before, _)) = message.split_once(" is not a registered function/op") {
        return before.rsplit([' ', ':']).next().and_then(|name| name.split('(').next());
    }
    let marks = ["Could not find an implementation for ", "No Op registered for "];
    let (_, after) = marks.iter().find_map(|mark| message.split_once(mark))?;
    after.split([' ', '(']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_found_in_messages() {
        for (message, operator) in [
            (
                "Load model from m.onnx failed:Fatal error: com.example:Fold(-1) is not a registered function/op",
                Some("Fold"),
            ),
            ("NOT_IMPLEMENTED : Could not find an implementation for Gelu(20) node with name 'g'", Some("Gelu")),
            ("in node, Error No Op registered for Fold with domain_version of 17", Some("Fold")),
            ("Protobuf parsing failed.", None),
        ] {
            assert_eq!(missing_operator(message), operator, "{message}");
        }
    }
}
