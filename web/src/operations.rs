//! What a request cost the store.

use std::fmt;

use sessile_core::store::Action;

/// How many store operations a request took, its commit included, upkeep not: in the extensions of
/// the response, if there were any.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Operations {
    /// Loads.
    pub load: u32,
    /// Appends, at a position or not.
    pub append: u32,
    /// Touches.
    pub touch: u32,
    /// Creations.
    pub create: u32,
    /// Deletions.
    pub delete: u32,
    /// Compactions.
    pub compact: u32,
}

impl Operations {
    /// Counts an action.
    pub(crate) const fn count(&mut self, action: &Action) {
        *match action {
            Action::Append(_) => &mut self.append,
            Action::Touch(_) => &mut self.touch,
            Action::Create(_) => &mut self.create,
            Action::Delete(_) => &mut self.delete,
            Action::Compact(_) => &mut self.compact,
        } += 1;
    }
}

impl fmt::Display for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { load, append, touch, create, delete, compact } = self;
        write!(
            f,
            "load={load} append={append} touch={touch} create={create} delete={delete} \
             compact={compact}"
        )
    }
}
