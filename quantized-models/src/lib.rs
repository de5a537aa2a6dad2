//! What does this picture look like as a vector, and which of two shows the place of a third? What can be said of it?
//!
//! A [`Manifest`] describes one model: its graph, its preprocessing, the space of its vectors and the golden pictures
//! it must reproduce. [`decode`] turns encoded bytes (JPEG, PNG, WebP) into pixels under stated limits;
//! [`ExifTags`] reads what the camera wrote beside them. An [`Encoder`] runs the model: preprocess, graph, unit length;
//! [`LoadOptions`] say under which runtime, and where packed weights and stamps of verified files are kept.
//!
//! A [`Comparator`] says which of two candidates shows the place of a query: a vision-language model, described by a
//! [`ComparatorManifest`]. A [`Generator`] answers a question about a picture with a text, by the same kind of model.
//!
//! ```no_run
//! use quantized_models::{DecodeLimits, Encoder, LoadOptions, Manifest, View, decode};
//!
//! let manifest = Manifest::load("models/siglip-b16-224-int8".as_ref())?;
//! let encoder = Encoder::load(&manifest, &LoadOptions::default())?;
//! let image = decode(&std::fs::read("frame.jpg")?, &DecodeLimits::default())?;
//! let embedding = encoder.embed(&image, View::Query)?;
//! assert_eq!(embedding.as_slice().len(), encoder.dimensions());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bench;
mod comparator;
mod decode;
mod digest;
mod encoder;
mod error;
mod exif;
mod folder;
mod golden;
mod jpeg;
mod jpeg_layout;
mod loading;
mod manifest;
mod network;
mod onnxruntime;
mod options;
mod outline;
mod png_webp;
mod preprocess;
mod runtime;
mod stamp;
mod thumbnail;
mod tract;

pub use crate::bench::{Memory, Timing, interleaved};
pub use crate::comparator::{
    Answer, Ask, Comparator, ComparatorManifest, CompareError, CompareTiming, Ended, GenerateError, Generator,
    GoldenComparison, ImageTokens, MarginQuantization, Pivot, Query, StepTiming, Stopper, Times, TokensError,
    interleaved_comparisons,
};
pub use crate::decode::{DecodeLimits, decode, dimensions};
pub use crate::digest::sha256_of_reader;
pub use crate::encoder::{Embedding, Encoder};
pub use crate::error::{DecodeError, EmbedError, LibraryError, LoadError, ManifestError, ThumbnailError};
pub use crate::exif::{ExifPosition, ExifTags};
pub use crate::manifest::{ActivationKind, FileSpec, Manifest, Quantization, SpaceId, View, WeightKind};
pub use crate::options::{LoadOptions, OnProgress, PACK_FROM_BYTES, PackedIn, Progress, Provider, ProviderKind, Step};
pub use crate::preprocess::{Channels, Filter, Margin, Preprocess, Resize};
pub use crate::runtime::{RuntimeInfo, RuntimeKind, WeightsAt};
pub use crate::stamp::{Known, Stamps};
pub use crate::thumbnail::{THUMBNAIL_SIDE, thumbnail};
pub use image::RgbImage;

#[cfg(test)]
#[path = "../../tests/faulty_disk/mod.rs"]
mod faulty_disk;
