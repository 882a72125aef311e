//! Whether a form comes from a page that may not call the API: without I/O.
//!
//! Any page may have its visitors' browsers send a form anywhere, without asking and without reading the answer.
//! Whoever opened such a page would fail to log in, again and again, and be held back for it.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};
use problem_details::{Problem, ProblemType, RefusedCaller};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a form of a page that is neither of these origins nor ours. What is no browser says nothing of pages.
///
/// # Errors
/// 403, before anything is looked at.
pub(super) fn must_be_of(origins: &[HeaderValue], headers: &HeaderMap) -> Result<(), Problem> {
    if !is_foreign(origins, headers) {
        return Ok(());
    }
    let detail = "pages of this origin may not send forms here";
    let refused = RefusedCaller { reason: "foreign-page", actor: None };
    Err(Problem::new(ProblemType::Forbidden, detail).with_refused_caller(refused))
}

fn is_foreign(origins: &[HeaderValue], headers: &HeaderMap) -> bool {
    let origin = headers.get(ORIGIN);
    if origin.is_some_and(|origin| origins.contains(origin)) {
        return false;
    }
    match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        Some(b"same-origin" | b"none") => false,
        Some(_) => true,
        // An older browser.
        None => origin.is_some_and(|origin| !is_ours(origin, headers)),
    }
}

/// Whether it is the address that the form was sent to.
fn is_ours(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let origin = origin.as_bytes();
    let host = origin.strip_prefix(b"https://").or(origin.strip_prefix(b"http://"));
    host.is_some() && host == headers.get(HOST).map(HeaderValue::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses(headers: &[(HeaderName, &'static str)]) -> bool {
        let headers = headers.iter().cloned();
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let origins = [HeaderValue::from_static("https://app.example.com")];
        must_be_of(&origins, &headers.collect()).is_err()
    }

    #[test]
    fn a_page_of_another_site_sends_nothing() {
        let elsewhere = (ORIGIN, "https://elsewhere.example");
        assert!(refuses(&[elsewhere.clone(), (SEC_FETCH_SITE, "cross-site")]));
        assert!(refuses(&[elsewhere]));
        assert!(refuses(&[(SEC_FETCH_SITE, "cross-site")]));
        assert!(refuses(&[(ORIGIN, "null")]));
        assert!(refuses(&[(ORIGIN, "https://www.example.com"), (SEC_FETCH_SITE, "same-site")]));
        assert!(refuses(&[(ORIGIN, "https://api.example.com.evil"), (HOST, "api.example.com")]));
    }

    #[test]
    fn whoever_is_no_page_and_pages_that_may_do() {
        assert!(!refuses(&[]));
        assert!(!refuses(&[(SEC_FETCH_SITE, "none")]));
        let app = (ORIGIN, "https://app.example.com");
        assert!(!refuses(std::slice::from_ref(&app)));
        assert!(!refuses(&[app, (SEC_FETCH_SITE, "cross-site")]));
        let own = (ORIGIN, "https://api.example.com:8443");
        assert!(!refuses(&[own.clone(), (SEC_FETCH_SITE, "same-origin")]));
        assert!(!refuses(&[own, (HOST, "api.example.com:8443")]));
    }
}
