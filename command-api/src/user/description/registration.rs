//! Registering, and becoming a user by a mail where registering is not to tell who has an account.

use api_description::{Answer, Example, Header, Operation, Verb, schema};
use problem_details::ProblemType;
use serde_json::json;

use super::mail_link::{by_used_link, page, page_of_link, token};
use super::password::entered;
use super::{TAG, accepted, bio, email, full_name, image, of_user, or_null, password, username};
use crate::decision::description::{JSON, NO_TOKEN, decides, decides_unnamed};
use crate::form::MEDIA_TYPE as FORM;
use crate::user::page::MEDIA_TYPE as PAGE;
use crate::user::{confirm_registration as confirm, register_user as register};

pub(in crate::user) fn register_user() -> Operation {
    let registration = json!({
        "username": "ann", "email": "ann@example.org", "password": "correct horse battery",
        "full_name": "Ann Example",
    });
    decides(Operation::new(Verb::Post, register::PATH, "registerUser", "Become a user"), TAG)
        .authenticating()
        .description(
            "Name and address are unique, whatever their case. A mail asks whether the address is one's own; an address that nobody confirms is given free again.\n\nAnswered once the log has it, with the user and a token by which they are found at once.\n\nA deployment may tell nobody who has an account (`REGISTRATION_REVEALS_ACCOUNTS=false`). Then the answer is `202` with `{\"status\": \"accepted\"}`, whoever has name or address, and nobody has become a user: a mail is on its way, which says how to (`confirmRegistration`), or that there is an account of the address. Each registration waits for 24 hours, until somebody has become a user with its address. An `Idempotency-Key` keeps no answer then, since it would tell nothing of the password that was chosen: sent again, it is another registration. No more than one of these mails in five minutes is sent to an address, and no more than five in a day.",
        )
        .body(JSON, json!({
            "type": "object", "additionalProperties": false,
            "required": ["username", "email", "password"],
            "properties": {
                "username": username(), "email": email(), "password": password(),
                "full_name": or_null(full_name()), "bio": or_null(bio()), "image": or_null(image()),
            },
        }))
        .answer(of_user(201, "The user."))
        .answer(
            Answer::new(202, "The log does not have it yet, or a mail is on its way.")
                .headers(&[Header::Location, Header::RetryAfter, Header::PreferenceApplied])
                .json(json!({"oneOf": [schema::named("Decision"), accepted()]})),
        )
        .problems(&[ProblemType::AlreadyTaken, ProblemType::NotReady])
        .example(
            Example::new("ann", "Ann registers, and may send it again", 201)
                .header("Idempotency-Key", "\"7c4a8d09-ca37-42a1-9d3f-1f0a6b1c2d3e\"")
                .body(JSON, registration),
        )
        .example(
            Example::new("faulty", "Every fault is named", 400)
                .body(JSON, json!({"username": "a", "email": "nobody", "password": "short"})),
        )
}

pub(in crate::user) fn confirm_registration() -> Operation {
    let operation =
        Operation::new(Verb::Post, confirm::PATH, "confirmRegistration", "Become a user by a mail")
            .authenticating();
    let with_token = json!({
        "type": "object", "additionalProperties": false, "required": ["token", "password"],
        "properties": {"token": token(), "password": entered()},
    });
    let operation = decides_unnamed(operation, TAG)
        .description("With the password that was chosen in registering: the mail alone shows that an address is somebody's, and not that they have registered with it. Another password is `400` and names `/password`; nothing is used up by it, and several of them have to wait, as logging in has. Answered once the log has what follows, or with `202` and the decision's address, as other decisions are. An `Idempotency-Key` keeps no answer, since it would tell nothing of the password that is asked for: sent again it is `204`, whatever the password, as long as the token holds and the address is theirs, and nothing is told of the user.")
        .body(JSON, with_token.clone())
        .body(FORM, with_token)
        .answer(of_user(201, "The user. A form is told so by a page.").content(PAGE, page()))
        .problems(&[
            ProblemType::AlreadyTaken,
            ProblemType::NotReady,
            ProblemType::TooManyAttempts,
        ])
        .example(
            Example::new("none", "A token that is none", 400)
                .body(JSON, json!({"token": NO_TOKEN, "password": "correct horse battery"})),
        );
    by_used_link(operation, "They were one already, by the same mail.")
}

pub(in crate::user) fn registration_page() -> Operation {
    let operation = Operation::new(
        Verb::Get,
        confirm::PATH,
        "registrationPage",
        "Where the link of the mail leads",
    );
    page_of_link(operation)
        .description("A page that asks for the password which was chosen, with a button that makes the account. To read it has no effect: programs that look through mails follow links too.")
}
