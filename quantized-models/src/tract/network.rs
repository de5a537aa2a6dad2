//! Running a graph with several inputs and outputs with tract.
//!
//! tract optimises a graph for lengths of axes that are known, so there is one plan for all inputs' shapes that come
//! together. A comparator cuts its prompts in pieces that never change, so there are few of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

use super::{failed, info, translated};
use crate::comparator::Stopper;
use crate::error::LoadError;
use crate::manifest::GraphFiles;
use crate::network::{Declared, Failure, Input, Kept, Kind, Network, NetworkEnds, Numbers, Spent};
use crate::runtime::RuntimeInfo;

/// Most plans of one graph; the one that was made first goes. Each has weights of its own.
const MAX_PLANS: usize = 24;

/// A graph with several ends. Shared between threads.
pub(crate) struct TractNetwork {
    /// Its outputs are those of the manifest, in its order.
    model: InferenceModel,
    inputs: Vec<(String, Option<Kind>)>,
    plans: Mutex<Vec<(Shapes, Arc<TypedRunnableModel>)>>,
    info: RuntimeInfo,
    spent: Spent,
}

/// Lengths of the axes of all inputs, in the order of the graph.
type Shapes = Vec<Vec<usize>>;

impl TractNetwork {
    /// Reads the graph in `files`, which were verified, and checks that it has these ends.
    pub(crate) fn load(files: &GraphFiles, ends: &NetworkEnds) -> Result<Self, LoadError> {
        // A graph that is no valid network can trip assertions inside the runtime.
        catch_unwind(AssertUnwindSafe(|| Self::read(files, ends)))
            .unwrap_or_else(|_| Err(failed(files, "load the graph", "it panicked on its content")))
    }

    fn read(files: &GraphFiles, ends: &NetworkEnds) -> Result<Self, LoadError> {
        let mut model = translated(files)?;
        let refused = |error: TractError| failed(files, "read the graph", format!("{error:#}"));
        let label = |model: &InferenceModel, outlet: &OutletId| {
            model.outlet_label(*outlet).unwrap_or(model.node(outlet.node).name.as_str()).to_owned()
        };
        let [mut inputs, mut outputs] = [Vec::new(), Vec::new()];
        for outlet in model.input_outlets().map_err(refused)? {
            let name = model.node(outlet.node).name.clone();
            inputs.push(declared(name, model.outlet_fact(*outlet).map_err(refused)?));
        }
        let outlets = model.output_outlets().map_err(refused)?.to_vec();
        for outlet in &outlets {
            let fact = model.outlet_fact(*outlet).map_err(refused)?;
            // What it finds out by itself comes later.
            let unknown = Declared { is_kind_open: true, axes: None, ..declared(label(&model, outlet), fact) };
            outputs.push(unknown);
        }
        ends.check(&files.graph.path, &inputs, &outputs)?;
        let position = |name: &str| outputs.iter().position(|output| output.name == name);
        let selected: Vec<OutletId> =
            ends.outputs.iter().filter_map(|end| position(&end.name).and_then(|at| outlets.get(at).copied())).collect();
        model.select_output_outlets(&selected).map_err(refused)?;
        let inputs = inputs.into_iter().map(|input| (input.name, input.kind)).collect();
        Ok(Self { model, inputs, plans: Mutex::new(Vec::new()), info: info(), spent: Spent::default() })
    }

    /// The plan for inputs of these shapes.
    fn plan(&self, shapes: Shapes) -> TractResult<Arc<TypedRunnableModel>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, plan)) = plans.iter().find(|(of, _)| *of == shapes) {
            return Ok(Arc::clone(plan));
        }
        let mut model = self.model.clone();
        for (at, shape) in shapes.iter().enumerate() {
            let kind = self.inputs.get(at).and_then(|(_, kind)| *kind);
            model.set_input_fact(at, InferenceFact::dt_shape(datum(kind.unwrap_or(Kind::F32)), shape))?;
        }
        let plan = model.into_optimized()?.into_runnable()?;
        if plans.len() >= MAX_PLANS {
            plans.remove(0);
        }
        plans.push((shapes, Arc::clone(&plan)));
        Ok(plan)
    }

    fn run_plan(&self, inputs: &[Input<'_>]) -> TractResult<Vec<Kept>> {
        let find = |name: &String| inputs.iter().find(|input| input.name == name);
        let ordered: Option<Vec<&Input<'_>>> = self.inputs.iter().map(|(name, _)| find(name)).collect();
        let ordered = ordered.ok_or_else(|| TractError::msg("an input was not given"))?;
        let values = ordered.iter().map(|input| value(input)).collect::<TractResult<TVec<TValue>>>()?;
        let plan = self.plan(values.iter().map(|value| value.shape().to_vec()).collect())?;
        let outputs = self.spent.of(|| plan.run(values))?;
        Ok(outputs.into_iter().map(|output| Kept::Tract(output.into_arc_tensor())).collect())
    }
}

impl Network for TractNetwork {
    fn run(&self, inputs: &[Input<'_>], stopper: &Stopper) -> Result<Vec<Kept>, Failure> {
        if stopper.is_stopped() {
            return Err(Failure::Stopped);
        }
        catch_unwind(AssertUnwindSafe(|| self.run_plan(inputs)))
            .unwrap_or_else(|_| Err(TractError::msg("it panicked")))
            .map_err(|error| Failure::Runtime(format!("{error:#}")))
    }

    fn kind_of(&self, input: &str) -> Option<Kind> {
        self.inputs.iter().find(|(name, _)| name == input).and_then(|(_, kind)| *kind)
    }

    fn can_stop(&self) -> bool {
        false
    }

    fn spent(&self) -> Duration {
        self.spent.total()
    }

    fn info(&self) -> &RuntimeInfo {
        &self.info
    }
}

/// An input as tract takes it.
fn value(input: &Input<'_>) -> TractResult<TValue> {
    let shape = &input.shape;
    Ok(match input.numbers {
        Numbers::F32(numbers) => Tensor::from_shape(shape, numbers)?.into_tvalue(),
        Numbers::I64(numbers) => Tensor::from_shape(shape, numbers)?.into_tvalue(),
        Numbers::Bool(numbers) => Tensor::from_shape(shape, numbers)?.into_tvalue(),
        Numbers::Kept(Kept::Tract(tensor)) => TValue::from_const(Arc::clone(tensor)),
        Numbers::Kept(Kept::Own { shape, numbers }) => Tensor::from_shape(shape, numbers)?.into_tvalue(),
        Numbers::Kept(Kept::Ort(_)) => return Err(TractError::msg("it was given numbers of another runtime")),
    })
}

fn datum(kind: Kind) -> DatumType {
    match kind {
        Kind::F32 => f32::datum_type(),
        Kind::I64 => i64::datum_type(),
        Kind::Bool => bool::datum_type(),
    }
}

fn declared(name: String, fact: &InferenceFact) -> Declared {
    let kinds = [Kind::F32, Kind::I64, Kind::Bool];
    let stated = fact.datum_type();
    let kind = stated.and_then(|stated| kinds.into_iter().find(|kind| datum(*kind) == stated));
    // What the file leaves open (unknown rank, symbolic batch) is what the manifest decides.
    let axes = fact.shape.dims().map(|dim| dim.concretize().and_then(|dim| dim.to_usize().ok())).collect();
    let axes = if fact.shape.is_open() { None } else { Some(axes) };
    Declared { name, kind, is_kind_open: stated.is_none(), axes, text: fact.format_dt_shape() }
}
