//! What a device without a clock knows of the time.

use jiff::Timestamp;

use super::{GenerationError, GenerationManifest};
use std::path::Path;

/// When this program was built, Unix seconds; `SOURCE_DATE_EPOCH` where that was set for the build.
pub const BUILD_TIME_S: i64 = match i64::from_str_radix(env!("GEOLOCATED_BUILD_TIME_S"), 10) {
    Ok(seconds) => seconds,
    Err(_) => 0,
};

/// What a device takes for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    time: Timestamp,
    clock: &'static str,
}

impl Now {
    /// The clock's time, where somebody has set the clock or nobody says that it is wrong; but never before this program
    /// was built, nor before the newest manifest that the device has accepted was made. `unsynced`: the clock is known
    /// to be unset, so that it counts for nothing.
    pub fn judge(clock: Timestamp, unsynced: bool, newest_accepted: Option<Timestamp>) -> Self {
        let built = Timestamp::from_second(BUILD_TIME_S).unwrap_or(Timestamp::UNIX_EPOCH);
        let floor = newest_accepted.map_or(built, |newest| newest.max(built));
        if unsynced {
            Self { time: floor, clock: "the clock is not set: the newest time that is certain counts" }
        } else if clock < floor {
            Self { time: floor, clock: "the clock is behind: the newest time that is certain counts" }
        } else {
            Self { time: clock, clock: "by the clock" }
        }
    }

    /// Passes what may be activated now; `path` is where the manifest lies.
    ///
    /// # Errors
    /// [`GenerationError::Expired`].
    pub fn check(&self, path: &Path, manifest: &GenerationManifest) -> Result<(), GenerationError> {
        if self.time <= manifest.expires {
            return Ok(());
        }
        let (path, expires) = (path.to_owned(), manifest.expires);
        Err(GenerationError::Expired { path, expires, now: self.time, clock: self.clock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds_after_build: i64) -> Timestamp {
        Timestamp::from_second(BUILD_TIME_S + seconds_after_build).unwrap()
    }

    #[test]
    fn a_clock_that_is_not_set_or_behind_counts_for_nothing() {
        let long_ago = Timestamp::UNIX_EPOCH;
        assert_eq!(Now::judge(at(100), false, None).time, at(100));
        assert_eq!(Now::judge(long_ago, false, None).time, at(0));
        assert_eq!(Now::judge(long_ago, false, Some(at(50))).time, at(50));
        assert_eq!(Now::judge(long_ago, false, Some(at(-50))).time, at(0));
        assert_eq!(
            Now::judge(at(100), true, Some(at(50))).time,
            at(50),
            "a clock far ahead must not expire everything"
        );
    }

    #[test]
    fn what_is_expired_is_named_with_both_times() {
        let manifest = GenerationManifest::new(1, at(-10), at(10), Vec::new());
        let path = Path::new("gen-1/manifest.json");
        assert!(Now::judge(at(10), false, None).check(path, &manifest).is_ok());
        let error = Now::judge(at(11), false, None).check(path, &manifest).unwrap_err().to_string();
        assert!(error.starts_with("gen-1/manifest.json: expired at ") && error.contains("by the clock"), "{error}");
    }
}
