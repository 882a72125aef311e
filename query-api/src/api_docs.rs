//! `GET /api/v1/openapi.json` and `GET /api/v1/docs`: the description of the whole API, and a page on
//! which it can be tried.
//!
//! The document is the one of the repository, which is made of what both processes say of themselves
//! and checked against it. The page is Swagger UI, out of the binary: nothing is fetched from elsewhere,
//! and nothing but our own scripts runs on it.

use std::io::Read as _;

use api_description::{Answer, Described, Example, Header, Operation, Verb};
use axum::extract::{Path, rejection::PathRejection};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, routing::get};
use flate2::read::GzDecoder;
use serde_json::json;

use crate::description::conditional;

/// What the page may do: run our scripts, ask us, and show images that stand in its style sheet.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Kept, and asked for again before it is used: another release has other files under these names.
const KEPT: HeaderValue = HeaderValue::from_static("no-cache");

/// The headers of the document.
const HEADERS: [Header; 2] = [Header::Checksum, Header::CacheControl];

/// A file that was compressed when the process was built.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    gzip: &'static [u8],
    /// The checksum of what is inside.
    tag: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/api_docs.rs"));

/// The document; it is an operation like others.
pub(crate) fn described<S: Clone + Send + Sync + 'static>() -> Described<S> {
    let path = "/api/v1/openapi.json";
    let operation = Operation::new(Verb::Get, path, "describeApi", "This document")
        .tag("Description")
        .parameters([conditional()])
        .answer(Answer::new(200, "OpenAPI 3.1.").headers(&HEADERS).json(json!({"type": "object"})))
        .answer(Answer::new(304, "It is the one of `If-None-Match`.").headers(&HEADERS))
        .example(Example::new("asked", "Asked", 200))
        .example(Example::new("known", "Known already", 304).header("If-None-Match", "*"));
    Described::default().on(operation, async |headers: HeaderMap| OPENAPI.answer(&headers))
}

/// The page and what it loads.
pub(crate) fn page<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let page = get(async |headers: HeaderMap| {
        let mut response = PAGE.answer(&headers);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
        response
    });
    Router::new().route("/api/v1/docs", page).route("/api/v1/docs/{file}", get(file))
}

async fn file(name: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Response {
    let is_asked_for = |file: &&Asset| name.as_ref().is_ok_and(|Path(name)| name == file.name);
    match FILES.iter().find(is_asked_for) {
        Some(file) => file.answer(&headers),
        None => problem_details::not_found().await.into_response(),
    }
}

impl Asset {
    fn answer(&self, asked: &HeaderMap) -> Response {
        let is_known = asked.get_all(IF_NONE_MATCH).iter().any(|known| {
            known.to_str().is_ok_and(|known| known == "*" || known.contains(self.tag))
        });
        let mut response = if is_known {
            StatusCode::NOT_MODIFIED.into_response()
        } else if takes_gzip(asked) {
            ([(CONTENT_ENCODING, "gzip")], self.gzip).into_response()
        } else {
            self.plain().into_response()
        };
        let headers = response.headers_mut();
        if !is_known {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        }
        headers.insert(CACHE_CONTROL, KEPT);
        headers.insert(ETAG, HeaderValue::from_static(self.tag));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        response
    }

    /// For the rare client that takes no gzip.
    fn plain(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        // It was compressed by the build: it is whole.
        let _ = GzDecoder::new(self.gzip).read_to_end(&mut plain);
        plain
    }
}

/// The server has left what the client takes and no more.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let line = asked.get(ACCEPT_ENCODING).and_then(|line| line.to_str().ok()).unwrap_or_default();
    line.split(',').any(|coding| coding.trim() == "gzip")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: axum::http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn everything_that_the_page_loads_is_here() {
        let page = String::from_utf8(PAGE.plain()).unwrap();
        let loaded: Vec<&str> =
            page.split(['"', '\n']).filter_map(|part| part.strip_prefix("docs/")).collect();
        assert_eq!(loaded.len(), FILES.len(), "{loaded:?}");
        for name in loaded {
            assert!(FILES.iter().any(|file| file.name == name), "{name} is not here");
        }
        assert!(!page.contains("//"), "the page names another place");
    }

    #[test]
    fn the_document_is_that_of_the_repository() {
        let served: serde_json::Value = serde_json::from_slice(&OPENAPI.plain()).unwrap();
        let stored = include_str!("../../docs/openapi.json");
        assert_eq!(served, serde_json::from_str::<serde_json::Value>(stored).unwrap());
    }

    #[test]
    fn a_file_comes_as_the_client_takes_it_and_once() {
        for file in FILES.iter().chain([&PAGE, &OPENAPI]) {
            let compressed = file.answer(&asked(ACCEPT_ENCODING, "br, gzip"));
            assert_eq!(compressed.headers()[CONTENT_ENCODING], "gzip");
            let plain = file.answer(&HeaderMap::new());
            assert_eq!(plain.headers().get(CONTENT_ENCODING), None);
            assert!(!file.plain().is_empty() && file.gzip.len() < file.plain().len());
            let known = file.answer(&asked(IF_NONE_MATCH, file.tag));
            assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(known.headers().get(CONTENT_TYPE), None);
        }
    }

    #[test]
    fn the_page_is_small_in_the_binary() {
        let bytes: usize = FILES.iter().chain([&PAGE, &OPENAPI]).map(|file| file.gzip.len()).sum();
        assert!(bytes < 600_000, "{bytes} bytes");
    }
}
