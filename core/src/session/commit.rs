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
use crate::store::action::{Action, Compact, Delete, Outcome};
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
            // A touch carries no data: whether it was done changes nothing for this request.
            (Action::Touch(_), _) => Ok(commit.done()),
            (Action::Compact(compact), answer) => {
                commit.compacted(id, compact, answer, now, entropy)
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
        let is_applied = found.as_ref().is_some_and(|log| log.record.remembers(stamp.commit));
        match found {
            Some(log) if is_applied && self.session.has_won(&envelope, &log.record, now) => {
                // A token that another rotation replaced before the client heard of it is not sent:
                // the client has, or is about to get, the newer one.
                envelope.token.take_if(|token| {
                    let status = log.record.status_of(&token.verifier(), now);
                    status != VerifierStatus::Current
                });
                self.acknowledged(envelope, None, now, entropy)
            }
            Some(log) if is_applied => {
                // The append was folded behind another rotation, or without one it builds on, and
                // is void whole.
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
                if is_overtaken(&envelope, &log) {
                    self.session.view.thaw();
                    return self.rebase_onto(id, log, now, entropy);
                }
                match draft_again(&self.session, envelope, &log, now) {
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
        let continues = log.record.continues(base);
        if !continues || log.record.generation() != base.generation() {
            // A grace that ends while the request runs puts no client out: it came in time.
            let status = log.record.status_of(&verifier, Timestamp::default());
            let is_out = matches!(status, VerifierStatus::Stale | VerifierStatus::Forged);
            if !session.yield_rotation(&log.record, is_out) {
                return Err(self.fail(CommitError::Superseded));
            }
            if is_out && !continues {
                // A failover forgot a rotation, and with it the token.
                return Err(self.fail(CommitError::Gone));
            }
            if is_out {
                // A request whose token a change of privilege replaced sees nothing of what came
                // after it. Its changes still count, on top of what it saw.
                return self.retry(now, entropy);
            }
        }
        match session.rebase(&log) {
            Ok(()) => {}
            Err(error) => return Err(self.fail(error)),
        }
        let end = LogEnd::loaded(id, verifier, &log, now);
        self.session.origin = Origin::Loaded(LogEnd { last_accessed_at, ..end });
        self.retry(now, entropy)
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
                let (stamp, ttl) = (create.stamp, create.ttl);
                *origin = Origin::Loaded(LogEnd::created(envelope.id, verifier, stamp, ttl, now));
                self.view.adopt(Some(Arc::clone(&create.record)));
            }
            (Action::Append(append), Origin::Loaded(end)) => {
                // Others may have appended in between unless it had a position: what this session
                // holds is not the log's end then.
                let is_end = append.at.is_some() && !envelope.is_blind;
                end.verifier = verifier.unwrap_or(end.verifier);
                end.appended(append, position, is_end, now);
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

    /// Reports whether an applied write counts: it is void if its rotation lost, or if the log
    /// never saw a rotation it builds on.
    fn has_won(&self, envelope: &Envelope, record: &Record, now: Timestamp) -> bool {
        let is_known =
            |token: &Token| record.status_of(&token.verifier(), now) != VerifierStatus::Forged;
        self.view.base().is_none_or(|base| record.continues(base))
            && envelope.token.as_ref().is_none_or(is_known)
    }

    /// Reports whether the log still shows what this session was loaded from, so that everything
    /// appended since is among the commits it remembers.
    fn is_based_on(&self, record: &Record) -> bool {
        let end = self.origin.log_end();
        end.is_some_and(|end| record.remembers_all_since(end.stamp.commit))
    }

    /// Gives up a rotation that another one came before; `false` if that would leave a promise
    /// unfulfilled. `is_out` if the token of this request is refused now.
    fn yield_rotation(&mut self, record: &Record, is_out: bool) -> bool {
        let on_conflict = self.on_conflict;
        let intent = &mut self.view.since_mut().intent;
        let is_unfulfilled = if is_out {
            let principal = intent.principal.as_ref();
            let is_other = principal.is_some_and(|wanted| wanted.as_deref() != record.principal());
            is_other || intent.changes_lifetime() || on_conflict == OnConflict::Reject
        } else {
            intent.rotation == Some(RotationReason::PrivilegeChange)
        };
        if is_unfulfilled {
            return false;
        }
        intent.rotation = None;
        if is_out {
            intent.principal = None;
        }
        true
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

/// Reports whether the log has moved past the only position the write may be appended at, so that
/// it will never be applied any more.
fn is_overtaken(envelope: &Envelope, log: &Loaded) -> bool {
    match &*envelope.action {
        Action::Append(append) if !envelope.is_blind => {
            append.at.is_some_and(|position| position.stamp() != log.position.stamp())
        }
        _ => false,
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

impl Finished {
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
