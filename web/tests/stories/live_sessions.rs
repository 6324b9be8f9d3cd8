//! Sessions of WebSockets and long streams.

use std::time::Duration;

use sessile_core::{Policy, PolicyBuilder};
use sessile_testkit::Stopwatch;

use super::browser::Browser;
use super::framework::Running;
use super::http::{Request, within};
use super::socket::Socket;
use super::world::World;

const IDLE: Duration = Duration::from_millis(1_500);
/// Longer than a session lives that nothing touches.
const TRAFFIC: Duration = Duration::from_millis(2_500);

fn policy() -> PolicyBuilder {
    Policy::builder().idle_timeout(IDLE)
}

/// Starts a server, and a client that is logged in, in a world whose time goes by itself.
async fn start(world: &World) -> (Running, Browser) {
    world.time.run();
    let server = world.serve(policy()).await;
    let mut client = world.browser();
    client.get(&server, "/do?login=ada&set=name:Ada").await;
    (server, client)
}

pub(crate) async fn a_socket_lives_through_traffic_and_a_login_and_ends_with_a_logout(
    world: World,
) {
    let (server, mut client) = start(&world).await;
    let mut socket = Socket::connect(&client, &server).await;
    let mut old = client.clone();
    talk(&mut socket).await;
    let answer = client.get(&server, "/do?login=eve&set=name:Eve").await;
    assert_eq!((answer.status, client.token() != old.token()), (200, true));
    assert_eq!(socket.say("read name").await.as_deref(), Some("Eve"), "it reads again");
    talk(&mut socket).await;
    assert_eq!(old.get(&server, "/do?stale").await.body, "true");
    assert_eq!(socket.say("update").await.as_deref(), Some("done"));
    assert_eq!(client.get(&server, "/do?total").await.body, "1");
    client.get(&server, "/do?logout").await;
    let logged_out = Stopwatch::start();
    assert_eq!(socket.hear().await, None, "it ends by itself");
    assert!(logged_out.elapsed() < Duration::from_secs(1), "{:?}", logged_out.elapsed());
    assert_eq!(world.stored().await, 0, "nothing came back");
}

/// Lets the socket alone be what keeps the session alive.
async fn talk(socket: &mut Socket) {
    let begun = Stopwatch::start();
    while begun.elapsed() < TRAFFIC {
        tokio::time::sleep(IDLE / 10).await;
        assert_eq!(socket.say("ping").await.as_deref(), Some("pong"));
    }
}

pub(crate) async fn a_socket_that_is_silent_ends_with_its_session(world: World) {
    let (server, mut client) = start(&world).await;
    let mut socket = Socket::connect(&client, &server).await;
    assert_eq!(socket.say("read name").await.as_deref(), Some("Ada"));
    assert_eq!(socket.hear().await, None);
    assert_eq!(client.get(&server, "/do?new&who").await.body, "true -");
}

pub(crate) async fn updates_of_sockets_and_requests_at_once_all_count(world: World) {
    let server = world.serve(Policy::builder()).await;
    let mut client = world.browser();
    client.get(&server, "/do?login=ada").await;
    let server = std::sync::Arc::new(server);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let (client, server) = (client.clone(), std::sync::Arc::clone(&server));
        running.spawn(async move {
            let mut socket = Socket::connect(&client, &server).await;
            for _ in 0..5 {
                assert_eq!(socket.say("update").await.as_deref(), Some("done"));
            }
        });
    }
    for _ in 0..25 {
        let (mut client, server) = (client.clone(), std::sync::Arc::clone(&server));
        running.spawn(async move {
            let answer = client.get(&server, "/do?update").await;
            assert_eq!(answer.status, 200, "{answer:?}");
        });
    }
    running.join_all().await;
    assert_eq!(client.get(&server, "/do?total").await.body, "50");
}

pub(crate) async fn a_stream_of_events_lives_on_and_ends_with_a_logout(world: World) {
    let (server, mut client) = start(&world).await;
    let mut stream = client.open(&server, Request::get("/events"), "/events").await;
    assert_eq!(stream.answer.header("content-type"), Some("text/event-stream"));
    let begun = Stopwatch::start();
    let mut last = Vec::new();
    while begun.elapsed() < IDLE * 2 {
        last = within("an event", stream.chunk()).await.expect("the session lives");
    }
    assert_eq!(String::from_utf8_lossy(&last), "data: Ada\n\n");
    client.get(&server, "/do?login=eve&set=name:Eve").await;
    let changed =
        async { while stream.chunk().await.expect("the session lives") != b"data: Eve\n\n" {} };
    within("the stream reads again", changed).await;
    client.get(&server, "/do?logout").await;
    let logged_out = Stopwatch::start();
    let ended = async { while stream.chunk().await.is_some() {} };
    within("the stream ends", ended).await;
    assert!(logged_out.elapsed() < Duration::from_secs(1), "{:?}", logged_out.elapsed());
}
