//! What a vision encoder makes of a picture, in memory and as it is stored.
//!
//! Stored, each number is 8 bits with a scale for each token. Little-endian:
//!
//! | offset | type | content |
//! |---|---|---|
//! | 0 | 4 bytes | `GLT1` |
//! | 4 | u32 | tokens |
//! | 8 | u32 | numbers of a token, width |
//! | 12 | f32 \[tokens\] | scale of each token, finite, not negative |
//! | 12 + 4 tokens | i8 \[tokens, width\] | numbers, -127 to 127; times the scale |

use std::sync::Arc;

use super::error::TokensError;

const MAGIC: [u8; 4] = *b"GLT1";
const HEAD_BYTES: usize = 12;
/// The largest of the 8-bit numbers.
const LEVELS: f32 = 127.0;

/// What the vision encoder of a comparator made of one picture. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageTokens {
    producer: Arc<str>,
    tokens: usize,
    width: usize,
    numbers: Arc<[f32]>,
}

impl ImageTokens {
    /// `numbers` are finite, `width` of them for each token.
    pub(super) fn new(producer: Arc<str>, width: usize, numbers: Vec<f32>) -> Self {
        Self { producer, tokens: numbers.len().checked_div(width).unwrap_or(0), width, numbers: numbers.into() }
    }

    /// Which comparator they are of: [`Comparator::producer`](crate::Comparator::producer).
    #[must_use]
    pub fn producer(&self) -> &str {
        &self.producer
    }

    /// How many tokens there are.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Numbers of each.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The numbers, token after token.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.numbers
    }

    /// Bytes of the stored form of so many tokens of so many numbers.
    #[must_use]
    pub fn stored_bytes([tokens, width]: [usize; 2]) -> usize {
        tokens.saturating_mul(width.saturating_add(size_of::<f32>())).saturating_add(HEAD_BYTES)
    }

    /// The stored form. The producer is not in it: whoever stores tokens stores that beside them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::stored_bytes([self.tokens, self.width]));
        bytes.extend(MAGIC);
        for size in [self.tokens, self.width] {
            bytes.extend(u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
        }
        let rows = || self.numbers.chunks_exact(self.width.max(1));
        bytes.extend(rows().flat_map(|row| scale(row).to_le_bytes()));
        for row in rows() {
            let scale = scale(row);
            let level = |number: &f32| if scale > 0.0 { (number / scale).round().clamp(-LEVELS, LEVELS) } else { 0.0 };
            bytes.extend(row.iter().flat_map(|number| (level(number) as i8).to_le_bytes()));
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote of tokens of `producer`.
    ///
    /// # Errors
    /// [`TokensError`]: other bytes than that, or of another length than they state.
    pub fn from_bytes(producer: &str, bytes: &[u8]) -> Result<Self, TokensError> {
        let form = |expected: String, found: String| TokensError::Form { expected, found };
        let Some((head, rest)) = bytes.split_at_checked(HEAD_BYTES) else {
            return Err(form(format!("at least {HEAD_BYTES} bytes"), bytes.len().to_string()));
        };
        let [magic, sizes @ ..] = head.as_chunks::<4>().0 else {
            return Err(form("a head".to_owned(), "none".to_owned()));
        };
        if *magic != MAGIC {
            return Err(form(format!("the mark {MAGIC:02x?}"), format!("{magic:02x?}")));
        }
        let mut sizes = sizes.iter().map(|&size| u32::from_le_bytes(size) as usize);
        let shape = [sizes.next().unwrap_or(0), sizes.next().unwrap_or(0)];
        let [tokens, width] = shape;
        let expected = Self::stored_bytes(shape);
        if tokens == 0 || width == 0 || bytes.len() != expected {
            let found = format!("{} bytes", bytes.len());
            return Err(form(
                format!("{expected} bytes for {tokens} tokens of {width} numbers, at least 1 of 1"),
                found,
            ));
        }
        let (scales, levels) = rest.split_at_checked(tokens * size_of::<f32>()).unwrap_or((rest, &[]));
        let scales: Vec<f32> = scales.as_chunks::<4>().0.iter().map(|&scale| f32::from_le_bytes(scale)).collect();
        if let Some(scale) = scales.iter().find(|scale| !(scale.is_finite() && **scale >= 0.0)) {
            return Err(form("scales that are finite and not negative".to_owned(), scale.to_string()));
        }
        let rows = scales.iter().zip(levels.chunks_exact(width));
        let numbers =
            rows.flat_map(|(scale, row)| row.iter().map(move |&level| f32::from(level.cast_signed()) * scale));
        Ok(Self::new(producer.into(), width, numbers.collect()))
    }

    /// The same tokens as they come back from where they are stored, so that an answer does not depend on whether
    /// they were.
    #[must_use]
    pub fn as_stored(&self) -> Self {
        Self::from_bytes(&self.producer, &self.to_bytes()).unwrap_or_else(|_| self.clone())
    }
}

/// What 1 of the 8-bit numbers of a token counts for.
fn scale(row: &[f32]) -> f32 {
    row.iter().fold(0.0_f32, |most, number| most.max(number.abs())) / LEVELS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> ImageTokens {
        ImageTokens::new("vlm@0123456789ab".into(), 3, vec![1.0, -2.0, 0.5, 0.0, 0.0, 0.0, 1e-3, 127.0, -127.0])
    }

    #[test]
    fn tokens_are_read_as_they_were_written() {
        let bytes = tokens().to_bytes();
        assert_eq!(bytes.len(), ImageTokens::stored_bytes([3, 3]));
        assert_eq!(bytes.get(..12), Some(b"GLT1\x03\0\0\0\x03\0\0\0".as_slice()));
        assert_eq!(bytes.get(24..), Some([64, 129, 32, 0, 0, 0, 0, 127, 129].as_slice()));
        let read = ImageTokens::from_bytes("vlm@0123456789ab", &bytes).unwrap();
        assert_eq!((read.tokens(), read.width(), read.producer()), (3, 3, "vlm@0123456789ab"));
        for (read, written) in read.as_slice().iter().zip(tokens().as_slice()) {
            assert!((read - written).abs() <= 0.5 + 1e-6, "{read} {written}");
        }
        assert_eq!(read.as_stored(), read, "a second time nothing changes");
        assert_eq!(read.to_bytes(), bytes);
    }

    #[test]
    fn other_bytes_are_refused_by_name() {
        let good = tokens().to_bytes();
        let cut = good.get(..good.len() - 1).unwrap().to_vec();
        let mut huge = good.clone();
        huge.get_mut(4..8).unwrap().fill(0xff);
        let mut infinite = good.clone();
        infinite.get_mut(12..16).unwrap().copy_from_slice(&f32::INFINITY.to_le_bytes());
        let mut none = good.get(..12).unwrap().to_vec();
        none.get_mut(4..12).unwrap().fill(0);
        for (bytes, said) in [
            (Vec::new(), "at least 12 bytes, found 0"),
            (b"GLT2\x01\0\0\0\x01\0\0\0".to_vec(), "the mark"),
            (cut, "33 bytes for 3 tokens of 3 numbers, at least 1 of 1, found 32 bytes"),
            (huge, "tokens of 3 numbers"),
            (none, "12 bytes for 0 tokens of 0 numbers"),
            (infinite, "scales that are finite and not negative, found inf"),
        ] {
            let error = ImageTokens::from_bytes("vlm", &bytes).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
