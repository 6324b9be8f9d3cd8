//! Reads what is stored without the engine's help: the parts of a body the engine keeps to itself.
//!
//! Hand-written because the checker must not believe the code it checks.

use sessile_core::log::{CommitId, Record, Verifier};
use sessile_core::{Timestamp, Ttl};

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
    let _created_at = reader.number()?;
    let _lifetime = reader.lifetime()?;
    let _generation = reader.number()?;
    let _privilege = reader.number()?;
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

    fn secret(&mut self) -> Option<Secret> {
        self.take(Verifier::LEN)?.try_into().ok()
    }

    fn text(&mut self) -> Option<String> {
        let len = usize::try_from(self.number()?).ok()?;
        String::from_utf8(self.take(len)?.to_vec()).ok()
    }
}
