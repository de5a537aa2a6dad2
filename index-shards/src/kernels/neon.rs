//! The kernels with NEON, on 64-bit ARM.

#![expect(unsafe_code, reason = "loads and stores by pointer, and calls of functions that need the CPU's features")]

use super::{
    BLOCK_SLOTS, Block, FACTOR_BYTES, Kernel, Kernels, LINE_BYTES, ScanParams, TILE, TileQueries, TileRows, Visit,
    dot_chunks, left_over, padded, side_by_side, tile_chunks,
};
use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};
use std::iter::zip;

static KERNELS: Kernels = Kernels { kernel: Kernel::Neon, scan_blocks, masked_sum, dot_i8, dot_tile };

/// The kernels, if this CPU has the instructions.
pub(super) fn kernels() -> Option<&'static Kernels> {
    is_aarch64_feature_detected!("neon").then_some(&KERNELS)
}

fn scan_blocks(
    bytes: &[u8],
    block_bytes: usize,
    lut: &[[u8; 16]],
    params: &ScanParams,
    visit: &mut Visit<'_>,
) -> usize {
    // SAFETY: `kernels` hands this function out only where the feature was detected.
    unsafe { scan_blocks_neon(bytes, block_bytes, lut, params, visit) }
}

fn masked_sum(bits: &[u64], flip: &[u64], weights: &[u8]) -> u32 {
    // SAFETY: `kernels` hands this function out only where the feature was detected.
    unsafe { masked_sum_neon(bits, flip, weights) }
}

fn dot_i8(query: &[i16], row: &[u8]) -> i64 {
    // SAFETY: `kernels` hands this function out only where the feature was detected.
    unsafe { dot_i8_neon(query, row) }
}

fn dot_tile(queries: &TileQueries<'_>, rows: &TileRows<'_>) -> [[i64; TILE]; TILE] {
    // SAFETY: `kernels` hands this function out only where the feature was detected.
    unsafe { dot_tile_neon(queries, rows) }
}

/// Asks for the memory line at an address to be read ahead of its use.
#[inline]
pub(super) fn prefetch_line(address: *const u8) {
    // SAFETY: a hint that changes no state of the program and does not fault, whatever the address.
    unsafe { asm!("prfm pldl1keep, [{}]", in(reg) address, options(readonly, nostack, preserves_flags)) };
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: the array has the 16 bytes that are loaded; alignment is not needed.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn load_words(words: &[i16; 8]) -> int16x8_t {
    // SAFETY: the array has the 16 bytes that are loaded; alignment beyond that of i16 is not needed.
    unsafe { vld1q_s16(words.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn load_signed(bytes: &[u8; 8]) -> int8x8_t {
    // SAFETY: the array has the 8 bytes that are loaded; alignment is not needed.
    vreinterpret_s8_u8(unsafe { vld1_u8(bytes.as_ptr()) })
}

/// Sums of 16 bytes of a line: `all` has those of words, odd bytes included; `odd` those of the odd bytes.
#[derive(Clone, Copy)]
struct Sums {
    all: uint16x8_t,
    odd: uint16x8_t,
}

impl Sums {
    #[inline]
    #[target_feature(enable = "neon")]
    fn zero() -> Self {
        Self { all: vdupq_n_u16(0), odd: vdupq_n_u16(0) }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn add(&mut self, bytes: uint8x16_t) {
        let words = vreinterpretq_u16_u8(bytes);
        self.all = vaddq_u16(self.all, words);
        self.odd = vsraq_n_u16::<8>(self.odd, words);
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn even(self) -> uint16x8_t {
        vsubq_u16(self.all, vshlq_n_u16::<8>(self.odd))
    }
}

/// The tables of the two groups of a line.
struct Tables {
    low: uint8x16_t,
    high: uint8x16_t,
}

impl Tables {
    #[inline]
    #[target_feature(enable = "neon")]
    fn new([low, high]: &[[u8; 16]; 2]) -> Self {
        Self { low: load(low), high: load(high) }
    }

    /// The table bytes of both groups, added.
    #[inline]
    #[target_feature(enable = "neon")]
    fn look_up(&self, codes: &[u8; 16]) -> uint8x16_t {
        let codes = load(codes);
        let first = vqtbl1q_u8(self.low, vandq_u8(codes, vdupq_n_u8(0x0f)));
        vaddq_u8(first, vqtbl1q_u8(self.high, vshrq_n_u8::<4>(codes)))
    }
}

#[target_feature(enable = "neon")]
fn scan_blocks_neon(
    bytes: &[u8],
    block_bytes: usize,
    lut: &[[u8; 16]],
    params: &ScanParams,
    visit: &mut Visit<'_>,
) -> usize {
    let mut params = *params;
    let mut scanned = 0;
    for block in Block::all(bytes, block_bytes, lut) {
        block.read_ahead(block.add);
        block.read_ahead(block.w0);
        let [first, second, third, last] = sums(&block, lut);
        let acc = [
            [first.even(), second.even()],
            [third.even(), last.even()],
            [first.odd, second.odd],
            [third.odd, last.odd],
        ];
        let (near, far) = masks(&block, acc, &params);
        if near | far != 0 {
            (params.near_cut, params.far_cut) = visit(scanned, &stored(acc), near, far);
        }
        scanned += 1;
    }
    scanned
}

/// The sums of the four quarters of each line.
#[inline]
#[target_feature(enable = "neon")]
fn sums(block: &Block<'_>, lut: &[[u8; 16]]) -> [Sums; 4] {
    let mut sums = [Sums::zero(); 4];
    let (pairs, rest) = block.lines.as_chunks::<2>();
    let (tables, rest_tables) = lut.as_chunks::<2>().0.as_chunks::<2>();
    for ([one, two], [first, second]) in zip(pairs, tables) {
        block.read_ahead(one);
        block.read_ahead(two);
        let (first, second) = (Tables::new(first), Tables::new(second));
        for ((sums, one), two) in zip(&mut sums, quarters(one)).zip(quarters(two)) {
            sums.add(vaddq_u8(first.look_up(one), second.look_up(two)));
        }
    }
    for (line, tables) in zip(rest, rest_tables) {
        let tables = Tables::new(tables);
        zip(&mut sums, quarters(line)).for_each(|(sums, quarter)| sums.add(tables.look_up(quarter)));
    }
    sums
}

#[inline]
fn quarters(line: &[u8; LINE_BYTES]) -> &[[u8; 16]] {
    line.as_chunks().0
}

#[inline]
#[target_feature(enable = "neon")]
fn stored(acc: [[uint16x8_t; 2]; 4]) -> [u16; BLOCK_SLOTS] {
    let mut stored = [0_u16; BLOCK_SLOTS];
    for (stored, acc) in zip(stored.as_chunks_mut::<8>().0, acc.as_flattened()) {
        // SAFETY: the array has the 16 bytes that are stored; alignment beyond that of u16 is not needed.
        unsafe { vst1q_u16(stored.as_mut_ptr(), *acc) };
    }
    stored
}

/// The slots that are near and those that are far, slot i in bit i.
#[inline]
#[target_feature(enable = "neon")]
fn masks(block: &Block<'_>, acc: [[uint16x8_t; 2]; 4], params: &ScanParams) -> (u64, u64) {
    let (add, w0) = (block.add.as_chunks().0, block.w0.as_chunks().0);
    let (mut near, mut far) = (0, 0);
    for (quarter, ((acc, add), w0)) in zip(acc, add).zip(w0).enumerate() {
        let (most, least) = quarter_masks(acc, floats(add), floats(w0), params);
        near |= bits(most) << (16 * quarter);
        far |= bits(least) << (16 * quarter);
    }
    (near, far)
}

/// All-ones lanes for the 16 slots that are near, and for those that are far.
#[inline]
#[target_feature(enable = "neon")]
fn quarter_masks(
    acc: [uint16x8_t; 2],
    add: [float32x4_t; 4],
    w0: [float32x4_t; 4],
    params: &ScanParams,
) -> ([uint32x4_t; 4], [uint32x4_t; 4]) {
    let (mut near, mut far) = ([vdupq_n_u32(0); 4], [vdupq_n_u32(0); 4]);
    let acc = acc.map(|acc| [vmovl_u16(vget_low_u16(acc)), vmovl_high_u16(acc)]);
    let s = vdupq_n_f32(params.s);
    let lanes = zip(&mut near, &mut far).zip(acc.as_flattened()).zip(zip(add, w0));
    for (((near, far), acc), (add, w0)) in lanes {
        let f = vaddq_f32(vmulq_f32(vcvtq_f32_u32(*acc), vdupq_n_f32(params.a)), vdupq_n_f32(params.b));
        let t = vaddq_f32(vdupq_n_f32(params.base), add);
        let most = vaddq_f32(t, vmulq_f32(w0, vaddq_f32(f, s)));
        let least = vaddq_f32(t, vmulq_f32(w0, vsubq_f32(f, s)));
        *near = vcgeq_f32(most, vdupq_n_f32(params.near_cut));
        *far = vcleq_f32(least, vdupq_n_f32(params.far_cut));
    }
    (near, far)
}

/// One bit for each of 16 lanes of all ones or zeros.
#[inline]
#[target_feature(enable = "neon")]
fn bits([first, second, third, last]: [uint32x4_t; 4]) -> u64 {
    let low = vmovn_high_u32(vmovn_u32(first), second);
    let high = vmovn_high_u32(vmovn_u32(third), last);
    let kept = vandq_u8(vmovn_high_u16(vmovn_u16(low), high), bit_of_lane());
    u64::from(vaddv_u8(vget_low_u8(kept))) | u64::from(vaddv_u8(vget_high_u8(kept))) << 8
}

/// 1, 2, 4 ... 128, twice.
#[inline]
#[target_feature(enable = "neon")]
fn bit_of_lane() -> uint8x16_t {
    vreinterpretq_u8_u64(vdupq_n_u64(0x8040_2010_0804_0201))
}

/// The bf16 of 16 slots as f32.
#[inline]
#[target_feature(enable = "neon")]
fn floats(factors: &[u8; FACTOR_BYTES / 4]) -> [float32x4_t; 4] {
    let mut floats = [vdupq_n_f32(0.0); 4];
    let (floats_pairs, _) = floats.as_chunks_mut::<2>();
    for ([low, high], bytes) in zip(floats_pairs, factors.as_chunks().0) {
        let factors = vreinterpretq_u16_u8(load(bytes));
        *low = vreinterpretq_f32_u32(vshll_n_u16::<16>(vget_low_u16(factors)));
        *high = vreinterpretq_f32_u32(vshll_high_n_u16::<16>(factors));
    }
    floats
}

#[target_feature(enable = "neon")]
fn masked_sum_neon(bits: &[u64], flip: &[u64], weights: &[u8]) -> u32 {
    let mut sum = vdupq_n_u32(0);
    for ((bits, flip), weights) in zip(bits, flip).zip(weights.as_chunks::<64>().0) {
        let chosen = (bits ^ flip).to_le_bytes();
        for ([low, high], weights) in zip(chosen.as_chunks().0, weights.as_chunks().0) {
            let bytes = vcombine_u8(vdup_n_u8(*low), vdup_n_u8(*high));
            let kept = vandq_u8(vtstq_u8(bytes, bit_of_lane()), load(weights));
            sum = vpadalq_u16(sum, vpaddlq_u8(kept));
        }
    }
    // Modulo 2^32, as everywhere.
    vaddvq_u32(sum)
}

#[target_feature(enable = "neon")]
fn dot_i8_neon(query: &[i16], row: &[u8]) -> i64 {
    let mut dot = 0;
    for (query, row) in dot_chunks(query, row) {
        let (query, query_rest) = query.as_chunks::<16>();
        let (row, row_rest) = row.as_chunks::<16>();
        let mut sums = [vdupq_n_s32(0); 2];
        add_products(&mut sums, &padded(query_rest), &padded(row_rest));
        for (query, row) in zip(query, row) {
            add_products(&mut sums, query, row);
        }
        let [even, odd] = sums;
        dot += i64::from(vaddvq_s32(vaddq_s32(even, odd)));
    }
    dot
}

/// Adds 16 products, lane by lane.
#[inline]
#[target_feature(enable = "neon")]
fn add_products(sums: &mut [int32x4_t; 2], query: &[i16; 16], row: &[u8; 16]) {
    let row = vreinterpretq_s8_u8(load(row));
    let rows = [vmovl_s8(vget_low_s8(row)), vmovl_high_s8(row)];
    for ((sum, query), row) in zip(sums, query.as_chunks().0).zip(rows) {
        let query = load_words(query);
        *sum = vmlal_s16(*sum, vget_low_s16(query), vget_low_s16(row));
        *sum = vmlal_high_s16(*sum, query, row);
    }
}

#[target_feature(enable = "neon")]
fn dot_tile_neon(queries: &TileQueries<'_>, rows: &TileRows<'_>) -> [[i64; TILE]; TILE] {
    let mut dots = [[0; TILE]; TILE];
    for (queries, rows) in tile_chunks(queries, rows) {
        let mut sums = [[vdupq_n_s32(0); TILE]; TILE];
        for (queries, rows) in zip(side_by_side(queries), side_by_side(rows)) {
            add_tile(&mut sums, queries, rows);
        }
        add_tile(&mut sums, left_over(queries).each_ref(), left_over(rows).each_ref());
        for (dots, sums) in zip(&mut dots, sums) {
            for (dot, sum) in zip(dots, sums) {
                *dot += i64::from(vaddvq_s32(sum));
            }
        }
    }
    dots
}

/// Adds the products of 8 dimensions, lane by lane.
#[inline]
#[target_feature(enable = "neon")]
fn add_tile(sums: &mut [[int32x4_t; TILE]; TILE], queries: [&[i16; 8]; TILE], rows: [&[u8; 8]; TILE]) {
    let mut wide = [vdupq_n_s16(0); TILE];
    for (wide, row) in zip(&mut wide, rows) {
        *wide = vmovl_s8(load_signed(row));
    }
    for (sums, query) in zip(sums, queries) {
        let query = load_words(query);
        for (sum, row) in zip(sums, wide) {
            *sum = vmlal_s16(*sum, vget_low_s16(query), vget_low_s16(row));
            *sum = vmlal_high_s16(*sum, query, row);
        }
    }
}
