//! What a session has to write: the view compared with what was loaded.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::commit::Upkeep;
use crate::limits;
use crate::overlay::{self, Held, Name};
use crate::record::{Committed, RecordHead, Standing};
use crate::session::{Source, Wants, renew_token};
use crate::stored::{Stored, time_to_live};
use crate::{
    Action, Change, Codec, CommitError, CommitId, Delta, EntropyError, Granularity, Loaded, Notice,
    OnConflict, Outside, Position, Record, Rotation, RotationReason, Session, SessionId, SetError,
    Stamp, Timestamp, Token, Value, ValueRef, fold,
};

/// What a session has to write.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub(crate) enum Draft {
    Nothing,
    Apply(SessionId, Action, Sent),
    /// The delta must be appended at a position nobody knows.
    Locate(SessionId),
}

/// What of a session's wishes is in the action that is on its way.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// The token that becomes valid with it.
    token: Option<Token>,
    rotation: Option<RotationReason>,
    everything: bool,
    /// It was sent without a position first, so others may have come in between.
    is_blind: bool,
    /// How many sessions the request had ended when it was sent.
    pub(crate) ended: u32,
}

impl Sent {
    /// Reports whether an applied action counts: it is void if its rotation lost, or if the log never
    /// saw a rotation it builds on.
    pub(crate) fn has_won(&self, base: Option<&Record>, record: &Record, now: Timestamp) -> bool {
        let standing = |token: &Token| record.standing(&token.verifier(), now);
        base.is_none_or(|base| record.continues(base))
            && self.token.as_ref().is_none_or(|token| standing(token) != Standing::Forged)
    }

    /// Forgets a token that was replaced before anybody heard of it: the client has a newer one.
    pub(crate) fn forget_replaced_token(&mut self, record: &Record, now: Timestamp) {
        let is_current =
            |token: &Token| record.standing(&token.verifier(), now) == Standing::Current;
        self.token = self.token.take().filter(is_current);
    }

    /// Reports whether the log has moved past the only position the action may be appended at, so
    /// that it will never be applied any more.
    pub(crate) fn is_overtaken(&self, action: &Action, log: &Loaded) -> bool {
        match action {
            Action::AppendAt { position, .. } if !self.is_blind => {
                position.stamp() != log.position.stamp()
            }
            _ => false,
        }
    }
}

impl Session {
    /// Says what there is to write.
    pub(crate) fn draft<E>(
        &mut self,
        is_last: bool,
        outside: &dyn Outside,
    ) -> Result<Draft, CommitError<E>> {
        match &self.source {
            Source::Fresh { .. } => self.draft_create(is_last, outside),
            Source::Stored(stored) if stored.has_ended => Err(CommitError::Gone),
            Source::Stored(_) => self.draft_append(is_last, outside),
            Source::Stale => {
                let Wants { rotation, principal, idle_timeout, everything: _ } = &self.wants;
                let wants = rotation.is_some() || principal.is_some() || idle_timeout.is_some();
                let changed = wants || self.ended > 0 || !self.dirty()?.is_empty();
                if changed { Err(CommitError::Stale) } else { Ok(Draft::Nothing) }
            }
        }
    }

    fn draft_create<E>(
        &mut self,
        is_last: bool,
        outside: &dyn Outside,
    ) -> Result<Draft, CommitError<E>> {
        let changes = self.view()?;
        let principal = self.wants.principal.clone().flatten();
        let is_empty = changes.is_empty() && principal.is_none();
        if is_empty && !(is_last && self.is_created_empty()) {
            return Ok(Draft::Nothing);
        }
        self.reserve(outside)?;
        let Source::Fresh { reserved: Some((token, created_at)) } = &self.source else {
            unreachable!("a token was reserved above");
        };
        let (token, created_at) = (token.clone(), *created_at);
        let deadline = self.policy.absolute_timeout().map(|ttl| created_at + ttl.as_duration());
        let head = RecordHead {
            foreign: false,
            created_at,
            idle_timeout: self.idle_timeout(),
            deadline,
            generation: 0,
            verifier: token.verifier(),
            replaced: Vec::new(),
            principal,
        };
        let ttl = time_to_live(head.idle_timeout, deadline, outside.now());
        let ttl = ttl.ok_or(CommitError::Gone)?;
        let stamp = Stamp::first(draw_commit(outside)?);
        let attributes: Vec<(&str, ValueRef<'_>)> = changes.iter().filter_map(attribute).collect();
        let commits = [Committed { commit: stamp.commit, resent: false }];
        let record = Arc::new(Record::assemble(head, &commits, &attributes));
        let action = Action::Create { record, stamp, ttl };
        Ok(Draft::Apply(token.id(), action, self.send(Some(token))))
    }

    fn draft_append<E>(
        &mut self,
        is_last: bool,
        outside: &dyn Outside,
    ) -> Result<Draft, CommitError<E>> {
        let now = outside.now();
        let forced = self.wants.everything || is_last && self.policy.persist().always();
        let (mut changes, replace) = self.changes(forced)?;
        let Source::Stored(stored) = &self.source else {
            unreachable!("only a stored session is appended to");
        };
        let (id, record) = (stored.id, &stored.record);
        let reason = self.wanted_rotation(stored, now);
        let principal = self.wants.principal.clone();
        let principal = principal.filter(|wanted| wanted.as_deref() != record.principal());
        let idle_timeout =
            self.wants.idle_timeout.filter(|wanted| *wanted != record.idle_timeout());
        let lives = idle_timeout.unwrap_or(record.idle_timeout());
        let ttl = time_to_live(lives, record.deadline(), now);

        let whole_or_void = reason.is_some() || principal.is_some() || idle_timeout.is_some();
        if changes.is_empty() && !replace && !forced && !whole_or_void {
            let ttl = ttl.filter(|_| is_last && stored.touch_is_due(&self.policy));
            let sent = Sent { ended: self.ended, ..Sent::default() };
            return Ok(
                ttl.map_or(Draft::Nothing, |ttl| Draft::Apply(id, Action::Touch { ttl }, sent))
            );
        }
        let ttl = ttl.ok_or(CommitError::Gone)?;
        let rejects = self.policy.on_conflict() == OnConflict::Reject;
        let positioned = whole_or_void || rejects && (replace || !changes.is_empty());
        let position = stored.position.filter(|_| positioned);
        if positioned && position.is_none() {
            return Ok(Draft::Locate(id));
        }
        if !positioned && !replace && self.overlay.has_kept() {
            // Somebody may have undone since what others did as well.
            changes.extend(self.overlay.fulfilled(&changes));
            changes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        }
        let token = reason.map(|_| renew_token(id, outside)).transpose()?;
        let rotation = reason.zip(token.as_ref()).map(|(reason, token)| Rotation {
            replaces: record.head().verifier,
            verifier: token.verifier(),
            accepted_until: match reason {
                RotationReason::PrivilegeChange => None,
                RotationReason::Renewal => Some(now + self.policy.renewal_grace()),
            },
        });
        let stamp = Stamp::first(draw_commit(outside)?);
        let delta = Delta {
            replace,
            rotation,
            principal,
            idle_timeout,
            ..Delta::from_sorted(stamp.commit, record.generation(), changes)
        };
        let (len, max) = (delta.size_hint(), limits::BODY_BYTES);
        if len > max {
            return Err(SetError::SessionTooLarge { len, max }.into());
        }
        let action = match position {
            Some(position) => Action::AppendAt { delta, position, stamp, ttl },
            None => Action::Append { delta, stamp, ttl },
        };
        Ok(Draft::Apply(id, action, self.send(token)))
    }

    /// Returns the rotation that is wanted, unless the token is being renewed already.
    fn wanted_rotation(&self, stored: &Stored, now: Timestamp) -> Option<RotationReason> {
        let is_current = || stored.record.standing(&stored.held, now) == Standing::Current;
        let wanted = self.wants.rotation;
        wanted.filter(|reason| *reason == RotationReason::PrivilegeChange || is_current())
    }

    /// Returns what to write of the attributes, and whether it is the whole map.
    fn changes(&mut self, forced: bool) -> Result<(Vec<(Name, Change)>, bool), SetError> {
        let dirty = self.dirty()?;
        let is_whole = self.policy.granularity() == Granularity::Whole;
        let whole = is_whole && (forced || !dirty.is_empty());
        // What only a newer release understands is not replaced by what this one makes of it.
        if whole && !self.base().is_some_and(|base| base.head().foreign) {
            return Ok((self.view()?, true));
        }
        if !whole && !self.wants.everything {
            return Ok((dirty, false));
        }
        let mut changes = self.view()?;
        changes.extend(dirty.into_iter().filter(|(_, change)| *change == Change::Remove));
        changes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok((changes, false))
    }

    /// Returns every attribute as this request sees it, but for those nobody here can read.
    fn view(&mut self) -> Result<Vec<(Name, Change)>, SetError> {
        let mut scratch = core::mem::take(&mut self.scratch);
        let mut changes = Vec::with_capacity(self.len());
        let mut bytes = self.bytes();
        for name in overlay::names(&self.overlay, self.base()) {
            if let Some(value) = self.as_seen(name, &mut scratch)? {
                if value.as_ref().codec() == Codec::UNREADABLE {
                    continue;
                }
                self.check_lent(name, &value, &mut bytes)?;
                changes.push((Name::Owned(name.into()), Change::Set(value)));
            }
        }
        self.check_size(bytes)?;
        self.scratch = scratch;
        Ok(changes)
    }

    /// Returns what differs from the record below, with the groups it belongs to.
    fn dirty(&mut self) -> Result<Vec<(Name, Change)>, SetError> {
        let mut scratch = core::mem::take(&mut self.scratch);
        let mut changes = Vec::with_capacity(self.overlay.len());
        let mut grouped = Vec::new();
        let mut bytes = self.bytes();
        for (name, entry) in self.overlay.iter() {
            let change = entry.held.change(self.below(name), &mut scratch);
            if let Some(change) = change.map_err(|source| SetError::encode(name, source))? {
                if let Change::Set(value) = &change {
                    self.check_lent(name, value, &mut bytes)?;
                }
                changes.push((name.clone(), change));
                grouped.extend_from_slice(entry.group.names());
            }
        }
        self.check_size(bytes)?;
        if !grouped.is_empty() {
            changes.retain(|(name, _)| !grouped.contains(&name.as_ref()));
            grouped.sort_unstable();
            grouped.dedup();
            for name in grouped {
                let value = self.as_seen(name, &mut scratch)?;
                if value.as_ref().is_some_and(|v| v.as_ref().codec() == Codec::UNREADABLE) {
                    continue;
                }
                let change = value.map_or(Change::Remove, Change::Set);
                changes.push((Name::Borrowed(name), change));
            }
            changes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        }
        self.scratch = scratch;
        Ok(changes)
    }

    /// Applies the limit to a value that was lent out, whose size was not known before, and counts it
    /// in the size of the session.
    fn check_lent(&self, name: &str, value: &Value, bytes: &mut usize) -> Result<(), SetError> {
        let Some(Held::Live { size, .. }) = self.overlay.get(name).map(|entry| &entry.held) else {
            return Ok(());
        };
        let limits = self.policy.limits();
        let len = value.as_ref().bytes().len();
        *bytes = *bytes - *size + len;
        if len > limits.value_bytes_max && len > *size {
            let max = limits.value_bytes_max;
            return Err(SetError::ValueTooLarge { name: name.into(), len, max });
        }
        Ok(())
    }

    /// Applies the limit to the size of the session, with what was lent out as it is now.
    fn check_size(&self, len: usize) -> Result<(), SetError> {
        let max = self.policy.limits().session_bytes_max;
        if len > max && len > self.bytes() {
            return Err(SetError::SessionTooLarge { len, max });
        }
        Ok(())
    }

    /// Reduces the overlay to what differs from the record below, groups whole, so that on top of
    /// another record it amounts to the same change.
    pub(crate) fn keep_what_changed(&mut self, other: &Record) -> Result<(), SetError> {
        let forced = self.wants.everything || self.overlay.has_kept();
        let (mut changes, replace) = self.changes(forced)?;
        changes.extend(self.overlay.fulfilled(&changes));
        if replace {
            let below = self.base().into_iter().flat_map(Record::iter);
            let mut unseen: BTreeSet<&str> =
                other.iter().chain(below).map(|(name, _)| name).collect();
            for (name, _) in &changes {
                unseen.remove(name.as_ref());
            }
            let unseen = unseen.into_iter().map(|name| (Name::Owned(name.into()), Change::Remove));
            changes.extend(unseen.collect::<Vec<_>>());
        }
        changes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for name in self.overlay.names() {
            self.note_read(&name);
        }
        self.overlay.keep(changes);
        Ok(())
    }

    /// Notes what is on its way, so that it is not wanted any more.
    fn send(&mut self, token: Option<Token>) -> Sent {
        self.overlay.mark_sent();
        self.is_writing = true;
        Sent {
            token,
            rotation: self.wants.rotation.take(),
            everything: core::mem::take(&mut self.wants.everything),
            is_blind: false,
            ended: self.ended,
        }
    }

    /// Makes the next sending of an append out of the last one; `None` if the session's deadline has
    /// passed meanwhile.
    ///
    /// It is to be appended where the log was seen to end without it, and nowhere else: should it be
    /// late, an earlier one may have arrived and be long forgotten.
    pub(crate) fn renew(
        &self,
        action: Action,
        sent: &mut Sent,
        log: &Loaded,
        now: Timestamp,
    ) -> Option<Action> {
        sent.is_blind |= matches!(action, Action::Append { .. });
        let (Action::Append { delta, stamp, .. } | Action::AppendAt { delta, stamp, .. }) = action
        else {
            return None;
        };
        let record = self.base()?;
        let lives = delta.idle_timeout.unwrap_or(record.idle_timeout());
        let ttl = time_to_live(lives, record.deadline(), now)?;
        Some(Action::AppendAt { delta, position: log.position, stamp: stamp.next(), ttl })
    }

    /// Wants again what an action did not bring about.
    pub(crate) fn give_back(&mut self, sent: Sent) {
        self.is_writing = false;
        self.overlay.answered(false);
        self.wants.everything |= sent.everything;
        if let Some(reason) = sent.rotation {
            self.rotate(reason);
        }
    }

    /// Gives up a rotation that another one came before; `false` if that would leave a promise
    /// unfulfilled. `is_out` if the token of this request is refused now.
    pub(crate) fn lose_rotation(&mut self, record: &Record, is_out: bool) -> bool {
        let privilege = self.wants.rotation == Some(RotationReason::PrivilegeChange);
        let principal = self.wants.principal.as_ref();
        let other_principal =
            principal.is_some_and(|wanted| wanted.as_deref() != record.principal());
        let unfulfilled = if is_out {
            let rejects = self.policy.on_conflict() == OnConflict::Reject;
            other_principal || self.wants.idle_timeout.is_some() || rejects
        } else {
            privilege
        };
        if unfulfilled {
            return false;
        }
        self.wants.rotation = None;
        if is_out {
            self.wants.principal = None;
        }
        true
    }

    /// Takes in what was written. The record below is folded when somebody goes on.
    pub(crate) fn absorb(
        &mut self,
        id: SessionId,
        action: Action,
        sent: Sent,
        position: Option<Position>,
        now: Timestamp,
    ) {
        self.is_writing = false;
        let held = sent.token.as_ref().map(Token::verifier);
        if let Some(token) = sent.token {
            self.notice = Notice::Send(token);
        }
        match (action, &mut self.source) {
            (Action::Create { record, stamp, ttl }, source) => {
                self.overlay.answered(true);
                *source = Source::Stored(Stored {
                    id,
                    held: held.unwrap_or(record.head().verifier),
                    record: Arc::clone(&record),
                    stamp,
                    position: None,
                    tail_bytes: 0,
                    expires_at: now + ttl.as_duration(),
                    loaded_at: now,
                    last_accessed_at: now,
                    has_ended: false,
                });
                self.rebase(record);
            }
            (Action::Append { delta, stamp, ttl }, Source::Stored(stored)) => {
                // Others may have appended in between: what this session holds is not the log's end.
                stored.appended(&delta, stamp, None, ttl, now);
                self.written = Some(Box::new((delta, stamp)));
            }
            (Action::AppendAt { delta, stamp, ttl, .. }, Source::Stored(stored)) => {
                let position = position.filter(|_| !sent.is_blind);
                stored.held = held.unwrap_or(stored.held);
                stored.appended(&delta, stamp, position, ttl, now);
                self.written = Some(Box::new((delta, stamp)));
            }
            _ => {}
        }
    }

    /// Folds what was appended into the record below, now that somebody needs it.
    pub(crate) fn fold_written(&mut self) {
        if let (Some(written), Some(base)) = (self.written.take(), self.base()) {
            let (delta, stamp) = *written;
            let record = Arc::new(fold(base, &delta, stamp.attempt));
            self.overlay.answered(true);
            self.rebase(record);
        }
    }

    /// Goes on after a write: what it brought about is not wanted any more, whatever others make of
    /// it later.
    pub(crate) fn go_on(&mut self) {
        self.fold_written();
        let Source::Stored(Stored { record, .. }) = &self.source else { return };
        self.wants.principal.take_if(|wanted| wanted.as_deref() == record.principal());
        self.wants.idle_timeout.take_if(|wanted| *wanted == record.idle_timeout());
    }

    /// Says whether the log is to be compacted: by the commit that makes it cross a multiple of the
    /// policy's entries, or the size threshold, and by no other.
    pub(crate) fn upkeep(&self, id: SessionId, action: &Action, entries: u64) -> Option<Upkeep> {
        let (Action::Append { delta, .. } | Action::AppendAt { delta, .. }) = action else {
            return None;
        };
        let Source::Stored(stored) = &self.source else {
            return None;
        };
        if entries < 2 {
            return None;
        }
        let threshold = TAIL_BYTES_MIN.max(stored.record.size() * 3 / 8);
        let before = stored.tail_bytes;
        let crosses_size = before <= threshold && before + delta.size_hint() > threshold;
        let crosses_count = entries.is_multiple_of(self.policy.compact_every());
        (crosses_count || crosses_size || delta.replace).then_some(Upkeep::Compact(id))
    }

    /// Reports whether the log still shows what this session was loaded from, so that everything
    /// appended since is among the commits it remembers.
    pub(crate) fn is_based_on(&self, record: &Record) -> bool {
        match &self.source {
            Source::Stored(stored) => record.remembers_all_since(stored.stamp.commit),
            Source::Fresh { .. } | Source::Stale => false,
        }
    }
}

fn draw_commit(outside: &dyn Outside) -> Result<CommitId, EntropyError> {
    let mut id = [0; 16];
    outside.fill(&mut id)?;
    Ok(CommitId::from_bytes(id))
}

fn attribute((name, change): &(Name, Change)) -> Option<(&str, ValueRef<'_>)> {
    match change {
        Change::Set(value) => Some((name, value.as_ref())),
        _ => None,
    }
}

/// A tail smaller than this is never worth compacting for its size.
const TAIL_BYTES_MIN: usize = 1536;
