//! What a shard keeps of a reference's picture for comparisons: vision tokens of one comparator, and a thumbnail.
//!
//! A shard built with `--pictures thumbnails` has blobs that are JPEGs (codec `jpeg`). One built with `--pictures tokens`
//! has blobs of codec `vision-tokens+jpeg`, whose producer is the comparator that made the tokens:
//!
//! | offset | type | what |
//! |---|---|---|
//! | 0 | u32, little-endian | `n`, bytes of the tokens |
//! | 4 | bytes | `n` bytes of tokens, as the comparator writes them |
//! | `4 + n` | bytes | the thumbnail, a JPEG, up to the end; may be empty |
//!
//! Another comparator than the producer cannot use the tokens; it has the thumbnail to look at.

use index_shards::{ReadError, Shard};

/// Codec of blobs that are thumbnails.
pub const THUMBNAIL_CODEC: &str = "jpeg";
/// Codec of blobs with vision tokens.
pub const TOKENS_CODEC: &str = "vision-tokens+jpeg";

/// What is kept of one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PictureBlob<'a> {
    /// Vision tokens; empty without.
    pub tokens: &'a [u8],
    /// A small JPEG; empty without.
    pub thumbnail: &'a [u8],
}

impl<'a> PictureBlob<'a> {
    /// The blob as it lies in a shard of codec [`TOKENS_CODEC`]; `None` where the tokens take 4 GiB or more.
    pub fn to_bytes(self) -> Option<Vec<u8>> {
        let length = u32::try_from(self.tokens.len()).ok()?;
        Some([&length.to_le_bytes(), self.tokens, self.thumbnail].concat())
    }

    /// Reads what [`PictureBlob::to_bytes`] wrote; `None` where it is cut.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (tokens, thumbnail) = rest.split_at_checked(length)?;
        Some(Self { tokens, thumbnail })
    }

    /// What `shard` keeps of the picture of `row`; `None` where it keeps nothing that is known here. Tokens of another
    /// producer than `producer` are left out.
    ///
    /// # Errors
    /// There is no such row, or the shard is damaged there or was cut.
    pub fn of_row(shard: &'a Shard, row: u32, producer: &str) -> Result<Option<Self>, ReadError> {
        let Some(description) = &shard.description().blobs else { return Ok(None) };
        let Some(bytes) = shard.blob(row)? else { return Ok(None) };
        Ok(match description.codec.as_str() {
            THUMBNAIL_CODEC => Some(Self { tokens: &[], thumbnail: bytes }),
            TOKENS_CODEC => Self::from_bytes(bytes).map(|blob| {
                let tokens = if description.producer == producer { blob.tokens } else { &[] };
                Self { tokens, ..blob }
            }),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_table() {
        let blob = PictureBlob { tokens: b"ab", thumbnail: b"jpeg" };
        let bytes = blob.to_bytes().unwrap();
        assert_eq!(bytes, b"\x02\0\0\0abjpeg");
        assert_eq!(PictureBlob::from_bytes(&bytes), Some(blob));
    }

    #[test]
    fn a_blob_that_is_cut_is_none() {
        for cut in [&b""[..], b"\x02\0\0", b"\x02\0\0\0a", b"\xff\xff\xff\xffab"] {
            assert_eq!(PictureBlob::from_bytes(cut), None, "{cut:?}");
        }
        assert_eq!(PictureBlob::from_bytes(b"\0\0\0\0"), Some(PictureBlob::default()));
    }
}
