//! Several runs of one graph at the same time.
//!
//! A session of ONNX Runtime runs one thing at a time (its `Run` is not safe to call from several threads with every
//! provider). So there are as many sessions as there are runs at once, up to a bound; packed weights are mapped by all
//! of them, so that each costs only what lies between the layers.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Opens one more session.
type Open<S> = Box<dyn Fn() -> Result<S, String> + Send + Sync>;

/// Sessions that are opened when they are needed.
pub(super) struct Pool<S> {
    state: Mutex<State<S>>,
    returned: Condvar,
    most: usize,
    open: Open<S>,
}

struct State<S> {
    idle: Vec<S>,
    opened: usize,
}

impl<S> Pool<S> {
    /// A pool with a first session and room for `most`.
    pub(super) fn new(first: S, most: usize, open: Open<S>) -> Self {
        let state = Mutex::new(State { idle: vec![first], opened: 1 });
        Self { state, returned: Condvar::new(), most: most.max(1), open }
    }

    /// Calls `work` with a session that nobody else has; waits for one when all are at work.
    ///
    /// # Errors
    /// A further session cannot be opened; those that there are stay.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut S) -> R) -> Result<R, String> {
        let mut lent = Lent { session: Some(self.take()?), pool: self };
        let session = lent.session.as_mut().ok_or_else(|| "no session".to_owned())?;
        Ok(work(session))
    }

    fn take(&self) -> Result<S, String> {
        let mut state = self.lock();
        loop {
            if let Some(session) = state.idle.pop() {
                return Ok(session);
            }
            if state.opened < self.most {
                state.opened += 1;
                drop(state);
                return (self.open)().inspect_err(|_| {
                    self.lock().opened -= 1;
                    self.returned.notify_one();
                });
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session on loan, which goes back even when the work panics.
struct Lent<'a, S> {
    session: Option<S>,
    pool: &'a Pool<S>,
}

impl<S> Drop for Lent<'_, S> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.pool.lock().idle.push(session);
            self.pool.returned.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn sessions_are_opened_up_to_the_bound_and_used_by_one_at_a_time() {
        static OPENED: AtomicUsize = AtomicUsize::new(1);
        let pool = Pool::new(0_usize, 3, Box::new(|| Ok(OPENED.fetch_add(1, Ordering::SeqCst))));
        let busy: [AtomicUsize; 3] = Default::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let work = |session: &mut usize| {
                            assert_eq!(busy[*session].fetch_add(1, Ordering::SeqCst), 0);
                            std::thread::sleep(Duration::from_micros(200));
                            busy[*session].fetch_sub(1, Ordering::SeqCst);
                        };
                        pool.with(work).unwrap();
                    }
                });
            }
        });
        assert_eq!(OPENED.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_session_that_cannot_be_opened_is_an_error_and_the_others_go_on() {
        let pool = Pool::new(7, 2, Box::new(|| Err("no memory".to_owned())));
        let inner = pool.with(|_| pool.with(|_| ())).unwrap();
        assert_eq!(inner, Err("no memory".to_owned()));
        assert_eq!(pool.with(|session| *session), Ok(7));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.with(|_| panic!("work"))));
        assert!(panicked.is_err());
        assert_eq!(pool.with(|session| *session), Ok(7), "it came back");
    }
}
