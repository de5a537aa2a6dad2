//! The kernels with AVX-512.

#![expect(unsafe_code, reason = "loads and stores by pointer, and calls of functions that need the CPU's features")]

use super::{
    BLOCK_SLOTS, Block, FACTOR_BYTES, Kernel, Kernels, LINE_BYTES, ScanParams, TILE, TileQueries, TileRows, Visit,
    dot_chunks, left_over, padded, side_by_side, tile_chunks,
};
use std::arch::x86_64::*;
use std::iter::zip;

static KERNELS: Kernels = Kernels { kernel: Kernel::Avx512, scan_blocks, masked_sum, dot_i8, dot_tile };

/// The kernels, if this CPU has the instructions.
pub(super) fn kernels() -> Option<&'static Kernels> {
    let detected = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vnni");
    detected.then_some(&KERNELS)
}

fn scan_blocks(
    bytes: &[u8],
    block_bytes: usize,
    lut: &[[u8; 16]],
    params: &ScanParams,
    visit: &mut Visit<'_>,
) -> usize {
    // SAFETY: `kernels` hands this function out only where the features were detected.
    unsafe { scan_blocks_avx512(bytes, block_bytes, lut, params, visit) }
}

fn masked_sum(bits: &[u64], flip: &[u64], weights: &[u8]) -> u32 {
    // SAFETY: `kernels` hands this function out only where the features were detected.
    unsafe { masked_sum_avx512(bits, flip, weights) }
}

fn dot_i8(query: &[i16], row: &[u8]) -> i64 {
    // SAFETY: `kernels` hands this function out only where the features were detected.
    unsafe { dot_i8_avx512(query, row) }
}

fn dot_tile(queries: &TileQueries<'_>, rows: &TileRows<'_>) -> [[i64; TILE]; TILE] {
    // SAFETY: `kernels` hands this function out only where the features were detected.
    unsafe { dot_tile_avx512(queries, rows) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the array has the 64 bytes that are loaded; alignment is not needed.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_half(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the array has the 32 bytes that are loaded; alignment is not needed.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_words(words: &[i16; 32]) -> __m512i {
    // SAFETY: the array has the 64 bytes that are loaded; alignment is not needed.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

/// A table, four times.
#[inline]
#[target_feature(enable = "avx512f")]
fn broadcast(table: &[u8; 16]) -> __m512i {
    // SAFETY: the array has the 16 bytes that are loaded; alignment is not needed.
    _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(table.as_ptr().cast()) })
}

/// Sums of a block: `all` has sums of words, odd bytes included; `odd` those of the odd bytes.
#[derive(Clone, Copy)]
struct Sums {
    all: __m512i,
    odd: __m512i,
}

impl Sums {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn zero() -> Self {
        Self { all: _mm512_setzero_si512(), odd: _mm512_setzero_si512() }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn add(&mut self, bytes: __m512i) {
        self.all = _mm512_add_epi16(self.all, bytes);
        self.odd = _mm512_add_epi16(self.odd, _mm512_srli_epi16::<8>(bytes));
    }

    /// The sums of slots 0..32 and of slots 32..64.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn halves(self) -> [__m512i; 2] {
        [_mm512_sub_epi16(self.all, _mm512_slli_epi16::<8>(self.odd)), self.odd]
    }
}

/// The table bytes of both groups of a line, added. A permutation takes six bits of each byte: the upper two choose
/// among equal copies of the table, so that what stands beside the nibble need not be masked.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn look_up(line: &[u8; LINE_BYTES], [low, high]: &[[u8; 16]; 2]) -> __m512i {
    let line = load(line);
    let first = _mm512_permutexvar_epi8(line, broadcast(low));
    let second = _mm512_permutexvar_epi8(_mm512_srli_epi16::<4>(line), broadcast(high));
    _mm512_add_epi8(first, second)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn scan_blocks_avx512(
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
        let acc = sums(&block, lut).halves();
        let (near, far) = masks(&block, acc, &params);
        if near | far != 0 {
            (params.near_cut, params.far_cut) = visit(scanned, &stored(acc), near, far);
        }
        scanned += 1;
    }
    scanned
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn sums(block: &Block<'_>, lut: &[[u8; 16]]) -> Sums {
    let mut sums = Sums::zero();
    let (pairs, rest) = block.lines.as_chunks::<2>();
    let (tables, rest_tables) = lut.as_chunks::<2>().0.as_chunks::<2>();
    for ([one, two], [first, second]) in zip(pairs, tables) {
        block.read_ahead(one);
        block.read_ahead(two);
        sums.add(_mm512_add_epi8(look_up(one, first), look_up(two, second)));
    }
    for (line, tables) in zip(rest, rest_tables) {
        sums.add(look_up(line, tables));
    }
    sums
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn stored(acc: [__m512i; 2]) -> [u16; BLOCK_SLOTS] {
    let mut stored = [0_u16; BLOCK_SLOTS];
    for (stored, acc) in zip(stored.as_chunks_mut::<32>().0, acc) {
        // SAFETY: the array has the 64 bytes that are stored; alignment is not needed.
        unsafe { _mm512_storeu_si512(stored.as_mut_ptr().cast(), acc) };
    }
    stored
}

/// The slots that are near and those that are far, slot i in bit i.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn masks(block: &Block<'_>, [even, odd]: [__m512i; 2], params: &ScanParams) -> (u64, u64) {
    let acc = [
        _mm512_castsi512_si256(even),
        _mm512_extracti64x4_epi64::<1>(even),
        _mm512_castsi512_si256(odd),
        _mm512_extracti64x4_epi64::<1>(odd),
    ];
    let (a, b, s) = (_mm512_set1_ps(params.a), _mm512_set1_ps(params.b), _mm512_set1_ps(params.s));
    let base = _mm512_set1_ps(params.base);
    let (near_cut, far_cut) = (_mm512_set1_ps(params.near_cut), _mm512_set1_ps(params.far_cut));
    let (mut near, mut far) = (0, 0);
    for (quarter, ((acc, add), w0)) in zip(acc, floats(block.add)).zip(floats(block.w0)).enumerate() {
        let acc = _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(acc));
        let f = _mm512_add_ps(_mm512_mul_ps(acc, a), b);
        let t = _mm512_add_ps(base, add);
        let most = _mm512_add_ps(t, _mm512_mul_ps(w0, _mm512_add_ps(f, s)));
        let least = _mm512_add_ps(t, _mm512_mul_ps(w0, _mm512_sub_ps(f, s)));
        near |= u64::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(most, near_cut)) << (16 * quarter);
        far |= u64::from(_mm512_cmp_ps_mask::<_CMP_LE_OQ>(least, far_cut)) << (16 * quarter);
    }
    (near, far)
}

/// A block's bf16 as f32, 16 slots each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn floats(factors: &[u8; FACTOR_BYTES]) -> [__m512; 4] {
    let mut floats = [_mm512_setzero_ps(); 4];
    for (floats, bytes) in zip(&mut floats, factors.as_chunks().0) {
        *floats = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(load_half(bytes))));
    }
    floats
}

#[target_feature(enable = "avx512f,avx512bw")]
fn masked_sum_avx512(bits: &[u64], flip: &[u64], weights: &[u8]) -> u32 {
    let mut sum = _mm512_setzero_si512();
    for ((bits, flip), weights) in zip(bits, flip).zip(weights.as_chunks().0) {
        let chosen = _mm512_maskz_mov_epi8(bits ^ flip, load(weights));
        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(chosen, _mm512_setzero_si512()));
    }
    // Modulo 2^32, as everywhere.
    _mm512_reduce_add_epi64(sum) as u32
}

#[target_feature(enable = "avx512f,avx512bw")]
fn dot_i8_avx512(query: &[i16], row: &[u8]) -> i64 {
    let mut dot = 0;
    for (query, row) in dot_chunks(query, row) {
        let (query, query_rest) = query.as_chunks::<32>();
        let (row, row_rest) = row.as_chunks::<32>();
        let mut sum = products(&padded(query_rest), &padded(row_rest));
        for (query, row) in zip(query, row) {
            sum = _mm512_add_epi32(sum, products(query, row));
        }
        dot += i64::from(_mm512_reduce_add_epi32(sum));
    }
    dot
}

/// Sums of two neighbouring products each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn products(query: &[i16; 32], row: &[u8; 32]) -> __m512i {
    _mm512_madd_epi16(load_words(query), _mm512_cvtepi8_epi16(load_half(row)))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dot_tile_avx512(queries: &TileQueries<'_>, rows: &TileRows<'_>) -> [[i64; TILE]; TILE] {
    let mut dots = [[0; TILE]; TILE];
    for (queries, rows) in tile_chunks(queries, rows) {
        let mut sums = [[_mm512_setzero_si512(); TILE]; TILE];
        for (queries, rows) in zip(side_by_side(queries), side_by_side(rows)) {
            add_tile(&mut sums, queries, rows);
        }
        add_tile(&mut sums, left_over(queries).each_ref(), left_over(rows).each_ref());
        for (dots, sums) in zip(&mut dots, sums) {
            zip(dots, totals(sums)).for_each(|(dot, total)| *dot += i64::from(total));
        }
    }
    dots
}

/// Adds the products of 32 dimensions, lane by lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn add_tile(sums: &mut [[__m512i; TILE]; TILE], queries: [&[i16; 32]; TILE], rows: [&[u8; 32]; TILE]) {
    let mut wide = [_mm512_setzero_si512(); TILE];
    for (wide, row) in zip(&mut wide, rows) {
        *wide = _mm512_cvtepi8_epi16(load_half(row));
    }
    for (sums, query) in zip(sums, queries) {
        let query = load_words(query);
        for (sum, row) in zip(sums, wide) {
            *sum = _mm512_dpwssd_epi32(*sum, query, row);
        }
    }
}

/// The sums of the sixteen lanes of each, modulo 2^32.
#[inline]
#[target_feature(enable = "avx512f")]
fn totals([a, b, c, d]: [__m512i; TILE]) -> [i32; TILE] {
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    let all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64::<1>(all));
    let four = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half));
    [_mm_cvtsi128_si32(four), _mm_extract_epi32::<1>(four), _mm_extract_epi32::<2>(four), _mm_extract_epi32::<3>(four)]
}
