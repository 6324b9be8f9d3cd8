//! What the layer sends for each kind of token, whatever the handler does.

use axum::Router;
use sessile_core::{CreateWhen, Policy};

use crate::common::{Client, World};
use crate::layer::routes;

/// What a client presents.
#[derive(Clone, Copy, Debug)]
enum Presented {
    Nothing,
    Malformed,
    /// It names no session.
    Unknown,
    /// It names one that has ended.
    Expired,
    /// It names one that lives, which does not know its verifier.
    Forged,
    /// A login replaced it.
    Replaced,
    /// A renewal replaced it, and its grace is over.
    Old,
    /// A renewal replaced it a moment ago.
    Grace,
    Current,
}

/// What the handler does, and what the client must learn: nothing (`-`), a token (`new`), that its
/// own is worthless (`gone`), or that its request failed (a status).
const PATHS: [&str; 5] = ["/read", "/write", "/login", "/logout", "/renew"];

#[rustfmt::skip]
const WRITTEN: [(Presented, [&str; 5]); 9] = [
    (Presented::Nothing,   ["-", "new", "new", "-",    "-"]),
    (Presented::Malformed, ["-", "new", "new", "-",    "-"]),
    (Presented::Unknown,   ["-", "new", "new", "-",    "-"]),
    (Presented::Expired,   ["-", "new", "new", "-",    "-"]),
    (Presented::Forged,    ["-", "new", "new", "-",    "-"]),
    (Presented::Replaced,  ["-", "410", "new", "gone", "410"]),
    (Presented::Old,       ["-", "410", "new", "gone", "410"]),
    (Presented::Grace,     ["-", "-",   "new", "gone", "-"]),
    (Presented::Current,   ["-", "-",   "new", "gone", "new"]),
];

#[rustfmt::skip]
const OPENED: [(Presented, [&str; 5]); 9] = [
    (Presented::Nothing,   ["new", "new", "new", "-",    "new"]),
    (Presented::Malformed, ["new", "new", "new", "-",    "new"]),
    (Presented::Unknown,   ["new", "new", "new", "-",    "new"]),
    (Presented::Expired,   ["new", "new", "new", "-",    "new"]),
    (Presented::Forged,    ["-",   "new", "new", "-",    "-"]),
    (Presented::Replaced,  ["-",   "410", "new", "gone", "410"]),
    (Presented::Old,       ["-",   "410", "new", "gone", "410"]),
    (Presented::Grace,     ["-",   "-",   "new", "gone", "-"]),
    (Presented::Current,   ["-",   "-",   "new", "gone", "new"]),
];

#[tokio::test]
async fn what_a_client_learns_is_the_table_of_what_it_presents_and_what_the_handler_does() {
    for (create, table) in [(CreateWhen::Written, WRITTEN), (CreateWhen::Opened, OPENED)] {
        let policy = Policy::builder().create(create).build().unwrap();
        for (presented, learned) in table {
            for (path, learned) in PATHS.into_iter().zip(learned) {
                let said = learn(policy.clone(), presented, path).await;
                assert_eq!(said, learned, "{create:?}, {presented:?}, {path}");
            }
        }
    }
}

#[tokio::test]
async fn no_number_of_parallel_renewals_puts_a_cookie_over_a_good_one() {
    let world = World::new();
    let app = routes().layer(world.layer());
    let mut client = Client::default();
    client.get(&app, "/write").await;
    let mut first = client.clone();
    for _ in 0..20 {
        client.get(&app, "/renew").await;
    }
    let answer = first.get(&app, "/write").await;
    assert_eq!((answer.status.as_u16(), answer.header("set-cookie")), (200, None));
    assert_eq!(world.sessions(), 1);
}

/// Sends one request in a world of its own, and says what the client learns.
async fn learn(policy: Policy, presented: Presented, path: &str) -> String {
    let world = World::with(policy);
    let app = routes().layer(world.layer());
    let mut client = Client { cookie: present(&world, &app, presented).await };
    let before = client.cookie.clone();
    let answer = client.get(&app, path).await;
    let learned = match answer.header("set-cookie") {
        None => "-",
        Some(line) if line.contains("Max-Age=0") => "gone",
        Some(_) => "new",
    };
    assert!(learned != "new" || client.cookie != before, "a presented token is never sent back");
    if answer.status.is_success() {
        return learned.to_owned();
    }
    assert_eq!(learned, "-", "a request that failed tells the client nothing");
    answer.status.as_u16().to_string()
}

/// Returns the cookie a client presents.
async fn present(world: &World, app: &Router, presented: Presented) -> Option<String> {
    let mut client = Client::default();
    client.get(app, "/write").await;
    let good = client.cookie.clone().expect("the client was sent a token");
    Some(match presented {
        Presented::Nothing => return None,
        Presented::Malformed => "__Host-session=../../etc/passwd".to_owned(),
        Presented::Unknown => format!("__Host-session={}", "A".repeat(43)),
        Presented::Expired => {
            world.clock.pass(24 * 60 * 60 * 1000);
            good
        }
        Presented::Forged => format!("{}AAAA", &good[..good.len() - 4]),
        Presented::Replaced => {
            client.get(app, "/login").await;
            good
        }
        Presented::Old | Presented::Grace => {
            client.get(app, "/renew").await;
            let is_old = matches!(presented, Presented::Old);
            world.clock.pass(if is_old { 10_000 } else { 5_000 });
            good
        }
        Presented::Current => good,
    })
}
