//! A client that keeps cookies as browsers do (RFC 6265bis, section 5.7 and 5.8; CHIPS).

use std::time::Duration;

use sessile_core::Timestamp;
use sessile_core::engine::Clock as _;

use super::framework::Running;
use super::http::{Answer, Connection, Request};
use super::time::Time;

/// A browser that looks at one host over https. What is really spoken is http: certificates are no
/// matter of sessions.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    time: Time,
    host: String,
    /// The site in the bar of addresses: partitioned cookies are kept for each.
    site: String,
    jar: Vec<Cookie>,
}

/// A cookie that is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Cookie {
    key: Key,
    value: String,
    expires: Option<Timestamp>,
}

/// What makes a cookie the same as another.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Key {
    name: String,
    domain: String,
    is_for_host_only: bool,
    path: String,
    partition: Option<String>,
}

impl Browser {
    pub(crate) fn new(time: Time) -> Self {
        let host = "www.shop.example".to_owned();
        Self { time, site: host.clone(), host, jar: Vec::new() }
    }

    /// Sends a request with the cookies, and keeps those of the answer.
    pub(crate) async fn get(&mut self, server: &Running, target: &str) -> Answer {
        let answer = self.lose(server, target).await;
        self.keep(&answer);
        answer
    }

    /// As [`Browser::get`], with a form.
    pub(crate) async fn post(&mut self, server: &Running, target: &str, body: &str) -> Answer {
        let request = self.sign(Request::post(target, body), target);
        let answer = request.send(server.port()).await;
        self.keep(&answer);
        answer
    }

    /// Sends a request with the cookies, whose answer is lost: only the story sees it.
    pub(crate) async fn lose(&self, server: &Running, target: &str) -> Answer {
        self.sign(Request::get(target), target).send(server.port()).await
    }

    /// Sends a request that answers with a stream.
    pub(crate) async fn open(&self, server: &Running, request: Request, at: &str) -> Connection {
        self.sign(request, at).open(server.port()).await
    }

    /// Adds the host and the cookies that a request for that target carries.
    fn sign(&self, request: Request, target: &str) -> Request {
        let request = request.with("host", &self.host);
        let path = target.split('?').next().unwrap_or_default();
        let pairs: Vec<_> = self.sent_to(path).map(Cookie::pair).collect();
        if pairs.is_empty() { request } else { request.with("cookie", &pairs.join("; ")) }
    }

    /// Returns the cookies for a path: those of longer paths first, then the older.
    fn sent_to(&self, path: &str) -> impl Iterator<Item = &Cookie> {
        let now = self.time.now();
        let is_sent = |cookie: &&Cookie| {
            let Key { domain, is_for_host_only, path: below, partition, .. } = &cookie.key;
            cookie.expires.is_none_or(|expires| now < expires)
                && (*domain == self.host || !is_for_host_only && is_within(&self.host, domain))
                && is_below(path, below)
                && partition.as_ref().is_none_or(|partition| *partition == self.site)
        };
        let mut sent: Vec<_> = self.jar.iter().filter(is_sent).collect();
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.key.path.len()));
        sent.into_iter()
    }

    /// Keeps what an answer sets.
    pub(crate) fn keep(&mut self, answer: &Answer) {
        answer.all("set-cookie").for_each(|line| self.plant(line));
    }

    /// Keeps what a line of `Set-Cookie` says.
    pub(crate) fn plant(&mut self, line: &str) {
        let Some(cookie) = self.parse(line) else { return };
        let place = self.jar.iter().position(|kept| kept.key == cookie.key);
        let is_over = cookie.expires.is_some_and(|expires| expires <= self.time.now());
        match (place, is_over) {
            (Some(place), true) => drop(self.jar.remove(place)),
            (Some(place), false) => self.jar[place] = cookie,
            (None, true) => {}
            (None, false) => self.jar.push(cookie),
        }
    }

    /// Reads a line of `Set-Cookie`; `None` if a browser drops it.
    fn parse(&self, line: &str) -> Option<Cookie> {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let attributes: Vec<_> =
            parts.map(|part| part.split_once('=').unwrap_or((part, ""))).collect();
        let find = |wanted: &str| {
            let mut found = attributes.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.next_back().map(|(_, value)| *value)
        };
        let domain = find("domain").map(|domain| domain.trim_start_matches('.').to_owned());
        let path = find("path").filter(|path| path.starts_with('/')).unwrap_or("/").to_owned();
        let is_secure = find("secure").is_some();
        let is_of_host = is_secure && domain.is_none() && path == "/";
        let is_foreign = domain.as_ref().is_some_and(|domain| !is_within(&self.host, domain));
        if is_foreign || (name.starts_with("__Host-") && !is_of_host) {
            return None;
        }
        let partition = find("partitioned").filter(|_| is_secure).map(|_| self.site.clone());
        let age = find("max-age").and_then(|age| age.parse().ok());
        assert!(find("expires").is_none() || age.is_some(), "these servers always send an age");
        Some(Cookie {
            key: Key {
                name: name.to_owned(),
                is_for_host_only: domain.is_none(),
                domain: domain.unwrap_or_else(|| self.host.clone()),
                path,
                partition,
            },
            value: value.to_owned(),
            expires: age.map(|seconds| self.time.now() + Duration::from_secs(seconds)),
        })
    }

    /// Returns the value of the cookie of that name that would be sent to `/`.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        self.sent_to("/").find(|cookie| cookie.key.name == name).map(|cookie| cookie.value.clone())
    }

    /// Returns the token in the layer's own cookie.
    pub(crate) fn token(&self) -> Option<String> {
        self.value("__Host-session")
    }

    /// Returns how many cookies are kept, those that expired included.
    pub(crate) fn cookies(&self) -> usize {
        self.jar.len()
    }

    /// Looks at another host.
    pub(crate) fn visit(&mut self, host: &str) {
        host.clone_into(&mut self.host);
    }

    /// Shows another site, in which the host is embedded.
    pub(crate) fn show(&mut self, site: &str) {
        site.clone_into(&mut self.site);
    }

    /// Is closed and opened again.
    pub(crate) fn close(&mut self) {
        self.jar.retain(|cookie| cookie.expires.is_some());
    }
}

impl Cookie {
    fn pair(&self) -> String {
        format!("{}={}", self.key.name, self.value)
    }
}

/// Reports whether a host is in a domain.
fn is_within(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// Reports whether a path is below that of a cookie.
fn is_below(path: &str, below: &str) -> bool {
    let rest = path.strip_prefix(below);
    rest.is_some_and(|rest| rest.is_empty() || below.ends_with('/') || rest.starts_with('/'))
}
