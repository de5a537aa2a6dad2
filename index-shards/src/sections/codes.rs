//! Checking the sections `codes` and `second`; what they hold is in `layers.rs`.

use super::stream::{SectionError, SectionStream};
use crate::fault::{Fault, expect};
use crate::fields::zero;
use crate::layers::{BLOCK_SLOTS, Layers};
use std::io::Read;

/// Bytes of the section of the first layer.
pub(crate) fn length(slots: u32, layers: Layers) -> u64 {
    (u64::from(slots) / BLOCK_SLOTS as u64).saturating_mul(layers.block_bytes() as u64)
}

/// Bytes of the section of the second layer.
pub(crate) fn second_length(slots: u32, layers: Layers) -> u64 {
    u64::from(slots).saturating_mul(layers.second_bytes() as u64)
}

/// Checks the first layer: the factors of every row are finite numbers, those that are multiplied with not negative;
/// dimensions beyond the vector's are zero, and so is every byte of a slot without a row. `filled` says of each block
/// in turn how many of its slots have rows.
pub(crate) fn verify<R: Read>(
    stream: &mut SectionStream<R>,
    layers: Layers,
    filled: impl Iterator<Item = usize>,
) -> Result<(), SectionError> {
    let mut block = vec![0; layers.block_bytes()];
    for (position, filled) in filled.enumerate() {
        stream.read(&mut block)?;
        for slot in 0..filled {
            check_factors(layers, &block, position, slot)?;
        }
        check_signs(layers, &block, filled)?;
        let factors = block.get(layers.first() * BLOCK_SLOTS / 8..).unwrap_or_default();
        for column in factors.chunks(BLOCK_SLOTS * size_of::<u16>()) {
            zero("factors of a slot without a row", column.get(filled * size_of::<u16>()..).unwrap_or_default())?;
        }
    }
    Ok(())
}

fn check_factors(layers: Layers, block: &[u8], position: usize, slot: usize) -> Result<(), Fault> {
    let factors = layers.factors(block, slot);
    let weight = |factor: f32| factor.is_finite() && factor >= 0.0;
    let good = factors.add.is_finite() && weight(factors.first) && weight(factors.second);
    let found = format_args!("{factors:?} in slot {slot} of block {position}").to_string();
    expect(good, "factors", "finite numbers, weights not negative", found)
}

/// Signs are zero where there is no row, and in dimensions that the vector does not have.
fn check_signs(layers: Layers, block: &[u8], filled: usize) -> Result<(), Fault> {
    let lines = block.chunks_exact(BLOCK_SLOTS).take(layers.first() / 8);
    for (line, first) in lines.zip((0..).step_by(8)) {
        let dimensions = layers.dimensions().saturating_sub(first).min(8);
        for (byte, column) in line.iter().zip(0..) {
            let slot = column / 2 + if column % 2 == 0 { 0 } else { BLOCK_SLOTS / 2 };
            let allowed = if slot < filled { dimensions } else { 0 };
            let good = u16::from(*byte) < 1 << allowed;
            expect(good, "signs", format_args!("{allowed} bits in slot {slot}"), format_args!("{byte:#x}"))?;
        }
    }
    Ok(())
}

/// Checks the second layer: bits beyond the vector's width and the slots without rows are zero.
pub(crate) fn verify_second<R: Read>(
    stream: &mut SectionStream<R>,
    layers: Layers,
    filled: impl Iterator<Item = usize>,
) -> Result<(), SectionError> {
    let mut block = vec![0; layers.second_bytes() * BLOCK_SLOTS];
    if block.is_empty() {
        return Ok(());
    }
    let last_bits = layers.dimensions() % u64::BITS as usize;
    for filled in filled {
        stream.read(&mut block)?;
        let (rows, rest) = block.split_at_checked(filled * layers.second_bytes()).unwrap_or_default();
        zero("signs of a slot without a row", rest)?;
        for row in rows.chunks(layers.second_bytes()) {
            let last = row.last_chunk().map_or(0, |last| u64::from_le_bytes(*last));
            let good = last_bits == 0 || last >> last_bits == 0;
            expect(good, "signs", format_args!("{last_bits} bits in the last word"), format_args!("{last:#x}"))?;
        }
    }
    Ok(())
}
