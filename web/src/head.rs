//! The heads of a request and a response, as far as a transport needs them: of any framework.

/// The head of a request.
pub trait RequestHead {
    /// Shows each value of a header, whose name is given in lower case.
    fn each(&self, name: &str, see: &mut dyn FnMut(&[u8]));

    /// Returns the query of the request, without the question mark.
    fn query(&self) -> Option<&str>;

    /// Returns the token that the application found elsewhere, in a field of a form for instance,
    /// and put beside the request; see [`FoundToken`].
    fn found_token(&self) -> Option<&FoundToken>;
}

/// The head of a response.
pub trait ResponseHead {
    /// Returns the values of a header, whose name is given in lower case.
    fn get(&self, name: &str) -> Vec<Vec<u8>>;

    /// Replaces the values of a header. They may be secret: a framework that can mark them so does.
    fn set(&mut self, name: &str, values: Vec<Vec<u8>>);
}

/// A token that an earlier middleware found where no transport looks, such as the body: it goes into
/// the extensions of the request, for a [`Transport`](crate::Transport) of yours to read.
#[derive(Clone)]
pub struct FoundToken(String);

impl FoundToken {
    /// Takes what was found.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns what was found.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for FoundToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FoundToken(..)")
    }
}

/// Says that a response depends on a header of the request, unless it says so already.
pub(crate) fn add_vary(response: &mut dyn ResponseHead, name: &str) {
    let mut values = response.get("vary");
    let says_so = |value: &Vec<u8>| {
        value.split(|byte| *byte == b',').any(|part| {
            let part = part.trim_ascii();
            part == b"*" || part.eq_ignore_ascii_case(name.as_bytes())
        })
    };
    if !values.iter().any(says_so) {
        values.push(name.as_bytes().to_vec());
        response.set("vary", values);
    }
}

#[cfg(feature = "tower")]
mod of_http {
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
}
