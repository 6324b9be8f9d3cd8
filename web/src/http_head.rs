//! The heads of the crate `http`, as transports see them.

use http::{HeaderName, HeaderValue, Request, Response};

use crate::head::{FoundToken, RequestHead, ResponseHead};

impl<B> RequestHead for Request<B> {
    fn each(&self, name: &str, see: &mut dyn FnMut(&[u8])) {
        self.headers().get_all(name).iter().for_each(|value| see(value.as_bytes()));
    }

    fn query(&self) -> Option<&str> {
        self.uri().query()
    }

    fn found_token(&self) -> Option<&FoundToken> {
        self.extensions().get()
    }
}

impl<B> ResponseHead for Response<B> {
    fn get(&self, name: &str) -> Vec<Vec<u8>> {
        self.headers().get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect()
    }

    fn set(&mut self, name: &str, values: Vec<Vec<u8>>) {
        // A name or a value that is none of a header comes from a transport of the application.
        let Ok(name) = HeaderName::try_from(name) else { return };
        self.headers_mut().remove(&name);
        for value in values {
            if let Ok(mut value) = HeaderValue::try_from(value) {
                value.set_sensitive(name == "set-cookie" || name == "x-auth-token");
                self.headers_mut().append(&name, value);
            }
        }
    }
}
