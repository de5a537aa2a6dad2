//! Running a graph with several inputs and outputs with ONNX Runtime.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ort::session::{RunOptions, Session, SessionInputValue};
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

use super::loader::Loader;
use super::pool::Pool;
use super::{Library, Packing, Sums};
use crate::comparator::{Stopper, Terminate};
use crate::error::LoadError;
use crate::manifest::GraphFiles;
use crate::network::{Declared, Failure, Input, Kept, Kind, Network, NetworkEnds, Numbers, Spent};
use crate::options::{LoadOptions, OnProgress};
use crate::runtime::RuntimeInfo;

/// A graph with several ends. Shared between threads; each run has a session of its own.
pub(crate) struct OrtNetwork {
    pool: Pool<Session>,
    outputs: Vec<String>,
    inputs: Vec<(String, Option<Kind>)>,
    info: RuntimeInfo,
    /// Whether what runs leave behind is given back each time.
    gives_back: AtomicBool,
    remains: Remains,
    spent: Spent,
}

/// What happens with the memory of a run when the goldens were run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remains {
    /// It is kept for the next run.
    Kept,
    /// It is given back: a graph that runs seldom and takes much.
    GivenBack,
}

/// A run that another thread may end.
struct Run {
    options: RunOptions,
    is_ended: AtomicBool,
}

impl Terminate for Run {
    fn terminate(&self) {
        self.is_ended.store(true, Ordering::SeqCst);
        // A run that cannot be ended comes to its end.
        let _ = self.options.terminate();
    }
}

impl OrtNetwork {
    /// Loads the graph in `files`, which were verified, and checks that it has these ends.
    pub(crate) fn load(
        files: &GraphFiles,
        ends: &NetworkEnds,
        (model_folder, options): (&Path, &LoadOptions),
        (packing, sums, remains): (Packing, Sums, Remains),
        progress: &mut OnProgress<'_>,
    ) -> Result<Self, LoadError> {
        let library = Library::load(options.onnxruntime.as_deref())?;
        let loader = Loader { files, options, sums, library };
        let mut load = || {
            let (source, session) = loader.first(model_folder, packing, progress)?;
            let [inputs, outputs] =
                [session.inputs(), session.outputs()].map(|outlets| outlets.iter().map(declared).collect::<Vec<_>>());
            ends.check(&files.graph.path, &inputs, &outputs)?;
            Ok(Self {
                inputs: inputs.into_iter().map(|input| (input.name, input.kind)).collect(),
                outputs: ends.outputs.iter().map(|end| end.name.clone()).collect(),
                info: loader.info(source.weights),
                pool: loader.pool(source, session),
                gives_back: AtomicBool::new(true),
                remains,
                spent: Spent::default(),
            })
        };
        // Faults of the binding must not end the process.
        catch_unwind(AssertUnwindSafe(&mut load))
            .unwrap_or_else(|_| Err(loader.failed("load the graph", "it panicked on its content")))
    }

    fn options(&self) -> ort::Result<Run> {
        let mut options = RunOptions::new()?;
        if self.gives_back.load(Ordering::Relaxed) {
            options.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
        }
        Ok(Run { options, is_ended: AtomicBool::new(false) })
    }

    fn run_in(&self, session: &mut Session, inputs: &[Input<'_>], run: &Run) -> ort::Result<Vec<Kept>> {
        let inputs = inputs.iter().map(value).collect::<ort::Result<Vec<_>>>()?;
        let mut outputs = self.spent.of(|| session.run_with_options(inputs, &run.options))?;
        let take = |name: &String| {
            let value = outputs.remove(name).ok_or_else(|| ort::Error::new(format!("it gave no output {name}")))?;
            Ok(Kept::Ort(value))
        };
        self.outputs.iter().map(take).collect()
    }
}

impl Network for OrtNetwork {
    fn run(&self, inputs: &[Input<'_>], stopper: &Stopper) -> Result<Vec<Kept>, Failure> {
        let run = Arc::new(self.options().map_err(|error| Failure::Runtime(error.to_string()))?);
        if !stopper.watch(&run) {
            return Err(Failure::Stopped);
        }
        let outcome = self.pool.with(|session| self.run_in(session, inputs, &run)).map_err(Failure::Runtime)?;
        outcome.map_err(|error| match run.is_ended.load(Ordering::SeqCst) {
            true => Failure::Stopped,
            false => Failure::Runtime(error.to_string()),
        })
    }

    fn kind_of(&self, input: &str) -> Option<Kind> {
        self.inputs.iter().find(|(name, _)| name == input).and_then(|(_, kind)| *kind)
    }

    fn can_stop(&self) -> bool {
        true
    }

    fn spent(&self) -> Duration {
        self.spent.total()
    }

    fn gives_back(&self) -> bool {
        self.gives_back.load(Ordering::Relaxed)
    }

    fn checked(&self) {
        self.gives_back.store(self.remains == Remains::GivenBack, Ordering::Relaxed);
    }

    fn info(&self) -> &RuntimeInfo {
        &self.info
    }
}

/// An input as the library takes it; nothing is copied.
fn value<'a>(input: &'a Input<'_>) -> ort::Result<(Cow<'a, str>, SessionInputValue<'a>)> {
    let shape = input.shape.clone();
    let value: SessionInputValue<'a> = match input.numbers {
        Numbers::F32(numbers) => TensorRef::from_array_view((shape, numbers))?.into(),
        Numbers::I64(numbers) => TensorRef::from_array_view((shape, numbers))?.into(),
        Numbers::Bool(numbers) => TensorRef::from_array_view((shape, numbers))?.into(),
        Numbers::Kept(Kept::Ort(value)) => value.into(),
        Numbers::Kept(Kept::Own { shape, numbers }) => {
            TensorRef::from_array_view((shape.as_slice(), numbers.as_slice()))?.into()
        }
        Numbers::Kept(Kept::Tract(_)) => return Err(ort::Error::new("it was given numbers of another runtime")),
    };
    Ok((Cow::Borrowed(input.name), value))
}

fn declared(outlet: &Outlet) -> Declared {
    let (kind, axes) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let kind = match ty {
                TensorElementType::Float32 => Some(Kind::F32),
                TensorElementType::Int64 => Some(Kind::I64),
                TensorElementType::Bool => Some(Kind::Bool),
                _ => None,
            };
            (kind, Some(shape.iter().map(|&axis| usize::try_from(axis).ok()).collect()))
        }
        _ => (None, None),
    };
    let (name, text) = (outlet.name().to_owned(), outlet.dtype().to_string());
    Declared { name, kind, is_kind_open: false, axes, text }
}
