//! Reading a JSON body under limits.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::{FieldError, Problem, ProblemType};

/// How much of a body is taken and how long its arrival may last.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Most bytes.
    pub bytes: usize,
    /// Longest time from the headers to the last byte.
    pub timeout: Duration,
}

/// Reads a whole body whose headers say `application/json`; what is inside is for the caller to
/// check.
///
/// # Errors
/// 415 for another media type or an encoded body, 413 past the limit (at once where the length is
/// declared), 408 where it does not arrive in time, 400 where it breaks off.
pub async fn read_json_body(
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
) -> Result<Bytes, Problem> {
    must_be_json(headers)?;
    let declared =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limits.bytes as u64) {
        return Err(too_large(limits.bytes));
    }
    tokio::time::timeout(limits.timeout, collect(body, limits.bytes)).await.unwrap_or_else(|_| {
        let millis = limits.timeout.as_millis();
        let detail = format!("the body did not arrive within {millis} ms; send it again");
        Err(Problem::new(ProblemType::RequestTimeout, detail))
    })
}

fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |detail| Err(Problem::new(ProblemType::UnsupportedMediaType, detail));
    let media_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(b"application/json") {
        return refused("send the body as `Content-Type: application/json`");
    }
    match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => Ok(()),
        Some(_) => refused("send the body without `Content-Encoding`"),
    }
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::new(ProblemType::InvalidRequest, "the body broke off before its end")
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        // Most bodies come in one piece, which is then not copied.
        if rest.is_empty() && first.is_empty() {
            first = data;
            continue;
        }
        rest.extend_from_slice(&std::mem::take(&mut first));
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("the body must have at most {limit} bytes");
    let error = FieldError {
        pointer: String::new(),
        rule: "max-bytes",
        limit: u64::try_from(limit).ok(),
        detail: format!("must have at most {limit} bytes"),
    };
    Problem::new(ProblemType::ContentTooLarge, detail).with_errors(vec![error])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BodyLimits = BodyLimits { bytes: 8, timeout: Duration::from_secs(5) };

    fn headers(pairs: &[(axum::http::HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), axum::http::HeaderValue::from_static(value)))
            .collect()
    }

    fn pieces(pieces: &'static [&'static str]) -> Body {
        Body::from_stream(Pieces(pieces.iter()))
    }

    struct Pieces(std::slice::Iter<'static, &'static str>);

    impl futures_util::Stream for Pieces {
        type Item = Result<&'static str, std::convert::Infallible>;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            std::task::Poll::Ready(self.0.next().map(|piece| Ok(*piece)))
        }
    }

    async fn read(media_type: &'static str, body: Body) -> Result<Bytes, ProblemType> {
        let headers = headers(&[(CONTENT_TYPE, media_type)]);
        read_json_body(&headers, body, LIMITS).await.map_err(|problem| problem.kind())
    }

    #[tokio::test]
    async fn a_body_is_read_whole_however_it_is_cut() {
        for body in [&["12345678"][..], &["1234", "5678"], &["1", "", "2345", "678"]] {
            assert_eq!(read("application/json", pieces(body)).await.unwrap(), "12345678");
        }
        assert_eq!(read("application/json", Body::empty()).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_body_past_the_limit_is_refused_however_it_is_cut() {
        for body in [&["123456789"][..], &["1234", "56789"], &["12345678", "9"]] {
            let read = read("application/json", pieces(body)).await;
            assert_eq!(read.unwrap_err(), ProblemType::ContentTooLarge);
        }
        let declared = headers(&[(CONTENT_TYPE, "application/json"), (CONTENT_LENGTH, "9")]);
        let problem = read_json_body(&declared, Body::empty(), LIMITS).await.unwrap_err();
        assert_eq!(problem.kind(), ProblemType::ContentTooLarge);
        assert_eq!(problem.errors()[0].limit, Some(8));
    }

    #[tokio::test]
    async fn only_json_is_taken_whatever_its_parameters_and_case() {
        for media_type in ["application/json", "Application/JSON; charset=utf-8"] {
            assert!(read(media_type, Body::from("1")).await.is_ok(), "{media_type}");
        }
        for media_type in
            ["", "text/plain", "application/jsonx", "application/xml;application/json"]
        {
            let read = read(media_type, Body::from("1")).await;
            assert_eq!(read.unwrap_err(), ProblemType::UnsupportedMediaType, "{media_type}");
        }
        let encoded = headers(&[(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, "gzip")]);
        let problem = read_json_body(&encoded, Body::from("1"), LIMITS).await.unwrap_err();
        assert_eq!(problem.kind(), ProblemType::UnsupportedMediaType);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_given_up() {
        let body = Body::from_stream(Never);
        let read = read("application/json", body).await;
        assert_eq!(read.unwrap_err(), ProblemType::RequestTimeout);
    }

    struct Never;

    impl futures_util::Stream for Never {
        type Item = Result<Bytes, std::convert::Infallible>;
        fn poll_next(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            std::task::Poll::Pending
        }
    }
}
