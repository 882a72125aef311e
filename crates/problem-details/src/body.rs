//! Reading a body under limits.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use axum::http::{HeaderMap, HeaderValue};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::gzip::decompressed;
use crate::{FieldError, Problem, ProblemType};

/// How much of a body is taken and how long its arrival may last.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Most bytes, as they arrive and after decompression.
    pub bytes: usize,
    /// Longest time from the headers to the last byte.
    pub timeout: Duration,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
}

/// Reads a whole body; what it is and what is inside is for the caller to check.
///
/// # Errors
/// 415 for a coding other than gzip, 413 past the limit (at once where the length is declared), 408
/// where it does not arrive in time, 400 where it breaks off or is not what its coding says.
pub async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
) -> Result<Bytes, Problem> {
    let coding = coding(headers)?;
    let declared =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limits.bytes as u64) {
        return Err(too_large(limits.bytes, ""));
    }
    let collected = tokio::time::timeout(limits.timeout, collect(body, limits.bytes));
    let body = collected.await.unwrap_or_else(|_| {
        let millis = limits.timeout.as_millis();
        let detail = format!("the body did not arrive within {millis} ms; send it again");
        Err(Problem::new(ProblemType::RequestTimeout, detail))
    })?;
    match coding {
        Coding::Identity => Ok(body),
        Coding::Gzip => {
            // Boxed, so that reading a plain body needs no room for it.
            let content = Box::pin(decompressed(&body, limits.bytes)).await;
            let bomb = || too_large(limits.bytes, " after decompression");
            content.map(Bytes::from).map_err(|problem| problem.unwrap_or_else(bomb))
        }
    }
}

fn coding(headers: &HeaderMap) -> Result<Coding, Problem> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let Some(value) = values.next() else { return Ok(Coding::Identity) };
    let coding = value.as_bytes().trim_ascii();
    let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
    match values.next() {
        None if is("identity") => Ok(Coding::Identity),
        None if is("gzip") || is("x-gzip") => Ok(Coding::Gzip),
        _ => {
            let detail = "send the body as it is or with `Content-Encoding: gzip`";
            Err(Problem::new(ProblemType::UnsupportedMediaType, detail)
                .with_header(ACCEPT_ENCODING, HeaderValue::from_static("gzip")))
        }
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
            return Err(too_large(limit, ""));
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

fn too_large(limit: usize, when: &str) -> Problem {
    let detail = format!("must have at most {limit} bytes{when}");
    let error = FieldError {
        pointer: String::new(),
        rule: "max-bytes",
        limit: u64::try_from(limit).ok(),
        detail: detail.clone(),
    };
    Problem::new(ProblemType::ContentTooLarge, format!("the body {detail}"))
        .with_errors(vec![error])
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::response::IntoResponse as _;
    use flate2::Compression;
    use flate2::write::GzEncoder;

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

    async fn read(body: Body) -> Result<Bytes, ProblemType> {
        read_body(&HeaderMap::new(), body, LIMITS).await.map_err(|problem| problem.kind())
    }

    async fn read_coded(coding: &[&'static str], body: Vec<u8>) -> Result<Bytes, Problem> {
        let coding: Vec<_> = coding.iter().map(|coding| (CONTENT_ENCODING, *coding)).collect();
        read_body(&headers(&coding), Body::from(body), LIMITS).await
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn a_body_is_read_whole_however_it_is_cut() {
        for body in [&["12345678"][..], &["1234", "5678"], &["1", "", "2345", "678"]] {
            assert_eq!(read(pieces(body)).await.unwrap(), "12345678");
        }
        assert_eq!(read(Body::empty()).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_body_past_the_limit_is_refused_however_it_is_cut() {
        for body in [&["123456789"][..], &["1234", "56789"], &["12345678", "9"]] {
            let read = read(pieces(body)).await;
            assert_eq!(read.unwrap_err(), ProblemType::ContentTooLarge);
        }
        let declared = headers(&[(CONTENT_LENGTH, "9")]);
        let problem = read_body(&declared, Body::empty(), LIMITS).await.unwrap_err();
        assert_eq!(problem.kind(), ProblemType::ContentTooLarge);
        assert_eq!(problem.errors()[0].limit, Some(8));
    }

    #[tokio::test]
    async fn a_body_comes_as_it_is_or_as_gzip() {
        for coding in [&[][..], &["identity"], &["Identity"]] {
            assert_eq!(read_coded(coding, b"1".to_vec()).await.unwrap(), "1", "{coding:?}");
        }
        for coding in ["gzip", "GZIP", "x-gzip"] {
            let headers = headers(&[(CONTENT_ENCODING, coding)]);
            let limits = BodyLimits { bytes: 100, ..LIMITS };
            let body = read_body(&headers, Body::from(gzip(b"12345678")), limits).await.unwrap();
            assert_eq!(body, "12345678", "{coding}");
        }
        for coding in [&["br"][..], &["deflate"], &["gzip, gzip"], &["gzip", "gzip"], &[""]] {
            let response = read_coded(coding, gzip(b"1")).await.unwrap_err().into_response();
            assert_eq!(response.status(), 415, "{coding:?}");
            assert_eq!(response.headers()[ACCEPT_ENCODING], "gzip");
        }
    }

    #[tokio::test]
    async fn the_limit_holds_before_and_after_decompression() {
        let limits = BodyLimits { bytes: 64, ..LIMITS };
        let headers = headers(&[(CONTENT_ENCODING, "gzip")]);
        let read = async |content: Vec<u8>, coded: Vec<u8>| {
            let body = read_body(&headers, Body::from(coded), limits).await;
            body.map(|body| assert_eq!(body, content)).map_err(|p| p.detail().to_owned())
        };
        let zeros = |length| vec![b'0'; length];
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&zeros(65)).unwrap();
        let after = read(zeros(65), encoder.finish().unwrap()).await;
        assert_eq!(after.unwrap_err(), "the body must have at most 64 bytes after decompression");
        let before = read(zeros(60), gzip(&zeros(60))).await;
        assert_eq!(before.unwrap_err(), "the body must have at most 64 bytes");
        assert_eq!(read(zeros(40), gzip(&zeros(40))).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_given_up() {
        let body = Body::from_stream(Never);
        let read = read(body).await;
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
