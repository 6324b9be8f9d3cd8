//! Middlewares of actix-web around it and inside it, in every order.

use std::future::Future;
use std::pin::Pin;

use actix_service::boxed::{BoxService, service};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::{
    Compat, Compress, ErrorHandlerResponse, ErrorHandlers, Logger, NormalizePath,
};
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, Error, Result};
use sessile_web_actix::SessionMiddleware;

use crate::common::{Client, Memory, World, routes};

#[derive(Clone, Debug)]
enum Kind {
    Sessions(SessionMiddleware<Memory>),
    Logger,
    Compress,
    ErrorHandlers,
    NormalizePath,
}

/// Any of the middlewares, as one type.
#[derive(Clone, Debug)]
struct Any(Kind);

type Boxed = BoxService<ServiceRequest, ServiceResponse<BoxBody>, Error>;
type Making = Pin<Box<dyn Future<Output = Result<Boxed, ()>>>>;

impl<S> Transform<S, ServiceRequest> for Any
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error> + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = Boxed;
    type InitError = ();
    type Future = Making;

    fn new_transform(&self, inner: S) -> Making {
        match &self.0 {
            Kind::Sessions(sessions) => make(sessions.clone(), inner),
            Kind::Logger => make(Logger::default(), inner),
            Kind::Compress => make(Compress::default(), inner),
            Kind::ErrorHandlers => make(ErrorHandlers::new().default_handler(mark), inner),
            Kind::NormalizePath => make(NormalizePath::trim(), inner),
        }
    }
}

fn make<T, S, B>(middleware: T, inner: S) -> Making
where
    T: Transform<S, ServiceRequest, Response = ServiceResponse<B>, Error = Error, InitError = ()>,
    T: 'static,
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    let making = Compat::new(middleware).new_transform(inner);
    Box::pin(async move { Ok(service(making.await?)) })
}

/// Marks a response that is an error.
fn mark<B>(mut response: ServiceResponse<B>) -> Result<ErrorHandlerResponse<B>> {
    let name = HeaderName::from_static("x-marked");
    response.headers_mut().insert(name, HeaderValue::from_static("yes"));
    Ok(ErrorHandlerResponse::Response(response.map_into_left_body()))
}

/// Returns every order of what is left.
fn orders(left: &[Kind]) -> Vec<Vec<Kind>> {
    if left.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for index in 0..left.len() {
        let mut rest = left.to_vec();
        let first = rest.remove(index);
        all.extend(orders(&rest).into_iter().map(|mut order| {
            order.push(first.clone());
            order
        }));
    }
    all
}

#[actix_web::test]
async fn it_works_around_and_inside_every_other_middleware() {
    let world = World::new();
    let kinds = [
        Kind::Sessions(world.middleware()),
        Kind::Logger,
        Kind::Compress,
        Kind::ErrorHandlers,
        Kind::NormalizePath,
    ];
    let orders = orders(&kinds);
    assert_eq!(orders.len(), 120);
    for order in orders {
        let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|index: usize| Any(order[index].clone()));
        let app = App::new().configure(routes).wrap(a).wrap(b).wrap(c).wrap(d).wrap(e);
        let app = init_service(app).await;
        let mut client = Client::default();
        let answer = client.get(&app, "/write/").await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "written"), "{order:?}");
        let mut before = client.clone();
        assert_eq!(client.get(&app, "/login//").await.status, StatusCode::OK, "{order:?}");
        assert_eq!(client.get(&app, "/read").await.text, "Some(\"Ada\") None", "{order:?}");

        // An error of the session.
        let answer = before.get(&app, "/write").await;
        assert_eq!(answer.status, StatusCode::GONE, "{order:?}");
        assert_eq!(answer.header("set-cookie"), None, "{order:?}");

        let asked = TestRequest::get().uri("/read/").insert_header(("accept-encoding", "gzip"));
        let asked = asked.insert_header(("cookie", client.cookie.clone().expect("it has one")));
        let response = call_service(&app, asked.to_request()).await;
        let vary = response.headers().get_all("vary").map(|value| value.to_str().expect("text"));
        let mut vary: Vec<_> = vary.collect();
        vary.sort_unstable();
        assert_eq!(vary, ["accept-encoding", "cookie"], "{order:?}");
        assert_eq!(read_body(response).await[..2], [0x1f, 0x8b], "it is gzip: {order:?}");

        client.get(&app, "/logout/").await;
        assert_eq!((client.cookie, world.sessions()), (None, 0), "{order:?}");
    }
}
