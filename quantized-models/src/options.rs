//! How an encoder is to be loaded: which runtime, on what, with how many threads, and where caches lie.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

use crate::runtime::RuntimeKind;

/// Graphs of fewer bytes than this are not packed: there is little to map.
pub const PACK_FROM_BYTES: u64 = 16 << 20;

/// How an encoder is to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadOptions {
    /// This runtime and no other; `None` goes along the order of the manifest.
    pub runtime: Option<RuntimeKind>,
    /// ONNX Runtime's library, or a folder with it; `None` looks where it usually lies.
    pub onnxruntime: Option<PathBuf>,
    /// What is to compute under ONNX Runtime, preferred first. The CPU takes what is left over, named or not. Anything
    /// else than the CPU must be there: it is never left out quietly.
    pub providers: Vec<Provider>,
    /// Threads of one run, at least 1; tract always takes one.
    pub threads: usize,
    /// How many runs may go on at the same time, at least 1. Each takes memory of its own for what lies between layers.
    pub sessions: usize,
    /// Where weights that are packed for this CPU are looked for, and, in the first of these folders that can be
    /// written, put. Empty: none are made, and the weights lie in the process's own memory.
    pub packed: Vec<PackedIn>,
    /// Graphs are packed from so many bytes on, external data included.
    pub pack_from_bytes: u64,
    /// Where it is remembered which files were hashed already; `None` hashes them at each load.
    pub stamps: Option<PathBuf>,
    /// Whether models are taken from folders that other users may write.
    pub trust_writable_folders: bool,
}

/// A place for packed weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackedIn {
    /// `packed/` in the folder of the model.
    ModelFolder,
    /// This folder.
    Folder(PathBuf),
}

impl Default for LoadOptions {
    /// The manifest's order, the CPU, one thread, one run at a time, nothing written anywhere.
    fn default() -> Self {
        Self {
            runtime: None,
            onnxruntime: None,
            providers: Vec::new(),
            threads: 1,
            sessions: 1,
            packed: Vec::new(),
            pack_from_bytes: PACK_FROM_BYTES,
            stamps: None,
            trust_writable_folders: false,
        }
    }
}

/// What computes under ONNX Runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU through CUDA. Not tested on one.
    Cuda {
        /// Which GPU, from 0.
        device: i32,
    },
    /// An NVIDIA GPU through TensorRT. Not tested on one.
    TensorRt {
        /// Which GPU, from 0.
        device: i32,
        /// Whether layers may compute in 16 bits.
        fp16: bool,
        /// Folder for engines and timings that were measured on this device, so that the next start need not build them
        /// again; `None` builds them at each load.
        cache: Option<PathBuf>,
    },
}

impl Provider {
    /// The name in settings: `cpu`, `cuda`, `tensorrt`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda { .. } => "cuda",
            Self::TensorRt { .. } => "tensorrt",
        }
    }
}

/// A provider without its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// [`Provider::Cpu`].
    Cpu,
    /// [`Provider::Cuda`].
    Cuda,
    /// [`Provider::TensorRt`].
    TensorRt,
}

impl FromStr for ProviderKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda),
            "tensorrt" => Ok(Self::TensorRt),
            _ => Err(format!("found {text:?}, expected cpu, cuda or tensorrt")),
        }
    }
}

/// What is being done while a model is loaded or prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Digests of files are computed.
    Hashing,
    /// ONNX Runtime optimises the graph and arranges its weights for this CPU, or builds an engine for this GPU.
    Packing,
    /// Packed files are brought to the disk.
    Writing,
    /// Golden pictures are embedded.
    Checking,
}

impl Step {
    /// The step in a word, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hashing => "hashing",
            Self::Packing => "packing",
            Self::Writing => "writing",
            Self::Checking => "checking",
        }
    }
}

/// How far loading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// How much of it is done, in bytes, or in pictures for [`Step::Checking`].
    pub done: u64,
    /// How much it is in all; 0 when that is not known.
    pub total: u64,
}

/// Is told how far loading has come.
pub type OnProgress<'a> = dyn FnMut(Progress) + 'a;
