//! A browser may hold several cookies of one name and does not say which is which.

use std::time::Duration;

use sessile_core::Policy;
use sessile_web::CookieTransport;

use super::browser::Browser;
use super::framework::Running;
use super::perform::encode;
use super::world::World;

/// Any host and path may have such a cookie.
const NAME: &str = "sid";
const MOMENT: Duration = Duration::from_millis(1);

fn transport() -> CookieTransport {
    let built = CookieTransport::builder().name(NAME).build();
    built.expect("it is a good cookie")
}

/// Starts a server, and a session of a client of its own; returns its token as well.
async fn start(world: &World, name: &str) -> (Running, Browser, String) {
    // A session that a request takes is touched, even if it was used a moment ago.
    let policy = Policy::builder().touch_interval(MOMENT);
    let server = world.serve_with(policy, transport()).await;
    let (client, token) = visit(world, &server, name).await;
    (server, client, token)
}

async fn visit(world: &World, server: &Running, name: &str) -> (Browser, String) {
    let mut client = world.browser();
    client.get(server, &format!("/do?set=name:{name}")).await;
    let token = client.value(NAME).expect("a session that was written has a cookie");
    (client, token)
}

/// Returns tokens that are worth nothing, each with a word that says why.
async fn worthless(world: &World, server: &Running) -> Vec<(&'static str, String)> {
    let (mut gone, ended) = visit(world, server, "Gone").await;
    gone.get(server, "/do?logout").await;
    let (mut newer, stale) = visit(world, server, "Other").await;
    newer.get(server, "/do?rotate").await;
    let forged = format!("{}AAAA", &stale[..stale.len() - 4]);
    vec![
        ("unknown", "A".repeat(43)),
        ("malformed", "../../etc/passwd".to_owned()),
        ("ended", ended),
        ("stale", stale),
        ("forged", forged),
    ]
}

pub(crate) async fn of_several_cookies_of_one_name_the_one_that_lives_is_taken(world: World) {
    let (server, client, good) = start(&world, "Ada").await;
    let worthless = worthless(&world, &server).await;
    world.time.pass(MOMENT * 2).await;
    let others: Vec<_> = world.logs().await;
    for (why, worthless) in &worthless {
        // Browsers send those of the longer path first.
        for (first, second) in [(&good, worthless), (worthless, &good)] {
            let mut both = world.browser();
            both.plant(&format!("{NAME}={first}; Path=/shop; Secure"));
            both.plant(&format!("{NAME}={second}; Path=/; Secure"));
            let answer = both.get(&server, "/shop/do?get=name").await;
            assert_eq!(answer.body, "Ada", "{why}");
            assert_eq!(answer.header("set-cookie"), None, "{why}");
            both.get(&server, "/shop/do?add").await;
        }
    }
    let mut client = client;
    assert_eq!(client.get(&server, "/do?count").await.body, "10");
    let now = world.logs().await;
    let changed = now.iter().filter(|log| !others.contains(log)).count();
    assert_eq!((now.len(), changed), (2, 1), "only the one that was taken was written to");
}

pub(crate) async fn of_two_cookies_that_live_none_is_taken_and_neither_is_changed(world: World) {
    let (server, mut client, good) = start(&world, "Ada").await;
    let (mut other, planted) = visit(&world, &server, "Mallory").await;
    world.time.pass(MOMENT * 2).await;
    for (first, second) in [(&good, &planted), (&planted, &good)] {
        let before = world.logs().await;
        let mut both = world.browser();
        both.plant(&format!("{NAME}={first}; Path=/shop; Secure"));
        both.plant(&format!("{NAME}={second}; Path=/; Secure"));
        let answer = both.get(&server, "/shop/do?new&names&who").await;
        assert_eq!(answer.body, "true [] -");
        assert_eq!(answer.header("set-cookie"), None);
        let answer = both.get(&server, "/shop/do?logout").await;
        assert_eq!((answer.status, answer.header("set-cookie")), (200, None));
        assert_eq!(world.logs().await, before);

        // Who writes gets a session of its own, and the application makes room for its cookie.
        let expire = encode(&format!("{NAME}=; Path=/shop; Secure; Max-Age=0"));
        both.get(&server, &format!("/shop/do?login=me&set=mine:1&cookie={expire}")).await;
        let answer = both.get(&server, "/shop/do?who&names").await;
        assert_eq!((answer.body.as_str(), both.cookies()), ("me [mine]", 1));
        let logs = world.logs().await;
        assert!(before.iter().all(|log| logs.contains(log)), "neither was changed");
    }
    assert_eq!(client.get(&server, "/do?names&get=name").await.body, "[name] Ada");
    assert_eq!(other.get(&server, "/do?names&get=name").await.body, "[name] Mallory");
}

pub(crate) async fn an_old_cookie_that_the_application_expires_goes(world: World) {
    for scope in ["Path=/old", "Domain=shop.example; Path=/", "Path=/; Partitioned"] {
        let world = world.another();
        let server = world.serve_with(Policy::builder(), transport()).await;
        let mut client = world.browser();
        client.plant(&format!("{NAME}={}; {scope}; Secure", "B".repeat(43)));
        let expire = encode(&format!("{NAME}=; {scope}; Secure; Max-Age=0"));
        let answer = client.get(&server, &format!("/do?login=ada&cookie={expire}")).await;
        assert_eq!(answer.all("set-cookie").count(), 2, "{scope}: {answer:?}");
        assert_eq!(client.cookies(), 1, "{scope}: only that of the layer is left");
        assert_eq!(client.get(&server, "/old/do?who").await.body, "ada", "{scope}");
    }
    // The one that means the layer's own does not stand beside it.
    let server = world.serve_with(Policy::builder(), transport()).await;
    let mut client = world.browser();
    let expire = encode(&format!("{NAME}=; Path=/; Secure; Max-Age=0"));
    let answer = client.get(&server, &format!("/do?login=ada&cookie={expire}")).await;
    assert_eq!(answer.all("set-cookie").count(), 1, "{answer:?}");
    assert_eq!(client.get(&server, "/do?who").await.body, "ada");
}
