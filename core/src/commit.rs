//! From a session to the log: the second half of the path.
//!
//! A commit is a short conversation: it proposes one action, hears the outcome, and proposes the
//! next or is done. Everything that can go wrong between two machines is decided here, in
//! [`Pending::finish`] and [`Settling::resume`], and nowhere in a store or a driver.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::error::Error;
use core::fmt;

use crate::draft::{Draft, Sent};
use crate::record::Standing;
use crate::session::Source;
use crate::stored::Stored;
use crate::{
    Action, CommitError, Failure, Loaded, Notice, OnConflict, Outcome, Outside, Position, Session,
    SessionId, Timestamp,
};

/// What a commit needs next.
#[derive(Debug)]
#[must_use = "a commit is not done before it says `Done`"]
#[expect(clippy::exhaustive_enums, reason = "closed: a driver handles every step")]
pub enum Step {
    /// Apply the action, then [`Pending::finish`].
    Apply(Pending),
    /// Load the log, then [`Settling::resume`].
    Load(Settling),
    /// Nothing: all is written.
    Done(Finished),
}

/// An action that is on its way to the store.
///
/// The session inside stays usable: what is changed meanwhile belongs to the next write.
#[derive(Debug)]
#[must_use = "an action that nobody finishes leaves its session unwritten"]
pub struct Pending {
    commit: Commit,
    id: SessionId,
    action: Action,
    sent: Sent,
}

/// A log that must be looked at before the commit can go on.
#[derive(Debug)]
#[must_use = "a commit that nobody settles leaves its session unwritten"]
pub struct Settling {
    commit: Commit,
    id: SessionId,
    why: Why,
}

/// A session that is written, and what is left to do.
#[derive(Debug)]
#[must_use = "the client may have to be told of its token"]
pub struct Finished {
    session: Session,
    upkeep: Option<Upkeep>,
}

/// Work that makes later requests cheaper and that no answer has to wait for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Upkeep {
    /// Load the log, then apply its [compaction](Loaded::compaction).
    Compact(SessionId),
}

/// A commit that failed, with the session as it was.
///
/// Committing that session again is safe: what certainly was not applied is written anew, and what
/// may have been is settled first.
#[derive(Debug)]
pub struct Failed<E> {
    session: Session,
    error: CommitError<E>,
}

/// What stays the same during a commit.
#[derive(Debug)]
struct Commit {
    session: Session,
    /// The request ends with it.
    is_last: bool,
    /// How many times something else came first.
    retries: u32,
    /// What is on its way was drafted by an earlier commit: there may be more to write behind it.
    is_behind: bool,
    upkeep: Option<Upkeep>,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
enum Why {
    /// Nobody knows whether this was applied.
    Unknown(Action, Sent),
    /// Something else was appended first, or the position is not known.
    Moved,
}

impl Session {
    /// Starts the last write of the request: what changed, or under [`Persist::ALWAYS`] also nothing;
    /// a touch if the session was only read and that is due.
    ///
    /// [`Persist::ALWAYS`]: crate::Persist::ALWAYS
    ///
    /// # Errors
    ///
    /// Returns [`Failed`] with the session unchanged if something set through
    /// [`Session::get_mut`] cannot be stored or goes beyond a limit, there is no randomness, the session
    /// is stale, or its deadline has passed.
    pub fn commit<E>(self, outside: &dyn Outside) -> Result<Step, Box<Failed<E>>> {
        Commit::new(self, true).advance(outside)
    }

    /// Starts a write in the middle of a request. [`Finished::reopen`] gives the session back.
    ///
    /// # Errors
    ///
    /// As [`Session::commit`].
    pub fn flush<E>(self, outside: &dyn Outside) -> Result<Step, Box<Failed<E>>> {
        Commit::new(self, false).advance(outside)
    }
}

impl Commit {
    const fn new(session: Session, is_last: bool) -> Self {
        Self { session, is_last, retries: 0, is_behind: false, upkeep: None }
    }

    /// Proposes the next action.
    fn advance<E>(mut self, outside: &dyn Outside) -> Result<Step, Box<Failed<E>>> {
        self.session.fold_written();
        if let Some((id, ttl)) = self.session.doomed {
            return Ok(self.apply(id, Action::Delete { ttl }, Sent::default()));
        }
        if let Some(unsettled) = self.session.unsettled.take() {
            let (id, action, sent) = *unsettled;
            self.is_behind = true;
            return Ok(self.load(id, Why::Unknown(action, sent)));
        }
        self.is_behind = false;
        match self.session.draft(self.is_last, outside) {
            Ok(Draft::Nothing) => {
                // Others did what was left of it.
                self.session.overlay.answered(true);
                Ok(self.done())
            }
            Ok(Draft::Apply(id, action, sent)) => Ok(self.apply(id, action, sent)),
            Ok(Draft::Locate(id)) => Ok(self.load(id, Why::Moved)),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn done(self) -> Step {
        Step::Done(Finished { session: self.session, upkeep: self.upkeep })
    }

    fn apply(self, id: SessionId, action: Action, sent: Sent) -> Step {
        Step::Apply(Pending { commit: self, id, action, sent })
    }

    fn load(self, id: SessionId, why: Why) -> Step {
        Step::Load(Settling { commit: self, id, why })
    }

    fn fail<E>(mut self, error: CommitError<E>) -> Box<Failed<E>> {
        if let (CommitError::Gone, Source::Stored(stored)) = (&error, &mut self.session.source) {
            stored.has_ended = true;
        }
        Box::new(Failed { session: self.session, error })
    }

    /// Goes on after something else came first, unless that happens without end.
    fn retry<E>(mut self, outside: &dyn Outside) -> Result<Step, Box<Failed<E>>> {
        self.retries += 1;
        if self.retries > RETRIES_MAX {
            return Err(self.fail(CommitError::Contended));
        }
        self.advance(outside)
    }

    /// Takes in that the action was applied, at that position if anybody said so. That ends the
    /// commit, unless it was an earlier one's action.
    fn written<E>(
        mut self,
        id: SessionId,
        action: Action,
        sent: Sent,
        position: Option<Position>,
        outside: &dyn Outside,
    ) -> Result<Step, Box<Failed<E>>> {
        let entries = position.map_or(0, |position| position.entries());
        self.upkeep = self.session.upkeep(id, &action, entries).or(self.upkeep);
        self.session.absorb(id, action, sent, position, outside.now());
        if !self.is_behind {
            return Ok(self.done());
        }
        self.session.go_on();
        self.advance(outside)
    }

    /// Goes on after the session an action was for was ended while it was on its way.
    fn ended<E>(mut self, id: SessionId, outside: &dyn Outside) -> Result<Step, Box<Failed<E>>> {
        self.session.doom(id);
        self.advance(outside)
    }

    /// Looks for an action that found another entry where the log should have ended: that can be an
    /// earlier sending of its own.
    fn look_again<E>(
        mut self,
        id: SessionId,
        action: Action,
        sent: Sent,
    ) -> Result<Step, Box<Failed<E>>> {
        self.retries += 1;
        if self.retries > RETRIES_MAX {
            return Err(self.unsettled(id, action, sent, None));
        }
        Ok(self.load(id, Why::Unknown(action, sent)))
    }

    /// Looks for an action whose fate is not known, unless it was sent too often already.
    fn look_for<E>(
        self,
        id: SessionId,
        action: Action,
        sent: Sent,
        source: Option<E>,
    ) -> Result<Step, Box<Failed<E>>> {
        if action.stamp().is_some_and(|stamp| stamp.attempt < ATTEMPTS_MAX) {
            return Ok(self.load(id, Why::Unknown(action, sent)));
        }
        Err(self.unsettled(id, action, sent, source))
    }

    /// Gives up on an action whose fate is not known; the next commit looks for it first.
    fn unsettled<E>(
        mut self,
        id: SessionId,
        action: Action,
        sent: Sent,
        source: Option<E>,
    ) -> Box<Failed<E>> {
        self.session.unsettled = Some(Box::new((id, action, sent)));
        self.fail(CommitError::Unknown(source))
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
    pub const fn action(&self) -> &Action {
        &self.action
    }

    /// Lends the session out: what is changed now belongs to the next write.
    pub const fn session_mut(&mut self) -> &mut Session {
        &mut self.commit.session
    }

    /// Takes what the store said and returns what comes next.
    ///
    /// # Errors
    ///
    /// Returns [`Failed`] with the session, still dirty, if the action was refused or its fate is
    /// unknown. See [`CommitError`].
    pub fn finish<E>(
        self,
        said: Result<Outcome, Failure<E>>,
        outside: &dyn Outside,
    ) -> Result<Step, Box<Failed<E>>> {
        let Self { mut commit, id, action, sent } = self;
        let deletes = matches!(action, Action::Delete { .. });
        if !deletes && commit.session.ended != sent.ended {
            return commit.ended(id, outside);
        }
        let is_resent = action.stamp().is_some_and(|stamp| stamp.attempt > 0);
        match (&action, said) {
            // A touch carries no data: whether it was done changes nothing for this request.
            (Action::Touch { .. } | Action::Compact { .. }, _) => Ok(commit.done()),
            (Action::Delete { .. }, Ok(_)) => {
                commit.session.doomed = None;
                commit.session.notice = Notice::Forget;
                commit.advance(outside)
            }
            (_, Ok(Outcome::Created)) => commit.written(id, action, sent, None, outside),
            (_, Ok(Outcome::Appended(position))) => {
                commit.written(id, action, sent, Some(position), outside)
            }
            (Action::Create { .. }, Ok(_)) => {
                commit.session.give_back(sent);
                commit.session.source = Source::Fresh { reserved: None };
                commit.retry(outside)
            }
            // What came first, or may still come, can be an earlier sending of the same commit.
            (_, Ok(Outcome::Conflict)) if is_resent => commit.look_again(id, action, sent),
            (_, Err(Failure::NotApplied(source))) if is_resent => {
                Err(commit.unsettled(id, action, sent, Some(source)))
            }
            (_, Ok(Outcome::Conflict)) => {
                commit.session.give_back(sent);
                Ok(commit.load(id, Why::Moved))
            }
            (_, Ok(_)) => {
                commit.session.give_back(sent);
                Err(commit.fail(CommitError::Gone))
            }
            (_, Err(Failure::NotApplied(source))) => {
                commit.session.give_back(sent);
                Err(commit.fail(CommitError::NotApplied(source)))
            }
            (Action::Delete { .. }, Err(Failure::Unknown(source))) => {
                Err(commit.fail(CommitError::Unknown(Some(source))))
            }
            (_, Err(Failure::Unknown(source))) => commit.look_for(id, action, sent, Some(source)),
        }
    }
}

impl Settling {
    /// Returns the log to load.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
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
    pub fn resume<E>(
        self,
        found: Result<Option<Loaded>, Failure<E>>,
        outside: &dyn Outside,
    ) -> Result<Step, Box<Failed<E>>> {
        let Self { commit, id, why } = self;
        match (why, found) {
            (Why::Unknown(_, sent), _) if commit.session.ended != sent.ended => {
                commit.ended(id, outside)
            }
            (Why::Moved, _) if commit.session.doomed.is_some() => commit.advance(outside),
            (Why::Unknown(action, sent), Err(failure)) => {
                Err(commit.unsettled(id, action, sent, Some(failure.into_source())))
            }
            (Why::Unknown(action, sent), Ok(found)) => {
                commit.settle(id, action, sent, found, outside)
            }
            (Why::Moved, Err(failure)) => {
                Err(commit.fail(CommitError::NotApplied(failure.into_source())))
            }
            (Why::Moved, Ok(None)) => Err(commit.fail(CommitError::Gone)),
            (Why::Moved, Ok(Some(loaded))) => commit.move_on(id, loaded, outside),
        }
    }
}

impl Commit {
    /// Decides what became of an action nobody heard of again.
    fn settle<E>(
        mut self,
        id: SessionId,
        action: Action,
        mut sent: Sent,
        found: Option<Loaded>,
        outside: &dyn Outside,
    ) -> Result<Step, Box<Failed<E>>> {
        let now = outside.now();
        let stamp = action.stamp().expect("only an action with a stamp is settled");
        let is_create = matches!(action, Action::Create { .. });
        let applied = found.as_ref().is_some_and(|log| log.record.remembers(stamp.commit));
        match found {
            Some(log) if applied && sent.has_won(self.session.base(), &log.record, now) => {
                sent.forget_replaced_token(&log.record, now);
                self.written(id, action, sent, None, outside)
            }
            Some(log) if applied => {
                // The append was folded behind another rotation, or without one it builds on, and is
                // void whole.
                self.session.give_back(sent);
                self.move_on(id, log, outside)
            }
            _ if is_create => {
                // Under another id: the first sending may still arrive, and must not revive a session
                // that was ended in between. Nobody has the token of what it would create.
                self.session.give_back(sent);
                self.session.source = Source::Fresh { reserved: None };
                self.retry(outside)
            }
            None => {
                self.session.give_back(sent);
                Err(self.fail(CommitError::Gone))
            }
            Some(log) if self.session.is_based_on(&log.record) => {
                if sent.is_overtaken(&action, &log) {
                    self.session.give_back(sent);
                    return self.move_on(id, log, outside);
                }
                let Some(action) = self.session.renew(action, &mut sent, &log, now) else {
                    self.session.give_back(sent);
                    return Err(self.fail(CommitError::Gone));
                };
                Ok(self.apply(id, action, sent))
            }
            // So much was appended since that the commit may have been folded and forgotten.
            Some(_) => Err(self.unsettled(id, action, sent, None)),
        }
    }

    /// Goes on behind what was appended meanwhile.
    fn move_on<E>(
        mut self,
        id: SessionId,
        log: Loaded,
        outside: &dyn Outside,
    ) -> Result<Step, Box<Failed<E>>> {
        let now = outside.now();
        let session = &mut self.session;
        let Source::Stored(stored) = &session.source else {
            return self.retry(outside);
        };
        let held = stored.held;
        let continues = log.record.continues(&stored.record);
        if !continues || log.record.generation() != stored.record.generation() {
            // A grace that ends while the request runs puts nobody out: it came in time.
            let standing = log.record.standing(&held, Timestamp::default());
            let is_out = matches!(standing, Standing::Stale | Standing::Forged);
            if !session.lose_rotation(&log.record, is_out) {
                return Err(self.fail(CommitError::Superseded));
            }
            if is_out && !continues {
                // A failover forgot a rotation, and with it the token.
                return Err(self.fail(CommitError::Gone));
            }
            if is_out {
                // Who holds a token that a change of privilege replaced sees nothing of what came
                // after it. Its changes still count, on top of what it saw.
                return self.retry(outside);
            }
        }
        if session.policy.on_conflict() == OnConflict::Reject {
            let names = session.clashes(&log.record);
            if !names.is_empty() {
                return Err(self.fail(CommitError::Conflict { names }));
            }
        }
        if let Err(error) = session.keep_what_changed(&log.record) {
            return Err(self.fail(error.into()));
        }
        let (record, last_accessed_at) = (Arc::clone(&log.record), session.last_accessed_at());
        let mut stored = Stored::new(id, held, log, now);
        stored.last_accessed_at = last_accessed_at.unwrap_or(stored.last_accessed_at);
        session.source = Source::Stored(stored);
        session.rebase(record);
        self.retry(outside)
    }
}

impl Finished {
    /// Returns what the client must learn.
    #[must_use]
    pub const fn notice(&self) -> &Notice {
        &self.session.notice
    }

    /// Returns work that makes later requests cheaper, if there is any.
    #[must_use]
    pub const fn upkeep(&self) -> Option<Upkeep> {
        self.upkeep
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

    /// Goes on with the session after a flush: what was written lies below now, and only what was
    /// changed meanwhile is dirty.
    #[must_use]
    pub fn reopen(self) -> Session {
        let mut session = self.session;
        session.go_on();
        session
    }
}

impl<E> Failed<E> {
    /// Returns what went wrong.
    #[must_use]
    pub const fn error(&self) -> &CommitError<E> {
        &self.error
    }

    /// Returns the session, to be committed again or dropped.
    #[must_use]
    pub fn into_session(self) -> Session {
        self.session
    }

    /// Returns the session and what went wrong.
    #[must_use]
    pub fn into_parts(self) -> (Session, CommitError<E>) {
        (self.session, self.error)
    }
}

impl<E> fmt::Display for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: Error + 'static> Error for Failed<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// How many times an action of unknown fate is sent again.
const ATTEMPTS_MAX: u32 = 2;
/// How many times a commit starts over because something else came first.
const RETRIES_MAX: u32 = 8;
