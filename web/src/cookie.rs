//! The token in a cookie, with attributes that are safe by default.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use ::cookie::Cookie;
use sessile_core::Token;
use sessile_core::engine::Candidates;

use crate::head::{RequestHead, ResponseHead};
use crate::transport::{Lifespan, News, Transport};

/// The token in a cookie.
///
/// By default `__Host-session` with `Secure`, `HttpOnly`, `SameSite=Lax`, `Path=/`, no `Domain`, and
/// kept [`KeepCookie::WhenRemembered`] (OWASP ASVS 5.0, 3.3.1 to 3.3.4).
///
/// A client may present several cookies of the name, of another path, domain or partition. All are
/// [candidates](Candidates). What this writes replaces a `Set-Cookie` of the application only if
/// both mean the same cookie.
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
    /// The cookie as it is sent, without its value and age.
    template: Cookie<'static>,
    keep: KeepCookie,
}

/// How long a client keeps the cookie. That never decides how long the session lives.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeepCookie {
    /// Until the browser is closed.
    UntilBrowserCloses,
    /// As long as the session lives, if that was given a longer idle timeout than the policy gives
    /// to all ("remember me"); otherwise until the browser is closed.
    #[default]
    WhenRemembered,
    /// As long as the session lives. The cookie is sent again when a request has made the session
    /// live on.
    AsLongAsSession,
    /// So long, 1 s to 400 days. Sent again as well.
    For(Duration),
}

/// On which requests from other sites a cookie is presented (RFC 6265bis, section 5.6.7).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "closed: clients know no other")]
pub enum SameSite {
    /// On none.
    Strict,
    /// On those that follow a link.
    #[default]
    Lax,
    /// On all: the cookie must be secure.
    None,
}

impl CookieTransport {
    /// Starts from the safe defaults.
    pub fn builder() -> CookieTransportBuilder {
        CookieTransportBuilder::default()
    }

    /// Puts the cookie into the response, in place of one that means the same.
    fn put(&self, cookie: &Cookie<'_>, response: &mut dyn ResponseHead) {
        let mut lines = response.get(SET_COOKIE);
        lines.retain(|line| !self.means(line));
        lines.push(cookie.to_string().into_bytes());
        response.set(SET_COOKIE, lines);
    }

    /// Reports whether a line of `Set-Cookie` is about this cookie: for a client, cookies of another
    /// path, domain or partition are others (RFC 6265bis, section 5.7; CHIPS).
    fn means(&self, line: &[u8]) -> bool {
        let Ok(line) = str::from_utf8(line) else { return false };
        let Ok(other) = Cookie::parse(line) else { return false };
        let domain = |cookie: &Cookie<'_>| {
            cookie.domain().map(|domain| domain.trim_start_matches('.').to_ascii_lowercase())
        };
        let is_partitioned = |cookie: &Cookie<'_>| cookie.partitioned() == Some(true);
        other.name() == self.template.name()
            && other.path() == self.template.path()
            && domain(&other) == domain(&self.template)
            && is_partitioned(&other) == is_partitioned(&self.template)
    }

    /// Returns how long the client is to keep the cookie; `None` if until it is closed.
    fn age(&self, lifespan: Lifespan) -> Option<Duration> {
        let age = match self.keep {
            KeepCookie::WhenRemembered if lifespan.is_remembered => Some(lifespan.remaining),
            KeepCookie::UntilBrowserCloses | KeepCookie::WhenRemembered => None,
            KeepCookie::AsLongAsSession => Some(lifespan.remaining),
            KeepCookie::For(age) => Some(age),
        };
        age.map(|age| age.clamp(SECOND, AGE_MAX))
    }

    fn issue(&self, token: &Token, age: Option<Duration>, response: &mut dyn ResponseHead) {
        let mut cookie = self.template.clone();
        cookie.set_value(token.expose().as_str().to_owned());
        if let Some(age) = age {
            let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
            cookie.set_max_age(::cookie::time::Duration::seconds(seconds));
        }
        self.put(&cookie, response);
    }
}

impl Transport for CookieTransport {
    fn name(&self) -> &str {
        self.template.name()
    }

    fn read(&self, request: &dyn RequestHead, candidates: &mut Candidates) -> bool {
        let mut is_presented = false;
        request.each("cookie", &mut |line| {
            // Byte by byte: what others put into the same header need not be text.
            for pair in line.split(|byte| *byte == b';') {
                let Some(at) = pair.iter().position(|byte| *byte == b'=') else { continue };
                let (name, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
                if name == self.name().as_bytes() && !value.is_empty() {
                    is_presented = true;
                    candidates.add(str::from_utf8(value).unwrap_or_default());
                }
            }
        });
        is_presented
    }

    fn tell(&self, news: &News<'_>, response: &mut dyn ResponseHead) {
        match news {
            News::Issue(token, lifespan) => self.issue(token, self.age(*lifespan), response),
            News::Renew(token, lifespan) => {
                if let age @ Some(_) = self.age(*lifespan) {
                    self.issue(token, age, response);
                }
            }
            News::Revoke => {
                // The same name, path, domain and partition, without which it would not go.
                let mut cookie = self.template.clone();
                cookie.make_removal();
                self.put(&cookie, response);
            }
        }
    }

    fn header(&self) -> Option<&str> {
        Some("cookie")
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
    keep: KeepCookie,
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
            keep: KeepCookie::WhenRemembered,
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

    /// Sets how long the client keeps the cookie.
    pub const fn keep(mut self, keep: KeepCookie) -> Self {
        self.keep = keep;
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
            (self.keep.is_possible(), CookieError::MaxAge),
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
        template.set_same_site(match builder.same_site {
            SameSite::Strict => ::cookie::SameSite::Strict,
            SameSite::Lax => ::cookie::SameSite::Lax,
            SameSite::None => ::cookie::SameSite::None,
        });
        if builder.partitioned {
            template.set_partitioned(true);
        }
        Self { template, keep: builder.keep }
    }
}

impl KeepCookie {
    fn is_possible(self) -> bool {
        match self {
            Self::For(age) => (SECOND..=AGE_MAX).contains(&age),
            _ => true,
        }
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

const SET_COOKIE: &str = "set-cookie";

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
