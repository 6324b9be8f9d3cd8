//! What the client holds, and what the store is allowed to see of it.
//!
//! A token is a selector, which names the log, and a verifier, which is the secret. A store is
//! given the selector and the SHA-256 of the verifier, so a dump of it holds nothing a client could
//! present. The verifier has 128 random bits, so a plain hash is enough (OWASP ASVS 5.0, 6.5.2 and
//! 11.5.1) and the comparison of hashes runs in constant time.

use core::error::Error;
use core::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What the client holds: 16 random bytes that name the session and 16 that prove it.
///
/// Written in exactly one way: 43 characters of base64url without padding. `Debug` shows neither
/// half, and both are wiped from memory on drop.
///
/// # Example
///
/// ```
/// use sessile_core::Token;
///
/// let token = Token::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8").unwrap();
/// assert_eq!(token.expose().as_str(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
/// assert!(Token::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9").is_err());
/// ```
#[derive(Clone)]
pub struct Token {
    bytes: Zeroizing<[u8; 32]>,
}

impl Token {
    /// The length of a written token, in characters.
    pub const TEXT_LEN: usize = 43;

    /// Reads a token a client presented.
    ///
    /// # Errors
    ///
    /// Returns [`TokenError`] if the text is not the one canonical spelling of a token. Nothing
    /// else is reported about why.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.len() != Self::TEXT_LEN {
            return Err(TokenError);
        }
        let mut token = Self { bytes: Zeroizing::new([0; 32]) };
        let decoded =
            Base64UrlUnpadded::decode(text, token.bytes.as_mut()).map_err(|_| TokenError)?;
        if decoded.len() != 32 || token.expose().as_str() != text {
            return Err(TokenError);
        }
        Ok(token)
    }

    /// Creates a token from 16 bytes that name the session and 16 secret ones, all random.
    #[must_use]
    pub fn from_parts(id: SessionId, secret: [u8; 16]) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        bytes[..16].copy_from_slice(&id.0);
        bytes[16..].copy_from_slice(&secret);
        Self { bytes }
    }

    /// Returns the session this token names.
    #[must_use]
    pub fn id(&self) -> SessionId {
        let mut id = [0; 16];
        id.copy_from_slice(&self.bytes[..16]);
        SessionId(id)
    }

    /// Returns what a store may keep of the secret half.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier(Sha256::digest(&self.bytes[16..]).into())
    }

    /// Reports whether both are the same, in constant time.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.bytes.ct_eq(&*other.bytes).into()
    }

    /// Writes the token, to be sent to the client and nowhere else.
    #[must_use]
    pub fn expose(&self) -> TokenText {
        let mut text = TokenText(Zeroizing::new([0; Self::TEXT_LEN]));
        let written = Base64UrlUnpadded::encode(self.bytes.as_ref(), text.0.as_mut());
        debug_assert!(written.is_ok(), "43 characters hold 32 bytes");
        text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A token as text, wiped from memory on drop.
#[derive(Clone)]
pub struct TokenText(Zeroizing<[u8; Token::TEXT_LEN]>);

impl TokenText {
    /// Returns the 43 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Base64url is ASCII, so the default is never taken.
        core::str::from_utf8(self.0.as_ref()).unwrap_or_default()
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(..)")
    }
}

/// A presented token is not the canonical spelling of any token.
///
/// Treat it as no token at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenError;

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a session token")
    }
}

impl Error for TokenError {}

/// Names a log in a store: the selector half of a token.
///
/// `Display` and `Debug` show 16 hexadecimal digits of a hash of it, which may be logged: neither a
/// part of the token nor enough to find the log (OWASP ASVS 5.0, 16.2.5).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// Creates an id from 16 random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, for a store to make its key of.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Returns which of so many places, at most 256, is this session's.
    pub(crate) fn place(self, places: usize) -> usize {
        usize::from(self.0[3]) % places
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = Sha256::new().chain_update(b"sessile log id").chain_update(self.0).finalize();
        digest[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// The SHA-256 of a verifier: all a store ever holds of the secret.
///
/// Compared in constant time; `Debug` shows nothing of it.
#[derive(Clone, Copy)]
pub struct Verifier([u8; 32]);

impl Verifier {
    /// The size of a verifier, in bytes.
    pub const LEN: usize = 32;

    pub(crate) const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        self.0.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word))
    }
}

/// Hand-written because the comparison must take the same time wherever the first difference is.
impl PartialEq for Verifier {
    fn eq(&self, other: &Self) -> bool {
        let differences = self.words().zip(other.words()).map(|(one, other)| one ^ other);
        differences.fold(0, |all, difference| all | difference).ct_eq(&0).into()
    }
}

impl Eq for Verifier {}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}
