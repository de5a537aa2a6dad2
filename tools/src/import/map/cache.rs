//! Decoded parts of a map, the most recently used ones.

use std::collections::BTreeMap;

/// Bytes of pixels that are kept at most, beside what is in use.
const MOST_BYTES: usize = 256 << 20;

/// Values by their keys, the least recently used ones dropped where they are too much.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    values: BTreeMap<K, (u64, usize, V)>,
    clock: u64,
    bytes: usize,
}

impl<K: Ord + Copy, V> Cache<K, V> {
    pub(super) fn new() -> Self {
        Self { values: BTreeMap::new(), clock: 0, bytes: 0 }
    }

    /// The value of a key, made where it is not there; `make` also says how many bytes it takes.
    pub(super) fn get<E>(&mut self, key: K, make: impl FnOnce() -> Result<(usize, V), E>) -> Result<&V, E> {
        self.clock += 1;
        let (mut used, bytes, value) = match self.values.remove(&key) {
            Some(found) => found,
            None => {
                let (bytes, value) = make()?;
                self.make_room(bytes);
                self.bytes += bytes;
                (0, bytes, value)
            }
        };
        used = used.max(self.clock);
        let slot = self.values.entry(key).or_insert((used, bytes, value));
        Ok(&slot.2)
    }

    fn make_room(&mut self, bytes: usize) {
        while self.bytes + bytes > MOST_BYTES {
            let oldest = self.values.iter().min_by_key(|(_, (used, ..))| *used).map(|(key, _)| *key);
            let Some((_, freed, _)) = oldest.and_then(|key| self.values.remove(&key)) else { return };
            self.bytes -= freed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut cache = Cache::new();
        let third = MOST_BYTES / 3;
        let mut made = Vec::new();
        for key in [1, 2, 3, 1, 4, 1, 2] {
            let value = cache.get(key, || {
                made.push(key);
                Ok::<_, ()>((third, key * 10))
            });
            assert_eq!(value, Ok(&(key * 10)));
        }
        assert_eq!(made, [1, 2, 3, 4, 2], "2 made room for 4, since 1 had been used again");
    }
}
