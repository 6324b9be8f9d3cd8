//! What a request wants beside attributes.

use alloc::string::String;

use crate::log::delta::RotationReason;
use crate::timestamp::Ttl;

/// What a request wants beside attributes.
#[derive(Default)]
pub(crate) struct Intent {
    pub(crate) rotation: Option<RotationReason>,
    pub(crate) principal: Option<Option<String>>,
    pub(crate) idle_timeout: Option<Ttl>,
    pub(crate) absolute_timeout: Option<Ttl>,
    /// Every attribute is to be written as this request sees it.
    pub(crate) everything: bool,
}

impl Intent {
    /// Returns what this and then `later` amount to. Associative.
    pub(crate) fn then(self, later: Self) -> Self {
        Self {
            rotation: strongest(self.rotation, later.rotation),
            principal: later.principal.or(self.principal),
            idle_timeout: later.idle_timeout.or(self.idle_timeout),
            absolute_timeout: later.absolute_timeout.or(self.absolute_timeout),
            everything: self.everything || later.everything,
        }
    }

    pub(crate) fn rotate(&mut self, reason: RotationReason) {
        self.rotation = strongest(self.rotation, Some(reason));
    }

    pub(crate) const fn changes_lifetime(&self) -> bool {
        self.idle_timeout.is_some() || self.absolute_timeout.is_some()
    }

    /// Reports whether the request wants what only a session of its own can give.
    pub(crate) const fn is_security_change(&self) -> bool {
        self.rotation.is_some() || self.principal.is_some() || self.changes_lifetime()
    }
}

/// A change of privilege must not be weakened to a renewal.
fn strongest(one: Option<RotationReason>, other: Option<RotationReason>) -> Option<RotationReason> {
    match (one, other) {
        (Some(RotationReason::PrivilegeChange), _) | (_, Some(RotationReason::PrivilegeChange)) => {
            Some(RotationReason::PrivilegeChange)
        }
        (one, other) => one.or(other),
    }
}
