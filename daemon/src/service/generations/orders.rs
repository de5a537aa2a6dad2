//! What operators order, on its way to the threads that do it, and their answers on the way back.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::service::commands::Refusal;

/// Orders that may wait for each thread.
const MOST_WAITING: usize = 8;

/// Something that takes a while.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::service) enum Order {
    /// Serve from this generation, or from the newest.
    Activate(Option<u64>),
    /// Serve from the generation before.
    Rollback,
    /// Look for new generations, or open the shards anew, now.
    Reload,
    /// Say how everything stands.
    Doctor,
    /// Say where this picture was taken.
    Locate(Vec<u8>),
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Activate(counter) => write!(f, "Activate({counter:?})"),
            Self::Rollback => write!(f, "Rollback"),
            Self::Reload => write!(f, "Reload"),
            Self::Doctor => write!(f, "Doctor"),
            Self::Locate(picture) => write!(f, "Locate({} bytes)", picture.len()),
        }
    }
}

/// Which thread does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::service) enum Lane {
    /// The keeper of generations.
    Keeper,
    /// Whoever answers questions.
    Questions,
}

impl Order {
    fn lane(&self) -> Lane {
        match self {
            Self::Activate(_) | Self::Rollback | Self::Reload => Lane::Keeper,
            Self::Doctor | Self::Locate(_) => Lane::Questions,
        }
    }
}

/// What is said about an order: more fields of the reply, or why it was not done.
pub(in crate::service) type Answer = Result<Map<String, Value>, (Refusal, String)>;

/// Orders and answers. Bounded: what does not fit is refused at once.
#[derive(Debug, Default)]
pub(in crate::service) struct Orders {
    state: Mutex<State>,
    wake: Condvar,
    finished: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(u64, Order)>,
    done: Vec<(u64, Answer)>,
    next_ticket: u64,
    /// Somebody brought a generation.
    nudged: bool,
    closed: bool,
}

/// What a thread is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::service) enum Next {
    /// This order; the answer bears its number.
    Order(u64, Order),
    /// Look around: somebody brought something, or it is time.
    Look,
    /// Nothing more.
    Closed,
}

impl Orders {
    /// Hands an order over; the number that its answer bears, or nothing when too many wait.
    pub(in crate::service) fn ask(&self, order: Order) -> Option<u64> {
        let mut state = self.lock();
        let same_lane = state.waiting.iter().filter(|(_, waiting)| waiting.lane() == order.lane()).count();
        if state.closed || same_lane >= MOST_WAITING {
            return None;
        }
        let ticket = state.next_ticket;
        state.next_ticket = ticket.saturating_add(1);
        state.waiting.push_back((ticket, order));
        drop(state);
        self.wake.notify_all();
        Some(ticket)
    }

    /// Has the keeper look around.
    pub(in crate::service) fn nudge(&self) {
        self.lock().nudged = true;
        self.wake.notify_all();
    }

    /// The next thing to do on a lane; waits up to `patience` for an order.
    pub(in crate::service) fn next(&self, lane: Lane, patience: Duration) -> Next {
        let end = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if state.closed {
                return Next::Closed;
            }
            if let Some(place) = state.waiting.iter().position(|(_, order)| order.lane() == lane)
                && let Some((ticket, order)) = state.waiting.remove(place)
            {
                return Next::Order(ticket, order);
            }
            if lane == Lane::Keeper && std::mem::take(&mut state.nudged) {
                return Next::Look;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Look;
            }
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Says what became of an order.
    pub(in crate::service) fn finish(&self, ticket: u64, answer: Answer) {
        self.lock().done.push((ticket, answer));
        self.finished.notify_one();
    }

    /// Answers, with the numbers of their orders.
    pub(in crate::service) fn take_done(&self) -> Vec<(u64, Answer)> {
        std::mem::take(&mut self.lock().done)
    }

    /// Waits until there is an answer.
    pub(in crate::service) async fn finished(&self) {
        self.finished.notified().await;
    }

    /// Waits up to `patience`; whether nothing more is to be done.
    pub(in crate::service) fn closed_within(&self, patience: Duration) -> bool {
        let open = |state: &mut State| !state.closed;
        let waited = self.wake.wait_timeout_while(self.lock(), patience, open);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Nothing more is to be done.
    pub(in crate::service) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_gets_its_own_orders_and_too_many_are_refused() {
        let orders = Orders::default();
        assert_eq!(orders.next(Lane::Keeper, Duration::ZERO), Next::Look);
        let doctor = orders.ask(Order::Doctor).unwrap();
        let back = orders.ask(Order::Rollback).unwrap();
        assert_eq!(orders.next(Lane::Keeper, Duration::ZERO), Next::Order(back, Order::Rollback));
        assert_eq!(orders.next(Lane::Questions, Duration::ZERO), Next::Order(doctor, Order::Doctor));
        for _ in 0..MOST_WAITING {
            assert!(orders.ask(Order::Reload).is_some());
        }
        assert_eq!(orders.ask(Order::Reload), None);
        assert!(orders.ask(Order::Doctor).is_some(), "the other lane is free");
        orders.finish(doctor, Ok(Map::new()));
        assert_eq!(orders.take_done(), [(doctor, Ok(Map::new()))]);
        orders.close();
        assert_eq!(orders.next(Lane::Keeper, Duration::from_secs(60)), Next::Closed);
        assert_eq!(orders.ask(Order::Doctor), None);
    }

    #[test]
    fn a_nudge_is_for_the_keeper() {
        let orders = Orders::default();
        orders.nudge();
        assert_eq!(orders.next(Lane::Questions, Duration::ZERO), Next::Look);
        assert_eq!(orders.next(Lane::Keeper, Duration::from_secs(60)), Next::Look);
    }
}
