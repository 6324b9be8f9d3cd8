//! A store without a network: every call reaches the server at once.

use std::future::ready;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use sessile_core::store::{Action, BlockingStore, Failure, Loaded, Outcome, Store};
use sessile_core::{SessionId, Timestamp};

use crate::command::{Call, Reply};
use crate::handle::{Handle, Link, Lost, Node, SimError};
use crate::server::Server;

/// A link to a server in the same place. The server's time is the node's.
#[derive(Clone, Debug, Default)]
pub struct Direct {
    server: Arc<Mutex<Server>>,
}

impl Direct {
    pub(crate) fn with(server: Server) -> Self {
        Self { server: Arc::new(Mutex::new(server)) }
    }

    /// Creates a node of its own on this server, which keeps the records it loads or does not.
    #[must_use]
    pub fn node(&self, holds: bool) -> SimStore {
        SimStore(Handle::new(self.clone(), Arc::new(Mutex::new(Node::new(holds))), None))
    }
}

impl Link for Direct {
    fn call(&self, call: Call) -> impl Future<Output = Result<Vec<Reply>, Lost>> + Send {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let now = call.now.as_millis();
        ready(Ok(call
            .commands
            .iter()
            .map(|command| server.execute(call.id, command, now))
            .collect()))
    }
}

/// The store the Redis store must equal, in this process and without any faults.
///
/// # Example
///
/// ```
/// use sessile_core::{SessionId, Timestamp};
/// use sessile_core::store::BlockingStore;
/// use sessile_sim::Direct;
///
/// let store = Direct::default().node(true);
/// let id = SessionId::from_bytes([1; 16]);
/// assert!(store.load(id, Timestamp::default()).unwrap().is_none());
/// ```
#[derive(Clone, Debug)]
pub struct SimStore(Handle<Direct>);

impl BlockingStore for SimStore {
    type Error = SimError;

    fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Loaded>, SimError> {
        at_once(self.0.load(id, now)).unwrap_or(Err(SimError::Silent))
    }

    fn apply(
        &self,
        id: SessionId,
        action: &Action,
        now: Timestamp,
    ) -> Result<Outcome, Failure<SimError>> {
        let done = at_once(self.0.apply(id, action, now));
        done.unwrap_or(Err(Failure::Unknown(SimError::Silent)))
    }
}

sessile_core::impl_store!(SimStore);

/// Takes what a call answers that has nothing to wait for.
fn at_once<F: Future>(call: F) -> Option<F::Output> {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}
