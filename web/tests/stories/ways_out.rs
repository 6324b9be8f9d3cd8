//! A token that was replaced is worth nothing, and its holder is never stuck with it.

use std::time::Duration;

use sessile_core::Policy;

use super::browser::Browser;
use super::framework::Running;
use super::world::World;

const GRACE: Duration = Duration::from_secs(2);

/// Replaces the token of a session and loses the answer. Returns the server, the client that did
/// not hear, and one that holds the new token.
async fn lose(world: &World, how: &str) -> (Running, Browser, Browser) {
    let server = world.serve(Policy::builder().renewal_grace(GRACE)).await;
    let mut client = world.browser();
    client.get(&server, "/do?login=ada&set=name:Ada").await;
    let mut other = client.clone();
    other.keep(&client.lose(&server, &format!("/do?{how}")).await);
    assert_ne!(client.token(), other.token(), "{how}");
    if how == "renew" {
        world.time.pass(GRACE).await;
    }
    (server, client, other)
}

pub(crate) async fn a_client_whose_new_token_was_lost_is_refused_and_logs_in_again(world: World) {
    for how in ["rotate", "login=ada", "renew"] {
        let world = world.another();
        let (server, mut client, mut other) = lose(&world, how).await;
        let answer = client.get(&server, "/do?stale&who&names").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "true - []"), "{how}");
        assert_eq!(answer.header("set-cookie"), None, "{how}");
        let before = world.logs().await;
        for write in ["set=name:Eve", "add", "update", "renew", "rotate"] {
            let answer = client.get(&server, &format!("/do?{write}")).await;
            let learned = (answer.status, answer.header("set-cookie"));
            assert_eq!(learned, (410, None), "{how}, {write}");
        }
        assert_eq!(world.logs().await, before, "{how}");

        let stale = client.token();
        let answer = client.get(&server, "/do?login=ada&set=colour:blue").await;
        assert_eq!(answer.status, 200, "{how}");
        assert!(client.token().is_some() && client.token() != stale, "{how}");
        let answer = client.get(&server, "/do?stale&who&names&get=colour").await;
        assert_eq!(answer.body, "false ada [colour] blue", "{how}: nothing is copied");
        let answer = other.get(&server, "/do?stale&who&names&get=name").await;
        assert_eq!(answer.body, "false ada [name] Ada", "{how}: the old session is as it was");
        assert_eq!(world.stored().await, 2, "{how}");
    }
}

pub(crate) async fn a_stale_token_is_forgotten_at_logout_and_the_session_stays(world: World) {
    for how in ["rotate", "login=ada", "renew"] {
        let world = world.another();
        let (server, mut client, mut other) = lose(&world, how).await;
        let answer = client.get(&server, "/do?logout").await;
        assert_eq!((answer.status, client.token()), (200, None), "{how}");
        let line = answer.header("set-cookie").expect("the client must learn that");
        assert!(line.contains("Max-Age=0") && line.contains("Path=/"), "{how}: {line}");
        assert_eq!(other.get(&server, "/do?get=name").await.body, "Ada", "{how}");
        assert_eq!(client.get(&server, "/do?new&stale&who").await.body, "true false -", "{how}");
        client.get(&server, "/do?set=name:Eve").await;
        assert_eq!(client.get(&server, "/do?get=name").await.body, "Eve", "{how}");
        assert_eq!(world.stored().await, 2, "{how}");
    }
}

pub(crate) async fn a_renewed_token_is_good_for_the_grace_and_stale_after_it(world: World) {
    let grace = Duration::from_secs(4);
    let server = world.serve(Policy::builder().renewal_grace(grace)).await;
    let mut client = world.browser();
    client.get(&server, "/do?set=name:Ada").await;
    let mut old = client.clone();
    client.get(&server, "/do?renew").await;
    let answer = old.get(&server, "/do?stale&get=name&add&count").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "false Ada 1"));
    assert_eq!(answer.header("set-cookie"), None);
    world.time.pass(grace).await;
    assert_eq!(old.get(&server, "/do?stale&get=name&count").await.body, "true - 0");
    assert_eq!(old.get(&server, "/do?add").await.status, 410);
    assert_eq!(client.get(&server, "/do?stale&get=name&count").await.body, "false Ada 1");
}
