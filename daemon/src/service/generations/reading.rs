//! A generation that is being read from end to end, which takes long where it is large.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::keeper::KeeperParts;
use super::{Live, Orders};
use crate::generations::Generation;
use crate::service::health::Health;

/// How often is said how far it has come.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Says in `status` how far it has come, as long as nothing else serves, and ends when the daemon does.
pub(super) struct Reading {
    orders: Arc<Orders>,
    health: Arc<Health>,
    live: Arc<Live>,
    counter: u64,
    total_bytes: u64,
    bytes: u64,
    told: Option<Instant>,
}

impl Reading {
    /// Of `total_bytes` of a generation.
    pub(super) fn new(parts: &KeeperParts, generation: &Generation, total_bytes: u64) -> Self {
        Self {
            orders: Arc::clone(&parts.orders),
            health: Arc::clone(&parts.health),
            live: Arc::clone(&parts.live),
            counter: generation.manifest().counter,
            total_bytes,
            bytes: 0,
            told: None,
        }
    }

    /// Takes in that so many bytes more were read.
    ///
    /// # Errors
    /// The daemon stops.
    pub(super) fn watch(&mut self, bytes: u64) -> io::Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.orders.closed_within(Duration::ZERO) {
            return Err(io::Error::other("not read to its end: the daemon stops"));
        }
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) && self.live.get().is_none() {
            self.told = Some(Instant::now());
            self.tell();
        }
        Ok(())
    }

    /// Says that it is being read.
    pub(super) fn tell(&self) {
        let percent = self.bytes.saturating_mul(100).checked_div(self.total_bytes).unwrap_or(0);
        let (counter, total) = (self.counter, self.total_bytes);
        let reason = format!("generation {counter} is being verified, {percent} % of {total} bytes read: frames wait");
        if self.health.degrade("generation", &reason) {
            tracing::info!(counter, percent, bytes = total, "a generation is being verified");
        }
    }
}
