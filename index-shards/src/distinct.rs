//! Whether numbers come twice, in bounded memory.

/// Numbers that one pass looks at: a bit each, 8 MiB.
const PASS: u32 = 1 << 26;

/// The numbers below 2^26 that were seen, and how great the others are. Whoever finds that there were
/// [others](Self::passes_left) goes over all numbers again, once for each further range.
#[derive(Debug)]
pub(crate) struct Distinct {
    /// First number of this pass.
    from: u32,
    seen: Vec<u64>,
    greatest: u32,
}

impl Default for Distinct {
    fn default() -> Self {
        Self::pass(0)
    }
}

impl Distinct {
    /// Looks at the numbers from 2^26 times `pass` on, 2^26 of them.
    pub(crate) fn pass(pass: u32) -> Self {
        Self { from: pass.saturating_mul(PASS), seen: Vec::new(), greatest: 0 }
    }

    /// Takes a number in.
    ///
    /// # Errors
    /// The number, when it has come before and is in this pass's range.
    pub(crate) fn insert(&mut self, number: u32) -> Result<(), u32> {
        self.greatest = self.greatest.max(number);
        let Some(offset) = number.checked_sub(self.from).filter(|offset| *offset < PASS) else { return Ok(()) };
        let (word, bit) = ((offset / u64::BITS) as usize, 1 << (offset % u64::BITS));
        if word >= self.seen.len() {
            self.seen.resize((word + 1).next_power_of_two(), 0);
        }
        match self.seen.get_mut(word) {
            Some(seen) if *seen & bit == 0 => {
                *seen |= bit;
                Ok(())
            }
            _ => Err(number),
        }
    }

    /// The further passes that all numbers need.
    pub(crate) fn passes_left(&self) -> std::ops::RangeInclusive<u32> {
        1..=self.greatest / PASS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_come_twice_are_found_in_their_pass() {
        let mut numbers = Distinct::default();
        for number in [0, 63, 64, 5, PASS - 1, PASS, PASS] {
            assert_eq!(numbers.insert(number), Ok(()));
        }
        assert_eq!(numbers.insert(64), Err(64));
        assert_eq!(numbers.passes_left(), 1..=1);
        let mut second = Distinct::pass(1);
        assert_eq!((second.insert(0), second.insert(0)), (Ok(()), Ok(())));
        assert_eq!((second.insert(PASS), second.insert(PASS)), (Ok(()), Err(PASS)));
        let mut last = Distinct::pass(63);
        assert_eq!((last.insert(u32::MAX), last.insert(u32::MAX)), (Ok(()), Err(u32::MAX)));
        assert_eq!(last.passes_left(), 1..=63);
        assert!(Distinct::default().passes_left().is_empty());
    }
}
