//! When a delta is appended: the persist policies and the one function that decides.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::error::Error;
use core::fmt;
use core::ops::BitOr;
use core::str::FromStr;

/// When a session's changes are written. Policies combine with `|`.
///
/// The names in brackets are those of tomcat-redis-session-manager, which [`Persist::from_str`]
/// reads.
///
/// # Example
///
/// ```
/// use sessile_core::Persist;
///
/// let persist: Persist = "SAVE_ON_CHANGE, always_save_after_request".parse().unwrap();
/// assert_eq!(persist, Persist::ON_CHANGE | Persist::ALWAYS);
/// assert!("SAVE_SOMETIMES".parse::<Persist>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Persist {
    on_change: bool,
    always: bool,
}

impl Persist {
    /// At the end of the request, if anything changed (`DEFAULT`).
    pub const AT_END: Self = Self { on_change: false, always: false };
    /// Also at the handler's next await after a change, one write at a time (`SAVE_ON_CHANGE`). One
    /// that fails is not tried again before something else changes or the request ends.
    pub const ON_CHANGE: Self = Self { on_change: true, always: false };
    /// At the end of the request even if nothing changed (`ALWAYS_SAVE_AFTER_REQUEST`).
    ///
    /// Unlike in the reference system, a save without changes carries none: it renews the idle
    /// timeout and overwrites nobody. With whole-session granularity it writes the whole session.
    pub const ALWAYS: Self = Self { on_change: false, always: true };

    /// Reports whether changes are written at the handler's next await.
    #[must_use]
    pub const fn on_change(self) -> bool {
        self.on_change
    }

    /// Reports whether the end of a request writes even if nothing changed.
    #[must_use]
    pub const fn always(self) -> bool {
        self.always
    }
}

impl BitOr for Persist {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self { on_change: self.on_change || other.on_change, always: self.always || other.always }
    }
}

impl fmt::Display for Persist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES[0].0)?;
        let chosen = NAMES[1..].iter().filter(|(_, policy)| *self | *policy == *self);
        chosen.into_iter().try_for_each(|(name, _)| write!(f, ",{name}"))
    }
}

impl FromStr for Persist {
    type Err = PersistError;

    /// Reads a comma-separated list of the reference names, in any case, blanks ignored.
    fn from_str(names: &str) -> Result<Self, PersistError> {
        names.split(',').map(str::trim).try_fold(Self::AT_END, |all, name| {
            let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let (_, policy) = known.ok_or_else(|| PersistError { name: name.to_owned() })?;
            Ok(all | *policy)
        })
    }
}

const NAMES: [(&str, Persist); 3] = [
    ("DEFAULT", Persist::AT_END),
    ("SAVE_ON_CHANGE", Persist::ON_CHANGE),
    ("ALWAYS_SAVE_AFTER_REQUEST", Persist::ALWAYS),
];

/// A persist policy's name is not known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PersistError {
    name: String,
}

impl fmt::Display for PersistError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown persist policy {:?}, expected a list of", self.name)?;
        let mut names = NAMES.iter().map(|(name, _)| *name);
        names.try_for_each(|name| write!(f, " {name}"))
    }
}

impl Error for PersistError {}

/// Where a request stands with its writes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: the table of `step` covers every state")]
pub enum State {
    /// Nothing changed since the request or its last write began, whatever became of that.
    #[default]
    Clean,
    /// Something may have changed since.
    Dirty,
    /// A write is in flight, and nothing changed since.
    Writing,
    /// A write is in flight, and something changed since.
    WritingDirty,
    /// A write is in flight, and another is wanted right after it.
    WritingAgain,
    /// A write is in flight, and the request has ended.
    WritingLast,
    /// The commit that ends the request is in flight.
    Committing,
    /// The request has ended.
    Ended,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: the table of `step` covers every event")]
pub enum Event {
    /// The handler changed the session.
    Change,
    /// The handler waits for something.
    Await,
    /// The handler asked for a write and waits for it.
    Flush,
    /// The handler returned.
    End,
    /// The write in flight was done.
    Written,
    /// The write in flight failed. Its changes are part of the next one, which a flush, another
    /// change or the end of the request brings about: a store that fails is not asked without end.
    Failed,
}

/// What the driver does next.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: a driver handles every effect")]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// Flush the session.
    Write,
    /// Commit the session: the last write of the request, also if nothing changed.
    Commit,
    /// Refuse: the request has ended.
    Refuse,
}

/// Decides what a driver does next: the persist policies as a state machine.
///
/// Whether there is anything to write is found out by comparing, when the session is flushed or
/// committed; this function decides when to look. It is total and pure.
///
#[doc = include_str!("persist_table.md")]
///
/// # Example
///
/// ```
/// use sessile_core::{Effect, Event, Persist, State, step};
///
/// let (dirty, _) = step(Persist::ON_CHANGE, State::Clean, Event::Change);
/// assert_eq!(step(Persist::ON_CHANGE, dirty, Event::Await), (State::Writing, Effect::Write));
/// assert_eq!(step(Persist::AT_END, dirty, Event::Await), (State::Dirty, Effect::Nothing));
/// ```
#[must_use]
pub const fn step(persist: Persist, state: State, event: Event) -> (State, Effect) {
    use Effect::{Commit, Nothing, Refuse, Write};
    use State::{
        Clean, Committing, Dirty, Ended, Writing, WritingAgain, WritingDirty, WritingLast,
    };
    match (event, state) {
        (Event::Change, Clean | Dirty) => (Dirty, Nothing),
        (Event::Change, Writing | WritingDirty) => (WritingDirty, Nothing),
        (Event::Await, Dirty) if persist.on_change => (Writing, Write),
        (Event::Flush, Clean | Dirty) => (Writing, Write),
        (Event::Flush, Writing | WritingDirty) => (WritingAgain, Nothing),
        (Event::End, Clean | Dirty) => (Committing, Commit),
        (Event::End, Writing | WritingDirty | WritingAgain) => (WritingLast, Nothing),
        (Event::Written | Event::Failed, Writing) => (Clean, Nothing),
        (Event::Written | Event::Failed, WritingDirty) => (Dirty, Nothing),
        (Event::Written | Event::Failed, WritingAgain) => (Writing, Write),
        (Event::Written | Event::Failed, WritingLast) => (Committing, Commit),
        (Event::Written | Event::Failed, Committing) => (Ended, Nothing),
        (Event::Change | Event::Flush, WritingLast | Committing | Ended) => (state, Refuse),
        (Event::Change, WritingAgain)
        | (Event::Await | Event::End | Event::Written | Event::Failed, _) => (state, Nothing),
        (Event::Flush, WritingAgain) => (WritingAgain, Nothing),
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const STATES: [State; 8] = [
        State::Clean,
        State::Dirty,
        State::Writing,
        State::WritingDirty,
        State::WritingAgain,
        State::WritingLast,
        State::Committing,
        State::Ended,
    ];
    const EVENTS: [Event; 6] =
        [Event::Change, Event::Await, Event::Flush, Event::End, Event::Written, Event::Failed];
    const POLICIES: [Persist; 4] = [
        Persist::AT_END,
        Persist::ON_CHANGE,
        Persist::ALWAYS,
        Persist { on_change: true, always: true },
    ];

    fn cell(persist: Persist, state: State, event: Event) -> String {
        let (next, effect) = step(persist, state, event);
        let next = if next == state { "-".to_owned() } else { format!("{next:?}") };
        match effect {
            Effect::Nothing => next,
            effect => format!("{next} **{effect:?}**"),
        }
    }

    /// Renders the table as the documentation prints it.
    fn table() -> String {
        let mut table = "| state | Change | Await | Flush | End | Written | Failed |\n".to_owned();
        table += "|---|---|---|---|---|---|---|\n";
        for state in STATES {
            table += &format!("| {state:?} |");
            for event in EVENTS {
                let plain = cell(Persist::AT_END, state, event);
                let eager = cell(Persist::ON_CHANGE, state, event);
                let both = if plain == eager {
                    plain
                } else {
                    format!("{plain}; under `ON_CHANGE` {eager}")
                };
                table += &format!(" {both} |");
            }
            table += "\n";
        }
        table
    }

    #[test]
    fn the_printed_table_is_what_the_function_does() {
        assert!(
            include_str!("persist_table.md").ends_with(&table()),
            "persist_table.md must end with:\n{}",
            table()
        );
    }

    #[test]
    fn every_request_ends_with_exactly_one_commit_and_one_write_in_flight_at_most() {
        // Every policy, every sequence of seven events a driver can produce.
        fn explore(persist: Persist, state: State, in_flight: bool, commits: u32, depth: u32) {
            assert!(commits <= 1, "a request commits once");
            if depth == 0 {
                return;
            }
            for event in EVENTS {
                let answers = matches!(event, Event::Written | Event::Failed);
                if answers != in_flight && answers {
                    continue;
                }
                let (next, effect) = step(persist, state, event);
                let starts = matches!(effect, Effect::Write | Effect::Commit);
                assert!(!(starts && in_flight && !answers), "one write in flight");
                let in_flight = starts || (in_flight && !answers);
                let commits = commits + u32::from(effect == Effect::Commit);
                assert_eq!(commits == 1, matches!(next, State::Committing | State::Ended));
                explore(persist, next, in_flight, commits, depth - 1);
            }
        }
        for persist in POLICIES {
            explore(persist, State::Clean, false, 0, 7);
        }
    }

    #[test]
    fn a_write_is_not_tried_again_before_something_changes_asks_or_ends() {
        for persist in POLICIES {
            for start in STATES {
                let (mut state, mut writes) = (start, 0);
                for event in [Event::Await, Event::Failed].into_iter().cycle().take(20) {
                    let (next, effect) = step(persist, state, event);
                    state = next;
                    writes += u32::from(effect != Effect::Nothing);
                }
                assert!(writes <= 1, "{persist} {start:?}");
            }
        }
    }

    #[test]
    fn only_on_change_writes_at_an_await() {
        for persist in POLICIES {
            for state in STATES {
                let writes = step(persist, state, Event::Await).1 == Effect::Write;
                assert_eq!(writes, persist.on_change() && state == State::Dirty);
            }
        }
    }

    #[test]
    fn a_policy_is_written_as_it_is_read() {
        for persist in POLICIES {
            assert_eq!(format!("{persist}").parse(), Ok(persist));
        }
        let error = "DEFAULT,NEVER".parse::<Persist>().unwrap_err();
        assert_eq!(
            format!("{error}"),
            "unknown persist policy \"NEVER\", expected a list of DEFAULT SAVE_ON_CHANGE \
             ALWAYS_SAVE_AFTER_REQUEST"
        );
    }
}
