//! What a program may do.

use std::time::Duration;

use sessile_core::{
    Counter, CreateWhen, Granularity, Key, Limits, OnConflict, Persist, Policy, RotationReason,
};

use crate::input::Input;

/// A request that may be under way: there are three at a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place(pub(super) usize);

impl Place {
    pub(super) const ALL: [Self; 3] = [Self(0), Self(1), Self(2)];
}

/// What a program may do.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Opens a session with the token of that number, or with none.
    Open(Place, Option<usize>),
    Set(Place, Name, Content),
    /// Appends a byte to a list, by `edit` or in place.
    Push(Place, Name, u8, bool),
    Add(Place, Name, i64),
    Remove(Place, Name),
    Clear(Place),
    Look(Place, Name),
    LookAtAll(Place),
    Rotate(Place, RotationReason),
    Principal(Place, Option<String>),
    Login(Place, String),
    Idle(Place, Duration),
    Invalidate(Place),
    Save(Place),
    /// Commits the session; upkeep is left out by [`Op::Neglect`].
    Commit(Place),
    Neglect(Place),
    Drop(Place),
    Pass(Duration),
}

/// The name of an attribute.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Name(pub(super) &'static str);

impl Name {
    pub(super) const ALL: [Self; 5] =
        [Self("a"), Self("b"), Self("hits"), Self("list"), Self(MANUAL)];

    pub(super) const fn key<T>(self) -> Key<T> {
        Key::new(self.0)
    }

    pub(super) const fn counter(self) -> Counter {
        Counter::new(self.0)
    }
}

/// What an attribute holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Content {
    Text(String),
    Number(u8),
    List(Vec<u8>),
    Count(i64),
}

impl Op {
    pub(super) fn read(input: &mut Input<'_>, tokens: usize) -> Self {
        let (kind, place) = (input.byte(), input.pick(&Place::ALL));
        let name = |input: &mut Input<'_>| input.pick(&Name::ALL);
        match kind % 32 {
            0..=2 if tokens > 0 => Self::Open(place, Some(tokens - 1 - input.below(tokens.min(4)))),
            0..=2 => Self::Open(place, None),
            3 => Self::Open(place, None),
            4..=8 => Self::Set(place, name(input), Content::read(input)),
            9..=11 => Self::Push(place, name(input), input.byte(), input.flag()),
            12..=14 => Self::Add(place, name(input), input.number().cast_signed()),
            15..=16 => Self::Remove(place, name(input)),
            17 => Self::Clear(place),
            18 => Self::Look(place, name(input)),
            19 => Self::LookAtAll(place),
            20 => Self::Rotate(place, RotationReason::Renewal),
            21 => Self::Rotate(place, RotationReason::PrivilegeChange),
            22 => Self::Principal(place, input.flag().then(|| input.text(3))),
            23 => Self::Login(place, input.text(3)),
            24 => Self::Idle(place, input.pick(&TIMES)),
            25 => Self::Invalidate(place),
            26..=27 => Self::Save(place),
            28 => Self::Commit(place),
            29 => Self::Neglect(place),
            30 => Self::Drop(place),
            _ => Self::Pass(input.pick(&TIMES)),
        }
    }
}

impl Content {
    fn read(input: &mut Input<'_>) -> Self {
        match input.byte() % 3 {
            0 => Self::Text(input.text(8)),
            1 => Self::Number(input.byte()),
            _ => Self::List(input.take(2).to_vec()),
        }
    }

    /// Returns how it is stored: the codec and the bytes.
    pub(super) fn stored(&self) -> (u8, Vec<u8>) {
        let head = |major: u8, number: usize| match u8::try_from(number) {
            Ok(small @ 0..24) => vec![major | small],
            Ok(byte) => vec![major | 24, byte],
            Err(_) => unreachable!("nothing here is that large"),
        };
        let number = |number: usize| head(0x00, number);
        match self {
            Self::Text(text) => (1, [head(0x60, text.len()), text.clone().into()].concat()),
            Self::List(bytes) => {
                let elements = bytes.iter().flat_map(|byte| number((*byte).into()));
                (1, head(0x80, bytes.len()).into_iter().chain(elements).collect())
            }
            Self::Number(value) => (1, number((*value).into())),
            Self::Count(number) => (3, number.to_le_bytes().to_vec()),
        }
    }
}

/// Makes one of the policies there are.
pub(super) fn policy(input: &mut Input<'_>) -> Policy {
    let [first, second] = input.array();
    let is = |flags: u8, bit: u8| flags >> bit & 1 == 1;
    let mut policy = Policy::builder().compact_every(if is(first, 0) { 2 } else { 64 });
    if is(first, 1) {
        policy = policy.granularity(Granularity::Whole);
    }
    if is(first, 2) {
        policy = policy.on_conflict(OnConflict::Reject);
    }
    if is(first, 3) {
        policy = policy.persist(Persist::AT_END | Persist::ALWAYS);
    }
    if is(first, 4) {
        policy = policy.create(CreateWhen::Opened);
    }
    if is(first, 5) {
        policy = policy.manual_dirty_key(Some(MANUAL));
    }
    if is(first, 6) {
        policy = policy.absolute_timeout(None);
    }
    if is(first, 7) {
        policy = policy.limits(Limits {
            name_bytes_max: if is(second, 0) { 3 } else { 16 },
            value_bytes_max: 8,
            session_bytes_max: 24,
            attributes_max: 3,
        });
    }
    policy.build().expect("every combination is allowed")
}

/// What sets the manual mark, where there is one.
pub(super) const MANUAL: &str = "!";

const TIMES: [Duration; 8] = [
    Duration::from_millis(1),
    Duration::from_millis(9_999),
    Duration::from_millis(10_000),
    Duration::from_secs(100),
    Duration::from_secs(29 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(11 * 60 * 60),
    Duration::from_secs(500 * 24 * 60 * 60),
];
