//! Without the feature nothing is heard.

use core::error::Error;

use crate::event::Event;
use crate::token::SessionId;

/// A stretch of work on one session: here it is nothing.
pub(crate) struct Span;

impl Span {
    pub(crate) const fn open(_: SessionId) -> Self {
        Self
    }

    pub(crate) const fn commit(_: Option<SessionId>) -> Self {
        Self
    }

    pub(crate) const fn upkeep(_: SessionId) -> Self {
        Self
    }

    pub(crate) const fn end(_: SessionId) -> Self {
        Self
    }

    pub(crate) const fn rename(&self, _: SessionId) {}

    pub(crate) fn around<F: Future>(&self, future: F) -> F {
        future
    }

    pub(crate) fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        work()
    }

    pub(crate) const fn ended(&self, _: &'static str) {}

    pub(crate) const fn called(&self, _: u32) {}
}

pub(crate) const fn is_heard() -> bool {
    false
}

pub(crate) const fn hears_details() -> bool {
    false
}

pub(crate) const fn tell(_: &Event<'_>) {}

pub(crate) const fn store_failed(
    _: SessionId,
    _: &'static str,
    _: &(dyn Error + 'static),
    _: bool,
) {
}

pub(crate) const fn unreadable(_: SessionId, _: &(dyn Error + 'static)) {}

pub(crate) const fn resent(_: SessionId, _: u32) {}

pub(crate) const fn retried(_: Option<SessionId>, _: u32) {}

pub(crate) const fn contested() {}
