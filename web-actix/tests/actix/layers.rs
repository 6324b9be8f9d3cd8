//! Several middlewares around one handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::SET_COOKIE;
use actix_web::middleware::{Next, from_fn};
use actix_web::test::init_service;
use actix_web::web::get;
use actix_web::{App, Error, HttpRequest, Result};
use sessile_core::observe::{Event, Observer};
use sessile_web_actix::{CookieTransport, SessionErrorKind, SessionMiddleware, WebSession};

use crate::common::{COLOUR, Client, HITS, Memory, NAME, World, app, routes};

fn named(world: &World, name: &str) -> SessionMiddleware<Memory> {
    let cookie = CookieTransport::builder().name(name).build();
    world.middleware().transports(cookie.expect("it is a good name"))
}

#[actix_web::test]
async fn the_same_middleware_twice_around_a_handler_is_one_session() {
    async fn paint(session: WebSession) -> Result<&'static str> {
        session.set(&COLOUR, "green".to_owned())?;
        Ok("painted")
    }
    async fn first(
        session: WebSession,
        request: ServiceRequest,
        next: Next<impl MessageBody>,
    ) -> Result<ServiceResponse<impl MessageBody>, Error> {
        session.set(&NAME, "Ada".to_owned())?;
        next.call(request).await
    }
    let world = World::new();
    let twice = App::new()
        .route("/", get().to(paint))
        .wrap(world.middleware())
        .wrap(from_fn(first))
        .wrap(world.middleware());
    let twice = init_service(twice).await;
    let mut client = Client::default();
    let answer = client.get(&twice, "/").await;
    assert_eq!(answer.headers.get_all(SET_COOKIE).count(), 1);
    assert_eq!((world.sessions(), answer.operations.create), (1, 1));
    let app = app(world.middleware(), []).await;
    assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") Some(\"green\")");
}

#[actix_web::test]
async fn two_middlewares_with_different_cookies_are_two_sessions() {
    async fn both(inner: WebSession, request: HttpRequest) -> Result<&'static str> {
        inner.set(&NAME, "guest".to_owned())?;
        let staff = WebSession::named(&request, "__Host-staff").await?;
        staff.set(&NAME, "Ada".to_owned())?;
        let same = WebSession::named(&request, "__Host-guest").await?;
        same.set(&COLOUR, "blue".to_owned())?;
        let none = WebSession::named(&request, "__Host-nobody").await;
        let none = none.expect_err("no middleware has that cookie");
        assert!(matches!(none.kind(), SessionErrorKind::NoLayer));
        Ok("both")
    }
    let world = World::new();
    let app = App::new()
        .route("/", get().to(both))
        .configure(routes)
        .wrap(named(&world, "__Host-guest"))
        .wrap(named(&world, "__Host-staff"));
    let app = init_service(app).await;
    let answer = Client::default().get(&app, "/").await;
    let lines = answer.headers.get_all(SET_COOKIE);
    let lines: Vec<_> = lines.map(|line| line.to_str().expect("it is text")).collect();
    let [guest, staff] = lines[..] else { panic!("there are two cookies: {lines:?}") };
    assert!(guest.starts_with("__Host-guest=") && staff.starts_with("__Host-staff="), "{lines:?}");
    assert_eq!(world.sessions(), 2);
    let pair = |line: &str| line.split(';').next().map(ToOwned::to_owned);
    let mut client = Client { cookie: pair(guest) };
    assert_eq!(client.get(&app, "/read").await.text, "Some(\"guest\") Some(\"blue\")");
}

#[actix_web::test]
async fn between_two_middlewares_the_outer_session_is_there_before_and_after() {
    async fn counts(
        request: ServiceRequest,
        next: Next<impl MessageBody>,
    ) -> Result<ServiceResponse<impl MessageBody>, Error> {
        WebSession::of(&request).await?.add(&HITS, 1)?;
        let response = next.call(request).await?;
        WebSession::of(response.request()).await?.add(&HITS, 1)?;
        Ok(response)
    }
    async fn counted(session: WebSession) -> Result<String> {
        session.add(&HITS, 10)?;
        Ok(session.count(&HITS)?.to_string())
    }
    let world = World::new();
    let app = App::new()
        .route("/", get().to(counted))
        .wrap(named(&world, "__Host-guest"))
        .wrap(from_fn(counts))
        .wrap(named(&world, "__Host-staff"));
    let app = init_service(app).await;
    assert_eq!(Client::default().get(&app, "/").await.text, "10");
    let fine =
        init_service(App::new().route("/", get().to(counted)).wrap(named(&world, "__Host-staff")))
            .await;
    let answer = Client::default().get(&app, "/").await;
    let staff = answer.headers.get_all(SET_COOKIE).last().expect("there are two cookies");
    let staff = staff.to_str().expect("it is text").split(';').next().map(ToOwned::to_owned);
    let mut client = Client { cookie: staff };
    assert_eq!(client.get(&fine, "/").await.text, "12");
}

#[actix_web::test]
async fn a_failure_of_one_session_is_none_of_the_other() {
    let world = World::new();
    let cookie = CookieTransport::builder().name("__Host-guest").build();
    let inner = world.refusing_writes().transports(cookie.expect("it is a good name"));
    async fn counts(
        request: ServiceRequest,
        next: Next<impl MessageBody>,
    ) -> Result<ServiceResponse<impl MessageBody>, Error> {
        let session = WebSession::of(&request).await?;
        let response = next.call(request).await?;
        session.set(&NAME, response.status().to_string())?;
        Ok(response)
    }
    let policy = sessile_core::Policy::builder().on_server_error(sessile_core::OnServerError::Keep);
    let keeping = World { policy: policy.build().expect("it is valid"), ..world.clone() };
    let app = App::new()
        .configure(routes)
        .wrap(inner)
        .wrap(from_fn(counts))
        .wrap(named(&keeping, "__Host-staff"));
    let app = init_service(app).await;
    let mut client = Client::default();
    let answer = client.get(&app, "/write").await;
    assert_eq!((answer.status.as_u16(), world.sessions()), (503, 1));
    let fine = init_service(App::new().configure(routes).wrap(named(&world, "__Host-staff"))).await;
    let text = client.get(&fine, "/read").await.text;
    assert_eq!(text, "Some(\"503 Service Unavailable\") None");
}

#[actix_web::test]
async fn an_observer_hears_of_the_sessions_of_its_middleware_and_of_no_other() {
    #[derive(Default)]
    struct Created(Arc<AtomicUsize>);

    impl Observer for Created {
        fn observe(&self, event: &Event<'_>) {
            let is_created = matches!(event, Event::Created { .. });
            self.0.fetch_add(usize::from(is_created), Ordering::Relaxed);
        }
    }

    let (world, created) = (World::new(), Created::default());
    let heard = Arc::clone(&created.0);
    let unheard = app(world.middleware(), []).await;
    let observed = app(world.middleware().observed_by(created), []).await;
    for (app, count) in [(&unheard, 0), (&observed, 1)] {
        Client::default().get(app, "/write").await;
        assert_eq!(heard.load(Ordering::Relaxed), count);
    }
}
