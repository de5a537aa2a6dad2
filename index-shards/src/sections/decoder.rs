//! Checking the section `decoder`; what it holds is in `decoder.rs`.

use super::codes;
use super::stream::{SectionError, SectionStream};
use super::vectors::{decode, stride};
use crate::fault::expect;
use crate::fields::zero;
use crate::layers::{BLOCK_SLOTS, Layers};
use std::io::Read;

/// Checks the section of `length` bytes that `stream` reads: nothing, or all of it, with scales that are numbers.
pub(crate) fn verify<R: Read>(stream: &mut SectionStream<R>, layers: Layers, length: u64) -> Result<(), SectionError> {
    if length == 0 {
        return Ok(());
    }
    let expected = crate::decoder::length(layers);
    expect(length == expected, "length", format_args!("0 or {expected} bytes"), length)?;
    let (dimensions, stride) = (layers.dimensions(), stride(layers.dimensions()));
    let weights = layers.first() + dimensions;
    let of_probe = stride + layers.block_bytes() / BLOCK_SLOTS + layers.second_bytes();
    let probes = usize::try_from(length).unwrap_or_default().saturating_sub(weights * stride) / of_probe;
    let mut record = vec![0; stride];
    for _ in 0..weights + probes {
        stream.read(&mut record)?;
        let (scale, _) = decode(&record, dimensions).unwrap_or_default();
        expect(scale.is_finite() && scale >= 0.0, "scale", "a finite number, not negative", scale)?;
        zero("padding", record.get(size_of::<f32>() + dimensions..).unwrap_or_default())?;
    }
    let blocks = || std::iter::repeat_n(BLOCK_SLOTS, probes / BLOCK_SLOTS);
    codes::verify(stream, layers, blocks())?;
    codes::verify_second(stream, layers, blocks())
}
