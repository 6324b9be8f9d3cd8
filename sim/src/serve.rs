//! Serves one request: the engine driven as a framework or the engine's own driver would.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use sessile_core::engine::{
    Answer, Clock, Effect, Loading, Opening, Schedule, Step, Upkeep, begin,
};
use sessile_core::store::{Loaded, Store};
use sessile_core::{
    CommitError, Failed, Finished, Policy, Session, Sessions, Timestamp, Token, TokenUpdate,
    UpdateError,
};

use crate::bug::Bug;
use crate::model::Standing;
use crate::ops::{Note, perform};
use crate::script::{Driver, Op, Presents, Request, Rules, Script};
use crate::seen::Opened;
use crate::stored::secret_of;
use crate::witness::Witness;
use crate::world::{NodeClock, RequestEntropy, Shared, enter};

/// Serves one request.
pub(crate) struct Service {
    pub(crate) origin: usize,
    pub(crate) script: Arc<Script>,
    pub(crate) shared: Shared,
    pub(crate) witness: Witness,
    pub(crate) clock: NodeClock,
    pub(crate) entropy: Arc<RequestEntropy>,
    pub(crate) policy: Policy,
    pub(crate) bug: Option<Bug>,
}

type Written = Result<Finished, Box<Failed>>;

impl Service {
    /// Serves the request from its first to its last byte.
    pub(crate) async fn serve(self) {
        let request = self.request();
        {
            let mut world = enter(&self.shared);
            world.ledger.visits[self.origin].came_at = world.now;
        }
        if request.driver == Driver::Compactor {
            let token = enter(&self.shared).clients[request.client].current.clone();
            if let Some(token) = token {
                let _ = self.sessions().upkeep(Upkeep::compact(token.id())).await;
            }
            return;
        }
        if request.driver == Driver::Update {
            let upkeep = self.update().await;
            return self.upkeep(upkeep).await;
        }
        let Some(session) = self.open().await else { return };
        let (session, mut schedule) = self.work(session, &request.ops).await;
        let effect = schedule.end();
        debug_assert_eq!(effect, Effect::Commit, "a request ends with a commit");
        let upkeep = self.commit(session).await;
        self.upkeep(upkeep).await;
    }

    fn request(&self) -> &Request {
        &self.script.requests[self.origin]
    }

    fn note(&self, what: impl FnOnce() -> String) {
        enter(&self.shared).note(|_| format!("r{} {}", self.origin, what()));
    }

    async fn open(&self) -> Option<Session> {
        let (token, text) = self.presented_text();
        let Ok(session) = self.open_text(text.as_deref()).await else {
            self.note(|| "cannot load".to_owned());
            return None;
        };
        self.opened(token.as_ref(), &session);
        Some(session)
    }

    /// Returns the token that is presented, and the text the node makes of it.
    fn presented_text(&self) -> (Option<Token>, Option<String>) {
        let token = self.presented();
        let mut text = token.as_ref().map(|token| token.expose().as_str().to_owned());
        if self.request().presents == Presents::Garbage {
            text = Some("no token at all".to_owned());
        }
        if let (Some(Bug::TokenById), Some(token)) = (self.bug, &token) {
            let known = enter(&self.shared).tokens.get(&token.id()).cloned();
            text = known.map(|token| token.expose().as_str().to_owned()).or(text);
        }
        if let (Some(Bug::GraceRenews), Some(token)) = (self.bug, &token)
            && let Some(current) = self.current_instead(token)
        {
            text = Some(current.expose().as_str().to_owned());
            self.witness.comes_in_grace();
        }
        (token, text)
    }

    /// Returns the current token of a session, if the one presented is in its grace.
    fn current_instead(&self, token: &Token) -> Option<Token> {
        let now = self.clock.now().as_millis();
        let world = enter(&self.shared);
        let state = world.ledger.logs.get(&token.id())?.state()?;
        let standing = |token: &Token| state.standing(&secret_of(token.verifier()), now);
        let known = world.tokens.get(&token.id()).filter(|_| standing(token) == Standing::Grace);
        known.filter(|known| standing(known) == Standing::Current).cloned()
    }

    fn opened(&self, token: Option<&Token>, session: &Session) {
        let (version, remaining, now) = self.witness.last();
        let origin = self.origin;
        let opened = Opened { origin, token, version, remaining, now, session };
        let mut world = enter(&self.shared);
        world.ledger.check_opened(&opened);
        world.note(|world| {
            let name = session.id().map(|id| world.ledger.name(id).to_owned());
            let what = if session.is_stale() { "a stale session" } else { "a fresh session" };
            format!("r{origin} opens {}", name.as_deref().unwrap_or(what))
        });
    }

    /// Serves the whole request through a closure.
    async fn update(&self) -> Option<Upkeep> {
        let (token, text) = self.presented_text();
        let change = |session: &mut Session| {
            enter(&self.shared).ledger.visits[self.origin].start_over();
            self.opened(token.as_ref(), session);
            for op in &self.request().ops {
                self.perform(session, op);
            }
            self.start_write(session);
            Ok::<(), Infallible>(())
        };
        match self.sessions().update(text.as_deref(), change).await {
            Ok(((), finished)) => {
                self.written(finished.session(), true);
                self.tell(finished.token_update());
                finished.upkeep().cloned()
            }
            Err(UpdateError::Commit(failed)) => {
                let (session, _) = self.failed(failed);
                self.tell(session.token_update());
                None
            }
            Err(_) => None,
        }
    }

    async fn open_text(&self, text: Option<&str>) -> Result<Session, ()> {
        if self.request().driver == Driver::Sessions {
            return self.sessions().open(text).await.map_err(|_| ());
        }
        match begin(&self.policy_of_old(), text) {
            Opening::Fresh(session) => Ok(session),
            Opening::Load(loading) => {
                let now = self.clock.now();
                let found = self.witness.load(loading.id(), now).await.map_err(|_| ())?;
                Ok(self.resume(loading, found, now))
            }
        }
    }

    /// Returns the policy a session is opened under.
    fn policy_of_old(&self) -> Policy {
        if self.bug != Some(Bug::LoweredForNewOnly) {
            return self.policy.clone();
        }
        let rules = self.script.rules_of(self.request().node);
        let all = || (0..self.script.nodes.len()).map(|node| self.script.rules_of(node));
        let idle = all().map(|rules| rules.idle).max().unwrap_or(rules.idle);
        let is_endless = all().any(|rules| rules.absolute.is_none());
        let absolute = all().filter_map(|rules| rules.absolute).max().filter(|_| !is_endless);
        Rules { idle, absolute, ..rules }.policy()
    }

    fn resume(&self, loading: Loading, found: Option<Loaded>, now: Timestamp) -> Session {
        let deadline = found.as_ref().and_then(|found| found.record.deadline());
        let is_over = deadline.is_some_and(|deadline| deadline <= now);
        let now = match self.bug {
            Some(Bug::GraceDoubled) if !is_over => now - self.policy.renewal_grace(),
            _ => now,
        };
        let session = loading.resume(found, now);
        match begin(&self.policy, None) {
            Opening::Fresh(none) if self.bug == Some(Bug::ForgedIsNone) && session.is_new() => none,
            _ => session,
        }
    }

    fn sessions(&self) -> Sessions<Witness> {
        let (clock, entropy) = (self.clock.clone(), Arc::clone(&self.entropy));
        Sessions::new(self.witness.clone(), clock, entropy, self.policy.clone())
    }

    /// Returns the token the client presents.
    fn presented(&self) -> Option<Token> {
        let world = enter(&self.shared);
        let client = &world.clients[self.request().client];
        match self.request().presents {
            Presents::Newest => client.current.clone(),
            Presents::Older(ago) => {
                let place = client.wallet.len().checked_sub(1 + ago)?;
                client.wallet.get(place).cloned()
            }
            Presents::Forged => {
                client.wallet.last().map(|token| Token::from_parts(token.id(), [7; 16]))
            }
            Presents::Nothing | Presents::Garbage => None,
        }
    }

    /// Does what the handler does, and writes when the policy says so.
    async fn work(&self, mut session: Session, ops: &[Op]) -> (Session, Schedule) {
        let mut schedule = Schedule::new(self.policy.persist());
        for op in ops {
            let (effect, during) = match op {
                Op::Save(during) => (schedule.save(), during.as_slice()),
                Op::Wait(_) => (schedule.awaiting(), &[][..]),
                op => {
                    self.perform(&mut session, op);
                    schedule.changed();
                    continue;
                }
            };
            if effect == Effect::Save {
                session = self.save(session, during).await;
                if !during.is_empty() {
                    schedule.changed();
                }
                schedule.answered();
            }
            if let Op::Wait(millis) = op {
                self.sleep(*millis).await;
            }
        }
        (session, schedule)
    }

    fn perform(&self, session: &mut Session, op: &Op) {
        if *op == Op::Discard && !enter(&self.shared).ledger.visits[self.origin].may_discard() {
            return;
        }
        let notes = match (self.bug, op) {
            (Some(Bug::DiscardForgotten), Op::Discard) => vec![Note::Discarded],
            _ => perform(session, op),
        };
        let mut world = enter(&self.shared);
        world.note(|_| format!("r{} {op:?}", self.origin));
        world.ledger.take_notes(self.origin, notes);
        if self.bug == Some(Bug::SharedOverlay)
            && let Some(id) = session.id()
        {
            let shared = (self.request().node, id, self.origin, op.clone());
            world.shared_ops.push(shared);
        }
    }

    async fn sleep(&self, millis: u64) {
        let until = {
            let mut world = enter(&self.shared);
            let until = world.now + millis;
            world.wake_at(self.origin, until);
            until
        };
        let shared = &self.shared;
        std::future::poll_fn(|_| {
            if enter(shared).now < until { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Writes in the middle of the request, and does some more while the write is in flight.
    async fn save(&self, mut session: Session, during: &[Op]) -> Session {
        self.start_write(&mut session);
        let written = match self.request().driver {
            Driver::Sessions => self.sessions().save(session).await,
            _ => {
                let step = session.save(self.clock.now(), &self.entropy);
                self.walk(step, during).await.map(Finished::reopen)
            }
        };
        match written {
            Ok(session) => {
                self.written(&session, false);
                session
            }
            Err(failed) => self.failed(failed).0,
        }
    }

    /// Writes at the end of the request, tells the client, and returns what is left to do.
    async fn commit(&self, mut session: Session) -> Option<Upkeep> {
        for left in (0..=self.request().retries).rev() {
            self.start_write(&mut session);
            let written = match self.request().driver {
                Driver::Sessions => self.sessions().commit(session).await,
                _ => self.walk(session.commit(self.clock.now(), &self.entropy), &[]).await,
            };
            match written {
                Ok(finished) => {
                    self.written(finished.session(), true);
                    self.tell(finished.token_update());
                    return finished.upkeep().cloned();
                }
                Err(failed) => {
                    let error;
                    (session, error) = self.failed(failed);
                    session = self.recovered(session, &error).await;
                    let again = matches!(
                        error,
                        CommitError::Unknown
                            | CommitError::NotApplied
                            | CommitError::Contended
                            | CommitError::Entropy(_)
                    );
                    let is_bug = self.bug == Some(Bug::GoneCreatesAnew);
                    if left == 0 || !(again || is_bug && matches!(error, CommitError::Gone)) {
                        break;
                    }
                }
            }
        }
        // A session that was saved exists, and only this request knows its token.
        self.tell(session.token_update());
        None
    }

    /// Returns the session to write after a failure: the same, without a bug.
    async fn recovered(&self, session: Session, error: &CommitError) -> Session {
        match (self.bug, error) {
            (Some(Bug::DirtyClearedEarly), CommitError::Unknown | CommitError::NotApplied) => {
                let token = self.presented();
                let text = token.as_ref().map(|token| token.expose().as_str().to_owned());
                self.open_text(text.as_deref()).await.unwrap_or(session)
            }
            (Some(Bug::GoneCreatesAnew), CommitError::Gone) => {
                let Opening::Fresh(mut session) = begin(&self.policy, None) else {
                    return session;
                };
                for op in self.request().ops.iter().filter(|op| !op.waits()) {
                    drop(perform(&mut session, op));
                }
                session
            }
            _ => session,
        }
    }

    /// Walks the path by hand.
    async fn walk(&self, step: Result<Step, Box<Failed>>, during: &[Op]) -> Written {
        let mut step = step?;
        let mut during = Some(during);
        loop {
            step = match step {
                Step::Done(finished) => return Ok(finished),
                Step::Apply(mut pending) => {
                    let (id, action) = (pending.id(), pending.action().clone());
                    let mut said = pin!(self.witness.apply(id, &action, self.clock.now()));
                    let at_once = poll_once(said.as_mut()).await;
                    for op in during.take().into_iter().flatten() {
                        self.perform(pending.session_mut(), op);
                    }
                    let said = match at_once {
                        Some(said) => said,
                        None => said.await,
                    };
                    pending.finish(Answer::split(said).0, self.clock.now(), &self.entropy)?
                }
                Step::Load(mut reload) => {
                    let mut found = pin!(self.witness.load(reload.id(), self.clock.now()));
                    let at_once = poll_once(found.as_mut()).await;
                    for op in during.take().into_iter().flatten() {
                        self.perform(reload.session_mut(), op);
                    }
                    let found = match at_once {
                        Some(found) => found,
                        None => found.await,
                    };
                    match found {
                        Ok(found) => reload.resume(found, self.clock.now(), &self.entropy)?,
                        Err(_) => reload.fail(self.clock.now(), &self.entropy)?,
                    }
                }
            };
        }
    }

    fn start_write(&self, session: &mut Session) {
        if self.bug == Some(Bug::SharedOverlay)
            && let Some(id) = session.id()
        {
            let shared = enter(&self.shared).shared_ops.clone();
            let (node, origin) = (self.request().node, self.origin);
            let others =
                shared.iter().filter(|(n, i, o, _)| (*n, *i) == (node, id) && *o != origin);
            others.for_each(|(.., op)| drop(perform(session, op)));
        }
        enter(&self.shared).ledger.visits[self.origin].start_write();
    }

    fn written(&self, session: &Session, is_last: bool) {
        self.note(|| if is_last { "is done" } else { "has saved" }.to_owned());
        enter(&self.shared).ledger.check_written(self.origin, session, is_last);
    }

    fn failed(&self, failed: Box<Failed>) -> (Session, CommitError) {
        let (session, error, _) = failed.into_parts();
        self.note(|| format!("fails: {error}"));
        let now = self.clock.now().as_millis();
        enter(&self.shared).ledger.check_failed(self.origin, &error, now);
        (session, error)
    }

    /// Tells the client about its token.
    fn tell(&self, update: &TokenUpdate) {
        let mut world = enter(&self.shared);
        world.ledger.check_token_update(self.origin, update);
        let client = self.request().client;
        match update {
            TokenUpdate::Unchanged => {}
            TokenUpdate::Issue(token) => {
                world.note(|world| {
                    let name = world.ledger.name(token.id());
                    format!("client {client} is sent a token of {name}")
                });
                world.tokens.insert(token.id(), token.clone());
                world.clients[client].wallet.push(token.clone());
                world.clients[client].current = Some(token.clone());
            }
            TokenUpdate::Revoke => world.clients[client].current = None,
        }
    }

    /// Does what is left to do, unless the client has left.
    async fn upkeep(&self, upkeep: Option<Upkeep>) {
        if let Some(upkeep) = upkeep.filter(|_| !self.script.rules.loses_upkeep) {
            // Whether it succeeds makes no difference to anybody.
            let _ = self.sessions().upkeep(upkeep).await;
        }
    }
}

/// Polls a future once.
async fn poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        Poll::Ready(match std::pin::Pin::new(&mut future).poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}
