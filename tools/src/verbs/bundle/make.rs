//! Writes a bundle.

use std::fs::File;
use std::io::{self, BufWriter, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use quantized_models::sha256_of_reader;
use serde::Serialize;
use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;

use super::BundleArgs;
use super::contents::{Contents, Item, SUMS, Source, TOP};
use crate::cli::Status;
use crate::output::say;

/// Models and shards hardly get smaller; programs do.
const LEVEL: i32 = 9;

#[derive(Debug, Serialize)]
struct Made {
    archive: PathBuf,
    files: usize,
    bytes: u64,
    sha256: String,
}

pub(super) fn run(out: &Path, args: &BundleArgs) -> anyhow::Result<Status> {
    let mut contents = Contents::gather(args)?;
    let sums = Source::Text(sums(&contents)?);
    contents.0.insert(SUMS.to_owned(), Item { source: sums, mode: 0o644 });
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let cannot = || format!("{}: cannot be written", out.display());
    let file = NamedTempFile::new_in(folder).with_context(cannot)?;
    write(&contents, file.as_file()).with_context(cannot)?;
    file.as_file().sync_all().with_context(cannot)?;
    file.persist(out).with_context(cannot)?;
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(cannot)?;
    let sha256 = sha256_of_reader(File::open(out)?, |_| {})?;
    let bytes = std::fs::metadata(out)?.len();
    let made = Made { archive: out.to_owned(), files: contents.0.len(), bytes, sha256 };
    let text = format!("{}: {} files, {bytes} bytes, sha256 {}\n", out.display(), made.files, made.sha256);
    say(args.json.as_ref(), &text)?;
    if let Some(json) = &args.json {
        json.write(&made)?;
    }
    Ok(Status::Done)
}

fn open(source: &Source) -> anyhow::Result<(Box<dyn Read + '_>, u64)> {
    Ok(match source {
        Source::Text(text) => (Box::new(Cursor::new(text.as_bytes())), text.len() as u64),
        Source::File(path) => {
            let file = File::open(path).with_context(|| format!("{}: cannot be read", path.display()))?;
            let length = file.metadata()?.len();
            (Box::new(file), length)
        }
    })
}

/// As `sha256sum` writes them.
fn sums(contents: &Contents) -> anyhow::Result<String> {
    let mut text = String::new();
    for (path, item) in &contents.0 {
        let sha256 = sha256_of_reader(open(&item.source)?.0, |_| {}).with_context(|| path.clone())?;
        text.push_str(&format!("{sha256}  {path}\n"));
    }
    Ok(text)
}

/// Nothing of this machine gets into the archive: no owners, no times, no order of a file system.
fn write(contents: &Contents, file: &File) -> anyhow::Result<()> {
    let time_s = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let encoder = zstd::Encoder::new(BufWriter::new(file), LEVEL)?;
    let mut archive = Builder::new(encoder);
    for (path, item) in &contents.0 {
        let (mut reader, length) = open(&item.source)?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(length);
        header.set_mode(item.mode);
        header.set_mtime(time_s);
        header.set_uid(0);
        header.set_gid(0);
        let mut exact = reader.by_ref().take(length);
        archive.append_data(&mut header, format!("{TOP}/{path}"), &mut exact).with_context(|| path.clone())?;
        if exact.limit() > 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof)).with_context(|| format!("{path}: changed"));
        }
    }
    archive.into_inner()?.finish()?.flush()?;
    Ok(())
}
