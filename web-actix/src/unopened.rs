//! The sessions of a request that no handler has asked for yet, in its extensions. Only
//! [`WebSession::of`](crate::WebSession::of) and [`WebSession::named`](crate::WebSession::named) take
//! them out, so every session a handler has is loaded.

use actix_web::HttpMessage;
use sessile_web::{Unopened, WebSession};

/// Puts the session of a middleware inside the others there.
pub(crate) fn add(request: &impl HttpMessage, inner: impl FnOnce(Option<Unopened>) -> Unopened) {
    let mut extensions = request.extensions_mut();
    let outer = extensions.remove::<Unopened>();
    extensions.insert(inner(outer));
}

/// Removes the session of the innermost middleware, which is done.
pub(crate) fn remove_innermost(request: &impl HttpMessage) {
    let mut extensions = request.extensions_mut();
    if let Some(outer) = extensions.remove::<Unopened>().and_then(Unopened::into_outer) {
        extensions.insert(outer);
    }
}

/// Returns the session of that name.
pub(crate) fn named(request: &impl HttpMessage, name: &str) -> Option<WebSession> {
    request.extensions().get::<Unopened>()?.named(name).cloned()
}

/// Returns the session of the innermost middleware.
pub(crate) fn innermost(request: &impl HttpMessage) -> Option<WebSession> {
    request.extensions().get::<Unopened>().map(|unopened| unopened.innermost().clone())
}
