//! One layer of changes to a session, and the algebra of layers.
//!
//! A session holds two of them: what is in flight and what came since. Both speak of names, and a
//! later one composes with an earlier one as a later delta of the log does with an earlier delta.

use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;
use core::any::Any;
use core::error::Error;

use crate::codec::encode_error::EncodeError;
use crate::family;
use crate::log::delta::Change;
use crate::log::net::{Content, Net};
use crate::log::value::{Value, ValueRef};
use crate::session::intent::Intent;

pub(crate) type Name = Cow<'static, str>;

/// One layer of changes.
#[derive(Default)]
pub(crate) struct Edits {
    pub(crate) ops: BTreeMap<Name, Edit>,
    /// Items pushed to lists, in order. They get names when a delta is drafted.
    pub(crate) pushes: Vec<Push>,
    /// The names that items got when they were drafted, in order.
    named: Vec<Name>,
    pub(crate) intent: Intent,
}

/// What a request did to one attribute.
pub(crate) struct Edit {
    pub(crate) op: Op,
    /// Write this even if the record already holds the value: another request set it since, and
    /// ours must be the last append.
    pub(crate) is_forced: bool,
}

pub(crate) enum Op {
    Net(Net<Value>),
    /// A value that was lent out to be changed in place, and its size before.
    Lent {
        value: Box<dyn Lent>,
        size: usize,
    },
    /// The value that closures made of what the attribute held.
    Update(Update),
}

/// A decoded value, lent out to be changed in place.
pub(crate) trait Lent: Send + Sync {
    /// Encodes the value. If it means what it meant when it was lent, it is encoded as it was then.
    fn encode(&self) -> Result<Value, EncodeError>;

    fn as_any(&mut self) -> &mut dyn Any;
}

/// The value that closures made of what the attribute held, and the closures, to run again if
/// another request changes it first.
pub(crate) struct Update {
    pub(crate) steps: Vec<Box<UpdateStep>>,
    pub(crate) result: Value,
}

pub(crate) type UpdateStep =
    dyn FnMut(Option<ValueRef<'_>>) -> Result<Value, Box<dyn Error + Send + Sync>> + Send + Sync;

/// An item pushed to a list.
pub(crate) struct Push {
    pub(crate) list: Name,
    pub(crate) value: Value,
}

impl Edits {
    pub(crate) fn get(&self, name: &str) -> Option<&Edit> {
        self.ops.get(name)
    }

    /// Composes one more change with what this layer holds.
    pub(crate) fn put(&mut self, name: Name, op: Op, is_forced: bool) {
        match self.ops.entry(name) {
            Entry::Vacant(vacant) => drop(vacant.insert(Edit { op, is_forced })),
            Entry::Occupied(mut occupied) => {
                let edit = occupied.get_mut();
                // A change to what was forced is one to what the request saw, whatever the record
                // holds.
                edit.is_forced |= is_forced;
                let earlier = core::mem::replace(&mut edit.op, Op::Net(Net::Remove));
                edit.op = earlier.then(op);
            }
        }
    }

    /// Returns what this layer and then `later` amount to. Associative.
    pub(crate) fn then(mut self, later: Self) -> Self {
        for (name, edit) in later.ops {
            self.put(name, edit.op, edit.is_forced);
        }
        self.pushes.extend(later.pushes);
        self.intent = self.intent.then(later.intent);
        self
    }

    /// Gives pushed items names, in order.
    pub(crate) fn name_pushes(&mut self, names: Vec<Name>) {
        for (push, name) in core::mem::take(&mut self.pushes).into_iter().zip(&names) {
            self.ops.insert(name.clone(), Edit { op: Op::set(push.value), is_forced: false });
        }
        self.named = names;
    }

    /// Takes the names of items back: the next draft gives them places of its own. What `later`
    /// removed of them is forgotten.
    pub(crate) fn unname_pushes(&mut self, later: &mut Self) {
        for name in core::mem::take(&mut self.named) {
            let edit = self.ops.remove(&name);
            let is_removed = later.ops.remove(&name).is_some();
            if let Some(Edit { op: Op::Net(Net::Set(value)), .. }) = edit
                && !is_removed
            {
                let list = family::collection(&name).to_owned().into();
                self.pushes.push(Push { list, value });
            }
        }
    }

    pub(crate) fn has_forced(&self) -> bool {
        self.ops.values().any(|edit| edit.is_forced)
    }

    pub(crate) fn has_updates(&self) -> bool {
        self.ops.values().any(|edit| matches!(edit.op, Op::Update(_)))
    }
}

impl Op {
    pub(crate) const fn set(value: Value) -> Self {
        Self::Net(Net::Set(value))
    }

    /// Returns what this change and then `later` amount to. Associative.
    fn then(self, later: Self) -> Self {
        match (self, later) {
            (Self::Net(earlier), Self::Net(later)) => Self::Net(earlier.then(later)),
            // Only a counter can be added to, and no key reads one.
            (earlier, Self::Net(Net::Add(_))) => earlier,
            (Self::Update(earlier), Self::Update(later)) => Self::Update(earlier.then(later)),
            // It was made of what this layer had set, not of what the record holds.
            (_, Self::Update(update)) => Self::set(update.result),
            (_, later) => later,
        }
    }

    /// Returns what an attribute that holds `below` holds after this change.
    pub(crate) fn on<'a>(
        &'a self,
        below: Option<Seen<'a>>,
    ) -> Result<Option<Seen<'a>>, EncodeError> {
        Ok(match self {
            Self::Net(Net::Set(value)) => Some(Seen::Held(value.as_ref())),
            Self::Net(Net::Remove) => None,
            // Nothing added to nothing is nothing.
            Self::Net(Net::Add(0)) => below,
            Self::Net(Net::Add(number)) => Net::Add(*number).on(below),
            Self::Update(update) => Some(Seen::Held(update.result.as_ref())),
            Self::Lent { value, .. } => Some(Seen::Made(value.encode()?)),
        })
    }

    /// Returns the size of the value, in bytes, if there is one. A lent value counts as it was.
    pub(crate) fn size(&self, below: Option<usize>) -> Option<usize> {
        match self {
            Self::Net(Net::Set(value)) => Some(value.len()),
            Self::Net(Net::Remove) => None,
            Self::Net(Net::Add(0)) => below,
            Self::Net(Net::Add(_)) => below.or(Some(COUNTER_LEN)),
            Self::Update(update) => Some(update.result.len()),
            Self::Lent { size, .. } => Some(*size),
        }
    }

    /// Returns the change this is to a record that holds `below`; `None` if it comes to nothing, or
    /// is still lent out.
    pub(crate) fn change(&self, below: Option<ValueRef<'_>>) -> Option<Change> {
        let set =
            |value: &Value| (below != Some(value.as_ref())).then(|| Change::Set(value.clone()));
        match self {
            Self::Net(Net::Set(value)) => set(value),
            Self::Net(Net::Remove) => below.map(|_| Change::Remove),
            Self::Net(Net::Add(number)) => (*number != 0).then_some(Change::Add(*number)),
            Self::Update(update) => set(&update.result),
            Self::Lent { .. } => None,
        }
    }
}

impl Update {
    fn then(mut self, later: Self) -> Self {
        self.steps.extend(later.steps);
        Self { result: later.result, ..self }
    }

    /// Makes the value anew of what another request left.
    pub(crate) fn run_again(
        &mut self,
        below: Option<ValueRef<'_>>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut value = below.map(ValueRef::to_value);
        for step in &mut self.steps {
            value = Some(step(value.as_ref().map(Value::as_ref))?);
        }
        if let Some(value) = value {
            self.result = value;
        }
        Ok(())
    }
}

/// What an attribute holds as a request sees it.
pub(crate) enum Seen<'a> {
    Held(ValueRef<'a>),
    Made(Value),
}

impl Seen<'_> {
    pub(crate) fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Held(value) => *value,
            Self::Made(value) => value.as_ref(),
        }
    }
}

impl Content for Seen<'_> {
    fn counter(&self) -> Option<i64> {
        self.as_ref().counter()
    }

    fn from_counter(number: i64) -> Self {
        Self::Made(Value::counter(number))
    }
}

/// The size of a stored counter, in bytes.
const COUNTER_LEN: usize = 8;
