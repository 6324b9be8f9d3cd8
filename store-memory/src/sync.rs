//! The one place that names locks and threads, so that a model checker's may take their place.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::thread;

pub(crate) use parking_lot::{Condvar, Mutex};
