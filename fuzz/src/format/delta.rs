//! A delta as bytes say it.

use std::collections::BTreeMap;

use super::reader::{Lifetime, Reader};
use super::wire::{self, BODY_MAX, COUNT_MAX, HEAD, checksum, varint};

/// A delta as bytes say it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct RawDelta {
    pub(crate) commit: [u8; 16],
    pub(crate) generation: u64,
    pub(crate) replace: bool,
    /// The verifier that is replaced, the new one, and how long the former is accepted.
    pub(crate) rotation: Option<([u8; 32], [u8; 32], Option<u64>)>,
    pub(crate) principal: Option<Option<String>>,
    pub(crate) lifetime: Option<Lifetime>,
    pub(crate) changes: BTreeMap<String, RawChange>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum RawChange {
    /// Codec, checksum and bytes.
    Set(u8, [u8; 4], Vec<u8>),
    Remove,
    Add(i64),
    Unknown(u8, Vec<u8>),
}

impl RawDelta {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![b'd', 1, 0, 0, 0, 0];
        out.extend(self.commit);
        varint(&mut out, self.generation);
        let principal = self.principal.as_ref().map_or(0, |to| if to.is_some() { 4 } else { 8 });
        let rotates = u8::from(self.rotation.is_some()) << 1;
        let lives = u8::from(self.lifetime.is_some()) << 4;
        out.push(u8::from(self.replace) | rotates | principal | lives);
        if let Some((replaces, verifier, accepted_until)) = &self.rotation {
            out.extend(replaces);
            out.extend(verifier);
            wire::time(&mut out, *accepted_until);
        }
        if let Some(Some(principal)) = &self.principal {
            put(&mut out, principal.as_bytes());
        }
        if let Some(lifetime) = self.lifetime {
            lifetime.write(&mut out);
        }
        varint(&mut out, self.changes.len() as u64);
        for (name, change) in &self.changes {
            put(&mut out, name.as_bytes());
            let (kind, payload) = change.parts();
            out.push(kind);
            put(&mut out, &payload);
        }
        Self::seal(&mut out);
        out
    }

    /// Makes bytes a delta by their head, if they are long enough to have one.
    pub(crate) fn seal(bytes: &mut [u8]) {
        if bytes.len() < HEAD {
            return;
        }
        let check = checksum(&bytes[HEAD..]);
        bytes[..2].copy_from_slice(b"d\x01");
        bytes[2..HEAD].copy_from_slice(&check);
    }

    /// Reads a stored delta; `None` if it must be refused.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let sealed = reader.take(2)? == b"d\x01" && reader.take(4)? == checksum(&bytes[HEAD..]);
        if !sealed {
            return None;
        }
        let (commit, generation, flags) = (reader.array()?, reader.varint()?, reader.byte()?);
        if flags >= 32 || flags & 12 == 12 {
            return None;
        }
        let mut delta = Self { commit, generation, replace: flags & 1 != 0, ..Self::default() };
        if flags & 2 != 0 {
            delta.rotation = Some((reader.array()?, reader.array()?, reader.time()?));
        }
        if flags & 4 != 0 {
            delta.principal = Some(Some(reader.text()?));
        }
        if flags & 8 != 0 {
            delta.principal = Some(None);
        }
        if flags & 16 != 0 {
            delta.lifetime = Some(reader.lifetime()?);
        }
        for _ in 0..reader.len(COUNT_MAX)? {
            let name = reader.text()?;
            let change = RawChange::read(&mut reader)?;
            let is_kept = !matches!(change, RawChange::Remove | RawChange::Add(_));
            let in_order = delta.changes.last_key_value().is_none_or(|(last, _)| *last < name);
            if !in_order || delta.replace && !is_kept {
                return None;
            }
            delta.changes.insert(name, change);
        }
        reader.end()?;
        Some(delta)
    }
}

impl RawChange {
    /// Creates a change to a value whose checksum is right.
    pub(crate) fn set(codec: u8, bytes: &[u8]) -> Self {
        Self::Set(codec, checksum(bytes), bytes.to_vec())
    }

    fn parts(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Set(codec, check, bytes) => (0x81, [&[*codec][..], check, bytes].concat()),
            Self::Remove => (0x82, Vec::new()),
            Self::Add(number) => (0x83, number.to_le_bytes().to_vec()),
            Self::Unknown(kind, payload) => (*kind, payload.clone()),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let kind = reader.byte()?;
        let len = reader.len(BODY_MAX)?;
        let payload = reader.take(len)?;
        match kind {
            0x81 => {
                let mut reader = Reader { bytes: payload, at: 0 };
                let codec = reader.byte().filter(|codec| *codec != 0)?;
                let check = reader.array()?;
                Some(Self::Set(codec, check, payload[5..].to_vec()))
            }
            0x82 => payload.is_empty().then_some(Self::Remove),
            0x83 => Some(Self::Add(i64::from_le_bytes(payload.try_into().ok()?))),
            _ => Some(Self::Unknown(kind, payload.to_vec())),
        }
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}
