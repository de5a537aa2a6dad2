//! Pictures in archives: zip, tar, tar.gz, and a tar in parts. Nothing is written outside the archive's folder, no file
//! larger than a picture, and no archive is taken that is not whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::dropped::{Dropped, Reason};
use crate::pictures::is_picture;

/// A picture may have so many bytes.
const MOST_PICTURE_BYTES: u64 = 64 << 20;
/// A compressed picture may grow by so much when it is more than [`SMALL_BYTES`]: pictures hardly compress at all.
const MOST_RATIO: u64 = 50;
const SMALL_BYTES: u64 = 1 << 20;
/// The end of a tar: a block of zeros.
const TAR_BLOCK: u64 = 512;
/// Folders below the root in which archives are looked for.
const DEPTH: usize = 3;

/// What came out of archives.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Extracted {
    /// Archives that were read; a tar in parts is one.
    pub(crate) archives: usize,
    /// Pictures that were written.
    pub(crate) pictures: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Pictures that an earlier run had written.
    pub(crate) there_already: u64,
    /// Entries that were refused, by reason.
    pub(crate) refused: BTreeMap<&'static str, Reason>,
}

/// One archive.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Archive {
    Zip(PathBuf),
    TarGz(PathBuf),
    /// A tar, in as many parts as there are, in their order.
    Tar(Vec<PathBuf>),
}

impl Archive {
    fn name(&self) -> &Path {
        match self {
            Self::Zip(path) | Self::TarGz(path) => path,
            Self::Tar(parts) => parts.first().map_or(Path::new(""), PathBuf::as_path),
        }
    }
}

/// Unpacks the pictures of all archives below a folder, each beside its archive. What is there in full length already is
/// left as it is, so a run that was stopped goes on.
///
/// # Errors
/// An archive is not whole or cannot be read, or a picture cannot be written.
pub(super) fn extract_all(root: &Path) -> anyhow::Result<Extracted> {
    let (mut extracted, mut refused) = (Extracted::default(), Dropped::new(None)?);
    let archives = find(root)?;
    if archives.is_empty() {
        bail!(
            "--extract: expected archives (.zip, .tar, .tar.gz or parts of a tar) below {}, found none",
            root.display()
        );
    }
    for archive in archives {
        let folder = archive.name().parent().unwrap_or(root).to_owned();
        let mut unpack = Unpack { folder: &folder, extracted: &mut extracted, refused: &mut refused };
        match &archive {
            Archive::Zip(path) => unpack_zip(path, &mut unpack)?,
            Archive::TarGz(path) => {
                let file = File::open(path).with_context(|| format!("{}: cannot read", path.display()))?;
                unpack_tar(path, MultiGzDecoder::new(BufReader::new(file)), &mut unpack)?;
            }
            Archive::Tar(parts) => {
                see_that_it_is_whole(parts)?;
                unpack_tar(archive.name(), Parts::new(parts)?, &mut unpack)?;
            }
        }
        extracted.archives += 1;
    }
    extracted.refused = refused.finish()?;
    Ok(extracted)
}

/// All archives below a folder, sorted by name.
fn find(root: &Path) -> anyhow::Result<Vec<Archive>> {
    let (mut archives, mut parts): (Vec<Archive>, BTreeMap<PathBuf, Vec<PathBuf>>) = (Vec::new(), BTreeMap::new());
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("{}: cannot read", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("{}: cannot read", folder.display()))?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = entry.file_name().to_string_lossy().to_lowercase();
            if kind.is_dir() && depth < DEPTH {
                folders.push((path, depth + 1));
            } else if !kind.is_file() {
                continue;
            } else if name.ends_with(".zip") {
                archives.push(Archive::Zip(path));
            } else if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
                archives.push(Archive::TarGz(path));
            } else if name.ends_with(".tar") {
                archives.push(Archive::Tar(vec![path]));
            } else if let Some(whole) = part_of(&path) {
                parts.entry(whole).or_default().push(path);
            }
        }
    }
    archives.extend(parts.into_values().map(|mut parts| {
        parts.sort();
        Archive::Tar(parts)
    }));
    archives.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(archives)
}

/// Of which tar a file is a part, by its name: `mp-16-images00`, `images.tar.03`, `images.tar.partaa`.
fn part_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let whole = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    if let Some((tar, part)) = name.split_once(".tar.") {
        let part = part.strip_prefix("part").unwrap_or(part).trim_start_matches(['-', '_']);
        let is_part = (2..=4).contains(&part.len())
            && !["gz", "xz", "lz"].contains(&part)
            && (part.bytes().all(|b| b.is_ascii_digit())
                || part.bytes().all(|b| b.is_ascii_lowercase()) && part.len() == 2);
        return is_part.then(|| path.with_file_name(format!("{tar}.tar")));
    }
    let digits = name.len() - whole.len();
    (whole.ends_with("-images") && (2..=4).contains(&digits)).then(|| path.with_file_name(format!("{whole}.tar")))
}

/// A tar is whole when no part is missing between the first and the last, all parts but the last have the same length,
/// and it ends with its end mark.
fn see_that_it_is_whole(parts: &[PathBuf]) -> anyhow::Result<()> {
    let length = |path: &PathBuf| fs::metadata(path).map(|found| found.len());
    let lengths: Vec<u64> = parts.iter().map(length).collect::<Result<_, _>>()?;
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        let digits = name.len() - name.trim_end_matches(|letter: char| letter.is_ascii_digit()).len();
        name.get(name.len() - digits..)?.parse::<u64>().ok()
    };
    if let (true, Some(numbers)) = (parts.len() > 1, parts.iter().map(number).collect::<Option<Vec<u64>>>()) {
        let gap = numbers.windows(2).find_map(|pair| match pair {
            [before, after] if before + 1 != *after => Some((*before, *after)),
            _ => None,
        });
        let first = numbers.first().copied().filter(|first| *first > 1).map(|first| (0, first));
        if let Some((before, after)) = gap.or(first) {
            let name = parts.first().map(|path| path.display().to_string()).unwrap_or_default();
            bail!("{name} and what follows: expected parts without a gap, found {after} after {before}");
        }
    }
    let longest = lengths.iter().max().copied().unwrap_or_default();
    let short = parts.iter().zip(&lengths).rev().skip(1).find(|(_, length)| **length != longest);
    if let Some((part, length)) = short {
        bail!(
            "{}: expected {longest} bytes as the other parts have, found {length}; is the download whole?",
            part.display()
        );
    }
    let Some(last) = parts.last() else { return Ok(()) };
    if tail(parts)?.is_none_or(|block| block.iter().any(|byte| *byte != 0)) {
        bail!("{}: expected the end mark of a tar, found none; is the download whole?", last.display());
    }
    Ok(())
}

/// The last block of files that are one, which may go over an edge between them; `None` where there are fewer bytes.
fn tail(parts: &[PathBuf]) -> anyhow::Result<Option<Vec<u8>>> {
    let mut block = Vec::new();
    for part in parts.iter().rev() {
        let failed = || format!("{}: cannot read", part.display());
        let mut file = File::open(part).with_context(failed)?;
        let missing = TAR_BLOCK - block.len() as u64;
        let from = file.metadata().with_context(failed)?.len().saturating_sub(missing);
        let mut end = Vec::new();
        file.seek(SeekFrom::Start(from)).and_then(|_| file.take(missing).read_to_end(&mut end)).with_context(failed)?;
        end.extend(block);
        block = end;
        if block.len() as u64 == TAR_BLOCK {
            return Ok(Some(block));
        }
    }
    Ok(None)
}

/// Files read as if they were one.
struct Parts<'a> {
    files: std::slice::Iter<'a, PathBuf>,
    open: Option<BufReader<File>>,
}

impl<'a> Parts<'a> {
    fn new(paths: &'a [PathBuf]) -> anyhow::Result<Self> {
        let mut parts = Self { files: paths.iter(), open: None };
        parts.advance()?;
        Ok(parts)
    }

    fn advance(&mut self) -> io::Result<()> {
        self.open = self.files.next().map(File::open).transpose()?.map(|file| BufReader::with_capacity(1 << 18, file));
        Ok(())
    }
}

impl Read for Parts<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(file) = &mut self.open {
            let count = file.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            self.advance()?;
        }
        Ok(0)
    }
}

/// Where entries go.
struct Unpack<'a> {
    folder: &'a Path,
    extracted: &'a mut Extracted,
    refused: &'a mut Dropped,
}

/// What an archive says of an entry.
struct Entry<'a> {
    name: &'a str,
    bytes: u64,
    /// Bytes in the archive, where it is compressed by itself.
    compressed: Option<u64>,
    is_file: bool,
}

impl Unpack<'_> {
    /// Where an entry is to be written; `None` of one that is no picture, is there already, or is refused.
    fn target(&mut self, archive: &Path, entry: &Entry<'_>) -> anyhow::Result<Option<PathBuf>> {
        let name = Path::new(entry.name);
        let full = format!("{}: {}", archive.display(), entry.name);
        let stays = name.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !stays || entry.name.contains(['\\', '\0']) {
            self.refused.add(&full, "unsafe_name", "expected a path below the archive's folder")?;
            return Ok(None);
        }
        if !is_picture(name) {
            return Ok(None);
        }
        if !entry.is_file {
            self.refused.add(&full, "no_file", "expected a file, found a link or a device")?;
            return Ok(None);
        }
        if entry.bytes > MOST_PICTURE_BYTES {
            let message = format!("expected a picture of at most {MOST_PICTURE_BYTES} bytes, found {}", entry.bytes);
            self.refused.add(&full, "too_large", &message)?;
            return Ok(None);
        }
        let grown = entry.compressed.is_some_and(|compressed| entry.bytes / MOST_RATIO > compressed.max(1));
        if entry.bytes > SMALL_BYTES && grown {
            let message = format!("expected what a picture packs to, found {} bytes in a fraction of it", entry.bytes);
            self.refused.add(&full, "bomb", &message)?;
            return Ok(None);
        }
        let target = self.folder.join(name);
        if fs::symlink_metadata(&target).is_ok_and(|found| found.is_file() && found.len() == entry.bytes) {
            self.extracted.there_already += 1;
            return Ok(None);
        }
        Ok(Some(target))
    }

    /// Writes what `reader` brings, which must be as many bytes as the archive says. The picture appears when it is whole.
    fn write(&mut self, archive: &Path, (target, bytes): (&Path, u64), reader: impl Read) -> anyhow::Result<()> {
        let folder = target.parent().unwrap_or(self.folder);
        fs::create_dir_all(folder).with_context(|| format!("{}: cannot make", folder.display()))?;
        let mut file = NamedTempFile::new_in(folder).with_context(|| format!("{}: cannot write", folder.display()))?;
        let copied = io::copy(&mut reader.take(bytes.saturating_add(1)), &mut file);
        let copied = copied.and_then(|copied| file.flush().map(|()| copied));
        let copied = copied.with_context(|| format!("{}: cannot unpack {}", archive.display(), target.display()))?;
        if copied != bytes {
            bail!(
                "{}: {}: expected {bytes} bytes, found {}; is the download whole?",
                archive.display(),
                target.display(),
                if copied > bytes { "more".to_owned() } else { copied.to_string() }
            );
        }
        super::persist(file, target)?;
        self.extracted.pictures += 1;
        self.extracted.bytes += bytes;
        Ok(())
    }
}

fn unpack_zip(path: &Path, unpack: &mut Unpack<'_>) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("{}: cannot read", path.display()))?;
    let whole = |error: zip::result::ZipError| anyhow::anyhow!("{}: {error}; is the download whole?", path.display());
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(whole)?;
    if archive.has_overlapping_files().map_err(whole)? {
        bail!("{}: its entries lie one over the other, as those of a zip bomb do", path.display());
    }
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).map_err(whole)?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        if entry.is_dir() {
            continue;
        }
        let found = Entry {
            name: &name,
            bytes: entry.size(),
            compressed: Some(entry.compressed_size()),
            is_file: entry.is_file(),
        };
        if let Some(target) = unpack.target(path, &found)? {
            let bytes = found.bytes;
            unpack.write(path, (&target, bytes), &mut entry)?;
        }
    }
    Ok(())
}

fn unpack_tar(path: &Path, reader: impl Read, unpack: &mut Unpack<'_>) -> anyhow::Result<()> {
    let cut = |error: io::Error| anyhow::anyhow!("{}: {error}; is the download whole?", path.display());
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().map_err(cut)? {
        let mut entry = entry.map_err(cut)?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let found = Entry { name: &name, bytes: entry.size(), compressed: None, is_file: kind.is_file() };
        if let Some(target) = unpack.target(path, &found)? {
            let bytes = found.bytes;
            unpack.write(path, (&target, bytes), &mut entry)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_tar_are_told_from_other_files() {
        for (name, whole) in [
            ("mp-16-images00", Some("mp-16-images.tar")),
            ("mp-16-images18", Some("mp-16-images.tar")),
            ("a.tar.03", Some("a.tar")),
            ("a.tar.partab", Some("a.tar")),
            ("a.tar.part-01", Some("a.tar")),
            ("a.tar.gz", None),
            ("a.tar.xz", None),
            ("images.csv", None),
            ("photo01", None),
        ] {
            assert_eq!(part_of(Path::new(name)), whole.map(PathBuf::from), "{name}");
        }
    }

    #[test]
    fn parts_are_read_as_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = ["a", "b", "c"].iter().map(|name| folder.path().join(name)).collect();
        for (path, text) in paths.iter().zip(["one ", "", "two"]) {
            fs::write(path, text).unwrap();
        }
        assert_eq!(io::read_to_string(Parts::new(&paths).unwrap()).unwrap(), "one two");
    }
}
