//! The one place that names locks and threads, so that a model checker's may take their place.

pub(crate) use std::sync::{Arc, Weak};

#[cfg(not(shuttle))]
pub(crate) use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
};

#[cfg(not(shuttle))]
pub(crate) use parking_lot::Mutex;

#[cfg(shuttle)]
pub(crate) use shuttle::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
};

#[cfg(shuttle)]
pub(crate) use checked::Mutex;

/// Shuttle's lock with parking_lot's methods.
#[cfg(shuttle)]
mod checked {
    use shuttle::sync::MutexGuard;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("no schedule panics under a lock")
        }
    }
}
