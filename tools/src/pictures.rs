//! The pictures below one folder: their names, their bytes, the positions in their EXIF tags.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use index_shards::Place;
use quantized_models::{DecodeLimits, ExifTags};
use thiserror::Error;

use crate::ordered::ordered_map;
use crate::poses::{Pose, PoseTable, Refused};

/// Extensions of the files that are taken for pictures, in lower case.
const EXTENSIONS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// Why a picture cannot be read.
#[derive(Debug, Error)]
pub enum PictureError {
    /// The name leads out of the folder.
    #[error("{name}: expected a path below {folder}, found one that leads out of it")]
    Outside {
        /// The name.
        name: String,
        /// The folder of pictures.
        folder: PathBuf,
    },
    /// There is no such file.
    #[error("{path}: no such picture")]
    Missing {
        /// The picture.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("{path}: cannot read: {source}")]
    Read {
        /// The picture.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than a picture may be.
    #[error("{path}: expected a picture of at most {limit} bytes, found {found}")]
    TooLarge {
        /// The picture.
        path: PathBuf,
        /// Bytes that it may have.
        limit: usize,
        /// Bytes that it has at least.
        found: u64,
    },
}

impl PictureError {
    /// One word for the kind of error, to count by.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Outside { .. } => "outside_folder",
            Self::Missing { .. } => "missing_picture",
            Self::Read { .. } => "unreadable_picture",
            Self::TooLarge { .. } => "too_large",
        }
    }
}

/// The path of a picture below `folder`.
///
/// # Errors
/// [`PictureError::Outside`] for absolute names and names with `..`.
pub fn path_below(folder: &Path, name: &str) -> Result<PathBuf, PictureError> {
    let relative = Path::new(name);
    let stays = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if stays {
        Ok(folder.join(relative))
    } else {
        Err(PictureError::Outside { name: name.to_owned(), folder: folder.to_owned() })
    }
}

/// Reads a picture's bytes, at most `limit` of them.
///
/// # Errors
/// The file is not there, cannot be read, or is larger.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>, PictureError> {
    let fail = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => PictureError::Missing { path: path.to_owned() },
        _ => PictureError::Read { path: path.to_owned(), source },
    };
    let file = File::open(path).map_err(fail)?;
    let length = file.metadata().map_err(fail)?.len();
    let too_large = |found| PictureError::TooLarge { path: path.to_owned(), limit, found };
    if usize::try_from(length).is_ok_and(|length| length > limit) {
        return Err(too_large(length));
    }
    let mut bytes = Vec::new();
    file.take((limit as u64).saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() > limit { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
}

/// Reads the picture `name` below `folder`, at most as many bytes as `limits` allow.
///
/// # Errors
/// As [`path_below`] and [`read`].
pub fn read_below(folder: &Path, name: &str, limits: &DecodeLimits) -> Result<Vec<u8>, PictureError> {
    read(&path_below(folder, name)?, limits.max_bytes)
}

/// The names of all pictures below `folder`, at any depth, relative to it and sorted. A picture is a file whose name
/// ends in `.jpg`, `.jpeg`, `.png` or `.webp`, in upper or lower case. Folders behind links are not entered.
///
/// # Errors
/// A folder cannot be read.
pub fn names_below(folder: &Path) -> Result<Vec<String>, PictureError> {
    let mut names = Vec::new();
    for_each_below(folder, |name| {
        names.push(name.to_owned());
        Ok::<(), PictureError>(())
    })?;
    names.sort_unstable();
    Ok(names)
}

/// Hands the names to `visit` as [`names_below`] finds them, in no order.
pub(crate) fn for_each_below<E: From<PictureError>>(
    folder: &Path,
    mut visit: impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        let fail = |source| PictureError::Read { path: current.clone(), source };
        for entry in fs::read_dir(&current).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let path = entry.path();
            if entry.file_type().map_err(fail)?.is_dir() {
                folders.push(path);
            } else if is_picture(&path)
                && let Some(name) = path.strip_prefix(folder).ok().and_then(Path::to_str)
            {
                visit(name)?;
            }
        }
    }
    Ok(())
}

pub(crate) fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// The pictures below `folder` with the positions in their EXIF tags, sorted by name; those without a position stand in
/// [`PoseTable::refused`]. `done` is called after each picture.
///
/// # Errors
/// A folder cannot be read.
pub fn poses_from_exif(
    folder: &Path,
    limits: &DecodeLimits,
    threads: usize,
    mut done: impl FnMut(),
) -> Result<PoseTable, PictureError> {
    let names = names_below(folder)?;
    let mut table = PoseTable { path: folder.to_owned(), rows: names.len(), ..PoseTable::default() };
    let work = |(index, name): (usize, String)| exif_pose(folder, index, name, limits);
    ordered_map(names.into_iter().enumerate(), threads, work, |result| {
        match result {
            Ok(pose) => table.poses.push(pose),
            Err(refused) => table.refused.push(refused),
        }
        done();
        Ok::<(), PictureError>(())
    })?;
    Ok(table)
}

/// The position that the EXIF tags of a picture give.
pub(crate) fn exif_pose(folder: &Path, index: usize, name: String, limits: &DecodeLimits) -> Result<Pose, Refused> {
    let bytes = match read_below(folder, &name, limits) {
        Ok(bytes) => bytes,
        Err(error) => return Err(Refused { name, reason: error.reason(), message: error.to_string() }),
    };
    let tags = ExifTags::read(&bytes);
    let Some(position) = tags.position else {
        let message = "expected a position in the EXIF tags, found none".to_owned();
        return Err(Refused { name, reason: "no_position", message });
    };
    let place = Place {
        alt_m: position.alt_m,
        heading_deg: tags.heading_deg,
        captured_at_ms: tags.captured_at_ms,
        ..Place::at(position.lat_deg, position.lon_deg)
    };
    Ok(Pose {
        index,
        line: 0,
        file: name,
        place,
        role: None,
        positive: None,
        semi_positives: Vec::new(),
        columns: std::collections::BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_of_the_folder_are_refused() {
        let folder = Path::new("/pictures");
        for name in ["../a.jpg", "/etc/passwd", "a/../../b.jpg", "a/..", ".."] {
            assert!(matches!(path_below(folder, name), Err(PictureError::Outside { .. })), "{name}");
        }
        assert_eq!(path_below(folder, "a/b.jpg").unwrap(), Path::new("/pictures/a/b.jpg"));
        assert_eq!(path_below(folder, "./b..jpg").unwrap(), Path::new("/pictures/./b..jpg"));
    }

    #[test]
    fn pictures_are_found_at_any_depth_and_sorted() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("z/y")).unwrap();
        for name in ["b.JPG", "a.webp", "z/y/c.jpeg", "z/d.png", "notes.txt", "film.mp4", "jpg"] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        assert_eq!(names_below(folder.path()).unwrap(), ["a.webp", "b.JPG", "z/d.png", "z/y/c.jpeg"]);
        let error = names_below(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("none"), "{error}");
    }

    #[test]
    fn a_picture_over_the_limit_is_refused_with_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.jpg"), [0; 100]).unwrap();
        let path = folder.path().join("a.jpg");
        assert_eq!(read(&path, 100).unwrap().len(), 100);
        let message = read(&path, 99).unwrap_err().to_string();
        assert!(message.contains("99") && message.contains("100") && message.contains("a.jpg"), "{message}");
        assert_eq!(read(&folder.path().join("b.jpg"), 9).unwrap_err().reason(), "missing_picture");
        assert_eq!(read(folder.path(), 9999).unwrap_err().reason(), "unreadable_picture");
    }

    #[test]
    fn pictures_without_a_position_are_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.jpg"), b"not a picture").unwrap();
        let mut calls = 0;
        let table = poses_from_exif(folder.path(), &DecodeLimits::default(), 2, || calls += 1).unwrap();
        assert_eq!((table.rows, table.poses.len(), calls), (1, 0, 1));
        assert_eq!((table.refused[0].name.as_str(), table.refused[0].reason), ("a.jpg", "no_position"));
    }
}
