//! The kernels with AVX2.

#![expect(unsafe_code, reason = "loads and stores by pointer, and calls of functions that need the CPU's features")]

use super::{
    BLOCK_SLOTS, Block, FACTOR_BYTES, Kernel, Kernels, LINE_BYTES, ScanParams, TILE, TileQueries, TileRows, Visit,
    dot_chunks, left_over, padded, side_by_side, tile_chunks,
};
use std::arch::x86_64::*;
use std::iter::zip;

static KERNELS: Kernels = Kernels { kernel: Kernel::Avx2, scan_blocks, masked_sum, dot_i8, dot_tile };

/// The kernels, if this CPU has the instructions.
pub(super) fn kernels() -> Option<&'static Kernels> {
    is_x86_feature_detected!("avx2").then_some(&KERNELS)
}

fn scan_blocks(
    bytes: &[u8],
    block_bytes: usize,
    lut: &[[u8; 16]],
    params: &ScanParams,
    visit: &mut Visit<'_>,
) -> usize {
    // SAFETY: `kernels` hands this function out only where the feature was detected.
    unsafe { scan_blocks_avx2(bytes, block_bytes, lut, params, visit) }
}

fn masked_sum(bits: &[u64], flip: &[u64], weights: &[u8]) -> u32 {
    // SAFETY: `kernels` hands this function out only where the feature was detected.
    unsafe { masked_sum_avx2(bits, flip, weights) }
}

fn dot_i8(query: &[i16], row: &[u8]) -> i64 {
    // SAFETY: `kernels` hands this function out only where the feature was detected.
    unsafe { dot_i8_avx2(query, row) }
}

fn dot_tile(queries: &TileQueries<'_>, rows: &TileRows<'_>) -> [[i64; TILE]; TILE] {
    // SAFETY: `kernels` hands this function out only where the feature was detected.
    unsafe { dot_tile_avx2(queries, rows) }
}

/// Asks for the memory line at an address to be read ahead of its use.
#[inline]
pub(super) fn prefetch_line(address: *const u8) {
    // SAFETY: every x86-64 has the instruction, and it does not fault, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the array has the 32 bytes that are loaded; alignment is not needed.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_half(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: the array has the 16 bytes that are loaded; alignment is not needed.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_words(words: &[i16; 16]) -> __m256i {
    // SAFETY: the array has the 32 bytes that are loaded; alignment is not needed.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

/// Sums of 32 bytes of a line: `all` has those of words, odd bytes included; `odd` those of the odd bytes.
#[derive(Clone, Copy)]
struct Sums {
    all: __m256i,
    odd: __m256i,
}

impl Sums {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn zero() -> Self {
        Self { all: _mm256_setzero_si256(), odd: _mm256_setzero_si256() }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(&mut self, bytes: __m256i) {
        self.all = _mm256_add_epi16(self.all, bytes);
        self.odd = _mm256_add_epi16(self.odd, _mm256_srli_epi16::<8>(bytes));
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn even(self) -> __m256i {
        _mm256_sub_epi16(self.all, _mm256_slli_epi16::<8>(self.odd))
    }
}

/// The tables of the two groups of a line, each twice.
struct Tables {
    low: __m256i,
    high: __m256i,
}

impl Tables {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new([low, high]: &[[u8; 16]; 2]) -> Self {
        Self { low: _mm256_broadcastsi128_si256(load_half(low)), high: _mm256_broadcastsi128_si256(load_half(high)) }
    }

    /// The table bytes of both groups, added.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn look_up(&self, codes: &[u8; 32]) -> __m256i {
        let nibble = _mm256_set1_epi8(0x0f);
        let codes = load(codes);
        let first = _mm256_shuffle_epi8(self.low, _mm256_and_si256(codes, nibble));
        let second = _mm256_shuffle_epi8(self.high, _mm256_and_si256(_mm256_srli_epi16::<4>(codes), nibble));
        _mm256_add_epi8(first, second)
    }
}

#[target_feature(enable = "avx2")]
fn scan_blocks_avx2(
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
        let [low, high] = sums(&block, lut);
        let acc = [low.even(), high.even(), low.odd, high.odd];
        let (near, far) = masks(&block, acc, &params);
        if near | far != 0 {
            (params.near_cut, params.far_cut) = visit(scanned, &stored(acc), near, far);
        }
        scanned += 1;
    }
    scanned
}

/// The sums of the lower and of the upper half of each line: even slots 0..16 and odd 32..48, then 16..32 and 48..64.
#[inline]
#[target_feature(enable = "avx2")]
fn sums(block: &Block<'_>, lut: &[[u8; 16]]) -> [Sums; 2] {
    let mut sums = [Sums::zero(); 2];
    let (pairs, rest) = block.lines.as_chunks::<2>();
    let (tables, rest_tables) = lut.as_chunks::<2>().0.as_chunks::<2>();
    for ([one, two], [first, second]) in zip(pairs, tables) {
        block.read_ahead(one);
        block.read_ahead(two);
        let (first, second) = (Tables::new(first), Tables::new(second));
        for ((sums, one), two) in zip(&mut sums, halves(one)).zip(halves(two)) {
            sums.add(_mm256_add_epi8(first.look_up(one), second.look_up(two)));
        }
    }
    for (line, tables) in zip(rest, rest_tables) {
        let tables = Tables::new(tables);
        zip(&mut sums, halves(line)).for_each(|(sums, half)| sums.add(tables.look_up(half)));
    }
    sums
}

#[inline]
fn halves(line: &[u8; LINE_BYTES]) -> &[[u8; 32]] {
    line.as_chunks().0
}

#[inline]
#[target_feature(enable = "avx2")]
fn stored(acc: [__m256i; 4]) -> [u16; BLOCK_SLOTS] {
    let mut stored = [0_u16; BLOCK_SLOTS];
    for (stored, acc) in zip(stored.as_chunks_mut::<16>().0, acc) {
        // SAFETY: the array has the 32 bytes that are stored; alignment is not needed.
        unsafe { _mm256_storeu_si256(stored.as_mut_ptr().cast(), acc) };
    }
    stored
}

/// The slots that are near and those that are far, slot i in bit i.
#[inline]
#[target_feature(enable = "avx2")]
fn masks(block: &Block<'_>, acc: [__m256i; 4], params: &ScanParams) -> (u64, u64) {
    let (a, b, s) = (_mm256_set1_ps(params.a), _mm256_set1_ps(params.b), _mm256_set1_ps(params.s));
    let base = _mm256_set1_ps(params.base);
    let (near_cut, far_cut) = (_mm256_set1_ps(params.near_cut), _mm256_set1_ps(params.far_cut));
    let acc = acc.map(|acc| [_mm256_castsi256_si128(acc), _mm256_extracti128_si256::<1>(acc)]);
    let (mut near, mut far) = (0, 0);
    let factors = zip(floats(block.add), floats(block.w0));
    for (eighth, (acc, (add, w0))) in zip(acc.as_flattened(), factors).enumerate() {
        let acc = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(*acc));
        let f = _mm256_add_ps(_mm256_mul_ps(acc, a), b);
        let t = _mm256_add_ps(base, add);
        let most = _mm256_add_ps(t, _mm256_mul_ps(w0, _mm256_add_ps(f, s)));
        let least = _mm256_add_ps(t, _mm256_mul_ps(w0, _mm256_sub_ps(f, s)));
        near |= bits(_mm256_cmp_ps::<_CMP_GE_OQ>(most, near_cut)) << (8 * eighth);
        far |= bits(_mm256_cmp_ps::<_CMP_LE_OQ>(least, far_cut)) << (8 * eighth);
    }
    (near, far)
}

/// The sign bits of eight lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn bits(lanes: __m256) -> u64 {
    u64::from(_mm256_movemask_ps(lanes).cast_unsigned())
}

/// A block's bf16 as f32, 8 slots each.
#[inline]
#[target_feature(enable = "avx2")]
fn floats(factors: &[u8; FACTOR_BYTES]) -> [__m256; 8] {
    let mut floats = [_mm256_setzero_ps(); 8];
    for (floats, bytes) in zip(&mut floats, factors.as_chunks().0) {
        *floats = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(load_half(bytes))));
    }
    floats
}

#[target_feature(enable = "avx2")]
fn masked_sum_avx2(bits: &[u64], flip: &[u64], weights: &[u8]) -> u32 {
    let mut sum = _mm256_setzero_si256();
    for ((bits, flip), weights) in zip(bits, flip).zip(weights.as_chunks::<64>().0) {
        let chosen = bits ^ flip;
        for (half, weights) in [chosen, chosen >> 32].into_iter().zip(weights.as_chunks().0) {
            let kept = _mm256_and_si256(spread(half as u32), load(weights));
            sum = _mm256_add_epi64(sum, _mm256_sad_epu8(kept, _mm256_setzero_si256()));
        }
    }
    let sum = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
    let sum = _mm_add_epi64(sum, _mm_unpackhi_epi64(sum, sum));
    // Modulo 2^32, as everywhere.
    _mm_cvtsi128_si32(sum).cast_unsigned()
}

/// A byte of ones for each bit that is set.
#[inline]
#[target_feature(enable = "avx2")]
fn spread(bits: u32) -> __m256i {
    let byte_of_lane = _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
    let bit_of_lane = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64.cast_signed());
    let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits.cast_signed()), byte_of_lane);
    _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit_of_lane), bit_of_lane)
}

#[target_feature(enable = "avx2")]
fn dot_i8_avx2(query: &[i16], row: &[u8]) -> i64 {
    let mut dot = 0;
    for (query, row) in dot_chunks(query, row) {
        let (query, query_rest) = query.as_chunks::<16>();
        let (row, row_rest) = row.as_chunks::<16>();
        let mut sum = products(&padded(query_rest), &padded(row_rest));
        for (query, row) in zip(query, row) {
            sum = _mm256_add_epi32(sum, products(query, row));
        }
        dot += i64::from(total(sum));
    }
    dot
}

/// Sums of two neighbouring products each.
#[inline]
#[target_feature(enable = "avx2")]
fn products(query: &[i16; 16], row: &[u8; 16]) -> __m256i {
    _mm256_madd_epi16(load_words(query), _mm256_cvtepi8_epi16(load_half(row)))
}

/// The sum of eight lanes, modulo 2^32.
#[inline]
#[target_feature(enable = "avx2")]
fn total(sum: __m256i) -> i32 {
    let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
    let sum = _mm_add_epi32(sum, _mm_unpackhi_epi64(sum, sum));
    _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32::<1>(sum)))
}

#[target_feature(enable = "avx2")]
fn dot_tile_avx2(queries: &TileQueries<'_>, rows: &TileRows<'_>) -> [[i64; TILE]; TILE] {
    let mut dots = [[0; TILE]; TILE];
    for (queries, [a, b, c, d]) in tile_chunks(queries, rows) {
        // The sums of all four rows would not fit the registers.
        let halves = zip(half_tile(queries, [a, b]), half_tile(queries, [c, d]));
        for (dots, ([a, b], [c, d])) in zip(&mut dots, halves) {
            zip(dots, totals([a, b, c, d])).for_each(|(dot, total)| *dot += i64::from(total));
        }
    }
    dots
}

/// For each query the sums of its products with two rows.
#[inline]
#[target_feature(enable = "avx2")]
fn half_tile(queries: TileQueries<'_>, [a, b]: [&[u8]; 2]) -> [[__m256i; 2]; TILE] {
    let mut sums = [[_mm256_setzero_si256(); 2]; TILE];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks(), b.as_chunks());
    for (queries, (a, b)) in zip(side_by_side(queries), zip(a, b)) {
        add_half_tile(&mut sums, queries, [a, b]);
    }
    add_half_tile(&mut sums, left_over(queries).each_ref(), [&padded(a_rest), &padded(b_rest)]);
    sums
}

/// Adds the products of 16 dimensions, lane by lane.
#[inline]
#[target_feature(enable = "avx2")]
fn add_half_tile(sums: &mut [[__m256i; 2]; TILE], queries: [&[i16; 16]; TILE], rows: [&[u8; 16]; 2]) {
    let [a, b] = rows;
    let rows = [_mm256_cvtepi8_epi16(load_half(a)), _mm256_cvtepi8_epi16(load_half(b))];
    for (sums, query) in zip(sums, queries) {
        let query = load_words(query);
        for (sum, row) in zip(sums, rows) {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(query, row));
        }
    }
}

/// The sums of the eight lanes of each, modulo 2^32.
#[inline]
#[target_feature(enable = "avx2")]
fn totals([a, b, c, d]: [__m256i; TILE]) -> [i32; TILE] {
    let all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    let four = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256::<1>(all));
    [_mm_cvtsi128_si32(four), _mm_extract_epi32::<1>(four), _mm_extract_epi32::<2>(four), _mm_extract_epi32::<3>(four)]
}
