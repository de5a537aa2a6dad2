//! What is kept of pictures beside their vectors.

use std::path::Path;

use anyhow::{Context, bail};
use geolocated::reranker::{PictureBlob, THUMBNAIL_CODEC, TOKENS_CODEC};
use index_shards::BlobDescription;
use quantized_models::{Comparator, ComparatorManifest, DecodeLimits, ImageTokens, RgbImage, thumbnail};

use super::args::{BuildArgs, Pictures};
use super::input_row::InputRow;
use super::make::{missing_picture, picture, refuse, threads};
use crate::builtin;
use crate::poses::Refused;
use crate::runtime_args::LoadingBar;

/// What makes thumbnails.
const THUMBNAILS: &str = "geolocate-thumbnail-160";

/// What is kept of a picture, and what makes it. Shared between threads.
pub(super) enum Kept {
    Nothing,
    Thumbnails,
    Tokens { comparator: Box<Comparator>, shape: [usize; 2] },
}

impl Kept {
    /// Loads the comparator where its tokens are asked for.
    ///
    /// # Errors
    /// It cannot be loaded; or it is named and not asked for.
    pub(super) fn open(args: &BuildArgs) -> anyhow::Result<Self> {
        match (args.pictures(), &args.comparator) {
            (Pictures::Tokens, model) => {
                let manifest =
                    ComparatorManifest::load(&builtin::resolve(model.as_deref().context("expected --comparator")?)?)?;
                let mut bar = LoadingBar::new();
                let options = args.runtime.options(threads(args));
                let comparator = Comparator::load_with(&manifest, &options, &mut |progress| bar.show(progress))?;
                Ok(Self::Tokens { comparator: Box::new(comparator), shape: manifest.tokens_shape() })
            }
            (_, Some(_)) => bail!("--comparator: expected --pictures tokens beside it"),
            (Pictures::Thumbnails, None) => Ok(Self::Thumbnails),
            (Pictures::None, None) => Ok(Self::Nothing),
        }
    }

    /// What the shard says of its blobs.
    pub(super) fn description(&self) -> Option<BlobDescription> {
        let (codec, producer) = match self {
            Self::Nothing => return None,
            Self::Thumbnails => (THUMBNAIL_CODEC, THUMBNAILS),
            Self::Tokens { comparator, .. } => (TOKENS_CODEC, comparator.producer()),
        };
        Some(BlobDescription { codec: codec.to_owned(), producer: producer.to_owned() })
    }

    /// What it is called in reports, and the bytes of each picture that are known beforehand; `None` of nothing.
    pub(super) fn size(&self) -> Option<(&'static str, usize)> {
        match self {
            Self::Nothing => None,
            Self::Thumbnails => Some(("thumbnails", 0)),
            Self::Tokens { shape, .. } => Some(("tokens with thumbnails", ImageTokens::stored_bytes(*shape))),
        }
    }

    /// The blob of a row with this picture.
    pub(super) fn of(&self, row: &InputRow, image: &RgbImage) -> Result<Option<Vec<u8>>, Refused> {
        if matches!(self, Self::Nothing) {
            return Ok(None);
        }
        let jpeg = thumbnail(image).map_err(|error| refuse(row, "no_thumbnail", error.to_string()))?;
        let Self::Tokens { comparator, .. } = self else { return Ok(Some(jpeg)) };
        let tokens = comparator.see(image).map_err(|error| refuse(row, "no_tokens", error.to_string()))?;
        let blob = PictureBlob { tokens: &tokens.to_bytes(), thumbnail: &jpeg }.to_bytes();
        blob.map(Some).ok_or_else(|| refuse(row, "no_tokens", "expected tokens of less than 4 GiB".to_owned()))
    }

    /// The blob of a row whose vector is there already. With a folder of pictures, its picture must be there.
    pub(super) fn beside_vector(
        &self,
        folder: Option<&Path>,
        limits: &DecodeLimits,
        row: &InputRow,
    ) -> Result<Option<Vec<u8>>, Refused> {
        match (folder, self) {
            (None, _) => Ok(None),
            (Some(folder), Self::Nothing) => missing_picture(folder, row).map_or(Ok(None), Err),
            (Some(folder), _) => self.of(row, &picture(folder, limits, row)?),
        }
    }
}
