//! The three loops that a search spends its time in, for each kind of CPU.
//!
//! - `scan_blocks`: the first layer of 1-bit codes, 64 slots a block, by table lookups in registers ("fast-scan").
//! - `masked_sum`: the second layer of one row.
//! - `dot_i8`: the exact score of one row.
//!
//! All sums are of integers, and the few steps in f32 are the same operations in the same order everywhere, multiply
//! and add apart, so that every kernel gives the same bits. [`portable`] is the definition in plain Rust; the others
//! are tested against it. Slices come from files that nobody vouches for: each function takes what all of its
//! arguments have in common and never reads outside of them.
//!
//! # A block of the first layer
//!
//! A block holds 64 slots with `m` dimensions each, a multiple of 8. Four neighbouring dimensions make a group, so
//! there are G = m / 4 of them, and a look-up table of 16 bytes for each. Little-endian.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 64 * (G / 2) | lines; byte p of line j: low nibble = group 2j, high nibble = group 2j + 1, of one slot |
//! | 32 * G | 128 | `add` of each slot in slot order, bf16 |
//! | 32 * G + 128 | 128 | `w0`, bf16 |
//! | 32 * G + 256 | 128 | `w1`, bf16; not read here |
//!
//! Byte 2i of a line belongs to slot i and byte 2i + 1 to slot 32 + i, so that the even and the odd bytes of sums of
//! 16 bits are the slots in order. Bit t of a nibble is the sign of dimension 4 * group + t, 1 where it is not
//! negative.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[cfg(target_arch = "x86_64")]
use avx2::prefetch_line;
#[cfg(target_arch = "aarch64")]
use neon::prefetch_line;
use std::fmt;
use std::iter::zip;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

/// Slots of a block.
pub(crate) const BLOCK_SLOTS: usize = 64;
/// Bytes of a line of a block: one per slot.
const LINE_BYTES: usize = BLOCK_SLOTS;
/// Bytes of one bf16 factor of all slots of a block.
const FACTOR_BYTES: usize = 2 * BLOCK_SLOTS;
/// How far ahead of the block that is scanned memory is read. From DRAM, a scan takes about as long with anything from
/// 10 to 40 KB, and longer where nothing is read ahead.
const AHEAD_BYTES: usize = 16 << 10;
/// Dimensions of a row whose products are summed in 32 bits, before the sum goes to 64.
const DOT_CHUNK: usize = 1024;

/// Bytes of a block whose slots have `groups` groups of four dimensions.
pub(crate) const fn block_bytes(groups: usize) -> usize {
    groups / 2 * LINE_BYTES + 3 * FACTOR_BYTES
}

/// A set of CPU instructions that the search can use. All give the same results, bit by bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// The fastest one that this CPU has.
    Auto,
    /// x86-64 with AVX-512 (F, BW and VBMI: Ice Lake, Zen 4 and later).
    Avx512,
    /// x86-64 with AVX2.
    Avx2,
    /// 64-bit ARM.
    Neon,
    /// Any CPU.
    Portable,
}

/// A kernel was asked for that this CPU cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kernel {expected} cannot run on this CPU; it has {}", names(found))]
pub struct UnavailableKernel {
    /// What was asked for.
    pub expected: Kernel,
    /// What this CPU can run, fastest first.
    pub found: Vec<Kernel>,
}

/// A name that no kernel has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a kernel ({}), found \"{found}\"", names(&Kernel::ALL))]
pub struct UnknownKernel {
    /// The name.
    pub found: String,
}

fn names(kernels: &[Kernel]) -> String {
    kernels.iter().map(|kernel| kernel.name()).collect::<Vec<_>>().join(", ")
}

impl Kernel {
    const ALL: [Self; 5] = [Self::Auto, Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// The kernels that this CPU can run, fastest first and [`Kernel::Portable`] last; [`Kernel::Auto`] is not listed.
    pub fn available() -> Vec<Self> {
        let concrete = |kernel: &Self| *kernel != Self::Auto && Kernels::for_kernel(*kernel).is_some();
        Self::ALL.into_iter().filter(concrete).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for Kernel {
    type Err = UnknownKernel;

    /// One of `auto`, `avx512`, `avx2`, `neon`, `portable`.
    fn from_str(name: &str) -> Result<Self, UnknownKernel> {
        let found = Self::ALL.into_iter().find(|kernel| kernel.name() == name);
        found.ok_or_else(|| UnknownKernel { found: name.to_owned() })
    }
}

/// The forced kernel's index in [`Kernel::ALL`]; 0 is [`Kernel::Auto`], nothing forced.
static FORCED: AtomicU8 = AtomicU8::new(0);

/// Makes all searches of this process use `kernel` from now on; [`Kernel::Auto`] goes back to the fastest.
///
/// For tests and benchmarks: results do not depend on it, only the time they take. A search that is under way goes on
/// with the kernel that it began with.
///
/// # Errors
/// [`UnavailableKernel`] where this CPU cannot run it; the choice stays as it was.
pub fn force_kernel(kernel: Kernel) -> Result<(), UnavailableKernel> {
    if Kernels::for_kernel(kernel).is_none() {
        return Err(UnavailableKernel { expected: kernel, found: Kernel::available() });
    }
    let index = (0_u8..).zip(Kernel::ALL).find(|(_, known)| *known == kernel).map_or(0, |(index, _)| index);
    FORCED.store(index, Ordering::Relaxed);
    Ok(())
}

/// The kernel that searches use now: the forced one, or else the fastest that this CPU has. Never [`Kernel::Auto`].
pub fn active_kernel() -> Kernel {
    Kernels::active().kernel
}

/// What a block's sums are held against. Everything is finite in a search; a NaN compares as false.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ScanParams {
    /// What all slots' estimates have in common: the query's dot with the centroid of the list.
    pub(crate) base: f32,
    /// Scale of the sums of table bytes: f = acc * a + b.
    pub(crate) a: f32,
    /// Offset of the sums of table bytes.
    pub(crate) b: f32,
    /// How far f may be off.
    pub(crate) s: f32,
    /// A slot is near if base + add + w0 * (f + s) is not below this.
    pub(crate) near_cut: f32,
    /// A slot is far if base + add + w0 * (f - s) is not above this.
    pub(crate) far_cut: f32,
}

/// Takes a block in which a slot is near or far: its number within the scan, the sum of table bytes of each slot, the
/// slots that are near and those that are far (bit i is slot i; unused slots of the last block are not masked here).
/// Gives the (`near_cut`, `far_cut`) that hold from the next block on.
pub(crate) type Visit<'a> = dyn FnMut(usize, &[u16; BLOCK_SLOTS], u64, u64) -> (f32, f32) + 'a;

/// One block, cut into its parts.
struct Block<'a> {
    lines: &'a [[u8; LINE_BYTES]],
    add: &'a [u8; FACTOR_BYTES],
    w0: &'a [u8; FACTOR_BYTES],
    /// Bytes from here to the block that is read ahead meanwhile; 0 where the scan has no block so far ahead.
    ahead_bytes: usize,
}

impl<'a> Block<'a> {
    /// The whole blocks of `bytes`; none if the tables of `lut` are of an odd number or do not fit into a block.
    #[inline]
    fn all(bytes: &'a [u8], stride: usize, lut: &[[u8; 16]]) -> impl Iterator<Item = Self> + use<'a> {
        let fits = lut.len().is_multiple_of(2) && stride >= block_bytes(lut.len());
        let (lines, stride) = (lut.len() / 2, stride.max(1));
        let blocks = if fits { bytes } else { &[] }.chunks_exact(stride);
        let (count, ahead) = (blocks.len(), AHEAD_BYTES.div_ceil(stride));
        let ahead_bytes = move |index| if count - index > ahead { ahead * stride } else { 0 };
        blocks.enumerate().map_while(move |(index, block)| Self::new(block, lines, ahead_bytes(index)))
    }

    #[inline]
    fn new(bytes: &'a [u8], lines: usize, ahead_bytes: usize) -> Option<Self> {
        let (codes, factors) = bytes.split_at_checked(lines * LINE_BYTES)?;
        let (add, factors) = factors.split_first_chunk()?;
        let (w0, _) = factors.split_first_chunk()?;
        Some(Self { lines: codes.as_chunks().0, add, w0, ahead_bytes })
    }

    /// Reads ahead what the later block has where this one has `part`.
    #[inline]
    #[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), expect(dead_code, reason = "not portable"))]
    fn read_ahead<const N: usize>(&self, part: &[u8; N]) {
        for line in part.as_chunks::<LINE_BYTES>().0 {
            prefetch_line(line.as_ptr().wrapping_add(self.ahead_bytes));
        }
    }
}

/// Reads `bytes` ahead of their use: rows that are looked at next, or the start of the next list. A scan reads ahead
/// within its own blocks only.
#[inline]
pub(crate) fn prefetch(bytes: &[u8]) {
    bytes.chunks(LINE_BYTES).for_each(|line| prefetch_line(line.as_ptr()));
    // Where `bytes` do not begin with a line of memory, they end in one more than was asked for so far.
    if let Some(last) = bytes.last() {
        prefetch_line(last);
    }
}

/// This CPU is left to read ahead by itself.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline]
fn prefetch_line(_: *const u8) {}

/// The dimensions that a query and a row have in common, by as many as are summed in 32 bits.
#[inline]
fn dot_chunks<'a>(query: &'a [i16], row: &'a [u8]) -> impl Iterator<Item = (&'a [i16], &'a [u8])> {
    let common = query.len().min(row.len());
    let (query, row) = (query.get(..common).unwrap_or_default(), row.get(..common).unwrap_or_default());
    zip(query.chunks(DOT_CHUNK), row.chunks(DOT_CHUNK))
}

/// `rest`, at most N values, and zeros after them.
#[inline]
fn padded<T: Copy + Default, const N: usize>(rest: &[T]) -> [T; N] {
    let mut full = [T::default(); N];
    zip(&mut full, rest).for_each(|(full, rest)| *full = *rest);
    full
}

/// Scans `blocks`, as many as there are whole ones of `block_bytes` each, with one table of `lut` per group, whose
/// bytes are at most 63 (larger ones wrap in the sum of four, so does a sum over 65,535: no more than 1040 groups).
/// Blocks are visited in order, each with the cuts that the visit before it gave. Returns how many blocks were
/// scanned: none if the tables are of an odd number or do not fit into a block.
type ScanBlocks = fn(&[u8], usize, &[[u8; 16]], &ScanParams, &mut Visit<'_>) -> usize;

/// The loops of one kernel. A table is only handed out where the CPU can run it.
pub(crate) struct Kernels {
    kernel: Kernel,
    /// `(blocks, block_bytes, lut, params, visit) -> blocks scanned`, see [`ScanBlocks`].
    pub(crate) scan_blocks: ScanBlocks,
    /// `(bits, flip, weights)`: the sum of those `weights`, 64 for each word, whose bit is set in `bits ^ flip`, over
    /// the words that all three have. Modulo 2^32, which takes 263,172 words.
    pub(crate) masked_sum: fn(&[u64], &[u64], &[u8]) -> u32,
    /// `(query, row)`: the dot product over the dimensions that both have, `row` being bytes of i8. Exact where no
    /// component of the query exceeds +-16,383; beyond it, sums of 1024 products wrap at 32 bits.
    pub(crate) dot_i8: fn(&[i16], &[u8]) -> i64,
}

impl Kernels {
    /// Those of the forced kernel, or else the fastest that this CPU can run.
    pub(crate) fn active() -> &'static Self {
        let forced = Kernel::ALL.get(usize::from(FORCED.load(Ordering::Relaxed))).copied();
        forced.and_then(Self::for_kernel).unwrap_or(&portable::KERNELS)
    }

    /// Those of one kernel, if this CPU can run it.
    pub(crate) fn for_kernel(kernel: Kernel) -> Option<&'static Self> {
        match kernel {
            Kernel::Auto => Kernel::ALL.into_iter().skip(1).find_map(Self::for_kernel),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => avx512::kernels(),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => avx2::kernels(),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon => neon::kernels(),
            Kernel::Portable => Some(&portable::KERNELS),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
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
        (float(), float(), float(), float(), float(), float())
            .prop_map(|(base, a, b, s, near_cut, far_cut)| ScanParams { base, a, b, s, near_cut, far_cut })
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
}
