//! Randomness: tokens and commit ids are drawn from it.

use alloc::sync::Arc;
use core::error::Error;
use core::fmt;

use zeroize::Zeroizing;

use crate::log::CommitId;
use crate::token::{SessionId, Token};

/// A source of randomness that an attacker cannot predict.
///
/// `sessile::Os` asks the operating system. Tests count.
///
/// # Example
///
/// ```
/// use sessile_core::engine::{Entropy, EntropyError};
///
/// struct Broken;
///
/// impl Entropy for Broken {
///     fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
///         Err(EntropyError)
///     }
/// }
///
/// assert!(Broken.fill(&mut [0; 16]).is_err());
/// ```
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with random bytes.
    ///
    /// # Errors
    ///
    /// Returns [`EntropyError`] if there are none. The session that needed them is not written and
    /// keeps its changes.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

impl<E: Entropy + ?Sized> Entropy for &E {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        (**self).fill(bytes)
    }
}

impl<E: Entropy + ?Sized> Entropy for Arc<E> {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        (**self).fill(bytes)
    }
}

/// The system gave no randomness.
///
/// There is no weaker source to fall back to. Try again, or report a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EntropyError;

impl fmt::Display for EntropyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system gave no randomness")
    }
}

impl Error for EntropyError {}

/// Draws a token: 16 bytes that name a session, 16 that prove it.
pub(crate) fn draw_token(entropy: &dyn Entropy) -> Result<Token, EntropyError> {
    let mut id = [0; 16];
    entropy.fill(&mut id)?;
    renew_token(SessionId::from_bytes(id), entropy)
}

/// Draws another token for a session.
pub(crate) fn renew_token(id: SessionId, entropy: &dyn Entropy) -> Result<Token, EntropyError> {
    let mut secret = Zeroizing::new([0; 16]);
    entropy.fill(secret.as_mut())?;
    Ok(Token::from_parts(id, *secret))
}

pub(crate) fn draw_commit(entropy: &dyn Entropy) -> Result<CommitId, EntropyError> {
    let mut id = [0; 16];
    entropy.fill(&mut id)?;
    Ok(CommitId::from_bytes(id))
}
