//! Who else may write the files of a model.
//!
//! A graph is a program: whoever may write it decides what the process computes, and parsers of graphs were not made
//! for hostile ones. So a model is refused whose folder or files another user may write: files of another owner than
//! root or the user of this process, or with permissions to write for everybody or for a group that is not the owner's
//! own. An owner that the system cannot name (65534, as in containers) is let pass.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::LoadError;
use crate::loading::Subject;

/// What the kernel says of users that a container does not know.
const OVERFLOW_ID: u32 = 65_534;
const ROOT: u32 = 0;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// Refuses a model if another user may write its folder or a file that its manifest names. Files that are not there are
/// left to who reads them.
pub(crate) fn check(model: &Subject<'_>) -> Result<(), LoadError> {
    check_path(model.folder)?;
    check_path(model.path)?;
    for file in &model.files {
        file.path.parent().map_or(Ok(()), check_path)?;
        check_path(&file.path)?;
    }
    model.others.iter().try_for_each(|path| check_path(path))
}

/// Refuses a file or folder that another user may write.
pub(crate) fn check_path(path: &Path) -> Result<(), LoadError> {
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
    let user = rustix::process::geteuid().as_raw();
    match writer(&metadata, user) {
        None => Ok(()),
        Some(found) => Err(LoadError::WritableByOthers { path: path.to_path_buf(), found }),
    }
}

/// Who else than `user` and root may write, in words.
fn writer(metadata: &Metadata, user: u32) -> Option<String> {
    words(metadata.mode(), metadata.uid(), metadata.gid(), user)
}

fn words(mode: u32, owner: u32, group: u32, user: u32) -> Option<String> {
    let permissions = mode & 0o7777;
    if mode & OTHERS_WRITE != 0 {
        return Some(format!("permissions {permissions:o}, which let everybody write"));
    }
    // Most systems give each user a group of the same number.
    if mode & GROUP_WRITES != 0 && group != ROOT && group != owner {
        return Some(format!("permissions {permissions:o}, which let group {group} write"));
    }
    let is_trusted = owner == ROOT || owner == user || owner == OVERFLOW_ID;
    (!is_trusted).then(|| format!("owner {owner}, who is neither root nor the user of this process ({user})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_else_may_write_is_said() {
        for (mode, owner, group, user, allowed) in [
            (0o100_644, 1000, 1000, 1000, true),
            (0o100_644, 0, 0, 1000, true),
            (0o040_775, 1000, 1000, 1000, true),
            (0o040_775, 0, 0, 1000, true),
            (0o100_444, 65_534, 65_534, 1000, true),
            (0o100_646, 1000, 1000, 1000, false),
            (0o041_777, 0, 0, 1000, false),
            (0o040_775, 1000, 100, 1000, false),
            (0o100_644, 1001, 1001, 1000, false),
            (0o100_644, 1001, 1001, 0, false),
        ] {
            let found = words(mode, owner, group, user);
            assert_eq!(found.is_none(), allowed, "{mode:o} {owner} {group} {user}: {found:?}");
        }
    }
}
