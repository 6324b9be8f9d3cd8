//! Drives the path: opens sessions in a store and commits them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::error::Error;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;

use crate::candidates::Candidates;
use crate::claims::Claims;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::error::CommitError;
use crate::event::{Event, Observer};
use crate::observers::Observers;
use crate::policy::Policy;
use crate::session::Session;
use crate::session::commit::{Answer, Step};
use crate::session::failed::Failed;
use crate::session::finished::Finished;
use crate::session::open::{Loading, Opening, begin, choose};
use crate::session::standing::Standing;
use crate::session::upkeep::Upkeep;
use crate::store::action::{Action, Delete, Outcome};
use crate::store::boxed::BoxStore;
use crate::store::contract::Store;
use crate::store::error::StoreError;
use crate::store::failure::Failure;
use crate::store::loaded::Loaded;
use crate::timestamp::Ttl;
use crate::token::{SessionId, Token};
use crate::trace::{self, Span};
use crate::turns::{Turn, Turns};

/// Opens and commits sessions in a store: the whole path in two calls.
///
/// Cheap to clone. For a framework, look at its adapter first; for a program without a runtime, at
/// [`BlockingSessions`](crate::BlockingSessions).
pub struct Sessions<S> {
    store: Arc<S>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    policy: Policy,
    turns: Arc<Turns>,
    claims: Arc<Claims>,
    observers: Observers,
}

impl<S: Store> Sessions<S> {
    /// Creates sessions that live in `store` by the rules of `policy`.
    ///
    /// `sessile::Sessions::new` takes the clock and the randomness of the operating system.
    pub fn new(
        store: S,
        clock: impl Clock + 'static,
        entropy: impl Entropy + 'static,
        policy: Policy,
    ) -> Self {
        let (clock, entropy) = (Arc::new(clock), Arc::new(entropy));
        let (turns, claims) = (Arc::new(Turns::new()), Arc::new(Claims::new()));
        let observers = Observers::default();
        Self { store: Arc::new(store), clock, entropy, policy, turns, claims, observers }
    }

    /// Adds an observer, which hears what happens to these sessions and to clones made from now on.
    #[must_use]
    pub fn observed_by(mut self, observer: impl Observer + 'static) -> Self {
        self.observers.add(observer);
        self
    }

    /// Opens the session a token names, or a fresh one, which costs no store call.
    ///
    /// # Errors
    ///
    /// Returns the store's error if it could not be read. There is no session then, fresh or other:
    /// an error is never taken for an empty session.
    pub async fn open(&self, token: Option<&str>) -> Result<Session, S::Error> {
        match begin(&self.policy, token) {
            Opening::Fresh(session) => Ok(session),
            Opening::Load(loading) => self.resume(loading).await,
        }
    }

    /// As [`Sessions::open`], for a client that may present several tokens and does not say which of
    /// them counts: [`choose`] decides.
    ///
    /// # Errors
    ///
    /// As [`Sessions::open`]; not for a session that cannot be read beside one that lives.
    pub async fn open_among(&self, candidates: &Candidates) -> Result<Session, S::Error> {
        let mut tokens = candidates.iter();
        let mut session = match tokens.next() {
            Some(token) => self.resume(Loading::new(&self.policy, token)).await,
            None => Ok(Session::fresh(self.policy.clone())),
        };
        for token in tokens {
            let other = self.resume(Loading::new(&self.policy, token)).await;
            session = match (session, other) {
                (Ok(one), Ok(other)) => Ok(self.choose(one, other)),
                (Err(source), Ok(lives)) | (Ok(lives), Err(source))
                    if source.is_unreadable() && lives.standing() >= Standing::Grace =>
                {
                    Ok(lives)
                }
                (Err(source), _) | (_, Err(source)) => return Err(source),
            };
        }
        session
    }

    fn choose(&self, one: Session, other: Session) -> Session {
        let was_contested = one.is_contested();
        let chosen = choose(one, other);
        if chosen.is_contested() && !was_contested {
            trace::contested();
        }
        chosen
    }

    /// Opens a session for a holder that was let in before.
    pub(crate) async fn open_trusted(&self, id: SessionId) -> Result<Session, S::Error> {
        self.resume(Loading::trusted(&self.policy, id)).await
    }

    async fn resume(&self, loading: Loading) -> Result<Session, S::Error> {
        let (id, now, begun) = (loading.id(), self.clock.now(), self.clock.uptime());
        let span = Span::open(id);
        let found = span.around(self.store.load(id, now)).await;
        let took = self.clock.uptime().saturating_sub(begun);
        match found {
            Ok(found) => {
                let session = loading.resume(found, now);
                let standing = session.standing();
                span.ended(standing.name());
                span.within(|| self.observers.hear(|| Event::Opened { id, standing, took }));
                Ok(session)
            }
            Err(source) => {
                let is_unreadable = source.is_unreadable();
                let error = &source;
                span.ended(if is_unreadable { "unreadable" } else { "failed" });
                span.within(|| {
                    self.observers.hear(|| Event::OpenFailed { id, error, is_unreadable, took });
                });
                let abandoned = if is_unreadable { loading.abandon() } else { None };
                abandoned.ok_or(source)
            }
        }
    }

    /// Writes what changed. [`Finished::token_update`] is what the client must learn; pass
    /// [`Finished::upkeep`] to [`Sessions::upkeep`] when no response waits for it any more.
    ///
    /// # Errors
    ///
    /// Returns [`Failed`] with the session, which may be committed again.
    pub async fn commit(&self, session: Session) -> Result<Finished, Box<Failed>> {
        self.commit_in(session, &mut self.turn()).await
    }

    /// Writes what changed and goes on with the session.
    ///
    /// # Errors
    ///
    /// Returns [`Failed`] with the session, which may be saved again.
    pub async fn save(&self, session: Session) -> Result<Session, Box<Failed>> {
        let step = session.save(self.clock.now(), &self.entropy);
        Ok(self.drive(step, &mut self.turn()).await?.reopen())
    }

    /// Saves under [`Persist::ON_CHANGE`](crate::Persist::ON_CHANGE), and does nothing under other
    /// policies: to be called after each change by a program that has no handler whose awaits could
    /// be watched.
    ///
    /// # Errors
    ///
    /// As [`Sessions::save`].
    pub async fn save_if_due(&self, session: Session) -> Result<Session, Box<Failed>> {
        if self.policy.persist().on_change() { self.save(session).await } else { Ok(session) }
    }

    /// Opens a session, lets `change` work on it, and commits, atomically under every policy: if
    /// another request changed what the closure read or wrote, the closure runs again on what that
    /// one left.
    ///
    /// Of many updates of one session at once each has its turn on a node, so none gives up because
    /// of others there. If the closure fails, nothing is written.
    ///
    /// # Errors
    ///
    /// Returns [`UpdateError`] if the closure failed, the store could not be read, or the last try
    /// could not be written.
    pub async fn update<R, E>(
        &self,
        token: Option<&str>,
        change: impl FnMut(&mut Session) -> Result<R, E>,
    ) -> Result<(R, Finished), UpdateError<S::Error, E>> {
        let id = token.and_then(|token| Token::parse(token).ok()).map(|token| token.id());
        self.update_of(Holder::Client { token, id }, change).await
    }

    pub(crate) async fn update_of<R, E>(
        &self,
        holder: Holder<'_>,
        mut change: impl FnMut(&mut Session) -> Result<R, E>,
    ) -> Result<(R, Finished), UpdateError<S::Error, E>> {
        let id = holder.id();
        let mut turn = self.turn();
        if let Some(id) = id {
            turn.take_in_queue(id).await;
        }
        let mut tries = 0;
        loop {
            let opened = match holder {
                Holder::Client { token, .. } => self.open(token).await,
                Holder::Trusted(id) => self.open_trusted(id).await,
            };
            if let (Err(_), Some(id)) = (&opened, id) {
                turn.give_up(id);
            }
            let mut session = opened.map_err(UpdateError::Open)?;
            if matches!(holder, Holder::Trusted(_)) && session.is_new() {
                return Err(UpdateError::Commit(Failed::gone(session)));
            }
            session.reject_conflicts();
            let result = change(&mut session).map_err(UpdateError::Change)?;
            match self.commit_in(session, &mut turn).await {
                Ok(finished) => return Ok((result, finished)),
                Err(failed) if tries < TRIES_MAX && failed.error().is_worth_another_try() => {
                    tries += 1;
                    trace::retried(id, tries);
                    if let Some(id) = id {
                        turn.take(id).await;
                    }
                    self.step_aside(tries).await;
                }
                Err(failed) => return Err(UpdateError::Commit(failed)),
            }
        }
    }

    /// Ends a session by its id, for administrators. It does not come back, and ending one that is
    /// not there is no failure.
    ///
    /// # Errors
    ///
    /// Returns [`Failure`] if the store failed; after [`Failure::Unknown`] the session may have
    /// ended. Ending it again is safe.
    pub async fn end(&self, id: SessionId) -> Result<(), Failure<S::Error>> {
        // Nothing is known of its deadline: no session lives longer.
        let action = Delete::new(Ttl::MAX).into();
        let span = Span::end(id);
        self.apply_within(&span, id, &action).await?;
        span.ended("done");
        span.within(|| self.observers.hear(|| Event::Ended { id }));
        Ok(())
    }

    /// Does the work that makes later requests cheaper, unless this node is at it already.
    ///
    /// # Errors
    ///
    /// Returns [`Failure`] if the store failed. Nothing is lost; the next request of the session
    /// finds that it is still due.
    pub async fn upkeep(&self, upkeep: Upkeep) -> Result<(), Failure<S::Error>> {
        let id = upkeep.id();
        let Some(_claim) = self.claims.take(id) else { return Ok(()) };
        let span = Span::upkeep(id);
        let outcome = if let Some(action) = upkeep.action() {
            self.apply_within(&span, id, action).await?
        } else {
            let loaded = self.load_within(&span, id).await.map_err(Failure::NotApplied)?;
            let Some(action) = loaded.and_then(|loaded| loaded.compaction()) else { return Ok(()) };
            self.apply_within(&span, id, &action).await?
        };
        if let Outcome::Done(_) = outcome {
            span.ended("done");
            span.within(|| self.observers.hear(|| Event::Compacted { id }));
        }
        Ok(())
    }

    /// Starts the turn of one commit, for a driver that walks the path by hand.
    pub fn turn(&self) -> Turn {
        Turn::new(Arc::clone(&self.turns), self.observers.clone())
    }

    /// Returns the store.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Returns the clock.
    #[must_use]
    pub const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Returns the source of randomness.
    #[must_use]
    pub const fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.entropy
    }

    /// Returns the rules.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Loads a log for work that is no request's.
    async fn load_within(&self, span: &Span, id: SessionId) -> Result<Option<Loaded>, S::Error> {
        let found = span.around(self.store.load(id, self.clock.now())).await;
        if let Err(error) = &found {
            span.ended("failed");
            span.within(|| trace::store_failed(id, "load", error, false));
        }
        found
    }

    /// Applies an action that is no request's.
    async fn apply_within(
        &self,
        span: &Span,
        id: SessionId,
        action: &Action,
    ) -> Result<Outcome, Failure<S::Error>> {
        let applied = span.around(self.store.apply(id, action, self.clock.now())).await;
        if let Err(failure) = &applied {
            span.ended("failed");
            let (source, is_unknown) = failure.cause();
            span.within(|| trace::store_failed(id, action.name(), source, is_unknown));
        }
        applied
    }

    async fn commit_in(&self, session: Session, turn: &mut Turn) -> Result<Finished, Box<Failed>> {
        let step = session.commit(self.clock.now(), &self.entropy);
        self.drive(step, turn).await
    }

    async fn drive(
        &self,
        step: Result<Step, Box<Failed>>,
        turn: &mut Turn,
    ) -> Result<Finished, Box<Failed>> {
        let driven = match step {
            Ok(step) => self.drive_on(step, turn).await,
            Err(failed) => Err(failed),
        };
        if turn.is_observed() {
            turn.report(&match &driven {
                Ok(finished) => finished.report(),
                Err(failed) => failed.report(),
            });
        }
        driven
    }

    async fn drive_on(&self, mut step: Step, turn: &mut Turn) -> Result<Finished, Box<Failed>> {
        // The engine never sees the store's error; it is added to the failure.
        let mut cause: Option<Arc<dyn Error + Send + Sync>> = None;
        loop {
            let next = match step {
                Step::Done(finished) => return Ok(finished),
                Step::Apply(pending) => {
                    let (id, action) = (pending.id(), pending.action());
                    let applied = turn.apply(&*self.store, id, action, &self.clock).await;
                    let (answer, source) = Answer::split(applied);
                    cause = source.map(erase).or(cause);
                    pending.finish(answer, self.clock.now(), &self.entropy)
                }
                Step::Load(reload) => {
                    let (id, reason) = (reload.id(), reload.reason());
                    let found = turn.load(&*self.store, id, reason, &self.clock).await;
                    let now = self.clock.now();
                    match found {
                        Ok(found) => reload.resume(found, now, &self.entropy),
                        Err(source) => {
                            cause = Some(erase(source));
                            reload.fail(now, &self.entropy)
                        }
                    }
                }
            };
            step = next.map_err(|failed| match cause.take() {
                Some(cause) => failed.caused_by(cause),
                None => failed,
            })?;
        }
    }

    /// Yields a random number of times, up to twice as many at each try, so that requests of
    /// several nodes that collided do not collide again. There is no timer here to sleep by.
    async fn step_aside(&self, tries: u32) {
        let mut random = [0; 1];
        if self.entropy.fill(&mut random).is_err() {
            return;
        }
        let mut turns = u32::from(random[0]) % (1 << tries.min(u8::BITS));
        poll_fn(|context| {
            if turns == 0 {
                return Poll::Ready(());
            }
            turns -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

fn erase(source: impl Error + Send + Sync + 'static) -> Arc<dyn Error + Send + Sync> {
    Arc::new(source)
}

/// Hand-written because sessions are cloned whatever the store.
impl<S> Clone for Sessions<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            policy: self.policy.clone(),
            turns: Arc::clone(&self.turns),
            claims: Arc::clone(&self.claims),
            observers: self.observers.clone(),
        }
    }
}

impl<S: Store + 'static> Sessions<S> {
    /// Returns the same sessions, with the type of the store erased.
    #[must_use]
    pub fn boxed(&self) -> Sessions<BoxStore> {
        Sessions {
            store: Arc::new(BoxStore::shared(Arc::clone(&self.store))),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            policy: self.policy.clone(),
            turns: Arc::clone(&self.turns),
            claims: Arc::clone(&self.claims),
            observers: self.observers.clone(),
        }
    }
}

/// Who wants to update a session.
#[derive(Clone, Copy)]
pub(crate) enum Holder<'a> {
    /// A client, with the token it presents and the id in that.
    Client { token: Option<&'a str>, id: Option<SessionId> },
    /// A handle that was let in before.
    Trusted(SessionId),
}

impl Holder<'_> {
    const fn id(&self) -> Option<SessionId> {
        match self {
            Self::Client { id, .. } => *id,
            Self::Trusted(id) => Some(*id),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Sessions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("store", &self.store)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl CommitError {
    /// Reports whether doing the same again on a newly loaded session may well succeed.
    const fn is_worth_another_try(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Contended | Self::Superseded)
    }
}

/// Why [`Sessions::update`] gave up.
///
/// Nothing the closure did was written, except after [`CommitError::Unknown`].
#[derive(Debug)]
#[non_exhaustive]
pub enum UpdateError<S, C> {
    /// The session could not be loaded, for the first time or again after a conflict.
    Open(S),
    /// The closure failed.
    Change(C),
    /// The session could not be written.
    Commit(Box<Failed>),
}

impl<S: fmt::Display, C: fmt::Display> fmt::Display for UpdateError<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(source) => source.fmt(f),
            Self::Change(source) => source.fmt(f),
            Self::Commit(failed) => failed.fmt(f),
        }
    }
}

impl<S: Error + 'static, C: Error + 'static> Error for UpdateError<S, C> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Open(source) => source.source(),
            Self::Change(source) => source.source(),
            Self::Commit(failed) => failed.source(),
        }
    }
}

/// How many times an update starts over: other nodes come first only by chance.
const TRIES_MAX: u32 = 64;
