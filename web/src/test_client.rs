//! A client for tests of an application.

use std::sync::Arc;

use sessile_core::engine::Candidates;
use sessile_core::store::Store;
use sessile_core::{Session, Sessions, Token, TokenUpdate};

use crate::driver::{Ending, RequestDriver, Verdict};
use crate::error::SessionError;
use crate::session::WebSession;

/// A client for tests of an application: it calls handlers with a session, without a server or a
/// layer, and keeps its token as a browser does.
///
/// # Example
///
/// ```
/// use sessile_core::{Counter, Policy, Sessions};
/// use sessile_web::{SessionError, TestClient, WebSession};
/// # use sessile_core::Timestamp;
/// # use sessile_core::engine::{Clock, Entropy, EntropyError};
/// # use sessile_store_memory::MemoryStore;
/// # use std::sync::atomic::{AtomicU8, Ordering};
/// # struct Os;
/// # impl Clock for Os {
/// #     fn now(&self) -> Timestamp { Timestamp::default() }
/// # }
/// # impl Entropy for Os {
/// #     fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
/// #         static DRAWN: AtomicU8 = AtomicU8::new(0);
/// #         bytes.fill(DRAWN.fetch_add(1, Ordering::Relaxed));
/// #         Ok(())
/// #     }
/// # }
///
/// const VISITS: Counter = Counter::new("visits");
///
/// async fn visit(session: WebSession) -> Result<i64, SessionError> {
///     session.add(&VISITS, 1)
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let sessions = Sessions::new(MemoryStore::new(), Os, Os, Policy::default());
/// let mut client = TestClient::new(&sessions);
/// assert_eq!(client.request(visit).await.unwrap(), 1);
/// assert_eq!(client.request(visit).await.unwrap(), 2);
/// assert_eq!(client.session().await.unwrap().count(&VISITS), Ok(2));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TestClient<S> {
    sessions: Arc<Sessions<S>>,
    token: Option<Token>,
}

impl<S: Store + 'static> TestClient<S> {
    /// Creates a client without a token.
    #[must_use]
    pub fn new(sessions: &Sessions<S>) -> Self {
        Self { sessions: Arc::new(sessions.clone()), token: None }
    }

    /// Calls a handler with the session of this client, commits, and takes in what the client is
    /// told about its token.
    ///
    /// # Errors
    ///
    /// Returns the handler's error, after which nothing is written, or why the session could not be
    /// opened or written.
    pub async fn request<R>(
        &mut self,
        handler: impl AsyncFnOnce(WebSession) -> Result<R, SessionError>,
    ) -> Result<R, SessionError> {
        let driver = RequestDriver::new(&self.sessions, self.candidates());
        let session = driver.session().clone();
        let work = async move {
            session.open().await?;
            handler(session).await
        };
        let verdict = |answer: &Result<R, SessionError>| match answer {
            Ok(_) => Verdict::Commit,
            Err(error) => Verdict::GiveUp(error.clone()),
        };
        let (answer, Ending { result, token_update, upkeep, .. }) = driver.run(work, verdict).await;
        match token_update {
            TokenUpdate::Unchanged => {}
            TokenUpdate::Issue(token) => self.token = Some(token),
            TokenUpdate::Revoke => self.token = None,
        }
        if let Some(upkeep) = upkeep {
            // What fails here is still due at the next request.
            drop(self.sessions.upkeep(upkeep).await);
        }
        answer.and_then(|answer| result.map(|()| answer))
    }

    /// Opens the session of this client, to look into what a handler left.
    ///
    /// # Errors
    ///
    /// Returns the store's error if it could not be read.
    pub async fn session(&self) -> Result<Session, S::Error> {
        self.sessions.open_among(&self.candidates()).await
    }

    /// Returns the token, to be put into a request by hand; `None` if the client has none.
    #[must_use]
    pub const fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Takes in a token that an application handed out some other way, in a response for instance.
    pub fn hold(&mut self, token: Option<Token>) {
        self.token = token;
    }

    fn candidates(&self) -> Candidates {
        let mut candidates = Candidates::default();
        if let Some(token) = &self.token {
            candidates.add(token.expose().as_str());
        }
        candidates
    }
}
