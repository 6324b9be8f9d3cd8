//! What a request leaves that failed.

use std::time::Duration;

use sessile_core::store::BoxStore;
use sessile_core::{OnServerError, Policy, Sessions};
use sessile_web::Transports;

use super::browser::Browser;
use super::framework::{Layer, Running};
use super::world::World;

/// Longer than no handler that ends, and shorter than one that hangs.
const SOON: Duration = Duration::from_millis(500);

/// Gives a client a session with a name.
async fn visit(world: &World, server: &Running) -> Browser {
    let mut client = world.browser();
    assert_eq!(client.get(server, "/do?set=name:Ada").await.status, 200);
    client
}

/// Checks that requests for these targets are answered so and leave nothing, be it of a client with
/// a session or of one without.
async fn leave_nothing(world: &World, server: &Running, failing: &[(&str, u16)]) {
    let mut client = visit(world, server).await;
    let (token, before) = (client.token(), world.logs().await);
    for (target, status) in failing {
        let answer = client.get(server, target).await;
        assert_eq!((answer.status, client.token()), (*status, token.clone()), "{target}");
        assert_eq!(world.logs().await, before, "{target}");
        assert_eq!(client.get(server, "/do?get=name&count").await.body, "Ada 0", "{target}");
        let mut stranger = world.browser();
        let answer = stranger.get(server, target).await;
        assert_eq!((answer.status, stranger.cookies()), (*status, 0), "{target}");
        assert_eq!(world.logs().await, before, "{target}");
    }
}

pub(crate) async fn a_server_error_leaves_nothing(world: World) {
    let server = world.serve(Policy::builder()).await;
    let failing = [
        ("/do?set=name:Eve&add&status=500", 500),
        ("/do?set=name:Eve&add&status=503", 503),
        ("/do?set=name:Eve&update&status=599", 599),
        // What a layer further in answers in place of a handler that took too long.
        ("/do?set=name:Eve&add&status=408", 408),
    ];
    leave_nothing(&world, &server, &failing).await;
    let mut client = visit(&world, &server).await;
    client.get(&server, "/do?set=name:Grace&add&status=404").await;
    let answer = client.get(&server, "/do?get=name&count").await;
    assert_eq!(answer.body, "Grace 1", "the client's own error is an answer as any other");
}

pub(crate) async fn an_error_of_the_session_leaves_nothing_whatever_becomes_of_it(world: World) {
    let server = world.serve(Policy::builder()).await;
    let failing = [
        ("/do?set=name:Eve&add&fail", 413),
        ("/anyhow?set=name:Eve&add&fail", 500),
        ("/own?set=name:Eve&add&fail", 500),
    ];
    leave_nothing(&world, &server, &failing).await;
    let mut client = visit(&world, &server).await;
    for whole in ["/anyhow?add", "/own?add"] {
        assert_eq!(client.get(&server, whole).await.status, 200, "{whole}");
    }
    assert_eq!(client.get(&server, "/do?count").await.body, "2");
}

fn session(world: &World) -> Layer {
    Layer::Session(world.sessions(Policy::builder()), Transports::default())
}

pub(crate) async fn a_panic_caught_inside_or_outside_leaves_nothing(world: World) {
    for stack in
        [vec![session(&world), Layer::CatchPanic], vec![Layer::CatchPanic, session(&world)]]
    {
        let server = world.stack(stack).await;
        leave_nothing(&world, &server, &[("/do?set=name:Eve&add&panic", 500)]).await;
    }
}

pub(crate) async fn a_timeout_inside_or_outside_leaves_nothing(world: World) {
    for status in [408, 503, 504] {
        for is_inside in [true, false] {
            let mut stack = vec![Layer::Timeout(SOON, status), session(&world)];
            if is_inside {
                stack.reverse();
            }
            let server = world.stack(stack).await;
            let target = "/do?set=name:Eve&add&hang";
            leave_nothing(&world, &server, &[(target, status)]).await;
        }
    }
}

pub(crate) async fn what_is_discarded_by_hand_leaves_nothing(world: World) {
    let server = world.serve(Policy::builder()).await;
    leave_nothing(&world, &server, &[("/do?set=name:Eve&add&discard", 200)]).await;
    let mut client = visit(&world, &server).await;
    client.get(&server, "/do?set=name:Eve&add&discard&set=colour:blue").await;
    let answer = client.get(&server, "/do?get=name&count&get=colour").await;
    assert_eq!(answer.body, "Ada 0 blue", "what comes after is not discarded");
}

/// Sessions as tomcat-redis-session-manager has them.
fn keeping(world: &World) -> Sessions<BoxStore> {
    world.sessions(Policy::builder().on_server_error(OnServerError::Keep))
}

pub(crate) async fn a_failed_request_is_kept_if_the_policy_says_so(world: World) {
    let kept = || Layer::Session(keeping(&world), Transports::default());
    let inside = vec![kept(), Layer::CatchPanic, Layer::Timeout(SOON, 503)];
    let server = world.stack(inside).await;
    for (end, status) in [("status=500", 500), ("status=408", 408), ("panic", 500), ("hang", 503)] {
        let mut client = visit(&world, &server).await;
        let answer = client.get(&server, &format!("/do?set=name:Eve&add&{end}")).await;
        assert_eq!(answer.status, status, "{end}");
        let answer = client.get(&server, "/do?get=name&count").await;
        assert_eq!(answer.body, "Eve 1", "{end}: it came to an answer");
    }
    // No handler of the session has answered, or it took its work back.
    leave_nothing(&world, &server, &[("/do?set=name:Eve&add&fail", 413)]).await;
    let outside = world.stack(vec![Layer::CatchPanic, kept()]).await;
    leave_nothing(&world, &outside, &[("/do?set=name:Eve&add&panic", 500)]).await;
}

pub(crate) async fn a_login_or_logout_whose_answer_is_a_server_error_is_done(world: World) {
    let server = world.serve(Policy::builder()).await;
    let mut client = visit(&world, &server).await;
    let mut old = client.clone();
    let target = "/do?set=name:Eve&login=ada&idle=60000&status=500";
    let answer = client.get(&server, target).await;
    assert_eq!((answer.status, client.token() != old.token()), (500, true));
    assert_eq!(client.get(&server, "/do?who&get=name").await.body, "ada Ada");
    assert_eq!(old.get(&server, "/do?stale&who").await.body, "true -", "as after any login");

    let mut stranger = world.browser();
    stranger.get(&server, "/do?set=name:Eve&login=bob&status=503").await;
    assert_eq!(stranger.get(&server, "/do?who&names").await.body, "bob []");

    let answer = client.get(&server, "/do?logout&status=500").await;
    assert_eq!((answer.status, client.token()), (500, None));
    assert_eq!(world.stored().await, 1, "that of the other");
}

pub(crate) async fn what_was_saved_in_mid_request_stays(world: World) {
    let stack = vec![
        Layer::CatchPanic,
        Layer::Timeout(SOON, 503),
        session(&world),
        Layer::Timeout(SOON * 2, 504),
    ];
    let server = world.stack(stack).await;
    for (end, status) in
        [("status=500", 500), ("fail", 413), ("panic", 500), ("hang", 503), ("discard", 200)]
    {
        let mut client = visit(&world, &server).await;
        let target = format!("/do?set=name:Eve&save&set=colour:blue&add&{end}");
        assert_eq!(client.get(&server, &target).await.status, status, "{end}");
        let answer = client.get(&server, "/do?get=name&get=colour&count").await;
        assert_eq!(answer.body, "Eve - 0", "{end}");
    }
    let mut stranger = world.browser();
    stranger.get(&server, "/do?set=name:Eve&save&set=colour:blue&status=500").await;
    let answer = stranger.get(&server, "/do?get=name&get=colour").await;
    assert_eq!(answer.body, "Eve -", "a client without a session learns of it");
}
