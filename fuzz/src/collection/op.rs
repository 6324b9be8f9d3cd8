//! What a program may do.

use crate::input::Input;

/// A request that may be under way: there are two at a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place(pub(super) usize);

impl Place {
    pub(super) const ALL: [Self; 2] = [Self(0), Self(1)];
}

/// What a request may do to its session before it is over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Insert(&'static str, u8),
    Delete(&'static str),
    /// Adds to an entry in a closure.
    Update(&'static str, u8),
    Push(u8),
    /// Removes the items that are odd, or those that are even.
    Retain(bool),
    EmptyMap,
    EmptyList,
    Clear,
    Discard,
}

/// What a program may do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// Begins a request; one that was under way there is dropped.
    Open(Place),
    Change(Place, Change),
    Save(Place),
    Commit(Place),
    /// So many milliseconds pass.
    Pass(u8),
}

impl Op {
    pub(super) fn read(input: &mut Input<'_>) -> Self {
        let (kind, place) = (input.byte(), input.pick(&Place::ALL));
        let key = |input: &mut Input<'_>| input.pick(&KEYS);
        let change = match kind % 24 {
            0 | 1 => return Self::Open(place),
            2..=4 => return Self::Commit(place),
            5 | 6 => return Self::Save(place),
            7 => return Self::Pass(input.byte()),
            8..=10 => Change::Insert(key(input), input.byte()),
            11 => Change::Delete(key(input)),
            12..=14 => Change::Update(key(input), input.byte()),
            15..=18 => Change::Push(input.byte()),
            19 => Change::Retain(input.flag()),
            20 => Change::EmptyMap,
            21 => Change::EmptyList,
            22 => Change::Clear,
            _ => Change::Discard,
        };
        Self::Change(place, change)
    }
}

/// Keys of entries: those that start alike, and those that hold what separates names.
const KEYS: [&str; 6] = ["", "a", "aa", "b", "a\u{1f}", "\u{1e}"];
