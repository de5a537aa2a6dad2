//! Where the parts of a JPEG lie, read from its markers alone (ITU-T T.81, annex B).
//!
//! A decoder that starts on a cut or hollow file pays for the declared size before it notices. The markers tell
//! earlier: the frame header states the size, and a whole file reaches its end marker.

use crate::error::DecodeError;

const SOF0: u8 = 0xC0;
const SOF2: u8 = 0xC2;
const DHT: u8 = 0xC4;
const JPG: u8 = 0xC8;
const DAC: u8 = 0xCC;
const SOF15: u8 = 0xCF;
const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;

/// One marker and its parameters.
struct Segment<'a> {
    marker: u8,
    /// The parameters after the length; empty for SOI and EOI.
    payload: &'a [u8],
}

/// The markers of a JPEG in order. Entropy-coded data is stepped over. Ends where the bytes end, also when that is in
/// the middle of a segment.
struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    /// Offset of the next marker's code byte: the first byte after a 0xFF that is no stuffing, fill or restart marker.
    fn next_code(&mut self) -> Option<(usize, u8)> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            self.at += rest.iter().position(|&byte| byte == 0xFF)? + 1;
            match *self.bytes.get(self.at)? {
                0xFF => {}
                0x00 | 0x01 | 0xD0..=0xD7 => self.at += 1,
                code => return Some((self.at, code)),
            }
        }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        let (code_at, marker) = self.next_code()?;
        if marker == SOI || marker == EOI {
            self.at = code_at + 1;
            return Some(Segment { marker, payload: &[] });
        }
        let after = self.bytes.get(code_at + 1..)?;
        let length = usize::from(u16::from_be_bytes(*after.first_chunk::<2>()?));
        let payload = after.get(2..length)?;
        self.at = code_at + 1 + length;
        Some(Segment { marker, payload })
    }
}

/// The frame header: size and components of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Pixels, at least 1.
    pub(crate) width: u32,
    /// Pixels, at least 1.
    pub(crate) height: u32,
    /// Blocks of 8 x 8 samples in all components.
    blocks: u64,
    /// Whether the picture is coded in several passes over all blocks.
    pub(crate) progressive: bool,
}

impl FrameHeader {
    fn parse(segment: &Segment<'_>) -> Option<Self> {
        let (&[_precision, h1, h0, w1, w0, _count], components) = segment.payload.split_first_chunk::<6>()?;
        let width = u32::from(u16::from_be_bytes([w1, w0]));
        let height = u32::from(u16::from_be_bytes([h1, h0]));
        let factors: Vec<(u64, u64)> = components
            .chunks_exact(3)
            .filter_map(|component| component.get(1))
            .map(|&sampling| (u64::from(sampling >> 4), u64::from(sampling & 15)))
            .collect();
        let h_max = factors.iter().map(|&(h, _)| h).max().filter(|&h| h > 0)?;
        let v_max = factors.iter().map(|&(_, v)| v).max().filter(|&v| v > 0)?;
        let across = |h: u64| (u64::from(width) * h).div_ceil(h_max * 8);
        let down = |v: u64| (u64::from(height) * v).div_ceil(v_max * 8);
        let blocks = factors.iter().map(|&(h, v)| across(h) * down(v)).sum();
        Some(Self { width, height, blocks, progressive: segment.marker == SOF2 })
    }

    /// The least number of bytes in which the picture can be coded. A Huffman code is at least one bit long; a block
    /// of a sequential picture takes two codes (DC, end of block), a block of a progressive one takes one (DC).
    pub(crate) fn least_bytes(&self) -> u64 {
        let bits = if self.progressive { self.blocks } else { self.blocks * 2 };
        bits / 8
    }
}

/// A JPEG's markers, as far as decoding has to know them beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JpegLayout {
    /// The first frame header.
    pub(crate) frame: FrameHeader,
    /// Whether there is a start-of-scan marker.
    pub(crate) has_scan: bool,
    /// Whether Huffman tables come before the first scan.
    pub(crate) has_huffman_tables: bool,
    /// Whether the end marker comes after a scan.
    pub(crate) is_complete: bool,
}

fn is_frame_header(marker: u8) -> bool {
    (SOF0..=SOF15).contains(&marker) && ![DHT, JPG, DAC].contains(&marker)
}

/// The first frame header of `encoded`, which starts with FF D8.
pub(crate) fn frame_header(encoded: &[u8]) -> Result<FrameHeader, DecodeError> {
    let mut segments = Segments { bytes: encoded, at: 0 };
    let header = segments.find(|segment| is_frame_header(segment.marker));
    let segment = header.ok_or_else(|| DecodeError::Cut {
        format: "JPEG",
        expected: "a frame header (SOF)".to_owned(),
        found_bytes: encoded.len(),
    })?;
    match FrameHeader::parse(&segment) {
        Some(frame) if frame.width > 0 && frame.height > 0 => Ok(frame),
        Some(frame) => Err(damaged(format!("its frame header says {} x {} pixels", frame.width, frame.height))),
        None => Err(damaged("its frame header (SOF) names no components".to_owned())),
    }
}

fn damaged(reason: String) -> DecodeError {
    DecodeError::Damaged { format: "JPEG", reason }
}

/// The layout of `encoded`, which starts with FF D8 and has the frame header `frame`; reads up to the first end marker
/// after a scan.
pub(crate) fn layout(encoded: &[u8], frame: FrameHeader) -> JpegLayout {
    let mut layout = JpegLayout { frame, has_scan: false, has_huffman_tables: false, is_complete: false };
    for segment in (Segments { bytes: encoded, at: 0 }) {
        match segment.marker {
            DHT if !layout.has_scan => layout.has_huffman_tables = true,
            SOS if !layout.has_scan => layout.has_scan = true,
            EOI if layout.has_scan => {
                layout.is_complete = true;
                break;
            }
            _ => {}
        }
    }
    layout
}
