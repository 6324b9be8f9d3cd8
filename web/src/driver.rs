//! The driver of one request: the only place that does a session's I/O.
//!
//! No HTTP in here, so an adapter to another framework is: read the token, run the driver around
//! the handler, tell the client what came of it. No task is spawned: the driver is polled together
//! with the handler.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sessile_core::engine::{Answer, Candidates, Upkeep};
use sessile_core::store::{Store, StoreError};
use sessile_core::{OnServerError, Session, SessionId, Sessions, Timestamp, Token, TokenUpdate};

use crate::error::SessionError;
use crate::operations::Operations;
use crate::session::WebSession;
use crate::state::{Next, RequestState, Surroundings, Work, Write};
use crate::trace;
use crate::transport::{Lifespan, News};

/// Drives the session of one request.
///
/// However the request ends, dropping this wakes every handler that waits for its session.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use sessile_core::engine::{Candidates, Clock, Entropy, EntropyError};
/// use sessile_core::{Key, Policy, Sessions, Timestamp, TokenUpdate};
/// use sessile_store_memory::MemoryStore;
/// use sessile_web::{RequestDriver, Verdict};
/// # struct Fixed;
/// # impl Clock for Fixed { fn now(&self) -> Timestamp { Timestamp::default() } }
/// # impl Entropy for Fixed {
/// #     fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> { bytes.fill(7); Ok(()) }
/// # }
///
/// const NAME: Key<String> = Key::new("name");
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let sessions = Sessions::new(MemoryStore::new(), Fixed, Fixed, Policy::default());
/// let driver = RequestDriver::new(&Arc::new(sessions), Candidates::default());
/// let session = driver.session().clone();
/// let handler = async move {
///     session.open().await?;
///     session.set(&NAME, "Ada".into())
/// };
/// let (answer, ending) = driver.run(handler, |_| Verdict::Commit).await;
/// assert!(answer.is_ok() && ending.result.is_ok());
/// assert!(matches!(ending.token_update, TokenUpdate::Issue(_)));
/// # }
/// ```
#[derive(Debug)]
pub struct RequestDriver<S> {
    sessions: Arc<Sessions<S>>,
    candidates: Candidates,
    session: WebSession,
}

/// What becomes of the session when the handler has returned.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "closed: it is committed or it is not")]
pub enum Verdict {
    /// It is committed.
    Commit,
    /// The answer is a server's error, or says that the request took too long: the policy's
    /// [`OnServerError`] decides.
    ServerError,
    /// The handler answered with this error of the session: nothing more is written.
    GiveUp(SessionError),
    /// The handler made no answer: nothing more is written, and no client learns anything.
    Abandon,
}

impl Verdict {
    /// Judges an answer by its HTTP status: a server's error, or the answer of a timeout (408), which
    /// comes in place of what the handler would have answered.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            500.. | 408 => Self::ServerError,
            _ => Self::Commit,
        }
    }
}

/// How a request ended for its session.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "the client may need its new token"]
pub struct Ending {
    /// Whether everything was written.
    pub result: Result<(), SessionError>,
    /// What the client must learn about its token, even if something was not written.
    pub token_update: TokenUpdate,
    /// The token the client came with, if the request has made its session live on.
    pub renewed: Option<Token>,
    /// How long the session lives from now.
    pub lifespan: Lifespan,
    /// Whether a handler asked for the session, so that the answer may depend on it: also if it
    /// could not be loaded.
    pub is_open: bool,
    /// What the request cost the store.
    pub operations: Operations,
    /// Work that makes later requests cheaper, for [`Sessions::upkeep`].
    pub upkeep: Option<Upkeep>,
}

impl Ending {
    /// Returns what a transport has to tell the client, if it has.
    #[must_use]
    pub const fn news(&self) -> Option<News<'_>> {
        match (&self.token_update, &self.renewed) {
            (TokenUpdate::Issue(token), _) => Some(News::Issue(token, self.lifespan)),
            (TokenUpdate::Revoke, _) => Some(News::Revoke),
            (TokenUpdate::Unchanged, Some(token)) => Some(News::Renew(token, self.lifespan)),
            (TokenUpdate::Unchanged, None) => None,
        }
    }
}

impl<S: Store + 'static> RequestDriver<S> {
    /// Creates a driver for a request that presents these tokens, or none.
    #[must_use]
    pub fn new(sessions: &Arc<Sessions<S>>, candidates: Candidates) -> Self {
        let surroundings: Arc<dyn Surroundings> = Arc::clone(sessions) as _;
        let session = WebSession::new(sessions.policy().persist(), surroundings);
        Self { sessions: Arc::clone(sessions), candidates, session }
    }

    /// Returns the session, for the handler. It is loaded when the handler asks for it.
    #[must_use]
    pub const fn session(&self) -> &WebSession {
        &self.session
    }

    /// Polls the handler and does what it asks for, until the last write is done.
    pub async fn run<R>(
        self,
        handler: impl Future<Output = R>,
        verdict: impl FnOnce(&R) -> Verdict,
    ) -> (R, Ending) {
        let answer = self.drive(handler, verdict).await;
        (answer, self.ending())
    }

    async fn drive<R>(
        &self,
        handler: impl Future<Output = R>,
        verdict: impl FnOnce(&R) -> Verdict,
    ) -> R {
        let (mut handler, mut verdict) = (pin!(handler), Some(verdict));
        let mut answer = None;
        let mut work: Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = None;
        poll_fn(|context| {
            let _replaced = self.with(|state| state.register(context.waker()));
            loop {
                if work.is_none() {
                    work = self.with(RequestState::take_work).map(|work| self.perform(work));
                }
                if let Some(doing) = &mut work
                    && doing.as_mut().poll(context).is_ready()
                {
                    work = None;
                    continue;
                }
                if answer.is_none() {
                    match handler.as_mut().poll(context) {
                        Poll::Ready(ready) => {
                            let verdict = verdict.take().expect("a handler returns once");
                            if !self.ends_with(verdict(&ready)) {
                                return Poll::Ready(ready);
                            }
                            answer = Some(ready);
                            continue;
                        }
                        Poll::Pending => self.with(RequestState::pause),
                    }
                }
                let (ended, has_work) = self.with(|state| (state.has_ended(), state.has_work()));
                if ended && let Some(ready) = answer.take() {
                    return Poll::Ready(ready);
                }
                if work.is_some() || !has_work {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Reports whether there is a last write to do.
    fn ends_with(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Commit => self.with(|state| state.end(None)),
            Verdict::ServerError => {
                if self.sessions.policy().on_server_error() == OnServerError::Discard {
                    self.with(RequestState::discard);
                    self.tell(trace::discarded);
                }
                self.with(|state| state.end(None))
            }
            Verdict::GiveUp(error) => {
                self.tell(trace::given_up);
                self.with(|state| state.end(Some(error)))
            }
            Verdict::Abandon => {
                self.tell(trace::given_up);
                false
            }
        }
    }

    /// Tells of the session, if it is loaded, when the lock is given back: a listener is foreign code.
    fn tell(&self, tell: impl FnOnce(Option<SessionId>)) {
        if let Some(id) = self.with(|state| state.session().map(|session| session.id())) {
            tell(id);
        }
    }

    fn perform(&self, work: Work) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        match work {
            Work::Load => Box::pin(self.load()),
            Work::Write(write) => Box::pin(self.write(write)),
        }
    }

    async fn load(&self) {
        let loads = u32::try_from(self.candidates.iter().count()).unwrap_or(u32::MAX);
        let loaded = self.sessions.open_among(&self.candidates).await;
        let loaded = loaded.map_err(SessionError::opening);
        self.with(|state| {
            state.operations.load += loads;
            state.loaded(loaded);
        });
    }

    async fn write(&self, write: Write) {
        let (store, clock) = (self.sessions.store(), self.sessions.clock());
        let entropy = self.sessions.entropy();
        let (mut cause, mut turn) = (None, self.sessions.turn());
        let is_observed = turn.is_observed();
        let mut next = self.with(|state| {
            let step = match state.begin_write(write) {
                Err(error) => return Next::Ended(Err(error), None),
                Ok(session) if write == Write::Save => session.save(clock.now(), entropy),
                Ok(session) => session.commit(clock.now(), entropy),
            };
            state.go_on(step, write, is_observed)
        });
        let result = loop {
            next = match next {
                Next::Ended(result, report) => {
                    if let Some(report) = report {
                        turn.report(&report);
                    }
                    break result.map_err(|error| error.caused_by(cause));
                }
                Next::Apply(id, action) => {
                    let applied = turn.apply(store, id, &action, clock).await;
                    let (answer, source) = Answer::split(applied);
                    cause = source.map(erase).or(cause);
                    self.with(|state| {
                        let pending = state.take_pending();
                        state.go_on(
                            pending.finish(answer, clock.now(), entropy),
                            write,
                            is_observed,
                        )
                    })
                }
                Next::Load(id, reason) => {
                    let found = turn.load(store, id, reason, clock).await;
                    self.with(|state| {
                        let reload = state.take_reload();
                        let step = match found {
                            Ok(found) => reload.resume(found, clock.now(), entropy),
                            Err(source) => {
                                cause = Some(erase(source));
                                reload.fail(clock.now(), entropy)
                            }
                        };
                        state.go_on(step, write, is_observed)
                    })
                }
            };
        };
        self.with(|state| state.end_write(result));
    }

    fn ending(&self) -> Ending {
        let now = self.sessions.clock().now();
        self.with(|state| {
            let session = state.session();
            let lifespan = session.as_ref().map(|session| lifespan(session, now));
            let renewed = session.as_ref().filter(|session| session.is_renewed());
            let renewed = renewed.and_then(|session| {
                self.candidates.iter().find(|token| session.is_of(token)).cloned()
            });
            Ending {
                token_update: session
                    .map(|session| session.token_update().clone())
                    .unwrap_or_default(),
                renewed,
                lifespan: lifespan.unwrap_or(Lifespan::new(Duration::ZERO, false)),
                is_open: state.was_asked_for(),
                result: state.last_result(),
                operations: state.operations,
                upkeep: state.take_upkeep(),
            }
        })
    }
}

fn erase(source: impl StoreError) -> Arc<dyn StoreError> {
    Arc::new(source)
}

/// Returns how long a session lives from now if it is not used.
fn lifespan(session: &Session, now: Timestamp) -> Lifespan {
    let idle_timeout = session.idle_timeout();
    let left = session.deadline().map(|deadline| deadline.since(now));
    let remaining = left.into_iter().chain([idle_timeout.as_duration()]).min();
    let is_remembered = idle_timeout > session.policy().idle_timeout();
    Lifespan::new(remaining.unwrap_or_default(), is_remembered)
}

impl<S> RequestDriver<S> {
    fn with<R>(&self, work: impl FnOnce(&mut RequestState) -> R) -> R {
        self.session.shared().with(work)
    }
}

/// However the request ends, every handler that waits for its session is woken.
impl<S> Drop for RequestDriver<S> {
    fn drop(&mut self) {
        let _driver = self.with(RequestState::close);
    }
}
