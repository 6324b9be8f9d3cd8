//! Where a log lies: a prefix, then the session id.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use sessile_core::SessionId;

use crate::ConfigError;

/// What every key of one tenant starts with.
///
/// The id behind it always has the same 22 characters, so keys of two prefixes that differ are never
/// the same, even if one prefix is the beginning of the other: such keys differ in length.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Prefix(String);

impl Prefix {
    /// The longest prefix, in bytes.
    pub(crate) const LEN_MAX: usize = 64;

    /// Checks a prefix.
    pub(crate) fn new(text: String) -> Result<Self, ConfigError> {
        if text.is_empty() || text.len() > Self::LEN_MAX {
            return Err(ConfigError::PrefixLength { len: text.len(), max: Self::LEN_MAX });
        }
        // Braces would move the key to another slot of a cluster, and the others are patterns in an
        // ACL rule: `~prefix*` must not mean more than it says.
        let refused = |c: &char| !c.is_ascii_graphic() || "{}[]*?\\".contains(*c);
        match text.chars().find(refused) {
            Some(character) => Err(ConfigError::PrefixCharacter { character }),
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

    /// Returns the prefix.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

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
        // Also where the id looks like the rest of the longer prefix.
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
        for text in ["", " ", "a b", "{a}", "a}", "a*", "a?", "[a]", "a\\", "a\0", "a\n", "\u{e9}"]
        {
            assert!(Prefix::new(text.to_owned()).is_err(), "{text:?}");
        }
        assert!(Prefix::new("x".repeat(65)).is_err());
        assert!(Prefix::new("x".repeat(64)).is_ok());
    }
}
