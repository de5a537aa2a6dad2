//! What does this picture look like as a vector?
//!
//! A [`Manifest`] describes one model: its graph, its preprocessing, the space of its vectors and the golden pictures
//! it must reproduce. [`decode`] turns encoded bytes (JPEG, PNG, WebP) into pixels under stated limits;
//! [`ExifTags`] reads what the camera wrote beside them. An [`Encoder`] runs the model: preprocess, graph, unit length.
//!
//! ```no_run
//! use quantized_models::{DecodeLimits, Encoder, Manifest, decode};
//!
//! let manifest = Manifest::load("models/mobilenetv3-small-576".as_ref())?;
//! let encoder = Encoder::load(&manifest)?;
//! let image = decode(&std::fs::read("frame.jpg")?, &DecodeLimits::default())?;
//! let embedding = encoder.embed(&image)?;
//! assert_eq!(embedding.as_slice().len(), encoder.dimensions());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod digest;
mod encoder;
mod error;
mod exif;
mod golden;
mod jpeg;
mod jpeg_layout;
mod manifest;
mod png_webp;
mod preprocess;
mod thumbnail;
mod tract;

pub use crate::decode::{DecodeLimits, decode, dimensions};
pub use crate::encoder::{Embedding, Encoder};
pub use crate::error::{DecodeError, EmbedError, LoadError, ManifestError, ThumbnailError};
pub use crate::exif::{ExifPosition, ExifTags};
pub use crate::manifest::{Manifest, SpaceId};
pub use crate::preprocess::{Channels, Filter, Preprocess, Resize};
pub use crate::thumbnail::{THUMBNAIL_SIDE, thumbnail};
pub use image::RgbImage;
