//! What a session has to write: the view compared with what was loaded.
//!
//! A draft looks at the session and draws ids. It changes nothing.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::entropy::{Entropy, draw_commit, draw_token, renew_token};
use crate::error::{CommitError, SetError};
use crate::log::delta::{Change, Delta, Rotation, RotationReason};
use crate::log::lifetime::Lifetime;
use crate::log::limits;
use crate::log::record::{Committed, Record, RecordHead, VerifierStatus};
use crate::log::stamp::Stamp;
use crate::log::value::ValueRef;
use crate::policy::{Granularity, OnConflict};
use crate::session::Session;
use crate::session::edits::Name;
use crate::session::origin::{LogEnd, Origin, Reserved};
use crate::session::outbox::Envelope;
use crate::session::view::{Changes, Extent};
use crate::store::action::{Action, Append, Create, Touch};
use crate::store::loaded::Loaded;
use crate::timestamp::{Timestamp, Ttl};
use crate::token::{SessionId, Token};

/// What a session has to write.
pub(crate) enum Draft {
    Nothing,
    Touch(SessionId, Touch),
    /// A write, and the token it creates a session under.
    Write(Envelope, Option<Reserved>),
    /// The delta must be appended at a position that is not known.
    Locate(SessionId),
}

/// Decides what there is to write.
pub(crate) fn draft(
    session: &Session,
    is_last: bool,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Draft, CommitError> {
    match &session.origin {
        Origin::Fresh(reserved) => draft_create(session, reserved.as_ref(), is_last, now, entropy),
        Origin::Loaded(end) if end.has_ended => Err(CommitError::Gone),
        Origin::Loaded(end) => draft_append(session, end, is_last, now, entropy),
        Origin::Stale | Origin::PutOut => {
            let wants = session.view.since().intent.is_security_change();
            if wants || session.has_ended_one || session.view.is_dirty() {
                Err(CommitError::Stale)
            } else {
                Ok(Draft::Nothing)
            }
        }
    }
}

fn draft_create(
    session: &Session,
    reserved: Option<&Reserved>,
    is_last: bool,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Draft, CommitError> {
    let principal = session.principal();
    let is_empty = session.is_empty() && principal.is_none();
    if is_empty && !(is_last && session.is_created_empty()) {
        return Ok(Draft::Nothing);
    }
    let reserved = match reserved {
        Some(reserved) => reserved.clone(),
        None => Reserved { token: draw_token(entropy)?, created_at: now },
    };
    let stamp = Stamp::first(draw_commit(entropy)?);
    let lifetime = session.first_lifetime(reserved.created_at);
    let head = RecordHead {
        has_unknown_changes: false,
        created_at: reserved.created_at,
        lifetime,
        generation: 0,
        privilege: 0,
        verifier: reserved.token.verifier(),
        replaced: Vec::new(),
        principal: principal.map(ToOwned::to_owned),
    };
    let ttl = lifetime.ttl(now).ok_or(CommitError::Gone)?;
    let changes = session.view.changes(Extent::Whole, now, stamp.commit).list;
    let attributes: Vec<(&str, ValueRef<'_>)> = changes.iter().filter_map(attribute).collect();
    let commits = [Committed::once(stamp.commit)];
    let record = Arc::new(Record::assemble(head, &commits, &attributes));
    let token = Some(reserved.token.clone());
    let action = Arc::new(Create::new(record, stamp, ttl).into());
    let envelope = Envelope { id: reserved.token.id(), action, token, is_blind: false };
    Ok(Draft::Write(envelope, Some(reserved)))
}

fn draft_append(
    session: &Session,
    end: &LogEnd,
    is_last: bool,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Draft, CommitError> {
    let record = session.view.base().expect("a loaded session has a record");
    let wanted = Wanted::of(session, end, record, now);
    let is_always = session.policy.persist().always() && !session.is_discarded;
    let is_forced = session.view.since().intent.everything || is_last && is_always;
    let extent = extent(session, is_forced);
    let is_dirty = extent != Extent::Dirty || session.view.is_dirty();
    let due = end.due_ttl(&session.policy, now);
    if !is_dirty && !is_forced && !wanted.is_whole_or_void() {
        let touch = |ttl| Draft::Touch(end.id, Touch::new(ttl).behind(end.stamp));
        return Ok(due.filter(|_| is_last).map_or(Draft::Nothing, touch));
    }
    let ttl = session.lifetime(record).ttl(now).ok_or(CommitError::Gone)?;
    let stamp = Stamp::first(draw_commit(entropy)?);
    let Changes { mut list, replace } = session.view.changes(extent, now, stamp.commit);
    // What came to nothing is written again where another request may have undone it since (seed
    // 90760697), so it depends on the position like any change (seed 184643).
    let fulfilled: Vec<_> = session.view.fulfilled().filter(|_| !replace).collect();
    let depends_on_position =
        session.on_conflict == OnConflict::Reject || session.view.since().has_updates();
    let writes = is_dirty || !fulfilled.is_empty();
    let is_large = !replace && is_large(session, end, list.iter().chain(&fulfilled));
    let is_positioned = wanted.is_whole_or_void() || writes && depends_on_position || is_large;
    let at = end.position.filter(|_| is_positioned);
    if is_positioned && at.is_none() {
        return Ok(Draft::Locate(end.id));
    }
    if is_large {
        check_size(session, record)?;
    }
    if !is_positioned && !fulfilled.is_empty() {
        list.extend(fulfilled);
        list.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        list.dedup_by(|a, b| a.0 == b.0);
    }
    let token = wanted.rotation.map(|_| renew_token(end.id, entropy)).transpose()?;
    let rotation = wanted.rotation.zip(token.as_ref());
    let delta = Delta {
        replace,
        rotation: rotation.map(|(reason, token)| session.rotation(record, reason, token, now)),
        principal: wanted.principal,
        lifetime: wanted.lifetime,
        ..Delta::from_sorted(stamp.commit, record.generation(), list)
    };
    let (len, max) = (delta.size_hint(), limits::BODY_BYTES);
    if len > max {
        return Err(SetError::SessionTooLarge { len, max }.into());
    }
    let ttl = if is_positioned { Some(ttl) } else { due };
    let append = Append { at, ttl, behind: Some(end.stamp), ..Append::new(delta, stamp, Ttl::MAX) };
    let action = Arc::new(append.into());
    Ok(Draft::Write(Envelope { id: end.id, action, token, is_blind: false }, None))
}

/// What a request wants beside attributes, and the log does not say yet. It wins whole or is void
/// whole, so it must not be appended behind what it has not seen.
struct Wanted {
    rotation: Option<RotationReason>,
    principal: Option<Option<String>>,
    lifetime: Option<Lifetime>,
}

impl Wanted {
    fn of(session: &Session, end: &LogEnd, record: &Record, now: Timestamp) -> Self {
        let intent = &session.view.since().intent;
        let is_other = |wanted: &Option<String>| wanted.as_deref() != record.principal();
        let lifetime = session.lifetime(record);
        Self {
            rotation: wanted_rotation(session, end, record, now),
            principal: intent.principal.clone().filter(is_other),
            lifetime: Some(lifetime).filter(|wanted| *wanted != record.head().lifetime),
        }
    }

    const fn is_whole_or_void(&self) -> bool {
        self.rotation.is_some() || self.principal.is_some() || self.lifetime.is_some()
    }
}

impl Session {
    fn rotation(
        &self,
        record: &Record,
        reason: RotationReason,
        token: &Token,
        now: Timestamp,
    ) -> Rotation {
        let grace = self.policy.renewal_grace();
        Rotation {
            replaces: record.head().verifier,
            verifier: token.verifier(),
            accepted_until: (reason == RotationReason::Renewal).then(|| now + grace),
        }
    }
}

/// Reports whether so much would be appended without looking that requests at the same time could
/// carry the session far beyond its limit.
fn is_large<'a>(
    session: &Session,
    end: &LogEnd,
    changes: impl Iterator<Item = &'a (Name, Change)>,
) -> bool {
    let written = changes.map(|(name, change)| name.len() + change.payload_len());
    let bytes = end.blind_bytes + written.sum::<usize>();
    bytes > session.policy.limits().session_bytes_max / BLIND_SHARE
}

/// Refuses what would grow a session beyond its limit, now that others have grown it.
fn check_size(session: &Session, record: &Record) -> Result<(), SetError> {
    let (len, max) = (session.view.size().bytes, session.policy.limits().session_bytes_max);
    if len > max && len > record.attribute_bytes() {
        return Err(SetError::SessionTooLarge { len, max });
    }
    Ok(())
}

/// Makes the next sending of an append out of the last one; `None` if the session's deadline has
/// passed meanwhile.
///
/// It is to be appended where the log was seen to end without it, and nowhere else: should it be
/// late, an earlier one may have arrived and be long forgotten.
pub(crate) fn draft_again(envelope: Envelope, log: &Loaded, now: Timestamp) -> Option<Envelope> {
    let Action::Append(last) = &*envelope.action else {
        return None;
    };
    let lifetime = last.delta.lifetime.unwrap_or(log.record.head().lifetime);
    let (ttl, stamp) = (lifetime.ttl(now)?, last.stamp.next());
    let is_blind = envelope.is_blind || last.at.is_none();
    let append = Append::new(last.delta.clone(), stamp, ttl).at(log.position);
    Some(Envelope { action: Arc::new(append.into()), is_blind, ..envelope })
}

/// Decides how much of the attributes is written.
pub(crate) fn extent(session: &Session, is_forced: bool) -> Extent {
    let is_whole = session.policy.granularity() == Granularity::Whole;
    let is_written_whole = is_whole && (is_forced || session.view.is_dirty());
    // What only a newer release understands is not replaced by what this one makes of it.
    let is_understood = session.view.base().is_some_and(|base| !base.head().has_unknown_changes);
    if is_written_whole && is_understood {
        Extent::Whole
    } else if is_written_whole || session.view.since().intent.everything {
        Extent::Everything
    } else {
        Extent::Dirty
    }
}

/// Returns the rotation that is wanted, unless the token was renewed a moment ago, by whomever.
fn wanted_rotation(
    session: &Session,
    end: &LogEnd,
    record: &Record,
    now: Timestamp,
) -> Option<RotationReason> {
    let may_renew = || {
        let status = record.status_of(&end.verifier, now);
        status == VerifierStatus::Current && !record.is_just_renewed(now)
    };
    let wanted = session.view.since().intent.rotation;
    wanted.filter(|reason| *reason == RotationReason::PrivilegeChange || may_renew())
}

fn attribute((name, change): &(Name, Change)) -> Option<(&str, ValueRef<'_>)> {
    match change {
        Change::Set(value) => Some((name, value.as_ref())),
        Change::Remove | Change::Add(_) | Change::Unknown(_) => None,
    }
}

/// The part of the session limit that one request may append without seeing what others appended.
const BLIND_SHARE: usize = 16;
