//! Links of mails: the token in them, what is said of one that is good for nothing, and how whoever uses one is
//! read and answered: people by the form of a page, programs by JSON.

use axum::response::{IntoResponse as _, Response};
use http::Uri;
use problem_details::{Problem, ProblemType};

use super::page::Page;
use crate::decision::incoming::Incoming;

/// Asks whoever follows a link to press the button of its page, where the token holds; else says that of it.
pub(super) fn followed(
    uri: &Uri,
    page: &Page,
    refused: fn() -> Problem,
    holds: impl FnOnce(&str) -> bool,
) -> Response {
    let token = link_token(uri);
    if holds(token) { page.asking(token) } else { page.refusing(refused()) }
}

/// The token that a link carries: it has no character that would be encoded.
fn link_token(uri: &Uri) -> &str {
    let query = uri.query().unwrap_or_default();
    query.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default()
}

/// The same whatever is wrong with it.
pub(super) fn not_ours() -> Problem {
    let detail = "the token was not sent by us, or does not hold any more; ask for another mail";
    Problem::new(ProblemType::InvalidVerificationToken, detail)
}

/// The same where nobody is known yet who could ask for another mail.
pub(super) fn no_registration() -> Problem {
    let detail = "the token was not sent by us, or does not hold any more; register again";
    Problem::new(ProblemType::InvalidVerificationToken, detail)
}

/// What is said with a link's token.
///
/// # Errors
/// It is something else.
pub(super) fn said_by_link<T>(
    incoming: &Incoming,
    is_form: bool,
    of_form: impl FnOnce(&[u8]) -> Result<T, Problem>,
    of_json: impl FnOnce(&[u8]) -> Result<T, Problem>,
) -> Result<T, Problem> {
    if is_form {
        return of_form(&incoming.body);
    }
    incoming.must_be_json()?;
    of_json(&incoming.body)
}

/// Whoever sends a form is answered with a page.
pub(super) fn answered(is_form: bool, page: &Page, answer: Result<Response, Problem>) -> Response {
    if is_form { page.answering(answer) } else { answer.unwrap_or_else(Problem::into_response) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_carries_one_token() {
        for (link, token) in [
            ("/a?token=aZ0-_", "aZ0-_"),
            ("/a?b=c&token=d&token=e", "d"),
            ("/a?token=", ""),
            ("/a?tokens=b", ""),
            ("/a?", ""),
            ("/a", ""),
        ] {
            assert_eq!(link_token(&Uri::from_static(link)), token, "{link}");
        }
    }
}
