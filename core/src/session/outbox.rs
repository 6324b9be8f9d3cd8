//! The write of a session that is in flight, was acknowledged, or was lost from sight.

use alloc::sync::Arc;

use crate::store::action::Action;
use crate::token::{SessionId, Token};

/// What became of the last write.
#[derive(Default)]
pub(crate) enum Outbox {
    #[default]
    Empty,
    /// It is in flight.
    Sent(Envelope),
    /// It is in the log. It is folded into the record below when that is needed.
    Acknowledged(Envelope),
    /// Its reply was lost: its fate must be decided before anything else is written.
    Lost(Envelope),
}

/// A write.
pub(crate) struct Envelope {
    pub(crate) id: SessionId,
    pub(crate) action: Arc<Action>,
    /// The token that becomes valid with it.
    pub(crate) token: Option<Token>,
    /// It was sent without a position first, so others may have come in between.
    pub(crate) is_blind: bool,
}

impl Outbox {
    /// Takes out a write whose fate is not known.
    pub(crate) fn take_undecided(&mut self) -> Option<Envelope> {
        match core::mem::take(self) {
            Self::Sent(envelope) | Self::Lost(envelope) => Some(envelope),
            acknowledged => {
                *self = acknowledged;
                None
            }
        }
    }

    /// Takes out a write that was acknowledged and is not folded yet.
    pub(crate) fn take_acknowledged(&mut self) -> Option<Envelope> {
        match core::mem::take(self) {
            Self::Acknowledged(envelope) => Some(envelope),
            other => {
                *self = other;
                None
            }
        }
    }
}
