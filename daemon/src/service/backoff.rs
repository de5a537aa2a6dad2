//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// Delays that double from half a second to half a minute, each spread over half its length, so that a fleet that lost
/// its broker does not come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    attempts: u32,
}

const FIRST: Duration = Duration::from_millis(500);
const MOST: Duration = Duration::from_secs(30);

impl Backoff {
    pub(super) fn new() -> Self {
        Self { attempts: 0 }
    }

    /// After a connection that worked, the next delay is the first again.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The next delay; `spread` in [0, 1] places it between half and all of its length.
    pub(super) fn next(&mut self, spread: f64) -> Duration {
        let full = FIRST.saturating_mul(1 << self.attempts.min(16)).min(MOST);
        self.attempts = self.attempts.saturating_add(1);
        full.mul_f64(0.5 + 0.5 * spread.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_half_a_minute_and_start_over_after_a_success() {
        let mut backoff = Backoff::new();
        let delays: Vec<u128> = (0..8).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(delays, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        backoff.reset();
        assert_eq!(backoff.next(0.0).as_millis(), 250);
        for _ in 0..100 {
            backoff.next(0.5);
        }
        assert_eq!(backoff.next(1.0), MOST);
    }
}
