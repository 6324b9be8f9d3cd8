//! The heads of requests and responses, as a transport sees them.

use actix_web::HttpMessage as _;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use sessile_web::{FoundToken, RequestHead, ResponseHead};

/// The head of a request.
pub(crate) struct RequestView<'a> {
    request: &'a ServiceRequest,
    /// A copy: a reference into the extensions of a request cannot be handed on.
    found_token: Option<FoundToken>,
}

impl<'a> RequestView<'a> {
    pub(crate) fn new(request: &'a ServiceRequest) -> Self {
        let found_token = request.extensions().get::<FoundToken>().cloned();
        Self { request, found_token }
    }
}

impl RequestHead for RequestView<'_> {
    fn each(&self, name: &str, see: &mut dyn FnMut(&[u8])) {
        self.request.headers().get_all(name).for_each(|value| see(value.as_bytes()));
    }

    fn query(&self) -> Option<&str> {
        self.request.uri().query()
    }

    fn found_token(&self) -> Option<&FoundToken> {
        self.found_token.as_ref()
    }
}

/// The head of a response.
pub(crate) struct ResponseView<'a>(pub(crate) &'a mut HeaderMap);

impl ResponseHead for ResponseView<'_> {
    fn get(&self, name: &str) -> Vec<Vec<u8>> {
        self.0.get_all(name).map(|value| value.as_bytes().to_vec()).collect()
    }

    fn set(&mut self, name: &str, values: Vec<Vec<u8>>) {
        // A name or a value that is none of a header comes from a transport of the application.
        let Ok(name) = HeaderName::try_from(name) else { return };
        drop(self.0.remove(&name));
        for value in values {
            if let Ok(mut value) = HeaderValue::try_from(value) {
                value.set_sensitive(name == "set-cookie" || name == "x-auth-token");
                self.0.append(name.clone(), value);
            }
        }
    }
}
