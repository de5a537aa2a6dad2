//! Running a graph with ONNX Runtime.

mod cpu;
mod library;
mod packed;
mod pool;
mod providers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{OutputSelector, RunOptions, Session};
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

pub(crate) use self::library::Library;

use self::packed::{Cache, Key};
use self::pool::Pool;
use crate::error::LoadError;
use crate::manifest::GraphSpec;
use crate::options::{LoadOptions, OnProgress};
use crate::outline::{self, Outline};
use crate::runtime::{Ends, Graph, RuntimeInfo, RuntimeKind, WeightsAt};
use crate::stamp::Stamps;

/// Weights of fewer bytes stay in the graph's file: mapping has the grain of a page.
const EXTERNAL_FROM_BYTES: &str = "1024";

/// A graph with one picture as its input. Shared between threads; each run has a session of its own.
pub(crate) struct OrtGraph {
    pool: Pool<Session>,
    input: String,
    input_shape: [usize; 4],
    output: String,
    info: RuntimeInfo,
    /// Whether golden pictures were run.
    is_checked: AtomicBool,
}

/// Whether packing may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Loading goes on without, at a cost that is logged.
    Tried,
    /// It is what was asked for.
    Demanded,
}

/// How products of 8-bit numbers are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sums {
    /// As fast as this CPU can; x86 without VNNI does it in 16 bits, which saturate.
    Fast,
    /// In more bits, on any x86.
    Exact,
}

impl OrtGraph {
    /// Loads the graph of `spec`, whose files were verified, and checks that it has these ends.
    pub(crate) fn load(
        spec: &GraphSpec,
        ends: &Ends<'_>,
        model_folder: &Path,
        options: &LoadOptions,
        (packing, sums): (Packing, Sums),
        progress: &mut OnProgress<'_>,
    ) -> Result<Self, LoadError> {
        let library = Library::load(options.onnxruntime.as_deref())?;
        let loader = Loader { spec, ends, options, sums, library };
        let mut load = || loader.load(model_folder, packing, progress);
        // Faults of the binding must not end the process.
        catch_unwind(AssertUnwindSafe(&mut load))
            .unwrap_or_else(|_| Err(loader.failed("load the graph", "it panicked on its content")))
    }
}

impl Graph for OrtGraph {
    fn run(&self, input: &[f32]) -> Result<Vec<f32>, String> {
        self.pool.with(|session| self.run_in(session, input))?.map_err(|error| error.to_string())
    }

    fn checked(&self) {
        self.is_checked.store(true, Ordering::Relaxed);
    }

    fn info(&self) -> &RuntimeInfo {
        &self.info
    }
}

impl OrtGraph {
    fn run_in(&self, session: &mut Session, input: &[f32]) -> ort::Result<Vec<f32>> {
        let input = TensorRef::from_array_view((self.input_shape, input))?;
        let inputs = ort::inputs![self.input.as_str() => input];
        // Other outputs of the graph are not computed where that can be spared.
        let mut selected = RunOptions::new()?.with_outputs(OutputSelector::no_default().with(&self.output));
        if !self.is_checked.load(Ordering::Relaxed) {
            // What lies between layers is given back, so that a loaded model takes little until it is used.
            selected.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
        }
        let outputs = session.run_with_options(inputs, &selected)?;
        let output = outputs.get(&self.output).ok_or_else(|| ort::Error::new("it gave no output"))?;
        Ok(output.try_extract_tensor::<f32>()?.1.to_vec())
    }
}

/// The steps of loading; each error names the graph file.
struct Loader<'a> {
    spec: &'a GraphSpec,
    ends: &'a Ends<'a>,
    options: &'a LoadOptions,
    sums: Sums,
    library: Arc<Library>,
}

/// The file that sessions are opened from.
struct Source {
    path: PathBuf,
    level: GraphOptimizationLevel,
    weights: WeightsAt,
}

impl Loader<'_> {
    fn load(
        &self,
        model_folder: &Path,
        packing: Packing,
        progress: &mut OnProgress<'_>,
    ) -> Result<OrtGraph, LoadError> {
        providers::check(&self.library, &self.options.providers)?;
        let source = self.source(model_folder, packing, progress)?;
        let session = self.open(&source)?;
        self.check_input(session.inputs())?;
        self.check_output(session.outputs())?;
        let info = RuntimeInfo {
            kind: RuntimeKind::OnnxRuntime,
            name: self.library.name(),
            providers: providers::names(&self.options.providers),
            threads: self.options.threads,
            weights: source.weights,
        };
        let (library, options, sums) = (Arc::clone(&self.library), self.options.clone(), self.sums);
        let again = move || {
            let builder = builder(&library, &options, sums, source.level).map_err(|error| error.to_string())?;
            commit(builder, &source.path).map_err(|error| error.to_string())
        };
        Ok(OrtGraph {
            pool: Pool::new(session, self.options.sessions, Box::new(again)),
            input: self.ends.input.to_owned(),
            input_shape: self.ends.input_shape,
            output: self.ends.output.to_owned(),
            info,
            is_checked: AtomicBool::new(false),
        })
    }

    /// Packed weights where there are some or they can be made; else the graph as it is.
    fn source(
        &self,
        model_folder: &Path,
        packing: Packing,
        progress: &mut OnProgress<'_>,
    ) -> Result<Source, LoadError> {
        let as_it_is = || Source {
            path: self.spec.graph.path.clone(),
            level: GraphOptimizationLevel::All,
            weights: WeightsAt::Own,
        };
        let bytes = packed::total_bytes(self.spec);
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
                    graph = %self.spec.graph.path.display(), folder = %folder.display(), reason, bytes,
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
        let stamps = Stamps::new(self.options.stamps.as_deref());
        let cache = Cache::new(model_folder, self.options, &stamps);
        let key = Key::new(self.spec, format!("{} {:?}", self.library.identity(), self.sums), cpu::description());
        if let Some(path) = cache.find(&key, progress) {
            return Ok(Some(path));
        }
        self.check_outline()?;
        if !is_worth_it {
            return Ok(None);
        }
        let started = std::time::Instant::now();
        let mut failure = None;
        let made = cache.make(self.spec, &key, progress, |folder| {
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
        commit(builder, &self.spec.graph.path).map(drop).map_err(|error| self.not_loaded(&error))
    }

    fn open(&self, source: &Source) -> Result<Session, LoadError> {
        let builder = builder(&self.library, self.options, self.sums, source.level)
            .map_err(|error| self.failed("open a session", error.to_string()))?;
        commit(builder, &source.path).map_err(|error| self.not_loaded(&error))
    }

    /// Refuses external data that the manifest does not list.
    fn check_outline(&self) -> Result<(), LoadError> {
        let onnx =
            std::fs::read(&self.spec.graph.path).map_err(|error| self.failed("read the graph", error.to_string()))?;
        let proto = outline::parse(&onnx).map_err(|reason| self.failed("read the graph", reason))?;
        Outline::of(&proto).check_data(self.spec)
    }

    fn check_input(&self, inputs: &[Outlet]) -> Result<(), LoadError> {
        let names: Vec<&str> = inputs.iter().map(Outlet::name).collect();
        let [input] = inputs else {
            return Err(self.interface("inputs", format!("{:?}", [self.ends.input]), format!("{names:?}")));
        };
        if input.name() != self.ends.input {
            return Err(self.interface("inputs", format!("{:?}", [self.ends.input]), format!("{names:?}")));
        }
        let wanted = self.ends.input_shape;
        let fits = shape_of(input).is_some_and(|shape| {
            shape.len() == wanted.len() && shape.iter().zip(wanted).all(|(&dim, wanted)| is_or_open(dim, wanted))
        });
        if fits {
            return Ok(());
        }
        let what = format!("input \"{}\"", self.ends.input);
        Err(self.interface(&what, format!("float32 {wanted:?}"), input.dtype().to_string()))
    }

    fn check_output(&self, outputs: &[Outlet]) -> Result<(), LoadError> {
        let Some(output) = outputs.iter().find(|output| output.name() == self.ends.output) else {
            let names: Vec<&str> = outputs.iter().map(Outlet::name).collect();
            return Err(self.interface("outputs", format!("{:?}", [self.ends.output]), format!("{names:?}")));
        };
        let dimensions = self.ends.dimensions;
        // A graph may leave sizes open; what it gives for the golden pictures is counted.
        let fits = shape_of(output).is_some_and(|shape| match shape.split_first() {
            Some((&batch, rest)) => {
                let stated: Option<usize> = rest
                    .iter()
                    .map(|&dim| usize::try_from(dim).ok())
                    .try_fold(1_usize, |product, dim| product.checked_mul(dim?));
                let is_open = rest.iter().any(|&dim| dim < 0);
                is_or_open(batch, 1) && (is_open || stated == Some(dimensions))
            }
            None => false,
        });
        if fits {
            return Ok(());
        }
        let what = format!("output \"{}\"", self.ends.output);
        Err(self.interface(&what, format!("float32 [1, {dimensions}]"), output.dtype().to_string()))
    }

    /// Why a session was not opened: operators by name, anything else as the library says it.
    fn not_loaded(&self, error: &ort::Error) -> LoadError {
        let message = error.to_string();
        match missing_operator(&message) {
            Some(operator) => LoadError::Operators {
                path: self.spec.graph.path.clone(),
                runtime: self.library.name(),
                operators: operator.to_owned(),
            },
            None => self.failed("load the graph", message),
        }
    }

    fn failed(&self, step: &'static str, reason: impl Into<String>) -> LoadError {
        let (path, runtime) = (self.spec.graph.path.clone(), self.library.name());
        LoadError::Graph { path, runtime, step, reason: reason.into() }
    }

    fn interface(&self, what: &str, expected: String, found: String) -> LoadError {
        LoadError::Interface { path: self.spec.graph.path.clone(), what: what.to_owned(), expected, found }
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

/// The dimensions of a float32 tensor; -1 where they are open.
fn shape_of(outlet: &Outlet) -> Option<&[i64]> {
    match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => Some(shape),
        _ => None,
    }
}

fn is_or_open(dim: i64, wanted: usize) -> bool {
    dim < 0 || usize::try_from(dim) == Ok(wanted)
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
