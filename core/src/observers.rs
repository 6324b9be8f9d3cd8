//! Who hears of events.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter;

use crate::event::{Event, Observer};

/// Who hears of events; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Observers {
    list: Option<Arc<[Arc<dyn Observer>]>>,
}

impl Observers {
    pub(crate) fn add(&mut self, observer: impl Observer + 'static) {
        let known = self.list.iter().flat_map(|list| list.iter().cloned());
        let added: Arc<dyn Observer> = Arc::new(observer);
        self.list = Some(known.chain(iter::once(added)).collect::<Vec<_>>().into());
    }

    pub(crate) const fn are_there(&self) -> bool {
        self.list.is_some()
    }

    /// Tells everybody; the event is only made if somebody listens.
    pub(crate) fn hear<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if let Some(list) = &self.list {
            let event = event();
            list.iter().for_each(|observer| observer.observe(&event));
        }
    }

    pub(crate) fn hear_all<'a>(&self, events: impl Iterator<Item = Event<'a>>) {
        if let Some(list) = &self.list {
            events.for_each(|event| list.iter().for_each(|observer| observer.observe(&event)));
        }
    }
}
