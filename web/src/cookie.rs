//! The token in a cookie, with attributes that are safe by default.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use ::cookie::{Cookie, SameSite};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use sessile_core::Token;

/// The token in a cookie.
///
/// By default `__Host-session` with `Secure`, `HttpOnly`, `SameSite=Lax`, `Path=/`, no `Domain`,
/// and without an age, so that it ends with the browser (OWASP ASVS 5.0, 3.3.1 to 3.3.4).
///
/// # Example
///
/// ```
/// use sessile_web::CookieTransport;
///
/// assert!(CookieTransport::builder().name("sid").build().is_ok());
/// let wrong = CookieTransport::builder().domain("example.com").build().unwrap_err();
/// assert_eq!(wrong.to_string(), "a __Host- cookie cannot have a domain");
/// ```
#[derive(Clone, Debug)]
pub struct CookieTransport {
    /// The cookie as it is sent, without its value.
    template: Cookie<'static>,
}

impl CookieTransport {
    /// Starts from the safe defaults.
    pub fn builder() -> CookieTransportBuilder {
        CookieTransportBuilder::default()
    }

    /// Returns the name of the cookie.
    #[must_use]
    pub fn name(&self) -> &str {
        self.template.name()
    }

    /// Returns what the client presented; an empty value is nothing. Several different values under
    /// the one name are as good as none: another site may have put one of them there (RFC 6265bis,
    /// section 8.6).
    pub(crate) fn read<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        // Byte by byte: what others put into the same header need not be text.
        let lines = headers.get_all(COOKIE).into_iter().map(HeaderValue::as_bytes);
        let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
        let mut values = pairs.filter_map(|pair| {
            let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=')?);
            let value = value[1..].trim_ascii();
            (name.trim_ascii() == self.name().as_bytes() && !value.is_empty()).then_some(value)
        });
        let first = values.next()?;
        values.all(|value| value == first).then(|| str::from_utf8(first).ok())?
    }

    /// Tells the client its token.
    pub(crate) fn send(&self, token: &Token, headers: &mut HeaderMap) {
        let mut cookie = self.template.clone();
        cookie.set_value(token.expose().as_str().to_owned());
        self.put(&cookie, headers);
    }

    /// Makes the client forget its token: the same name, path and domain, without which it would
    /// not.
    pub(crate) fn forget(&self, headers: &mut HeaderMap) {
        let mut cookie = self.template.clone();
        cookie.make_removal();
        self.put(&cookie, headers);
    }

    /// Puts the one cookie of this name into the response.
    fn put(&self, cookie: &Cookie<'_>, headers: &mut HeaderMap) {
        let is_ours = |line: &HeaderValue| {
            let name = line.as_bytes().split(|byte| *byte == b'=').next();
            name == Some(self.name().as_bytes())
        };
        let others: Vec<_> =
            headers.get_all(SET_COOKIE).iter().filter(|line| !is_ours(line)).cloned().collect();
        headers.remove(SET_COOKIE);
        for line in others {
            headers.append(SET_COOKIE, line);
        }
        // What was checked when the transport was built, and base64url, are header text.
        if let Ok(mut line) = HeaderValue::from_str(&cookie.to_string()) {
            line.set_sensitive(true);
            headers.append(SET_COOKIE, line);
        }
    }
}

impl Default for CookieTransport {
    fn default() -> Self {
        Self::from_builder(CookieTransportBuilder::default())
    }
}

/// Builds a [`CookieTransport`].
#[derive(Clone, Debug)]
#[must_use]
pub struct CookieTransportBuilder {
    name: String,
    path: String,
    domain: Option<String>,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
    partitioned: bool,
    max_age: Option<Duration>,
}

impl Default for CookieTransportBuilder {
    fn default() -> Self {
        Self {
            name: "__Host-session".into(),
            path: "/".into(),
            domain: None,
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
            partitioned: false,
            max_age: None,
        }
    }
}

impl CookieTransportBuilder {
    /// Sets the name. Without the prefix `__Host-` a sibling domain can plant a cookie of this
    /// name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the path below which the client presents the cookie.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Presents the cookie to all hosts of a domain.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sets whether the cookie travels over https only. Turn it off for local development alone.
    pub const fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Sets whether the cookie is hidden from scripts.
    pub const fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Sets on which requests from other sites the cookie is presented.
    pub const fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Sets whether the cookie is kept apart for each top-level site (CHIPS).
    pub const fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// Sets how long the client keeps the cookie, up to 400 days. It never decides how long the
    /// session lives.
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Builds the transport.
    ///
    /// # Errors
    ///
    /// Returns [`CookieError`] if a client would drop or misunderstand such a cookie.
    pub fn build(self) -> Result<CookieTransport, CookieError> {
        self.check()?;
        Ok(CookieTransport::from_builder(self))
    }

    fn check(&self) -> Result<(), CookieError> {
        let prefixed = |prefix: &str| {
            self.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let (host, secure) = (prefixed("__Host-"), prefixed("__Secure-"));
        let rules = [
            (is_token(&self.name), CookieError::Name),
            (self.name.len() + Token::TEXT_LEN <= PAIR_MAX, CookieError::Name),
            (self.path.starts_with('/'), CookieError::Path),
            (is_path(&self.path), CookieError::Text),
            (self.domain.as_deref().is_none_or(is_domain), CookieError::Text),
            (!host || self.domain.is_none(), CookieError::HostWithDomain),
            (!host || self.path == "/", CookieError::HostWithPath),
            (!(host || secure) || self.secure, CookieError::PrefixWithoutSecure),
            (self.same_site != SameSite::None || self.secure, CookieError::NoneWithoutSecure),
            (!self.partitioned || self.secure, CookieError::PartitionedWithoutSecure),
            (self.max_age.is_none_or(|age| (SECOND..=AGE_MAX).contains(&age)), CookieError::MaxAge),
        ];
        rules.into_iter().try_for_each(|(holds, error)| if holds { Ok(()) } else { Err(error) })
    }
}

impl CookieTransport {
    fn from_builder(builder: CookieTransportBuilder) -> Self {
        let mut template = Cookie::new(builder.name, "");
        template.set_path(builder.path);
        if let Some(domain) = builder.domain {
            template.set_domain(domain);
        }
        template.set_secure(builder.secure);
        template.set_http_only(builder.http_only);
        template.set_same_site(builder.same_site);
        if builder.partitioned {
            template.set_partitioned(true);
        }
        if let Some(age) = builder.max_age {
            let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
            template.set_max_age(::cookie::time::Duration::seconds(seconds));
        }
        Self { template }
    }
}

/// A cookie's name is a token of RFC 9110, section 5.6.2.
fn is_token(name: &str) -> bool {
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token_byte)
}

/// A cookie's path is one that requests can have (RFC 3986, section 3.3), without semicolons, which
/// end it here.
fn is_path(path: &str) -> bool {
    let is_path_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,=:@".contains(&byte);
    path.len() <= ATTRIBUTE_MAX && path.bytes().all(is_path_byte)
}

/// A cookie's domain is labels of a host's name; a dot before them changes nothing (RFC 6265bis,
/// section 5.6.3).
fn is_domain(domain: &str) -> bool {
    let is_label_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_label_byte);
    domain.len() <= ATTRIBUTE_MAX
        && domain.strip_prefix('.').unwrap_or(domain).split('.').all(is_label)
}

/// The bounds of RFC 6265bis, section 5.5 and 5.7: a client drops what is beyond.
const PAIR_MAX: usize = 4096;
const ATTRIBUTE_MAX: usize = 1024;
const AGE_MAX: Duration = Duration::from_secs(400 * 24 * 60 * 60);
const SECOND: Duration = Duration::from_secs(1);

/// Why a cookie transport was not built.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CookieError {
    /// The name is empty, too long, or has characters a cookie's name cannot have.
    Name,
    /// The path does not start with a slash.
    Path,
    /// Path or domain are too long, or are none that a request and its host can have.
    Text,
    /// A `__Host-` cookie with a domain.
    HostWithDomain,
    /// A `__Host-` cookie with another path than `/`.
    HostWithPath,
    /// A `__Host-` or `__Secure-` cookie that is not secure.
    PrefixWithoutSecure,
    /// `SameSite=None` without `Secure`.
    NoneWithoutSecure,
    /// `Partitioned` without `Secure`.
    PartitionedWithoutSecure,
    /// An age below a second or above 400 days.
    MaxAge,
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the cookie's name is empty, too long or has characters it cannot have",
            Self::Path => "the cookie's path does not start with /",
            Self::Text => "the cookie's path or domain is too long, or is no path or domain",
            Self::HostWithDomain => "a __Host- cookie cannot have a domain",
            Self::HostWithPath => "a __Host- cookie has the path /",
            Self::PrefixWithoutSecure => "a __Host- or __Secure- cookie must be secure",
            Self::NoneWithoutSecure => "a cookie with SameSite=None must be secure",
            Self::PartitionedWithoutSecure => "a partitioned cookie must be secure",
            Self::MaxAge => "the cookie's age is not 1 s to 400 days",
        })
    }
}

impl Error for CookieError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_put_into_cookies_does_not_hide_ours() {
        let transport = CookieTransport::default();
        let presented = |line: &[u8]| {
            let line =
                HeaderValue::from_bytes(line).expect("any byte above 0x7f may be in a header");
            let headers = HeaderMap::from_iter([(COOKIE, line)]);
            transport.read(&headers).map(str::to_owned)
        };
        assert_eq!(presented(b"a=\xc5\xbd; __Host-session=x").as_deref(), Some("x"));
        assert_eq!(presented(b"\xff=a; __Host-session=x").as_deref(), Some("x"));
        assert_eq!(presented(b"__Host-session=\xff"), None);
        assert_eq!(presented(b"__Host-session=\xff; __Host-session=x"), None);
    }
}
