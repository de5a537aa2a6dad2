//! What the device says of its generations in `info`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::generations::GenerationState;

/// Generations as `info` shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(in crate::service) struct View {
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    highest: Option<u64>,
    set_aside: Vec<Aside>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<UpdateView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Aside {
    counter: u64,
    reason: String,
}

/// How fetching stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::service) struct UpdateView {
    pub(in crate::service) state: UpdateState,
    /// The generation that is being fetched, or was last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::service) counter: Option<u64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::service) reason: Option<String>,
    /// When the server was last asked, RFC 3339 by the device's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::service) asked_at: Option<String>,
    /// Bytes that were fetched for it, and of how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::service) bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::service) total_bytes: Option<u64>,
}

/// What the updater does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::service) enum UpdateState {
    /// Waits; there was nothing newer.
    Idle,
    /// Asks for the newest manifest.
    Asking,
    /// Fetches files.
    Fetching,
    /// Has handed a generation over.
    Fetched,
    /// The last attempt failed; the next comes in time.
    Failed,
}

/// The view, shared between threads. None where the index is plain shards.
#[derive(Debug, Default)]
pub(in crate::service) struct GenerationsView(Mutex<Option<View>>);

impl GenerationsView {
    /// The view as it is now.
    pub(in crate::service) fn now(&self) -> Option<View> {
        self.lock().clone()
    }

    /// Shows this state.
    pub(in crate::service) fn show(&self, state: &GenerationState) {
        let mut view = self.lock();
        let view = view.get_or_insert_default();
        let counter = |entry: &Option<crate::generations::Entry>| entry.as_ref().map(|entry| entry.counter);
        (view.active, view.previous) = (counter(&state.active), counter(&state.previous));
        view.highest = counter(&state.highest);
        let aside =
            |aside: &crate::generations::SetAside| Aside { counter: aside.counter, reason: aside.reason.clone() };
        view.set_aside = state.set_aside.iter().map(aside).collect();
    }

    /// Shows how fetching stands; whether that is another state than before.
    pub(in crate::service) fn show_update(&self, update: UpdateView) -> bool {
        let mut view = self.lock();
        let view = view.get_or_insert_default();
        let state = |view: &UpdateView| (view.state, view.counter, view.reason.clone());
        let changed = view.update.as_ref().map(state) != Some(state(&update));
        view.update = Some(update);
        changed
    }

    fn lock(&self) -> MutexGuard<'_, Option<View>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
