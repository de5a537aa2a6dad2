//! Memory of this process, as the kernel tells it.

use std::fs;

/// Resident memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// That belongs to no file, bytes.
    pub(super) anonymous_bytes: u64,
    /// Pages of mapped files, which the kernel may take back, bytes.
    pub(super) file_bytes: u64,
}

/// The memory now; nothing where the kernel does not tell.
pub(super) fn now() -> Option<Memory> {
    parse(&fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<Memory> {
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory { anonymous_bytes: bytes("RssAnon")?, file_bytes: bytes("RssFile")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        let status = "Name:\tgeolocated\nVmRSS:\t  300 kB\nRssAnon:\t     100 kB\nRssFile:\t     200 kB\n";
        assert_eq!(parse(status), Some(Memory { anonymous_bytes: 102_400, file_bytes: 204_800 }));
        assert_eq!(parse("Name:\tx\n"), None);
        assert!(now().unwrap().anonymous_bytes > 0);
    }
}
