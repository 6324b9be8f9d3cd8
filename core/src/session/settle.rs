//! What a commit makes of a log it had to look at: the fate of a write whose reply was lost, and a
//! new start behind what others appended.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::entropy::Entropy;
use crate::error::CommitError;
use crate::log::delta::RotationReason;
use crate::log::record::{Record, VerifierStatus};
use crate::policy::OnConflict;
use crate::session::Session;
use crate::session::commit::{Commit, Step};
use crate::session::draft::{draft_again, extent};
use crate::session::failed::Failed;
use crate::session::origin::{LogEnd, Origin};
use crate::session::outbox::{Envelope, Outbox};
use crate::store::action::Action;
use crate::store::loaded::Loaded;
use crate::timestamp::Timestamp;
use crate::token::SessionId;

impl Commit {
    /// Decides the fate of a write whose reply was lost, or that the store said is in the log, behind
    /// others.
    pub(super) fn settle(
        mut self,
        id: SessionId,
        found: Option<Loaded>,
        was_late: bool,
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
            // So much was appended since that the commit was folded and forgotten. It counts: only a
            // change of privilege makes void what was written without a position.
            Some(log) if was_late && self.session.is_in(&log.record) => {
                self.acknowledged_in(envelope, &log, now, entropy)
            }
            // As before, but it may not have been there.
            Some(_) => {
                self.session.outbox = Outbox::Lost(envelope);
                Err(self.fail(CommitError::Unknown))
            }
        }
    }

    /// Goes on behind what was appended meanwhile.
    pub(super) fn rebase_onto(
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
        session.origin = Origin::PutOut;
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
    /// Reports whether a change of privilege has replaced the token of this request.
    pub(super) fn is_out(&self, record: &Record) -> bool {
        self.view.base().is_some_and(|base| base.generation() < record.head().privilege)
    }

    /// Reports whether no change of privilege came since this request loaded, nor did a failover
    /// forget a rotation it knows of.
    fn is_in(&self, record: &Record) -> bool {
        !self.is_out(record) && self.view.base().is_some_and(|base| record.continues(base))
    }

    /// Takes in where the log was seen to end, without what it holds.
    pub(super) fn see(&mut self, log: &Loaded, now: Timestamp) {
        let is_out = self.is_out(&log.record);
        if let Origin::Loaded(end) = &mut self.origin {
            end.seen(log, is_out, now);
        }
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
