//! What a shard says about itself, as the header carries it.

use crate::fault::{Fault, expect};
use crate::sections::vectors::MAX_DIMENSIONS;
use serde::{Deserialize, Serialize};

/// Longest `space`, `encoder`, in bytes.
const MAX_IDENTIFIER_BYTES: usize = 256;

/// What a reference's coordinates are the position of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionOf {
    /// The camera that took the picture.
    Camera,
    /// The centre of the ground that the picture shows.
    FootprintCentre,
}

/// What the blobs of a shard are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobDescription {
    /// How they are encoded, for example `jpeg`. 1 to 256 bytes.
    pub codec: String,
    /// What made them, so that only the same reads them: the name and digest of a model, for example. 1 to 256 bytes.
    pub producer: String,
}

/// What a shard says about itself. It is written into the header and must fit there
/// ([`MAX_DESCRIPTION_BYTES`](crate::MAX_DESCRIPTION_BYTES) as TOML).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardDescription {
    /// Name of the embedding space; only vectors of the same space may be compared. 1 to 256 bytes.
    pub space: String,
    /// Width of an embedding, 1 to [`MAX_DIMENSIONS`](crate::MAX_DIMENSIONS).
    pub dimensions: usize,
    /// Name of the model variant that wrote the embeddings. 1 to 256 bytes.
    pub encoder: String,
    /// SHA-256 of that variant's graph, 64 lower-case hexadecimal digits; `None` for embeddings brought from elsewhere.
    pub encoder_sha256: Option<String>,
    /// What the coordinates are the position of.
    pub position_of: PositionOf,
    /// Licence of the reference imagery; may be empty.
    pub licence: String,
    /// Whom the licence asks to be named; may be empty.
    pub attribution: String,
    /// When the shard was made, Unix milliseconds UTC.
    pub created_at_ms: i64,
    /// What the blobs of its rows are; `None` when rows have none.
    pub blobs: Option<BlobDescription>,
}

/// The part of the description that is stored as TOML; the width is a fixed field of the header.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    space: String,
    encoder: String,
    encoder_sha256: Option<String>,
    position_of: PositionOf,
    licence: String,
    attribution: String,
    created_at_ms: i64,
    blobs: Option<BlobDescription>,
}

impl ShardDescription {
    /// Checks every field.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let width = 1..=MAX_DIMENSIONS;
        expect(width.contains(&self.dimensions), "dimensions", format_args!("1 to {MAX_DIMENSIONS}"), self.dimensions)?;
        let blobs = self.blobs.iter().flat_map(|it| [("blobs.codec", &it.codec), ("blobs.producer", &it.producer)]);
        for (field, text) in [("space", &self.space), ("encoder", &self.encoder)].into_iter().chain(blobs) {
            let good = (1..=MAX_IDENTIFIER_BYTES).contains(&text.len()) && !text.contains(char::is_control);
            let expected = format_args!("1 to {MAX_IDENTIFIER_BYTES} bytes of text without control characters");
            expect(good, field, expected, format_args!("{text:?}"))?;
        }
        if let Some(digest) = &self.encoder_sha256 {
            let good = digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            expect(good, "encoder_sha256", "64 lower-case hexadecimal digits", format_args!("{digest:?}"))?;
        }
        Ok(())
    }

    /// All but the width, as TOML.
    pub(crate) fn to_toml(&self) -> Result<String, Fault> {
        let stored = Stored {
            space: self.space.clone(),
            encoder: self.encoder.clone(),
            encoder_sha256: self.encoder_sha256.clone(),
            position_of: self.position_of,
            licence: self.licence.clone(),
            attribution: self.attribution.clone(),
            created_at_ms: self.created_at_ms,
            blobs: self.blobs.clone(),
        };
        toml::to_string(&stored).map_err(|error| Fault::new("description", "what TOML can express", error))
    }

    /// Reads what [`to_toml`](Self::to_toml) wrote and checks it.
    pub(crate) fn from_toml(dimensions: usize, bytes: &[u8]) -> Result<Self, Fault> {
        let text = str::from_utf8(bytes).map_err(|error| Fault::new("description", "UTF-8", error))?;
        let stored: Stored = toml::from_str(text)
            .map_err(|error| Fault::new("description", "TOML with the fields of this format", error.message()))?;
        let description = Self {
            space: stored.space,
            dimensions,
            encoder: stored.encoder,
            encoder_sha256: stored.encoder_sha256,
            position_of: stored.position_of,
            licence: stored.licence,
            attribution: stored.attribution,
            created_at_ms: stored.created_at_ms,
            blobs: stored.blobs,
        };
        description.check().map(|()| description)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> ShardDescription {
        ShardDescription {
            space: "space".into(),
            dimensions: 4,
            encoder: "encoder".into(),
            encoder_sha256: None,
            position_of: PositionOf::Camera,
            licence: "CC0-1.0".into(),
            attribution: "someone".into(),
            created_at_ms: 7,
            blobs: None,
        }
    }

    #[test]
    fn refuses_fields_by_name() {
        type Spoil = fn(&mut ShardDescription);
        let cases: [(&str, Spoil); 8] = [
            ("dimensions", |d| d.dimensions = 0),
            ("dimensions", |d| d.dimensions = MAX_DIMENSIONS + 1),
            ("blobs.codec", |d| d.blobs = Some(BlobDescription { codec: String::new(), producer: "p".into() })),
            ("space", |d| d.space.clear()),
            ("space", |d| d.space = "a\nb".into()),
            ("encoder", |d| d.encoder = "e".repeat(257)),
            ("encoder_sha256", |d| d.encoder_sha256 = Some("ABCD".into())),
            ("encoder_sha256", |d| d.encoder_sha256 = Some("G".repeat(64))),
        ];
        assert_eq!(description().check(), Ok(()));
        for (field, spoil) in cases {
            let mut spoilt = description();
            spoil(&mut spoilt);
            assert_eq!(spoilt.check().unwrap_err().field, field);
        }
    }

    #[test]
    fn survives_toml_with_quotes_newlines_and_unicode() {
        let mut full = description();
        full.attribution = "\"Müller\" & 'Söhne'\n© OpenStreetMap\u{7}".into();
        full.encoder_sha256 = Some("0f".repeat(32));
        full.blobs = Some(BlobDescription { codec: "jpeg".into(), producer: "\"x\" [y]".into() });
        let toml = full.to_toml().unwrap();
        assert_eq!(ShardDescription::from_toml(4, toml.as_bytes()), Ok(full));
    }

    #[test]
    fn refuses_unknown_and_missing_fields() {
        let toml = description().to_toml().unwrap();
        let unknown = format!("{toml}surprise = 1\n");
        assert!(ShardDescription::from_toml(4, unknown.as_bytes()).unwrap_err().found.contains("surprise"));
        let missing = toml.replace("licence", "license");
        assert!(ShardDescription::from_toml(4, missing.as_bytes()).is_err());
        assert!(ShardDescription::from_toml(4, b"\xff").is_err());
    }
}
