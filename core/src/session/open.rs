//! From a token to a session: the first half of the path.

use crate::log::record::VerifierStatus;
use crate::policy::Policy;
use crate::session::Session;
use crate::session::lifetime;
use crate::session::origin::{LogEnd, Origin};
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
        match loaded.record.status_of(&self.verifier, now) {
            VerifierStatus::Forged => Session::refused(self.policy),
            VerifierStatus::Stale => Session::new(self.policy, Origin::Stale, None),
            VerifierStatus::Current | VerifierStatus::Grace => {
                let end = LogEnd::loaded(self.id, self.verifier, &loaded, now);
                Session::new(self.policy, Origin::Loaded(end), Some(loaded.record))
            }
        }
    }
}
