//! Second factors: asking for one, showing its first code, taking it away.

use api_description::{Answer, Example, Header, Operation, Parameter, Verb, schema};
use problem_details::ProblemType;
use serde_json::{Value, json};

use super::{TAG, of_one};
use crate::decision::description::{JSON, NO_TOKEN, NOBODY, decides, upon_a_version};
use crate::user::second_factor::{CONFIRM, PATH};

pub(in crate::user) fn enrol_second_factor() -> Operation {
    Operation::new(Verb::Post, PATH, "enrolSecondFactor", "Ask for a second factor")
        .description("By oneself, with the password: a wrong one is `403` and names `/current_password`. An authenticator app takes the secret, or the address from a picture that is made of it. Nothing counts until its first code is shown (`confirmSecondFactor`); until then it may be asked for again. Each recovery code lets in once where there is no app at hand: neither they nor the secret are ever shown again. Who has a second factor removes it first.")
        .tag(TAG)
        .with_access()
        .parameters([id()])
        .body(JSON, json!({
            "type": "object", "additionalProperties": false, "required": ["current_password"],
            "properties": {"current_password": secret("")},
        }))
        .answer(
            Answer::new(200, "What is to be confirmed.")
                .headers(&[Header::CacheControl])
                .json(schema::named("SecondFactorEnrolment")),
        )
        .problems(&[
            ProblemType::MalformedJson,
            ProblemType::NotFound,
            ProblemType::RequestTimeout,
            ProblemType::StateConflict,
            ProblemType::Erased,
            ProblemType::ContentTooLarge,
            ProblemType::UnsupportedMediaType,
            ProblemType::TooManyAttempts,
            ProblemType::DatabaseUnavailable,
            ProblemType::StoreNotCompared,
            ProblemType::LogAheadOfStore,
        ])
        .example(
            Example::new("nobody", "Whoever does not exist has no second factor", 403)
                .body(JSON, json!({"current_password": "correct horse battery"})),
        )
}

pub(in crate::user) fn confirm_second_factor() -> Operation {
    let operation =
        Operation::new(Verb::Post, CONFIRM, "confirmSecondFactor", "Show the first code");
    upon_a_version(decides(operation, TAG))
        .description("By whoever brings back what `enrolSecondFactor` has handed out, or `logIn` to whoever has to have a second factor: within 15 minutes, and without an access token. From then on nobody logs in without a code. All sessions end, this one too: log in with the next code, since this one is used. A mail says so to an address that was verified.")
        .parameters([id()])
        .body(JSON, json!({
            "type": "object", "additionalProperties": false,
            "required": ["enrolment_token", "code"],
            "properties": {
                "enrolment_token": {"type": "string"}, "code": secret("Six digits of the app."),
            },
        }))
        .answer(changed("It counts."))
        .example(
            Example::new("none", "A token that is none", 400)
                .body(JSON, json!({"enrolment_token": NO_TOKEN, "code": "287082"})),
        )
}

pub(in crate::user) fn remove_second_factor() -> Operation {
    let operation =
        Operation::new(Verb::Delete, PATH, "removeSecondFactor", "Have no second factor any more");
    of_one(operation)
        .description("By oneself with a code, since the password alone must not do; or by an admin, who says nothing, for whoever has lost app and recovery codes. Sessions go on. A mail says so to an address that was verified. Who has to have a second factor enrols another one at the next login. Of oneself an `Idempotency-Key` keeps no answer, since it would tell nothing of the code: sent again, it takes nothing from who has none. A code that is not good is `403`, names `/code`, and has to wait after some times.")
        .body(JSON, json!({
            "type": "object", "additionalProperties": false,
            "properties": {
                "code": secret("Six digits of the app, or a recovery code; needed by oneself."),
            },
        }))
        .answer(changed("There is none."))
        .problems(&[ProblemType::TooManyAttempts])
        .example(
            Example::new("nobody", "Nobody but an admin or the user may", 403)
                .body(JSON, json!({"code": "287082"})),
        )
}

/// What is handed out.
pub(super) fn enrolment() -> Value {
    json!({
        "type": "object",
        "required": ["user_id", "enrolment_token", "expires_in", "secret", "otpauth_uri",
                     "recovery_codes"],
        "properties": {
            "user_id": {"type": "string", "format": "uuid", "description": "Whose."},
            "enrolment_token": {"type": "string", "description": "What is brought back with the first code."},
            "expires_in": {"type": "integer", "minimum": 1, "description": "Seconds that it is good for."},
            "secret": {"type": "string", "description": "In base32, for whoever types it: SHA-1, six digits, 30 seconds (RFC 6238)."},
            "otpauth_uri": {"type": "string", "format": "uri", "description": "The same for an app, as a picture shows it."},
            "recovery_codes": {
                "type": "array", "minItems": 10, "maxItems": 10, "items": {"type": "string"},
                "description": "Each lets in once in place of a code of the app.",
            },
        },
    })
}

fn id() -> Parameter {
    Parameter::path("id", "The user.", json!({"type": "string", "format": "uuid"}), NOBODY)
}

fn changed(description: &'static str) -> Answer {
    Answer::new(204, description).headers(&[Header::ETag, Header::ConsistencyToken])
}

/// What no answer shows.
fn secret(description: &str) -> Value {
    let mut schema = json!({"type": "string", "writeOnly": true});
    if !description.is_empty() {
        schema["description"] = description.into();
    }
    schema
}
