//! Pages for people who follow the link of a mail: one with a button, and what came of pressing it.
//!
//! A page is whole in itself and may load and run nothing.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};
use problem_details::{FieldError, Problem, ProblemType};

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

/// What pages of one kind say.
pub(super) struct Page {
    /// Over what the link leads to.
    pub(super) heading: &'static str,
    /// What there is to know before the button is pressed.
    pub(super) before: &'static str,
    /// Where the form is sent, relative to the page's own address: whatever stands in front may add a path.
    pub(super) action: &'static str,
    /// What the form asks for besides the token: lines of HTML.
    pub(super) fields: fn() -> String,
    /// What the button does.
    pub(super) button: &'static str,
    /// Over what has succeeded.
    pub(super) done: &'static str,
    /// What there is to do then.
    pub(super) then: &'static str,
    /// Over what has not. Pressed twice, it may have succeeded the first time.
    pub(super) not_done: &'static str,
    /// Over what may have succeeded or not.
    pub(super) unknown: &'static str,
}

impl Page {
    /// Asks to press the button, which sends this token.
    pub(super) fn asking(&self, token: &str) -> Response {
        let Self { heading, before, action, button, .. } = self;
        let (token, fields) = (escaped(token), (self.fields)());
        let content = format!(
            "<p>{before}</p>\n\
             <form method=\"post\" action=\"{action}\">\n\
             <input type=\"hidden\" name=\"token\" value=\"{token}\">\n\
             {fields}\
             <button type=\"submit\">{button}</button>\n\
             </form>"
        );
        with_page(Response::default(), heading, &content)
    }

    /// What came of pressing the button.
    pub(super) fn answering(&self, answered: Result<Response, Problem>) -> Response {
        match answered {
            Ok(mut response) if response.status().is_success() => {
                if response.status() == StatusCode::NO_CONTENT {
                    *response.status_mut() = StatusCode::OK;
                }
                with_page(response, self.done, &format!("<p>{}</p>", self.then))
            }
            // The same request was refused before.
            Ok(response) => with_page(response, self.not_done, "<p>It was refused already.</p>"),
            Err(problem) => self.refusing(problem),
        }
    }

    /// Says why not, with the problem's status and headers.
    pub(super) fn refusing(&self, problem: Problem) -> Response {
        let title = escaped(problem.kind().title());
        let reasons = match problem.errors() {
            [] => format!("<p>{title}: {}.</p>", escaped(problem.detail())),
            errors => errors.iter().map(|error| paragraph(&title, error)).collect(),
        };
        let heading = match problem.kind() {
            ProblemType::UnknownOutcome => self.unknown,
            _ => self.not_done,
        };
        with_page(problem.into_response(), heading, &reasons)
    }
}

fn paragraph(title: &str, error: &FieldError) -> String {
    format!("<p>{title}: {} {}.</p>", escaped(&error.pointer), escaped(&error.detail))
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

    use super::*;

    const PAGE: Page = Page {
        heading: "Shall it be done?",
        before: "Press the button.",
        action: "do-it",
        fields: || "<input name=\"more\">\n".to_owned(),
        button: "Do it",
        done: "It is done",
        then: "You may go.",
        not_done: "It is not done",
        unknown: "Nobody knows",
    };

    async fn text(page: Response) -> String {
        let body = page.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_token_is_text_and_nothing_else() {
        let page = text(PAGE.asking("a\"><script>alert('b')</script>")).await;
        let kept = "value=\"a&quot;&gt;&lt;script&gt;alert(&#39;b&#39;)&lt;/script&gt;\"";
        assert!(page.contains(kept) && !page.contains("<script"), "{page}");
        let rest = "\n<input name=\"more\">\n<button type=\"submit\">Do it</button>\n</form>\n";
        assert!(page.contains("<form method=\"post\" action=\"do-it\">\n"), "{page}");
        assert!(page.contains(rest), "{page}");
    }

    #[tokio::test]
    async fn a_detail_is_text_and_nothing_else() {
        let evil = "a\"><script>alert('b')</script>&amp;";
        let kept = "a&quot;&gt;&lt;script&gt;alert(&#39;b&#39;)&lt;/script&gt;&amp;amp;";
        let problem = Problem::new(ProblemType::StateConflict, evil);
        let error =
            FieldError { pointer: evil.into(), rule: "r", limit: None, detail: evil.into() };
        for problem in [problem.clone(), problem.with_errors(vec![error])] {
            let page = text(PAGE.refusing(problem)).await;
            assert!(page.contains(kept) && !page.contains("<script"), "{page}");
        }
    }

    #[tokio::test]
    async fn every_rule_that_is_broken_is_told() {
        let error = |pointer: &str| FieldError {
            pointer: pointer.to_owned(),
            rule: "required",
            limit: None,
            detail: "is required".to_owned(),
        };
        let problem = Problem::new(ProblemType::InvalidRequest, "the body breaks 2 rules");
        let problem = problem.with_errors(vec![error("/a"), error("/b")]);
        let page = text(PAGE.refusing(problem)).await;
        for told in ["/a is required.</p>", "/b is required.</p>"] {
            assert!(page.contains(told), "{told} is not in {page}");
        }
    }

    #[tokio::test]
    async fn a_page_keeps_status_and_headers_of_what_it_stands_for() {
        let problem = Problem::new(ProblemType::NotReady, "come back later");
        let problem = problem.with_retry_after(std::time::Duration::from_secs(7));
        let refused = PAGE.answering(Err(problem));
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "7");
        assert_eq!(refused.headers()[CONTENT_TYPE], MEDIA_TYPE);
        assert!(text(refused).await.contains("<h1>It is not done</h1>"));

        let problem = Problem::new(ProblemType::UnknownOutcome, "the store did not say");
        let unknown = PAGE.answering(Err(problem));
        assert_eq!(unknown.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(text(unknown).await.contains("<h1>Nobody knows</h1>"));

        let mut done = Response::new(Body::from("what nobody shows"));
        *done.status_mut() = StatusCode::NO_CONTENT;
        done.headers_mut().insert("etag", HeaderValue::from_static("\"3\""));
        let done = PAGE.answering(Ok(done));
        assert_eq!(done.status(), StatusCode::OK);
        assert_eq!(done.headers()["etag"], "\"3\"");
        assert!(text(done).await.contains("<h1>It is done</h1>\n<p>You may go.</p>"));

        let mut before = Response::default();
        *before.status_mut() = StatusCode::CONFLICT;
        let before = PAGE.answering(Ok(before));
        assert_eq!(before.status(), StatusCode::CONFLICT);
        assert!(text(before).await.contains("<h1>It is not done</h1>"));
    }
}
