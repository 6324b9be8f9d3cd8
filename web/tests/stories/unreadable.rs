//! What is stored and cannot be read is neither an empty session nor a store that is down.

use sessile_conformance::Fault;
use sessile_core::{OnUnreadable, Policy};
use sessile_web::CookieTransport;

use super::browser::Browser;
use super::world::{Damage, World};

/// Stores a session and makes its log unreadable.
async fn spoil(world: &World, damage: Damage) -> Browser {
    let server = world.serve(Policy::builder()).await;
    let mut client = world.browser();
    client.get(&server, "/do?login=ada&set=name:Ada").await;
    world.damage(damage);
    client
}

pub(crate) async fn a_log_that_cannot_be_read_is_an_error_of_its_own(world: World) {
    for &damage in world.damages() {
        let world = world.another();
        let mut client = spoil(&world, damage).await;
        let (token, before) = (client.token(), world.logs().await);
        let server = world.serve(Policy::builder()).await;
        for operation in ["get=name", "set=name:Eve", "login=eve", "logout"] {
            let answer = client.get(&server, &format!("/do?{operation}")).await;
            assert_eq!(answer.status, 500, "{damage:?}, {operation}: {answer:?}");
            assert!(answer.body.contains("the stored session cannot be read"), "{answer:?}");
            assert_eq!(client.token(), token, "{damage:?}, {operation}");
        }
        world.fail([Fault::Refuse]);
        let answer = client.get(&server, "/do?get=name").await;
        assert_eq!(answer.status, 503, "{damage:?}: a store that is down is another error");
        assert_eq!(client.token(), token, "{damage:?}");
        assert_eq!(world.logs().await, before, "{damage:?}: the bytes are left alone");
    }
}

pub(crate) async fn a_log_that_cannot_be_read_is_abandoned_if_the_policy_says_so(world: World) {
    for &damage in world.damages() {
        let world = world.another();
        let mut client = spoil(&world, damage).await;
        let (token, before) = (client.token(), world.logs().await);
        let server = world.serve(Policy::builder().on_unreadable(OnUnreadable::Abandon)).await;
        let answer = client.get(&server, "/do?new&stale&who&names").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "true false - []"), "{damage:?}");
        let answer = client.get(&server, "/do?login=ada&set=colour:blue").await;
        assert_eq!(answer.status, 200, "{damage:?}");
        assert!(client.token().is_some() && client.token() != token, "{damage:?}");
        let answer = client.get(&server, "/do?new&who&names").await;
        assert_eq!(answer.body, "false ada [colour]", "{damage:?}");
        let logs = world.logs().await;
        assert_eq!(before.len(), 1);
        assert!(logs.contains(&before[0]), "{damage:?}: the bytes are left alone");
        world.fail([Fault::Refuse]);
        let answer = client.get(&server, "/do?get=colour").await;
        assert_eq!(answer.status, 503, "{damage:?}: a store that is down is not abandoned");
    }
}

pub(crate) async fn a_log_that_cannot_be_read_does_not_stand_in_the_way_of_one_that_lives(
    world: World,
) {
    for &damage in world.damages() {
        let world = world.another();
        let spoiled = spoil(&world, damage).await.token().expect("it had a session");
        let transport = CookieTransport::builder().name("sid").build();
        let transport = transport.expect("it is a good cookie");
        let server = world.serve_with(Policy::builder(), transport).await;
        let mut client = world.browser();
        client.get(&server, "/do?set=name:Grace").await;
        let before = world.logs().await;
        client.plant(&format!("sid={spoiled}; Path=/shop; Secure"));
        let answer = client.get(&server, "/shop/do?get=name").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "Grace"), "{damage:?}");
        assert_eq!(world.logs().await, before, "{damage:?}");
        // Beside one that is worth nothing it is still an error.
        client.plant(&format!("sid={}; Path=/; Secure", "A".repeat(43)));
        assert_eq!(client.get(&server, "/shop/do?get=name").await.status, 500, "{damage:?}");
    }
}
