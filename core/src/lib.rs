//! A web session is a log. A request loads it, changes a view of it, and appends what changed.
//!
//! This crate is the whole engine without any I/O: no clock, no randomness, no sockets, no runtime,
//! no `std`. It says what to load and what to apply; you say what the store found. A driver for
//! people who want no details is [`Sessions`].
//!
//! ```text
//!  token --begin--> Loading --resume--> Session --commit--> Pending --finish--> Finished
//!                     |  ^                |                   |  ^
//!                  id |  | Loaded?     get/set/edit/    Action|  |Outcome
//!                     v  |             remove/add/            v  |
//!                 [ store.load ]       rotate/invalidate  [ store.apply ]
//! ```
//!
//! The modules, in the order in which a request meets them: `token`, `open`, `session` (with `key`,
//! `codec`, `overlay`), `draft`, `commit`, `store` (with `record`, `delta`, `fold`).
//!
//! # Example
//!
//! The path by hand, with a log of one entry for a store:
//!
//! ```
//! use sessile_core::{
//!     Action, EntropyError, Key, Loaded, Notice, Opening, Outcome, Outside, Policy, Position,
//!     Step, Timestamp, begin,
//! };
//!
//! struct Fixed;
//!
//! impl Outside for Fixed {
//!     fn now(&self) -> Timestamp {
//!         Timestamp::from_millis(1_000)
//!     }
//!
//!     fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
//!         bytes.fill(7); // Your own system's randomness, of course.
//!         Ok(())
//!     }
//! }
//!
//! const NAME: Key<String> = Key::new("name");
//! let policy = Policy::default();
//!
//! // The first request has no token, so there is nothing to load.
//! let Opening::Fresh(mut session) = begin(&policy, None) else { panic!() };
//! session.set(&NAME, "Ada".to_owned())?;
//! let Step::Apply(pending) = session.commit::<EntropyError>(&Fixed)? else { panic!() };
//! let Action::Create { record, stamp, ttl } = pending.action().clone() else { panic!() };
//! let Step::Done(finished) = pending.finish::<EntropyError>(Ok(Outcome::Created), &Fixed)? else {
//!     panic!()
//! };
//! let Notice::Send(token) = finished.notice() else { panic!() };
//!
//! // The second presents the token and finds what was stored.
//! let Opening::Load(loading) = begin(&policy, Some(token.expose().as_str())) else { panic!() };
//! let position = Position::new(1, stamp);
//! let remaining = ttl.as_duration();
//! let loaded = Loaded { record, position, remaining, tail_bytes: 0 };
//! let session = loading.resume(Some(loaded), Fixed.now());
//! assert_eq!(session.get(&NAME)?.as_deref(), Some("Ada"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]
#![warn(clippy::alloc_instead_of_core, clippy::std_instead_of_alloc, clippy::std_instead_of_core)]

extern crate alloc;

mod blocking;
mod box_store;
mod codec;
mod commit;
#[cfg(feature = "conformance")]
pub mod conformance;
mod delta;
mod draft;
mod error;
mod fold;
mod key;
mod limits;
mod open;
mod outside;
mod overlay;
mod persist;
mod policy;
mod record;
mod session;
mod sessions;
mod store;
mod stored;
mod timestamp;
mod token;
mod value;
mod wire;

pub use blocking::{BlockingSessions, BlockingStore, Immediate};
pub use box_store::{BoxStore, BoxStoreError};
pub use codec::{EncodeError, Refusal};
pub use commit::{Failed, Finished, Pending, Settling, Step, Upkeep};
pub use delta::{Change, CommitId, Delta, Rotation, RotationReason, Stamp, UnknownChange};
pub use error::{CommitError, GetError, SetError};
pub use fold::{Fold, fold};
pub use key::{Counter, Group, Key, Mismatch};
pub use open::{Loading, Opening, begin};
pub use outside::{EntropyError, Outside};
pub use persist::{Effect, Event, Persist, PersistError, State, step};
pub use policy::{Create, Granularity, Limits, OnConflict, Policy, PolicyBuilder, PolicyError};
pub use record::Record;
pub use session::{Edit, Notice, Session};
pub use sessions::{Sessions, UpdateError};
pub use store::{Action, Failure, Loaded, Outcome, Position, Store};
pub use timestamp::{Timestamp, Ttl};
pub use token::{SessionId, Token, TokenError, TokenText, Verifier};
pub use value::{Codec, Value, ValueRef};
pub use wire::DecodeError;
