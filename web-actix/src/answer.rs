//! What a service inside the middleware answers. To actix-web an error is an answer as well: it says
//! itself what response the client gets.

use std::cell::Cell;
use std::fmt;

use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::{Error, HttpResponse, ResponseError};
use sessile_web::Verdict;

use crate::error::SessionErrorKind;

/// A response, or an error and the response it makes.
pub(crate) enum Answer<Body> {
    Response(ServiceResponse<Body>),
    Error(Error, HttpResponse),
}

impl<Body> Answer<Body> {
    pub(crate) fn new(answer: Result<ServiceResponse<Body>, Error>) -> Self {
        match answer {
            Ok(response) => Self::Response(response),
            Err(error) => {
                let response = error.error_response();
                Self::Error(error, response)
            }
        }
    }

    /// Judges the response.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Response(response) => verdict(response.response()),
            Self::Error(_, response) => verdict(response),
        }
    }
}

fn verdict<Body>(response: &HttpResponse<Body>) -> Verdict {
    match response.extensions().get::<SessionErrorKind>() {
        Some(error) => Verdict::GiveUp(error.clone()),
        None => Verdict::of_status(response.status().as_u16()),
    }
}

/// An error that makes the response the middleware has made of it.
///
/// A response can be made of an error only together with the request, which the service inside has
/// not given back. `Error::add_response_mapper` would keep the type of the error, but
/// `HttpResponse::from_error` passes it by, and with it a middleware outside of this one.
pub(crate) struct Answered {
    error: Error,
    response: Cell<Option<HttpResponse>>,
    /// The head, for a middleware that asks more than once.
    status: StatusCode,
    headers: HeaderMap,
}

impl Answered {
    pub(crate) fn new(error: Error, response: HttpResponse) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { error, response: Cell::new(Some(response)), status, headers }
    }
}

impl ResponseError for Answered {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response.take().unwrap_or_else(|| {
            let mut response = HttpResponse::new(self.status);
            *response.headers_mut() = self.headers.clone();
            response
        })
    }
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}
