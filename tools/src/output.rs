//! Where figures and texts go.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use serde::Serialize;

/// Where JSON goes: a file, or standard output when the argument is `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonTarget {
    /// Standard output.
    Stdout,
    /// A file, which is replaced.
    File(PathBuf),
}

impl FromStr for JsonTarget {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "-" { Self::Stdout } else { Self::File(PathBuf::from(text)) })
    }
}

impl JsonTarget {
    /// Writes `value` as indented JSON with a line end.
    ///
    /// # Errors
    /// The target cannot be written.
    pub fn write(&self, value: &impl Serialize) -> anyhow::Result<()> {
        self.write_text(&(serde_json::to_string_pretty(value)? + "\n"))
    }

    /// Opens the target for one JSON value per line.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn lines(&self) -> anyhow::Result<JsonLines> {
        Ok(JsonLines(match self {
            Self::Stdout => Box::new(io::stdout().lock()),
            Self::File(path) => {
                Box::new(fs::File::create(path).with_context(|| format!("{}: cannot write", path.display()))?)
            }
        }))
    }

    /// Writes `value` as JSON on one line.
    ///
    /// # Errors
    /// The target cannot be written.
    pub fn write_line(&self, value: &impl Serialize) -> anyhow::Result<()> {
        self.write_text(&(serde_json::to_string(value)? + "\n"))
    }

    fn write_text(&self, text: &str) -> anyhow::Result<()> {
        match self {
            Self::Stdout => print(text),
            Self::File(path) => fs::write(path, text).with_context(|| format!("{}: cannot write", path.display())),
        }
    }
}

/// Writes JSON values, each on its own line and at once.
pub struct JsonLines(Box<dyn Write>);

impl JsonLines {
    /// Writes one value.
    ///
    /// # Errors
    /// The target cannot be written.
    pub fn write(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let line = serde_json::to_string(value)? + "\n";
        self.0.write_all(line.as_bytes())?;
        Ok(self.0.flush()?)
    }
}

/// Writes text for people: to standard output, or to standard error when JSON goes to standard output.
///
/// # Errors
/// The stream cannot be written.
pub fn say(json: Option<&JsonTarget>, text: &str) -> anyhow::Result<()> {
    match json {
        Some(JsonTarget::Stdout) => Ok(io::stderr().lock().write_all(text.as_bytes())?),
        _ => print(text),
    }
}

/// Writes text to standard output at once.
///
/// # Errors
/// The stream cannot be written; [`is_broken_pipe`] tells when its reader has gone.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Whether an error means that the reader of a pipe has gone, as `head` does: a quiet end, not a failure.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
