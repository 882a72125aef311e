//! Verifying an address: for programs, and for people who follow the link of a mail.

use api_description::{Answer, Example, Header, Operation, Parameter, Verb};
use problem_details::ProblemType;
use serde_json::{Value, json};

use super::TAG;
use crate::decision::description::{DECIDES, JSON, decides, pending};
use crate::user::verify_email::{FORM, PAGE, PATH};

/// A token that is none.
const NONE: &str = "bm9uZQ";

/// What the answer to a form may be that verified nothing.
const NOT_VERIFIED: [u16; 11] = [400, 404, 408, 409, 410, 413, 415, 422, 429, 500, 503];

pub(in crate::user) fn verify_email() -> Operation {
    let operation =
        Operation::new(Verb::Post, PATH, "verifyEmail", "Show that an address is one's own");
    let operation = decides(operation, TAG)
        .description(DECIDES)
        .body(JSON, token())
        .body(FORM, token())
        .answer(told(Answer::new(204, "It is.")))
        .answer(told(Answer::new(200, "It is, as a form is told.").content(PAGE, page())))
        .answer(pending().content(PAGE, page()))
        .problems(&[ProblemType::InvalidVerificationToken])
        .example(
            Example::new("none", "A token that is none", 400).body(JSON, json!({"token": NONE})),
        );
    NOT_VERIFIED.into_iter().fold(operation, |operation, status| {
        let answer = Answer::new(status, "It is not, or not yet. A form is told so by a page.");
        operation.answer(answer.content(PAGE, page()))
    })
}

pub(in crate::user) fn verification_page() -> Operation {
    let parameter = Parameter::query("token", "What the mail says.", json!({"type": "string"}));
    Operation::new(Verb::Get, PATH, "verificationPage", "Where the link of the mail leads")
        .description("A page with a button that verifies the address. To read it has no effect: programs that look through mails follow links too.")
        .tag(TAG)
        .parameters([parameter])
        .answer(Answer::new(200, "The page.").content(PAGE, page()))
        .answer(Answer::new(400, "The token is none of ours or has lapsed.").content(PAGE, page()))
        .example(Example::new("none", "A token that is none", 400).query("token=bm9uZQ"))
}

fn told(answer: Answer) -> Answer {
    answer.headers(&[Header::ETag, Header::ConsistencyToken])
}

fn token() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["token"],
        "properties": {"token": {"type": "string", "description": "What the mail says."}},
    })
}

fn page() -> Value {
    json!({"type": "string", "description": "For people."})
}
