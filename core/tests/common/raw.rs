//! Stored bytes written by hand: the format once more, from its description, to check the real one
//! against and to write what this release never would.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_64;

/// A delta as bytes say it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawDelta {
    pub(crate) commit: [u8; 16],
    pub(crate) generation: u64,
    pub(crate) replace: bool,
    /// The verifier that is replaced, the new one, and how long the former is accepted.
    pub(crate) rotation: Option<([u8; 32], [u8; 32], Option<u64>)>,
    pub(crate) principal: Option<Option<String>>,
    pub(crate) idle_timeout: Option<u64>,
    pub(crate) changes: BTreeMap<String, RawChange>,
}

#[derive(Clone, Debug)]
pub(crate) enum RawChange {
    Set(u8, Vec<u8>),
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
        out.push(
            u8::from(self.replace)
                | u8::from(self.rotation.is_some()) << 1
                | principal
                | u8::from(self.idle_timeout.is_some()) << 4,
        );
        if let Some((replaces, verifier, accepted_until)) = &self.rotation {
            out.extend(replaces);
            out.extend(verifier);
            optional(&mut out, *accepted_until);
        }
        if let Some(Some(principal)) = &self.principal {
            text(&mut out, principal.as_bytes());
        }
        if let Some(idle_timeout) = self.idle_timeout {
            varint(&mut out, idle_timeout);
        }
        varint(&mut out, self.changes.len() as u64);
        for (name, change) in &self.changes {
            text(&mut out, name.as_bytes());
            let (kind, payload) = change.parts();
            out.push(kind);
            text(&mut out, &payload);
        }
        seal(&mut out);
        out
    }
}

impl RawChange {
    fn parts(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Set(codec, bytes) => {
                let mut payload = vec![*codec];
                payload.extend(checksum(bytes));
                payload.extend(bytes);
                (0x81, payload)
            }
            Self::Remove => (0x82, Vec::new()),
            Self::Add(number) => (0x83, number.to_le_bytes().to_vec()),
            Self::Unknown(kind, payload) => (*kind, payload.clone()),
        }
    }
}

/// What a store keeps of the secret half of a token.
pub(crate) fn verifier(secret: [u8; 16]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Writes the checksum of everything behind the head, as in a delta.
pub(crate) fn seal(bytes: &mut [u8]) {
    let check = checksum(&bytes[6..]);
    bytes[2..6].copy_from_slice(&check);
}

pub(crate) fn checksum(bytes: &[u8]) -> [u8; 4] {
    xxh3_64(bytes).to_le_bytes()[..4].try_into().expect("four of eight bytes")
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn optional(out: &mut Vec<u8>, time: Option<u64>) {
    out.push(u8::from(time.is_some()));
    if let Some(time) = time {
        varint(out, time);
    }
}
