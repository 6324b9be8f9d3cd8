//! From a session to the log: the second half of the path.
//!
//! A commit is a short conversation: it proposes one action, hears the answer, and proposes the
//! next or is done. Everything that can go wrong between two machines is decided here, in
//! [`Pending::finish`] and [`Reload::resume`], or in `settle`, and nowhere in a store or a driver.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::entropy::Entropy;
use crate::error::CommitError;
use crate::session::draft::{Draft, draft};
use crate::session::failed::Failed;
use crate::session::finished::Finished;
use crate::session::origin::{LogEnd, Origin};
use crate::session::outbox::{Envelope, Outbox};
use crate::session::upkeep::{Room, room, upkeep};
use crate::session::written::Written;
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

/// What stays the same during a commit.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) session: Session,
    /// The request ends with it.
    is_last: bool,
    /// How many times something else came first.
    retries: u32,
    /// What is in flight was drafted by an earlier commit: there may be more to write behind it.
    is_behind: bool,
    /// What this commit has written.
    written: Written,
}

/// Why a log must be looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: a driver may go by it")]
pub enum ReloadReason {
    /// The reply to the last write was lost, or says too little.
    Lost,
    /// The last write is in the log, behind others: whether it counts is to be seen.
    Late,
    /// Something else was appended first, or the position is not known. A driver of many commits at
    /// once lets each have its [turn](crate::engine::Turn) now.
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
    fn new(session: Session, is_last: bool) -> Self {
        Self { session, is_last, retries: 0, is_behind: false, written: Written::new() }
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

    pub(super) fn done(self) -> Step {
        let upkeep = upkeep(&self.session);
        Step::Done(Finished::new(self.session, upkeep, self.written))
    }

    fn apply(self, id: SessionId, action: Arc<Action>) -> Step {
        Step::Apply(Pending { commit: self, id, action })
    }

    pub(super) fn send(mut self, envelope: Envelope) -> Step {
        let (id, action) = (envelope.id, Arc::clone(&envelope.action));
        self.session.outbox = Outbox::Sent(envelope);
        self.apply(id, action)
    }

    fn load(self, id: SessionId, reason: ReloadReason) -> Step {
        Step::Load(Reload { commit: self, id, reason })
    }

    pub(super) fn fail(mut self, error: CommitError) -> Box<Failed> {
        if let (CommitError::Gone, Origin::Loaded(end)) = (&error, &mut self.session.origin) {
            // Seed 401327756: a later save reported success although this request knew of the end.
            end.has_ended = true;
        }
        Failed::new(self.session, error, self.written)
    }

    /// Goes on after something else came first, unless that happens without end.
    pub(super) fn retry(
        mut self,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Step, Box<Failed>> {
        self.retries += 1;
        if self.retries > RETRIES_MAX {
            return Err(self.fail(CommitError::Contended));
        }
        self.advance(now, entropy)
    }

    /// Takes in that the write was applied, at that position if the store reported one. That ends
    /// the commit, unless an earlier one had drafted it.
    pub(super) fn acknowledged(
        mut self,
        envelope: Envelope,
        position: Option<Position>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Step, Box<Failed>> {
        self.written.push(envelope.id, Arc::clone(&envelope.action));
        self.session.acknowledge(envelope, position, now);
        if !self.is_behind {
            return Ok(self.done());
        }
        self.advance(now, entropy)
    }

    /// Takes in that the write is in the log, perhaps behind others: what they left says how long the
    /// log is to live.
    pub(super) fn acknowledged_in(
        mut self,
        envelope: Envelope,
        log: &Loaded,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Step, Box<Failed>> {
        self.written.push(envelope.id, Arc::clone(&envelope.action));
        self.session.acknowledge(envelope, None, now);
        self.session.see(log, now);
        if self.is_behind { self.advance(now, entropy) } else { Ok(self.renew(now)) }
    }

    /// Renews the ttl where the log was seen to end, if that is due.
    fn renew_at(mut self, found: Option<Loaded>, now: Timestamp) -> Step {
        self.retries += 1;
        match found.filter(|log| !self.session.is_out(&log.record)) {
            Some(log) if self.retries <= RETRIES_MAX => {
                self.session.see(&log, now);
                self.renew(now)
            }
            _ => self.done(),
        }
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
    pub(super) fn take_sent(&mut self) -> Envelope {
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
                commit.written.push(id, action);
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
            (Action::Touch(_), Answer::Done(Outcome::Done(_))) => {
                commit.session.is_renewed = true;
                Ok(commit.done())
            }
            // A touch carries no data: whether it was done changes nothing for this request.
            (Action::Touch(_), _) => Ok(commit.done()),
            (Action::Compact(compact), answer) => {
                commit.compacted(id, compact, answer, now, entropy)
            }
            // Others came in between, perhaps a change of privilege that makes it void.
            (Action::Append(_), Answer::Done(Outcome::Late)) => {
                Ok(commit.load(id, ReloadReason::Late))
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

    /// Returns why.
    #[must_use]
    pub const fn reason(&self) -> ReloadReason {
        self.reason
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
            (ReloadReason::Lost, found) => commit.settle(id, found, false, now, entropy),
            (ReloadReason::Late, found) => commit.settle(id, found, true, now, entropy),
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
            ReloadReason::Lost | ReloadReason::Late => Err(self.commit.lose()),
            ReloadReason::Moved => Err(self.commit.fail(CommitError::NotApplied)),
            ReloadReason::Renewal => Ok(self.commit.done()),
        }
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
                    self.is_renewed = true;
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

/// How many times a write of unknown fate is sent again.
const ATTEMPTS_MAX: u32 = 2;
/// How many times a commit starts over because something else came first.
const RETRIES_MAX: u32 = 16;
