//! One JSON object per line.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::line_guard::LineGuard;
use super::table::{open, read_error};

/// Reads a file of JSON lines of any size, perhaps compressed.
pub(super) struct JsonLines {
    path: PathBuf,
    reader: BufReader<LineGuard<Box<dyn std::io::Read>>>,
    line: u64,
    text: Vec<u8>,
}

impl JsonLines {
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let reader = BufReader::with_capacity(1 << 18, LineGuard::new(open(path)?));
        Ok(Self { path: path.to_owned(), reader, line: 0, text: Vec::new() })
    }

    /// Bytes read so far, decompressed.
    pub(super) fn bytes(&self) -> u64 {
        self.reader.get_ref().total()
    }

    /// The next line that is not empty, with its number; the inner error says why it cannot be used.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub(super) fn next_line(&mut self) -> anyhow::Result<Option<(u64, Result<Value, String>)>> {
        loop {
            self.text.clear();
            let read = self.reader.read_until(b'\n', &mut self.text);
            let count = read.map_err(|error| read_error(&self.path, self.line, &error))?;
            if count == 0 {
                return Ok(None);
            }
            self.line += 1;
            if !self.text.trim_ascii().is_empty() {
                let value = serde_json::from_slice(&self.text);
                return Ok(Some((self.line, value.map_err(|error| format!("expected a JSON object: {error}")))));
            }
        }
    }
}

/// The text of the first of these keys that holds one; numbers as they are written.
pub(super) fn text(value: &Value, keys: &[&str]) -> String {
    let found = keys.iter().find_map(|key| value.get(key));
    match found {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}
