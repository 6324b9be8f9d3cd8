//! Who hears of events.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter;

use crate::event::{Event, Observer};
use crate::trace;

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

    /// Reports whether somebody listens, the crate `tracing` included.
    pub(crate) fn are_there(&self) -> bool {
        self.list.is_some() || trace::is_heard()
    }

    /// Tells everybody; the event is only made if somebody listens.
    pub(crate) fn hear<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if self.are_there() {
            self.tell(&event());
        }
    }

    /// Tells everybody what was written.
    pub(crate) fn hear_written<'a>(&self, events: impl Iterator<Item = Event<'a>>) {
        if self.list.is_some() || trace::hears_details() {
            events.for_each(|event| self.tell(&event));
        }
    }

    fn tell(&self, event: &Event<'_>) {
        trace::tell(event);
        let list = self.list.iter().flat_map(|list| list.iter());
        list.for_each(|observer| observer.observe(event));
    }
}
