//! The loops that searches and builds spend their time in, for each kind of CPU.
//!
//! - `scan_blocks`: the first layer of 1-bit codes, 64 slots a block, by table lookups in registers ("fast-scan").
//! - `masked_sum`: the second layer of one row.
//! - `dot_i8`: the exact score of one row.
//! - `dot_tile`: the scores of four rows for four queries each, when a shard is built.
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
#[cfg(test)]
mod tests;

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
    /// x86-64 with AVX-512 (F, BW, VBMI and VNNI: Ice Lake, Zen 4 and later).
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

/// The same of all queries and rows of a tile.
#[inline]
fn tile_chunks<'a>(
    queries: &'a TileQueries<'_>,
    rows: &'a TileRows<'_>,
) -> impl Iterator<Item = (TileQueries<'a>, TileRows<'a>)> {
    let queries_have = queries.iter().map(|query| query.len());
    let common = queries_have.chain(rows.iter().map(|row| row.len())).min().unwrap_or_default();
    (0..common).step_by(DOT_CHUNK).map(move |start| {
        let chunk = start..common.min(start + DOT_CHUNK);
        let (queries, rows) = (
            queries.map(|query| query.get(chunk.clone()).unwrap_or_default()),
            rows.map(|row| row.get(chunk.clone()).unwrap_or_default()),
        );
        (queries, rows)
    })
}

/// Parts of four slices of equal length, N values each, that stand at the same place.
#[inline]
fn side_by_side<T, const N: usize>([a, b, c, d]: [&[T]; TILE]) -> impl Iterator<Item = [&[T; N]; TILE]> {
    let [a, b, c, d] = [a, b, c, d].map(|slice| slice.as_chunks().0);
    zip(zip(a, b), zip(c, d)).map(|((a, b), (c, d))| [a, b, c, d])
}

/// What [`side_by_side`] leaves, filled up with zeros.
#[inline]
fn left_over<T: Copy + Default, const N: usize>(slices: [&[T]; TILE]) -> [[T; N]; TILE] {
    slices.map(|slice| padded(slice.as_chunks::<N>().1))
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

/// Queries, and rows, of a tile.
pub(crate) const TILE: usize = 4;
/// The queries of a tile.
pub(crate) type TileQueries<'a> = [&'a [i16]; TILE];
/// The rows of a tile, bytes of i8.
pub(crate) type TileRows<'a> = [&'a [u8]; TILE];

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
    /// `(queries, rows)`: for each query its dot products with all rows, as `dot_i8` gives them, over the dimensions
    /// that all of them have.
    pub(crate) dot_tile: fn(&TileQueries<'_>, &TileRows<'_>) -> [[i64; TILE]; TILE],
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
