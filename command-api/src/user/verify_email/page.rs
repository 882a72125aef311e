//! What people see who follow the link of a mail: a page with one button, and what came of pressing it.
//!
//! A page is whole in itself and may load and run nothing.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};
use problem_details::Problem;

/// What a page is.
pub(super) const MEDIA_TYPE: &str = "text/html; charset=utf-8";

/// What every page says of itself. It was opened by a link with a token: nobody keeps it or is told of it.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_TYPE, MEDIA_TYPE),
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; form-action 'self'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

const NOT_VERIFIED: &str = "Your address is not verified";

/// Asks to press the button.
pub(super) fn asking(token: &str) -> Response {
    let token = escaped(token);
    // The address is relative to the page's own: whatever stands in front may add a path.
    let form = format!(
        "<p>Press the button if you gave this address for an account of yours.</p>\n\
         <form method=\"post\" action=\"verify-email\">\n\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\n\
         <button type=\"submit\">Verify my address</button>\n\
         </form>"
    );
    with_page(Response::default(), "Is this your address?", &form)
}

/// What came of pressing it.
pub(super) fn answering(verified: Result<Response, Problem>) -> Response {
    match verified {
        Ok(mut response) if response.status().is_success() => {
            if response.status() == StatusCode::NO_CONTENT {
                *response.status_mut() = StatusCode::OK;
            }
            let text = "<p>There is nothing left to do. You may close this page.</p>";
            with_page(response, "Your address is verified", text)
        }
        // The same request was refused before.
        Ok(response) => with_page(response, NOT_VERIFIED, "<p>It was refused already.</p>"),
        Err(problem) => refusing(problem),
    }
}

/// Says why not, with the problem's status and headers.
pub(super) fn refusing(problem: Problem) -> Response {
    let (title, detail) = (escaped(problem.kind().title()), escaped(problem.detail()));
    let text = format!("<p>{title}: {detail}.</p>");
    with_page(problem.into_response(), NOT_VERIFIED, &text)
}

/// The response with a page in place of its body.
fn with_page(mut response: Response, heading: &str, content: &str) -> Response {
    *response.body_mut() = Body::from(format!(
        "<!doctype html>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{heading}</title>\n\
         </head>\n\
         <body>\n\
         <h1>{heading}</h1>\n\
         {content}\n\
         </body>\n\
         </html>\n"
    ));
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The text as it may stand between tags and in quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use problem_details::ProblemType;

    use super::*;

    async fn text(response: Response) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_token_or_a_detail_is_text_and_nothing_else() {
        let evil = "a\"><script>alert('b')</script>&amp;";
        let kept = "a&quot;&gt;&lt;script&gt;alert(&#39;b&#39;)&lt;/script&gt;&amp;amp;";
        let page = text(asking(evil)).await;
        assert!(page.contains(&format!("value=\"{kept}\"")), "{page}");
        let problem = Problem::new(ProblemType::StateConflict, evil);
        let page = text(refusing(problem)).await;
        assert!(page.contains(kept) && !page.contains("<script"), "{page}");
    }

    #[tokio::test]
    async fn a_page_keeps_status_and_headers_of_what_it_stands_for() {
        let problem = Problem::new(ProblemType::NotReady, "come back later");
        let problem = problem.with_retry_after(std::time::Duration::from_secs(7));
        let refused = answering(Err(problem));
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "7");
        assert_eq!(refused.headers()[CONTENT_TYPE], MEDIA_TYPE);

        let mut verified = Response::new(Body::from("what nobody shows"));
        *verified.status_mut() = StatusCode::NO_CONTENT;
        verified.headers_mut().insert("etag", HeaderValue::from_static("\"3\""));
        let verified = answering(Ok(verified));
        assert_eq!(verified.status(), StatusCode::OK);
        assert_eq!(verified.headers()["etag"], "\"3\"");
        assert!(text(verified).await.contains("<h1>Your address is verified</h1>"));

        let mut before = Response::default();
        *before.status_mut() = StatusCode::CONFLICT;
        let before = answering(Ok(before));
        assert_eq!(before.status(), StatusCode::CONFLICT);
        assert!(text(before).await.contains("not verified"));
    }
}
