//! A hash of what a request says, by which it is told from another one of the same name.

use std::borrow::Cow;

use event_store::claim::{ClaimKey, Digest};
use http::HeaderMap;

use crate::fields::members_of_texts;
use crate::form;

/// What is left out: whoever has the store and its key could try out as fast as they can hash which password it
/// was. Two requests that differ in nothing else are taken for one.
const SECRETS: [&str; 4] = ["code", "current_password", "new_password", "password"];

/// The hash of what is said beside the path. A query may hold what a route must not: it is kept as a hash only.
pub(super) fn hash(
    key: &ClaimKey,
    query: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Digest {
    let body = key.body_hash(&without_secrets(headers, body));
    match query {
        None => body,
        Some(query) => key.body_hash(&[key.body_hash(query.as_bytes()), body].concat()),
    }
}

/// The body as it is, or what it says beside its secrets where there are some.
fn without_secrets<'a>(headers: &HeaderMap, body: &'a [u8]) -> Cow<'a, [u8]> {
    let said = if form::is_sent(headers) { of_form(body) } else { of_json(body) };
    said.map_or(Cow::Borrowed(body), Cow::Owned)
}

fn of_json(body: &[u8]) -> Option<Vec<u8>> {
    let members = members_of_texts(body)?;
    rest(members.iter().map(|member| (&*member.name, member.value.text)))
}

fn of_form(body: &[u8]) -> Option<Vec<u8>> {
    let members = form::members(body)?;
    rest(members.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// What members say, each name and value behind its length; `None` where none is a secret.
fn rest<'a>(members: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Option<Vec<u8>> {
    members.clone().find(|(name, _)| SECRETS.contains(name))?;
    let mut said = Vec::new();
    for (name, value) in members {
        let value = if SECRETS.contains(&name) { "" } else { value };
        for text in [name, value] {
            said.extend((text.len() as u64).to_be_bytes());
            said.extend(text.as_bytes());
        }
    }
    Some(said)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::CONTENT_TYPE;

    use super::*;

    fn of(media_type: &'static str, body: &str) -> Digest {
        let media_type = (CONTENT_TYPE, HeaderValue::from_static(media_type));
        let headers = HeaderMap::from_iter([media_type]);
        hash(&ClaimKey::derive(b"a secret"), None, &headers, body.as_bytes())
    }

    fn of_json(body: &str) -> Digest {
        of("application/json", body)
    }

    fn of_form(body: &str) -> Digest {
        of(form::MEDIA_TYPE, body)
    }

    #[test]
    fn which_password_it_was_cannot_be_tried_out() {
        for name in SECRETS {
            let json = |secret| of_json(&format!(r#"{{"username": "ann", "{name}": "{secret}"}}"#));
            assert_eq!(json("one"), json("other"), "{name}");
            let form = |secret| of_form(&format!("token=aZ0&{name}={secret}"));
            assert_eq!(form("one"), form("other"), "{name}");
        }
        assert_eq!(of_json(r#"{"p\u0061ssword": "one"}"#), of_json(r#"{"password": "two"}"#));
    }

    #[test]
    fn whatever_else_is_said_makes_another_request() {
        let all = [
            of_json(r#"{"username": "ann", "password": "one"}"#),
            of_json(r#"{"username": "bob", "password": "one"}"#),
            of_json(r#"{"username": "ann", "password": "one", "bio": "hi"}"#),
            of_json(r#"{"username": "ann"}"#),
            of_json(r#"{"username": "ann", "passwords": "one"}"#),
            of_json("no object"),
            of_form("token=a&password=one"),
            of_form("token=b&password=one"),
            of_form("token=a"),
        ];
        for (n, hash) in all.iter().enumerate() {
            assert!(!all[..n].contains(hash), "{n}");
        }
    }

    #[test]
    fn a_body_without_secrets_is_what_its_bytes_are() {
        assert_ne!(of_json(r#"{"bio": "hi"}"#), of_json(r#"{ "bio": "hi"}"#));
    }
}
