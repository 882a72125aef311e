//! Verifying an address: for programs, and for people who follow the link of a mail.

use api_description::{Example, Operation, Verb};
use serde_json::{Value, json};

use super::TAG;
use super::mail_link::{by_link, named_as_another, page_of_link, token};
use crate::decision::description::{DECIDES, JSON, NO_TOKEN, decides};
use crate::form::MEDIA_TYPE as FORM;
use crate::user::verify_email::PATH;

pub(in crate::user) fn verify_email() -> Operation {
    let operation =
        Operation::new(Verb::Post, PATH, "verifyEmail", "Show that an address is one's own")
            .authenticating();
    let operation = decides(operation, TAG)
        .description(DECIDES)
        .body(JSON, with_token())
        .body(FORM, with_token())
        .answer(named_as_another())
        .example(
            Example::new("none", "A token that is none", 400)
                .body(JSON, json!({"token": NO_TOKEN})),
        );
    by_link(operation, "It is.")
}

pub(in crate::user) fn verification_page() -> Operation {
    let operation =
        Operation::new(Verb::Get, PATH, "verificationPage", "Where the link of the mail leads");
    page_of_link(operation)
        .description("A page with a button that verifies the address. To read it has no effect: programs that look through mails follow links too.")
}

fn with_token() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["token"],
        "properties": {"token": token()},
    })
}
