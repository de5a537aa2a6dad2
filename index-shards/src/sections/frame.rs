//! What a frame of the section of details holds, and how it is put together and taken apart.
//!
//! For the `n` rows of its block; columns of numbers are split into planes, first the lowest byte of each, then the
//! next:
//!
//! | type | what |
//! |---|---|
//! | u8 × `n` | what a row has: bit 0 altitude, 1 heading, 2 footprint; other bits zero |
//! | u16 × `n` | bytes of its name |
//! | f32 × rows with altitude | metres above mean sea level |
//! | f32 × rows with heading | degrees clockwise from true north |
//! | i32 × rows with footprint, four columns | north, west, south, east, less the row's own latitude or longitude |
//! | bytes | the names, UTF-8, one after the other without separators |
//!
//! Edges are in units of 1e-7 degree, their differences modulo 2^32. A name has 1 to 1024 bytes and no control
//! characters. A frame holds at most 269,056 bytes, and nothing that says otherwise is believed.

use crate::fault::{Fault, expect};
use crate::place::{Footprint, Place, to_degrees, to_units};
use std::cell::RefCell;
use std::io;
use zstd::bulk::{Compressor, Decompressor};

/// Longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;
/// Rows of a block.
pub(crate) const BLOCK_ROWS: u32 = 256;
/// How hard frames are compressed, of Zstandard's 1 to 22.
const LEVEL: i32 = 3;
/// Bytes of a row in a frame beside its name, at most.
const ROW_BYTES: usize = 1 + 2 + 4 + 4 + 16;
/// Bytes that a frame holds, at most.
const MAX_RAW_BYTES: usize = BLOCK_ROWS as usize * (ROW_BYTES + MAX_NAME_BYTES);
/// Bytes of a frame, at most; Zstandard's own bound for incompressible content is less.
pub(super) const MAX_FRAME_BYTES: u64 = MAX_RAW_BYTES as u64 + MAX_RAW_BYTES as u64 / 128 + 1024;

const HAS_ALTITUDE: u8 = 1;
const HAS_HEADING: u8 = 1 << 1;
const HAS_FOOTPRINT: u8 = 1 << 2;

/// Checks a name's length and characters.
pub(crate) fn check_name(name: &str) -> Result<(), Fault> {
    let good = (1..=MAX_NAME_BYTES).contains(&name.len());
    expect(good, "name", format_args!("1 to {MAX_NAME_BYTES} bytes"), format_args!("{} bytes", name.len()))?;
    let expected = "text without control characters";
    expect(!name.contains(char::is_control), "name", expected, format_args!("{name:?}"))
}

/// Puts the rows of a block together and compresses them.
pub(crate) struct BlockWriter {
    compressor: Compressor<'static>,
    flags: Vec<u8>,
    name_bytes: Vec<[u8; 2]>,
    alts: Vec<[u8; 4]>,
    headings: Vec<[u8; 4]>,
    edges: [Vec<[u8; 4]>; 4],
    names: Vec<u8>,
}

impl BlockWriter {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            compressor: Compressor::new(LEVEL)?,
            flags: Vec::new(),
            name_bytes: Vec::new(),
            alts: Vec::new(),
            headings: Vec::new(),
            edges: Default::default(),
            names: Vec::new(),
        })
    }

    /// Appends a row whose place and name have been checked; true when that fills the block.
    pub(crate) fn push(&mut self, place: &Place, name: &str) -> bool {
        let footprint = place.footprint.map(|footprint| relative_edges(&footprint, place));
        let flags = [
            (HAS_ALTITUDE, place.alt_m.is_some()),
            (HAS_HEADING, place.heading_deg.is_some()),
            (HAS_FOOTPRINT, footprint.is_some()),
        ];
        self.flags.push(flags.iter().filter(|(_, there)| *there).map(|(flag, _)| flag).sum());
        self.name_bytes.push(u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
        self.alts.extend(place.alt_m.map(f32::to_le_bytes));
        self.headings.extend(place.heading_deg.map(f32::to_le_bytes));
        for (column, edge) in self.edges.iter_mut().zip(footprint.into_iter().flatten()) {
            column.push(edge.to_le_bytes());
        }
        self.names.extend(name.as_bytes());
        self.flags.len() == BLOCK_ROWS as usize
    }

    /// Whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// The frame of the rows so far; the next block is empty.
    pub(crate) fn take(&mut self) -> io::Result<Vec<u8>> {
        let mut raw = std::mem::take(&mut self.flags);
        planes(&mut self.name_bytes, &mut raw);
        planes(&mut self.alts, &mut raw);
        planes(&mut self.headings, &mut raw);
        self.edges.iter_mut().for_each(|column| planes(column, &mut raw));
        raw.append(&mut self.names);
        self.compressor.compress(&raw)
    }
}

/// North, west, south and east, less the place's own coordinates.
fn relative_edges(footprint: &Footprint, place: &Place) -> [i32; 4] {
    let (lat, lon) = (to_units(place.lat_deg), to_units(place.lon_deg));
    [(footprint.north_deg, lat), (footprint.west_deg, lon), (footprint.south_deg, lat), (footprint.east_deg, lon)]
        .map(|(edge_deg, own)| to_units(edge_deg).wrapping_sub(own))
}

/// Moves a column to `out`, byte by byte of its numbers.
fn planes<const N: usize>(column: &mut Vec<[u8; N]>, out: &mut Vec<u8>) {
    for plane in 0..N {
        out.extend(column.iter().filter_map(|number| number.get(plane)));
    }
    column.clear();
}

/// What a frame says of a row, unchecked but for its shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detail<'a> {
    name: &'a [u8],
    alt_m: Option<f32>,
    heading_deg: Option<f32>,
    edges: Option<[i32; 4]>,
}

impl<'a> Detail<'a> {
    /// The name, checked.
    pub(crate) fn name(&self) -> Result<&'a str, Fault> {
        let name = str::from_utf8(self.name).map_err(|error| Fault::new("name", "UTF-8", error))?;
        check_name(name).map(|()| name)
    }

    /// The place, checked, of a row with these coordinates, in stored units, and this time.
    pub(crate) fn place(&self, lat: i32, lon: i32, captured_at_ms: Option<i64>) -> Result<Place, Fault> {
        let footprint = self.edges.map(|[north, west, south, east]| Footprint {
            north_deg: to_degrees(lat.wrapping_add(north)),
            west_deg: to_degrees(lon.wrapping_add(west)),
            south_deg: to_degrees(lat.wrapping_add(south)),
            east_deg: to_degrees(lon.wrapping_add(east)),
        });
        let place = Place {
            lat_deg: to_degrees(lat),
            lon_deg: to_degrees(lon),
            alt_m: self.alt_m,
            heading_deg: self.heading_deg,
            captured_at_ms,
            footprint,
        };
        place.check().map(|()| place)
    }
}

/// A column of numbers in planes.
#[derive(Debug, Clone, Copy)]
struct Planes<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Planes<'a> {
    /// Takes the planes of `count` numbers of `width` bytes off the front of `rest`.
    fn split(rest: &mut &'a [u8], width: usize, count: usize) -> Result<Self, Fault> {
        let short = || Fault::new("frame", format_args!("{} more bytes", width * count), rest.len());
        let (bytes, after) = rest.split_at_checked(width * count).ok_or_else(short)?;
        *rest = after;
        Ok(Self { bytes, count })
    }

    fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut number = [0; N];
        for (byte, plane) in number.iter_mut().zip(0..) {
            *byte = self.bytes.get(plane * self.count + at).copied().unwrap_or_default();
        }
        number
    }
}

/// The rows of a block, taken apart one after the other.
pub(crate) struct Block<'a> {
    flags: &'a [u8],
    name_bytes: Planes<'a>,
    alts: Planes<'a>,
    headings: Planes<'a>,
    edges: [Planes<'a>; 4],
    names: &'a [u8],
    /// Rows that are done; and of them those with altitude, heading and footprint.
    done: usize,
    alts_done: usize,
    headings_done: usize,
    edges_done: usize,
}

impl<'a> Block<'a> {
    /// Of the `rows` rows that the frame with this content has.
    pub(crate) fn new(raw: &'a [u8], rows: usize) -> Result<Self, Fault> {
        let short = || Fault::new("frame", format_args!("{rows} rows"), format_args!("{} bytes", raw.len()));
        let (flags, mut rest) = raw.split_at_checked(rows).ok_or_else(short)?;
        let known = HAS_ALTITUDE | HAS_HEADING | HAS_FOOTPRINT;
        if let Some(flags) = flags.iter().find(|flags| **flags & !known != 0) {
            return Err(Fault::new("flags", "bits 0 to 2 only", format_args!("{flags:#x}")));
        }
        let count = |flag: u8| flags.iter().filter(|flags| **flags & flag != 0).count();
        let footprints = count(HAS_FOOTPRINT);
        let name_bytes = Planes::split(&mut rest, 2, rows)?;
        let alts = Planes::split(&mut rest, 4, count(HAS_ALTITUDE))?;
        let headings = Planes::split(&mut rest, 4, count(HAS_HEADING))?;
        let mut edge = || Planes::split(&mut rest, 4, footprints);
        let edges = [edge()?, edge()?, edge()?, edge()?];
        let names = rest;
        let expected: usize = (0..rows).map(|row| usize::from(u16::from_le_bytes(name_bytes.get(row)))).sum();
        expect(expected == names.len(), "names of a frame", format_args!("{expected} bytes"), names.len())?;
        let (done, alts_done, headings_done, edges_done) = (0, 0, 0, 0);
        Ok(Self { flags, name_bytes, alts, headings, edges, names, done, alts_done, headings_done, edges_done })
    }
}

impl<'a> Iterator for Block<'a> {
    type Item = Detail<'a>;

    fn next(&mut self) -> Option<Detail<'a>> {
        let flags = *self.flags.get(self.done)?;
        let bytes = u16::from_le_bytes(self.name_bytes.get(self.done));
        let (name, names) = self.names.split_at_checked(usize::from(bytes))?;
        self.names = names;
        self.done += 1;
        let alt_m = (flags & HAS_ALTITUDE != 0).then(|| {
            self.alts_done += 1;
            f32::from_le_bytes(self.alts.get(self.alts_done - 1))
        });
        let heading_deg = (flags & HAS_HEADING != 0).then(|| {
            self.headings_done += 1;
            f32::from_le_bytes(self.headings.get(self.headings_done - 1))
        });
        let edges = (flags & HAS_FOOTPRINT != 0).then(|| {
            self.edges_done += 1;
            self.edges.map(|edge| i32::from_le_bytes(edge.get(self.edges_done - 1)))
        });
        Some(Detail { name, alt_m, heading_deg, edges })
    }
}

/// What a thread needs to look into frames, kept from one to the next.
struct Unpacker {
    decompressor: Decompressor<'static>,
    raw: Vec<u8>,
}

thread_local! {
    static UNPACKER: RefCell<Option<Unpacker>> = const { RefCell::new(None) };
}

/// Hands the content of a frame to `look`.
///
/// # Errors
/// What is no frame, or holds more than a frame may.
pub(crate) fn unpack<T>(frame: &[u8], look: impl FnOnce(&[u8]) -> Result<T, Fault>) -> Result<T, Fault> {
    let refused =
        |error: io::Error| Fault::new("frame", format_args!("Zstandard, at most {MAX_RAW_BYTES} bytes"), error);
    UNPACKER.with_borrow_mut(|unpacker| {
        let unpacker = match unpacker {
            Some(unpacker) => unpacker,
            None => unpacker.insert(Unpacker {
                decompressor: Decompressor::new().map_err(refused)?,
                raw: Vec::with_capacity(MAX_RAW_BYTES),
            }),
        };
        unpacker.raw.clear();
        unpacker.decompressor.decompress_to_buffer(frame, &mut unpacker.raw).map_err(refused)?;
        look(&unpacker.raw)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_frame_or_holds_too_much_is_a_fault() {
        let bomb = zstd::bulk::compress(&vec![0; 100 << 20], 3).unwrap();
        assert!(bomb.len() < 20_000);
        let message = unpack(&bomb, |_| Ok(())).unwrap_err().to_string();
        assert!(message.contains("at most 269056 bytes"), "{message}");
        assert!(unpack(b"no frame", |_| Ok(())).is_err());
        assert!(unpack(b"", |raw| Block::new(raw, 1).map(drop)).is_err());
    }

    #[test]
    fn frames_of_the_wrong_shape_are_faults() {
        let shape = |raw: &[u8], rows: usize| Block::new(raw, rows).map(drop);
        assert_eq!(shape(&[0, 1, 0, b'a'], 1), Ok(()));
        assert!(shape(&[0, 1, 0], 1).is_err());
        assert!(shape(&[0, 1, 0, b'a', b'b'], 1).is_err());
        assert!(shape(&[8, 1, 0, b'a'], 1).unwrap_err().field == "flags");
        assert!(shape(&[1, 1, 0, b'a'], 1).is_err());
    }

    #[test]
    fn a_full_block_of_the_longest_names_fits() {
        let mut writer = BlockWriter::new().unwrap();
        let footprint = Footprint { north_deg: 1.0, west_deg: 0.0, south_deg: 0.0, east_deg: 1.0 };
        let place =
            Place { alt_m: Some(1.0), heading_deg: Some(1.0), footprint: Some(footprint), ..Place::at(52.5, -179.999) };
        let mut state = 1_u64;
        for row in 0..BLOCK_ROWS {
            let name: String = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b'!' + (state >> 33) as u8 % 94)
            })
            .take(MAX_NAME_BYTES)
            .collect();
            assert_eq!(writer.push(&place, &name), row == BLOCK_ROWS - 1);
        }
        let frame = writer.take().unwrap();
        assert!(frame.len() as u64 <= MAX_FRAME_BYTES);
        assert_eq!(unpack(&frame, |raw| Ok(raw.len())), Ok(MAX_RAW_BYTES));
    }
}
