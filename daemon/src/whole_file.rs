//! Small files that are replaced as a whole, and folders that are there for good.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// Puts `content` in place of the file at `path`, in a folder that is there: after a loss of power it has the old content
/// or the new one.
///
/// # Errors
/// The folder cannot be written.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// The same without waiting for the disk: it outlives the process, but after a loss of power the file may be there or
/// not, and be cut.
///
/// # Errors
/// The folder cannot be written.
pub fn replace_unsynced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(folder_of(path))?;
    file.write_all(content)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// Makes a folder, and those above it, so that a loss of power does not take them away, nor what is made durable in them.
///
/// # Errors
/// The folder cannot be made.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(path)?;
    // Its own name in any case: whoever made it may have been killed before this.
    let made = if missing.is_empty() { vec![path] } else { missing };
    made.into_iter().try_for_each(|folder| File::open(folder_of(folder))?.sync_all())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}
