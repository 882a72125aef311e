//! Smaller answers for clients that say they take them.
//!
//! It is done here and not by the front door: not every nginx knows brotli, a process may be asked
//! without one, and only who wrote an answer knows whether it is worth it.

use std::convert::Infallible;
use std::future::ready;

use axum::body::Body;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, Request, Response};
use tower::{Layer as _, ServiceExt as _};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};

/// Bytes of a body that is not worth the work: it travels in one packet as it is.
const TINY: u64 = 1024;

/// What is larger, or whose size nobody knows.
const LARGE: SizeAbove = SizeAbove::new(TINY);

/// What compresses well; everything else is compressed already or seldom asked for.
const WORTH_IT: [&str; 4] =
    ["application/json", "application/problem+json", "application/x-ndjson", "text/plain"];

/// Whether an answer is worth the work. Most are not: they go their way as they are, without another
/// body around theirs.
pub(crate) fn is_worth_it(response: &Response<Body>) -> bool {
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let essence = media_type.and_then(|it| it.split(';').next()).unwrap_or_default().trim();
    WORTH_IT.contains(&essence) && LARGE.should_compress(response)
}

/// Compresses an answer in the coding that [`choose`] has left.
pub(crate) async fn compress(
    coding: Option<HeaderValue>,
    response: Response<Body>,
) -> Response<Body> {
    let mut request = Request::new(());
    if let Some(coding) = coding {
        request.headers_mut().insert(ACCEPT_ENCODING, coding);
    }
    // The library compresses what a service answers.
    let mut response = Some(response);
    let answers = tower::service_fn(move |_: Request<()>| {
        ready(Ok::<_, Infallible>(response.take().unwrap_or_default()))
    });
    // Answers are made while somebody waits: a third more bytes cost less than a tenth of the speed.
    let compression =
        CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(LARGE);
    let Ok(compressed) = compression.layer(answers).oneshot(request).await;
    let mut compressed = compressed.map(Body::new);
    weaken_tag(compressed.headers_mut());
    compressed
}

/// Leaves, of the codings that the client takes, those that we write. One that takes nothing that we
/// have gets the answer as it is: a write that took effect must not be told as a failure.
pub(crate) fn choose(headers: &mut HeaderMap) {
    if !headers.contains_key(ACCEPT_ENCODING) {
        return;
    }
    let (mut brotli, mut gzip, mut others) = (None, None, 0.0);
    for line in headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok()) {
        for (coding, quality) in line.split(',').map(coding_and_quality) {
            match coding.to_ascii_lowercase().as_str() {
                "br" => brotli = Some(quality),
                "gzip" | "x-gzip" => gzip = Some(quality),
                "*" => others = quality,
                _ => {}
            }
        }
    }
    let (brotli, gzip): (f32, f32) = (brotli.unwrap_or(others), gzip.unwrap_or(others));
    let left = match (brotli > 0.0, gzip > 0.0) {
        (true, true) if gzip > brotli => "gzip",
        (true, true) => "br, gzip",
        (true, false) => "br",
        (false, true) => "gzip",
        (false, false) => "identity",
    };
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(left));
}

fn coding_and_quality(item: &str) -> (&str, f32) {
    let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
    let quality = parameters.split_once('=').map(|(_, value)| value.trim().parse().unwrap_or(0.0));
    (coding.trim(), quality.unwrap_or(1.0))
}

/// A compressed answer is not byte for byte what its strong tag names: the tag becomes a weak one.
fn weaken_tag(headers: &mut HeaderMap) {
    if !headers.contains_key(CONTENT_ENCODING) {
        return;
    }
    let strong = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
    let weak = strong.map(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()));
    if let Some(Ok(weak)) = weak {
        headers.insert(ETAG, weak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(lines: &[&str]) -> Option<String> {
        let line = |line: &&str| (ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap());
        let mut headers: HeaderMap = lines.iter().map(line).collect();
        choose(&mut headers);
        headers.get(ACCEPT_ENCODING).map(|left| left.to_str().unwrap().to_owned())
    }

    #[test]
    fn of_what_the_client_takes_stays_what_we_write() {
        assert_eq!(chosen(&[]), None);
        for (lines, left) in [
            (&["gzip, deflate, br, zstd"][..], "br, gzip"),
            (&["gzip"], "gzip"),
            (&["X-GZIP;q=0.5"], "gzip"),
            (&["gzip;q=1.0, br;q=0.5"], "gzip"),
            (&["gzip", "br"], "br, gzip"),
            (&["br;q=1, gzip;q=0"], "br"),
            (&["*"], "br, gzip"),
            (&["*;q=0.1, br;q=0"], "gzip"),
            (&["deflate, zstd"], "identity"),
        ] {
            assert_eq!(chosen(lines).as_deref(), Some(left), "{lines:?}");
        }
    }

    #[test]
    fn a_client_that_takes_nothing_at_all_gets_the_answer_as_it_is() {
        for line in ["", "identity;q=0", "*;q=0", "gzip;q=x", ";;;", "br;q=0"] {
            assert_eq!(chosen(&[line]).as_deref(), Some("identity"), "{line}");
        }
    }

    #[test]
    fn only_a_strong_tag_of_a_compressed_answer_becomes_a_weak_one() {
        for (coding, tag, after) in [
            (true, "\"1.5\"", "W/\"1.5\""),
            (true, "W/\"1.5\"", "W/\"1.5\""),
            (false, "\"1.5\"", "\"1.5\""),
        ] {
            let mut headers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static(tag))]);
            if coding {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
            }
            weaken_tag(&mut headers);
            assert_eq!(headers[ETAG], after);
        }
    }
}
