//! The key of a log: a prefix, then the session id.

use std::error::Error;
use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use sessile_core::SessionId;

/// What every key of one tenant starts with.
///
/// The id behind it always has 22 characters. Keys of two different prefixes are never the same,
/// even if one prefix is the beginning of the other, because their lengths differ.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Prefix(String);

impl Prefix {
    /// The longest prefix, in bytes.
    const LEN_MAX: usize = 64;

    /// Checks a prefix.
    pub(crate) fn new(text: String) -> Result<Self, PrefixError> {
        if text.is_empty() || text.len() > Self::LEN_MAX {
            return Err(PrefixError::Length { len: text.len(), max: Self::LEN_MAX });
        }
        // Braces would move the key to another slot of a cluster. The others are wildcards in an
        // ACL rule, which must mean this prefix and no other.
        let is_refused = |c: &char| !c.is_ascii_graphic() || "{}[]*?\\".contains(*c);
        match text.chars().find(is_refused) {
            Some(character) => Err(PrefixError::Character { character }),
            None => Ok(Self(text)),
        }
    }

    /// Returns the key of a log.
    pub(crate) fn key(&self, id: SessionId) -> Vec<u8> {
        let mut encoded = [0; ID_LEN];
        let id = Base64UrlUnpadded::encode(id.as_bytes(), &mut encoded)
            .expect("16 bytes are 22 characters of base64");
        [self.0.as_bytes(), id.as_bytes()].concat()
    }

    /// Returns the text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text cannot be the prefix of keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PrefixError {
    /// The prefix is empty or too long.
    Length {
        /// The length of the prefix, in bytes.
        len: usize,
        /// The longest prefix allowed, in bytes.
        max: usize,
    },
    /// The prefix has a character that is not visible ASCII, or is a wildcard or a brace.
    Character {
        /// The first such character.
        character: char,
    },
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { len, max } => write!(f, "key prefix is {len} bytes, not 1 to {max}"),
            Self::Character { character } => {
                write!(f, "key prefix has the character {character:?}, which is not allowed")
            }
        }
    }
}

impl Error for PrefixError {}

/// The length of a session id in a key.
pub(crate) const ID_LEN: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        Prefix::new(text.to_owned()).unwrap()
    }

    #[test]
    fn a_key_is_the_prefix_and_22_characters() {
        let id = SessionId::from_bytes([0xff; 16]);
        assert_eq!(prefix("a:").key(id), b"a:_____________________w");
        assert_eq!(prefix("a:").key(SessionId::from_bytes([0; 16])), b"a:AAAAAAAAAAAAAAAAAAAAAA");
    }

    #[test]
    fn no_prefix_reaches_the_keys_of_another() {
        // The last looks like the first with the beginning of an id.
        let prefixes = ["a", "ab", "a:", "a:b", "aAAAA"].map(prefix);
        let ids = [[0; 16], [1; 16], [0xff; 16]].map(SessionId::from_bytes);
        let mut keys: Vec<_> =
            prefixes.iter().flat_map(|prefix| ids.map(|id| prefix.key(id))).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), prefixes.len() * ids.len());
    }

    #[test]
    fn a_prefix_is_short_printable_and_no_pattern() {
        for text in [" ", "a b", "{a}", "a}", "a*", "a?", "[a]", "a\\", "a\0", "a\n", "\u{e9}"] {
            let error = Prefix::new(text.to_owned()).unwrap_err();
            assert!(matches!(error, PrefixError::Character { .. }), "{text:?}");
        }
        for len in [0, 65] {
            let error = Prefix::new("x".repeat(len)).unwrap_err();
            assert_eq!(error, PrefixError::Length { len, max: 64 });
        }
        assert!(Prefix::new("x".repeat(64)).is_ok());
    }
}
