//! How long to wait before the next attempt.

use std::time::Duration;

use jiff::Timestamp;

use super::{DownloadError, Patience};

/// Failures one after the other, and what follows from them.
#[derive(Debug)]
pub(super) struct Retry<'a> {
    patience: &'a Patience,
    failures: u32,
}

impl<'a> Retry<'a> {
    pub(super) fn new(patience: &'a Patience) -> Self {
        Self { patience, failures: 0 }
    }

    /// Something came of the last attempt.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after this error, or the error to end with. `spread` in [0, 1] places the wait between half and
    /// all of its length, so that many devices do not come back at once; what the server asks for is waited in full.
    pub(super) fn after(&mut self, error: DownloadError, spread: f64) -> Result<Duration, DownloadError> {
        self.failures += 1;
        if !error.is_passing() {
            return Err(error);
        }
        let asked = match &error {
            DownloadError::Status { retry_after, .. } => *retry_after,
            _ => None,
        };
        let too_long = asked.is_some_and(|wait| wait > self.patience.longest_wait);
        if too_long || self.failures >= self.patience.attempts {
            return Err(DownloadError::GivenUp { attempts: self.failures, last: Box::new(error) });
        }
        let doubled = self.patience.first_wait.saturating_mul(1 << (self.failures - 1).min(16));
        let own = doubled.min(self.patience.longest_wait).mul_f64(0.5 + 0.5 * spread.clamp(0.0, 1.0));
        Ok(asked.unwrap_or_default().max(own))
    }
}

/// What a `Retry-After` asks for: seconds, or a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let seconds = until.as_second().saturating_sub(now.as_second());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, retry_after: Option<Duration>) -> DownloadError {
        let url = "http://127.0.0.1/a".to_owned();
        DownloadError::Status { url, status, message: String::new(), retry_after }
    }

    #[test]
    fn waits_double_and_end_with_the_last_error() {
        let patience = Patience::default();
        let mut retry = Retry::new(&patience);
        let waits: Vec<u128> = (0..4).map(|_| retry.after(status(503, None), 1.0).unwrap().as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000]);
        let error = retry.after(status(503, None), 1.0).unwrap_err();
        assert_eq!(error.to_string(), "http://127.0.0.1/a: the server answers 503 (given up after 5 attempts)");
        retry.reset();
        assert_eq!(retry.after(status(503, None), 0.0).unwrap().as_millis(), 250);
    }

    #[test]
    fn what_the_server_asks_for_is_waited_unless_it_is_too_long() {
        let patience = Patience::default();
        let asked = |seconds| {
            Retry::new(&patience).after(status(429, Some(Duration::from_secs(seconds))), 0.0).map(|wait| wait.as_secs())
        };
        assert_eq!(asked(7).unwrap(), 7);
        assert_eq!(asked(0).unwrap(), 0);
        assert!(asked(121).unwrap_err().to_string().contains("it asks to wait 121 s"));
    }

    #[test]
    fn what_will_not_get_better_is_not_tried_again() {
        let patience = Patience::default();
        for refusal in [400, 401, 403, 404, 410, 451] {
            let error = Retry::new(&patience).after(status(refusal, None), 1.0).unwrap_err();
            assert_eq!(error.status(), Some(refusal));
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        assert_eq!(retry_after("12", now), Some(Duration::from_secs(12)));
        assert_eq!(retry_after("Sat, 21 Nov 2026 12:01:05 GMT", now), Some(Duration::from_secs(65)));
        assert_eq!(retry_after("Sat, 21 Nov 2026 11:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
