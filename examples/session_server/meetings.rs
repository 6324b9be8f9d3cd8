//! Requests that wait for each other, so that they overlap for certain.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sessile::SessionId;
use tokio::sync::oneshot::{self, Sender};
use tokio::time::timeout;

/// Where two requests of one session meet.
#[derive(Clone, Default)]
pub(crate) struct Meetings {
    /// Those that came first and wait.
    waiting: Arc<Mutex<BTreeMap<SessionId, Sender<()>>>>,
}

impl Meetings {
    /// Waits until another request of the session is here as well, for a second at most, and
    /// reports whether one came.
    pub(crate) async fn meet(&self, id: SessionId) -> bool {
        let other = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // It may have gone, and sending is how to know.
            if waiting.remove(&id).is_some_and(|first| first.send(()).is_ok()) {
                return true;
            }
            // Those that went leave a sender behind, whatever became of their request.
            waiting.retain(|_, first| !first.is_closed());
            let (sender, other) = oneshot::channel();
            waiting.insert(id, sender);
            other
        };
        timeout(PATIENCE, other).await.is_ok_and(|came| came.is_ok())
    }
}

const PATIENCE: Duration = Duration::from_secs(1);
