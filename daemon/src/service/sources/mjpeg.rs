//! Single JPEG pictures out of a stream of them.
//!
//! A picture is followed from marker to marker, so that a thumbnail inside it is not taken for the picture. What is no
//! picture is passed over until the next one begins.

/// Start of image, and the first byte of the marker that follows.
const START: [u8; 3] = [0xFF, 0xD8, 0xFF];

/// What came, and how far it was read.
#[derive(Debug)]
pub(super) struct Splitter {
    most: usize,
    buffer: Vec<u8>,
    /// Where in the buffer the next marker, or entropy-coded data, is read.
    at: usize,
    place: Place,
    /// Bytes that belonged to no whole picture.
    pub(super) passed_over: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a picture.
    Outside,
    /// A marker should stand here.
    Marker,
    /// Entropy-coded data up to a marker.
    Scan,
}

/// What the next bytes of a picture are.
enum Step {
    /// Further on.
    On,
    /// The picture ends before this byte.
    Whole(usize),
    /// More bytes are needed; a segment has at most 64 KiB.
    Short,
    /// This is no picture, or no longer one.
    Broken,
}

impl Splitter {
    /// For pictures of at most `most` bytes; larger ones are passed over.
    pub(super) fn new(most: usize) -> Self {
        Self { most, buffer: Vec::new(), at: 0, place: Place::Outside, passed_over: 0 }
    }

    /// Takes more of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole picture. Ask until there is none, then push more.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let step = match self.place {
                Place::Outside => {
                    if !self.find_start() {
                        return None;
                    }
                    Step::On
                }
                Place::Marker => self.marker(),
                Place::Scan => self.scan(),
            };
            match step {
                Step::On => {}
                Step::Whole(end) if end <= self.most => return Some(self.take(end)),
                Step::Whole(end) => self.pass_over(end),
                // What was read so far was in order, and a thumbnail in it must not be taken for a picture.
                Step::Short if self.buffer.len() > self.most => self.pass_over(self.at),
                Step::Short => return None,
                Step::Broken => self.pass_over(self.at),
            }
        }
    }

    /// Drops what comes before the start of a picture; false where there is none yet.
    fn find_start(&mut self) -> bool {
        let found = self.buffer.windows(START.len()).position(|window| window == START);
        // The end may be the beginning of a start.
        let before = found.unwrap_or_else(|| self.buffer.len().saturating_sub(START.len() - 1));
        self.passed_over = self.passed_over.saturating_add(before as u64);
        self.buffer.drain(..before);
        if found.is_some() {
            (self.at, self.place) = (2, Place::Marker);
        }
        found.is_some()
    }

    fn marker(&mut self) -> Step {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        match rest {
            [0xFF, 0xFF, ..] => self.at += 1,
            [0xFF, 0xD9, ..] => return Step::Whole(self.at + 2),
            [0xFF, 0x01 | 0xD0..=0xD7, ..] => self.at += 2,
            [0xFF, 0x00 | 0xD8, ..] => return Step::Broken,
            [0xFF, marker, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                if length < 2 {
                    return Step::Broken;
                }
                if rest.len() < 2 + length {
                    return Step::Short;
                }
                self.place = if *marker == 0xDA { Place::Scan } else { Place::Marker };
                self.at += 2 + length;
            }
            [] | [0xFF, ..] => return Step::Short,
            _ => return Step::Broken,
        }
        Step::On
    }

    fn scan(&mut self) -> Step {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let Some(offset) = rest.iter().position(|byte| *byte == 0xFF) else {
            self.at = self.buffer.len();
            return Step::Short;
        };
        self.at += offset;
        match rest.get(offset + 1) {
            None => return Step::Short,
            Some(0x00 | 0xD0..=0xD7) => self.at += 2,
            Some(0xFF) => self.at += 1,
            // The next picture begins in the middle of this one.
            Some(0xD8) => return Step::Broken,
            Some(_) => self.place = Place::Marker,
        }
        Step::On
    }

    fn take(&mut self, end: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(end);
        self.place = Place::Outside;
        std::mem::replace(&mut self.buffer, rest)
    }

    fn pass_over(&mut self, bytes: usize) {
        let bytes = bytes.min(self.buffer.len());
        self.passed_over = self.passed_over.saturating_add(bytes as u64);
        self.buffer.drain(..bytes);
        self.place = Place::Outside;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Start, a segment that holds a thumbnail, a scan with stuffed and restart bytes, and the end.
    fn picture(seed: u8) -> Vec<u8> {
        let thumbnail = [0xFF, 0xD8, 0xFF, 0xDA, 0x00, 0x02, seed, 0xFF, 0xD9];
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1, 0x00, 2 + thumbnail.len() as u8];
        bytes.extend(thumbnail);
        bytes.extend([0xFF, 0xFF, 0xDA, 0x00, 0x03, 0x01, seed, 0xFF, 0x00, 0x55, 0xFF, 0xD3, 0x77]);
        bytes.extend([0xFF, 0xC4, 0x00, 0x02, 0xFF, 0xDA, 0x00, 0x02, 0x11, 0xFF, 0xD9]);
        bytes
    }

    fn split(stream: &[u8], piece: usize, most: usize) -> (Vec<Vec<u8>>, u64) {
        let mut splitter = Splitter::new(most);
        let mut found = Vec::new();
        for bytes in stream.chunks(piece) {
            splitter.push(bytes);
            found.extend(std::iter::from_fn(|| splitter.next()));
        }
        (found, splitter.passed_over)
    }

    #[test]
    fn pictures_come_out_whole_whatever_the_pieces() {
        let pictures: Vec<Vec<u8>> = (0..5).map(picture).collect();
        let stream = pictures.concat();
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(split(&stream, piece, 1000), (pictures.clone(), 0), "pieces of {piece}");
        }
    }

    #[test]
    fn garbage_and_cut_pictures_are_passed_over_and_counted() {
        let cut = &picture(1)[..25];
        let garbage = [0xFF, 0xD8, 0xFF, 0x00, 0x00, b'-', b'-', 0xFF, 0xD8, 0x12];
        let stream = [&garbage[..], &picture(2), cut, &picture(3), &garbage, &picture(4)].concat();
        for piece in [1, 5, 1000] {
            let (found, passed_over) = split(&stream, piece, 1000);
            assert_eq!(found, [picture(2), picture(3), picture(4)], "pieces of {piece}");
            assert_eq!(passed_over, (2 * garbage.len() + cut.len()) as u64);
        }
    }

    #[test]
    fn a_picture_over_the_limit_is_passed_over_and_memory_is_bounded() {
        let mut large = picture(1);
        large.splice(large.len() - 2..large.len() - 2, vec![0x42; 5000]);
        let stream = [large.clone(), picture(2), large, picture(3)].concat();
        for piece in [1, 64, 100_000] {
            assert_eq!(split(&stream, piece, 200).0, [picture(2), picture(3)], "pieces of {piece}");
        }
        let mut splitter = Splitter::new(100);
        for _ in 0..1000 {
            splitter.push(&[0xFF; 64]);
            assert_eq!(splitter.next(), None);
            assert!(splitter.buffer.len() <= 100 + 64);
        }
    }
}
