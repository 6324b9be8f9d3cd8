//! Transports of an application's own.

use sessile_core::engine::Candidates;
use sessile_web::{News, RequestHead, ResponseHead, Transport};

/// The token in the query, as `token=`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InQuery;

/// The token in a field of a form, where a layer around this one found it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InForm;

impl Transport for InQuery {
    fn name(&self) -> &str {
        "?token"
    }

    fn read(&self, request: &dyn RequestHead, candidates: &mut Candidates) -> bool {
        let pairs = request.query().unwrap_or_default().split('&');
        let tokens = pairs.filter_map(|pair| pair.strip_prefix("token="));
        tokens.map(|token| candidates.add(token)).count() > 0
    }

    fn tell(&self, news: &News<'_>, response: &mut dyn ResponseHead) {
        tell(news, response);
    }
}

impl Transport for InForm {
    fn name(&self) -> &str {
        "a form's token"
    }

    fn read(&self, request: &dyn RequestHead, candidates: &mut Candidates) -> bool {
        let found = request.found_token();
        found.map(|token| candidates.add(token.expose())).is_some()
    }

    fn tell(&self, news: &News<'_>, response: &mut dyn ResponseHead) {
        tell(news, response);
    }
}

fn tell(news: &News<'_>, response: &mut dyn ResponseHead) {
    let text = match news {
        News::Issue(token, _) => token.expose().as_str().to_owned(),
        News::Revoke => "none".to_owned(),
        News::Renew(..) => return,
    };
    response.set(NEXT_TOKEN, vec![text.into_bytes()]);
}

/// The header in which these tell a client its token.
pub(crate) const NEXT_TOKEN: &str = "x-next-token";
