//! What commands to users take and answer.

mod mail_link;
mod password;
mod registration;
mod second_factor;
mod verification;

use api_description::{Answer, Described, Example, Header, Operation, Parameter, Verb, schema};
use axum::response::Response;
use domain::role::Role;
use domain::user::{Bio, FullName, ImageUrl, Username};
use http::HeaderValue;
use http::header::LINK;
use problem_details::ProblemType;
use serde_json::{Value, json};

use super::PATH;
use crate::decision::description::{JSON, NOBODY, decides, upon_a_version};
use crate::password::Password;

pub(super) use password::{change_password, forgot_password, password_page, reset_password};
pub(super) use registration::{confirm_registration, register_user, registration_page};
pub(super) use second_factor::{confirm_second_factor, enrol_second_factor, remove_second_factor};
pub(super) use verification::{verification_page, verify_email};

const TAG: &str = "Users";

/// Names the canonical path in an answer of an older one.
pub(super) fn canonically(path: &'static str, mut response: Response) -> Response {
    if let Ok(link) = HeaderValue::try_from(format!("<{path}>; rel=\"canonical\"")) {
        response.headers_mut().append(LINK, link);
    }
    response
}

/// The schemas that they speak of.
pub(super) fn with_schemas<S: Clone + Send + Sync + 'static>(to: Described<S>) -> Described<S> {
    to.schema("User", user()).schema("SecondFactorEnrolment", second_factor::enrolment())
}

pub(super) fn replace_profile() -> Operation {
    profile(Operation::new(Verb::Put, PATH, "replaceProfile", "Say anew what a profile tells"))
        .description("What is left out is cleared. With `If-Match`, only the version that was read is replaced.")
}

pub(super) fn patch_profile() -> Operation {
    profile(Operation::new(Verb::Patch, PATH, "changeProfile", "Change some of a profile"))
        .description("What is left out is kept, `null` clears. With `If-Match`, only the version that was read is changed.")
}

fn profile(operation: Operation) -> Operation {
    of_one(operation)
        .body(JSON, json!({
            "type": "object", "additionalProperties": false,
            "properties": {
                "full_name": or_null(full_name()), "bio": or_null(bio()), "image": or_null(image()),
            },
        }))
        .answer(of_user(200, "The user, as they are now."))
        .example(
            Example::new("nobody", "Whoever does not exist has no profile", 403)
                .body(JSON, json!({"bio": "Hello"})),
        )
}

pub(super) fn change_email() -> Operation {
    let path = "/api/v1/users/{id}/email";
    of_one(Operation::new(Verb::Put, path, "changeEmail", "Have another address"))
        .description("One's own takes the password, as changing that does: a wrong one is `403` and names `/current_password`, and several of them have to wait. Admins change the addresses of others, and say no password. A mail to the new address asks whether it is one's own; the one from before is told, where it was verified.")
        .body(
            JSON,
            json!({
                "type": "object", "additionalProperties": false, "required": ["email"],
                "properties": {"email": email(), "current_password": password::entered()},
            }),
        )
        .answer(of_user(200, "The user, as they are now."))
        .problems(&[ProblemType::AlreadyTaken, ProblemType::TooManyAttempts])
        .example(
            Example::new("nobody", "Whoever does not exist has no address", 403).body(
                JSON,
                json!({"email": "ann@example.org", "current_password": "correct horse battery"}),
            ),
        )
}

pub(super) fn request_email_verification() -> Operation {
    let path = "/api/v1/users/{id}/email-verification";
    let operation =
        Operation::new(Verb::Post, path, "requestEmailVerification", "Ask for the mail again");
    of_one(operation)
        .description("Of mails that are asked for while others wait only the last is sent, and no more than one of these is sent in five minutes.")
        .answer(of_user(200, "The mail is on its way."))
        .example(Example::new("nobody", "Whoever does not exist gets no mail", 403))
}

pub(super) fn deactivate_user() -> Operation {
    let path = "/api/v1/users/{id}/deactivate";
    by_admins(Operation::new(Verb::Post, path, "deactivateUser", "Let somebody in no more"))
}

pub(super) fn reactivate_user() -> Operation {
    let path = "/api/v1/users/{id}/reactivate";
    by_admins(Operation::new(Verb::Post, path, "reactivateUser", "Let somebody in again"))
}

pub(super) fn grant_role() -> Operation {
    let path = "/api/v1/users/{id}/roles/{role}";
    by_admins(Operation::new(Verb::Put, path, "grantRole", "Let somebody be something more"))
        .parameters([role()])
}

pub(super) fn revoke_role() -> Operation {
    let path = "/api/v1/users/{id}/roles/{role}";
    by_admins(Operation::new(Verb::Delete, path, "revokeRole", "Let somebody be something less"))
        .parameters([role()])
}

fn by_admins(operation: Operation) -> Operation {
    of_one(operation)
        .description("By admins. What is so already stays so.")
        .answer(of_user(200, "The user, as they are now."))
        .example(Example::new("no-admin", "Nobody but an admin may", 403))
}

pub(super) fn erase_user() -> Operation {
    of_one(Operation::new(Verb::Delete, PATH, "eraseUser", "Be forgotten"))
        .description("By oneself or an admin. The key to all personal fields is destroyed: nobody can read them any more, in the log, in copies or in backups of it. It cannot be undone.")
        .answer(Answer::new(204, "Nothing is left.").headers(&[Header::ETag, Header::ConsistencyToken]))
        .example(Example::new("nobody", "Whoever does not exist cannot be forgotten", 403))
}

fn of_one(operation: Operation) -> Operation {
    about_one(decides(operation, TAG))
}

/// What commands about one user take, by whoever may.
fn about_one(operation: Operation) -> Operation {
    let uuid = json!({"type": "string", "format": "uuid"});
    let id = Parameter::path("id", "The user.", uuid, NOBODY);
    upon_a_version(operation.with_access().parameters([id]))
}

fn role() -> Parameter {
    let names = Role::ALL.map(Role::name);
    Parameter::path("role", "What.", json!({"type": "string", "enum": names}), names[1])
}

fn of_user(status: u16, description: &'static str) -> Answer {
    Answer::new(status, description)
        .headers(&[Header::ETag, Header::Location, Header::ConsistencyToken])
        .json(schema::named("User"))
}

/// What is told where nothing is to be told of who has an account.
fn accepted() -> Value {
    json!({
        "type": "object", "required": ["status"],
        "properties": {"status": {"type": "string", "enum": ["accepted"]}},
    })
}

fn user() -> Value {
    json!({
        "type": "object",
        "required": ["id", "username", "email", "email_verified", "full_name", "bio", "image",
                     "active", "roles", "version"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "username": or_null(username()),
            "email": or_null(email()),
            "email_verified": {"type": "boolean"},
            "full_name": or_null(full_name()),
            "bio": or_null(bio()),
            "image": or_null(image()),
            "active": {"type": "boolean", "description": "Whether they may come in."},
            "roles": {"type": "array", "items": {"type": "string", "enum": Role::ALL.map(Role::name)}},
            "version": {"type": "integer", "minimum": 1},
        },
    })
}

fn username() -> Value {
    json!({"type": "string", "minLength": Username::MIN_LENGTH, "maxLength": Username::MAX_LENGTH,
           "pattern": "^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$"})
}

fn email() -> Value {
    json!({"type": "string", "format": "email", "maxLength": 254})
}

fn password() -> Value {
    json!({"type": "string", "minLength": Password::MIN_CHARACTERS, "maxLength": Password::MAX_CHARACTERS,
           "writeOnly": true, "description": "Counted and kept in Unicode's normal form C. Refused are passwords that many use, rows of keys, and what their owner is called; where bcrypt is configured also those of more than 72 bytes."})
}

fn full_name() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": FullName::MAX_LENGTH})
}

fn bio() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": Bio::MAX_LENGTH})
}

fn image() -> Value {
    json!({"type": "string", "format": "uri", "maxLength": ImageUrl::MAX_LENGTH})
}

fn or_null(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}
