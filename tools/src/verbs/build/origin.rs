//! Where the vectors of a build come from.

use anyhow::{Context, bail};
use index_shards::{PositionOf, ShardDescription};
use quantized_models::{Encoder, Manifest};

use super::args::BuildArgs;
use super::base::Bases;
use super::kept::Kept;
use super::make::threads;
use crate::npy::NpyReader;
use crate::runtime_args::LoadingBar;

/// Name of the encoder in shards whose vectors were made elsewhere.
const SUPPLIED: &str = "supplied-vectors";

/// Where the vectors come from.
pub(super) enum Origin {
    /// An encoder that looks at pictures.
    Pictures(Box<Encoder>),
    /// A matrix, of vectors of this space.
    Vectors { reader: NpyReader, space: String },
    /// There are none: only references of other shards are removed.
    Nowhere,
}

impl Origin {
    /// Opens what the arguments name.
    pub(super) fn open(args: &BuildArgs) -> anyhow::Result<Self> {
        match (&args.encoder, &args.vectors, &args.space) {
            (Some(model), ..) => {
                let mut bar = LoadingBar::new();
                let (manifest, options) = (Manifest::load(model)?, args.runtime.options(threads(args)));
                let encoder = Encoder::load_with(&manifest, &options, &mut |progress| bar.show(progress))?;
                Ok(Self::Pictures(Box::new(encoder)))
            }
            (None, Some(path), Some(space)) => {
                Ok(Self::Vectors { reader: NpyReader::open(path)?, space: space.clone() })
            }
            (None, None, None) if args.remove.is_some() && args.images.is_none() && args.poses.is_none() => {
                Ok(Self::Nowhere)
            }
            _ => bail!("expected --encoder with --images, --vectors with --poses and --space, or --remove alone"),
        }
    }

    /// What the new shard says about itself.
    ///
    /// # Errors
    /// A shard that is to be replaced in part is of another space.
    pub(super) fn description(
        &self,
        (args, kept): (&BuildArgs, &Kept),
        bases: &Bases,
        position_of: PositionOf,
        created_at_ms: i64,
    ) -> anyhow::Result<ShardDescription> {
        let (space, dimensions, encoder, encoder_sha256) = match self {
            Self::Pictures(encoder) => (
                encoder.space().to_string(),
                encoder.dimensions(),
                encoder.name().to_owned(),
                Some(encoder.digest().to_owned()),
            ),
            Self::Vectors { reader, space } => (space.clone(), reader.columns(), SUPPLIED.to_owned(), None),
            Self::Nowhere => {
                let base = bases.first().context("expected --replaces")?.description();
                let (licence, attribution) = (args.licence.clone(), args.attribution.clone());
                let description = ShardDescription { licence, attribution, created_at_ms, ..base.clone() };
                return bases.check(&args.out, &description).map(|()| description);
            }
        };
        let description = ShardDescription {
            space,
            dimensions,
            encoder,
            encoder_sha256,
            position_of,
            licence: args.licence.clone(),
            attribution: args.attribution.clone(),
            created_at_ms,
            blobs: kept.description(),
        };
        bases.check(&args.out, &description).map(|()| description)
    }
}
