//! What serves at the moment.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::locate::Pipeline;

/// The pipeline that answers frames; none before the first generation is there.
#[derive(Default)]
pub(in crate::service) struct Live {
    current: Mutex<Option<Arc<Pipeline>>>,
    arrived: Condvar,
    changed: Notify,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Live({:?})", self.get().and_then(|pipeline| pipeline.generation()))
    }
}

impl Live {
    /// What serves now. Whoever has it keeps it, whatever comes after it.
    pub(in crate::service) fn get(&self) -> Option<Arc<Pipeline>> {
        self.lock().clone()
    }

    /// What serves now; waits up to `patience` for the first.
    pub(in crate::service) fn wait(&self, patience: Duration) -> Option<Arc<Pipeline>> {
        let waiting = |current: &mut Option<Arc<Pipeline>>| current.is_none();
        let waited = self.arrived.wait_timeout_while(self.lock(), patience, waiting);
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Serves from `pipeline` from the next frame on.
    pub(in crate::service) fn replace(&self, pipeline: Arc<Pipeline>) {
        let before = self.lock().replace(pipeline);
        self.arrived.notify_all();
        self.changed.notify_one();
        // Unmapping, where this was the last to have it, happens outside of the lock.
        drop(before);
    }

    /// Something that `info` says is another.
    pub(in crate::service) fn announce(&self) {
        self.changed.notify_one();
    }

    /// Waits until what `info` says has changed since the last wait.
    pub(in crate::service) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Pipeline>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
