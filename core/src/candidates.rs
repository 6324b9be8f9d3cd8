//! The tokens a client presents at once.

use crate::token::Token;

/// The tokens a client presents in one request: a browser may hold several cookies of one name, of
/// an old path or domain, and does not say which is which.
///
/// Of different tokens the first four are kept; what is no token is not.
///
/// # Example
///
/// ```
/// use sessile_core::engine::Candidates;
///
/// let mut candidates = Candidates::default();
/// for text in ["../../etc/passwd", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"] {
///     candidates.add(text);
/// }
/// assert_eq!(candidates.iter().count(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    tokens: [Option<Token>; MAX],
}

impl Candidates {
    /// Takes in what the client presents.
    pub fn add(&mut self, text: &str) {
        let Ok(token) = Token::parse(text) else { return };
        for place in &mut self.tokens {
            match place {
                Some(known) if known.is(&token) => return,
                Some(_) => {}
                None => {
                    *place = Some(token);
                    return;
                }
            }
        }
    }

    /// Returns the tokens, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Token> {
        self.tokens.iter().flatten()
    }
}

impl<'a> FromIterator<&'a str> for Candidates {
    fn from_iter<T: IntoIterator<Item = &'a str>>(texts: T) -> Self {
        let mut candidates = Self::default();
        texts.into_iter().for_each(|text| candidates.add(text));
        candidates
    }
}

/// How many different tokens of one request are looked up: each costs a load.
const MAX: usize = 4;
