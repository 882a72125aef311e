//! Whether an export is asked for: the `Accept` header (RFC 9110).

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";

/// Whether the client would rather have an export than a page: it names the type of exports, and
/// names none of pages that it likes better. Wildcards ask for nothing in particular.
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let (mut export, mut page) = (0.0, 0.0);
    for range in lines.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let quality = parts
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("q"))
            .map_or(1.0, |(_, value)| value.trim().parse().unwrap_or(0.0));
        if media_type.eq_ignore_ascii_case(NDJSON) {
            export = quality;
        } else if media_type.eq_ignore_ascii_case(JSON) {
            page = quality;
        }
    }
    export > 0.0 && export >= page
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn asks(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT, HeaderValue::from_str(line).unwrap());
        }
        is_asked_for(&headers)
    }

    #[test]
    fn an_export_is_asked_for_by_its_media_type() {
        for lines in [
            &["application/x-ndjson"][..],
            &["Application/X-NDJSON; charset=utf-8"],
            &["text/html, application/x-ndjson;q=0.9, */*;q=0.8"],
            &["application/json;q=0.5", "application/x-ndjson"],
        ] {
            assert!(asks(lines), "{lines:?}");
        }
    }

    #[test]
    fn whoever_asks_for_something_else_gets_a_page() {
        for lines in [
            &[][..],
            &["*/*"],
            &["application/*"],
            &["application/json"],
            &["application/x-ndjson;q=0"],
            &["application/x-ndjson;q=0.1, application/json"],
        ] {
            assert!(!asks(lines), "{lines:?}");
        }
    }
}
