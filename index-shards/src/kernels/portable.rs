//! The kernels in plain Rust: what the others have to give, bit by bit.

use super::{
    BLOCK_SLOTS, Block, DOT_CHUNK, FACTOR_BYTES, Kernel, Kernels, LINE_BYTES, ScanParams, TILE, TileQueries, TileRows,
    Visit, tile_chunks,
};
use std::array;
use std::iter::zip;

/// Runs everywhere.
pub(super) static KERNELS: Kernels = Kernels { kernel: Kernel::Portable, scan_blocks, masked_sum, dot_i8, dot_tile };

fn scan_blocks(
    bytes: &[u8],
    block_bytes: usize,
    lut: &[[u8; 16]],
    params: &ScanParams,
    visit: &mut Visit<'_>,
) -> usize {
    let mut params = *params;
    let mut scanned = 0;
    for block in Block::all(bytes, block_bytes, lut) {
        let acc = sums(&block, lut);
        let (near, far) = masks(&block, &acc, &params);
        if near | far != 0 {
            (params.near_cut, params.far_cut) = visit(scanned, &acc, near, far);
        }
        scanned += 1;
    }
    scanned
}

/// Each slot's sum of table bytes: of four groups in 8 bits, of those sums in 16.
fn sums(block: &Block<'_>, lut: &[[u8; 16]]) -> [u16; BLOCK_SLOTS] {
    let mut acc = [0_u16; BLOCK_SLOTS];
    for (lines, tables) in zip(block.lines.chunks(2), lut.chunks(4)) {
        let mut bytes = [0_u8; LINE_BYTES];
        for (line, tables) in zip(lines, tables.as_chunks().0) {
            add_line(&mut bytes, line, tables);
        }
        let (even, odd) = acc.split_at_mut(BLOCK_SLOTS / 2);
        for ((even, odd), [low, high]) in even.iter_mut().zip(odd).zip(bytes.as_chunks().0) {
            *even = even.wrapping_add(u16::from(*low));
            *odd = odd.wrapping_add(u16::from(*high));
        }
    }
    acc
}

/// Adds the table bytes of the two groups of a line to the sum of each byte.
fn add_line(sums: &mut [u8; LINE_BYTES], line: &[u8; LINE_BYTES], [low, high]: &[[u8; 16]; 2]) {
    let entry = |table: &[u8; 16], nibble: u8| table.get(usize::from(nibble)).copied().unwrap_or_default();
    for (sum, byte) in zip(sums, line) {
        *sum = sum.wrapping_add(entry(low, byte & 0x0f)).wrapping_add(entry(high, byte >> 4));
    }
}

/// The slots that are near and those that are far, slot i in bit i.
fn masks(block: &Block<'_>, acc: &[u16; BLOCK_SLOTS], params: &ScanParams) -> (u64, u64) {
    let (add, w0) = (floats(block.add), floats(block.w0));
    let (mut near, mut far) = (0, 0);
    for (slot, ((acc, add), w0)) in acc.iter().zip(add).zip(w0).enumerate() {
        let f = f32::from(*acc) * params.a + params.b;
        let t = params.base + add;
        near |= u64::from(t + w0 * (f + params.s) >= params.near_cut) << slot;
        far |= u64::from(t + w0 * (f - params.s) <= params.far_cut) << slot;
    }
    (near, far)
}

/// A block's bf16 as f32.
fn floats(factors: &[u8; FACTOR_BYTES]) -> [f32; BLOCK_SLOTS] {
    let mut pairs = factors.as_chunks().0.iter();
    array::from_fn(|_| pairs.next().map_or(0.0, |[low, high]| f32::from_le_bytes([0, 0, *low, *high])))
}

fn masked_sum(bits: &[u64], flip: &[u64], weights: &[u8]) -> u32 {
    let mut sum = 0_u32;
    for ((bits, flip), weights) in zip(bits, flip).zip(weights.as_chunks::<64>().0) {
        let chosen = bits ^ flip;
        for (bit, weight) in weights.iter().enumerate() {
            let keep = u8::from(chosen >> bit & 1 != 0).wrapping_neg();
            sum = sum.wrapping_add(u32::from(weight & keep));
        }
    }
    sum
}

fn dot_i8(query: &[i16], row: &[u8]) -> i64 {
    let mut dot = 0;
    for (query, row) in zip(query.chunks(DOT_CHUNK), row.chunks(DOT_CHUNK)) {
        let products = zip(query, row).map(|(query, row)| i32::from(*query) * i32::from(row.cast_signed()));
        dot += i64::from(products.fold(0, i32::wrapping_add));
    }
    dot
}

fn dot_tile(queries: &TileQueries<'_>, rows: &TileRows<'_>) -> [[i64; TILE]; TILE] {
    let mut dots = [[0; TILE]; TILE];
    for (queries, rows) in tile_chunks(queries, rows) {
        for (dots, query) in zip(&mut dots, queries) {
            zip(dots, rows).for_each(|(dot, row)| *dot += dot_i8(query, row));
        }
    }
    dots
}

#[cfg(test)]
mod tests {
    use super::super::{block_bytes, tests::Numbers};
    use super::*;

    /// What a block says, slot by slot.
    struct Slot {
        signs: Vec<bool>,
        add: f32,
        w0: f32,
    }

    fn slots(numbers: &mut Numbers, dimensions: usize) -> Vec<Slot> {
        let bf16 = |bits: u16| f32::from_bits(u32::from(bits) << 16);
        let slot = |_| Slot {
            signs: (0..dimensions).map(|_| numbers.below(2) == 1).collect(),
            add: bf16(numbers.next() as u16),
            w0: bf16(numbers.next() as u16),
        };
        (0..BLOCK_SLOTS).map(slot).collect()
    }

    /// Writes a block as the table in the parent's documentation says.
    fn block(slots: &[Slot]) -> Vec<u8> {
        let groups = slots[0].signs.len() / 4;
        let mut block = vec![0; block_bytes(groups)];
        for (index, slot) in slots.iter().enumerate() {
            let position = if index < 32 { 2 * index } else { 2 * (index - 32) + 1 };
            for (dimension, _) in slot.signs.iter().enumerate().filter(|(_, sign)| **sign) {
                let group = dimension / 4;
                block[group / 2 * 64 + position] |= 1 << (group % 2 * 4 + dimension % 4);
            }
            for (offset, factor) in [(32 * groups, slot.add), (32 * groups + 128, slot.w0)] {
                block[offset + 2 * index..][..2].copy_from_slice(&factor.to_le_bytes()[2..]);
            }
        }
        block
    }

    fn naive_sum(slot: &Slot, lut: &[[u8; 16]]) -> u16 {
        let nibble = |signs: &[bool]| signs.iter().rev().fold(0, |nibble, sign| nibble << 1 | usize::from(*sign));
        slot.signs.chunks(4).zip(lut).map(|(signs, table)| u16::from(table[nibble(signs)])).sum()
    }

    #[test]
    fn a_block_is_read_as_its_table_says() {
        let mut numbers = Numbers(1);
        for dimensions in [8, 16, 24, 256, 264, 1024, 4096] {
            let slots = slots(&mut numbers, dimensions);
            let lut: Vec<_> = (0..dimensions / 4).map(|_| array::from_fn(|_| numbers.below(64) as u8)).collect();
            let params = ScanParams { base: 0.5, a: 1e-3, b: -0.25, s: 0.1, near_cut: 1.0, far_cut: -1.0 };
            let mut visits = 0;
            let bytes = block(&slots);
            let scanned = scan_blocks(&bytes, bytes.len(), &lut, &params, &mut |index, acc, near, far| {
                visits += 1;
                assert_eq!(index, 0);
                for (i, slot) in slots.iter().enumerate() {
                    assert_eq!(acc[i], naive_sum(slot, &lut), "{dimensions} dimensions, slot {i}");
                    let f = f32::from(acc[i]) * 1e-3 + -0.25;
                    let (most, least) = (0.5 + slot.add + slot.w0 * (f + 0.1), 0.5 + slot.add + slot.w0 * (f - 0.1));
                    assert_eq!((near >> i & 1 == 1, far >> i & 1 == 1), (most >= 1.0, least <= -1.0), "slot {i}");
                }
                (1.0, -1.0)
            });
            assert_eq!((scanned, visits), (1, 1), "{dimensions} dimensions");
        }
    }

    #[test]
    fn a_masked_sum_is_that_of_the_weights_whose_bits_differ() {
        let mut numbers = Numbers(2);
        for words in 0..20 {
            let (bits, flip) = (numbers.words(words), numbers.words(words));
            let weights = numbers.bytes(64 * words);
            let chosen = |i: &usize| (bits[i / 64] >> (i % 64) & 1) != (flip[i / 64] >> (i % 64) & 1);
            let expected: u32 = (0..64 * words).filter(chosen).map(|i| u32::from(weights[i])).sum();
            assert_eq!(masked_sum(&bits, &flip, &weights), expected);
        }
    }

    #[test]
    fn a_dot_product_is_exact() {
        let mut numbers = Numbers(3);
        for dimensions in [0, 1, 7, 768, 1023, 1024, 1025, 65_536] {
            let query: Vec<_> = (0..dimensions).map(|_| numbers.below(16_383) as i16 - 8191).collect();
            let row = numbers.bytes(dimensions);
            let expected: i64 = zip(&query, &row).map(|(q, r)| i64::from(*q) * i64::from(r.cast_signed())).sum();
            assert_eq!(dot_i8(&query, &row), expected);
        }
    }
}
