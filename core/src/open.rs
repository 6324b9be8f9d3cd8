//! From a token to a session: the first half of the path.

use crate::record::Standing;
use crate::session::Source;
use crate::stored::Stored;
use crate::{Loaded, Policy, Session, SessionId, Timestamp, Token, Verifier};

/// Starts the path with what a client presented.
///
/// No token, or text that is no token, gives a fresh session at once and costs no store call. A
/// presented id is never adopted: a session that turns out not to exist is created, if at all, under
/// a new one.
///
/// # Example
///
/// ```
/// use sessile_core::{Opening, Policy, begin};
///
/// let policy = Policy::default();
/// assert!(matches!(begin(&policy, Some("../../etc/passwd")), Opening::Fresh(_)));
/// let token = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
/// assert!(matches!(begin(&policy, Some(token)), Opening::Load(_)));
/// ```
pub fn begin(policy: &Policy, token: Option<&str>) -> Opening {
    match token.map(Token::parse) {
        Some(Ok(token)) => Opening::Load(Loading {
            policy: policy.clone(),
            id: token.id(),
            verifier: token.verifier(),
        }),
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
    verifier: Verifier,
}

impl Loading {
    /// Returns the log to load.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Takes what the store found and returns the session.
    ///
    /// The session is fresh if the log is unknown or past its deadline, or the token is forged. It is
    /// [stale](Session::is_stale) if the token was replaced and its grace is over.
    pub fn resume(self, loaded: Option<Loaded>, now: Timestamp) -> Session {
        let Some(loaded) = loaded else {
            return Session::fresh(self.policy);
        };
        if loaded.record.deadline().is_some_and(|deadline| deadline <= now) {
            return Session::fresh(self.policy);
        }
        let source = match loaded.record.standing(&self.verifier, now) {
            Standing::Forged => return Session::fresh(self.policy),
            Standing::Stale => Source::Stale,
            Standing::Current | Standing::Grace => {
                Source::Stored(Stored::new(self.id, self.verifier, loaded, now))
            }
        };
        Session::with_source(self.policy, source)
    }
}
