//! How large a session may grow.

use crate::*;

fn tight() -> Policy {
    let limits =
        Limits { name_bytes_max: 8, value_bytes_max: 32, session_bytes_max: 64, attributes_max: 3 };
    Policy::builder().limits(limits).build().expect("the limits are valid")
}

fn text(len: usize) -> String {
    // The length stands in front, in a second byte for texts of 24 bytes and more.
    "x".repeat(len - if len > 24 { 2 } else { 1 })
}

#[test]
fn a_limit_refuses_when_a_value_is_set_and_nothing_changes() {
    both(&tight(), |world| {
        let mut session = world.open(&Client::default());
        let error = session.set(&Key::<u8>::new(""), 1).unwrap_err();
        assert_eq!(error, SetError::NameEmpty);
        let error = session.set(&Key::<u8>::new("nine char"), 1).unwrap_err();
        assert_eq!(error, SetError::NameTooLong { len: 9, max: 8 });
        assert!(error.is_limit());
        let error = session.set(&NAME, text(33)).unwrap_err();
        let name = "name".to_owned();
        assert_eq!(error, SetError::ValueTooLarge { name, len: 33, max: 32 });
        assert!(session.is_empty());
        session.set(&NAME, text(32)).unwrap();
        session.set(&Key::<String>::new("b"), text(27)).unwrap();
        let error = session.set(&Key::<u8>::new("c"), 1).unwrap_err();
        assert_eq!(error, SetError::SessionTooLarge { len: 66, max: 64 });
        assert!(session.add(&HITS, 1).unwrap_err().is_limit());
        session.set(&Key::<String>::new("b"), text(2)).unwrap();
        session.set(&Key::<u8>::new("c"), 1).unwrap();
        let error = session.set(&Key::<u8>::new("d"), 1).unwrap_err();
        assert_eq!(error, SetError::TooManyAttributes { max: 3 });
        assert!(session.edit(&Key::<u8>::new("d"), |d| *d = 1).unwrap_err().is_limit());
        assert_eq!(session.names(), ["b", "c", "name"]);
        let mut client = Client::default();
        let seen = all(&session);
        world.leave(&mut client, session);
        assert_eq!(all(&world.open(&client)), seen);
    });
}

#[test]
fn a_lent_value_that_outgrew_its_limit_is_named_at_commit() {
    both(&tight(), |world| {
        for exists in [true, false] {
            let mut client = Client::default();
            if exists {
                client = world.visitor(|session| set(session, &NAME, "x"));
            }
            let mut session = world.open(&client);
            set(&mut session, &NAME, "x");
            session.set(&B, 1).unwrap();
            *session.get_mut(&NAME).unwrap().unwrap() = text(40);
            world.store.calls();
            let failed = world.commit(session).expect_err("it is too large");
            let CommitError::Attribute(error) = failed.error() else { panic!("{failed}") };
            let name = "name".to_owned();
            assert_eq!(*error, SetError::ValueTooLarge { name, len: 40, max: 32 });
            assert!(failed.to_string().contains("name"));
            assert_eq!(world.store.calls(), [], "nothing was sent");
            // It can be mended.
            let mut session = failed.into_session();
            *session.get_mut(&NAME).unwrap().unwrap() = text(20);
            world.leave(&mut client, session);
            assert_eq!(world.open(&client).get(&NAME), Ok(Some(text(20))));
        }
    });
}

#[test]
fn lent_values_together_do_not_outgrow_the_session() {
    const NAMES: [Key<String>; 3] = [Key::new("x"), Key::new("y"), Key::new("z")];
    both(&tight(), |world| {
        for exists in [true, false] {
            let small = |session: &mut Session| {
                for key in &NAMES {
                    set(session, key, "small");
                }
            };
            let mut client = Client::default();
            if exists {
                client = world.visitor(small);
            }
            let mut session = world.open(&client);
            small(&mut session);
            for key in &NAMES {
                *session.get_mut(key).unwrap().unwrap() = text(30);
            }
            let failed = world.commit(session).expect_err("it is too large");
            let CommitError::Attribute(error) = failed.error() else { panic!("{failed}") };
            assert!(matches!(error, SetError::SessionTooLarge { max: 64, .. }), "{error}");
        }
    });
}

#[test]
fn a_lent_value_that_cannot_be_stored_is_named_at_commit() {
    #[derive(Debug, Deserialize, Serialize)]
    struct Skips {
        #[serde(skip_serializing_if = "Option::is_none")]
        x: Option<u32>,
    }

    both(&Policy::default(), |world| {
        let key = Key::<Skips>::new("skips").postcard(1);
        let client = world.visitor(|s| s.set(&key, Skips { x: Some(1) }).unwrap());
        let mut session = world.open(&client);
        session.get_mut(&key).unwrap().unwrap().x = None;
        let failed = world.commit(session).expect_err("it cannot be stored");
        let CommitError::Attribute(error) = failed.error() else { panic!("{failed}") };
        let source = EncodeError::SkippedField;
        assert_eq!(*error, SetError::Encode { name: "skips".to_owned(), source });
    });
}

#[test]
fn a_session_beyond_its_limits_still_loads_and_may_only_shrink() {
    let generous = World::by_default();
    let mut client = generous.visitor(|session| {
        for name in ["v", "w", "x", "y", "z"] {
            set(session, &Key::named(name), &text(50));
        }
    });
    let world = generous.under(tight());
    let (v, w) = (Key::<String>::new("v"), Key::<String>::new("w"));
    world.visit(&mut client, |session| {
        assert_eq!(session.len(), 5);
        assert!(session.set(&A, 1).unwrap_err().is_limit());
        assert!(session.set(&v, text(51)).unwrap_err().is_limit());
        assert!(session.add(&HITS, 1).unwrap_err().is_limit());
        session.set(&v, text(50)).expect("it is no larger");
        session.set(&w, text(10)).expect("it is smaller");
        assert!(session.set(&w, text(11)).unwrap_err().is_limit());
        assert!(session.remove(&v));
        session.get_mut(&Key::<String>::new("x")).unwrap().unwrap().pop();
    });
    let session = world.open(&client);
    assert_eq!(session.names(), ["w", "x", "y", "z"]);
    assert_eq!(session.get(&w), Ok(Some(text(10))));
    assert_eq!(session.get(&Key::<String>::new("x")), Ok(Some(text(49))));
    drop(session);
    world.visit(&mut client, |session| session.login("ada").unwrap());
    assert_eq!(world.open(&client).principal(), Some("ada"));
}
