//! The comparisons that clauses are made of.

use std::fmt::{Debug, Display};

use sessile_core::log::{Record, Stamp, ValueRef};
use sessile_core::store::{Outcome, Position};
use sessile_core::{Finished, TokenText, TokenUpdate};

/// What was expected of a store, and what was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Finding(String);

/// What a clause and its parts return.
pub(crate) type Check<T = ()> = Result<T, Finding>;

impl Finding {
    pub(crate) const fn new(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks that two values are equal.
pub(crate) fn check<T: Debug + PartialEq>(what: &str, found: T, expected: T) -> Check {
    check_that(found == expected, what, format_args!("expected {expected:?}, found {found:?}"))
}

/// Checks a relation. `found` says what was expected and found.
pub(crate) fn check_that(holds: bool, what: &str, found: impl Display) -> Check {
    if holds { Ok(()) } else { Err(Finding(format!("{what}: {found}"))) }
}

/// Checks that a store says it did what it was asked.
pub(crate) fn done(what: &str, outcome: Outcome) -> Check {
    let is_done = matches!(outcome, Outcome::Done(_));
    check_that(is_done, what, format_args!("expected Done, found {outcome:?}"))
}

/// Checks that an outcome is one of several that are right.
pub(crate) fn either(what: &str, outcome: Outcome, right: &[Outcome]) -> Check {
    let is_right = right.iter().any(|right| match right {
        Outcome::Done(None) => matches!(outcome, Outcome::Done(_)),
        right => *right == outcome,
    });
    check_that(is_right, what, format_args!("expected one of {right:?}, found {outcome:?}"))
}

/// Checks that a delta was appended as the entry that has its stamp, and returns its position.
pub(crate) fn appended(what: &str, outcome: Outcome, stamp: Stamp) -> Check<Position> {
    let Outcome::Done(Some(position)) = outcome else {
        let found = format!("expected Done with a position, found {outcome:?}");
        return Err(Finding(format!("{what}: {found}")));
    };
    check(&format!("the stamp of the position after {what}"), position.stamp(), stamp)?;
    Ok(position)
}

/// Takes an answer where nothing may fail.
pub(crate) fn succeeds<T, E: Debug>(what: &str, answer: Result<T, E>) -> Check<T> {
    answer.map_err(|error| Finding(format!("{what}: must not fail, but did: {error:?}")))
}

/// Checks that a record is the expected one, byte for byte.
pub(crate) fn check_record(when: &str, found: &Record, expected: &Record) -> Check {
    if found == expected {
        return Ok(());
    }
    let difference = difference(found, expected);
    Err(Finding(format!("{when}: the record is not the one that was written: {difference}")))
}

/// Takes the token that a client is sent.
pub(crate) fn token_of(finished: &Finished) -> Check<TokenText> {
    match finished.token_update() {
        TokenUpdate::Issue(token) => Ok(token.expose()),
        other => Err(Finding(format!("expected a token for the client, found {other:?}"))),
    }
}

/// Says what tells two records apart. Clauses write nothing secret.
fn difference(found: &Record, expected: &Record) -> String {
    for (name, value) in expected.iter() {
        match found.get(name) {
            None => return format!("attribute {name:?} is missing"),
            Some(other) if other != value => {
                return format!("attribute {name:?} is {} and not {}", show(other), show(value));
            }
            Some(_) => {}
        }
    }
    if let Some((name, _)) = found.iter().find(|(name, _)| expected.get(name).is_none()) {
        return format!("attribute {name:?} should not be there");
    }
    let times = |record: &Record| (record.created_at(), record.idle_timeout(), record.deadline());
    if times(found) != times(expected) {
        return format!("times are {:?} and not {:?}", times(found), times(expected));
    }
    if found.generation() != expected.generation() {
        let (found, expected) = (found.generation(), expected.generation());
        return format!("it has {found} rotations and not {expected}");
    }
    "the attributes are right, but the commits, verifiers or principal it remembers are not".into()
}

/// Shows a value of a clause: the number of a counter, or the first bytes.
fn show(value: ValueRef<'_>) -> String {
    const SHOWN: usize = 8;
    let (codec, bytes) = (value.codec(), value.bytes());
    match value.counter() {
        Some(number) => format!("the counter {number}"),
        None if bytes.len() <= SHOWN => format!("{codec:?} {bytes:?}"),
        None => format!("{codec:?} {:?}.. of {} bytes", &bytes[..SHOWN], bytes.len()),
    }
}
