//! Collections that merge: what concurrent requests insert or push all survives.

use alloc::borrow::Cow;
use alloc::format;
use core::fmt;
use core::marker::PhantomData;

use crate::counter::Counter;
use crate::family;
use crate::key::Key;

/// The name of a map that concurrent requests insert into without losing anything.
///
/// Each entry is an attribute of its own: a change costs what changed, not the map, and the limits
/// of the policy count entries. Two requests that write the *same* entry are last-writer-wins, as
/// for any attribute; [`Session::update`](crate::Session::update) works on entries too.
///
/// # Example
///
/// ```
/// use sessile_core::engine::{Opening, begin};
/// use sessile_core::{Map, Policy};
///
/// const CART: Map<u32> = Map::new("cart");
///
/// let Opening::Fresh(mut session) = begin(&Policy::default(), None) else { unreachable!() };
/// session.set(&CART.entry("tea"), 2)?;
/// session.update(&CART.entry("cake"), |count| *count += 1)?;
/// let cart = session.entries(&CART).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(cart, [("cake", 1), ("tea", 2)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Map<V> {
    name: Cow<'static, str>,
    holds: PhantomData<fn() -> V>,
}

/// The name of a list that concurrent requests push to without losing anything.
///
/// Each item is an attribute of its own: a push costs what was pushed, not the list, and the limits
/// of the policy count items. Items are in the order of the commits that pushed them, by the clock
/// of the node that committed.
///
/// # Example
///
/// ```
/// use sessile_core::engine::{Opening, begin};
/// use sessile_core::{List, Policy};
///
/// const VISITED: List<String> = List::new("visited");
///
/// let Opening::Fresh(mut session) = begin(&Policy::default(), None) else { unreachable!() };
/// session.push(&VISITED, "/".into())?;
/// session.push(&VISITED, "/tea".into())?;
/// let visited = session.items(&VISITED).collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(visited, ["/", "/tea"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct List<V> {
    name: Cow<'static, str>,
    holds: PhantomData<fn() -> V>,
}

impl<V> Map<V> {
    /// Creates the name of a map.
    ///
    /// # Panics
    ///
    /// If the name holds U+001E or U+001F, which separate the name of a collection from its
    /// entries. In a constant, that is an error of the compiler.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(!family::holds_separator(name), "the name of a map holds no separator");
        Self { name: Cow::Borrowed(name), holds: PhantomData }
    }

    /// Creates the name of a map known only at run time. If it holds U+001E or U+001F, setting an
    /// entry is an error.
    #[must_use]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), holds: PhantomData }
    }

    /// Returns the key of an entry, to get, set, update or remove it.
    #[must_use]
    pub fn entry(&self, key: &str) -> Key<V> {
        let name = format!("{}{}{key}", self.name, family::MAP).into();
        // As an ordinary key it is refused, with the name in the error.
        if family::holds_separator(&self.name) { Key::named(name) } else { Key::entry(name) }
    }

    /// Returns the name of the map.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<V> List<V> {
    /// Creates the name of a list.
    ///
    /// # Panics
    ///
    /// If the name holds U+001E or U+001F, which separate the name of a collection from its
    /// entries. In a constant, that is an error of the compiler.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(!family::holds_separator(name), "the name of a list holds no separator");
        Self { name: Cow::Borrowed(name), holds: PhantomData }
    }

    /// Creates the name of a list known only at run time. If it holds U+001E or U+001F, pushing is
    /// an error.
    #[must_use]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), holds: PhantomData }
    }

    /// Returns the name of the list.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the key under which an item's value is encoded and decoded.
    pub(crate) fn item_key(&self, name: Cow<'static, str>) -> Key<V> {
        if family::holds_separator(&self.name) { Key::named(name) } else { Key::entry(name) }
    }
}

/// Anything with a name that can be removed from a session: a [`Key`], a [`Counter`], a [`Map`] or
/// a [`List`].
///
/// Sealed: no other type implements it.
pub trait Named: sealed::Sealed {
    /// Returns the name.
    fn name(&self) -> &str;
}

pub(crate) mod sealed {
    #[expect(unnameable_types, reason = "sealed: no other crate implements it")]
    pub trait Sealed {
        /// Returns what separates the name from those of entries; `None` if it stands alone.
        fn separator(&self) -> Option<char>;
    }
}

macro_rules! named {
    ($([$($parameter:ident)?] $type:ty: $separator:expr;)+) => {
        $(
            impl$(<$parameter>)? sealed::Sealed for $type {
                fn separator(&self) -> Option<char> {
                    $separator
                }
            }

            impl$(<$parameter>)? Named for $type {
                fn name(&self) -> &str {
                    Self::name(self)
                }
            }
        )+
    };
}

named! {
    [T] Key<T>: None;
    [] Counter: None;
    [V] Map<V>: Some(family::MAP);
    [V] List<V>: Some(family::LIST);
}

/// Hand-written because a name is cloned whatever it names.
impl<V> Clone for Map<V> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), holds: PhantomData }
    }
}

/// Hand-written because a name is cloned whatever it names.
impl<V> Clone for List<V> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), holds: PhantomData }
    }
}

impl<V> fmt::Debug for Map<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Map({:?})", self.name)
    }
}

impl<V> fmt::Debug for List<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({:?})", self.name)
    }
}
