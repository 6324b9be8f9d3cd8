//! What a commit has written, as the events it tells of.

use alloc::sync::Arc;

use smallvec::SmallVec;

use crate::error::CommitError;
use crate::event::Event;
use crate::store::action::Action;
use crate::token::SessionId;

/// What a commit has written, in order.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// One nearly always: a copy for an observer needs no memory of its own.
    actions: SmallVec<[(SessionId, Arc<Action>); 1]>,
}

impl Written {
    pub(super) fn new() -> Self {
        Self { actions: SmallVec::new() }
    }

    pub(super) fn push(&mut self, id: SessionId, action: Arc<Action>) {
        self.actions.push((id, action));
    }

    pub(super) fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.actions.iter().flat_map(|(id, action)| Event::of(*id, action))
    }
}

/// How a commit ended, for [`Turn::report`](crate::engine::Turn::report).
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) id: Option<SessionId>,
    pub(super) written: Written,
    pub(crate) error: Option<CommitError>,
}

impl Report {
    pub(crate) fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.written.events()
    }
}
