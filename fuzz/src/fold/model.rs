//! What a log means, written down as plainly as can be: one change after the other.

use std::collections::{BTreeMap, VecDeque};

use crate::format::{Lifetime, RawChange, RawDelta, checksum};

/// What a log amounts to.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) attributes: BTreeMap<String, Stored>,
    pub(super) generation: u64,
    /// The generation after the last change of privilege.
    privilege: u64,
    pub(super) principal: Option<String>,
    pub(super) lifetime: Lifetime,
    /// It holds changes of a kind nobody here knows.
    pub(super) foreign: bool,
    verifier: [u8; 32],
    /// The oldest first, each with the time until which it is accepted.
    replaced: VecDeque<([u8; 32], Option<u64>)>,
    /// The last 32 commits.
    recent: VecDeque<([u8; 16], bool)>,
    /// The last 32 before them of those that were sent more than once.
    resent: VecDeque<[u8; 16]>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) codec: u8,
    pub(super) bytes: Vec<u8>,
    check: [u8; 4],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    Accepted,
    Stale,
    Forged,
}

impl Model {
    pub(super) fn new(verifier: [u8; 32]) -> Self {
        Self {
            attributes: BTreeMap::new(),
            generation: 0,
            privilege: 0,
            principal: None,
            lifetime: Lifetime { idle_timeout: 400 * 24 * 60 * 60 * 1000, ..Lifetime::default() },
            foreign: false,
            verifier,
            replaced: VecDeque::new(),
            recent: VecDeque::from([([0; 16], false)]),
            resent: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, delta: &RawDelta, resent: bool) {
        let is_new = !self.remembers(delta.commit);
        self.note(delta.commit, resent, is_new);
        let wins = delta.rotation.is_none_or(|(replaces, ..)| replaces == self.verifier);
        let is_void = delta.generation > self.generation || delta.generation < self.privilege;
        if !is_new || is_void || !wins {
            return;
        }
        if let Some((_, verifier, until)) = delta.rotation {
            self.rotate(verifier, until);
        }
        if let Some(principal) = &delta.principal {
            self.principal.clone_from(principal);
        }
        self.lifetime = delta.lifetime.unwrap_or(self.lifetime);
        if delta.replace {
            self.attributes.clear();
        }
        for (name, change) in &delta.changes {
            self.change(name, change);
        }
    }

    fn note(&mut self, commit: [u8; 16], resent: bool, is_new: bool) {
        if !is_new {
            // Of an older commit it is known already that it was sent more than once.
            self.recent
                .iter_mut()
                .filter(|(known, _)| *known == commit)
                .for_each(|known| known.1 |= resent);
            return;
        }
        self.recent.push_back((commit, resent));
        if self.recent.len() > 32
            && let Some((old, true)) = self.recent.pop_front()
        {
            self.resent.push_back(old);
            if self.resent.len() > 32 {
                self.resent.pop_front();
            }
        }
    }

    fn rotate(&mut self, verifier: [u8; 32], until: Option<u64>) {
        if until.is_none() {
            self.replaced.iter_mut().for_each(|replaced| replaced.1 = None);
            self.privilege = self.generation + 1;
        }
        self.replaced.push_back((self.verifier, until));
        if self.replaced.len() > 8 {
            self.replaced.pop_front();
        }
        self.verifier = verifier;
        self.generation += 1;
    }

    fn change(&mut self, name: &str, change: &RawChange) {
        match change {
            RawChange::Set(codec, check, bytes) => {
                let stored = Stored { codec: *codec, check: *check, bytes: bytes.clone() };
                self.attributes.insert(name.to_owned(), stored);
            }
            RawChange::Remove => {
                self.attributes.remove(name);
            }
            RawChange::Add(number) => {
                let stored =
                    self.attributes.entry(name.to_owned()).or_insert_with(|| Stored::counter(0));
                if let Some(old) = stored.count() {
                    *stored = Stored::counter(old.wrapping_add(*number));
                }
            }
            RawChange::Unknown(kind, _) => {
                self.foreign = true;
                if *kind >= 0x80 {
                    let check = checksum(&[]);
                    let unreadable = Stored { check, ..Stored::default() };
                    self.attributes.insert(name.to_owned(), unreadable);
                }
            }
        }
    }

    pub(super) fn remembers(&self, commit: [u8; 16]) -> bool {
        self.recent.iter().any(|(known, _)| *known == commit) || self.resent.contains(&commit)
    }

    /// Says what a verifier is; of several places it may be found at, the newest counts.
    pub(super) fn standing(&self, verifier: [u8; 32], now: u64) -> Standing {
        // To a token whose session is over, it is as if it had never been.
        if self.lifetime.deadline.is_some_and(|deadline| deadline <= now) {
            return Standing::Forged;
        }
        if self.verifier == verifier {
            return Standing::Accepted;
        }
        match self.replaced.iter().rfind(|(known, _)| *known == verifier) {
            Some((_, Some(until))) if now < *until => Standing::Accepted,
            Some(_) => Standing::Stale,
            None => Standing::Forged,
        }
    }
}

impl Stored {
    fn counter(number: i64) -> Self {
        let bytes = number.to_le_bytes().to_vec();
        Self { codec: 3, check: checksum(&bytes), bytes }
    }

    fn count(&self) -> Option<i64> {
        let bytes =
            self.bytes[..].try_into().ok().filter(|_| self.codec == 3 && self.is_intact())?;
        Some(i64::from_le_bytes(bytes))
    }

    pub(super) fn is_intact(&self) -> bool {
        self.check == checksum(&self.bytes)
    }
}
