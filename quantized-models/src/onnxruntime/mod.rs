//! Running a graph with ONNX Runtime.

mod cpu;
mod library;
mod loader;
mod network;
mod pack_disk;
mod packed;
mod pool;
mod providers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ort::session::{OutputSelector, RunOptions, Session};
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

pub(crate) use self::library::Library;
pub(crate) use self::network::{OrtNetwork, Remains};

use self::loader::Loader;
use self::pool::Pool;
use crate::error::LoadError;
use crate::manifest::GraphSpec;
use crate::options::{LoadOptions, OnProgress};
use crate::runtime::{Ends, Graph, RuntimeInfo};

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
        let loader = Loader { files: &spec.files, options, sums, library };
        let mut load = || Self::load_by(&loader, ends, (model_folder, packing), progress);
        // Faults of the binding must not end the process.
        catch_unwind(AssertUnwindSafe(&mut load))
            .unwrap_or_else(|_| Err(loader.failed("load the graph", "it panicked on its content")))
    }

    fn load_by(
        loader: &Loader<'_>,
        ends: &Ends<'_>,
        (model_folder, packing): (&Path, Packing),
        progress: &mut OnProgress<'_>,
    ) -> Result<Self, LoadError> {
        let (source, session) = loader.first(model_folder, packing, progress)?;
        check_input(loader, ends, session.inputs())?;
        check_output(loader, ends, session.outputs())?;
        let info = loader.info(source.weights);
        Ok(Self {
            pool: loader.pool(source, session),
            input: ends.input.to_owned(),
            input_shape: ends.input_shape,
            output: ends.output.to_owned(),
            info,
            is_checked: AtomicBool::new(false),
        })
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

fn check_input(loader: &Loader<'_>, ends: &Ends<'_>, inputs: &[Outlet]) -> Result<(), LoadError> {
    let names: Vec<&str> = inputs.iter().map(Outlet::name).collect();
    let [input] = inputs else {
        return Err(loader.interface("inputs", format!("{:?}", [ends.input]), format!("{names:?}")));
    };
    if input.name() != ends.input {
        return Err(loader.interface("inputs", format!("{:?}", [ends.input]), format!("{names:?}")));
    }
    let wanted = ends.input_shape;
    let fits = shape_of(input).is_some_and(|shape| {
        shape.len() == wanted.len() && shape.iter().zip(wanted).all(|(&dim, wanted)| is_or_open(dim, wanted))
    });
    if fits {
        return Ok(());
    }
    let what = format!("input \"{}\"", ends.input);
    Err(loader.interface(&what, format!("float32 {wanted:?}"), input.dtype().to_string()))
}

fn check_output(loader: &Loader<'_>, ends: &Ends<'_>, outputs: &[Outlet]) -> Result<(), LoadError> {
    let Some(output) = outputs.iter().find(|output| output.name() == ends.output) else {
        let names: Vec<&str> = outputs.iter().map(Outlet::name).collect();
        return Err(loader.interface("outputs", format!("{:?}", [ends.output]), format!("{names:?}")));
    };
    let dimensions = ends.dimensions;
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
    let what = format!("output \"{}\"", ends.output);
    Err(loader.interface(&what, format!("float32 [1, {dimensions}]"), output.dtype().to_string()))
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
