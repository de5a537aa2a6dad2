//! The section of vectors: what the exact scores come from.
//!
//! With `D` dimensions, one record per row, of `4 + D` bytes filled up with zeros to a multiple of 4:
//!
//! | offset in the record | type | what |
//! |---|---|---|
//! | 0 | f32 | scale: one over the length of the bytes, so that the stored vector has unit length within 1e-3 |
//! | 4 | i8 × D | the vector under the shard's rotation, divided by the scale |

use super::stream::{SectionError, SectionStream, in_row};
use crate::fault::{Fault, expect};
use crate::fields::zero;
use crate::row::scale_of;
use std::io::Read;

/// Widest embedding.
pub const MAX_DIMENSIONS: usize = 65_536;
/// How far from 1 the length of an embedding may be.
pub const UNIT_TOLERANCE: f64 = 1e-3;
/// Bytes of a record's scale.
const SCALE_BYTES: usize = size_of::<f32>();

/// Bytes of a record; `dimensions` is at most [`MAX_DIMENSIONS`].
pub(crate) fn stride(dimensions: usize) -> usize {
    (SCALE_BYTES + dimensions).next_multiple_of(SCALE_BYTES)
}

/// Bytes of the section.
pub(crate) fn length(rows: u32, dimensions: usize) -> Option<u64> {
    u64::from(rows).checked_mul(u64::try_from(stride(dimensions)).ok()?)
}

/// Checks that every component is finite and that the length is 1 within [`UNIT_TOLERANCE`].
pub(crate) fn check(embedding: &[f32]) -> Result<(), Fault> {
    if let Some((at, component)) = embedding.iter().enumerate().find(|(_, component)| !component.is_finite()) {
        return Err(Fault::new("embedding", "finite components", format_args!("{component} at position {at}")));
    }
    let norm = embedding.iter().map(|component| f64::from(*component).powi(2)).sum::<f64>().sqrt();
    let good = (norm - 1.0).abs() <= UNIT_TOLERANCE;
    expect(good, "embedding", format_args!("unit length within {UNIT_TOLERANCE}"), format_args!("length {norm:.6}"))
}

/// Puts a record together in `record`, which is emptied first.
pub(crate) fn encode(scale: f32, bytes: &[u8], record: &mut Vec<u8>) {
    record.clear();
    record.extend(scale.to_le_bytes());
    record.extend(bytes);
    record.resize(stride(bytes.len()), 0);
}

/// Scale and bytes of a record; `None` where it is too short.
pub(crate) fn decode(record: &[u8], dimensions: usize) -> Option<(f32, &[u8])> {
    let (scale, rest) = record.split_first_chunk()?;
    Some((f32::from_le_bytes(*scale), rest.get(..dimensions)?))
}

/// Checks that a scale gives its bytes unit length within [`UNIT_TOLERANCE`].
pub(crate) fn check_scale(scale: f32, bytes: &[u8]) -> Result<(), Fault> {
    let expected = f64::from(scale_of(bytes.iter().map(|byte| byte.cast_signed())));
    let good = expected > 0.0 && (f64::from(scale) / expected - 1.0).abs() <= UNIT_TOLERANCE;
    expect(good, "scale", format_args!("{expected} by the length of its bytes, more than 0"), scale)
}

/// The section as it is mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    section: &'a [u8],
    dimensions: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(section: &'a [u8], dimensions: usize) -> Self {
        Self { section, dimensions }
    }

    /// Scale and bytes of `row`, unchecked; `None` beyond the section.
    pub(crate) fn get(&self, row: u32) -> Option<(f32, &'a [u8])> {
        let start = usize::try_from(row).ok()?.checked_mul(stride(self.dimensions))?;
        decode(self.section.get(start..)?, self.dimensions)
    }
}

/// Checks every row of the section that `stream` reads.
pub(crate) fn verify<R: Read>(stream: &mut SectionStream<R>, rows: u32, dimensions: usize) -> Result<(), SectionError> {
    let mut record = vec![0; stride(dimensions)];
    for row in 0..rows {
        stream.read(&mut record)?;
        let (scale, bytes) = decode(&record, dimensions).unwrap_or_default();
        check_scale(scale, bytes).map_err(in_row(row))?;
        zero("padding", record.get(SCALE_BYTES + dimensions..).unwrap_or_default()).map_err(in_row(row))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(embedding: &[f32]) -> Option<String> {
        check(embedding).err().map(|fault| fault.to_string())
    }

    #[test]
    fn unit_vectors_pass_within_the_tolerance() {
        assert_eq!(refusal(&[0.6, 0.8]), None);
        assert_eq!(refusal(&[1.0009]), None);
    }

    #[test]
    fn nan_infinite_zero_and_long_vectors_are_refused() {
        assert!(refusal(&[0.0, f32::NAN]).unwrap().contains("NaN at position 1"));
        assert!(refusal(&[f32::NEG_INFINITY, 0.0]).unwrap().contains("-inf at position 0"));
        assert!(refusal(&[0.0, 0.0]).unwrap().contains("length 0.000000"));
        assert!(refusal(&[1.0, 1.0]).unwrap().contains("length 1.414214"));
        assert!(refusal(&[f32::MAX, f32::MAX]).is_some());
        assert!(refusal(&[]).is_some());
    }

    #[test]
    fn scales_that_do_not_give_unit_length_are_refused() {
        let bytes = [127, 0, 256_u16.wrapping_sub(127) as u8];
        let good = scale_of([127, 0, -127].into_iter());
        assert_eq!(check_scale(good, &bytes), Ok(()));
        for bad in [0.0, -good, good * 1.002, f32::NAN, f32::INFINITY] {
            assert!(check_scale(bad, &bytes).is_err(), "{bad}");
        }
        assert!(check_scale(0.0, &[0, 0]).is_err());
        assert!(check_scale(f32::NAN, &[]).is_err());
    }

    #[test]
    fn records_come_back_and_a_section_that_is_too_short_ends_early() {
        let (mut record, mut section) = (Vec::new(), Vec::new());
        for scale in [0.5, 0.25] {
            encode(scale, &[1, 2, 255], &mut record);
            assert_eq!(record.len(), 8);
            section.extend_from_slice(&record);
        }
        let rows = Rows::new(&section, 3);
        assert_eq!(rows.get(1), Some((0.25, [1, 2, 255].as_slice())));
        assert_eq!(rows.get(2), None);
        assert_eq!(rows.get(u32::MAX), None);
        assert_eq!(Rows::new(&section[..14], 3).get(1), None);
    }

    #[test]
    fn lengths_are_whole_words() {
        assert_eq!((stride(1), stride(4), stride(5), stride(768)), (8, 8, 12, 772));
        assert_eq!(length(3, 4), Some(24));
        assert!(length(u32::MAX, MAX_DIMENSIONS).is_some());
    }
}
