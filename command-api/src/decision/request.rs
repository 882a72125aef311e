//! What a request says of the decision it asks for, whatever the command.

use event_store::claim::{ClaimKey, Digest};
use event_store::request::RequestKey;
use http::{HeaderMap, Method};
use lifecycle::http::RequestContext;
use problem_details::Problem;

use super::content;
use crate::expected_version::ExpectedVersion;
use crate::idempotency_key::IdempotencyKey;
use crate::prefer::Prefer;

/// Who asks without an access token.
pub const ANYBODY: &str = "anybody";

/// A request that its client named.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) key: RequestKey,
    /// Method and path.
    pub(crate) route: String,
    /// Of the body without its secrets, and of the query where there is one.
    pub(crate) body_hash: Digest,
}

/// What is asked, beside the command.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The request's id and trace.
    pub(crate) context: &'a RequestContext,
    /// The opaque id of who asks.
    pub(crate) actor: String,
    /// Which version the caller decides upon.
    pub(crate) expected: ExpectedVersion,
    /// How the caller would rather be answered.
    pub(crate) prefer: Prefer,
    /// The request's name, if it has one.
    pub(crate) named: Option<Named>,
    /// Whether the answer waits for no log.
    pub(crate) is_at_once: bool,
    /// Whether the thing's id was made for this command.
    pub(crate) is_of_new: bool,
}

/// A request as its handler gets it.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its canonical path, with the ids in it and with its query.
    pub path: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its id and trace.
    pub context: &'a RequestContext,
    /// Its body.
    pub body: &'a [u8],
}

impl<'a> Asked<'a> {
    /// What a tool asks: it expects nothing and does not wait.
    pub(crate) fn by_tool(context: &'a RequestContext, actor: &str) -> Self {
        Self {
            context,
            actor: actor.to_owned(),
            expected: ExpectedVersion::Any,
            prefer: Prefer::default(),
            named: None,
            is_at_once: false,
            is_of_new: false,
        }
    }

    /// Answered as soon as it is decided, with the answer's own status, whatever is preferred: what follows
    /// is in the log later, and the answer's token names the event by its stream and version.
    #[must_use]
    pub fn at_once(self) -> Self {
        Self { is_at_once: true, ..self }
    }

    /// About a thing whose id was made for it just now: there is no stream of it to be looked for. Where there is one all
    /// the same, nothing is appended before it was looked at.
    #[must_use]
    pub fn of_new(self) -> Self {
        Self { is_of_new: true, ..self }
    }

    /// Without the name that its client gave it, so that its answer is not kept: for answers that hold a
    /// secret, and for requests that differ in more than what is compared. Sent again, it is another request.
    #[must_use]
    pub fn without_name(self) -> Self {
        Self { named: None, ..self }
    }

    /// Reads `If-Match`, `Prefer` and `Idempotency-Key`. A request whose name was used by the same caller
    /// before for the same route, query and body is answered as that one was.
    ///
    /// # Errors
    /// A header cannot be read.
    pub fn read(
        received: Received<'a>,
        actor: &str,
        claim_key: &ClaimKey,
    ) -> Result<Self, Problem> {
        let Received { method, path, headers, context, body } = received;
        let key = IdempotencyKey::from_headers(headers)?;
        let (path, query) = path.split_once('?').map_or((path, None), |(path, q)| (path, Some(q)));
        let named = key.map(|key| Named {
            key: RequestKey { principal: actor.to_owned(), key: key.as_str().to_owned() },
            route: format!("{method} {path}"),
            body_hash: content::hash(claim_key, query, headers, body),
        });
        Ok(Self {
            context,
            actor: actor.to_owned(),
            expected: ExpectedVersion::from_headers(headers)?,
            prefer: Prefer::from_headers(headers),
            named,
            is_at_once: false,
            is_of_new: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn named(path: &str, body: &[u8]) -> (String, Digest) {
        let name = ("idempotency-key".parse().unwrap(), HeaderValue::from_static("k1"));
        let headers = HeaderMap::from_iter([name]);
        let context = RequestContext::from_headers(&headers);
        let received =
            Received { method: &Method::POST, path, headers: &headers, context: &context, body };
        let asked = Asked::read(received, ANYBODY, &ClaimKey::derive(b"a secret")).unwrap();
        let Named { route, body_hash, .. } = asked.named.unwrap();
        (route, body_hash)
    }

    #[test]
    fn another_query_or_body_makes_another_request_of_the_same_route() {
        let all = [
            named("/a", b"one"),
            named("/a", b"two"),
            named("/a?", b"one"),
            named("/a?b=1", b"one"),
            named("/a?b=2", b"one"),
            named("/a?b=1?", b"one"),
            named("/a?one", b""),
        ];
        for (n, (route, hash)) in all.iter().enumerate() {
            assert_eq!(route, "POST /a");
            assert!(all[..n].iter().all(|(_, before)| before != hash), "{n}");
        }
        assert_eq!(named("/a?b=1", b"one"), all[3]);
        assert_ne!(named("/b", b"one").0, all[0].0);
    }
}
