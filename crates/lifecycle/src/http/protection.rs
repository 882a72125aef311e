//! What every answer tells browsers, so that it is taken for nothing but what it is.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use settings::{Settings, table};

/// What stands in every answer that does not say otherwise.
static USUAL: [(HeaderName, HeaderValue); 5] = [
    // Data is not shown, run or framed.
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Headers that answers get after these: the server's date and length, and the one below.
const ADDED_LATER: usize = 3;

/// `Strict-Transport-Security`, where the deployment is reached over TLS only.
pub(crate) fn strict_transport(settings: &mut Settings) -> Option<HeaderValue> {
    let seconds = settings.number(&table::HSTS_SECONDS);
    let value = || HeaderValue::from_str(&format!("max-age={seconds}; includeSubDomains")).ok();
    if seconds == 0 { None } else { value() }
}

/// Adds what the answer does not say itself.
pub(crate) fn protect(headers: &mut HeaderMap, strict_transport: Option<&HeaderValue>) {
    headers.reserve(USUAL.len() + ADDED_LATER);
    for (name, value) in &USUAL {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    if let Some(value) = strict_transport {
        headers.insert(STRICT_TRANSPORT_SECURITY, value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_s_own_word_counts() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        protect(&mut headers, None);
        assert_eq!(headers[CACHE_CONTROL], "private, no-cache");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers.get(STRICT_TRANSPORT_SECURITY), None);
    }

    #[test]
    fn transport_is_strict_where_the_deployment_says_so() {
        let read = |seconds: &str| {
            let variable = (table::HSTS_SECONDS.name.to_owned(), seconds.to_owned());
            strict_transport(&mut Settings::new([variable]))
        };
        assert_eq!(read("0"), None);
        assert_eq!(read("63072000").unwrap(), "max-age=63072000; includeSubDomains");
    }
}
