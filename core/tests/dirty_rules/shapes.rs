//! Types that do not take every text, what is behind them, and types that look like one another.

use std::fmt::Debug;
use std::num::NonZeroU32;

use serde::de::DeserializeOwned;

use crate::*;

/// Text that must look like something.
macro_rules! texts {
    ($($name:ident: $is_one:expr;)*) => {
        $(
            #[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
            #[serde(try_from = "String", into = "String")]
            struct $name(String);

            impl TryFrom<String> for $name {
                type Error = &'static str;

                fn try_from(text: String) -> Result<Self, Self::Error> {
                    let is_one: fn(&str) -> bool = $is_one;
                    if is_one(&text) { Ok(Self(text)) } else { Err("it looks otherwise") }
                }
            }

            impl From<$name> for String {
                fn from(text: $name) -> Self {
                    text.0
                }
            }
        )*
    };
}

texts! {
    Email: |text| text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    Url: |text| text.starts_with("https://") && text.len() > 8;
    Moment: |text| text.len() == 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z');
    Date: |text| text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    Time: |text| text.len() == 8 && text.as_bytes()[2] == b':' && text.as_bytes()[5] == b':';
    Uuid: |text| text.len() == 36 && text.as_bytes()[8] == b'-' && text.as_bytes()[14] == b'4';
    Address: |text| text.parse::<std::net::IpAddr>().is_ok();
    Socket: |text| text.parse::<std::net::SocketAddr>().is_ok();
    Version: |text| text.split('.').filter(|part| part.parse::<u32>().is_ok()).count() == 3;
    Language: |text| text.len() == 5 && text.as_bytes()[2] == b'-';
    Currency: |text| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    Decimal: |text| text.parse::<f64>().is_ok();
    Digest: |text| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    Empty: str::is_empty;
    // In a notation nobody else has.
    Odd: |text| text.starts_with("<odd>");
}

fn email() -> Email {
    Email("ada@example.com".to_owned())
}

fn odd() -> Odd {
    Odd("<odd>".to_owned())
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Role {
    Guest,
    #[serde(skip)]
    #[expect(dead_code, reason = "it is never written")]
    Internal,
    User,
    Admin,
}

/// Sets a value under a key of its own and reads it back.
#[track_caller]
fn stored<T>(key: &Key<T>, value: T) -> Result<(), EncodeError>
where
    T: Debug + DeserializeOwned + PartialEq + Serialize + 'static,
{
    let world = World::by_default();
    let mut client = Client::default();
    let mut session = world.open(&client);
    match session.set(key, &value) {
        Ok(()) => {}
        Err(SetError::Encode { source, .. }) => {
            assert!(session.is_empty(), "unchanged");
            return Err(source);
        }
        Err(error) => panic!("{error}"),
    }
    world.leave(&mut client, session);
    assert_eq!(world.open(&client).get(key), Ok(Some(value)));
    Ok(())
}

fn plain<T>() -> Key<T> {
    Key::new("value")
}

fn tagged<T>() -> Key<T> {
    plain().tagged(1)
}

/// Reports whether what was stored as one type is read as the other.
#[track_caller]
fn is_read_as<Written, Read>(value: Written) -> bool
where
    Written: Debug + DeserializeOwned + Serialize + 'static,
    Read: Debug + DeserializeOwned + Serialize + 'static,
{
    let world = World::by_default();
    let client =
        world.visitor(|session| session.set(&plain::<Written>(), value).expect("it can be stored"));
    world.open(&client).get(&plain::<Read>()).is_ok()
}

#[test]
fn a_type_the_probe_cannot_see_to_its_end_needs_a_tag() {
    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    enum OneIsOdd {
        Even(u8),
        Odd(Odd),
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct Node {
        odd: Option<Odd>,
        next: Option<Box<Node>>,
    }

    #[track_caller]
    fn needs_a_tag<T: Clone + Debug + DeserializeOwned + PartialEq + Serialize + 'static>(
        value: T,
    ) {
        assert_eq!(stored(&plain(), value.clone()), Err(EncodeError::UnknownShape));
        assert_eq!(stored(&tagged(), value.clone()), Ok(()));
        #[cfg(feature = "json")]
        assert_eq!(stored(&plain().json(), value), Ok(()));
    }

    needs_a_tag(odd());
    needs_a_tag((odd(), 1_u32));
    needs_a_tag((1_u32, odd()));
    needs_a_tag(None::<Odd>);
    needs_a_tag(Vec::<Odd>::new());
    needs_a_tag(vec![odd(), odd()]);
    needs_a_tag(BTreeMap::from([("a".to_owned(), Some(odd()))]));
    needs_a_tag(OneIsOdd::Even(1));
    needs_a_tag(OneIsOdd::Odd(odd()));
    needs_a_tag(Ok::<u8, Odd>(1));
    let node = Node { odd: None, next: None };
    needs_a_tag(Node { odd: Some(odd()), next: Some(Box::new(node)) });
}

#[test]
fn a_type_too_large_to_be_looked_at_needs_a_tag() {
    type Thousand = [[(); 32]; 32];
    type Million = [[Thousand; 32]; 32];
    assert_eq!(stored(&plain(), [Thousand::default(); 8]), Ok(()));
    assert_eq!(stored(&plain(), Million::default()), Err(EncodeError::UnknownShape));
    assert_eq!(stored(&tagged(), Million::default()), Ok(()));
    assert!(!is_read_as::<_, ([Thousand; 8], u8)>(([Thousand::default(); 8], true)));
}

#[test]
fn a_type_without_a_fingerprint_reads_nothing_without_a_tag() {
    let world = World::by_default();
    let mut client = world.visitor(|session| session.set(&tagged::<Odd>(), odd()).unwrap());
    let session = world.open(&client);
    assert_eq!(session.get(&tagged()), Ok(Some(odd())));
    assert!(session.get(&plain::<Odd>()).is_err());
    assert!(session.get(&plain::<Odd>().tagged(2)).is_err());
    assert_eq!(session.get(&plain::<Odd>().on_mismatch(OnMismatch::Absent)), Ok(None));
    // Nor what a type with a fingerprint wrote.
    world
        .visit(&mut client, |session| session.set(&plain::<String>(), "<odd>".to_owned()).unwrap());
    assert!(world.open(&client).get(&plain::<Odd>()).is_err());
}

#[test]
fn texts_of_every_usual_notation_need_no_tag() {
    #[track_caller]
    fn is_told_apart<T: Clone + Debug + DeserializeOwned + PartialEq + Serialize + 'static>(
        text: T,
    ) {
        assert_eq!(stored(&plain(), (text.clone(), 7_u32)), Ok(()));
        assert!(!is_read_as::<_, (T, i32)>((text.clone(), 7_u32)));
        assert!(!is_read_as::<_, (Vec<T>, Option<T>, i32)>((
            vec![text.clone()],
            Some(text),
            7_u32
        )));
    }

    is_told_apart(email());
    is_told_apart(Url("https://example.org/path".to_owned()));
    is_told_apart(Moment("2026-11-21T05:49:00Z".to_owned()));
    is_told_apart(Date("2026-11-21".to_owned()));
    is_told_apart(Time("05:49:00".to_owned()));
    is_told_apart(Uuid("00000000-0000-4000-8000-000000000000".to_owned()));
    is_told_apart(Address("::1".to_owned()));
    is_told_apart(Socket("[::1]:80".to_owned()));
    is_told_apart(Version("1.2.3".to_owned()));
    is_told_apart(Language("de-AT".to_owned()));
    is_told_apart(Currency("EUR".to_owned()));
    is_told_apart(Decimal("1e3".to_owned()));
    is_told_apart(Digest("f".repeat(64)));
    is_told_apart(Empty(String::new()));
}

#[test]
fn what_is_behind_a_text_in_a_notation_is_guarded_too() {
    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct Secretive {
        email: Email,
        #[serde(skip_serializing, default)]
        password: u8,
        level: u8,
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u8),
    }

    let skipped = Err(EncodeError::SkippedVariant);
    assert_eq!(stored(&plain(), (email(), Role::User)), skipped);
    assert_eq!(stored(&plain(), (None::<Email>, Role::User)), skipped);
    assert_eq!(stored(&plain(), (Vec::<Email>::new(), Role::User)), skipped);
    let all = (Decimal("1".to_owned()), Moment("2026-11-21T05:49:00Z".to_owned()), email());
    assert_eq!(stored(&plain(), (all.clone(), Role::User)), skipped);
    assert_eq!(stored(&plain(), (all, Role::Guest)), Ok(()));
    let secretive = Secretive { email: email(), password: 0, level: 3 };
    assert_eq!(stored(&plain(), (secretive, 9_u8)), Err(EncodeError::SkippedField));
    let untagged = (email(), Untagged::Number(1));
    assert_eq!(stored(&plain(), untagged), Err(EncodeError::NotSelfDescribing));
}

#[test]
fn numbers_lengths_and_values_that_must_fit_together_need_no_tag() {
    macro_rules! checked {
        ($($name:ident($raw:ty): $is_one:expr;)*) => {
            $(
                #[derive(Clone, Debug, PartialEq, Serialize)]
                struct $name($raw);

                impl<'de> Deserialize<'de> for $name {
                    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                        let raw = <$raw>::deserialize(from)?;
                        let is_one: fn(&$raw) -> bool = $is_one;
                        let wrong = || serde::de::Error::custom("it does not fit");
                        is_one(&raw).then_some(Self(raw)).ok_or_else(wrong)
                    }
                }
            )*
        };
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct Range {
        name: String,
        from: i64,
        to: u8,
        is_open: bool,
    }

    checked! {
        Port(u16): |port| *port >= 1024;
        Percent(i8): |percent| (5..=100).contains(percent);
        Share(f64): |share| *share > 0.0 && *share < 1.0;
        Letter(char): char::is_ascii_uppercase;
        Several(Vec<Email>): |emails| emails.len() >= 2;
        Pairs(BTreeMap<Email, u8>): |pairs| !pairs.is_empty();
        Named(Range): |range| !range.name.is_empty();
        Ordered(Range): |range| range.from < range.to.into();
        Either(Result<u8, Email>): |either| *either != Ok(0);
    }

    #[track_caller]
    fn is_seen<T: Clone + Debug + DeserializeOwned + PartialEq + Serialize + 'static>(value: T) {
        assert_eq!(stored(&plain(), (email(), value.clone(), Role::Guest)), Ok(()));
        let skipped = Err(EncodeError::SkippedVariant);
        assert_eq!(stored(&plain(), (email(), value, Role::User)), skipped);
    }

    is_seen(Port(8080));
    is_seen(Percent(50));
    is_seen(Share(0.25));
    is_seen(Letter('Z'));
    is_seen(Several(vec![email(); 2]));
    is_seen(Pairs(BTreeMap::from([(email(), 1)])));
    let range = Range { name: "day".to_owned(), from: 0, to: 24, is_open: true };
    is_seen(Named(range.clone()));
    is_seen(Ordered(range));
    is_seen(Either(Err(email())));
    is_seen(Some(vec![(Port(8080), Some(Several(vec![email(); 3])))]));
}

#[test]
fn under_a_tag_too_nothing_is_stored_that_reads_back_as_another_value() {
    fn is_zero(number: &u8) -> bool {
        *number == 0
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct SkipsIf(#[serde(skip_serializing_if = "is_zero")] u8, Vec<u8>);

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct Skips {
        #[serde(skip_serializing, default)]
        x: u32,
        y: u32,
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct SkipsOption(u8, #[serde(skip_serializing_if = "Option::is_none")] Option<u8>);

    let not_read_back = Err(EncodeError::NotReadBack);
    assert_eq!(stored(&tagged(), (odd(), Role::Guest)), Ok(()));
    assert_eq!(stored(&tagged(), (odd(), Role::User)), not_read_back);
    assert_eq!(stored(&tagged(), (odd(), Role::Admin)), not_read_back);
    assert_eq!(stored(&tagged(), (odd(), Skips { x: 1, y: 2 }, 3_u8)), not_read_back);
    assert_eq!(stored(&tagged(), (odd(), SkipsOption(1, Some(2)), 3_u8)), Ok(()));
    assert_eq!(stored(&tagged(), (odd(), SkipsOption(1, None), 0_u8)), not_read_back);
    // The bytes of these two are the same.
    assert_eq!(stored(&tagged(), (odd(), SkipsIf(2, vec![9]))), Ok(()));
    assert_eq!(stored(&tagged(), (odd(), SkipsIf(0, vec![1, 9]))), not_read_back);
}

#[test]
fn what_comes_in_any_order_can_be_stored_under_a_tag() {
    use std::collections::HashSet;

    for _ in 0..10 {
        let numbers: HashSet<u32> = (0..50).collect();
        let texts: Vec<HashSet<Odd>> = vec![(0..9).map(|n| Odd(format!("<odd>{n}"))).collect(); 3];
        assert_eq!(stored(&tagged(), (odd(), numbers, texts)), Ok(()));
    }
}

#[test]
fn a_change_of_type_is_noticed_however_deep_it_is() {
    #[derive(Debug, Deserialize, Serialize)]
    enum Outer<T> {
        Nothing,
        Inner(Inner<T>),
    }

    #[derive(Debug, Deserialize, Serialize)]
    enum Inner<T> {
        First(u8),
        Second { list: Vec<Option<T>> },
    }

    #[derive(Debug, Deserialize, Serialize)]
    enum Tree<T> {
        Node(Box<Tree<T>>, Box<Tree<T>>),
        Leaf(T),
    }

    type Deep<T> = Vec<Vec<Vec<Vec<Vec<Vec<Vec<Vec<Vec<Vec<T>>>>>>>>>>;

    assert!(!is_read_as::<_, Outer<i32>>(Outer::<u32>::Nothing));
    assert!(!is_read_as::<_, Tree<i32>>(Tree::Leaf(1_u32)));
    let leaf = || Box::new(Tree::Leaf(1_u8));
    assert!(is_read_as::<_, Tree<u8>>(Tree::Node(leaf(), leaf())));
    assert!(!is_read_as::<_, (Tree<u8>, Outer<i32>)>((Tree::Leaf(1_u8), Outer::<u32>::Nothing)));
    assert!(!is_read_as::<_, Deep<i32>>(Deep::<u32>::new()));
    assert!(!is_read_as::<_, (NonZeroU32, Role, i32)>((NonZeroU32::MIN, Role::Guest, 1_u32)));
    // Two of one name in one type.
    type Twice<A, B> = (Result<u8, A>, Result<u8, B>);
    assert!(!is_read_as::<_, Twice<u16, i16>>(Twice::<u16, u16>::from((Ok(1), Ok(2)))));
    assert!(is_read_as::<_, Twice<u16, i16>>(Twice::<u16, i16>::from((Ok(1), Err(-1)))));
}

mod one {
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    pub(super) struct Pair(
        pub(super) u8,
        #[serde(skip_serializing_if = "Option::is_none")] pub(super) Option<u8>,
        pub(super) u8,
    );

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    pub(super) enum Role {
        Guest,
        #[serde(skip)]
        #[expect(dead_code, reason = "it is never written")]
        Internal,
        User,
        Admin,
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    pub(super) struct Point {
        pub(super) x: u8,
        pub(super) y: u8,
    }
}

mod other {
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    pub(super) struct Pair(pub(super) u8, pub(super) u8);

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    pub(super) enum Role {
        Guest,
        Member,
        User,
        Admin,
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    pub(super) struct Point {
        pub(super) lon: u8,
        pub(super) lat: u8,
    }
}

#[test]
fn types_of_one_name_are_kept_or_refused_but_never_changed() {
    let not_read_back = Err(EncodeError::NotReadBack);
    let pairs = |maybe| (one::Pair(5, maybe, 0), other::Pair(1, 2), 3_u8);
    assert_eq!(stored(&plain(), pairs(Some(1))), Ok(()));
    assert_eq!(stored(&plain(), pairs(None)), not_read_back);
    let roles = |role| (role, other::Role::User);
    assert_eq!(stored(&plain(), roles(one::Role::Guest)), Ok(()));
    assert_eq!(stored(&plain(), roles(one::Role::User)), not_read_back);
    assert_eq!(stored(&plain(), (other::Role::Member, one::Role::Guest)), Ok(()));
    let points = (one::Point { x: 1, y: 2 }, other::Point { lon: 3, lat: 4 });
    assert_eq!(stored(&plain(), points), Ok(()));
}

#[test]
fn a_field_that_is_only_read_is_not_mistaken_for_one_that_is_only_written() {
    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct User {
        #[serde(skip_serializing, default)]
        password: String,
        name: String,
        #[serde(skip_deserializing)]
        id: String,
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct Reordered {
        name: String,
        #[serde(skip_serializing, default)]
        password: String,
        #[serde(skip_deserializing)]
        id: String,
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct Renamed {
        #[serde(rename(serialize = "fullName"))]
        full_name: String,
        age: u8,
    }

    let [name, password, id] = ["Ada", "secret", "7"].map(ToOwned::to_owned);
    let user = Reordered { name: name.clone(), password: password.clone(), id: id.clone() };
    assert_eq!(stored(&plain(), user), Err(EncodeError::NotReadBack));
    assert_eq!(stored(&plain(), User { password, name, id }), Err(EncodeError::SkippedField));
    assert_eq!(stored(&plain(), Renamed { full_name: "Ada".to_owned(), age: 36 }), Ok(()));
}

#[test]
fn a_type_that_is_written_by_way_of_another_is_kept_if_it_is_read_back() {
    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    #[serde(into = "Celsius", from = "Kelvin")]
    struct Heat(u8);

    #[derive(Serialize)]
    struct Celsius(u8);

    #[derive(Deserialize)]
    struct Kelvin(u8, #[serde(skip)] ());

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    #[serde(into = "Short", from = "Long")]
    struct Cut(u8, u8);

    #[derive(Serialize)]
    struct Short(u8, #[serde(skip)] ());

    #[derive(Deserialize)]
    struct Long(u8, u8);

    impl From<Heat> for Celsius {
        fn from(heat: Heat) -> Self {
            Self(heat.0)
        }
    }

    impl From<Kelvin> for Heat {
        fn from(kelvin: Kelvin) -> Self {
            Self(kelvin.0)
        }
    }

    impl From<Cut> for Short {
        fn from(cut: Cut) -> Self {
            Self(cut.0, ())
        }
    }

    impl From<Long> for Cut {
        fn from(long: Long) -> Self {
            Self(long.0, long.1)
        }
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    #[serde(into = "Written", from = "Read")]
    struct Spot {
        x: u8,
        y: u8,
    }

    #[derive(Serialize)]
    #[serde(rename = "Same")]
    struct Written {
        x: u8,
        y: u8,
    }

    #[derive(Deserialize)]
    #[serde(rename = "Same")]
    struct Read(u8, u8);

    impl From<Spot> for Written {
        fn from(Spot { x, y }: Spot) -> Self {
            Self { x, y }
        }
    }

    impl From<Read> for Spot {
        fn from(Read(x, y): Read) -> Self {
            Self { x, y }
        }
    }

    assert_eq!(stored(&plain(), (Heat(20), 1_u8)), Ok(()));
    assert_eq!(stored(&plain(), (Spot { x: 1, y: 2 }, 1_u8)), Ok(()));
    assert_eq!(stored(&plain(), (Cut(1, 2), 3_u8)), Err(EncodeError::NotReadBack));
}

#[test]
fn what_a_type_passes_over_is_looked_at_all_the_same() {
    /// Takes what cannot be read for absent, which must not hide what is behind it.
    fn lenient<'de, T: Deserialize<'de>, D>(from: D) -> Result<Option<T>, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        Ok(T::deserialize(from).ok())
    }

    fn plainly<T: Serialize, S: serde::Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().expect("it is there").serialize(to)
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct Lenient<T>(
        #[serde(deserialize_with = "lenient", serialize_with = "plainly")]
        #[serde(bound(deserialize = "T: Deserialize<'de>", serialize = "T: Serialize"))]
        Option<T>,
    );

    assert_eq!(stored(&plain(), Lenient(Some((email(), Role::Guest)))), Ok(()));
    let skipped = Err(EncodeError::SkippedVariant);
    assert_eq!(stored(&plain(), Lenient(Some((email(), Role::User)))), skipped);
    assert_eq!(stored(&plain(), vec![Some(Lenient(Some((email(), Role::User))))]), skipped);
    let unknown = Err(EncodeError::UnknownShape);
    assert_eq!(stored(&plain(), Lenient(Some((odd(), Role::Guest)))), unknown);
}
