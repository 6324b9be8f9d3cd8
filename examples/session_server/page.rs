//! The page for people: what the session holds, its log, and two requests that overlap.
//!
//! It is one file without anything from elsewhere. Its policy allows exactly the script and the
//! style that are in it, and no place where text becomes markup.

use std::sync::LazyLock;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::response::Html;
use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

/// Returns the page. It asks for no session, so a visit alone loads and stores nothing.
pub(crate) async fn page() -> ([(HeaderName, HeaderValue); 4], Html<&'static str>) {
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, Html(PAGE))
}

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; connect-src 'self'; img-src data:; script-src 'sha256-{}'; \
         style-src 'sha256-{}'; require-trusted-types-for 'script'; trusted-types 'none'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash_of("script"),
        hash_of("style"),
    );
    HeaderValue::try_from(policy).expect("it is ASCII")
});

/// Returns the hash of the one element of that name, as browsers compute it.
fn hash_of(element: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("<{element}>")).expect("the page has one");
    let (content, _) = rest.split_once(&format!("</{element}>")).expect("it is closed");
    Base64::encode_string(&Sha256::digest(content))
}

const PAGE: &str = include_str!("page.html");
