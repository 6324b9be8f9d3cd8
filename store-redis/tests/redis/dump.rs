//! P46: a dump of the store, and all that was sent to it, opens no session.

use sessile_core::{Session, SessionId, Token};
use sessile_testkit::{Reply, Server};

use crate::world::{World, request, sessions, started, token_of};

#[tokio::test]
async fn p46_a_dump_of_the_store_and_all_its_traffic_open_no_session() {
    let world = World::new(Server::start());
    world.proxy.record();
    let sessions = sessions(world.store());
    let mut tokens = vec![started(&sessions).await];
    let login = |session: &mut Session| session.login("ada").expect("the name is short");
    let finished = request(&sessions, &tokens[0], login).await.expect("nothing breaks");
    tokens.push(token_of(&finished));
    tokens.push(started(&sessions).await);

    let mut dump = world.proxy.recorded();
    assert!(!dump.is_empty(), "what was sent was kept");
    for key in world.server.say(["KEYS", "*"]).list() {
        let Reply::Bytes(key) = key else { panic!("a key is bytes") };
        dump.extend(key);
        let log = world.server.say([b"LRANGE".as_slice(), key, b"0", b"-1"]);
        for element in log.list() {
            let Reply::Bytes(element) = element else { panic!("an element is bytes") };
            dump.extend(element);
        }
    }
    let tokens: Vec<Token> = tokens.iter().map(|text| Token::parse(text).unwrap()).collect();
    // The thief is as clever as can be: ids are known, and any bytes may be the secret half.
    let opens = |id: SessionId, secret: [u8; 16]| {
        let verifier = Token::from_parts(id, secret).verifier();
        tokens.iter().any(|token| token.verifier() == verifier)
    };
    let found = |bytes: &[u8]| {
        let mut secrets = bytes.windows(16).filter_map(|window| window.try_into().ok());
        secrets.any(|secret| opens(tokens[0].id(), secret))
    };
    assert!(!found(&dump), "a secret half is in the dump as it is");
    for skip in 0..2 {
        assert!(!found(&from_hex(&dump[skip..])), "a secret half is in the dump in hexadecimal");
    }
    for skip in 0..4 {
        assert!(!found(&from_base64(&dump[skip..])), "a secret half is in the dump in base64");
    }
    // The thief would see one that is there.
    assert!(found(&from_base64(tokens[1].expose().as_str().as_bytes())));
}

/// Reads everything as hexadecimal digits; what is none counts as 0.
fn from_hex(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.chunks_exact(2)
        .map(|pair| digit(pair[0]).unwrap_or(0) << 4 | digit(pair[1]).unwrap_or(0))
        .collect()
}

/// Reads everything as base64, of either alphabet; what is none counts as 0.
fn from_base64(text: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => 0,
    };
    let four = |four: &[u8]| {
        let bits = four.iter().fold(0, |bits: u32, byte| bits << 6 | u32::from(digit(byte)));
        let [_, bytes @ ..] = bits.to_be_bytes();
        bytes
    };
    let padded = [text, b"AAA"].concat();
    padded.chunks_exact(4).flat_map(four).collect()
}
