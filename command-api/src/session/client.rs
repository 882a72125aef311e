//! Which client a request comes from, as far as that can be told.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::session::{ClientMark, SessionId};
use event_store::claim::ClaimKey;
use http::HeaderMap;
use http::header::USER_AGENT;
use lifecycle::http::{ClientAddress, RequestContext};

/// What keyed hashes of clients are made for.
const OF_CLIENT: &str = "session-client";

/// Who asks, beside what the body says.
pub(super) struct Client {
    /// The request's id and trace.
    pub(super) context: RequestContext,
    /// Where it comes from.
    pub(super) address: IpAddr,
    /// What the client says it is: clients that say nothing of themselves are one.
    said: String,
}

impl Client {
    pub(super) fn new(
        context: &RequestContext,
        ClientAddress(address): ClientAddress,
        headers: &HeaderMap,
    ) -> Self {
        let said = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
        Self { context: context.clone(), address, said: said.unwrap_or_default().into_owned() }
    }

    /// A keyed hash of what the client says it is, which tells it from others of the session. In another session
    /// it is another one: else marks would tell which sessions are of one person. Whoever has stolen a refresh
    /// token may say what its owner says, so this tells a client that has lost an answer from one that has not,
    /// and proves nothing. `None` would be a defect.
    pub(super) fn mark(&self, session: SessionId, key: &ClaimKey) -> Option<ClientMark> {
        let digest = key.digest(OF_CLIENT, &format!("{session} {}", self.said));
        ClientMark::new(URL_SAFE_NO_PAD.encode(digest))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::HeaderValue;
    use uuid::Uuid;

    use super::*;

    const SESSION: SessionId = SessionId(Uuid::from_u128(7));

    fn client(agent: Option<&str>) -> Client {
        let value = agent.map(|agent| HeaderValue::from_bytes(agent.as_bytes()).unwrap());
        let headers = value.map(|value| (USER_AGENT, value)).into_iter().collect();
        let context = RequestContext::from_headers(&headers);
        Client::new(&context, ClientAddress(Ipv4Addr::LOCALHOST.into()), &headers)
    }

    fn marked(agent: Option<&str>, secret: &[u8]) -> ClientMark {
        client(agent).mark(SESSION, &ClaimKey::derive(secret)).unwrap()
    }

    #[test]
    fn a_client_is_known_by_what_it_says_it_is_and_its_mark_does_not_tell_that() {
        let one = marked(Some("Browser/1 (of somebody)"), b"a secret");
        assert_eq!(one, marked(Some("Browser/1 (of somebody)"), b"a secret"));
        assert_ne!(one, marked(Some("Browser/2"), b"a secret"));
        assert_ne!(one, marked(Some("Browser/1 (of somebody)"), b"another"));
        assert!(!one.as_str().contains("Browser"));
        assert_ne!(marked(None, b"a secret"), one);
        assert_eq!(marked(None, b"a secret"), marked(Some(""), b"a secret"));
        marked(Some("\u{fc}"), b"a secret");
    }

    #[test]
    fn a_client_is_not_known_from_one_session_to_the_next() {
        let (client, key) = (client(Some("Browser/1")), ClaimKey::derive(b"a secret"));
        let one = client.mark(SESSION, &key).unwrap();
        assert_eq!(client.mark(SESSION, &key).unwrap(), one);
        assert_ne!(client.mark(SessionId(Uuid::from_u128(8)), &key).unwrap(), one);
    }
}
