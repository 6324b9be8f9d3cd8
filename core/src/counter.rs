//! Attributes that concurrent requests add to.

use alloc::borrow::Cow;

/// The name of a counter: an attribute that concurrent requests add to without losing anything.
///
/// # Example
///
/// ```
/// use sessile_core::Counter;
///
/// const VISITS: Counter = Counter::new("visits");
/// assert_eq!(VISITS.name(), "visits");
/// ```
#[derive(Clone, Debug)]
pub struct Counter {
    name: Cow<'static, str>,
}

impl Counter {
    /// Creates the name of a counter.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name) }
    }

    /// Creates the name of a counter known only at run time.
    #[must_use]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into() }
    }

    /// Returns the name of the attribute.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn owned_name(&self) -> Cow<'static, str> {
        self.name.clone()
    }
}
