//! A graph with several inputs and outputs, as the parts of a comparator are: what it must take and give, and what goes
//! in and comes out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::comparator::Stopper;
use crate::error::LoadError;
use crate::runtime::RuntimeInfo;

/// What the numbers of an input or output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    I64,
    Bool,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::I64 => "int64",
            Self::Bool => "bool",
        }
    }
}

/// What the axes of an input or output must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Axes {
    /// These; `None` takes any length.
    These(Vec<Option<usize>>),
    /// Any whose lengths have this product.
    Product(usize),
}

/// An input or output that a graph must have.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) name: String,
    /// The kinds that will do.
    pub(crate) kinds: &'static [Kind],
    pub(crate) axes: Axes,
}

impl End {
    pub(crate) fn new(name: &str, kinds: &'static [Kind], axes: Vec<Option<usize>>) -> Self {
        Self { name: name.to_owned(), kinds, axes: Axes::These(axes) }
    }
}

/// What a graph must take, and no more than that, and what it must give.
#[derive(Debug, Clone, Default)]
pub(crate) struct NetworkEnds {
    pub(crate) inputs: Vec<End>,
    pub(crate) outputs: Vec<End>,
}

/// An input or output that a graph has, as its runtime tells.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    pub(crate) name: String,
    /// `None`: not stated, or another kind than those that are known.
    pub(crate) kind: Option<Kind>,
    /// Whether the graph leaves the kind open.
    pub(crate) is_kind_open: bool,
    /// `None`: even their number is open.
    pub(crate) axes: Option<Vec<Option<usize>>>,
    /// Kind and axes for people.
    pub(crate) text: String,
}

impl NetworkEnds {
    /// Refuses a graph at `path` that has other ends than these.
    pub(crate) fn check(&self, path: &Path, inputs: &[Declared], outputs: &[Declared]) -> Result<(), LoadError> {
        let refuse = |what: String, expected: String, found: String| {
            Err(LoadError::Interface { path: path.to_path_buf(), what, expected, found })
        };
        if let Some(input) = inputs.iter().find(|input| !self.inputs.iter().any(|end| end.name == input.name)) {
            let names: Vec<&str> = self.inputs.iter().map(|end| end.name.as_str()).collect();
            let expected = format!("no input that the manifest does not name ({})", names.join(", "));
            return refuse("inputs".to_owned(), expected, format!("{} {}", input.name, input.text));
        }
        for (side, ends, all) in [("input", &self.inputs, inputs), ("output", &self.outputs, outputs)] {
            for end in ends {
                let what = format!("{side} \"{}\"", end.name);
                match all.iter().find(|declared| declared.name == end.name) {
                    Some(declared) if end.fits(declared) => {}
                    Some(declared) => return refuse(what, end.text(), declared.text.clone()),
                    None => {
                        let names: Vec<&str> = all.iter().map(|declared| declared.name.as_str()).collect();
                        return refuse(what, end.text(), format!("none of this name among {}", names.join(", ")));
                    }
                }
            }
        }
        Ok(())
    }
}

impl End {
    fn fits(&self, declared: &Declared) -> bool {
        let is_kind = declared.is_kind_open || declared.kind.is_some_and(|kind| self.kinds.contains(&kind));
        let Some(axes) = &declared.axes else { return is_kind };
        let is_shape = match &self.axes {
            Axes::These(wanted) => {
                let is_or_open = |(found, wanted): (&Option<usize>, &Option<usize>)| {
                    found.is_none() || wanted.is_none() || found == wanted
                };
                axes.len() == wanted.len() && axes.iter().zip(wanted).all(is_or_open)
            }
            Axes::Product(wanted) => {
                let product = axes.iter().try_fold(1_usize, |product, axis| product.checked_mul((*axis)?));
                axes.contains(&None) || product == Some(*wanted)
            }
        };
        is_kind && is_shape
    }

    fn text(&self) -> String {
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
        let axes = match &self.axes {
            Axes::These(axes) => {
                let axis = |axis: &Option<usize>| axis.map_or_else(|| "any".to_owned(), |axis| axis.to_string());
                format!("[{}]", axes.iter().map(axis).collect::<Vec<_>>().join(", "))
            }
            Axes::Product(product) => format!("of {product} numbers"),
        };
        format!("{} {axes}", kinds.join(" or "))
    }
}

/// Numbers that came out of a graph, or that take the place of such: they go into a graph again without being copied.
#[derive(Debug)]
pub(crate) enum Kept {
    /// ONNX Runtime's.
    Ort(ort::value::DynValue),
    /// tract's.
    Tract(Arc<tract_onnx::prelude::Tensor>),
    /// Ours.
    Own {
        /// Their axes.
        shape: Vec<usize>,
        /// As many as the product of the axes.
        numbers: Vec<f32>,
    },
}

impl Kept {
    /// Lengths of the axes.
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Self::Ort(value) => match value.dtype() {
                ort::value::ValueType::Tensor { shape, .. } => {
                    shape.iter().map(|&axis| usize::try_from(axis).unwrap_or(0)).collect()
                }
                _ => Vec::new(),
            },
            Self::Tract(tensor) => tensor.shape().to_vec(),
            Self::Own { shape, .. } => shape.clone(),
        }
    }

    /// The numbers, which must be float32.
    pub(crate) fn floats(&self) -> Result<&[f32], String> {
        match self {
            Self::Ort(value) => {
                value.try_extract_tensor::<f32>().map(|(_, all)| all).map_err(|error| error.to_string())
            }
            Self::Tract(tensor) => {
                let numbers = tensor.try_as_plain_ram().and_then(|view| view.as_slice::<f32>());
                numbers.map_err(|error| format!("{error:#}"))
            }
            Self::Own { numbers, .. } => Ok(numbers),
        }
    }
}

/// What goes into a graph.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Numbers<'a> {
    F32(&'a [f32]),
    I64(&'a [i64]),
    Bool(&'a [bool]),
    Kept(&'a Kept),
}

/// One input of a run.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    pub(crate) name: &'a str,
    /// Lengths of the axes; of [`Numbers::Kept`] its own are taken.
    pub(crate) shape: Vec<usize>,
    pub(crate) numbers: Numbers<'a>,
}

/// Why a run gave nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was stopped.
    Stopped,
    /// What the runtime said.
    Runtime(String),
}

/// A loaded graph with several ends. Shared between threads.
pub(crate) trait Network: Send + Sync {
    /// All outputs that the manifest names, in its order, for `inputs`, which are all that the graph has.
    fn run(&self, inputs: &[Input<'_>], stopper: &Stopper) -> Result<Vec<Kept>, Failure>;

    /// The kind of an input.
    fn kind_of(&self, input: &str) -> Option<Kind>;

    /// Whether a run can be ended before it is through.
    fn can_stop(&self) -> bool;

    /// Time on the clock that was spent in the runtime so far.
    fn spent(&self) -> Duration;

    /// Whether a run gives back what runs before it left behind, until [`Network::checked`] is called.
    fn gives_back(&self) -> bool {
        false
    }

    /// Is called once, when the goldens were run: from then on what runs leave behind is kept for the next.
    fn checked(&self) {}

    /// What runs it.
    fn info(&self) -> &RuntimeInfo;
}

/// Adds up the time of runs.
#[derive(Debug, Default)]
pub(crate) struct Spent(AtomicU64);

impl Spent {
    pub(crate) fn of<T>(&self, run: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = run();
        self.0.fetch_add(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        done
    }

    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(name: &str, kind: Option<Kind>, axes: &[Option<usize>]) -> Declared {
        let text = format!("{kind:?} {axes:?}");
        Declared { name: name.to_owned(), kind, is_kind_open: false, axes: Some(axes.to_vec()), text }
    }

    #[test]
    fn ends_are_compared_with_what_a_graph_declares() {
        let ends = NetworkEnds {
            inputs: vec![End::new("past", &[Kind::F32], vec![Some(1), Some(3), None, Some(64)])],
            outputs: vec![End { name: "out".to_owned(), kinds: &[Kind::F32], axes: Axes::Product(12) }],
        };
        let path = Path::new("decoder.onnx");
        let past = |axes: &[Option<usize>]| vec![declared("past", Some(Kind::F32), axes)];
        let out = |axes: &[Option<usize>]| vec![declared("out", Some(Kind::F32), axes)];
        let good = (past(&[None, Some(3), None, Some(64)]), out(&[Some(1), Some(3), Some(4)]));
        assert!(ends.check(path, &good.0, &good.1).is_ok());
        assert!(ends.check(path, &good.0, &out(&[None, Some(5)])).is_ok(), "open sizes are seen when it runs");
        let mut more = good.0.clone();
        more.push(declared("cache_position", Some(Kind::I64), &[None]));
        let half = vec![declared("past", None, &[None, Some(3), None, Some(64)])];
        for (inputs, outputs, said) in [
            (
                past(&[Some(1), Some(5), None, Some(64)]),
                good.1.clone(),
                "input \"past\": expected float32 [1, 3, any, 64]",
            ),
            (past(&[Some(1), Some(3), Some(64)]), good.1.clone(), "input \"past\""),
            (half, good.1.clone(), "input \"past\""),
            (more, good.1.clone(), "no input that the manifest does not name (past), found cache_position"),
            (Vec::new(), good.1.clone(), "found none of this name among"),
            (good.0.clone(), out(&[Some(1), Some(3), Some(5)]), "output \"out\": expected float32 of 12 numbers"),
        ] {
            let error = ends.check(path, &inputs, &outputs).unwrap_err().to_string();
            assert!(error.contains(said) && error.starts_with("decoder.onnx"), "{error}");
        }
    }
}
