//! What one commit did.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::log::lifetime::Lifetime;
use crate::log::limits;
use crate::log::stamp::CommitId;
use crate::log::value::{Codec, Head, Value, ValueRef};
use crate::log::wire::{self, DecodeError, Reader};
use crate::timestamp::Timestamp;
use crate::token::Verifier;

/// What happened to one attribute.
///
/// `Debug` shows what kind of thing happened, never a value.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// It holds this value now.
    Set(Value),
    /// It is gone.
    Remove,
    /// This much was added to it; an absent counter is 0, and anything but a counter stays as it
    /// is.
    Add(i64),
    /// Something only a newer release understands.
    Unknown(UnknownChange),
}

/// A change of a kind this release does not know.
///
/// The log still loads. If the kind is critical the attribute cannot be read; otherwise it keeps
/// the value it had. Either way this release never compacts the log.
#[derive(Clone, Eq, PartialEq)]
pub struct UnknownChange {
    kind: u8,
    payload: Vec<u8>,
}

impl UnknownChange {
    /// Reports whether the change alters what the attribute means for programs that know its kind.
    #[must_use]
    pub const fn is_critical(&self) -> bool {
        self.kind & CRITICAL != 0
    }
}

impl fmt::Debug for UnknownChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnknownChange({}, {} bytes)", self.kind, self.payload.len())
    }
}

/// Why a token is replaced.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: a rotation refuses the old token or does not")]
pub enum RotationReason {
    /// The session gained or lost rights, at login above all: the old token is refused at once.
    PrivilegeChange,
    /// The token is merely old: it is accepted for the policy's grace, so that parallel requests
    /// run out.
    Renewal,
}

impl RotationReason {
    /// Returns its name in logs and metrics: `privilege_change` or `renewal`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrivilegeChange => "privilege_change",
            Self::Renewal => "renewal",
        }
    }
}

/// The replacing of one token by another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rotation {
    /// The verifier that must be current for the delta to count at all.
    pub replaces: Verifier,
    /// The verifier that is current afterwards.
    pub verifier: Verifier,
    /// Until when the replaced verifier is accepted; `None` refuses it at once.
    pub accepted_until: Option<Timestamp>,
}

/// What one commit did to a session: all of it counts, or none.
///
/// `Debug` shows names and kinds of changes, neither values nor the principal.
#[derive(Clone, Eq, PartialEq)]
pub struct Delta {
    pub(crate) commit: CommitId,
    /// How many rotations the log had when this was written.
    pub(crate) generation: u64,
    /// The changes are the whole attribute map.
    pub(crate) replace: bool,
    pub(crate) rotation: Option<Rotation>,
    pub(crate) principal: Option<Option<String>>,
    pub(crate) lifetime: Option<Lifetime>,
    /// Sorted by name, no name twice.
    pub(crate) changes: Vec<(Cow<'static, str>, Change)>,
}

impl Delta {
    /// Creates a delta of attribute changes; of two changes to one name the later counts.
    #[must_use]
    pub fn new(
        commit: CommitId,
        generation: u64,
        changes: impl IntoIterator<Item = (Cow<'static, str>, Change)>,
    ) -> Self {
        let sorted: alloc::collections::BTreeMap<_, _> = changes.into_iter().collect();
        Self::from_sorted(commit, generation, sorted.into_iter().collect())
    }

    pub(crate) const fn from_sorted(
        commit: CommitId,
        generation: u64,
        changes: Vec<(Cow<'static, str>, Change)>,
    ) -> Self {
        Self {
            commit,
            generation,
            replace: false,
            rotation: None,
            principal: None,
            lifetime: None,
            changes,
        }
    }

    /// Makes the changes the whole attribute map: what they do not name is removed.
    ///
    /// Changes that are not [`Change::Set`] are dropped, since there is nothing left to remove from
    /// or to add to.
    #[must_use]
    pub fn replacing(mut self) -> Self {
        self.changes.retain(|(_, change)| matches!(change, Change::Set(_)));
        self.replace = true;
        self
    }

    /// Adds a rotation, which decides whether the delta counts at all.
    #[must_use]
    pub const fn rotating(mut self, rotation: Rotation) -> Self {
        self.rotation = Some(rotation);
        self
    }

    /// Returns the commit this is.
    #[must_use]
    pub const fn commit(&self) -> CommitId {
        self.commit
    }

    /// Returns the names this delta changes, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.changes.iter().map(|(name, _)| name.as_ref())
    }

    /// Returns the changes, sorted by name.
    pub fn changes(&self) -> impl Iterator<Item = (&str, &Change)> {
        self.changes.iter().map(|(name, change)| (name.as_ref(), change))
    }

    /// Reports whether the changes are the whole attribute map.
    #[must_use]
    pub const fn replaces_all(&self) -> bool {
        self.replace
    }

    /// Returns the rotation, if there is one.
    #[must_use]
    pub const fn rotation(&self) -> Option<&Rotation> {
        self.rotation.as_ref()
    }

    /// Reports whether folding this changes nothing but the list of commits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.replace && !self.needs_position()
    }

    /// Reports whether this may only be appended at the position that was loaded, because it wins
    /// whole or not at all.
    pub(crate) const fn needs_position(&self) -> bool {
        self.rotation.is_some() || self.principal.is_some() || self.lifetime.is_some()
    }

    /// Returns the stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size_hint());
        wire::begin(&mut out, KIND);
        out.extend(self.commit.as_bytes());
        wire::put_varint(&mut out, self.generation);
        out.push(self.flags());
        if let Some(rotation) = &self.rotation {
            rotation.write(&mut out);
        }
        if let Some(Some(principal)) = &self.principal {
            wire::put_bytes(&mut out, principal.as_bytes());
        }
        if let Some(lifetime) = &self.lifetime {
            lifetime.write(&mut out);
        }
        wire::put_len(&mut out, self.changes.len());
        for (name, change) in &self.changes {
            wire::put_bytes(&mut out, name.as_bytes());
            change.write(&mut out);
        }
        wire::seal(&mut out);
        debug_assert!(out.len() <= self.size_hint(), "the hint is an upper bound");
        out
    }

    /// Reads a stored delta.
    ///
    /// Allocates at most a small multiple of the input and never panics.
    ///
    /// # Errors
    ///
    /// Returns [`DecodeError`] if the bytes are not exactly what [`Delta::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        limits::check_body(bytes)?;
        let (mut reader, check) = Reader::begin(bytes, KIND)?;
        if check != wire::checksum(&bytes[wire::HEAD..]) {
            return Err(DecodeError::Corrupt);
        }
        let commit = CommitId::from_bytes(reader.array()?);
        let generation = reader.varint()?;
        let flags = reader.byte()?;
        if flags & !KNOWN_FLAGS != 0 || flags & KNOWN_PRINCIPAL == KNOWN_PRINCIPAL {
            return Err(DecodeError::NotCanonical);
        }
        let rotation = (flags & ROTATION != 0).then(|| Rotation::read(&mut reader)).transpose()?;
        let principal = match flags & KNOWN_PRINCIPAL {
            0 => None,
            NO_PRINCIPAL => Some(None),
            _ => Some(Some(reader.text(limits::PRINCIPAL_BYTES)?.into())),
        };
        let lifetime = (flags & LIFETIME != 0).then(|| Lifetime::read(&mut reader)).transpose()?;
        let replace = flags & REPLACE != 0;
        let changes = read_changes(&mut reader, replace)?;
        reader.finish()?;
        Ok(Self { commit, generation, replace, rotation, principal, lifetime, changes })
    }

    const fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.replace {
            flags |= REPLACE;
        }
        if self.rotation.is_some() {
            flags |= ROTATION;
        }
        match &self.principal {
            None => {}
            Some(None) => flags |= NO_PRINCIPAL,
            Some(Some(_)) => flags |= PRINCIPAL,
        }
        if self.lifetime.is_some() {
            flags |= LIFETIME;
        }
        flags
    }

    /// Returns an upper bound of the encoded size, so that encoding allocates once.
    pub(crate) fn size_hint(&self) -> usize {
        let fixed = wire::HEAD + 16 + 10 + 1 + 2 * Verifier::LEN + 11 + Lifetime::LEN_MAX + 10;
        let principal = self.principal.iter().flatten().map(|text| text.len() + 10).sum::<usize>();
        let changes: usize = self
            .changes
            .iter()
            .map(|(name, change)| wire::bytes_len(name.len()) + 1 + change.payload_len() + 10)
            .sum();
        fixed + principal + changes
    }
}

impl fmt::Debug for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delta")
            .field("commit", &self.commit)
            .field("generation", &self.generation)
            .field("replace", &self.replace)
            .field("rotates", &self.rotation.is_some())
            .field("changes", &self.changes)
            .finish_non_exhaustive()
    }
}

impl Rotation {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.replaces.as_bytes());
        out.extend(self.verifier.as_bytes());
        limits::put_optional_time(out, self.accepted_until);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            replaces: Verifier::from_bytes(reader.array()?),
            verifier: Verifier::from_bytes(reader.array()?),
            accepted_until: limits::read_optional_time(reader)?,
        })
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(value) => write!(f, "Set({value:?})"),
            Self::Remove => f.write_str("Remove"),
            Self::Add(_) => f.write_str("Add(..)"),
            Self::Unknown(unknown) => unknown.fmt(f),
        }
    }
}

impl Change {
    pub(crate) fn payload_len(&self) -> usize {
        match self {
            Self::Set(value) => Head::LEN + value.as_ref().bytes().len(),
            Self::Remove => 0,
            Self::Add(_) => 8,
            Self::Unknown(unknown) => unknown.payload.len(),
        }
    }

    /// Writes kind, length and payload, so that a release that does not know the kind can step over
    /// it.
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Set(_) => SET,
            Self::Remove => REMOVE,
            Self::Add(_) => ADD,
            Self::Unknown(unknown) => unknown.kind,
        });
        wire::put_len(out, self.payload_len());
        match self {
            Self::Set(value) => {
                let value = value.as_ref();
                value.head().write(out);
                out.extend_from_slice(value.bytes());
            }
            Self::Remove => {}
            Self::Add(number) => out.extend(number.to_le_bytes()),
            Self::Unknown(unknown) => out.extend_from_slice(&unknown.payload),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = reader.byte()?;
        let len = reader.len(limits::BODY_BYTES)?;
        match (kind, len) {
            (SET, Head::LEN..) => {
                let head = Head::read(reader)?;
                let bytes = reader.take(len - Head::LEN)?;
                let value = ValueRef::from_head(head, bytes);
                if value.codec() == Codec::UNREADABLE {
                    return Err(DecodeError::NotCanonical);
                }
                Ok(Self::Set(value.to_value()))
            }
            (REMOVE, 0) => Ok(Self::Remove),
            (ADD, 8) => Ok(Self::Add(i64::from_le_bytes(reader.array()?))),
            (SET | REMOVE | ADD, _) => Err(DecodeError::NotCanonical),
            _ => Ok(Self::Unknown(UnknownChange { kind, payload: reader.take(len)?.to_vec() })),
        }
    }
}

fn read_changes(
    reader: &mut Reader<'_>,
    replace: bool,
) -> Result<Vec<(Cow<'static, str>, Change)>, DecodeError> {
    let count = reader.len(limits::ATTRIBUTES)?;
    let mut changes: Vec<(Cow<'static, str>, Change)> =
        Vec::with_capacity(count.min(reader.remaining() / SMALLEST_CHANGE));
    for _ in 0..count {
        let name = reader.text(limits::NAME_BYTES)?;
        let change = Change::read(reader)?;
        let in_order = changes.last().is_none_or(|(last, _)| last.as_ref() < name);
        let allowed = !replace || matches!(change, Change::Set(_) | Change::Unknown(_));
        if !in_order || !allowed {
            return Err(DecodeError::NotCanonical);
        }
        changes.push((Cow::Owned(name.into()), change));
    }
    Ok(changes)
}

/// The first byte of a stored delta.
pub(crate) const KIND: u8 = b'd';

const REPLACE: u8 = 1;
const ROTATION: u8 = 2;
const PRINCIPAL: u8 = 4;
const NO_PRINCIPAL: u8 = 8;
const LIFETIME: u8 = 16;
const KNOWN_PRINCIPAL: u8 = PRINCIPAL | NO_PRINCIPAL;
const KNOWN_FLAGS: u8 = REPLACE | ROTATION | KNOWN_PRINCIPAL | LIFETIME;

/// Set in a kind that must be understood to read the attribute.
const CRITICAL: u8 = 0x80;
const SET: u8 = CRITICAL | 1;
const REMOVE: u8 = CRITICAL | 2;
const ADD: u8 = CRITICAL | 3;

/// An empty name, a kind and an empty payload.
const SMALLEST_CHANGE: usize = 3;
