//! What the device knows of the time.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where systemd-timesyncd leaves its marks.
pub(super) const TIMESYNC: &str = "/run/systemd/timesync";

/// Now, Unix milliseconds UTC as the device's clock has it; 0 for a clock before 1970.
pub(super) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

/// Whether the clock can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// systemd-timesyncd set it since the system started.
    Synced,
    /// It shows a time before the index was built, or timesyncd runs and has not set it.
    Unsynced,
    /// Nobody says.
    Unknown,
}

impl Clock {
    /// Judges the time `now_ms` by the youngest file that the daemon serves and by systemd-timesyncd's own mark below
    /// `timesync`, which is `/run/systemd/timesync` outside tests.
    pub(super) fn judge(now_ms: i64, index_created_at_ms: i64, timesync: &Path) -> Self {
        if now_ms < index_created_at_ms {
            Self::Unsynced
        } else if timesync.join("synchronized").exists() {
            Self::Synced
        } else if timesync.exists() {
            Self::Unsynced
        } else {
            Self::Unknown
        }
    }

    /// The word in messages; nothing where nobody knows.
    pub(super) fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Synced => Some("synced"),
            Self::Unsynced => Some("unsynced"),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_older_than_the_index_is_unsynced_whatever_the_mark_says() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("synchronized"), "").unwrap();
        assert_eq!(Clock::judge(0, 1, dir.path()), Clock::Unsynced);
        assert_eq!(Clock::judge(1, 1, dir.path()), Clock::Synced);
    }

    #[test]
    fn without_a_mark_the_clock_is_unsynced_and_without_timesyncd_it_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Clock::judge(1, 1, dir.path()), Clock::Unsynced);
        assert_eq!(Clock::judge(1, 1, &dir.path().join("absent")), Clock::Unknown);
    }
}
