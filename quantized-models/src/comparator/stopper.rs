//! Ending what a comparator is at, from another thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A run that can be ended before it is through.
pub(crate) trait Terminate: Send + Sync {
    /// Ends it as soon as the runtime looks.
    fn terminate(&self);
}

/// Ends the runs of one [`Comparator`](crate::Comparator): those under way, and those that begin until it is cleared.
/// Clones stop the same comparator.
#[derive(Clone, Default)]
pub struct Stopper {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_stopped: AtomicBool,
    running: Mutex<Vec<Weak<dyn Terminate>>>,
}

impl Stopper {
    /// Ends what is under way, on whatever thread, with [`CompareError::Stopped`](crate::CompareError::Stopped): under
    /// ONNX Runtime after the operator that it is at, under tract only when the graph is through
    /// ([`Comparator::can_stop`](crate::Comparator::can_stop)).
    pub fn stop(&self) {
        let running = self.state.running.lock().unwrap_or_else(PoisonError::into_inner);
        self.state.is_stopped.store(true, Ordering::SeqCst);
        running.iter().filter_map(Weak::upgrade).for_each(|run| run.terminate());
    }

    /// Lets the comparator go on with the next call.
    pub fn clear(&self) {
        self.state.is_stopped.store(false, Ordering::SeqCst);
    }

    /// Whether it was stopped and not cleared since.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.state.is_stopped.load(Ordering::SeqCst)
    }

    /// Takes `run` up for as long as it lives; `false` if it must not begin.
    pub(crate) fn watch(&self, run: &Arc<impl Terminate + 'static>) -> bool {
        let mut running = self.state.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|run| run.strong_count() > 0);
        let weak = Arc::downgrade(run);
        running.push(weak);
        !self.is_stopped()
    }
}

impl std::fmt::Debug for Stopper {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stopper").field("is_stopped", &self.is_stopped()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Run(AtomicBool);

    impl Terminate for Run {
        fn terminate(&self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn runs_under_way_are_ended_and_new_ones_do_not_begin() {
        let stopper = Stopper::default();
        let [over, running] = [Arc::new(Run::default()), Arc::new(Run::default())];
        assert!(stopper.watch(&over));
        drop(over);
        assert!(stopper.watch(&running));
        stopper.clone().stop();
        assert!(running.0.load(Ordering::SeqCst) && stopper.is_stopped());
        assert!(!stopper.watch(&Arc::new(Run::default())));
        stopper.clear();
        assert!(stopper.watch(&Arc::new(Run::default())));
    }
}
