//! What the operating system says about this process. Zeros where it says nothing.

use std::fs;

/// Memory of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Anonymous memory: heap and stacks, which only swap could free. Bytes.
    pub anonymous_bytes: u64,
    /// File-backed memory: mapped files and programs, which the system frees at will. Bytes.
    pub file_backed_bytes: u64,
}

/// What this process has read from the disk so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads {
    /// Bytes that were fetched from storage.
    pub bytes: u64,
    /// Page faults that had to wait for storage.
    pub major_faults: u64,
}

impl Memory {
    /// Now.
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bytes = |key| value_of(&status, key).saturating_mul(1024);
        Self { anonymous_bytes: bytes("RssAnon:"), file_backed_bytes: bytes("RssFile:") }
    }

    /// What was added since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            anonymous_bytes: self.anonymous_bytes.saturating_sub(before.anonymous_bytes),
            file_backed_bytes: self.file_backed_bytes.saturating_sub(before.file_backed_bytes),
        }
    }
}

impl Reads {
    /// Until now.
    pub fn now() -> Self {
        let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The second field is a name in parentheses that may hold anything; major faults are the tenth after it.
        let after_name = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let major_faults =
            after_name.split_whitespace().nth(9).and_then(|field| field.parse().ok()).unwrap_or_default();
        Self { bytes: value_of(&io, "read_bytes:"), major_faults }
    }

    /// What was read since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(before.bytes),
            major_faults: self.major_faults.saturating_sub(before.major_faults),
        }
    }
}

/// The number after a key at the beginning of a line.
fn value_of(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_keys() {
        let text = "VmRSS:\t  9 kB\nRssAnon:\t    1234 kB\nRssFile: x\n";
        assert_eq!((value_of(text, "RssAnon:"), value_of(text, "RssFile:"), value_of(text, "none")), (1234, 0, 0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn touched_memory_is_counted() {
        let before = Memory::now();
        let block = std::hint::black_box(vec![1_u8; 32 << 20]);
        let grown = Memory::now().since(before);
        assert!(before.file_backed_bytes > 0 && grown.anonymous_bytes > 24 << 20, "{before:?} {grown:?}");
        drop(block);
    }
}
