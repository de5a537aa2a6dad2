//! What is wrong at the moment, in words.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Reasons for which the device is degraded, by what they are about. Shared between threads.
#[derive(Debug, Default)]
pub(super) struct Health {
    reasons: Mutex<BTreeMap<Cow<'static, str>, String>>,
    changed: Notify,
}

impl Health {
    /// Something about `subject` is wrong; `reason` is for the operator. Whether that is news.
    pub(super) fn degrade(&self, subject: impl Into<Cow<'static, str>>, reason: &str) -> bool {
        let before = self.lock().insert(subject.into(), reason.to_owned());
        let is_new = before.as_deref() != Some(reason);
        if is_new {
            self.changed.notify_one();
        }
        is_new
    }

    /// What was wrong about `subject` is mended.
    pub(super) fn mend(&self, subject: &str) {
        if self.lock().remove(subject).is_some() {
            self.changed.notify_one();
        }
    }

    /// All that is wrong, joined; `None` when nothing is.
    pub(super) fn reason(&self) -> Option<String> {
        let reasons = self.lock();
        (!reasons.is_empty()).then(|| reasons.values().cloned().collect::<Vec<_>>().join("; "))
    }

    /// Waits until something changed since the last wait.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Cow<'static, str>, String>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
