//! A snapshot as bytes say it.

use super::reader::{Lifetime, Reader};
use super::wire::{COUNT_MAX, HEAD, checksum};

/// A snapshot as bytes say it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct RawSnapshot {
    pub(crate) created_at: u64,
    pub(crate) lifetime: Lifetime,
    pub(crate) generation: u64,
    pub(crate) verifier: [u8; 32],
    pub(crate) principal: Option<String>,
    pub(crate) commits: Vec<[u8; 16]>,
    pub(crate) attributes: Vec<Stored>,
    /// Where the current verifier lies.
    verifier_at: usize,
    /// Where the structure, which has a checksum of its own, ends.
    structure_end: usize,
}

/// An attribute of a snapshot.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) codec: u8,
    pub(crate) check: [u8; 4],
    pub(crate) bytes: Vec<u8>,
    /// Where the checksum lies.
    check_at: usize,
}

impl Stored {
    pub(crate) fn is_intact(&self) -> bool {
        self.check == checksum(&self.bytes)
    }
}

impl RawSnapshot {
    /// Reads a stored snapshot; `None` if it must be refused.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let snapshot = Self::structure(bytes)?;
        let structure = &bytes[HEAD..snapshot.structure_end];
        (bytes[2..HEAD] == checksum(structure)).then_some(snapshot)
    }

    /// Makes bytes a snapshot by their head, and by the checksum of the structure if they have one.
    pub(crate) fn seal(bytes: &mut [u8]) {
        if bytes.len() < HEAD {
            return;
        }
        bytes[..2].copy_from_slice(b"s\x01");
        let end = Self::structure(bytes).map_or(bytes.len(), |snapshot| snapshot.structure_end);
        let check = checksum(&bytes[HEAD..end]);
        bytes[2..HEAD].copy_from_slice(&check);
    }

    /// Makes every attribute intact and the verifier this one, if the bytes have the structure.
    pub(crate) fn mend(bytes: &mut [u8], verifier: [u8; 32]) {
        if let Some(snapshot) = Self::structure(bytes) {
            let at = snapshot.verifier_at;
            bytes[at..at + verifier.len()].copy_from_slice(&verifier);
            for attribute in &snapshot.attributes {
                let at = attribute.check_at;
                bytes[at..at + 4].copy_from_slice(&checksum(&attribute.bytes));
            }
        }
        Self::seal(bytes);
    }

    /// Reads everything but the checksum of the structure.
    fn structure(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let is_known = reader.take(2)? == b"s\x01" && reader.take(4).is_some();
        let flags = reader.byte().filter(|flags| is_known && matches!(flags, 0 | 2))?;
        let mut snapshot = Self {
            created_at: reader.varint()?,
            lifetime: reader.lifetime()?,
            generation: reader.varint()?,
            ..Self::default()
        };
        reader.varint().filter(|privilege| *privilege <= snapshot.generation)?;
        snapshot.verifier_at = reader.at;
        snapshot.verifier = reader.array()?;
        for _ in 0..reader.len(8)? {
            let _: [u8; 32] = reader.array()?;
            reader.time()?;
        }
        if flags == 2 {
            snapshot.principal = Some(reader.text()?);
        }
        for _ in 0..reader.len(64)? {
            snapshot.commits.push(reader.array()?);
            reader.byte().filter(|flags| *flags < 4)?;
        }
        let lens = snapshot.directory(&mut reader)?;
        snapshot.structure_end = reader.at;
        for (attribute, len) in snapshot.attributes.iter_mut().zip(lens) {
            attribute.bytes = reader.take(usize::try_from(len).ok()?)?.to_vec();
        }
        reader.end()?;
        Some(snapshot)
    }

    /// Reads the attributes but for their bytes, and returns how long those are.
    fn directory(&mut self, reader: &mut Reader<'_>) -> Option<Vec<u64>> {
        let mut lens = Vec::new();
        for _ in 0..reader.len(COUNT_MAX)? {
            let name = reader.text()?;
            if self.attributes.last().is_some_and(|last| last.name >= name) {
                return None;
            }
            let codec = reader.byte().filter(|codec| *codec != 0)?;
            let check_at = reader.at;
            let check = reader.array()?;
            let bytes = Vec::new();
            self.attributes.push(Stored { name, codec, check, bytes, check_at });
            lens.push(reader.varint()?);
        }
        Some(lens)
    }
}
