//! Running a graph with tract, in this process and on the calling thread.

use crate::error::LoadError;
use crate::manifest::GraphSpec;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

/// A graph with one picture as its input, optimised for this CPU. Shared between threads without locks: each run has
/// its own state.
pub(crate) struct TractGraph {
    plan: Arc<TypedRunnableModel>,
    input_shape: [usize; 4],
}

impl TractGraph {
    /// Name and version of the runtime.
    pub(crate) const RUNTIME: &str = "tract-onnx 0.23.9";

    /// Parses ONNX bytes and checks that the graph has the ends that `spec` names: one float32 input that takes
    /// `input_shape` (NCHW), and an output of `dimensions` float32 numbers.
    pub(crate) fn load(
        onnx: &[u8],
        spec: &GraphSpec,
        input_shape: [usize; 4],
        dimensions: usize,
    ) -> Result<Self, LoadError> {
        // A graph that is no valid network can trip assertions inside the runtime.
        catch_unwind(AssertUnwindSafe(|| Loader { spec }.load(onnx, input_shape, dimensions)))
            .unwrap_or_else(|_| Err(Loader { spec }.failed("load the graph", "it panicked on its content")))
    }

    /// The output for one `input`, as many numbers as the product of the input shape.
    pub(crate) fn run(&self, input: &[f32]) -> Result<Vec<f32>, String> {
        let outcome = || -> TractResult<Vec<f32>> {
            let input = Tensor::from_shape(&self.input_shape, input)?;
            let outputs = self.plan.run(tvec!(input.into_tvalue()))?;
            let view = outputs.first().map(|output| output.to_plain_array_view::<f32>()).transpose()?;
            Ok(view.into_iter().flat_map(|view| view.iter().copied().collect::<Vec<f32>>()).collect())
        };
        outcome().map_err(|error| format!("{error:#}"))
    }
}

/// The steps of loading; each error names the graph file.
struct Loader<'a> {
    spec: &'a GraphSpec,
}

impl Loader<'_> {
    fn load(&self, onnx: &[u8], input_shape: [usize; 4], dimensions: usize) -> Result<TractGraph, LoadError> {
        let mut reader = onnx;
        let parsed = tract_onnx::onnx().model_for_read(&mut reader);
        let mut model = parsed.map_err(|error| self.failed("read the graph", format!("{error:#}")))?;
        self.check_input(&model, input_shape)?;
        self.select_output(&mut model)?;
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
        self.check_output(&output, dimensions)?;
        Ok(TractGraph { plan, input_shape })
    }

    fn check_input(&self, model: &InferenceModel, shape: [usize; 4]) -> Result<(), LoadError> {
        let inputs = model.input_outlets().unwrap_or_default();
        let names: Vec<&str> = inputs.iter().map(|outlet| model.node(outlet.node).name.as_str()).collect();
        if names != [self.spec.input.as_str()] {
            return Err(self.interface("inputs", format!("{:?}", [&self.spec.input]), format!("{names:?}")));
        }
        let fact = model.input_fact(0).map_err(|error| self.failed("read the input", format!("{error:#}")))?;
        // What the file leaves open (unknown rank, symbolic batch) is what the manifest decides.
        let declared: Vec<Option<usize>> =
            fact.shape.dims().map(|dim| dim.concretize().and_then(|dim| dim.to_usize().ok())).collect();
        let has_rank = declared.len() == shape.len() || fact.shape.is_open();
        let fits = declared.iter().zip(shape).all(|(declared, wanted)| declared.is_none_or(|dim| dim == wanted));
        let is_f32 = fact.datum_type().is_none_or(|datum_type| datum_type == f32::datum_type());
        if !(has_rank && fits && is_f32) {
            let what = format!("input \"{}\"", self.spec.input);
            return Err(self.interface(&what, format!("float32 {shape:?}"), fact.format_dt_shape()));
        }
        Ok(())
    }

    fn select_output(&self, model: &mut InferenceModel) -> Result<(), LoadError> {
        let outlets = model.output_outlets().unwrap_or_default().to_vec();
        let label =
            |outlet: &OutletId| model.outlet_label(*outlet).unwrap_or(model.node(outlet.node).name.as_str()).to_owned();
        let names: Vec<String> = outlets.iter().map(label).collect();
        let found = outlets.iter().zip(&names).find(|(_, name)| **name == self.spec.output);
        let Some((&outlet, _)) = found else {
            return Err(self.interface("outputs", format!("{:?}", [&self.spec.output]), format!("{names:?}")));
        };
        model.select_output_outlets(&[outlet]).map_err(|error| self.failed("select the output", format!("{error:#}")))
    }

    fn check_output(&self, fact: &TypedFact, dimensions: usize) -> Result<(), LoadError> {
        let shape = fact.shape.as_concrete();
        let is_one_vector = shape.is_some_and(|shape| {
            shape.first() == Some(&1)
                && shape.iter().try_fold(1, |n: usize, dim| n.checked_mul(*dim)) == Some(dimensions)
        });
        if !(is_one_vector && fact.datum_type == f32::datum_type()) {
            let what = format!("output \"{}\"", self.spec.output);
            return Err(self.interface(&what, format!("float32 [1, {dimensions}]"), format!("{fact:?}")));
        }
        Ok(())
    }

    fn failed(&self, step: &'static str, reason: impl Into<String>) -> LoadError {
        let path = self.spec.file.clone();
        LoadError::Graph { path, runtime: TractGraph::RUNTIME, step, reason: reason.into() }
    }

    fn interface(&self, what: &str, expected: String, found: String) -> LoadError {
        LoadError::Interface { path: self.spec.file.clone(), what: what.to_owned(), expected, found }
    }
}
