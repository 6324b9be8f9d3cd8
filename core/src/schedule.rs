//! When a driver writes: the persist policies as a state machine.

use crate::persist::Persist;

/// Decides when to write during one request: the persist policies as a state machine.
///
/// A driver reports events to it and follows its answers. Whether there is anything to write is
/// found out by comparing, when the session is saved or committed; this decides when to look.
///
#[doc = include_str!("schedule_table.md")]
///
/// # Example
///
/// ```
/// use sessile_core::Persist;
/// use sessile_core::engine::{Effect, Schedule};
///
/// let mut eager = Schedule::new(Persist::ON_CHANGE);
/// assert_eq!(eager.changed(), Effect::Nothing);
/// assert_eq!(eager.awaiting(), Effect::Save);
///
/// let mut at_end = Schedule::new(Persist::AT_END);
/// at_end.changed();
/// assert_eq!(at_end.awaiting(), Effect::Nothing);
/// assert_eq!(at_end.end(), Effect::Commit);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    persist: Persist,
    state: State,
}

/// What the driver does next.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: a driver handles every effect")]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// Save the session.
    Save,
    /// Commit the session: the last write of the request, also if nothing changed.
    Commit,
    /// Refuse: the request has ended.
    Refuse,
}

/// How far a request is with its writes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
enum State {
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

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Event {
    Changed,
    Awaiting,
    Save,
    End,
    Answered,
}

impl Schedule {
    /// Starts with a request that has changed nothing.
    #[must_use]
    pub const fn new(persist: Persist) -> Self {
        Self { persist, state: State::Clean }
    }

    /// Notes that the handler changed the session, or is about to.
    pub const fn changed(&mut self) -> Effect {
        self.step(Event::Changed)
    }

    /// Notes that the handler waits for something.
    pub const fn awaiting(&mut self) -> Effect {
        self.step(Event::Awaiting)
    }

    /// Notes that the handler asked for a write and waits for it.
    pub const fn save(&mut self) -> Effect {
        self.step(Event::Save)
    }

    /// Notes that the handler returned.
    pub const fn end(&mut self) -> Effect {
        self.step(Event::End)
    }

    /// Notes that the write in flight was done, or failed. The changes of a failed one are part of
    /// the next, which a save, another change or the end of the request brings about: a store that
    /// fails is not asked without end.
    pub const fn answered(&mut self) -> Effect {
        self.step(Event::Answered)
    }

    /// Notes that the request is over, whatever was in flight.
    pub const fn abandon(&mut self) {
        self.state = State::Ended;
    }

    /// Reports whether the request has ended.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    const fn step(&mut self, event: Event) -> Effect {
        let (next, effect) = transition(self.persist, self.state, event);
        self.state = next;
        effect
    }
}

/// Total and pure.
const fn transition(persist: Persist, state: State, event: Event) -> (State, Effect) {
    use Effect::{Commit, Nothing, Refuse, Save};
    use State::{
        Clean, Committing, Dirty, Ended, Writing, WritingAgain, WritingDirty, WritingLast,
    };
    match (event, state) {
        (Event::Changed, Clean | Dirty) => (Dirty, Nothing),
        (Event::Changed, Writing | WritingDirty) => (WritingDirty, Nothing),
        (Event::Awaiting, Dirty) if persist.on_change() => (Writing, Save),
        (Event::Save, Clean | Dirty) => (Writing, Save),
        (Event::Save, Writing | WritingDirty | WritingAgain) => (WritingAgain, Nothing),
        (Event::End, Clean | Dirty) => (Committing, Commit),
        (Event::End, Writing | WritingDirty | WritingAgain) => (WritingLast, Nothing),
        (Event::Answered, Writing) => (Clean, Nothing),
        (Event::Answered, WritingDirty) => (Dirty, Nothing),
        (Event::Answered, WritingAgain) => (Writing, Save),
        (Event::Answered, WritingLast) => (Committing, Commit),
        (Event::Answered, Committing) => (Ended, Nothing),
        (Event::Changed | Event::Save, WritingLast | Committing | Ended) => (state, Refuse),
        (Event::Changed, WritingAgain) | (Event::Awaiting | Event::End | Event::Answered, _) => {
            (state, Nothing)
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::format;
    use alloc::string::String;

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
    const EVENTS: [Event; 5] =
        [Event::Changed, Event::Awaiting, Event::Save, Event::End, Event::Answered];

    fn policies() -> [Persist; 4] {
        let both = Persist::ON_CHANGE | Persist::ALWAYS;
        [Persist::AT_END, Persist::ON_CHANGE, Persist::ALWAYS, both]
    }

    fn cell(persist: Persist, state: State, event: Event) -> String {
        let (next, effect) = transition(persist, state, event);
        let next = if next == state { "-".to_owned() } else { format!("{next:?}") };
        match effect {
            Effect::Nothing => next,
            effect => format!("{next} **{effect:?}**"),
        }
    }

    /// Renders the table as the documentation prints it.
    fn table() -> String {
        let mut table = "| state | changed | awaiting | save | end | answered |\n".to_owned();
        table += "|---|---|---|---|---|---|\n";
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
    fn the_printed_table_is_what_the_machine_does() {
        assert!(
            include_str!("schedule_table.md").ends_with(&table()),
            "schedule_table.md must end with:\n{}",
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
                let answers = event == Event::Answered;
                if answers && !in_flight {
                    continue;
                }
                let (next, effect) = transition(persist, state, event);
                let starts = matches!(effect, Effect::Save | Effect::Commit);
                assert!(!(starts && in_flight && !answers), "one write in flight");
                let in_flight = starts || (in_flight && !answers);
                let commits = commits + u32::from(effect == Effect::Commit);
                assert_eq!(commits == 1, matches!(next, State::Committing | State::Ended));
                explore(persist, next, in_flight, commits, depth - 1);
            }
        }
        for persist in policies() {
            explore(persist, State::Clean, false, 0, 7);
        }
    }

    #[test]
    fn a_write_is_not_tried_again_before_something_changes_asks_or_ends() {
        for persist in policies() {
            for start in STATES {
                let (mut state, mut writes) = (start, 0);
                for event in [Event::Awaiting, Event::Answered].into_iter().cycle().take(20) {
                    let (next, effect) = transition(persist, state, event);
                    state = next;
                    writes += u32::from(effect != Effect::Nothing);
                }
                assert!(writes <= 1, "{persist} {start:?}");
            }
        }
    }

    #[test]
    fn only_on_change_writes_while_the_handler_waits() {
        for persist in policies() {
            for state in STATES {
                let saves = transition(persist, state, Event::Awaiting).1 == Effect::Save;
                assert_eq!(saves, persist.on_change() && state == State::Dirty);
            }
        }
    }
}
