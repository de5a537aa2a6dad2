//! What can go wrong, one enum per operation. Every message names what was expected and what was found.

use std::io;
use std::path::PathBuf;

use crate::comparator::CompareError;

/// Why a model manifest was refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The manifest file could not be read.
    #[error("cannot read model manifest {}: {source}", path.display())]
    Read {
        /// The manifest file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not TOML, or a key is unknown, missing or of the wrong type.
    #[error("{} line {line}, {key}: {message}", path.display())]
    Syntax {
        /// The manifest file.
        path: PathBuf,
        /// Line of the file, from 1.
        line: usize,
        /// Dotted key, or `the file` when the text is not TOML.
        key: String,
        /// What was expected and what was found.
        message: String,
    },
    /// A key has a value that no model can have.
    #[error("{}, {key}: expected {expected}, found {found}", path.display())]
    Value {
        /// The manifest file.
        path: PathBuf,
        /// Dotted key.
        key: String,
        /// The rule.
        expected: String,
        /// The value in the file.
        found: String,
    },
    /// The manifest describes a comparator or a generator.
    #[error("{}, kind: expected \"encoder\", found \"{found}\": a {found} cannot embed pictures", path.display())]
    NotAnEncoder {
        /// The manifest file.
        path: PathBuf,
        /// The kind that the manifest states.
        found: String,
    },
    /// The manifest describes an encoder or a generator.
    #[error("{}, kind: expected \"comparator\", found \"{found}\": a {found} cannot compare pictures", path.display())]
    NotAComparator {
        /// The manifest file.
        path: PathBuf,
        /// The kind that the manifest states.
        found: String,
    },
}

/// Why encoded bytes were not turned into pixels.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DecodeError {
    /// There are no bytes.
    #[error("the picture is empty: expected a JPEG, PNG or WebP picture, found 0 bytes")]
    Empty,
    /// More bytes than the limit.
    #[error("the picture has {found} bytes; the limit is {limit} bytes")]
    TooManyBytes {
        /// Length of the payload in bytes.
        found: usize,
        /// [`DecodeLimits::max_bytes`](crate::DecodeLimits::max_bytes).
        limit: usize,
    },
    /// The first bytes belong to no known picture format.
    #[error("not a JPEG, PNG or WebP picture (starts with {start})")]
    NotAPicture {
        /// The first bytes, in hexadecimal.
        start: String,
    },
    /// A side is longer than the limit; said from the header, before decoding.
    #[error("the picture is {width} x {height} pixels; the limit is {max_side} pixels a side")]
    SideTooLong {
        /// Stored width in pixels.
        width: u32,
        /// Stored height in pixels.
        height: u32,
        /// [`DecodeLimits::max_side`](crate::DecodeLimits::max_side).
        max_side: u32,
    },
    /// More pixels than the limit; said from the header, before decoding.
    #[error("the picture is {width} x {height} pixels; the limit is {max_pixels} pixels in all")]
    TooManyPixels {
        /// Stored width in pixels.
        width: u32,
        /// Stored height in pixels.
        height: u32,
        /// [`DecodeLimits::max_pixels`](crate::DecodeLimits::max_pixels).
        max_pixels: u64,
    },
    /// The file ends before its end marker.
    #[error("the {format} picture is cut: expected {expected}, found the end after {found_bytes} bytes")]
    Cut {
        /// `JPEG`, `PNG` or `WebP`.
        format: &'static str,
        /// What should have come.
        expected: String,
        /// Length of the payload in bytes.
        found_bytes: usize,
    },
    /// Fewer bytes than the smallest possible coding of the declared size: a header without a picture.
    #[error(
        "the JPEG header says {width} x {height} pixels, which take at least {needed_bytes} bytes; \
         found {found_bytes} bytes"
    )]
    HeaderOnly {
        /// Declared width in pixels.
        width: u32,
        /// Declared height in pixels.
        height: u32,
        /// Least number of bytes in which that many blocks can be coded.
        needed_bytes: u64,
        /// Length of the payload in bytes.
        found_bytes: usize,
    },
    /// A valid picture of a kind that is not decoded.
    #[error("{format} picture not supported: expected {expected}, found {found}")]
    Unsupported {
        /// `JPEG`, `PNG` or `WebP`.
        format: &'static str,
        /// What is decoded.
        expected: &'static str,
        /// What the file holds.
        found: &'static str,
    },
    /// The decoder refused the content.
    #[error("the {format} picture is damaged: {reason}")]
    Damaged {
        /// `JPEG`, `PNG` or `WebP`.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
}

/// Why an encoder was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that the manifest names could not be read.
    #[error("model {model}: cannot read {}: {source}", path.display())]
    Read {
        /// Name of the model.
        model: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A graph, or a file of its external data, is not the one that the manifest describes.
    #[error("{}: expected sha256 {expected}, found {found}", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// Its digest in the manifest.
        expected: String,
        /// Digest of the file.
        found: String,
    },
    /// Another user may write the model.
    #[error(
        "{}: expected files that only their owner or root may write, found {found}: a graph is a program; change owner \
         and permissions, or set models.trust_writable_folders (GEOLOCATED_TRUST_WRITABLE_MODELS=1 for the tool)",
        path.display()
    )]
    WritableByOthers {
        /// The folder or file.
        path: PathBuf,
        /// Who may write it, and why.
        found: String,
    },
    /// The graph names external data that its manifest does not.
    #[error(
        "{}: its weights lie in {data:?} too: expected a table [[graph.data]] with that file and its digest, found {found}",
        path.display()
    )]
    DataNotListed {
        /// The graph file.
        path: PathBuf,
        /// The file, as the graph names it.
        data: String,
        /// The files that the manifest lists.
        found: String,
    },
    /// The graph names external data outside its folder.
    #[error("{}: expected external data inside the folder of the graph, found {data:?}", path.display())]
    DataOutside {
        /// The graph file.
        path: PathBuf,
        /// The file, as the graph names it.
        data: String,
    },
    /// The graph needs operators that the runtime does not have.
    #[error("{}: {runtime} has no operator {operators}", path.display())]
    Operators {
        /// The graph file.
        path: PathBuf,
        /// Name and version of the runtime.
        runtime: String,
        /// Names of the operators, with their domains where they are not ONNX's.
        operators: String,
    },
    /// ONNX Runtime's library cannot be used.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// What is to compute is not there.
    #[error("{}: expected a library that computes with {provider}, found {found}", library.display())]
    Provider {
        /// Name of the provider in settings.
        provider: &'static str,
        /// ONNX Runtime's library.
        library: PathBuf,
        /// What it can compute with, or why it cannot with this.
        found: String,
    },
    /// No runtime of the manifest's order can run the model.
    #[error("model {model}: no runtime can run it: {failures}")]
    NoRuntime {
        /// Name of the model.
        model: String,
        /// Each runtime and why it cannot.
        failures: String,
    },
    /// The weights could not be packed.
    #[error("{}: cannot pack the weights of {}: {reason}", folder.display(), path.display())]
    Pack {
        /// The graph file.
        path: PathBuf,
        /// Where they should have gone.
        folder: PathBuf,
        /// What the system or the runtime said.
        reason: String,
    },
    /// The runtime cannot run the graph.
    #[error("{}: {runtime} cannot {step}: {reason}", path.display())]
    Graph {
        /// The graph file.
        path: PathBuf,
        /// Name and version of the runtime.
        runtime: String,
        /// What it was asked to do.
        step: &'static str,
        /// What it said.
        reason: String,
    },
    /// The graph has another input or output than the manifest says.
    #[error("{}: {what}: expected {expected}, found {found}", path.display())]
    Interface {
        /// The graph file.
        path: PathBuf,
        /// Which input or output, and which of its properties.
        what: String,
        /// What the manifest says.
        expected: String,
        /// What the graph has.
        found: String,
    },
    /// A golden picture was not decoded.
    #[error("golden picture {}: {source}", path.display())]
    GoldenPicture {
        /// The picture.
        path: PathBuf,
        /// Why.
        source: DecodeError,
    },
    /// A golden vector is not a vector of this model.
    #[error("golden vector {}: expected {expected}, found {found}", path.display())]
    GoldenVector {
        /// The vector file.
        path: PathBuf,
        /// What it should hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// Two golden vectors are so alike that a runtime that repeats its answer would pass with them.
    #[error(
        "golden vectors {} and {}: expected unlike pictures (cosine below {limit}), found cosine {cosine}",
        first.display(), second.display()
    )]
    GoldensAlike {
        /// One vector file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// The least `min_cosine` of the two.
        limit: f32,
        /// Cosine between them.
        cosine: f32,
    },
    /// A golden picture could not be embedded.
    #[error("golden picture {}: {source}", path.display())]
    GoldenEmbed {
        /// The picture.
        path: PathBuf,
        /// Why.
        source: EmbedError,
    },
    /// The runtime does not reproduce a golden vector.
    #[error("{runtime} does not reproduce {}: expected cosine >= {expected}, found {found}", path.display())]
    GoldenMissed {
        /// The vector file.
        path: PathBuf,
        /// Name and version of the runtime.
        runtime: String,
        /// `min_cosine` of the manifest.
        expected: f32,
        /// Cosine between the golden vector and what the runtime gave.
        found: f32,
    },
    /// The same picture gave two different vectors.
    #[error(
        "{runtime} does not repeat itself on {}: expected the same vector twice, found cosine {cosine}",
        path.display()
    )]
    NotRepeatable {
        /// The picture.
        path: PathBuf,
        /// Name and version of the runtime.
        runtime: String,
        /// Cosine between the two vectors.
        cosine: f32,
    },
    /// The tokenizer cannot be read, or refuses a text.
    #[error("{}: {reason}", path.display())]
    Tokenizer {
        /// The tokenizer's file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// A text of the manifest does not become the tokens that it should.
    #[error("{}, {key}: expected {expected}, found {found}", path.display())]
    Prompt {
        /// The manifest file.
        path: PathBuf,
        /// Dotted key.
        key: String,
        /// The rule.
        expected: String,
        /// What the tokenizer makes of it.
        found: String,
    },
    /// Pictures of a golden comparison could not be compared.
    #[error("golden comparison of {}: {source}", path.display())]
    GoldenCompare {
        /// The query.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<CompareError>,
    },
    /// The runtime does not reproduce a golden margin.
    #[error("{runtime} does not reproduce golden[{golden}].margin: expected {expected} +- {tolerance}, found {found}")]
    MarginMissed {
        /// Which golden, from 0.
        golden: usize,
        /// Name and version of the runtime.
        runtime: String,
        /// The margin of the manifest.
        expected: f32,
        /// Its tolerance.
        tolerance: f32,
        /// What the runtime gave.
        found: f32,
    },
    /// The same comparison gave two different margins.
    #[error("{runtime} does not repeat itself on golden[{golden}]: expected the margin {first} again, found {again}")]
    MarginNotRepeatable {
        /// Which golden, from 0.
        golden: usize,
        /// Name and version of the runtime.
        runtime: String,
        /// The margin at first.
        first: f32,
        /// The margin after other comparisons.
        again: f32,
    },
}

/// Why ONNX Runtime's library cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LibraryError {
    /// There is none.
    #[error(
        "ONNX Runtime is not there: looked for libonnxruntime.so {looked}. Install it: `make onnxruntime` in a checkout, \
         or unzip capi/libonnxruntime.so.* of `pip download --no-deps --only-binary=:all: onnxruntime`, and name the file \
         in GEOLOCATED_ONNXRUNTIME or in models.onnxruntime; at least version {least}"
    )]
    Missing {
        /// Where it was looked for.
        looked: String,
        /// The oldest version that will do.
        least: String,
    },
    /// It is older than what this program can speak to.
    #[error(
        "{}: expected ONNX Runtime {least} or newer, found {found}. Install a newer one: `make onnxruntime` in a checkout, \
         or `pip download --no-deps --only-binary=:all: onnxruntime`",
        path.display()
    )]
    TooOld {
        /// The library.
        path: PathBuf,
        /// The oldest version that will do.
        least: String,
        /// Its version.
        found: String,
    },
    /// The file is no library, or of another kind.
    #[error("{}: expected ONNX Runtime's library, found: {reason}", path.display())]
    NotALibrary {
        /// The file.
        path: PathBuf,
        /// What the system's loader said.
        reason: String,
    },
    /// It would send reports to its maker.
    #[error(
        "{}: expected {variable}=1 in the environment: without it, ONNX Runtime may send reports about models and runs",
        path.display()
    )]
    Telemetry {
        /// The library.
        path: PathBuf,
        /// The variable that it heeds.
        variable: &'static str,
    },
    /// A process can load it only once.
    #[error(
        "{}: this process runs ONNX Runtime from {} already and cannot load another",
        path.display(), loaded.display()
    )]
    Another {
        /// The library that is asked for.
        path: PathBuf,
        /// The one that is loaded.
        loaded: PathBuf,
    },
}

/// Why a picture was not embedded.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The picture has no pixels.
    #[error("cannot embed a picture without pixels: expected at least 1 x 1, found {width} x {height}")]
    NoPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The picture could not be resized.
    #[error("cannot resize a picture of {width} x {height} pixels: {reason}")]
    Resize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// What the resizer said.
        reason: String,
    },
    /// The runtime failed.
    #[error("model {model}: {runtime} failed: {reason}")]
    Runtime {
        /// Name of the model.
        model: String,
        /// Name and version of the runtime.
        runtime: String,
        /// What it said.
        reason: String,
    },
    /// The vector has another width than the manifest says.
    #[error("model {model}: expected a vector of {expected} numbers, found {found}")]
    Width {
        /// Name of the model.
        model: String,
        /// `space.dimensions` of the manifest.
        expected: usize,
        /// Width of the vector.
        found: usize,
    },
    /// The vector has no direction.
    #[error("model {model}: expected a vector of finite numbers that are not all zero, found length {length}")]
    NoDirection {
        /// Name of the model.
        model: String,
        /// Euclidean length of the vector: zero, infinite or not a number.
        length: f64,
    },
}

/// Why a picture has no thumbnail.
#[derive(Debug, thiserror::Error)]
pub enum ThumbnailError {
    /// The picture has no pixels.
    #[error("cannot make a thumbnail of a picture without pixels: expected at least 1 x 1, found {width} x {height}")]
    NoPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The picture could not be resized or encoded.
    #[error("cannot make a thumbnail of a picture of {width} x {height} pixels: {reason}")]
    Failed {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// What the resizer or the encoder said.
        reason: String,
    },
}
