//! The names by which a commit and each sending of it are known.

use core::fmt;

use crate::log::wire::DecodeError;

/// Names one commit, for ever: 16 random bytes.
///
/// Folding the same commit twice changes nothing, which is what makes a retry safe.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CommitId([u8; 16]);

impl CommitId {
    /// Creates an id from 16 random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommitId({:08x})", u128::from_be_bytes(self.0) >> 96)
    }
}

/// Names one sending of one commit: no two sends ever share a stamp.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Stamp {
    /// The commit that was sent.
    pub commit: CommitId,
    /// How many times it had been sent before.
    pub attempt: u32,
}

impl Stamp {
    /// The size of a stored stamp, in bytes.
    pub const LEN: usize = 20;

    /// Returns the stamp of the first sending of a commit.
    #[must_use]
    pub const fn first(commit: CommitId) -> Self {
        Self { commit, attempt: 0 }
    }

    /// Returns the stamp of the next sending of the same commit.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { commit: self.commit, attempt: self.attempt.saturating_add(1) }
    }

    /// Returns the stored form: the commit id, then the attempt, little-endian.
    #[must_use]
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..16].copy_from_slice(&self.commit.0);
        bytes[16..].copy_from_slice(&self.attempt.to_le_bytes());
        bytes
    }

    /// Reads a stored stamp.
    ///
    /// # Errors
    ///
    /// Returns [`DecodeError`] if these are not 20 bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (commit, attempt) = bytes.split_first_chunk().ok_or(DecodeError::WrongKind)?;
        let attempt = attempt.try_into().map_err(|_| DecodeError::WrongKind)?;
        Ok(Self { commit: CommitId(*commit), attempt: u32::from_le_bytes(attempt) })
    }
}
