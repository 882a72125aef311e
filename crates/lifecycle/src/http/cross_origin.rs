//! Pages of other origins: which may read our answers.

use std::time::Duration;

use http::header::{
    ACCEPT_ENCODING, AGE, ALLOW, ETAG, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue, Method};
use settings::{Settings, table};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::REQUEST_ID;
use super::quota::{RATE_LIMIT, RATE_LIMIT_POLICY};

/// How long a browser remembers what it was told of a kind of request.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The headers of answers that a page needs, of those that it is not shown anyway.
const EXPOSED: [HeaderName; 14] = [
    ACCEPT_ENCODING,
    AGE,
    ALLOW,
    HeaderName::from_static("cache-status"),
    HeaderName::from_static("consistency-token"),
    ETAG,
    LINK,
    LOCATION,
    HeaderName::from_static("preference-applied"),
    RATE_LIMIT,
    RATE_LIMIT_POLICY,
    RETRY_AFTER,
    WWW_AUTHENTICATE,
    REQUEST_ID,
];

/// The origins whose pages may read our answers, as browsers write them; faults are noted.
pub(crate) fn origins(settings: &mut Settings) -> Vec<HeaderValue> {
    let text = settings.optional_text(&table::CORS_ORIGINS).unwrap_or_default();
    let mut origins = Vec::new();
    for origin in text.split(',').map(str::trim).filter(|origin| !origin.is_empty()) {
        match HeaderValue::from_str(origin) {
            Ok(value) if is_origin(origin) => origins.push(value),
            _ => settings.fault(format!(
                "{} must be origins such as https://app.example.com separated by commas, which {origin:?} is not",
                table::CORS_ORIGINS.name
            )),
        }
    }
    origins
}

/// Scheme, host and perhaps a port, in lower case and with nothing behind: what differs in a letter is
/// another origin.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or(text.strip_prefix("http://")).unwrap_or_default();
    let is_of_host = |b: u8| {
        b.is_ascii_lowercase()
            || b.is_ascii_digit()
            || matches!(b, b'.' | b'-' | b':' | b'[' | b']')
    };
    !host.is_empty() && host.bytes().all(is_of_host)
}

/// Lets pages of these origins send what clients send and read what they are answered. A browser's own
/// credentials are none of ours: a page has an access token or it has not.
pub(crate) fn layer(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED)
        .max_age(REMEMBERED);
    Some(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<HeaderValue>, Vec<String>> {
        let variable = (table::CORS_ORIGINS.name.to_owned(), text.to_owned());
        let mut settings = Settings::new([variable]);
        let origins = origins(&mut settings);
        settings.finish(origins).map_err(|error| error.0)
    }

    #[test]
    fn origins_are_taken_as_browsers_write_them() {
        let origins =
            read("https://app.example.com, http://localhost:5173,http://[::1]:8080").unwrap();
        assert_eq!(
            origins,
            ["https://app.example.com", "http://localhost:5173", "http://[::1]:8080"]
        );
    }

    #[test]
    fn what_no_browser_would_send_is_refused_by_name() {
        for text in [
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://app.example.com/",
            "https://App.example.com",
            "https://*.example.com",
            "https://a@b.example.com",
        ] {
            let faults = read(text).unwrap_err();
            assert!(faults.len() == 1 && faults[0].contains("MILLRACE_CORS_ORIGINS"), "{faults:?}");
        }
    }
}
