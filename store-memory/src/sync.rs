//! The one place that names locks and threads, so that a model checker's may take their place.

pub(crate) use std::sync::Arc;

#[cfg(not(shuttle))]
pub(crate) use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
};

#[cfg(not(shuttle))]
pub(crate) use parking_lot::{Condvar, Mutex};

#[cfg(shuttle)]
pub(crate) use shuttle::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
};

#[cfg(shuttle)]
pub(crate) use checked::{Condvar, Mutex};

/// Shuttle's locks with parking_lot's methods.
#[cfg(shuttle)]
mod checked {
    use std::ops::{Deref, DerefMut};
    use std::time::Duration;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    /// There until the lock is given back to wait.
    pub(crate) struct Guard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(shuttle::sync::Condvar);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            Guard(Some(self.0.lock().expect("no schedule panics under a lock")))
        }
    }

    impl Condvar {
        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        pub(crate) fn wait_for<T>(&self, guard: &mut Guard<'_, T>, time: Duration) {
            let held = guard.0.take().expect("a guard holds the lock but while it waits");
            let (held, _) = self.0.wait_timeout(held, time).expect("no schedule panics");
            guard.0 = Some(held);
        }
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().expect("a guard holds the lock but while it waits")
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().expect("a guard holds the lock but while it waits")
        }
    }
}
