//! Tokens as clients keep them: cookies of browsers, and an application's own ways.

use std::time::Duration;

use sessile_conformance::Fault;
use sessile_core::Policy;
use sessile_web::{CookieTransport, KeepCookie, SameSite};

use super::framework::Layer;
use super::transports::{InForm, InQuery, NEXT_TOKEN};
use super::world::World;

pub(crate) async fn a_cookie_goes_with_the_browser_by_default(world: World) {
    let server = world.serve(Policy::builder()).await;
    let mut client = world.browser();
    let answer = client.get(&server, "/do?set=name:Ada").await;
    let line = answer.header("set-cookie").expect("the client learns its token");
    let (_, attributes) = line.split_once("; ").expect("there are attributes");
    assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(client.get(&server, "/do?get=name").await.header("set-cookie"), None);
    client.close();
    assert_eq!(client.get(&server, "/do?get=name").await.body, "-");
}

/// Returns the age in a line of `Set-Cookie` for that token, if an answer has one.
fn age_of(line: Option<&str>, token: &str) -> Option<u64> {
    let line = line.filter(|line| line.contains(token))?;
    let age = line.split("; ").find_map(|part| part.strip_prefix("Max-Age="))?;
    age.parse().ok()
}

const AGE: Duration = Duration::from_secs(4);
const TOUCH: Duration = Duration::from_millis(1_500);

pub(crate) async fn a_cookie_as_old_as_its_session_is_sent_again_when_a_touch_moves_its_end(
    world: World,
) {
    let transport = CookieTransport::builder().keep(KeepCookie::AsLongAsSession).build();
    let policy = Policy::builder().idle_timeout(AGE).touch_interval(TOUCH);
    let server = world.serve_with(policy, transport.expect("it is a good cookie")).await;
    let mut client = world.browser();
    let answer = client.get(&server, "/do?set=name:Ada").await;
    let token = client.token().expect("it has a session");
    assert_eq!(age_of(answer.header("set-cookie"), &token), Some(AGE.as_secs()));
    let answer = client.get(&server, "/do?get=name").await;
    assert_eq!(answer.header("set-cookie"), None, "nothing was moved");
    // Longer than the cookie that came first would be kept.
    for _ in 0..3 {
        world.time.pass(TOUCH + TOUCH / 10).await;
        client.close();
        let answer = client.get(&server, "/do?get=name").await;
        assert_eq!(answer.body, "Ada");
        assert_eq!(age_of(answer.header("set-cookie"), &token), Some(AGE.as_secs()));
        assert_eq!(answer.header("cache-control"), None, "the token is no news");
    }
    world.time.pass(AGE + TOUCH).await;
    assert_eq!(client.token(), None, "it went with the session");
    assert_eq!(client.get(&server, "/do?new&get=name").await.body, "true -");
}

pub(crate) async fn a_remembered_login_outlives_the_browser_and_is_sent_again(world: World) {
    let remembered = AGE * 2;
    let policy = Policy::builder().idle_timeout(AGE).touch_interval(TOUCH);
    let server = world.serve(policy.max_idle_timeout(remembered)).await;
    let mut client = world.browser();
    let answer = client.get(&server, "/do?set=name:Ada").await;
    assert!(!answer.header("set-cookie").expect("it is new").contains("Max-Age"));
    world.time.pass(TOUCH + TOUCH / 10).await;
    let answer = client.get(&server, "/do?get=name").await;
    assert_eq!(answer.header("set-cookie"), None, "a browser that is open needs no reminder");

    let idle = remembered.as_millis();
    let answer = client.get(&server, &format!("/do?login=ada&idle={idle}")).await;
    let token = client.token().expect("it has a session");
    assert_eq!(age_of(answer.header("set-cookie"), &token), Some(remembered.as_secs()));
    client.close();
    let answer = client.get(&server, "/do?who").await;
    assert_eq!((answer.body.as_str(), answer.header("set-cookie")), ("ada", None));
    // Its touches are as far apart as it lives longer.
    world.time.pass((TOUCH + TOUCH / 10) * 2).await;
    let answer = client.get(&server, "/do?who").await;
    assert_eq!(answer.body, "ada");
    assert_eq!(age_of(answer.header("set-cookie"), &token), Some(remembered.as_secs()));
    world.time.pass(AGE + TOUCH).await;
    client.close();
    assert_eq!(client.get(&server, "/do?who").await.body, "ada", "longer than others live");
}

pub(crate) async fn an_answer_says_that_it_varies_whenever_a_session_was_asked_for(world: World) {
    let server = world.serve(Policy::builder()).await;
    let mut client = world.browser();
    let varies = |answer: &super::http::Answer| answer.all("vary").collect::<Vec<_>>().join(",");
    for target in [
        "/do?get=name",
        "/do?set=name:Ada",
        "/do?get=name",
        "/do?set=name:Ada",
        "/do?set=name:Eve&status=500",
        "/do?fail",
        "/anyhow?fail",
        "/do?logout",
    ] {
        let answer = client.get(&server, target).await;
        assert_eq!(varies(&answer), "cookie", "{target}");
    }
    client.get(&server, "/do?set=name:Ada").await;
    world.fail([Fault::Refuse]);
    let answer = client.get(&server, "/do?get=name").await;
    assert_eq!((answer.status, varies(&answer).as_str()), (503, "cookie"));
    let answer = client.get(&server, "/do?in=").await;
    assert_eq!((answer.status, varies(&answer).as_str()), (200, ""), "nobody asked");
}

pub(crate) async fn a_partitioned_cookie_is_another_one_for_each_site(world: World) {
    let cookie = CookieTransport::builder().partitioned(true).same_site(SameSite::None).build();
    let transport = cookie.expect("it is a good cookie");
    let server = world.serve_with(Policy::builder(), transport).await;
    let mut client = world.browser();
    client.show("news.example");
    let answer = client.get(&server, "/do?set=name:News").await;
    let line = answer.header("set-cookie").expect("it is new").to_owned();
    assert!(line.contains("; Partitioned") && line.contains("SameSite=None"), "{line}");
    client.show("blog.example");
    assert_eq!(client.get(&server, "/do?new&get=name").await.body, "true -");
    client.get(&server, "/do?set=name:Blog").await;
    client.show("news.example");
    assert_eq!(client.get(&server, "/do?get=name").await.body, "News");
    client.get(&server, "/do?logout").await;
    assert_eq!(client.token(), None, "the cookie of this site goes");
    client.show("blog.example");
    assert_eq!(client.get(&server, "/do?get=name").await.body, "Blog");
    client.visit("www.other.example");
    assert_eq!(client.token(), None, "no other host sees it");
    assert_eq!(world.stored().await, 1);
}

pub(crate) async fn a_token_travels_in_the_query_by_a_transport_of_the_applications_own(
    world: World,
) {
    let server = world.serve_with(Policy::builder(), InQuery).await;
    let mut client = world.browser();
    let answer = client.get(&server, "/do?set=name:Ada").await;
    let token = answer.header(NEXT_TOKEN).expect("the transport tells").to_owned();
    assert_eq!((client.cookies(), answer.header("cache-control")), (0, Some("no-store")));
    let answer = client.get(&server, &format!("/do?token={token}&get=name")).await;
    assert_eq!((answer.body.as_str(), answer.header(NEXT_TOKEN)), ("Ada", None));
    let answer = client.get(&server, &format!("/do?login=ada&token={token}")).await;
    let newer = answer.header(NEXT_TOKEN).expect("a login has a new one").to_owned();
    let answer = client.get(&server, &format!("/do?token={token}&token={newer}&who")).await;
    assert_eq!(answer.body, "ada", "the one that lives");
    assert_eq!(client.get(&server, &format!("/do?token={token}&stale")).await.body, "true");
    let answer = client.get(&server, &format!("/do?token={newer}&logout")).await;
    assert_eq!(answer.header(NEXT_TOKEN), Some("none"));
    assert_eq!(world.stored().await, 0);
}

pub(crate) async fn a_token_travels_in_a_form_that_a_layer_around_has_read(world: World) {
    let session = Layer::Session(world.sessions(Policy::builder()), InForm.into());
    let server = world.stack(vec![Layer::FormToken("ticket"), session]).await;
    let mut client = world.browser();
    let answer = client.post(&server, "/do?set=name:Ada", "a=b").await;
    let token = answer.header(NEXT_TOKEN).expect("the transport tells").to_owned();
    let form = format!("a=b&ticket={token}");
    assert_eq!(client.post(&server, "/do?get=name", &form).await.body, "Ada");
    assert_eq!(client.post(&server, "/do?get=name", "ticket=").await.body, "-");
    assert_eq!(client.get(&server, "/do?get=name").await.body, "-");
    let answer = client.post(&server, "/do?logout", &form).await;
    assert_eq!(answer.header(NEXT_TOKEN), Some("none"));
    assert_eq!((client.cookies(), world.stored().await), (0, 0));
}
