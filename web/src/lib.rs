//! Sessions over HTTP: how a token travels, a tower layer that drives the session's I/O, and an
//! axum extractor whose methods are synchronous.
//!
//! The layer reads the token of each request and does nothing with it until a handler asks for the
//! session. It commits before the head of the response leaves, so a response never promises what
//! was not stored, and sends `Set-Cookie` only when the client must learn something. No task is
//! spawned: the layer's future is the only driver of I/O.
//!
//! | situation | what happens |
//! |---|---|
//! | the handler never asks for the session | no store call, no cookie |
//! | it returns before the session is loaded | the response does not wait for the store; no cookie |
//! | loading fails | the extractor fails with [`SessionError::Load`]; nothing is created or removed |
//! | the log cannot be read | it fails with [`SessionError::Unreadable`], or the policy abandons the log |
//! | the handler returns, with a status below 500 but 408 | the session is committed |
//! | it answers with a server's error, or a timeout or a caught panic does (5xx, 408) | the policy's `OnServerError`: what was changed is discarded, but a login or logout is done |
//! | the commit fails | the response becomes what [`SessionLayer::on_error`] makes of it |
//! | the handler answers with a [`SessionError`], by `?` or [`SessionError::response`] | the same, and nothing is written but what was saved |
//! | the handler panics, the request times out around the layer, or the client goes away | nothing more is written, every waiting task is woken |
//! | the inner service fails and makes no response | the same; if a save replaced the token, the client never learns the new one |
//! | a body streams on after the head left | changes are refused with [`SessionError::Closed`]; [`WebSession::detach`] goes on |
//! | two extractions in one request, or the same layer twice | the same session |
//! | two layers of different transports | two sessions: the inner one, and [`WebSession::named`] |
//! | the client presents several cookies of the name | the one that lives counts; if two do, none |
//! | the token was replaced, and the answer with the new one was lost | the session reads as nothing; a login starts a new one, a logout makes the client forget it |

mod adapter;
#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "tower")]
mod body;
mod cookie;
mod driver;
mod error;
#[cfg(feature = "tower")]
mod extensions;
mod head;
#[cfg(feature = "tower")]
mod http_head;
#[cfg(feature = "tower")]
mod layer;
mod operations;
mod session;
mod state;
mod test_client;
#[cfg_attr(
    not(feature = "tracing"),
    expect(unused_variables, reason = "nothing is told without the feature")
)]
mod trace;
mod transport;
mod transports;

pub use adapter::{Adapter, Unopened, Work};
#[cfg(feature = "tower")]
pub use body::SessionBody;
pub use cookie::{CookieError, CookieTransport, CookieTransportBuilder, KeepCookie, SameSite};
pub use driver::{Ending, RequestDriver, Verdict};
pub use error::SessionError;
pub use head::{FoundToken, RequestHead, ResponseHead};
#[cfg(feature = "tower")]
pub use layer::{SessionLayer, SessionService};
pub use operations::Operations;
pub use session::{DetachedSession, WebSession};
pub use test_client::TestClient;
pub use transport::{BearerTransport, HeaderTransport, Lifespan, News, Transport};
pub use transports::{Presented, Transports, TransportsError};

/// The examples of the README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
