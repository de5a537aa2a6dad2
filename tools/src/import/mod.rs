//! Public data sets as they are published, read row by row into poses CSVs.
//!
//! One file per data set; `docs/import.md` says how each lies on the disk. They share the opening of tables, archives
//! and JSON ([`table`], [`archives`], [`json_lines`]) and hand their rows to one [`Sink`](sink::Sink), which checks
//! names and coordinates, sees whether the picture is there, leaves out what a gallery must not hold, and counts.
//! Memory does not grow with the rows, except where a data set is small and its file says so.

pub(crate) mod any_vis_loc;
pub(crate) mod archives;
pub(crate) mod check;
mod coordinates;
pub(crate) mod dense_uav;
mod dropped;
pub(crate) mod emp16;
mod flickr;
pub(crate) mod gta_uav;
pub(crate) mod im2gps;
mod json_lines;
mod line_guard;
pub(crate) mod map;
pub(crate) mod mp16;
pub(crate) mod osv5m;
mod places365;
pub(crate) mod plain_table;
mod row_writer;
mod sink;
pub(crate) mod summary;
mod table;
pub(crate) mod uav_visloc;
pub(crate) mod university1652;
pub(crate) mod vigor;
mod without;
pub(crate) mod yfcc;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// What every import is told.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Folder of the data set.
    pub(crate) root: PathBuf,
    /// The poses CSV to write.
    pub(crate) out: PathBuf,
    /// Whether duplicates and pictures without a row are looked for, too.
    pub(crate) check: bool,
    /// Whether pictures are unpacked from archives first, beside them.
    pub(crate) extract: bool,
    /// Whether rows are kept whose pictures are not there.
    pub(crate) no_pictures: bool,
    /// Poses CSVs whose photos and users must not occur.
    pub(crate) without: Vec<PathBuf>,
    /// A CSV of all that was left out, with the reasons.
    pub(crate) dropped: Option<PathBuf>,
}

impl Request {
    /// The first of these files below the root that is there.
    ///
    /// # Errors
    /// None is.
    fn file(&self, candidates: &[&str]) -> anyhow::Result<PathBuf> {
        self.optional_file(candidates).with_context(|| {
            format!("{}: expected one of {} in it, found none", self.root.display(), candidates.join(", "))
        })
    }

    fn optional_file(&self, candidates: &[&str]) -> Option<PathBuf> {
        candidates.iter().map(|name| self.root.join(name)).find(|path| path.is_file())
    }

    /// A folder below the root that must be there.
    fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.root.join(name);
        if path.is_dir() { Ok(path) } else { bail!("{}: expected this folder, found none", path.display()) }
    }
}

/// A text without white space at its ends, as `str::trim`; what begins and ends with usual letters is not looked at twice.
fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [only] | [only, .., _] if !only.is_ascii_graphic() => text.trim(),
        [.., last] if last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

/// The last part of a path with `/` between its parts.
fn last_part(name: &str) -> &str {
    after_last(name, b'/')
}

/// What follows the last of these letters of ASCII; all of it where there is none.
fn after_last(text: &str, letter: u8) -> &str {
    let at = text.bytes().rposition(|byte| byte == letter);
    at.and_then(|at| text.get(at + 1..)).unwrap_or(text)
}

/// A name without its extension.
fn stem(name: &str) -> &str {
    name.bytes().rposition(|byte| byte == b'.').and_then(|at| name.get(..at)).unwrap_or(name)
}

/// Gives a finished temporary file its name, with the rights of a usual file.
fn persist(file: tempfile::NamedTempFile, path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let failed = || format!("{}: cannot write", path.display());
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).with_context(failed)?;
    file.persist(path).map(drop).with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_taken_off_as_by_trim() {
        for text in
            ["", " ", "a", "ab", " a", "a ", "\u{a0}a", "a\u{3000}", "\u{e9}", "\u{e9} ", "\ta b\r\n", "a\u{85}"]
        {
            assert_eq!(trimmed(text), text.trim(), "{text:?}");
        }
    }

    #[test]
    fn parts_of_names_are_found_from_the_end() {
        assert_eq!(["a/b/c.jpg", "c.jpg", "a/", ""].map(last_part), ["c.jpg", "c.jpg", "", ""]);
        assert_eq!(["a.b.jpg", "b", ".jpg", "b.", "\u{e9}.\u{e9}"].map(stem), ["a.b", "b", "", "b", "\u{e9}"]);
    }
}
