//! Passwords: changing one, having forgotten it, and having another one by a mail.

use api_description::{Answer, Example, Header, Operation, Verb};
use problem_details::ProblemType;
use serde_json::{Value, json};

use super::mail_link::{by_link, page_of_link, token};
use super::{TAG, about_one, accepted, email, password};
use crate::decision::description::{JSON, NO_TOKEN, decides_unnamed};
use crate::form::MEDIA_TYPE as FORM;
use crate::user::{forgot_password, reset_password as reset};

pub(in crate::user) fn change_password() -> Operation {
    let path = "/api/v1/users/{id}/password";
    let operation = Operation::new(Verb::Put, path, "changePassword", "Have another password");
    about_one(decides_unnamed(operation, TAG))
        .description("By oneself, with the password before. All sessions end, this one too, and access tokens are taken no more: log in again. A mail says so to an address that was verified. A wrong password is `403` and names `/current_password`; several of them have to wait, as logging in has. An `Idempotency-Key` keeps no answer, since it would tell nothing of the password that is asked for: a change that is sent again is `403`, because the password before it is known no more.")
        .body(JSON, json!({
            "type": "object", "additionalProperties": false,
            "required": ["current_password", "new_password"],
            "properties": {"current_password": entered(), "new_password": password()},
        }))
        .answer(
            Answer::new(204, "It is changed.")
                .headers(&[Header::ETag, Header::ConsistencyToken]),
        )
        .problems(&[ProblemType::TooManyAttempts])
        .example(
            Example::new("nobody", "Whoever does not exist has no password", 403).body(
                JSON,
                json!({
                    "current_password": "correct horse battery",
                    "new_password": "another horse battery",
                }),
            ),
        )
}

pub(in crate::user) fn forgot_password() -> Operation {
    let path = forgot_password::PATH;
    Operation::new(Verb::Post, path, "forgotPassword", "Ask for a mail to have another password")
        .authenticating()
        .description("The answer is the same whether there is a user of the address or not, and so is the work. If there is one who may come in, and who has verified the address or registered with it, a mail with a link is on its way, which holds for 15 minutes. No more than one of these mails in five minutes is sent to a user, and no more than five in a day.")
        .tag(TAG)
        .body(JSON, json!({
            "type": "object", "additionalProperties": false, "required": ["email"],
            "properties": {"email": email()},
        }))
        .answer(Answer::new(202, "If there is such a user, a mail is on its way.").json(accepted()))
        .problems(&[
            ProblemType::MalformedJson,
            ProblemType::RequestTimeout,
            ProblemType::ContentTooLarge,
            ProblemType::UnsupportedMediaType,
            ProblemType::UnknownOutcome,
            ProblemType::DatabaseUnavailable,
        ])
        .example(
            Example::new("anybody", "Of whoever there is nothing is told", 202)
                .body(JSON, json!({"email": "nobody@example.org"})),
        )
}

pub(in crate::user) fn reset_password() -> Operation {
    let operation =
        Operation::new(Verb::Post, reset::PATH, "resetPassword", "Have another password by a mail")
            .authenticating();
    let body = json!({"token": NO_TOKEN, "new_password": "another horse battery"});
    let operation = decides_unnamed(operation, TAG)
        .description("Answered once the log has what follows, or with `202` and the decision's address, as other decisions are. An `Idempotency-Key` keeps no answer, since it would tell nothing of the password that is asked for: sent again it is `400`, because the token is good once. Whoever has lost the answer finds out by logging in.")
        .body(JSON, with_token())
        .body(FORM, with_token())
        .example(Example::new("none", "A token that is none", 400).body(JSON, body));
    by_link(operation, "It is changed, all sessions have ended, and the address is verified.")
}

pub(in crate::user) fn password_page() -> Operation {
    let operation =
        Operation::new(Verb::Get, reset::PATH, "passwordPage", "Where the link of the mail leads");
    page_of_link(operation)
        .description("A page that asks for the new password. To read it has no effect: programs that look through mails follow links too. The token is good for one change, and for none once sessions were ended or the address was changed.")
}

fn with_token() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["token", "new_password"],
        "properties": {"token": token(), "new_password": password()},
    })
}

/// One that somebody has: no rule is told of it.
pub(super) fn entered() -> Value {
    json!({"type": "string", "writeOnly": true})
}
