//! What several changes to one attribute amount to: the algebra that a log and a session share.
//!
//! A log folds deltas with it, and a session composes what it did with it. So what a request sees
//! is what the log will say, unless another request changes the same attribute.

/// Something an attribute can hold.
pub(crate) trait Content: Sized {
    /// Returns the number, if this is an intact counter.
    fn counter(&self) -> Option<i64>;

    fn from_counter(number: i64) -> Self;
}

/// What several changes to one attribute amount to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Net<V> {
    Set(V),
    Remove,
    /// Adds to the counter below. An absent counter is 0; anything but a counter stays as it is.
    Add(i64),
}

impl<V: Content> Net<V> {
    /// Returns what this change and then `later` amount to. Associative.
    pub(crate) fn then(self, later: Self) -> Self {
        match (self, later) {
            (Self::Add(sum), Self::Add(number)) => Self::Add(sum.wrapping_add(number)),
            (Self::Remove, Self::Add(number)) => Self::Set(V::from_counter(number)),
            (Self::Set(value), Self::Add(number)) => Self::Set(plus(value, number)),
            (_, later) => later,
        }
    }

    /// Returns what an attribute that holds `below` holds after this change.
    pub(crate) fn on(self, below: Option<V>) -> Option<V> {
        match self {
            Self::Set(value) => Some(value),
            Self::Remove => None,
            Self::Add(number) => Some(match below {
                Some(value) => plus(value, number),
                None => V::from_counter(number),
            }),
        }
    }
}

fn plus<V: Content>(value: V, number: i64) -> V {
    match value.counter() {
        Some(old) => V::from_counter(old.wrapping_add(number)),
        None => value,
    }
}
