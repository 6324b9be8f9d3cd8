//! A request's view of a session: what was loaded, and what the request did on top of it.

use alloc::borrow::ToOwned;
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use crate::entropy::{Entropy, EntropyError, draw_token};
use crate::error::SetError;
use crate::log::delta::RotationReason;
use crate::log::lifetime::Lifetime;
use crate::log::record::Record;
use crate::policy::{CreateWhen, Granularity, OnConflict, Policy};
use crate::timestamp::{Timestamp, Ttl};
use crate::token::{SessionId, Token};

mod attributes;
mod collections;
pub(crate) mod commit;
mod draft;
pub(crate) mod edit;
mod edits;
pub(crate) mod failed;
pub(crate) mod finished;
mod intent;
mod lifetime;
pub(crate) mod open;
mod origin;
mod outbox;
mod reads;
mod settle;
pub(crate) mod standing;
pub(crate) mod upkeep;
mod view;
pub(crate) mod written;

use intent::Intent;
use origin::{Origin, Reserved};
use outbox::Outbox;
use standing::Standing;
use view::View;

/// A request's view of a session.
///
/// Stands between [`Loading::resume`](crate::engine::Loading::resume) and [`Session::commit`].
/// Everything here is synchronous and touches no store: attributes are decoded when asked for,
/// changes lie on top of what was loaded, and what is dirty is found out at commit by comparing the
/// two.
///
/// # Example
///
/// ```
/// use sessile_core::engine::{Opening, begin};
/// use sessile_core::{Key, Policy};
///
/// const NAME: Key<String> = Key::new("name");
/// const TAGS: Key<Vec<String>> = Key::new("tags");
///
/// let Opening::Fresh(mut session) = begin(&Policy::default(), None) else { unreachable!() };
/// session.set(&NAME, "Ada".into())?;
/// session.edit(&TAGS, |tags| tags.push("mathematics".into()))?;
/// assert_eq!(session.get(&NAME)?.as_deref(), Some("Ada"));
/// assert_eq!(session.names(), ["name", "tags"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session {
    policy: Policy,
    /// The policy's, or stricter for this request.
    on_conflict: OnConflict,
    origin: Origin,
    view: View,
    outbox: Outbox,
    /// A session this request ended: to be deleted before anything else is written.
    to_delete: Option<(SessionId, Ttl)>,
    /// What the client must learn, whatever else happens.
    token_update: TokenUpdate,
    /// The session did not exist when the request came.
    is_new: bool,
    /// This request has ended a session.
    has_ended_one: bool,
    /// The presented token names a session that lives and does not open it. It may have been worn
    /// out by renewals, so the client is sent no other one unless the request asks for it.
    is_refused: bool,
    /// Tokens of several sessions that live were presented, so none of them counts.
    is_contested: bool,
    /// What this request changed was discarded, so nothing is written on its account alone.
    is_discarded: bool,
    /// This request has made the session live on.
    is_renewed: bool,
}

/// What the client must learn about its token.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "closed: a transport handles every update")]
pub enum TokenUpdate {
    /// Nothing: what it holds is right, or not ours to take away.
    #[default]
    Unchanged,
    /// Its token is this one from now on.
    Issue(Token),
    /// Its token is worthless: the session was ended by this request.
    Revoke,
}

impl Session {
    pub(crate) fn fresh(policy: Policy) -> Self {
        Self::new(policy, Origin::Fresh(None), None)
    }

    /// A fresh session for a token that does not open the session it names.
    fn refused(policy: Policy) -> Self {
        Self { is_refused: true, ..Self::fresh(policy) }
    }

    /// A fresh session for tokens of several sessions.
    fn contested(policy: Policy) -> Self {
        Self { is_contested: true, ..Self::refused(policy) }
    }

    /// A session for a token that was replaced.
    fn stale(policy: Policy) -> Self {
        Self::new(policy, Origin::Stale, None)
    }

    fn new(policy: Policy, origin: Origin, record: Option<Arc<Record>>) -> Self {
        let mut session = Self {
            on_conflict: OnConflict::Merge,
            is_new: matches!(origin, Origin::Fresh(_)),
            origin,
            view: View::new(record),
            outbox: Outbox::Empty,
            to_delete: None,
            token_update: TokenUpdate::Unchanged,
            has_ended_one: false,
            is_refused: false,
            is_contested: false,
            is_discarded: false,
            is_renewed: false,
            policy,
        };
        if session.policy.on_conflict() == OnConflict::Reject {
            session.reject_conflicts();
        }
        session
    }

    /// Makes this request go by [`OnConflict::Reject`] from now on, whatever the policy is: what it
    /// reads and writes must not have changed when it commits.
    pub fn reject_conflicts(&mut self) {
        self.on_conflict = OnConflict::Reject;
        self.view.reads.track();
    }

    /// Sets the principal. It wins whole or not at all against concurrent rotations.
    ///
    /// # Errors
    ///
    /// Returns [`SetError::NameTooLong`] if the principal is longer than a name may be. The session
    /// is unchanged.
    pub fn set_principal(&mut self, principal: Option<&str>) -> Result<(), SetError> {
        let len = principal.map_or(0, str::len);
        let max = self.policy.limits().name_bytes_max;
        if len > max {
            return Err(SetError::NameTooLong { len, max });
        }
        self.intent_mut().principal = Some(principal.map(ToOwned::to_owned));
        Ok(())
    }

    /// Sets the principal, for instance a user id, and rotates the token, so that the token from
    /// before is refused (OWASP ASVS 5.0, 7.2.4).
    ///
    /// Of a client that came with a [stale](Session::is_stale) token this starts a new session under
    /// a new token, with what this request has set: the way out if the answer with the newer token
    /// never came.
    ///
    /// # Errors
    ///
    /// Returns [`SetError::NameTooLong`] if the principal is longer than a name may be. The session
    /// is unchanged.
    pub fn login(&mut self, principal: &str) -> Result<(), SetError> {
        self.set_principal(Some(principal))?;
        self.rotate(RotationReason::PrivilegeChange);
        if matches!(self.origin, Origin::Stale) {
            self.start_anew();
        }
        Ok(())
    }

    /// Replaces the token at commit. A new session has a new token anyway.
    ///
    /// A renewal is none while the token before the current one is still
    /// [accepted](crate::PolicyBuilder::renewal_grace): the client has, or is about to get, a newer
    /// one, and parallel renewals would wear out the tokens that other requests came with.
    pub fn rotate(&mut self, reason: RotationReason) {
        self.intent_mut().rotate(reason);
    }

    /// Sets how long this session lives without being used, from now on and after reloading. The
    /// deadline stays. A session with nothing else to keep is not stored for this alone.
    ///
    /// # Errors
    ///
    /// Returns [`SetError::Lifetime`] if it is not 1 ms to the policy's
    /// [`max_idle_timeout`](crate::PolicyBuilder::max_idle_timeout). The session is unchanged.
    pub fn set_idle_timeout(&mut self, idle_timeout: Duration) -> Result<(), SetError> {
        let max = self.policy.max_idle_timeout();
        self.intent_mut().idle_timeout = Some(own_timeout(idle_timeout, max)?);
        Ok(())
    }

    /// Sets how long this session lives whatever happens, counted from its creation. A session with
    /// nothing else to keep is not stored for this alone.
    ///
    /// If so much time has passed already, the commit fails with
    /// [`CommitError::Gone`](crate::CommitError::Gone).
    ///
    /// # Errors
    ///
    /// Returns [`SetError::Lifetime`] if it is not 1 ms to the policy's
    /// [`max_absolute_timeout`](crate::PolicyBuilder::max_absolute_timeout). The session is
    /// unchanged.
    pub fn set_absolute_timeout(&mut self, absolute_timeout: Duration) -> Result<(), SetError> {
        let max = self.policy.max_absolute_timeout();
        self.intent_mut().absolute_timeout = Some(own_timeout(absolute_timeout, max)?);
        Ok(())
    }

    /// Ends the session: nothing of it is left, and nothing brings it back. What is set afterwards
    /// belongs to a new session under a new token.
    ///
    /// Of a client that came with a [stale](Session::is_stale) token the session stays, since it may
    /// be another client's by now, but the client forgets the token: it is worth nothing.
    pub fn invalidate(&mut self) {
        if matches!(self.origin, Origin::Stale) {
            self.token_update = TokenUpdate::Revoke;
        } else if matches!(self.token_update, TokenUpdate::Issue(_)) {
            // The client never heard of that token. It still holds one if this ended another
            // session.
            let holds_none = !self.has_ended_one;
            self.token_update =
                if holds_none { TokenUpdate::Unchanged } else { TokenUpdate::Revoke };
        }
        let undecided = self.outbox.take_undecided();
        self.outbox = Outbox::Empty;
        if let Origin::Loaded(end) = &self.origin {
            let deadline = self.view.base().and_then(Record::deadline);
            let left = deadline.map(|deadline| deadline.since(end.loaded_at));
            self.to_delete = Some((end.id, left.and_then(Ttl::new).unwrap_or(Ttl::MAX)));
        } else if let Some(envelope) = undecided {
            // It may not even have been created.
            let ttl = self.policy.absolute_timeout().unwrap_or(Ttl::MAX);
            self.to_delete.get_or_insert((envelope.id, ttl));
        }
        let mut view = View::default();
        if self.on_conflict == OnConflict::Reject {
            view.reads.track();
        }
        self.view = view;
        self.has_ended_one = true;
        if !matches!(self.origin, Origin::PutOut) {
            self.start_anew();
        }
    }

    /// Draws the token of a session that does not exist yet, so that it has an id before it is
    /// written. Nothing is stored until the commit finds something to keep.
    ///
    /// # Errors
    ///
    /// Returns [`EntropyError`] if there is no randomness. The session is unchanged.
    pub fn reserve(&mut self, now: Timestamp, entropy: &dyn Entropy) -> Result<(), EntropyError> {
        if let Origin::Fresh(reserved @ None) = &mut self.origin {
            *reserved = Some(Reserved { token: draw_token(entropy)?, created_at: now });
        }
        Ok(())
    }

    /// Returns the id of the session, which may be logged; `None` if there is no session yet.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        self.origin.id()
    }

    /// Reports whether the session is stored, or would be if the request ended now.
    #[must_use]
    pub fn exists(&self) -> bool {
        match &self.origin {
            Origin::Fresh(_) => {
                !self.is_empty() || self.principal().is_some() || self.is_created_empty()
            }
            Origin::Loaded(_) => true,
            Origin::Stale | Origin::PutOut => false,
        }
    }

    /// Reports whether the session did not exist when the request came.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Reports whether the presented token was replaced and its grace is over. The session looks
    /// empty and nothing can be written: the client should use the newer token it has. If that
    /// never reached it, [`Session::login`] and [`Session::invalidate`] lead out of this.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        matches!(self.origin, Origin::Stale | Origin::PutOut)
    }

    /// Returns the principal, as this request sees it.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        let wanted = self.intents().find_map(|intent| intent.principal.as_ref());
        match wanted {
            Some(principal) => principal.as_deref(),
            None => self.view.base()?.principal(),
        }
    }

    /// Returns when the session was created; `None` if there is no session yet.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        match &self.origin {
            Origin::Fresh(reserved) => reserved.as_ref().map(|reserved| reserved.created_at),
            Origin::Loaded(_) => self.view.base().map(Record::created_at),
            Origin::Stale | Origin::PutOut => None,
        }
    }

    /// Returns when the session was last used before this request, as far as its ttl shows: up to a
    /// touch interval early, and in the last idle timeout before its deadline up to that early;
    /// `None` if there is no session yet.
    #[must_use]
    pub fn last_accessed_at(&self) -> Option<Timestamp> {
        match self.origin.log_end() {
            Some(end) => Some(end.last_accessed_at),
            None => self.created_at(),
        }
    }

    /// Returns how long the session lives without being used, as this request sees it.
    #[must_use]
    pub fn idle_timeout(&self) -> Ttl {
        match self.view.base() {
            Some(record) => self.lifetime(record).idle_timeout,
            None => self.first_lifetime(Timestamp::default()).idle_timeout,
        }
    }

    /// Returns when the session ends whatever happens, as this request sees it; `None` if only
    /// idleness ends it, or if there is no session yet.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let created_at = self.created_at()?;
        match self.view.base() {
            Some(record) => self.lifetime(record).deadline,
            None => self.first_lifetime(created_at).deadline,
        }
    }

    /// Reports whether this request has made the session live longer, and the client goes on with the
    /// token it came with: what tells the client how long to keep that is to be told again.
    #[must_use]
    pub fn is_renewed(&self) -> bool {
        let goes_on = matches!(self.token_update, TokenUpdate::Unchanged);
        self.is_renewed && goes_on && self.standing() == Standing::Current
    }

    /// Returns what the client must learn, whatever becomes of the next commit: a session that was
    /// saved exists, and only this request knows its token.
    #[must_use]
    pub const fn token_update(&self) -> &TokenUpdate {
        &self.token_update
    }

    /// Returns the rules this session lives by.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Goes on with a session that does not exist yet.
    fn start_anew(&mut self) {
        self.origin = Origin::Fresh(None);
        self.is_new = true;
    }

    /// Reports whether a session without anything in it is stored at the end of the request: not in
    /// place of one that was ended, or that the token did not open.
    fn is_created_empty(&self) -> bool {
        let is_in_place_of_another = self.has_ended_one || self.is_refused;
        let is_wanted = self.policy.create() == CreateWhen::Opened && !self.is_discarded;
        is_wanted && !is_in_place_of_another
    }

    /// Reports whether a commit writes every attribute if it writes any.
    fn writes_everything(&self) -> bool {
        self.view.since().intent.everything || self.policy.granularity() == Granularity::Whole
    }

    /// Returns the lifetime of a session that is created at that time.
    fn first_lifetime(&self, created_at: Timestamp) -> Lifetime {
        let deadline = |ttl: Ttl| created_at + ttl.as_duration();
        let deadline = self.policy.absolute_timeout().map(deadline);
        self.with_own(Lifetime::by_policy(self.policy.idle_timeout(), deadline), created_at)
    }

    /// Returns the lifetime this request wants for a session that is stored.
    fn lifetime(&self, record: &Record) -> Lifetime {
        self.with_own(lifetime::allowed(record, &self.policy), record.created_at())
    }

    fn with_own(&self, mut lifetime: Lifetime, created_at: Timestamp) -> Lifetime {
        let idle_timeout = self.intents().find_map(|intent| intent.idle_timeout);
        if let Some(idle_timeout) = idle_timeout.filter(|own| *own != lifetime.idle_timeout) {
            lifetime.idle_timeout = idle_timeout;
            lifetime.has_own_idle_timeout = true;
        }
        let absolute_timeout = self.intents().find_map(|intent| intent.absolute_timeout);
        let deadline = absolute_timeout.map(|timeout| created_at + timeout.as_duration());
        if deadline.is_some() && deadline != lifetime.deadline {
            lifetime.deadline = deadline;
            lifetime.has_own_deadline = true;
        }
        lifetime
    }

    /// Returns what was wanted, the latest first.
    fn intents(&self) -> impl Iterator<Item = &Intent> {
        self.view.layers().into_iter().map(|layer| &layer.intent)
    }

    const fn intent_mut(&mut self) -> &mut Intent {
        &mut self.view.since_mut().intent
    }
}

/// `Debug` shows the id, which may be logged, and sizes.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("is_new", &self.is_new)
            .field("attributes", &self.view.size().count)
            .field("bytes", &self.view.size().bytes)
            .finish_non_exhaustive()
    }
}

fn own_timeout(given: Duration, max: Ttl) -> Result<Ttl, SetError> {
    Ttl::new(given).filter(|ttl| *ttl <= max).ok_or(SetError::Lifetime { given, max })
}
