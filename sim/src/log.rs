//! The history of one log as it must be: every version it ever had, in the order of the server.

use std::sync::Arc;

use sessile_core::log::Stamp;

use crate::model::{Name, State, Val};

/// The history of one log.
#[derive(Debug)]
pub(crate) struct Log {
    /// What people call it.
    pub(crate) name: String,
    pub(crate) versions: Vec<Version>,
    /// When it ends by itself, by the server's clock.
    pub(crate) expires_at: u64,
    /// When that was decided last, and by which request; by none if the server did it.
    pub(crate) renewed: (u64, Option<usize>),
    /// When it ends because somebody let it live on.
    pub(crate) prolonged: Option<u64>,
    /// How long any of its calls was on its way.
    pub(crate) slack: u64,
    /// Somebody ended it.
    pub(crate) is_deleted: bool,
    /// Somebody was told its token.
    pub(crate) is_known: bool,
    /// A bit of it flipped: what is read of it proves nothing any more.
    pub(crate) is_damaged: bool,
}

/// One version of a log.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// `None` if there is no log.
    pub(crate) state: Option<Arc<State>>,
}

impl Log {
    pub(crate) fn new(name: String) -> Self {
        let versions = vec![Version { state: None }];
        let (is_deleted, is_known, is_damaged) = (false, false, false);
        Self {
            name,
            versions,
            expires_at: 0,
            renewed: (0, None),
            prolonged: None,
            slack: 0,
            is_deleted,
            is_known,
            is_damaged,
        }
    }

    /// Lets the log end if its time is over, and returns the number of its version.
    pub(crate) fn settle(&mut self, now: u64) -> usize {
        if self.state().is_some() && self.expires_at <= now {
            self.push(None);
        }
        self.last()
    }

    /// Has the log end at another time.
    pub(crate) fn renew(&mut self, expires_at: u64, now: u64, origin: Option<usize>) {
        (self.expires_at, self.renewed) = (expires_at, (now, origin));
    }

    pub(crate) fn push(&mut self, state: Option<Arc<State>>) {
        self.versions.push(Version { state });
    }

    /// Returns what the log holds now.
    pub(crate) fn state(&self) -> Option<&Arc<State>> {
        self.versions.last().and_then(|version| version.state.as_ref())
    }

    pub(crate) fn last(&self) -> usize {
        self.versions.len() - 1
    }

    /// Returns the states the log had from one version to another, both included.
    pub(crate) fn states(&self, from: usize, to: usize) -> impl Iterator<Item = Option<&State>> {
        let versions = self.versions.get(from..=to).unwrap_or_default();
        versions.iter().map(|version| version.state.as_deref())
    }

    /// Returns the last of those versions that ended with that stamp.
    pub(crate) fn find(&self, stamp: Stamp, from: usize, to: usize) -> Option<usize> {
        (from..=to).rev().find(|index| {
            let state = self.versions[*index].state.as_ref();
            state.is_some_and(|state| state.stamp == Some(stamp))
        })
    }

    /// Reports whether an attribute ever held a value since some version; an absent counter is 0.
    pub(crate) fn ever_held(&self, name: Name, value: Option<&Val>, from: usize) -> bool {
        let held = |state: Option<&State>| state.and_then(|state| state.get(name)).cloned();
        self.states(from, self.last()).any(|state| same(held(state).as_ref(), value))
    }
}

/// Compares what an attribute holds; an absent counter is 0.
pub(crate) fn same(a: Option<&Val>, b: Option<&Val>) -> bool {
    let zero = Val::Number(0);
    a.filter(|a| **a != zero) == b.filter(|b| **b != zero)
}
