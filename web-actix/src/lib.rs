//! Sessions for actix-web: a middleware that drives the session's I/O, and an extractor whose
//! methods are synchronous.
//!
//! The words, the rules and the guarantees are those of the axum side. So are the transports:
//!
//! | with axum | with actix-web |
//! |---|---|
//! | `SessionLayer` | [`SessionMiddleware`], with the same methods |
//! | `WebSession` | [`WebSession`] |
//! | `SessionError` | [`SessionError`]; its variants are [`SessionErrorKind`] |
//! | `WebSession::of(request.extensions())` | [`WebSession::of(&request)`](WebSession::of) |
//!
//! The middleware reads the token of each request and does nothing with it until a handler asks for
//! the session. It commits before the head of the response leaves, so a response never promises what
//! was not stored, and sends `Set-Cookie` only when the client must learn something. No task is
//! spawned: the middleware's future is the only driver of I/O.
//!
//! | situation | what happens |
//! |---|---|
//! | the handler never asks for the session | no store call, no cookie |
//! | it returns before the session is loaded | the response does not wait for the store; no cookie |
//! | loading fails | the extractor fails with [`SessionErrorKind::Load`]; nothing is created or removed |
//! | the log cannot be read | it fails with [`SessionErrorKind::Unreadable`], or the policy abandons the log |
//! | the handler returns, or a middleware inside fails, with a status below 500 but 408 | the session is committed |
//! | the status is that of a server's error or a timeout (5xx, 408) | the policy's `OnServerError`: what was changed is discarded, but a login or logout is done |
//! | the commit fails | the response becomes what [`SessionMiddleware::on_error`] makes of it |
//! | the handler answers with a [`SessionError`], by `?` | the same, and nothing is written but what was saved |
//! | the handler panics, or actix-web drops the request | nothing more is written, every waiting task is woken |
//! | a body streams on after the head left | changes are refused with [`SessionErrorKind::Closed`]; `detach` goes on |
//! | two extractions in one request, or the same middleware twice | the same session |
//! | two middlewares of different transports | two sessions: the inner one, and [`WebSession::named`] |
//! | the client presents several cookies of the name | the one that lives counts; if two do, none |
//! | the token was replaced, and the answer with the new one was lost | the session reads as nothing; a login starts a new one, a logout makes the client forget it |
//!
//! If a client goes away, actix-web drops its request only with `h1_allow_half_closed(false)`;
//! otherwise the handler runs to its end and what it changed is written.
//!
//! Other middlewares may be around it and inside it, in any order. One that is inside and puts a
//! response of its own in the place of an error of the session is taken at its word: its response is
//! judged by its status.

mod answer;
mod error;
mod head;
mod middleware;
mod session;
mod unopened;

pub use error::{SessionError, SessionErrorKind};
pub use middleware::{SessionMiddleware, SessionService};
pub use sessile_web::{
    BearerTransport, CookieError, CookieTransport, CookieTransportBuilder, DetachedSession,
    FoundToken, HeaderTransport, KeepCookie, Lifespan, News, Operations, RequestHead, ResponseHead,
    SameSite, TestClient, Transport, Transports, TransportsError,
};
pub use session::WebSession;

/// The program of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
