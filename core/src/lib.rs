//! A web session is a log. A request loads it, changes a view of it, and appends what changed.
//!
//! This crate is the whole engine without any I/O: no clock, no randomness, no sockets, no runtime,
//! no `std`. It says what to load and what to apply; you say what the store found. [`Sessions`]
//! drives it in two calls, for a program that wants no details.
//!
//! ```text
//!  token --begin--> Loading --resume--> Session --commit--> Pending --finish--> Finished
//!                     |  ^               |    ^              |     ^
//!                  id |  | Loaded?       |    +--- reopen ---|-----|--- (save: a commit in mid-request)
//!                     v  |          get/set/edit       Action|     |Answer
//!                 [ store.load ]    remove/add/..            v     |
//!                     ^             rotate/invalidate    [ store.apply ]
//!                     +------------------ Reload <-- lost reply, conflict
//! ```
//!
//! The files in the order in which a request meets them: `token`, `session/open`, `session` with
//! `session/view` and `session/edits`, `session/draft`, `session/commit`, `store`, `log`.
//!
//! What an application uses is at the root. [`engine`] is the path by hand, for adapters to
//! frameworks; [`store`] is for authors of stores; [`log`] is what a store keeps.
//!
//! # Example
//!
//! The path by hand, with a log of one entry for a store:
//!
//! ```
//! use sessile_core::engine::{Answer, Opening, Step, begin};
//! use sessile_core::store::{Action, Loaded, Outcome, Position};
//! use sessile_core::engine::{Entropy, EntropyError};
//! use sessile_core::{Key, Policy, Timestamp, TokenUpdate};
//!
//! struct Sevens;
//!
//! impl Entropy for Sevens {
//!     fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
//!         bytes.fill(7); // Your own system's randomness, of course.
//!         Ok(())
//!     }
//! }
//!
//! const NAME: Key<String> = Key::new("name");
//! let (policy, now) = (Policy::default(), Timestamp::from_millis(1_000));
//!
//! // The first request has no token, so there is nothing to load.
//! let Opening::Fresh(mut session) = begin(&policy, None) else { panic!() };
//! session.set(&NAME, "Ada".into())?;
//! let Step::Apply(pending) = session.commit(now, &Sevens)? else { panic!() };
//! let Action::Create(create) = pending.action() else { panic!() };
//! let create = create.clone();
//! let Step::Done(finished) = pending.finish(Answer::Done(Outcome::Done(None)), now, &Sevens)? else {
//!     panic!()
//! };
//! let TokenUpdate::Issue(token) = finished.token_update() else { panic!() };
//!
//! // The second presents the token and finds what was stored.
//! let Opening::Load(loading) = begin(&policy, Some(token.expose().as_str())) else { panic!() };
//! let position = Position::new(1, create.stamp);
//! let loaded = Loaded::new(create.record, position, create.ttl.as_duration());
//! let session = loading.resume(Some(loaded), now);
//! assert_eq!(session.get(&NAME)?.as_deref(), Some("Ada"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]
#![warn(clippy::alloc_instead_of_core, clippy::std_instead_of_alloc, clippy::std_instead_of_core)]

extern crate alloc;

mod blocking_sessions;
mod candidates;
mod claims;
mod clock;
mod codec;
mod collection;
mod counter;
mod detached;
pub mod engine;
mod entropy;
mod error;
mod event;
mod family;
mod key;
pub mod log;
pub mod observe;
mod observers;
mod persist;
mod policy;
mod schedule;
mod session;
mod sessions;
pub mod store;
mod timestamp;
mod token;
mod trace;
mod turns;

pub use blocking_sessions::BlockingSessions;
pub use collection::{List, Map, Named};
pub use counter::Counter;
pub use detached::Detached;
pub use error::{CommitError, GetError, SetError};
pub use key::{Key, OnMismatch};
pub use log::delta::RotationReason;
pub use persist::{Persist, PersistError};
pub use policy::{
    CreateWhen, Granularity, Limits, OnConflict, OnServerError, OnUnreadable, Policy,
    PolicyBuilder, PolicyError,
};
pub use session::failed::Failed;
pub use session::finished::Finished;
pub use session::{Session, TokenUpdate};
pub use sessions::{Sessions, UpdateError};
pub use timestamp::{Timestamp, Ttl};
pub use token::{SessionId, Token, TokenError, TokenText};

/// The examples of the README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
