//! Two layers around one handler.

use sessile_core::Policy;
use sessile_web::{CookieTransport, Transports};

use super::framework::Layer;
use super::world::World;

const SHOP: &str = "__Host-shop";
const ADMIN: &str = "__Host-admin";

fn named(name: &str) -> Transports {
    let built = CookieTransport::builder().name(name).build();
    built.expect("it is a good cookie").into()
}

pub(crate) async fn the_same_layer_twice_is_one_session(world: World) {
    let layer = Layer::Session(world.sessions(Policy::builder()), named(SHOP));
    let server = world.stack(vec![layer.clone(), Layer::CatchPanic, layer]).await;
    let mut client = world.browser();
    let answer = client.get(&server, "/do?set=name:Ada&login=ada").await;
    assert_eq!((answer.all("set-cookie").count(), world.stored().await), (1, 1));
    assert_eq!(answer.all("vary").collect::<Vec<_>>(), ["cookie"]);
    let target = format!("/do?in={SHOP}&who&get=name&set=colour:blue");
    assert_eq!(client.get(&server, &target).await.body, "ada Ada");
    let target = "/do?set=name:Eve&status=500";
    assert_eq!(client.get(&server, target).await.status, 500);
    assert_eq!(client.get(&server, "/do?names&get=name").await.body, "[colour,name] Ada");
    let answer = client.get(&server, "/do?logout").await;
    assert_eq!((answer.all("set-cookie").count(), client.cookies()), (1, 0));
    assert_eq!(world.stored().await, 0);
}

pub(crate) async fn two_layers_of_different_cookies_are_two_sessions(world: World) {
    let outer = Layer::Session(world.sessions(Policy::builder()), named(ADMIN));
    let inner = Layer::Session(world.sessions(Policy::builder()), named(SHOP));
    let server = world.stack(vec![outer, inner]).await;
    let mut client = world.browser();
    client.get(&server, "/do?set=name:Ada").await;
    assert_eq!((client.value(SHOP).is_some(), client.value(ADMIN)), (true, None));
    client.get(&server, &format!("/do?in={ADMIN}&login=root")).await;
    assert_eq!((client.cookies(), world.stored().await), (2, 2));

    let both = format!("/do?in={SHOP},{ADMIN}");
    let answer = client.get(&server, &format!("{both}&who&get=name")).await;
    assert_eq!(answer.body, "- Ada root -");
    assert_eq!(answer.all("vary").collect::<Vec<_>>(), ["cookie"]);
    client.get(&server, &format!("{both}&add&rotate")).await;
    assert_eq!(client.get(&server, &format!("{both}&count")).await.body, "1 1");
    let answer = client.get(&server, &format!("{both}&add&status=500")).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (500, None));
    assert_eq!(client.get(&server, &format!("{both}&count")).await.body, "1 1");

    client.get(&server, &format!("/do?in={ADMIN}&logout")).await;
    assert_eq!((client.value(SHOP).is_some(), client.value(ADMIN)), (true, None));
    assert_eq!(client.get(&server, "/do?get=name&count").await.body, "Ada 1");
    let answer = client.get(&server, "/do?in=__Host-other&who").await;
    assert_eq!(answer.status, 500, "there is no such layer");
}
