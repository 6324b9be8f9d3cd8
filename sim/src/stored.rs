//! Reads what is stored without the engine's help: the parts of a body the engine keeps to itself.
//!
//! Hand-written because the checker must not believe the code it checks.

use sessile_core::log::{CommitId, Record, Verifier};
use sessile_core::{Timestamp, Ttl};
use xxhash_rust::xxh3::xxh3_64;

/// What a stored delta says beside its changes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct DeltaHead {
    /// How many rotations the log had when the delta was written.
    pub(crate) generation: u64,
    /// The verifier that must be current, the new one, and until when the old one is accepted.
    pub(crate) rotation: Option<(Secret, Secret, Option<u64>)>,
    pub(crate) principal: Option<Option<String>>,
    pub(crate) lifetime: Option<Lifetime>,
}

/// How long a session lives, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Lifetime {
    /// Whether the session has an idle timeout and a deadline of its own.
    pub(crate) own: (bool, bool),
    pub(crate) idle: u64,
    pub(crate) deadline: Option<u64>,
}

/// A verifier, as it is stored.
pub(crate) type Secret = [u8; Verifier::LEN];

impl DeltaHead {
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body.get(6 + 16..)?);
        let generation = reader.number()?;
        let flags = reader.take(1)?[0];
        let rotation = match flags & 2 {
            0 => None,
            _ => Some((reader.secret()?, reader.secret()?, reader.optional()?)),
        };
        let principal = match flags & 12 {
            0 => None,
            8 => Some(None),
            _ => Some(Some(reader.text()?)),
        };
        let lifetime = if flags & 16 == 0 { None } else { Some(reader.lifetime()?) };
        Some(Self { generation, rotation, principal, lifetime })
    }
}

/// Returns when a stored snapshot says its session was created, and how long it lives.
pub(crate) fn lifetime_of(body: &[u8]) -> Option<(u64, Lifetime)> {
    let mut reader = Reader(body.get(6 + 1..)?);
    Some((reader.number()?, reader.lifetime()?))
}

/// Returns the current verifier of a stored snapshot.
pub(crate) fn verifier_of(body: &[u8]) -> Option<Secret> {
    let mut reader = Reader(body.get(6 + 1..)?);
    reader.head_before_verifier()?;
    reader.secret()
}

/// Returns the generation after the last change of privilege a stored snapshot knows of.
pub(crate) fn privilege_of(body: &[u8]) -> Option<u64> {
    let mut reader = Reader(body.get(6 + 1..)?);
    let _created_at = reader.number()?;
    let _lifetime = reader.lifetime()?;
    let _generation = reader.number()?;
    reader.number()
}

/// Returns a stored snapshot with another current verifier.
pub(crate) fn with_verifier(body: &[u8], verifier: &Secret) -> Option<Vec<u8>> {
    let mut reader = Reader(body.get(6 + 1..)?);
    reader.head_before_verifier()?;
    let at = body.len() - reader.0.len();
    let mut other = body.to_vec();
    other.get_mut(at..at + Verifier::LEN)?.copy_from_slice(verifier);
    sealed_snapshot(other)
}

/// Returns a stored snapshot in which the token that was replaced last is not accepted any more;
/// `None` if none was.
pub(crate) fn without_grace(body: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader(body.get(6 + 1..)?);
    reader.head_before_verifier()?;
    reader.secret()?;
    let (mut from, mut to) = (0, 0);
    for _ in 0..reader.number()? {
        reader.secret()?;
        from = body.len() - reader.0.len();
        reader.optional()?;
        to = body.len() - reader.0.len();
    }
    let is_there = to > 0;
    let other = || [&body[..from], &[0], &body[to..]].concat();
    is_there.then(other).and_then(sealed_snapshot)
}

/// Returns a stored snapshot with the checksum that what it holds has.
pub(crate) fn sealed_snapshot(body: Vec<u8>) -> Option<Vec<u8>> {
    let mut reader = Reader(body.get(6..)?);
    reader.structure()?;
    let end = body.len() - reader.0.len();
    Some(sealed(body, end))
}

/// Returns a stored delta with the checksum that what it holds has.
pub(crate) fn sealed_delta(body: Vec<u8>) -> Vec<u8> {
    let end = body.len();
    sealed(body, end)
}

fn sealed(mut body: Vec<u8>, end: usize) -> Vec<u8> {
    if let Some(covered) = body.get(6..end) {
        let check = xxh3_64(covered).to_le_bytes();
        body[2..6].copy_from_slice(&check[..4]);
    }
    body
}

/// Returns a verifier as it is stored.
pub(crate) fn secret_of(verifier: Verifier) -> Secret {
    let commit = CommitId::from_bytes([0; 16]);
    let record = Record::new(Timestamp::default(), Ttl::MAX, None, verifier, commit);
    record.snapshot().and_then(verifier_of).expect("an empty record can be stored")
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    #[expect(clippy::option_option, reason = "what is absent, and what cannot be read")]
    fn optional(&mut self) -> Option<Option<u64>> {
        match self.take(1)?[0] {
            0 => Some(None),
            _ => self.number().map(Some),
        }
    }

    fn lifetime(&mut self) -> Option<Lifetime> {
        let flags = self.take(1)?[0];
        let own = (flags & 1 != 0, flags & 2 != 0);
        Some(Lifetime { own, idle: self.number()?, deadline: self.optional()? })
    }

    /// Steps over what stands in a snapshot before its verifier, behind the flags.
    fn head_before_verifier(&mut self) -> Option<()> {
        self.number()?;
        self.lifetime()?;
        self.number()?;
        self.number()?;
        Some(())
    }

    /// Steps over everything in a snapshot but its values.
    fn structure(&mut self) -> Option<()> {
        let flags = self.take(1)?[0];
        self.head_before_verifier()?;
        self.secret()?;
        for _ in 0..self.number()? {
            self.secret()?;
            self.optional()?;
        }
        if flags & 2 != 0 {
            self.text()?;
        }
        let commits = usize::try_from(self.number()?).ok()?;
        self.take(commits.checked_mul(16 + 1)?)?;
        for _ in 0..self.number()? {
            self.text()?;
            self.take(5)?;
            self.number()?;
        }
        Some(())
    }

    fn secret(&mut self) -> Option<Secret> {
        self.take(Verifier::LEN)?.try_into().ok()
    }

    fn text(&mut self) -> Option<String> {
        let len = usize::try_from(self.number()?).ok()?;
        String::from_utf8(self.take(len)?.to_vec()).ok()
    }
}
