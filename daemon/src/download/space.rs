//! How much room there is.

use std::io;
use std::path::Path;

/// Bytes that this user may still write to the file system that holds `folder`.
///
/// # Errors
/// The folder does not exist or cannot be asked.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_somewhere_and_none_in_what_does_not_exist() {
        assert!(free_bytes(&std::env::temp_dir()).unwrap() > 0);
        assert_eq!(free_bytes(Path::new("/no/such/folder")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
