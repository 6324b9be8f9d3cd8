//! Why a session was not read, not changed or not written.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::time::Duration;

use crate::codec::encode_error::EncodeError;
use crate::codec::refusal::Refusal;
use crate::entropy::EntropyError;
use crate::log::value::{Codec, ValueRef};
use crate::timestamp::Ttl;

/// Why an attribute was not read.
///
/// Every other attribute can still be read. Setting or removing this one mends it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum GetError {
    /// It was written by another codec than its key says, or it is a counter, or it is none.
    OtherCodec {
        /// The name of the attribute.
        name: String,
        /// The codec that wrote it.
        stored: Codec,
    },
    /// It was written under another [version](crate::Key::postcard) of its key.
    OtherVersion {
        /// The name of the attribute.
        name: String,
        /// The version it was written under.
        stored: u32,
        /// The version of the key.
        expected: u32,
    },
    /// The bytes are not the ones that were written.
    Damaged {
        /// The name of the attribute.
        name: String,
    },
    /// It does not fit the type of its key.
    Refused {
        /// The name of the attribute.
        name: String,
        /// Why the type refused it, without the value.
        source: Refusal,
    },
    /// It was lent out, and what it is now cannot be stored.
    NotStorable {
        /// The name of the attribute.
        name: String,
        /// Why not.
        source: EncodeError,
    },
}

impl GetError {
    /// The error of an attribute that is no counter.
    pub(crate) fn no_counter(name: &str, stored: ValueRef<'_>) -> Self {
        let name = name.to_owned();
        if stored.is_intact() {
            Self::OtherCodec { name, stored: stored.codec() }
        } else {
            Self::Damaged { name }
        }
    }

    pub(crate) fn not_storable(name: &str, source: EncodeError) -> Self {
        Self::NotStorable { name: name.to_owned(), source }
    }

    /// Returns the name of the attribute.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::OtherCodec { name, .. }
            | Self::OtherVersion { name, .. }
            | Self::Damaged { name }
            | Self::Refused { name, .. }
            | Self::NotStorable { name, .. } => name,
        }
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attribute {:?} ", self.name())?;
        match self {
            Self::OtherCodec { stored: Codec::UNREADABLE, .. } => {
                f.write_str("was changed by a newer release")
            }
            Self::OtherCodec { .. } => f.write_str("was written by another codec"),
            Self::OtherVersion { stored, expected, .. } => {
                write!(f, "was written under version {stored}, not {expected}")
            }
            Self::Damaged { .. } => f.write_str("is damaged"),
            Self::Refused { .. } => f.write_str("does not fit its type"),
            Self::NotStorable { .. } => f.write_str("was changed to what cannot be stored"),
        }
    }
}

impl Error for GetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused { source, .. } => Some(source),
            Self::NotStorable { source, .. } => Some(source),
            Self::OtherCodec { .. } | Self::OtherVersion { .. } | Self::Damaged { .. } => None,
        }
    }
}

/// Why a session was not changed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SetError {
    /// An attribute must have a name.
    NameEmpty,
    /// The name or principal is longer than [`Limits::name_bytes_max`](crate::Limits).
    NameTooLong {
        /// Its length, in bytes.
        len: usize,
        /// The longest allowed.
        max: usize,
    },
    /// The encoded value is larger than [`Limits::value_bytes_max`](crate::Limits).
    ValueTooLarge {
        /// The name of the attribute.
        name: String,
        /// The size of the value, in bytes.
        len: usize,
        /// The largest allowed.
        max: usize,
    },
    /// The session would grow beyond [`Limits::session_bytes_max`](crate::Limits).
    SessionTooLarge {
        /// The size the session would have, in bytes.
        len: usize,
        /// The largest allowed.
        max: usize,
    },
    /// The session has [`Limits::attributes_max`](crate::Limits) attributes already.
    TooManyAttributes {
        /// The largest number allowed.
        max: usize,
    },
    /// The name holds U+001E or U+001F, which name the entries of collections.
    NameReserved {
        /// The name of the attribute.
        name: String,
    },
    /// A lifetime is not 1 ms to the longest the policy allows.
    Lifetime {
        /// What it was.
        given: Duration,
        /// The longest allowed.
        max: Ttl,
    },
    /// The value cannot be stored under its key.
    Encode {
        /// The name of the attribute.
        name: String,
        /// Why not.
        source: EncodeError,
    },
    /// The attribute could not be read, to be changed.
    Get(GetError),
}

impl SetError {
    pub(crate) fn encode(name: &str, source: EncodeError) -> Self {
        Self::Encode { name: name.to_owned(), source }
    }

    /// Reports whether a limit was reached, of the policy or of what can be stored at all.
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        use EncodeError::{TooDeep, TooManyElements};
        matches!(
            self,
            Self::Encode { source: TooDeep { .. } | TooManyElements, .. }
                | Self::NameTooLong { .. }
                | Self::ValueTooLarge { .. }
                | Self::SessionTooLarge { .. }
                | Self::TooManyAttributes { .. }
        )
    }
}

impl From<GetError> for SetError {
    fn from(source: GetError) -> Self {
        Self::Get(source)
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameEmpty => f.write_str("attribute name is empty"),
            Self::NameTooLong { len, max } => {
                write!(f, "name is {len} bytes, more than the {max} allowed")
            }
            Self::ValueTooLarge { name, len, max } => {
                write!(f, "attribute {name:?} is {len} bytes, more than the {max} allowed")
            }
            Self::SessionTooLarge { len, max } => {
                write!(f, "session would be {len} bytes, more than the {max} allowed")
            }
            Self::TooManyAttributes { max } => {
                write!(f, "session has the {max} attributes allowed already")
            }
            Self::NameReserved { name } => {
                write!(f, "attribute name {name:?} holds a separator of collections")
            }
            Self::Lifetime { given, max } => {
                write!(f, "lifetime is {given:?}, expected 1 ms to {max}")
            }
            Self::Encode { name, .. } => write!(f, "attribute {name:?} cannot be stored"),
            Self::Get(source) => source.fmt(f),
        }
    }
}

impl Error for SetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Encode { source, .. } => Some(source),
            Self::Get(source) => source.source(),
            _ => None,
        }
    }
}

/// Why a session was not written.
///
/// Nothing of this commit is in the log, except after [`CommitError::Unknown`]. A session that was
/// [ended](crate::Session::invalidate) before something was set stays ended if only the new one
/// failed: [`Session::token_update`](crate::Session::token_update) is what the client must learn.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CommitError {
    /// The session has ended meanwhile, by another request or by time. It does not come back:
    /// answer as to a client without a session. Every later commit reports it too, unless the
    /// session is [ended](crate::Session::invalidate) here as well.
    Gone,
    /// The presented token was replaced, and its grace is over: the client should come again with
    /// the newer token it has.
    Stale,
    /// Another request rotated the token first, and what this one wanted with it no longer holds.
    /// Load again and decide again.
    Superseded,
    /// Under [`OnConflict::Reject`](crate::OnConflict::Reject), attributes this request read or
    /// wrote have changed. Load again and decide again.
    Conflict {
        /// The names of the attributes.
        names: Vec<String>,
    },
    /// Other requests kept coming first. Try again later.
    Contended,
    /// A value that was lent out for change cannot be stored; the text names it. Or the session
    /// would be larger than allowed with what other requests wrote meanwhile.
    Attribute(SetError),
    /// Another request changed an attribute first, and the closure of
    /// [`Session::update`](crate::Session::update) failed on what that one left.
    Update {
        /// The name of the attribute.
        name: String,
        /// The closure's error.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// There is no randomness to name the commit or the token with.
    Entropy(EntropyError),
    /// The store failed and certainly did nothing. Committing again is safe.
    NotApplied,
    /// The store failed and may have acted, or may yet. Committing again is safe: the commit is
    /// looked for first.
    Unknown,
}

impl CommitError {
    pub(crate) fn update(name: &str, source: Box<dyn Error + Send + Sync>) -> Self {
        Self::Update { name: name.to_owned(), source: source.into() }
    }

    /// Returns its name in logs and metrics, which says nothing of the session: that of the variant
    /// in small letters, such as `not_applied`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Stale => "stale",
            Self::Superseded => "superseded",
            Self::Conflict { .. } => "conflict",
            Self::Contended => "contended",
            Self::Attribute(_) => "attribute",
            Self::Update { .. } => "update",
            Self::Entropy(_) => "entropy",
            Self::NotApplied => "not_applied",
            Self::Unknown => "unknown",
        }
    }
}

impl From<EntropyError> for CommitError {
    fn from(source: EntropyError) -> Self {
        Self::Entropy(source)
    }
}

impl From<SetError> for CommitError {
    fn from(source: SetError) -> Self {
        Self::Attribute(source)
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the session has ended meanwhile"),
            Self::Stale => f.write_str("the session token was replaced by a newer one"),
            Self::Superseded => f.write_str("the session token was rotated by another request"),
            Self::Conflict { names } => {
                f.write_str("session attributes were changed by another request:")?;
                names.iter().try_for_each(|name| write!(f, " {name:?}"))
            }
            Self::Contended => f.write_str("the session is changed by too many requests at once"),
            Self::Attribute(source) => source.fmt(f),
            Self::Update { name, .. } => {
                write!(f, "attribute {name:?} was changed by another request and not updated")
            }
            Self::Entropy(source) => source.fmt(f),
            Self::NotApplied => f.write_str("the session store failed and did nothing"),
            Self::Unknown => f.write_str("the session store failed, perhaps after acting"),
        }
    }
}

impl Error for CommitError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Attribute(source) => source.source(),
            Self::Update { source, .. } => Some(&**source),
            _ => None,
        }
    }
}
