//! All kernels against the portable one, and what every one of them must do.

use super::*;
use proptest::prelude::*;

/// Numbers that look random, the same on each run (splitmix64).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn words(&mut self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.next()).collect()
    }

    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

const FLOATS: [f32; 12] = [
    0.0,
    -0.0,
    1.0,
    -0.75,
    1e-3,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    1e-41,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

fn float() -> impl Strategy<Value = f32> {
    prop_oneof![3 => -2.0_f32..2.0, 1 => proptest::sample::select(&FLOATS[..])]
}

fn params() -> impl Strategy<Value = ScanParams> {
    (float(), float(), float(), float(), float(), float()).prop_map(|(base, a, b, s, near_cut, far_cut)| ScanParams {
        base,
        a,
        b,
        s,
        near_cut,
        far_cut,
    })
}

/// All but the portable kernel, which they are compared with.
fn others() -> Vec<(Kernel, &'static Kernels)> {
    let others = Kernel::available().into_iter().filter(|kernel| *kernel != Kernel::Portable);
    others.map(|kernel| (kernel, Kernels::for_kernel(kernel).unwrap())).collect()
}

type Visited = (usize, [u16; BLOCK_SLOTS], u64, u64);

/// Blocks that were scanned, and each visit; `cuts` are given out one after the other, over and over.
fn scan(
    kernels: &Kernels,
    bytes: &[u8],
    stride: usize,
    lut: &[[u8; 16]],
    params: &ScanParams,
    cuts: &[(f32, f32)],
) -> (usize, Vec<Visited>) {
    let (mut visits, mut next) = (Vec::new(), cuts.iter().cycle());
    let scanned = (kernels.scan_blocks)(bytes, stride, lut, params, &mut |index, acc, near, far| {
        visits.push((index, *acc, near, far));
        next.next().copied().unwrap_or((params.near_cut, params.far_cut))
    });
    (scanned, visits)
}

fn assert_scans_agree(bytes: &[u8], stride: usize, lut: &[[u8; 16]], params: &ScanParams, cuts: &[(f32, f32)]) {
    let expected = scan(&portable::KERNELS, bytes, stride, lut, params, cuts);
    for (kernel, kernels) in others() {
        let found = scan(kernels, bytes, stride, lut, params, cuts);
        assert_eq!(found.0, expected.0, "{kernel}: blocks");
        for (found, expected) in zip(&found.1, &expected.1) {
            assert_eq!(found, expected, "{kernel}: a visit");
        }
        assert_eq!(found.1.len(), expected.1.len(), "{kernel}: visits");
    }
}

proptest! {
    #![proptest_config(crate::deterministic())]

    /// Factors are any bit pattern: NaN, infinite, negative and subnormal ones among them.
    #[test]
    fn all_kernels_scan_alike(
        seed: u64,
        half_groups in prop_oneof![4 => 0_usize..70, 1 => 500_usize..513],
        blocks in 0_usize..12,
        gap in prop_oneof![Just(0_usize), 0_usize..70],
        rest in 0_usize..100,
        offset in 0_usize..65,
        params in params(),
        cuts in prop::collection::vec((float(), float()), 0..4),
    ) {
        let mut numbers = Numbers(seed);
        let stride = block_bytes(2 * half_groups) + gap;
        let bytes = numbers.bytes(offset + blocks * stride + rest);
        let lut: Vec<_> =
            (0..2 * half_groups).map(|_| std::array::from_fn(|_| numbers.below(64) as u8)).collect();
        assert_scans_agree(&bytes[offset..], stride, &lut, &params, &cuts);
    }

    /// Factors as in a search, and cuts that are some slot's own bounds or the numbers next to them: a step that is
    /// rounded in another way, as when a multiplication and an addition become one instruction, is seen.
    #[test]
    fn all_kernels_round_alike(seed: u64, half_groups in 1_usize..70, s in 0.0_f32..0.2, slot in 0..BLOCK_SLOTS) {
        let mut numbers = Numbers(seed);
        let (groups, stride) = (2 * half_groups, block_bytes(2 * half_groups));
        let mut bytes = numbers.bytes(2 * stride);
        for factor in bytes.chunks_mut(stride).flat_map(|block| block[32 * groups..].as_chunks_mut().0) {
            let value = (numbers.below(1000) as f32 / 1000.0).to_le_bytes();
            *factor = [value[2], value[3]];
        }
        let lut: Vec<_> = (0..groups).map(|_| std::array::from_fn(|_| numbers.below(64) as u8)).collect();
        let (a, near_cut) = (0.1 / groups as f32, f32::NEG_INFINITY);
        let params = ScanParams { base: -0.537, a, b: -3.1, s, near_cut, far_cut: near_cut };
        let (_, visits) = scan(&portable::KERNELS, &bytes, stride, &lut, &params, &[]);
        let bf16 = |at: usize| f32::from_le_bytes([0, 0, bytes[at], bytes[at + 1]]);
        let (add, w0) = (bf16(32 * groups + 2 * slot), bf16(32 * groups + FACTOR_BYTES + 2 * slot));
        let f = f32::from(visits[0].1[slot]) * params.a + params.b;
        let (most, least) = (params.base + add + w0 * (f + s), params.base + add + w0 * (f - s));
        for (near_cut, far_cut) in [(most, least), (most.next_up(), least.next_down())] {
            let params = ScanParams { near_cut, far_cut, ..params };
            assert_scans_agree(&bytes, stride, &lut, &params, &[]);
            let (_, visits) = scan(&portable::KERNELS, &bytes, stride, &lut, &params, &[]);
            let hit = |mask: u64| mask >> slot & 1 == 1;
            let visit = visits.first().filter(|(index, ..)| *index == 0);
            let found = visit.map(|(_, _, near, far)| (hit(*near), hit(*far))).unwrap_or_default();
            prop_assert_eq!(found, (near_cut == most, far_cut == least));
        }
    }

    #[test]
    fn all_kernels_sum_alike(seed: u64, bits in 0_usize..70, flip in 0_usize..70, weights in 0_usize..4500) {
        let mut numbers = Numbers(seed);
        let (bits, flip, weights) = (numbers.words(bits), numbers.words(flip), numbers.bytes(weights));
        let expected = (portable::KERNELS.masked_sum)(&bits, &flip, &weights);
        for (kernel, kernels) in others() {
            prop_assert_eq!((kernels.masked_sum)(&bits, &flip, &weights), expected, "{}", kernel);
        }
    }

    /// Of any query, also one whose sums wrap.
    #[test]
    fn all_kernels_multiply_alike(seed: u64, query in 0_usize..2200, row in 0_usize..2200) {
        let mut numbers = Numbers(seed);
        let query: Vec<_> = (0..query).map(|_| numbers.next() as i16).collect();
        let row = numbers.bytes(row);
        let expected = (portable::KERNELS.dot_i8)(&query, &row);
        for (kernel, kernels) in others() {
            prop_assert_eq!((kernels.dot_i8)(&query, &row), expected, "{}", kernel);
        }
    }
}

/// A tile is sixteen dot products over what all have in common, for any query, also one whose sums wrap.
#[test]
fn all_kernels_multiply_tiles_alike() {
    let mut numbers = Numbers(6);
    let lengths = (0..140).chain([767, 768, 1023, 1024, 1025, 1152, 2100]);
    for (shorter, length) in lengths.enumerate() {
        let whole = |numbers: &mut Numbers, _| (0..length + 3).map(|_| numbers.next() as i16).collect::<Vec<_>>();
        let queries: [Vec<i16>; TILE] = std::array::from_fn(|at| whole(&mut numbers, at));
        let rows: [Vec<u8>; TILE] = std::array::from_fn(|_| numbers.bytes(length + 3));
        let mut queries: TileQueries<'_> = std::array::from_fn(|at| &queries[at][..]);
        let mut rows: TileRows<'_> = std::array::from_fn(|at| &rows[at][..]);
        if shorter % 2 == 0 {
            rows[shorter % TILE] = &rows[shorter % TILE][..length];
        } else {
            queries[shorter % TILE] = &queries[shorter % TILE][..length];
        }
        let dot = |query: &[i16], row: &[u8]| (portable::KERNELS.dot_i8)(&query[..length], &row[..length]);
        let expected = queries.map(|query| rows.map(|row| dot(query, row)));
        for kernel in Kernel::available() {
            let found = (Kernels::for_kernel(kernel).unwrap().dot_tile)(&queries, &rows);
            assert_eq!(found, expected, "{kernel}, {length} dimensions");
        }
    }
}

#[test]
fn every_length_has_the_same_dot_product() {
    let mut numbers = Numbers(4);
    let query: Vec<_> = (0..1200).map(|_| numbers.below(16_383) as i16 - 8191).collect();
    let row = numbers.bytes(1200);
    for length in 0..=1200 {
        let expected = (portable::KERNELS.dot_i8)(&query[..length], &row);
        for (kernel, kernels) in others() {
            assert_eq!((kernels.dot_i8)(&query, &row[..length]), expected, "{kernel}, {length} dimensions");
        }
    }
}

#[test]
fn the_largest_sums_do_not_overflow() {
    let (groups, mut visits) = (1024, 0);
    let mut bytes = vec![0xff; 3 * block_bytes(groups)];
    bytes.chunks_mut(block_bytes(groups)).for_each(|block| block[32 * groups..].fill(0));
    let params = ScanParams { base: 0.0, a: 0.0, b: 0.0, s: 0.0, near_cut: f32::NEG_INFINITY, far_cut: 0.0 };
    for kernel in Kernel::available() {
        let kernels = Kernels::for_kernel(kernel).unwrap();
        let scanned = (kernels.scan_blocks)(
            &bytes,
            block_bytes(groups),
            &vec![[63; 16]; groups],
            &params,
            &mut |_, acc, near, far| {
                visits += 1;
                assert_eq!((*acc, near, far), ([64_512; BLOCK_SLOTS], u64::MAX, u64::MAX), "{kernel}");
                (f32::NEG_INFINITY, 0.0)
            },
        );
        assert_eq!(scanned, 3, "{kernel}");
        let words = 1024;
        let sum = (kernels.masked_sum)(&vec![u64::MAX; words], &vec![0; words], &vec![255; 64 * words]);
        assert_eq!(sum, 255 * 64 * words as u32, "{kernel}");
        for (component, byte, value) in [(8191, 0x80, -128), (-8191, 0x80, -128), (16_383, 0x7f, 127)] {
            let dot = (kernels.dot_i8)(&vec![component; 65_536], &vec![byte; 65_536]);
            assert_eq!(dot, 65_536 * i64::from(component) * value, "{kernel}");
            let (query, row) = (vec![component; 65_536], vec![byte; 65_536]);
            let tile = (kernels.dot_tile)(&[query.as_slice(); TILE], &[row.as_slice(); TILE]);
            assert_eq!(tile, [[dot; TILE]; TILE], "{kernel}");
        }
    }
    assert_eq!(visits, 3 * Kernel::available().len());
}

/// What a damaged header could ask for: nothing is scanned, nothing outside of the slice is read.
#[test]
fn blocks_and_tables_that_do_not_fit_are_not_scanned() {
    let params = ScanParams { base: 0.0, a: 0.0, b: 0.0, s: 0.0, near_cut: -1.0, far_cut: 1.0 };
    let bytes = vec![0; 2 * block_bytes(8)];
    for kernel in Kernel::available() {
        let scanned = |bytes: &[u8], stride, groups| {
            let kernels = Kernels::for_kernel(kernel).unwrap();
            scan(kernels, bytes, stride, &vec![[0; 16]; groups], &params, &[]).0
        };
        assert_eq!(scanned(&bytes, block_bytes(8), 8), 2, "{kernel}");
        assert_eq!(scanned(&bytes, block_bytes(8), 6), 2, "{kernel}: fewer tables than the block has groups");
        assert_eq!(scanned(&bytes, block_bytes(8), 10), 0, "{kernel}: more tables");
        assert_eq!(scanned(&bytes, block_bytes(8), 7), 0, "{kernel}: an odd number of tables");
        assert_eq!(scanned(&bytes, 0, 0), 0, "{kernel}: blocks of no bytes");
        assert_eq!(scanned(&bytes, usize::MAX, 8), 0, "{kernel}: blocks longer than all there is");
        assert_eq!(scanned(&bytes[1..], block_bytes(8), 8), 1, "{kernel}: the last one cut");
        assert_eq!(scanned(&[], block_bytes(8), 8), 0, "{kernel}: no blocks");
    }
}

/// Each block is held against the cuts of the visit before it, and only those with a hit are visited.
#[test]
fn a_visit_sets_the_cuts_of_the_next_block() {
    let params = ScanParams { base: 1.0, a: 0.0, b: 0.0, s: 0.0, near_cut: 1.0, far_cut: 0.0 };
    let bytes = vec![0; 5 * block_bytes(2)];
    let cuts = [(1.0, 1.0), (1.5, 1.0), (f32::NAN, f32::NAN)];
    for kernel in Kernel::available() {
        let kernels = Kernels::for_kernel(kernel).unwrap();
        let (scanned, visits) = scan(kernels, &bytes, block_bytes(2), &[[0; 16]; 2], &params, &cuts);
        let masks: Vec<_> = visits.iter().map(|(index, _, near, far)| (*index, *near, *far)).collect();
        assert_eq!(scanned, 5, "{kernel}");
        assert_eq!(masks, [(0, u64::MAX, 0), (1, u64::MAX, u64::MAX), (2, 0, u64::MAX)], "{kernel}");
    }
}

#[test]
fn anything_can_be_prefetched() {
    prefetch(&[]);
    prefetch(&[1]);
    prefetch(&vec![0; 1000][3..]);
}

#[test]
fn kernels_have_names() {
    for kernel in Kernel::ALL {
        assert_eq!(kernel.to_string().parse(), Ok(kernel));
    }
    let error = "sse9".parse::<Kernel>().unwrap_err().to_string();
    assert_eq!(error, "expected the name of a kernel (auto, avx512, avx2, neon, portable), found \"sse9\"");
}

#[test]
fn a_kernel_can_be_forced_if_the_cpu_has_it() {
    let available = Kernel::available();
    assert_eq!(available.last(), Some(&Kernel::Portable));
    for kernel in Kernel::ALL.into_iter().filter(|kernel| *kernel != Kernel::Auto) {
        let forced = force_kernel(kernel);
        if available.contains(&kernel) {
            assert_eq!((forced, active_kernel()), (Ok(()), kernel));
        } else {
            assert_eq!(forced, Err(UnavailableKernel { expected: kernel, found: available.clone() }));
            assert_ne!(active_kernel(), kernel);
        }
    }
    assert_eq!(force_kernel(Kernel::Auto), Ok(()));
    assert_eq!(Some(&active_kernel()), available.first());
}
