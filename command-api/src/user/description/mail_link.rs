//! What links of mails lead to, for programs and for people: people are shown pages.

use api_description::{Answer, Example, Header, Operation, Parameter};
use problem_details::ProblemType;
use serde_json::{Value, json};

use super::TAG;
use crate::decision::description::{NO_TOKEN, pending};
use crate::user::page::MEDIA_TYPE as PAGE;

/// What the answer to a form may be that came to nothing.
const NOT_DONE: [u16; 10] = [400, 404, 408, 409, 410, 413, 415, 429, 500, 503];

/// What the token of a mail allows: told to programs by a status, and to a form by a page.
pub(super) fn by_link(operation: Operation, done: &'static str) -> Operation {
    done_by_link(operation, done, &[Header::ETag, Header::ConsistencyToken])
}

/// The same where nothing is told of whom it was done to.
pub(super) fn by_used_link(operation: Operation, done: &'static str) -> Operation {
    done_by_link(operation, done, &[])
}

fn done_by_link(operation: Operation, done: &'static str, told: &[Header]) -> Operation {
    let operation = operation
        .answer(Answer::new(204, done).headers(told))
        .answer(Answer::new(200, "It is, as a form is told.").content(PAGE, page()).headers(told));
    unless_done(operation)
}

/// What is told where it is not done, or not yet.
fn unless_done(operation: Operation) -> Operation {
    let operation = operation
        .answer(pending().content(PAGE, page()))
        .problems(&[ProblemType::InvalidVerificationToken]);
    NOT_DONE.into_iter().fold(operation, |operation, status| operation.answer(not_done(status)))
}

/// What a request is told, beside, whose name is that of another one.
pub(super) fn named_as_another() -> Answer {
    not_done(422)
}

fn not_done(status: u16) -> Answer {
    let answer = Answer::new(status, "It is not, or not yet. A form is told so by a page.");
    answer.content(PAGE, page())
}

/// The page that a link leads to.
pub(super) fn page_of_link(operation: Operation) -> Operation {
    let parameter = Parameter::query("token", "What the mail says.", json!({"type": "string"}));
    operation
        .tag(TAG)
        .parameters([parameter])
        .answer(Answer::new(200, "The page.").content(PAGE, page()))
        .answer(Answer::new(400, "The token is none of ours or has lapsed.").content(PAGE, page()))
        .example(
            Example::new("none", "A token that is none", 400).query(format!("token={NO_TOKEN}")),
        )
}

/// What the mail says.
pub(super) fn token() -> Value {
    json!({"type": "string", "description": "What the mail says."})
}

/// A page.
pub(super) fn page() -> Value {
    json!({"type": "string", "description": "For people."})
}
