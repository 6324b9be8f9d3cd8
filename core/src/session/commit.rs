//! From a session to the log: the second half of the path.
//!
//! A commit is a short conversation: it proposes one action, hears the answer, and proposes the
//! next or is done. Everything that can go wrong between two machines is decided here, in
//! [`Pending::finish`] and [`Reload::resume`], and nowhere in a store or a driver.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::error::Error;
use core::fmt;

use crate::entropy::Entropy;
use crate::error::CommitError;
use crate::log::delta::RotationReason;
use crate::log::record::{Record, VerifierStatus};
use crate::policy::OnConflict;
use crate::session::draft::{Draft, draft, draft_again, extent};
use crate::session::origin::{LogEnd, Origin};
use crate::session::outbox::{Envelope, Outbox};
use crate::session::upkeep::{Room, Upkeep, room, upkeep};
use crate::session::{Session, TokenUpdate};
use crate::store::action::{Action, Compact, Delete, Outcome, Touch};
use crate::store::failure::Failure;
use crate::store::loaded::Loaded;
use crate::store::position::Position;
use crate::timestamp::Timestamp;
use crate::token::{SessionId, Token};

/// What a commit needs next.
#[derive(Debug)]
#[must_use = "a commit is done when it returns `Done`"]
#[expect(clippy::exhaustive_enums, reason = "closed: a driver handles every step")]
pub enum Step {
    /// Apply the action, then [`Pending::finish`].
    Apply(Pending),
    /// Load the log, then [`Reload::resume`].
    Load(Reload),
    /// Nothing: all is written.
    Done(Finished),
}

/// An action that is on its way to the store.
///
/// The session inside stays usable: what is changed meanwhile belongs to the next write.
#[derive(Debug)]
#[must_use = "dropping it leaves the session unwritten"]
pub struct Pending {
    commit: Commit,
    id: SessionId,
    action: Arc<Action>,
}

/// A store's reply to an action, without the store's error: that stays with the driver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: it is certain or it is not")]
pub enum Answer {
    /// The store replied with an outcome.
    Done(Outcome),
    /// The action certainly was not and will not be applied.
    NotApplied,
    /// The action may have been or may still be applied.
    Unknown,
}

/// A log that must be looked at before the commit can go on.
#[derive(Debug)]
#[must_use = "dropping it leaves the session unwritten"]
pub struct Reload {
    commit: Commit,
    id: SessionId,
    reason: ReloadReason,
}

/// A session that is written, and what is left to do.
#[derive(Debug)]
#[must_use = "the client may need its new token"]
pub struct Finished {
    session: Session,
    upkeep: Option<Upkeep>,
}

/// A commit that failed, with the session as it was.
///
/// Committing that session again is safe: what certainly was not applied is written anew, and what
/// may have been is looked for first.
#[derive(Debug)]
pub struct Failed {
    session: Session,
    error: CommitError,
    /// The store's error, if it was the store that failed.
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What stays the same during a commit.
#[derive(Debug)]
struct Commit {
    session: Session,
    /// The request ends with it.
    is_last: bool,
    /// How many times something else came first.
    retries: u32,
    /// What is in flight was drafted by an earlier commit: there may be more to write behind it.
    is_behind: bool,
}

#[derive(Clone, Copy, Debug)]
enum ReloadReason {
    /// The reply to the last write was lost.
    Lost,
    /// Something else was appended first, or the position is not known.
    Moved,
    /// The same, and there is nothing to write but the ttl.
    Renewal,
}

impl Session {
    /// Starts the last write of the request: what changed, or under [`Persist::ALWAYS`] also
    /// nothing; a touch if the session was only read and that is due.
    ///
    /// [`Persist::ALWAYS`]: crate::Persist::ALWAYS
    ///
    /// # Errors
    ///
    /// Returns [`Failed`] with the session unchanged if something set through [`Session::get_mut`]
    /// cannot be stored or goes beyond a limit, there is no randomness, the session is stale, or
    /// its deadline has passed.
    pub fn commit(self, now: Timestamp, entropy: &dyn Entropy) -> Result<Step, Box<Failed>> {
        Commit::new(self, true).advance(now, entropy)
    }

    /// Starts a write in the middle of a request. [`Finished::reopen`] gives the session back.
    ///
    /// # Errors
    ///
    /// As [`Session::commit`].
    pub fn save(self, now: Timestamp, entropy: &dyn Entropy) -> Result<Step, Box<Failed>> {
        Commit::new(self, false).advance(now, entropy)
    }
}

impl Commit {
    const fn new(session: Session, is_last: bool) -> Self {
        Self { session, is_last, retries: 0, is_behind: false }
    }

    /// Proposes the next action.
    fn advance(mut self, now: Timestamp, entropy: &dyn Entropy) -> Result<Step, Box<Failed>> {
        self.session.fold_acknowledged();
        if let Some((id, ttl)) = self.session.to_delete {
            return Ok(self.apply(id, Arc::new(Delete::new(ttl).into())));
        }
        if let Outbox::Lost(envelope) = &self.session.outbox {
            let id = envelope.id;
            self.is_behind = true;
            return Ok(self.load(id, ReloadReason::Lost));
        }
        self.is_behind = false;
        let session = &mut self.session;
        if let Err(error) = session.view.take_back(session.policy.limits()) {
            return Err(self.fail(error.into()));
        }
        match draft(&self.session, self.is_last, now, entropy) {
            Ok(Draft::Nothing) => {
                // A lifetime that was asked for before there is anything to keep counts once there is
                // (a_lifetime_is_kept_until_there_is_something_to_store).
                if self.session.origin.log_end().is_some() {
                    self.session.view.settle();
                }
                Ok(self.done())
            }
            Ok(Draft::Touch(id, touch)) => Ok(self.apply(id, Arc::new(touch.into()))),
            Ok(Draft::Write(envelope, reserved)) => {
                match room(&self.session, &envelope) {
                    Room::Enough => {}
                    Room::Look(id) => return Ok(self.load(id, ReloadReason::Moved)),
                    Room::Compact(id, action) => return Ok(self.apply(id, action)),
                }
                if let Some(reserved) = reserved {
                    self.session.origin = Origin::Fresh(Some(reserved));
                }
                let stamp = envelope.action.stamp().expect("a write has a stamp");
                self.session.view.freeze(now, stamp.commit);
                Ok(self.send(envelope))
            }
            Ok(Draft::Locate(id)) => Ok(self.load(id, ReloadReason::Moved)),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn done(self) -> Step {
        let upkeep = upkeep(&self.session);
        Step::Done(Finished { session: self.session, upkeep })
    }

    fn apply(self, id: SessionId, action: Arc<Action>) -> Step {
        Step::Apply(Pending { commit: self, id, action })
    }

    fn send(mut self, envelope: Envelope) -> Step {
        let (id, action) = (envelope.id, Arc::clone(&envelope.action));
        self.session.outbox = Outbox::Sent(envelope);
        self.apply(id, action)
    }

    fn load(self, id: SessionId, reason: ReloadReason) -> Step {
        Step::Load(Reload { commit: self, id, reason })
    }

    fn fail(mut self, error: CommitError) -> Box<Failed> {
        if let (CommitError::Gone, Origin::Loaded(end)) = (&error, &mut self.session.origin) {
            // Seed 401327756: a later save reported success although this request knew of the end.
            end.has_ended = true;
        }
        Box::new(Failed { session: self.session, error, source: None })
    }

    /// Goes on after something else came first, unless that happens without end.
    fn retry(mut self, now: Timestamp, entropy: &dyn Entropy) -> Result<Step, Box<Failed>> {
        self.retries += 1;
        if self.retries > RETRIES_MAX {
            return Err(self.fail(CommitError::Contended));
        }
        self.advance(now, entropy)
    }

    /// Takes in that the write was applied, at that position if the store reported one. That ends
    /// the commit, unless an earlier one had drafted it.
    fn acknowledged(
        mut self,
        envelope: Envelope,
        position: Option<Position>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Step, Box<Failed>> {
        self.session.acknowledge(envelope, position, now);
        if !self.is_behind {
            return Ok(self.done());
        }
        self.advance(now, entropy)
    }

    /// Takes in that the write is in the log, perhaps behind others: what they left says how long the
    /// log is to live.
    fn acknowledged_in(
        self,
        envelope: Envelope,
        log: &Loaded,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Step, Box<Failed>> {
        let mut step = self.acknowledged(envelope, None, now, entropy)?;
        if let Step::Done(Finished { session, .. }) = &mut step {
            let is_out = session.is_out(&log.record);
            if let Origin::Loaded(end) = &mut session.origin {
                end.seen(log, is_out, now);
            }
        }
        match step {
            Step::Done(finished) => Ok(finished.renewed(now)),
            step => Ok(step),
        }
    }

    /// Renews the ttl where the log was seen to end, if that is due.
    fn renew_at(mut self, found: Option<Loaded>, now: Timestamp) -> Step {
        self.retries += 1;
        let Some(log) = found.filter(|log| !self.session.is_out(&log.record)) else {
            return self.done();
        };
        if let Origin::Loaded(end) = &mut self.session.origin {
            end.seen(&log, false, now);
        }
        if self.retries > RETRIES_MAX { self.done() } else { self.renew(now) }
    }

    fn renew(self, now: Timestamp) -> Step {
        let due = |end: &LogEnd| {
            let ttl = end.due_ttl(&self.session.policy, now)?;
            Some((end.id, Touch::new(ttl).behind(end.stamp)))
        };
        match self.session.origin.log_end().and_then(due) {
            Some((id, touch)) => self.apply(id, Arc::new(touch.into())),
            None => self.done(),
        }
    }

    /// Goes on after the log was compacted, or has to look at it again.
    fn compacted(
        mut self,
        id: SessionId,
        compact: &Compact,
        answer: Answer,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Step, Box<Failed>> {
        match (answer, &mut self.session.origin) {
            (Answer::Done(Outcome::Done(_)), Origin::Loaded(end)) => {
                end.compacted(compact.clone());
                self.advance(now, entropy)
            }
            (Answer::NotApplied, _) => Err(self.fail(CommitError::NotApplied)),
            _ => Ok(self.load(id, ReloadReason::Moved)),
        }
    }

    /// Takes out the write that is in flight, or was lost.
    fn take_sent(&mut self) -> Envelope {
        let envelope = self.session.outbox.take_undecided();
        envelope.expect("a write in flight has an envelope")
    }

    /// Puts the changes of a write that failed back.
    fn thaw(&mut self) {
        self.session.outbox = Outbox::Empty;
        self.session.view.thaw();
    }

    /// Looks for a write whose fate is not known, unless it was sent too often already.
    fn look_for(self, id: SessionId) -> Result<Step, Box<Failed>> {
        let stamp = match &self.session.outbox {
            Outbox::Sent(envelope) | Outbox::Lost(envelope) => envelope.action.stamp(),
            Outbox::Empty | Outbox::Acknowledged(_) => None,
        };
        if stamp.is_some_and(|stamp| stamp.attempt < ATTEMPTS_MAX) {
            return Ok(self.load(id, ReloadReason::Lost));
        }
        Err(self.lose())
    }

    /// Looks for a write that found another entry where the log should have ended: that can be an
    /// earlier sending of its own.
    fn look_again(mut self, id: SessionId) -> Result<Step, Box<Failed>> {
        self.retries += 1;
        if self.retries > RETRIES_MAX {
            return Err(self.lose());
        }
        Ok(self.load(id, ReloadReason::Lost))
    }

    /// Gives up on a write whose fate is not known; the next commit looks for it first.
    fn lose(mut self) -> Box<Failed> {
        if let Some(envelope) = self.session.outbox.take_undecided() {
            self.session.outbox = Outbox::Lost(envelope);
        }
        self.fail(CommitError::Unknown)
    }
}

impl Pending {
    /// Returns the log the action is for.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Returns the action to apply, exactly once.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// Returns the action, for a driver that cannot hold on to this while the store works.
    #[must_use]
    pub fn shared_action(&self) -> Arc<Action> {
        Arc::clone(&self.action)
    }

    /// Lends the session out: what is changed now belongs to the next write.
    pub const fn session_mut(&mut self) -> &mut Session {
        &mut self.commit.session
    }

    /// Takes the store's reply and returns what comes next.
    ///
    /// # Errors
    ///
    /// Returns [`Failed`] with the session, still dirty, if the action was refused or its fate is
    /// unknown. See [`CommitError`].
    pub fn finish(
        self,
        answer: Answer,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Step, Box<Failed>> {
        let Self { mut commit, id, action } = self;
        let is_resent = action.stamp().is_some_and(|stamp| stamp.attempt > 0);
        match (&*action, answer) {
            (Action::Delete(_), Answer::Done(_)) => {
                commit.session.to_delete = None;
                commit.session.token_update = TokenUpdate::Revoke;
                commit.advance(now, entropy)
            }
            (Action::Delete(_), Answer::NotApplied) => Err(commit.fail(CommitError::NotApplied)),
            (Action::Delete(_), Answer::Unknown) => Err(commit.fail(CommitError::Unknown)),
            // The session was ended while this was in flight: what it did is deleted next.
            _ if commit.session.to_delete.is_some() => commit.advance(now, entropy),
            // Something came in between that may say how long the log is to live.
            (Action::Touch(_), Answer::Done(Outcome::Moved)) => {
                Ok(commit.load(id, ReloadReason::Renewal))
            }
            // A touch carries no data: whether it was done changes nothing for this request.
            (Action::Touch(_), _) => Ok(commit.done()),
            (Action::Compact(compact), answer) => {
                commit.compacted(id, compact, answer, now, entropy)
            }
            // Others came in between, perhaps a change of privilege that makes it void.
            (Action::Append(_), Answer::Done(Outcome::Late)) => {
                Ok(commit.load(id, ReloadReason::Lost))
            }
            (_, Answer::Done(Outcome::Done(position))) => {
                let envelope = commit.take_sent();
                commit.acknowledged(envelope, position, now, entropy)
            }
            (Action::Create(_), Answer::Done(_)) => {
                // Another session has that id: draw another one.
                commit.thaw();
                commit.session.origin = Origin::Fresh(None);
                commit.retry(now, entropy)
            }
            // What came first, or may still come, can be an earlier sending of the same commit.
            (_, Answer::Done(Outcome::Moved)) if is_resent => commit.look_again(id),
            (_, Answer::NotApplied) if is_resent => Err(commit.lose()),
            (_, Answer::Done(Outcome::Moved)) => {
                commit.thaw();
                Ok(commit.load(id, ReloadReason::Moved))
            }
            (_, Answer::Done(Outcome::Gone | Outcome::Exists)) => {
                commit.thaw();
                Err(commit.fail(CommitError::Gone))
            }
            (_, Answer::NotApplied) => {
                commit.thaw();
                Err(commit.fail(CommitError::NotApplied))
            }
            (_, Answer::Unknown) => commit.look_for(id),
        }
    }
}

impl Reload {
    /// Returns the log to load.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Reports whether something else came first: a driver of many commits at once lets each have
    /// its [turn](crate::engine::Turn) now.
    #[must_use]
    pub const fn is_contended(&self) -> bool {
        matches!(self.reason, ReloadReason::Moved)
    }

    /// Lends the session out: what is changed now belongs to the next write.
    pub const fn session_mut(&mut self) -> &mut Session {
        &mut self.commit.session
    }

    /// Takes what the store found and returns what comes next.
    ///
    /// # Errors
    ///
    /// Returns [`Failed`] with the session, still dirty. See [`CommitError`].
    pub fn resume(
        self,
        found: Option<Loaded>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Step, Box<Failed>> {
        let Self { commit, id, reason } = self;
        match (reason, found) {
            // The session was ended meanwhile.
            _ if commit.session.to_delete.is_some() => commit.advance(now, entropy),
            (ReloadReason::Lost, found) => commit.settle(id, found, now, entropy),
            (ReloadReason::Renewal, found) => Ok(commit.renew_at(found, now)),
            (ReloadReason::Moved, None) => Err(commit.fail(CommitError::Gone)),
            (ReloadReason::Moved, Some(log)) => commit.rebase_onto(id, log, now, entropy),
        }
    }

    /// Takes in that the store could not be read.
    ///
    /// # Errors
    ///
    /// Returns [`Failed`] with the session, still dirty, unless the session was ended meanwhile.
    pub fn fail(self, now: Timestamp, entropy: &dyn Entropy) -> Result<Step, Box<Failed>> {
        match self.reason {
            _ if self.commit.session.to_delete.is_some() => self.commit.advance(now, entropy),
            ReloadReason::Lost => Err(self.commit.lose()),
            ReloadReason::Moved => Err(self.commit.fail(CommitError::NotApplied)),
            ReloadReason::Renewal => Ok(self.commit.done()),
        }
    }
}

impl Commit {
    /// Decides the fate of a write whose reply was lost.
    fn settle(
        mut self,
        id: SessionId,
        found: Option<Loaded>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Step, Box<Failed>> {
        let mut envelope = self.take_sent();
        let stamp = envelope.action.stamp().expect("a write has a stamp");
        let counts = found.as_ref().and_then(|log| log.record.counts(stamp.commit));
        match found {
            Some(log) if counts == Some(true) => {
                // A token that another rotation replaced before the client heard of it is not sent:
                // the client has, or is about to get, the newer one.
                envelope.token.take_if(|token| {
                    let status = log.record.status_of(&token.verifier(), now);
                    status != VerifierStatus::Current
                });
                self.acknowledged_in(envelope, &log, now, entropy)
            }
            Some(log) if counts == Some(false) => {
                self.session.view.thaw();
                self.rebase_onto(id, log, now, entropy)
            }
            _ if matches!(*envelope.action, Action::Create(_)) => {
                // Under another id: the first sending may still arrive, and must not revive a
                // session that was ended in between. What it would create has a token that no
                // client has.
                self.session.view.thaw();
                self.session.origin = Origin::Fresh(None);
                self.retry(now, entropy)
            }
            None => {
                self.session.view.thaw();
                Err(self.fail(CommitError::Gone))
            }
            Some(log) if self.session.is_based_on(&log.record) => {
                if !can_still_count(&envelope, &log) {
                    self.session.view.thaw();
                    return self.rebase_onto(id, log, now, entropy);
                }
                match draft_again(envelope, &log, now) {
                    Some(again) => Ok(self.send(again)),
                    None => {
                        self.session.view.thaw();
                        Err(self.fail(CommitError::Gone))
                    }
                }
            }
            // So much was appended since that the commit may have been folded and forgotten.
            Some(_) => {
                self.session.outbox = Outbox::Lost(envelope);
                Err(self.fail(CommitError::Unknown))
            }
        }
    }

    /// Goes on behind what was appended meanwhile.
    fn rebase_onto(
        mut self,
        id: SessionId,
        log: Loaded,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Step, Box<Failed>> {
        let session = &mut self.session;
        let (Origin::Loaded(end), Some(base)) = (&session.origin, session.view.base()) else {
            return self.retry(now, entropy);
        };
        let (verifier, last_accessed_at) = (end.verifier, end.last_accessed_at);
        let is_out = session.is_out(&log.record);
        let is_renewed = base.generation() != log.record.generation();
        if !log.record.continues(base) {
            // A failover forgot a rotation, and perhaps the token with it. A grace that ends while
            // the request runs puts no client out: it came in time.
            let status = log.record.status_of(&verifier, Timestamp::default());
            if matches!(status, VerifierStatus::Stale | VerifierStatus::Forged) {
                return Err(self.fail(CommitError::Gone));
            }
        }
        if is_out {
            return self.put_out(&log.record);
        }
        if is_renewed && !session.yield_rotation() {
            return Err(self.fail(CommitError::Superseded));
        }
        match session.rebase(&log) {
            Ok(()) => {}
            Err(error) => return Err(self.fail(error)),
        }
        let end = LogEnd::loaded(id, verifier, &log, now);
        self.session.origin = Origin::Loaded(LogEnd { last_accessed_at, ..end });
        self.retry(now, entropy)
    }

    /// Goes on after a change of privilege that replaced the token of this request: it writes
    /// nothing any more, and there is nothing to report if the change is what it wanted as well.
    fn put_out(mut self, record: &Record) -> Result<Step, Box<Failed>> {
        let intent = &mut self.session.view.since_mut().intent;
        let principal = intent.principal.as_ref();
        let is_other = principal.is_some_and(|wanted| wanted.as_deref() != record.principal());
        if is_other || intent.changes_lifetime() {
            return Err(self.fail(CommitError::Superseded));
        }
        (intent.rotation, intent.principal) = (None, None);
        let session = &mut self.session;
        session.origin = Origin::Stale;
        if let Err(error) = session.view.take_back(session.policy.limits()) {
            return Err(self.fail(error.into()));
        }
        if self.session.view.is_dirty() {
            return Err(self.fail(CommitError::Stale));
        }
        Ok(self.done())
    }
}

impl Session {
    /// Takes in what was written. The record below is folded when it is needed.
    fn acknowledge(&mut self, mut envelope: Envelope, position: Option<Position>, now: Timestamp) {
        let token = envelope.token.take();
        let verifier = token.as_ref().map(Token::verifier);
        if let Some(token) = token {
            self.token_update = TokenUpdate::Issue(token);
        }
        let action = Arc::clone(&envelope.action);
        match (&*action, &mut self.origin) {
            (Action::Create(create), origin) => {
                let verifier = verifier.unwrap_or(create.record.head().verifier);
                *origin = Origin::Loaded(LogEnd::created(envelope.id, verifier, create, now));
                self.view.adopt(Some(Arc::clone(&create.record)));
            }
            (Action::Append(append), Origin::Loaded(end)) => {
                // Sent again behind what this session has not seen, it is not the end of what this
                // session holds.
                end.verifier = verifier.unwrap_or(end.verifier);
                end.appended(append, position, !envelope.is_blind);
                if let Some(ttl) = append.ttl.filter(|_| position.is_some()) {
                    end.lives_for(ttl.as_duration(), now);
                }
                self.outbox = Outbox::Acknowledged(envelope);
            }
            _ => {}
        }
    }

    /// Folds what was acknowledged into the record below, now that it is needed there.
    pub(super) fn fold_acknowledged(&mut self) {
        if let Some(envelope) = self.outbox.take_acknowledged()
            && let Action::Append(append) = &*envelope.action
        {
            self.view.fold(&append.delta, append.stamp.attempt);
        }
    }

    /// Reports whether a change of privilege has replaced the token of this request.
    fn is_out(&self, record: &Record) -> bool {
        self.view.base().is_some_and(|base| base.generation() < record.head().privilege)
    }

    /// Reports whether the log still shows what this session was loaded from, so that everything
    /// appended since is among the commits it remembers.
    fn is_based_on(&self, record: &Record) -> bool {
        let end = self.origin.log_end();
        end.is_some_and(|end| record.remembers_all_since(end.stamp.commit))
    }

    /// Gives up a renewal that another one came before; `false` if it is a change of privilege.
    fn yield_rotation(&mut self) -> bool {
        let intent = &mut self.view.since_mut().intent;
        let may_yield = intent.rotation != Some(RotationReason::PrivilegeChange);
        if may_yield {
            intent.rotation = None;
        }
        may_yield
    }

    /// Puts what others left below this session's changes.
    fn rebase(&mut self, log: &Loaded) -> Result<(), CommitError> {
        if self.on_conflict == OnConflict::Reject {
            let names = self.view.clashes(&log.record, self.writes_everything());
            if !names.is_empty() {
                return Err(CommitError::Conflict { names });
            }
        }
        self.view.take_back(self.policy.limits())?;
        let is_forced = self.view.since().intent.everything || self.view.since().has_forced();
        let extent = extent(self, is_forced);
        self.view.rebase(Arc::clone(&log.record), extent)
    }
}

/// Reports whether a write that is not in the log may still be sent: the log has not moved past the
/// only position it may be appended at, and it would not be void.
fn can_still_count(envelope: &Envelope, log: &Loaded) -> bool {
    let Action::Append(append) = &*envelope.action else { return false };
    let is_overtaken = !envelope.is_blind
        && append.at.is_some_and(|position| position.stamp() != log.position.stamp());
    !is_overtaken && log.record.takes(&append.delta)
}

impl Answer {
    /// Splits a store's reply into what the engine must know and the error, which the driver keeps.
    pub fn split<E>(applied: Result<Outcome, Failure<E>>) -> (Self, Option<E>) {
        match applied {
            Ok(outcome) => (Self::Done(outcome), None),
            Err(Failure::NotApplied(source)) => (Self::NotApplied, Some(source)),
            Err(Failure::Unknown(source)) => (Self::Unknown, Some(source)),
        }
    }
}

impl Finished {
    /// Renews the ttl, if that is still to be done.
    fn renewed(self, now: Timestamp) -> Step {
        Commit::new(self.session, true).renew(now)
    }

    /// Returns what the client must learn about its token.
    #[must_use]
    pub const fn token_update(&self) -> &TokenUpdate {
        self.session.token_update()
    }

    /// Returns work that makes later requests cheaper, if there is any.
    #[must_use]
    pub const fn upkeep(&self) -> Option<&Upkeep> {
        self.upkeep.as_ref()
    }

    /// Returns the session as it was when the request ended.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Returns the session for a last look. To go on with it use [`Finished::reopen`].
    #[must_use]
    pub fn into_session(self) -> Session {
        self.session
    }

    /// Goes on with the session after a save: what was written lies below now, and only what was
    /// changed meanwhile is dirty.
    #[must_use]
    pub fn reopen(self) -> Session {
        let mut session = self.session;
        session.fold_acknowledged();
        session
    }
}

impl Failed {
    /// Adds the store's error, which the engine never sees.
    ///
    /// Only errors that are about the store take it.
    #[must_use]
    pub fn caused_by(mut self: Box<Self>, source: Arc<dyn Error + Send + Sync>) -> Box<Self> {
        if matches!(self.error, CommitError::NotApplied | CommitError::Unknown) {
            self.source = Some(source);
        }
        self
    }

    /// Returns what went wrong.
    #[must_use]
    pub const fn error(&self) -> &CommitError {
        &self.error
    }

    /// Returns the session, to be committed again or dropped.
    #[must_use]
    pub fn into_session(self) -> Session {
        self.session
    }

    /// Returns the session, what went wrong, and the store's error.
    #[must_use]
    pub fn into_parts(self) -> (Session, CommitError, Option<Arc<dyn Error + Send + Sync>>) {
        (self.session, self.error, self.source)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.source {
            Some(source) => Some(&**source),
            None => self.error.source(),
        }
    }
}

/// How many times a write of unknown fate is sent again.
const ATTEMPTS_MAX: u32 = 2;
/// How many times a commit starts over because something else came first.
const RETRIES_MAX: u32 = 16;
