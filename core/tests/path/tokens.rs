//! What a presented token gets.

use sessile_core::engine::{Entropy, EntropyError};

use crate::common::raw::{self, RawDelta};
use crate::rotation::secret_of;
use crate::*;

#[test]
fn a_visit_that_keeps_nothing_asks_and_stores_nothing() {
    both(&Policy::default(), |world| {
        let finished = world.request(&mut Client::default(), |session| {
            assert!(session.is_new() && session.is_empty() && session.id().is_none());
        });
        assert!(matches!(finished.token_update(), TokenUpdate::Unchanged));
        assert_eq!(world.store.calls(), []);
    });
}

#[test]
fn what_is_no_token_costs_no_call_and_gives_a_fresh_session() {
    both(&Policy::default(), |world| {
        let client = world.visitor(set_a(1));
        world.store.calls();
        let text = client.token.as_ref().expect("a token").expose();
        let longer = format!("{}A", text.as_str());
        let padded = format!("{}=", &text.as_str()[..42]);
        let standard = text.as_str().replace(['-', '_'], "+");
        let last = if text.as_str().ends_with('A') { 'B' } else { 'A' };
        let other_spelling = format!("{}{}", &text.as_str()[..42], last);
        for text in ["", " ", "../../etc/passwd", "\u{1f36a}", &longer, &padded, &standard[1..]] {
            let session = world.open_text(Some(text)).expect("no call, no failure");
            assert!(session.is_new() && session.is_empty());
        }
        assert_eq!(world.store.calls(), []);
        // Perhaps the spelling of another token, but never this session.
        let session = world.open_text(Some(&other_spelling)).expect("the store works");
        assert!(session.is_new());
    });
}

#[test]
fn a_presented_id_is_never_adopted() {
    both(&Policy::default(), |world| {
        let mut stranger = Client { token: Some(token([7; 16], [8; 16])) };
        let presented = stranger.id();
        let finished = world.request(&mut stranger, |session| {
            assert!(session.is_new() && session.is_empty() && session.id().is_none());
            set_a(1)(session);
        });
        assert!(is_sent(&finished));
        assert_ne!(stranger.id(), presented);
        assert_eq!(world.store.ids(), [stranger.id()]);
    });
}

#[test]
fn a_forged_verifier_sees_and_changes_nothing() {
    both(&Policy::default(), |world| {
        let client = world.visitor(set_a(1));
        let before = world.content(&client);
        let mut forger = Client { token: Some(Token::from_parts(client.id(), [0xee; 16])) };
        world.visit(&mut forger, |session| {
            assert!(session.is_new() && session.is_empty() && session.principal().is_none());
            set_a(666)(session);
            session.invalidate();
            set_b(2)(session);
        });
        assert_ne!(forger.id(), client.id());
        assert_eq!(world.content(&client), before);
        assert_eq!(seen(world, &client), (Some(1), None, 0));
    });
}

/// Draws the same byte over and over.
struct Always(u8);

impl Entropy for Always {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(self.0);
        Ok(())
    }
}

#[test]
fn p45_each_of_the_256_bits_of_a_token_is_drawn_and_so_are_the_128_of_a_renewed_secret() {
    let world = World::by_default();
    let issued = |session: Session, entropy: &dyn Entropy| {
        let Ok(Step::Apply(pending)) = session.commit(world.now(), entropy) else { panic!() };
        let finished = world.apply(pending).expect("the store works");
        let Step::Done(finished) = finished else { panic!("nothing comes in between") };
        let TokenUpdate::Issue(token) = finished.token_update() else { panic!("a token is sent") };
        token.clone()
    };
    for byte in [0x00, 0xff] {
        let mut session = world.open(&Client::default());
        set_a(1)(&mut session);
        let token = issued(session, &Always(byte));
        let whole = Token::from_parts(SessionId::from_bytes([byte; 16]), [byte; 16]);
        assert_eq!(token.expose().as_str(), whole.expose().as_str());

        let mut session = world.open(&Client { token: Some(token) });
        session.rotate(RotationReason::Renewal);
        let renewed = issued(session, &Always(!byte));
        let other = Token::from_parts(SessionId::from_bytes([byte; 16]), [!byte; 16]);
        assert_eq!(renewed.expose().as_str(), other.expose().as_str());
    }
}

#[test]
fn every_byte_of_a_verifier_counts() {
    let stored = raw::verifier([5; 16]);
    let of_the_session = |world: &World, verifier| {
        let client = world.visitor(set_a(1));
        let delta = RawDelta {
            commit: [0x66; 16],
            rotation: Some((secret_of(&client), verifier, None)),
            ..RawDelta::default()
        };
        world.store.edit_log(client.id(), |log| {
            log.push(common::Entry::new(delta.encode(), delta.commit));
        });
        Client { token: Some(Token::from_parts(client.id(), [5; 16])) }
    };
    let world = World::by_default();
    assert_eq!(seen(&world, &of_the_session(&world, stored)).0, Some(1));
    for place in 0..stored.len() {
        for bit in [0x01, 0x80] {
            let mut other = stored;
            other[place] ^= bit;
            let session = world.open(&of_the_session(&world, other));
            assert!(session.is_new() && session.is_empty(), "{bit:#x} of byte {place}");
        }
    }
}

#[test]
fn a_forged_verifier_creates_nothing_by_itself_under_any_policy() {
    let opened = Policy::builder().create(CreateWhen::Opened).persist(Persist::ALWAYS);
    both(&opened.build().unwrap(), |world| {
        let client = world.visitor(|_| {});
        let mut forger = Client { token: Some(Token::from_parts(client.id(), [0xee; 16])) };
        let nothing: [Work; 4] = [
            |_| {},
            |session| session.rotate(RotationReason::PrivilegeChange),
            |session| session.set_idle_timeout(HOUR).expect("an hour is fine"),
            Session::invalidate,
        ];
        for work in nothing {
            world.store.calls();
            let finished = world.request(&mut forger, |session| {
                assert!(!session.exists());
                work(session);
            });
            assert!(matches!(finished.token_update(), TokenUpdate::Unchanged));
            assert_eq!(world.store.calls(), [Call::Load]);
        }
        // A token that names nothing at all is as good as none.
        let mut stranger = Client { token: Some(token([7; 16], [8; 16])) };
        assert!(is_sent(&world.request(&mut stranger, |session| assert!(session.exists()))));
    });
}

#[test]
fn with_a_forged_verifier_a_login_and_a_write_start_a_session_of_their_own() {
    let asked: [Work; 2] = [|session| login("eve")(session), |session| set_a(666)(session)];
    both(&Policy::default(), |world| {
        let client = world.visitor(set_a(1));
        for work in asked {
            let mut forger = Client { token: Some(Token::from_parts(client.id(), [0xee; 16])) };
            let finished = world.request(&mut forger, |session| {
                work(session);
                assert!(session.exists());
            });
            assert!(is_sent(&finished));
            assert_ne!(forger.id(), client.id());
            assert_eq!(seen(world, &client), (Some(1), None, 0));
        }
    });
}

#[test]
fn a_session_past_its_deadline_is_fresh_even_if_the_store_still_has_it() {
    let policy = Policy::builder().absolute_timeout(HOUR).idle_timeout(HOUR).build().unwrap();
    both(&policy, |world| {
        let mut client = world.visitor(set_a(1));
        let id = client.id();
        let deadline = world.open(&client).deadline().expect("there is a deadline");
        assert_eq!(deadline, world.now() + HOUR);
        // A store whose own clock stands still keeps the log for longer than was asked for.
        let found = || {
            let store = &*world.store;
            sessile_core::store::BlockingStore::load(store, id, world.now()).unwrap().unwrap()
        };
        let text = client.token.as_ref().expect("a token").expose();
        let resume = |now: Timestamp| {
            let Opening::Load(loading) = begin(&policy, Some(text.as_str())) else { panic!() };
            loading.resume(Some(found()), now)
        };
        let just_before = Timestamp::from_millis(deadline.as_millis() - 1);
        assert!(!resume(just_before).is_new());
        assert!(resume(deadline).is_new() && resume(deadline).is_empty());
        // And the store of the story has forgotten it by then.
        world.pass(HOUR);
        world.visit(&mut client, set_b(2));
        assert_ne!(client.id(), id);
        assert_eq!(seen(world, &client), (None, Some(2), 0));
    });
}

#[test]
fn a_store_that_cannot_be_read_is_never_taken_for_an_empty_session() {
    both(&Policy::default(), |world| {
        let client = world.visitor(set_a(1));
        for fault in [Fault::NotApplied, Fault::RequestLost] {
            world.store.fail(0, fault);
            let text = client.token.as_ref().expect("a token").expose();
            assert!(world.open_text(Some(text.as_str())).is_err());
        }
        assert_eq!(seen(world, &client), (Some(1), None, 0));
    });
}

#[test]
fn a_session_can_have_its_id_before_it_is_written() {
    both(&Policy::default(), |world| {
        let mut session = world.open(&Client::default());
        session.reserve(world.now(), &world.system).unwrap();
        let id = session.id().expect("it was reserved");
        session.reserve(world.now(), &world.system).unwrap();
        assert_eq!(session.id(), Some(id));
        assert_eq!(session.created_at(), Some(world.now()));
        let session = world.save(session);
        assert_eq!(world.store.calls(), [], "nothing to keep, nothing to store");
        let mut session = session;
        set_a(1)(&mut session);
        let mut client = Client::default();
        world.leave(&mut client, session);
        assert_eq!(client.id(), id);
    });
}

fn token(id: [u8; 16], secret: [u8; 16]) -> Token {
    Token::from_parts(SessionId::from_bytes(id), secret)
}
