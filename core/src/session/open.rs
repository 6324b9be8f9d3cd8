//! From a token to a session: the first half of the path.

use crate::log::record::VerifierStatus;
use crate::policy::{OnUnreadable, Policy};
use crate::session::Session;
use crate::session::lifetime;
use crate::session::origin::{LogEnd, Origin};
use crate::session::standing::Standing;
use crate::store::loaded::Loaded;
use crate::timestamp::Timestamp;
use crate::token::{SessionId, Token, Verifier};

/// Starts the path with what a client presented.
///
/// No token, or text that is no token, gives a fresh session at once and costs no store call. A
/// presented id is never adopted: a session that turns out not to exist is created, if at all,
/// under a new one.
///
/// # Example
///
/// ```
/// use sessile_core::Policy;
/// use sessile_core::engine::{Opening, begin};
///
/// let policy = Policy::default();
/// assert!(matches!(begin(&policy, Some("../../etc/passwd")), Opening::Fresh(_)));
/// let token = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
/// assert!(matches!(begin(&policy, Some(token)), Opening::Load(_)));
/// ```
pub fn begin(policy: &Policy, token: Option<&str>) -> Opening {
    match token.map(Token::parse) {
        Some(Ok(token)) => Opening::Load(Loading::new(policy, &token)),
        Some(Err(_)) | None => Opening::Fresh(Session::fresh(policy.clone())),
    }
}

/// The first step of the path: there is something to load, or there is not.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "closed: there is something to load or there is not")]
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub enum Opening {
    /// Load the log it names, then [`Loading::resume`].
    Load(Loading),
    /// There is nothing to load.
    Fresh(Session),
}

/// A token whose log is to be loaded.
///
/// If loading fails there is no session, fresh or other: report the failure.
#[derive(Clone, Debug)]
#[must_use]
pub struct Loading {
    policy: Policy,
    id: SessionId,
    /// `None` for a holder that was let in before.
    verifier: Option<Verifier>,
}

impl Loading {
    /// Starts the path with a token.
    pub fn new(policy: &Policy, token: &Token) -> Self {
        Self { policy: policy.clone(), id: token.id(), verifier: Some(token.verifier()) }
    }

    /// Starts the path for a holder that was let in before and outlives the request, such as a
    /// WebSocket: no token is checked, so the holder survives rotations, and the id must not come
    /// from a client.
    pub fn trusted(policy: &Policy, id: SessionId) -> Self {
        Self { policy: policy.clone(), id, verifier: None }
    }

    /// Returns the log to load.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Takes in that the log is there and cannot be read: its error says so. Returns a fresh session
    /// if the policy [abandons](crate::OnUnreadable::Abandon) such a log. The bytes stay as they
    /// are, since that session is created, if at all, under a new id.
    #[must_use]
    pub fn abandon(self) -> Option<Session> {
        let is_abandoned = self.policy.on_unreadable() == OnUnreadable::Abandon;
        is_abandoned.then(|| Session::fresh(self.policy))
    }

    /// Takes what the store found and returns the session.
    ///
    /// The session is fresh if the log is unknown or over by the policy, or the token is forged; for
    /// a forged one nothing is created unless the request writes something or logs in. The session
    /// is [stale](Session::is_stale) if the token was replaced and its grace is over.
    pub fn resume(self, loaded: Option<Loaded>, now: Timestamp) -> Session {
        let Some(loaded) = loaded else {
            return Session::fresh(self.policy);
        };
        if lifetime::is_over(&loaded, &self.policy, now) {
            return Session::fresh(self.policy);
        }
        let verifier = self.verifier.unwrap_or(loaded.record.head().verifier);
        match loaded.record.status_of(&verifier, now) {
            VerifierStatus::Forged => Session::refused(self.policy),
            VerifierStatus::Stale => Session::stale(self.policy),
            VerifierStatus::Current | VerifierStatus::Grace => {
                let end = LogEnd::loaded(self.id, verifier, &loaded, now);
                Session::new(self.policy, Origin::Loaded(end), Some(loaded.record))
            }
        }
    }
}

/// Decides between two sessions that tokens of one request opened: a client may hold several cookies
/// of one name, of an old path or domain, and does not say which is which.
///
/// The one that lives counts. If two different ones live, none does: another site may have put one
/// of them there (RFC 6265bis, section 8.6). What does not count is never adopted.
///
/// # Example
///
/// ```
/// use sessile_core::Policy;
/// use sessile_core::engine::{Opening, begin, choose};
///
/// let policy = Policy::default();
/// let fresh = || match begin(&policy, None) {
///     Opening::Fresh(session) => session,
///     Opening::Load(_) => unreachable!(),
/// };
/// assert!(choose(fresh(), fresh()).is_new());
/// ```
#[must_use]
pub fn choose(one: Session, other: Session) -> Session {
    let live = |session: &Session| session.origin.log_end().is_some();
    if live(&one) && live(&other) && one.id() != other.id() {
        return Session::contested(one.policy);
    }
    if one.is_contested || one.standing() >= other.standing() { one } else { other }
}

impl Session {
    /// What the token it was opened with is worth.
    pub(crate) fn standing(&self) -> Standing {
        match &self.origin {
            Origin::Loaded(end) if self.is_opened_by(&end.verifier) => Standing::Current,
            Origin::Loaded(_) => Standing::Grace,
            Origin::Stale | Origin::PutOut => Standing::Stale,
            Origin::Fresh(_) if self.is_refused => Standing::Forged,
            Origin::Fresh(_) => Standing::Unknown,
        }
    }

    /// Reports whether a client presented several sessions that live, so that none counts.
    pub(crate) const fn is_contested(&self) -> bool {
        self.is_contested
    }

    /// Reports whether this is the token the session was opened with.
    #[must_use]
    pub fn is_of(&self, token: &Token) -> bool {
        let end = self.origin.log_end();
        end.is_some_and(|end| end.id == token.id() && end.verifier == token.verifier())
    }

    fn is_opened_by(&self, verifier: &Verifier) -> bool {
        self.view.base().is_some_and(|record| record.head().verifier == *verifier)
    }
}
