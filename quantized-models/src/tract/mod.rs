//! Running a graph with tract, in this process and on the calling thread.

mod network;

use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

pub(crate) use self::network::TractNetwork;

use crate::error::LoadError;
use crate::manifest::{GraphFiles, GraphSpec};
use crate::outline::{self, Operator, Outline};
use crate::runtime::{Ends, Graph, RuntimeInfo, RuntimeKind, WeightsAt};

/// Name and version of the runtime.
const RUNTIME: &str = "tract-onnx 0.23.9";

/// A graph with one picture as its input, optimised for this CPU. Shared between threads without locks: each run has
/// its own state.
pub(crate) struct TractGraph {
    plan: Arc<TypedRunnableModel>,
    input_shape: [usize; 4],
    info: RuntimeInfo,
}

impl TractGraph {
    /// Reads the graph of `spec`, whose files were verified, and checks that it has these ends: one float32 input that
    /// takes the shape (NCHW), and an output of so many float32 numbers.
    pub(crate) fn load(spec: &GraphSpec, ends: &Ends<'_>) -> Result<Self, LoadError> {
        let loader = Loader { spec, ends };
        // A graph that is no valid network can trip assertions inside the runtime.
        catch_unwind(AssertUnwindSafe(|| loader.load()))
            .unwrap_or_else(|_| Err(loader.failed("load the graph", "it panicked on its content")))
    }
}

impl Graph for TractGraph {
    fn run(&self, input: &[f32]) -> Result<Vec<f32>, String> {
        let outcome = || -> TractResult<Vec<f32>> {
            let input = Tensor::from_shape(&self.input_shape, input)?;
            let outputs = self.plan.run(tvec!(input.into_tvalue()))?;
            let view = outputs.first().map(|output| output.to_plain_array_view::<f32>()).transpose()?;
            Ok(view.into_iter().flat_map(|view| view.iter().copied().collect::<Vec<f32>>()).collect())
        };
        catch_unwind(AssertUnwindSafe(outcome))
            .unwrap_or_else(|_| Err(TractError::msg("it panicked")))
            .map_err(|error| format!("{error:#}"))
    }

    fn info(&self) -> &RuntimeInfo {
        &self.info
    }
}

/// The steps of loading; each error names the graph file.
struct Loader<'a> {
    spec: &'a GraphSpec,
    ends: &'a Ends<'a>,
}

impl Loader<'_> {
    fn load(&self) -> Result<TractGraph, LoadError> {
        let mut model = translated(&self.spec.files)?;
        self.check_input(&model)?;
        self.select_output(&mut model)?;
        let input_shape = self.ends.input_shape;
        let concrete = InferenceFact::dt_shape(f32::datum_type(), input_shape);
        let plan = model
            .with_input_fact(0, concrete)
            .and_then(InferenceModelExt::into_optimized)
            .and_then(|model| {
                let output = model.output_fact(0)?.clone();
                Ok((model.into_runnable()?, output))
            })
            .map_err(|error| self.failed("optimise the graph", format!("{error:#}")));
        let (plan, output) = plan?;
        self.check_output(&output)?;
        Ok(TractGraph { plan, input_shape, info: info() })
    }

    fn check_input(&self, model: &InferenceModel) -> Result<(), LoadError> {
        let shape = self.ends.input_shape;
        let inputs = model.input_outlets().unwrap_or_default();
        let names: Vec<&str> = inputs.iter().map(|outlet| model.node(outlet.node).name.as_str()).collect();
        if names != [self.ends.input] {
            return Err(self.interface("inputs", format!("{:?}", [self.ends.input]), format!("{names:?}")));
        }
        let fact = model.input_fact(0).map_err(|error| self.failed("read the input", format!("{error:#}")))?;
        // What the file leaves open (unknown rank, symbolic batch) is what the manifest decides.
        let declared: Vec<Option<usize>> =
            fact.shape.dims().map(|dim| dim.concretize().and_then(|dim| dim.to_usize().ok())).collect();
        let has_rank = declared.len() == shape.len() || fact.shape.is_open();
        let fits = declared.iter().zip(shape).all(|(declared, wanted)| declared.is_none_or(|dim| dim == wanted));
        let is_f32 = fact.datum_type().is_none_or(|datum_type| datum_type == f32::datum_type());
        if !(has_rank && fits && is_f32) {
            let what = format!("input \"{}\"", self.ends.input);
            return Err(self.interface(&what, format!("float32 {shape:?}"), fact.format_dt_shape()));
        }
        Ok(())
    }

    fn select_output(&self, model: &mut InferenceModel) -> Result<(), LoadError> {
        let outlets = model.output_outlets().unwrap_or_default().to_vec();
        let label =
            |outlet: &OutletId| model.outlet_label(*outlet).unwrap_or(model.node(outlet.node).name.as_str()).to_owned();
        let names: Vec<String> = outlets.iter().map(label).collect();
        let found = outlets.iter().zip(&names).find(|(_, name)| **name == self.ends.output);
        let Some((&outlet, _)) = found else {
            return Err(self.interface("outputs", format!("{:?}", [self.ends.output]), format!("{names:?}")));
        };
        model.select_output_outlets(&[outlet]).map_err(|error| self.failed("select the output", format!("{error:#}")))
    }

    fn check_output(&self, fact: &TypedFact) -> Result<(), LoadError> {
        let dimensions = self.ends.dimensions;
        let shape = fact.shape.as_concrete();
        let is_one_vector = shape.is_some_and(|shape| {
            shape.first() == Some(&1)
                && shape.iter().try_fold(1, |n: usize, dim| n.checked_mul(*dim)) == Some(dimensions)
        });
        if !(is_one_vector && fact.datum_type == f32::datum_type()) {
            let what = format!("output \"{}\"", self.ends.output);
            return Err(self.interface(&what, format!("float32 [1, {dimensions}]"), format!("{fact:?}")));
        }
        Ok(())
    }

    fn failed(&self, step: &'static str, reason: impl Into<String>) -> LoadError {
        failed(&self.spec.files, step, reason)
    }

    fn interface(&self, what: &str, expected: String, found: String) -> LoadError {
        LoadError::Interface { path: self.spec.files.graph.path.clone(), what: what.to_owned(), expected, found }
    }
}

fn info() -> RuntimeInfo {
    let (name, providers) = (RUNTIME.to_owned(), vec!["cpu"]);
    RuntimeInfo { kind: RuntimeKind::Tract, name, providers, threads: 1, weights: WeightsAt::Own }
}

fn failed(files: &GraphFiles, step: &'static str, reason: impl Into<String>) -> LoadError {
    let (path, runtime) = (files.graph.path.clone(), RUNTIME.to_owned());
    LoadError::Graph { path, runtime, step, reason: reason.into() }
}

/// The graph in `files`, after its operators and external data were looked over.
fn translated(files: &GraphFiles) -> Result<InferenceModel, LoadError> {
    let path = &files.graph.path;
    let onnx = std::fs::read(path).map_err(|error| failed(files, "read the graph", error.to_string()))?;
    let proto = outline::parse(&onnx).map_err(|reason| failed(files, "read the graph", reason))?;
    drop(onnx);
    let outline = Outline::of(&proto);
    outline.check_data(files)?;
    let register = tract_onnx::onnx().op_register;
    let unknown: Vec<&Operator> =
        outline.operators().iter().filter(|(_, name)| !register.0.contains_key(name)).collect();
    if !unknown.is_empty() {
        let operators = outline::names(unknown);
        return Err(LoadError::Operators { path: path.clone(), runtime: RUNTIME.to_owned(), operators });
    }
    // Shapes that a file declares between its layers are left aside: quantizers leave stale ones behind, and tract
    // finds them out by itself.
    let folder = path.parent().and_then(|folder| folder.to_str()).unwrap_or_default();
    let parsed = tract_onnx::onnx().with_ignore_value_info(true).parse(&proto, Some(folder));
    let parsed = parsed.map_err(|error| failed(files, "read the graph", format!("{error:#}")))?;
    if parsed.unresolved_inputs.is_empty() {
        return Ok(parsed.model);
    }
    let reason = format!("its layers take what nothing gives: {:?}", parsed.unresolved_inputs);
    Err(failed(files, "read the graph", reason))
}
