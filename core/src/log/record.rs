//! The folded state of a log: immutable bytes with a sorted directory.
//!
//! A record *is* its stored form. Loading checks the structure and notes where each attribute lies;
//! values stay where they are, unread, until one is asked for. A checksum covers the structure
//! and each value has one of its own, so a damaged value spoils itself and nothing else.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::log::delta::Delta;
use crate::log::lifetime::Lifetime;
use crate::log::limits;
use crate::log::stamp::CommitId;
use crate::log::value::{Codec, Head, ValueRef};
use crate::log::wire::{self, DecodeError, Reader};
use crate::timestamp::{Timestamp, Ttl};
use crate::token::Verifier;

/// The folded state of a log: attributes, lifetimes, principal, verifiers and recent commits.
///
/// Immutable, and meant to be shared: a load hands out the one a store holds. `Debug` shows sizes
/// and times only.
pub struct Record {
    bytes: Vec<u8>,
    head: RecordHead,
    /// Where the remembered commits lie, the oldest first.
    commits: Range<usize>,
    /// Sorted by name, no name twice; and a hash table of names.
    directory: Vec<Slot>,
    /// The size of all names and values.
    attribute_bytes: usize,
}

/// Everything a record holds beside attributes.
#[derive(Clone)]
pub(crate) struct RecordHead {
    /// The log holds changes of a kind this release does not know: it must not be compacted.
    pub(crate) has_unknown_changes: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) lifetime: Lifetime,
    /// How many rotations there have been.
    pub(crate) generation: u64,
    /// How many there had been after the last change of privilege: what was written under fewer is
    /// void.
    pub(crate) privilege: u64,
    pub(crate) verifier: Verifier,
    /// The oldest first.
    pub(crate) replaced: Vec<Replaced>,
    pub(crate) principal: Option<String>,
}

/// A verifier that was current once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replaced {
    pub(crate) verifier: Verifier,
    pub(crate) accepted_until: Option<Timestamp>,
}

/// A commit that was folded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    pub(crate) commit: CommitId,
    /// It was sent more than once, so an early attempt may still arrive.
    pub(crate) resent: bool,
    /// It changed nothing but this list.
    pub(crate) void: bool,
}

impl Committed {
    /// The size of a remembered commit, in bytes.
    const LEN: usize = 17;

    /// Returns a commit that was sent once and counts.
    pub(crate) const fn once(commit: CommitId) -> Self {
        Self { commit, resent: false, void: false }
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend(self.commit.as_bytes());
        out.push(u8::from(self.resent) | u8::from(self.void) << 1);
    }
}

/// What a presented verifier is to a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum VerifierStatus {
    Current,
    /// Replaced by a renewal whose grace is not over.
    Grace,
    /// Replaced, and refused.
    Stale,
    Forged,
}

impl Record {
    /// Creates the first record of a session, without attributes, known by one commit.
    #[must_use]
    pub fn new(
        created_at: Timestamp,
        idle_timeout: Ttl,
        deadline: Option<Timestamp>,
        verifier: Verifier,
        commit: CommitId,
    ) -> Self {
        Self::assemble(
            RecordHead {
                has_unknown_changes: false,
                created_at,
                lifetime: Lifetime::by_policy(idle_timeout, deadline),
                generation: 0,
                privilege: 0,
                verifier,
                replaced: Vec::new(),
                principal: None,
            },
            &[Committed::once(commit)],
            &[],
        )
    }

    /// Reads a stored snapshot.
    ///
    /// Values are not looked at. Allocates at most a small multiple of the input and never panics.
    ///
    /// # Errors
    ///
    /// Returns [`DecodeError`] if the bytes are not exactly what [`Record::snapshot`] gave.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        limits::check_body(&bytes)?;
        let record = Self::parse(bytes, limits::NAME_BYTES, limits::ATTRIBUTES)?;
        let unreadable = |slot: &Slot| slot.head.codec == Codec::UNREADABLE;
        if record.head.has_unknown_changes || record.directory.iter().any(unreadable) {
            return Err(DecodeError::NotCanonical);
        }
        Ok(record)
    }

    /// Returns the stored form, or `None` if this record may not be written: its log holds changes
    /// only a newer release understands, or it grew beyond what is ever read back.
    #[must_use]
    pub fn snapshot(&self) -> Option<&[u8]> {
        let small =
            self.bytes.len() <= limits::BODY_BYTES && self.directory.len() <= limits::ATTRIBUTES;
        (small && !self.head.has_unknown_changes).then_some(&self.bytes)
    }

    /// Returns the size of the stored form, in bytes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Returns when the session was created.
    #[must_use]
    pub const fn created_at(&self) -> Timestamp {
        self.head.created_at
    }

    /// Returns how long the session lives without being used.
    #[must_use]
    pub const fn idle_timeout(&self) -> Ttl {
        self.head.lifetime.idle_timeout
    }

    /// Returns when the session ends whatever happens; `None` if only idleness ends it.
    #[must_use]
    pub const fn deadline(&self) -> Option<Timestamp> {
        self.head.lifetime.deadline
    }

    /// Returns how many times the token was rotated.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.head.generation
    }

    /// Reports whether a delta still counts behind what this record holds: one that was written
    /// before the last change of privilege does not, nor one under a rotation this log never saw (a
    /// failover forgot it), nor one whose rotation replaces a verifier that is not current.
    #[must_use]
    pub fn takes(&self, delta: &Delta) -> bool {
        self.head.takes(delta)
    }

    /// Returns the principal: the user the session belongs to.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        self.head.principal.as_deref()
    }

    /// Reports whether a commit is among those this record remembers.
    #[must_use]
    pub fn remembers(&self, commit: CommitId) -> bool {
        self.commits().any(|known| known.commit == commit)
    }

    /// Reports whether a commit counts; `None` if this record does not remember it.
    pub(crate) fn counts(&self, commit: CommitId) -> Option<bool> {
        self.commits().find(|known| known.commit == commit).map(|known| !known.void)
    }

    /// Reports whether every commit folded since a certain one is among those this record
    /// remembers.
    pub(crate) fn remembers_all_since(&self, commit: CommitId) -> bool {
        let remembered = self.commits.len() / Committed::LEN;
        let recent = remembered.saturating_sub(limits::RECENT_COMMITS);
        self.commits().skip(recent).any(|known| known.commit == commit)
    }

    /// Returns the attribute of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<ValueRef<'_>> {
        self.find(name.as_bytes()).map(|slot| self.attribute(slot))
    }

    /// Finds the slot of a name in its bucket, or, if that is crowded, by its place in the order:
    /// whoever chooses names can choose many that fall into one bucket.
    fn find(&self, name: &[u8]) -> Option<&Slot> {
        let hash = wire::checksum(name);
        let mut place = self.directory.get(bucket(hash, self.directory.len()))?.first;
        for _ in 0..CROWD {
            let slot = self.directory.get(place)?;
            if slot.hash == hash && self.name_bytes(slot) == name {
                return Some(slot);
            }
            place = slot.next;
        }
        let place = self.directory.binary_search_by(|slot| self.name_bytes(slot).cmp(name));
        place.ok().map(|place| &self.directory[place])
    }

    /// Returns the attributes, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, ValueRef<'_>)> {
        self.directory.iter().map(|slot| (self.name(slot), self.attribute(slot)))
    }

    /// Returns the names that start with a prefix, sorted.
    pub(crate) fn names_from<'a>(&'a self, prefix: &str) -> impl Iterator<Item = &'a str> {
        let start =
            self.directory.partition_point(|slot| self.name_bytes(slot) < prefix.as_bytes());
        let names = self.directory[start..].iter().map(|slot| self.name(slot));
        names.take_while(move |name| name.starts_with(prefix))
    }

    /// Returns the number of attributes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.directory.len()
    }

    /// Reports whether there are no attributes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.directory.is_empty()
    }

    /// Returns the size of all names and values, in bytes.
    #[must_use]
    pub const fn attribute_bytes(&self) -> usize {
        self.attribute_bytes
    }

    /// Classifies a presented verifier, in the same time wherever it is found.
    pub(crate) fn status_of(&self, presented: &Verifier, now: Timestamp) -> VerifierStatus {
        let mut status = VerifierStatus::Forged;
        for replaced in &self.head.replaced {
            if replaced.verifier == *presented {
                let in_grace = replaced.accepted_until.is_some_and(|until| now < until);
                status = if in_grace { VerifierStatus::Grace } else { VerifierStatus::Stale };
            }
        }
        if self.head.verifier == *presented {
            status = VerifierStatus::Current;
        }
        status
    }

    /// Reports whether the token before the current one is still accepted: the current one is so
    /// young that renewing it would only wear out those before it.
    pub(crate) fn is_just_renewed(&self, now: Timestamp) -> bool {
        let last = self.head.replaced.last().and_then(|replaced| replaced.accepted_until);
        last.is_some_and(|until| now < until)
    }

    /// Reports whether the log this came of still shows the rotations `earlier` shows: a failover
    /// can forget some, and others may have come since.
    pub(crate) fn continues(&self, earlier: &Self) -> bool {
        let since = self.head.generation.checked_sub(earlier.head.generation);
        let is_shown = || {
            let status = self.status_of(&earlier.head.verifier, Timestamp::default());
            status != VerifierStatus::Forged
        };
        since.is_some_and(|since| since > limits::REPLACED as u64 || is_shown())
    }

    pub(crate) const fn head(&self) -> &RecordHead {
        &self.head
    }

    /// Returns the commits this record remembers, the oldest first.
    pub(crate) fn commits(&self) -> impl Iterator<Item = Committed> {
        self.bytes[self.commits.clone()].chunks_exact(Committed::LEN).map(|stored| Committed {
            commit: CommitId::from_bytes(stored[..16].try_into().expect("16 of 17 bytes")),
            resent: stored[16] & 1 != 0,
            void: stored[16] & 2 != 0,
        })
    }

    /// Writes a record out of its parts; `attributes` are sorted by name.
    pub(crate) fn assemble(
        head: RecordHead,
        commits: &[Committed],
        attributes: &[(&str, ValueRef<'_>)],
    ) -> Self {
        debug_assert!(attributes.is_sorted_by(|a, b| a.0 < b.0), "attributes are sorted by name");
        let names: usize = attributes.iter().map(|(name, _)| name.len()).sum();
        let values: usize = attributes.iter().map(|(_, value)| value.bytes().len()).sum();
        let entries = attributes.len() * (Head::LEN + 20) + names + values;
        let commits_size = 10 + Committed::LEN * commits.len();
        let mut bytes = Vec::with_capacity(head.size_hint() + commits_size + entries);
        wire::begin(&mut bytes, KIND);
        head.write(&mut bytes);
        wire::put_len(&mut bytes, commits.len());
        for committed in commits {
            committed.write(&mut bytes);
        }
        wire::put_len(&mut bytes, attributes.len());
        for (name, attribute) in attributes {
            wire::put_bytes(&mut bytes, name.as_bytes());
            attribute.head().write(&mut bytes);
            wire::put_len(&mut bytes, attribute.bytes().len());
        }
        wire::seal(&mut bytes);
        for (_, attribute) in attributes {
            bytes.extend_from_slice(attribute.bytes());
        }
        Self::parse(bytes, usize::MAX, usize::MAX).expect("what was assembled can be read")
    }

    fn parse(bytes: Vec<u8>, name_max: usize, count_max: usize) -> Result<Self, DecodeError> {
        let (mut reader, check) = Reader::begin(&bytes, KIND)?;
        let head = RecordHead::read(&mut reader)?;
        let commits = read_commits(&mut reader)?;
        let mut directory = read_directory(&mut reader, name_max, count_max)?;
        let structure = &bytes[wire::HEAD..reader.position()];
        if check != wire::checksum(structure) {
            return Err(DecodeError::Corrupt);
        }
        let mut attribute_bytes = 0;
        for slot in &mut directory {
            slot.value_at = reader.position();
            reader.take(slot.value_len)?;
            attribute_bytes += slot.name_len + slot.value_len;
        }
        reader.finish()?;
        Ok(Self { bytes, head, commits, directory, attribute_bytes })
    }

    fn name(&self, slot: &Slot) -> &str {
        core::str::from_utf8(self.name_bytes(slot))
            .expect("names were checked when the record was read")
    }

    /// Returns the bytes of a name, which sort as the name does.
    fn name_bytes(&self, slot: &Slot) -> &[u8] {
        &self.bytes[slot.name_at..slot.name_at + slot.name_len]
    }

    fn attribute(&self, slot: &Slot) -> ValueRef<'_> {
        let bytes = &self.bytes[slot.value_at..slot.value_at + slot.value_len];
        ValueRef::from_head(slot.head, bytes)
    }
}

/// Two records are equal if they are stored alike.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Record {}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("created_at", &self.head.created_at)
            .field("generation", &self.head.generation)
            .field("attributes", &self.directory.len())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Where one attribute lies.
struct Slot {
    /// The hash of the name.
    hash: u32,
    /// The first slot whose name belongs into the bucket of this place.
    first: usize,
    /// The next one in the bucket of this name.
    next: usize,
    name_at: usize,
    name_len: usize,
    value_at: usize,
    value_len: usize,
    head: Head,
}

/// Checks the remembered commits and returns where they lie.
fn read_commits(reader: &mut Reader<'_>) -> Result<Range<usize>, DecodeError> {
    let count = reader.len(limits::RECENT_COMMITS + limits::RESENT_COMMITS)?;
    let start = reader.position();
    let stored = reader.take(count * Committed::LEN)?;
    if stored.chunks_exact(Committed::LEN).any(|committed| committed[16] > 3) {
        return Err(DecodeError::NotCanonical);
    }
    Ok(start..reader.position())
}

fn read_directory(
    reader: &mut Reader<'_>,
    name_max: usize,
    count_max: usize,
) -> Result<Vec<Slot>, DecodeError> {
    let count = reader.len(count_max)?;
    let most = count.min(reader.remaining() / SMALLEST_ENTRY);
    let mut directory = Vec::with_capacity(if most == 0 { 0 } else { most.max(SLOTS_MIN) });
    let mut last = None;
    for _ in 0..count {
        let name = reader.text(name_max)?;
        let name_at = reader.position() - name.len();
        if last.is_some_and(|last| last >= name) {
            return Err(DecodeError::NotCanonical);
        }
        last = Some(name);
        let head = Head::read(reader)?;
        let value_len = reader.len(usize::MAX)?;
        let (name_len, hash) = (name.len(), wire::checksum(name.as_bytes()));
        let (first, next, value_at) = (NONE, NONE, 0);
        directory.push(Slot { hash, first, next, name_at, name_len, value_at, value_len, head });
    }
    chain(&mut directory);
    Ok(directory)
}

/// Chains the slots whose names belong into the same bucket.
fn chain(directory: &mut [Slot]) {
    for index in 0..directory.len() {
        let bucket = bucket(directory[index].hash, directory.len());
        directory[index].next = core::mem::replace(&mut directory[bucket].first, index);
    }
}

/// Returns which of so many buckets a name belongs into.
fn bucket(hash: u32, count: usize) -> usize {
    let scaled = (u64::from(hash) * count as u64) >> 32;
    usize::try_from(scaled).unwrap_or(NONE)
}

impl RecordHead {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.has_unknown_changes) | u8::from(self.principal.is_some()) << 1);
        wire::put_varint(out, self.created_at.as_millis());
        self.lifetime.write(out);
        wire::put_varint(out, self.generation);
        wire::put_varint(out, self.privilege);
        out.extend(self.verifier.as_bytes());
        wire::put_len(out, self.replaced.len());
        for replaced in &self.replaced {
            out.extend(replaced.verifier.as_bytes());
            limits::put_optional_time(out, replaced.accepted_until);
        }
        if let Some(principal) = &self.principal {
            wire::put_bytes(out, principal.as_bytes());
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.byte()?;
        if flags > 3 {
            return Err(DecodeError::NotCanonical);
        }
        let created_at = Timestamp::from_millis(reader.varint()?);
        let lifetime = Lifetime::read(reader)?;
        let generation = reader.varint()?;
        let privilege = reader.varint()?;
        if privilege > generation {
            return Err(DecodeError::NotCanonical);
        }
        let verifier = Verifier::from_bytes(reader.array()?);
        let mut replaced = Vec::new();
        for _ in 0..reader.len(limits::REPLACED)? {
            replaced.push(Replaced {
                verifier: Verifier::from_bytes(reader.array()?),
                accepted_until: limits::read_optional_time(reader)?,
            });
        }
        let principal =
            if flags & 2 == 0 { None } else { Some(reader.text(limits::PRINCIPAL_BYTES)?.into()) };
        let has_unknown_changes = flags & 1 != 0;
        Ok(Self {
            has_unknown_changes,
            created_at,
            lifetime,
            generation,
            privilege,
            verifier,
            replaced,
            principal,
        })
    }

    const fn size_hint(&self) -> usize {
        let principal = match &self.principal {
            Some(principal) => principal.len() + 10,
            None => 0,
        };
        128 + principal + 44 * self.replaced.len()
    }
}

/// The first byte of a stored snapshot.
pub(crate) const KIND: u8 = b's';

/// For how many slots there is room at least: a block of more than 120 bytes.
///
/// What is smaller glibc does not merge with its neighbours when it is freed ("fast bins"). With one
/// such block in every record, a store that has freed all of them returns nothing to the system.
const SLOTS_MIN: usize = 128_usize.div_ceil(size_of::<Slot>());

/// An empty name, a head and the length of an empty value.
const SMALLEST_ENTRY: usize = 1 + Head::LEN + 1;

/// How many slots of a bucket are looked at before the order is asked. Where names are not chosen,
/// one bucket in millions holds more.
const CROWD: usize = 10;

/// The place of no slot.
const NONE: usize = usize::MAX;
