//! The section of embeddings.
//!
//! | offset | type | what |
//! |---|---|---|
//! | `4 * dimensions * row` | f32 × dimensions | the embedding of `row`: finite, of unit length within 1e-3 |

use super::{SectionError, SectionSink, SectionStream, in_row};
use crate::fault::{Fault, expect};
use std::io::{self, Read, Write};
use std::ops::Range;

/// Widest embedding.
pub const MAX_DIMENSIONS: usize = 65_536;
/// How far from 1 the length of an embedding may be.
pub const UNIT_TOLERANCE: f64 = 1e-3;
/// Sums that a dot product is kept in side by side, so that it becomes vector instructions.
const LANES: usize = 16;
/// One f32 as it lies in the file.
type Lane = [u8; size_of::<f32>()];

/// Bytes of the section; `None` beyond 64 bits.
pub(crate) fn length(rows: u32, dimensions: usize) -> Option<u64> {
    u64::from(rows).checked_mul(u64::try_from(dimensions).ok()?)?.checked_mul(size_of::<Lane>() as u64)
}

/// Checks that every component is finite and that the length is 1 within [`UNIT_TOLERANCE`].
pub(crate) fn check(embedding: impl Iterator<Item = f32> + Clone) -> Result<(), Fault> {
    if let Some((at, component)) = embedding.clone().enumerate().find(|(_, component)| !component.is_finite()) {
        return Err(Fault::new("embedding", "finite components", format_args!("{component} at position {at}")));
    }
    let norm = norm(embedding);
    let good = (norm - 1.0).abs() <= UNIT_TOLERANCE;
    expect(good, "embedding", format_args!("unit length within {UNIT_TOLERANCE}"), format_args!("length {norm:.6}"))
}

/// Euclidean length.
pub(crate) fn norm(embedding: impl Iterator<Item = f32>) -> f64 {
    embedding.map(|component| f64::from(component).powi(2)).sum::<f64>().sqrt()
}

/// Appends one row.
pub(crate) fn write_row(
    sink: &mut SectionSink,
    out: &mut impl Write,
    scratch: &mut Vec<u8>,
    row: &[f32],
) -> io::Result<()> {
    scratch.clear();
    scratch.extend(row.iter().flat_map(|component| component.to_le_bytes()));
    sink.write(out, scratch)
}

/// The section as it is mapped.
#[derive(Clone, Copy)]
pub(crate) struct Vectors<'a> {
    lanes: &'a [Lane],
    dimensions: usize,
}

impl<'a> Vectors<'a> {
    pub(crate) fn new(section: &'a [u8], dimensions: usize) -> Self {
        Self { lanes: section.as_chunks().0, dimensions }
    }

    /// The dot product of `query` with each of `rows`. Ends early where the section does. The same on every CPU: sums
    /// are taken in a fixed order, without fused operations.
    pub(crate) fn dots(&self, query: &[f32], rows: Range<u32>) -> impl Iterator<Item = f32> {
        let start = (rows.start as usize).saturating_mul(self.dimensions);
        let end = (rows.end as usize).saturating_mul(self.dimensions).min(self.lanes.len());
        let lanes = self.lanes.get(start..end).unwrap_or_default();
        lanes.chunks_exact(self.dimensions.max(1)).map(|row| dot(query, row))
    }
}

/// Dot product in [`LANES`] running sums.
fn dot(query: &[f32], row: &[Lane]) -> f32 {
    let (query_blocks, query_rest) = query.as_chunks::<LANES>();
    let (row_blocks, row_rest) = row.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (query_block, row_block) in query_blocks.iter().zip(row_blocks) {
        for ((sum, component), lane) in sums.iter_mut().zip(query_block).zip(row_block) {
            *sum += component * f32::from_le_bytes(*lane);
        }
    }
    let rest: f32 =
        query_rest.iter().zip(row_rest).map(|(component, lane)| component * f32::from_le_bytes(*lane)).sum();
    sums.iter().sum::<f32>() + rest
}

/// Checks every row of the section that `stream` reads.
pub(crate) fn verify<R: Read>(stream: &mut SectionStream<R>, rows: u32, dimensions: usize) -> Result<(), SectionError> {
    let mut buffer = vec![Lane::default(); dimensions];
    for row in 0..rows {
        stream.read(buffer.as_flattened_mut())?;
        check(buffer.iter().map(|lane| f32::from_le_bytes(*lane))).map_err(in_row(row))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(embedding: &[f32]) -> Option<String> {
        check(embedding.iter().copied()).err().map(|fault| fault.to_string())
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
    fn a_section_that_is_too_short_ends_early() {
        let bytes = [1.0_f32, 0.0, 0.5].map(f32::to_le_bytes);
        let vectors = Vectors::new(bytes.as_flattened(), 2);
        assert_eq!(vectors.dots(&[1.0, 0.0], 0..9).collect::<Vec<_>>(), [1.0]);
        assert_eq!(vectors.dots(&[1.0, 0.0], 7..9).count(), 0);
    }

    #[test]
    fn lengths_are_checked() {
        assert_eq!(length(3, 4), Some(48));
        assert_eq!(length(u32::MAX, usize::MAX), None);
    }

    proptest! {
        #![proptest_config(crate::deterministic())]

        #[test]
        fn dot_is_near_the_sum_in_double_precision(
            pairs in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 1..100),
        ) {
            let (query, row): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let lanes: Vec<Lane> = row.iter().map(|component| component.to_le_bytes()).collect();
            let exact: f64 = query.iter().zip(&row).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            prop_assert!((f64::from(dot(&query, &lanes)) - exact).abs() < 1e-5);
        }
    }
}
