//! What a runtime is to an encoder: numbers of one picture in, numbers of one vector out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The programs that can run a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeKind {
    /// ONNX Runtime, a library that is loaded when the process runs. Fast; maps packed weights.
    #[serde(rename = "onnxruntime")]
    OnnxRuntime,
    /// tract-onnx, built in. Needs no library.
    Tract,
}

impl RuntimeKind {
    /// Every runtime, the fast one first: the order of a model that states none.
    pub const ALL: [Self; 2] = [Self::OnnxRuntime, Self::Tract];

    /// The name in manifests, settings and on the command line: `onnxruntime` or `tract`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnxruntime",
            Self::Tract => "tract",
        }
    }
}

impl fmt::Display for RuntimeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for RuntimeKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("found {text:?}, expected onnxruntime or tract"))
    }
}

/// Which runtime runs a graph, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// The program.
    pub kind: RuntimeKind,
    /// Name and version, e.g. `onnxruntime 1.31.1`.
    pub name: String,
    /// What computes, in the order in which it is asked, e.g. `["cuda", "cpu"]`.
    pub providers: Vec<&'static str>,
    /// Threads of one run.
    pub threads: usize,
    /// Where the weights are.
    pub weights: WeightsAt,
}

impl RuntimeInfo {
    /// Name, version and providers, e.g. `onnxruntime 1.31.1 (cuda, cpu)`; of a runtime that knows the CPU alone, name
    /// and version.
    #[must_use]
    pub fn label(&self) -> String {
        match self.kind {
            RuntimeKind::OnnxRuntime => format!("{} ({})", self.name, self.providers.join(", ")),
            RuntimeKind::Tract => self.name.clone(),
        }
    }
}

/// Where the weights of a loaded graph are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightsAt {
    /// In pages of a file, as the runtime multiplies with them: shared between processes, and given back under
    /// pressure.
    Mapped,
    /// In pages of a file, but the runtime keeps copies, rearranged for its kernels, in the process's own memory.
    MappedAndCopied,
    /// In the process's own memory.
    Own,
}

/// A loaded graph of one tower. Shared between threads.
pub(crate) trait Graph: Send + Sync {
    /// The output for `input`, as many numbers as the product of the input shape; or what went wrong.
    fn run(&self, input: &[f32]) -> Result<Vec<f32>, String>;

    /// Is called once, when the golden pictures were run: what their runs left behind is given back before, and kept
    /// from run to run from then on.
    fn checked(&self) {}

    /// What runs it.
    fn info(&self) -> &RuntimeInfo;
}

/// What a tower's graph must take and give.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends<'a> {
    /// Name of the input.
    pub(crate) input: &'a str,
    /// What it takes: float32, NCHW.
    pub(crate) input_shape: [usize; 4],
    /// Name of the output.
    pub(crate) output: &'a str,
    /// How many float32 numbers the output has for one picture.
    pub(crate) dimensions: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for kind in RuntimeKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!("ort".parse::<RuntimeKind>(), Err("found \"ort\", expected onnxruntime or tract".to_owned()));
    }
}
