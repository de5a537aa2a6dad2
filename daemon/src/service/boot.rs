//! The number of the daemon's start on this device.

use std::fs;
use std::path::Path;

use crate::whole_file;

/// The number of this start, one more than the last one's, kept in the file `boot` in `state_dir`; also more than
/// `last_boot`, the highest that is known from elsewhere.
///
/// # Errors
/// A sentence that names the file, when the number could not be kept; together with a number that can be used
/// meanwhile. It may be that of an earlier start.
pub(super) fn next_boot(state_dir: &Path, last_boot: u64) -> (u64, Result<(), String>) {
    let path = state_dir.join("boot");
    let last = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    let boot = last.max(last_boot).saturating_add(1);
    let kept = write_number(state_dir, &path, boot)
        .map_err(|error| format!("{}: the number of this start could not be kept: {error}", path.display()));
    (boot, kept)
}

fn write_number(state_dir: &Path, path: &Path, number: u64) -> std::io::Result<()> {
    fs::create_dir_all(state_dir)?;
    whole_file::replace(path, format!("{number}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_has_a_greater_number() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = dir.path().join("state");
        for expected in 1..=3 {
            let (boot, kept) = next_boot(&state_dir, 0);
            assert_eq!((boot, kept), (expected, Ok(())));
        }
    }

    #[test]
    fn a_state_folder_that_cannot_be_made_is_named_and_does_not_stop_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("file");
        fs::write(&blocked, "x").unwrap();
        let (boot, kept) = next_boot(&blocked, 0);
        assert_eq!(boot, 1);
        assert!(kept.unwrap_err().contains("file/boot"));
    }

    #[test]
    fn a_damaged_number_counts_as_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("boot"), "many").unwrap();
        assert_eq!(next_boot(dir.path(), 0).0, 1);
        fs::write(dir.path().join("boot"), "many").unwrap();
        assert_eq!(next_boot(dir.path(), 7).0, 8, "the outbox knows better");
    }
}
