//! Bounds the length of lines before a parser has to hold one.

use std::io::{self, Read};

/// Bytes that may come without an end of line: no table of pictures has rows of such a length.
const MOST_LINE_BYTES: u64 = 16 << 20;

/// Passes bytes on, counts them, and fails where no line ends for too long.
#[derive(Debug)]
pub(super) struct LineGuard<R> {
    inner: R,
    since_line_end: u64,
    total: u64,
}

impl<R> LineGuard<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, since_line_end: 0, total: 0 }
    }

    /// Bytes that were read so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

impl<R: Read> Read for LineGuard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.total += count as u64;
        let last = buffer.get(..count).unwrap_or_default().iter().rposition(|byte| *byte == b'\n');
        self.since_line_end = match last {
            Some(at) => (count - at - 1) as u64,
            None => self.since_line_end + count as u64,
        };
        if self.since_line_end > MOST_LINE_BYTES {
            let message = format!("expected a line end within {MOST_LINE_BYTES} bytes, found none");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_pass_and_what_never_ends_does_not() {
        let lines = "a,b\n".repeat(5_000_000);
        let mut guard = LineGuard::new(lines.as_bytes());
        assert_eq!(io::copy(&mut guard, &mut io::sink()).unwrap(), 20_000_000);
        assert_eq!(guard.total(), 20_000_000);
        let error = io::copy(&mut LineGuard::new(io::repeat(b'a')), &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("line end"), "{error}");
    }
}
