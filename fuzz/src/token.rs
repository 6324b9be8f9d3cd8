//! Tokens as clients present them.

use sessile_core::engine::{Opening, begin};
use sessile_core::{SessionId, Token};

use crate::fixture::POLICY;
use crate::heap::bounded;

/// Presents the bytes as a token, and makes a token of them.
///
/// # Panics
///
/// If anything but the one spelling of 32 bytes is a token, or parsing allocates.
pub fn run(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        present(text);
    }
    let mut bytes = [0; 32];
    let len = data.len().min(32);
    bytes[..len].copy_from_slice(&data[..len]);
    make(bytes);
}

fn present(text: &str) {
    let parsed = bounded(text.len(), 0, 0, || Token::parse(text));
    let opening = begin(&POLICY, Some(text));
    let Some(bytes) = decode(text) else {
        assert!(parsed.is_err(), "this is no token");
        assert!(matches!(opening, Opening::Fresh(_)), "no store is asked");
        return;
    };
    let token = parsed.expect("this is a token");
    assert_eq!(token.expose().as_str(), text);
    assert_eq!(token.id().as_bytes(), &bytes[..16]);
    let Opening::Load(loading) = opening else { panic!("a token is looked up") };
    assert_eq!(loading.id(), token.id());
    let shown = format!("{token:?} {:?} {:?} {}", token.expose(), token.verifier(), token.id());
    for part in text.as_bytes().windows(8) {
        let part = str::from_utf8(part).expect("base64url is ASCII");
        // Sixteen digits of a hash may look like anything in hexadecimal.
        let is_hex = part.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_hex || !shown.contains(part), "part of the token is shown");
    }
    make(bytes);
}

fn make(bytes: [u8; 32]) {
    let (id, secret) = bytes.split_at(16);
    let id = SessionId::from_bytes(id.try_into().expect("half of it"));
    let token = Token::from_parts(id, secret.try_into().expect("half of it"));
    let text = token.expose();
    assert_eq!(decode(text.as_str()), Some(bytes));
    let parsed = Token::parse(text.as_str()).expect("what was written can be read");
    assert_eq!((parsed.id(), parsed.verifier()), (token.id(), token.verifier()));
    // The last character has two bits nobody needs: only one of four spellings is the token.
    let (front, last) = text.as_str().split_at(42);
    let is_sibling = |other: u8| value(other) >> 2 == value(last.as_bytes()[0]) >> 2;
    for other in ALPHABET.bytes().filter(|other| is_sibling(*other)).map(char::from) {
        let is_it = last.starts_with(other);
        assert_eq!(Token::parse(&format!("{front}{other}")).is_ok(), is_it);
    }
}

/// Returns the 32 bytes a text is the canonical base64url of.
fn decode(text: &str) -> Option<[u8; 32]> {
    if text.len() != 43 || !text.bytes().all(|byte| ALPHABET.as_bytes().contains(&byte)) {
        return None;
    }
    let bits = text.bytes().flat_map(|byte| (0..6).rev().map(move |bit| value(byte) >> bit & 1));
    let bits: Vec<u8> = bits.collect();
    let (used, unused) = bits.split_at(256);
    if unused != [0, 0] {
        return None;
    }
    let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | bit);
    let bytes: Vec<u8> = used.chunks(8).map(byte).collect();
    bytes.try_into().ok()
}

fn value(byte: u8) -> u8 {
    let position = ALPHABET.bytes().position(|known| known == byte);
    position.and_then(|position| position.try_into().ok()).expect("it is in the alphabet")
}

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
