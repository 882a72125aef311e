//! What commands to sessions take and answer.

use api_description::{Answer, Described, Example, Header, Operation, Parameter, Verb, schema};
use problem_details::ProblemType;
use serde_json::{Value, json};

use super::{PATH, end_sessions, log_in, log_out, oauth, refresh, revoke_session};
use crate::decision::description::{JSON, NO_TOKEN, NOBODY};
use crate::form;

const TAG: &str = "Sessions";

/// What a body may come to.
const OF_BODIES: [ProblemType; 4] = [
    ProblemType::MalformedJson,
    ProblemType::RequestTimeout,
    ProblemType::ContentTooLarge,
    ProblemType::UnsupportedMediaType,
];

/// What a decision may come to that is answered at once.
const OF_DECISIONS: [ProblemType; 5] = [
    ProblemType::TooManyRequests,
    ProblemType::UnknownOutcome,
    ProblemType::DatabaseUnavailable,
    ProblemType::StoreNotCompared,
    ProblemType::LogAheadOfStore,
];

/// What a decision about a user may come to.
const OF_USERS: [ProblemType; 2] = [ProblemType::NotFound, ProblemType::Erased];

/// The schemas that they speak of.
pub(super) fn with_schemas<S: Clone + Send + Sync + 'static>(to: Described<S>) -> Described<S> {
    to.schema("Tokens", tokens())
}

pub(super) fn log_in() -> Operation {
    let by_name = json!({
        "type": "object", "additionalProperties": false, "required": ["username", "password"],
        "properties": {
            "username": text("The name, or the address."), "password": password(), "code": code(),
        },
    });
    let by_email = json!({
        "type": "object", "additionalProperties": false, "required": ["email", "password"],
        "properties": {"email": text("The address."), "password": password(), "code": code()},
    });
    decides(Operation::new(Verb::Post, log_in::PATH, "logIn", "Log in"))
        .authenticating()
        .description(
            "With a name or an address, and the password. Whoever fails is not told whether there is such a name.\n\nAfter three failures of a name from one address the next attempt has to wait, for a second and then for twice as long each time, up to a quarter of an hour; from elsewhere it need not.\n\nWho has a second factor sends a code of it beside the password: `second-factor-required` says so, and to nobody but who knows the password. Wrong codes have to wait as well, wherever they come from. Who is to have a second factor and has none is answered `second-factor-not-enrolled`, with all that they need to enrol one in the member `enrolment`: what `enrolSecondFactor` answers.",
        )
        .body(JSON, json!({"oneOf": [by_name, by_email]}))
        .answer(granted())
        .problems(&[ProblemType::LoginFailed, ProblemType::Deactivated])
        .problems(&[ProblemType::SecondFactorRequired, ProblemType::InvalidSecondFactor])
        .problems(&[ProblemType::SecondFactorNotEnrolled, ProblemType::TooManyAttempts])
        .example(
            Example::new("nobody", "Nobody is known by this name and password", 401)
                .body(JSON, json!({"username": "nobody", "password": "correct horse battery"})),
        )
        .example(
            Example::new("faulty", "Either the name or the address", 400).body(
                JSON,
                json!({"username": "ann", "email": "ann@example.org", "password": "x"}),
            ),
        )
}

pub(super) fn token() -> Operation {
    let form = json!({
        "type": "object", "required": ["grant_type"],
        "properties": {
            "grant_type": {"type": "string", "enum": ["password", "refresh_token"]},
            "username": text("The name, or the address: with `password`."),
            "password": password(),
            "otp": code(),
            "refresh_token": text("With `refresh_token`."),
        },
    });
    decides(Operation::new(Verb::Post, oauth::PATH, "issueToken", "Log in or stay in, by a form"))
        .authenticating()
        .description(
            "As `logIn` and `refresh`, for clients of OAuth 2: problems also have the member `error` of RFC 6749 (5.2), and what is good for nothing is `400`. Other members are ignored.",
        )
        .body(form::MEDIA_TYPE, form)
        .answer(granted())
        .problems(&[ProblemType::InvalidGrant, ProblemType::UnsupportedGrantType])
        .problems(&[ProblemType::Forbidden, ProblemType::TooManyAttempts])
        .example(
            Example::new("json", "Only forms are taken", 415)
                .body(JSON, json!({"grant_type": "password"})),
        )
}

pub(super) fn refresh() -> Operation {
    decides(Operation::new(Verb::Post, refresh::PATH, "refresh", "Stay in"))
        .authenticating()
        .description(
            "Exchanges a refresh token for the next one, and an access token with the roles of now. The same client may send it again for ten seconds and is given the same one: its answer may have been lost. Whoever sends it later ends the session, since it was copied.",
        )
        .body(JSON, refresh_token(&["refresh_token"]))
        .answer(granted())
        .problems(&[ProblemType::InvalidRefreshToken])
        .example(
            Example::new("none", "A refresh token that is none", 401)
                .body(JSON, json!({"refresh_token": NO_TOKEN})),
        )
}

pub(super) fn log_out() -> Operation {
    ends_unnamed(Operation::new(Verb::Post, log_out::PATH, "logOut", "Log out"))
        .authenticating()
        .description(
            "Ends the session of the refresh token, or without one that of the access token, which is not needed beside a refresh token. With a refresh token it may be sent again, and needs no `Idempotency-Key` for that: a session ends once.",
        )
        .body(JSON, refresh_token(&[]))
        .problems(&[ProblemType::InvalidRefreshToken])
        .example(
            Example::new("no-session", "An access token of no session", 400).body(JSON, json!({})),
        )
}

pub(super) fn revoke_session() -> Operation {
    let uuid = json!({"type": "string", "format": "uuid"});
    ends(Operation::new(Verb::Delete, revoke_session::PATH, "endSession", "End a session"))
        .description("One's own, or as an admin anybody's.")
        .parameters([Parameter::path("id", "The session.", uuid, NOBODY)])
        .problems(&[ProblemType::NotFound])
        .example(Example::new("unknown", "A session that nobody has", 404))
}

pub(super) fn end_own_sessions() -> Operation {
    ends(Operation::new(Verb::Delete, PATH, "endOwnSessions", "End all sessions of one's own"))
        .description("Also the one in which it is asked for.")
        .problems(&OF_USERS)
        .example(Example::new("nobody", "Whoever is no user has no sessions", 404))
}

pub(super) fn end_sessions() -> Operation {
    let uuid = json!({"type": "string", "format": "uuid"});
    let path = end_sessions::OF_USER;
    ends(Operation::new(Verb::Delete, path, "endSessions", "End all sessions of somebody"))
        .description("By the user or an admin.")
        .parameters([Parameter::path("id", "The user.", uuid, NOBODY)])
        .problems(&OF_USERS)
        .example(Example::new("nobody", "Nobody but an admin or the user may", 403))
}

fn decides(operation: Operation) -> Operation {
    operation.tag(TAG).problems(&OF_BODIES).problems(&OF_DECISIONS)
}

/// What ends sessions that are named otherwise than by a secret, so that the request may have a name.
fn ends(operation: Operation) -> Operation {
    let name = Parameter::header(
        "Idempotency-Key",
        "Your own name for the request, so that it may be sent again.",
        json!({"type": "string", "minLength": 1}),
    );
    ends_unnamed(operation).parameters([name]).problems(&[ProblemType::IdempotencyKeyReused])
}

/// What ends sessions.
fn ends_unnamed(operation: Operation) -> Operation {
    decides(operation)
        .with_access()
        .answer(Answer::new(204, "They are over.").headers(&[Header::ConsistencyToken]))
        .problems(&[ProblemType::InvalidHeader, ProblemType::VersionMismatch])
}

fn granted() -> Answer {
    Answer::new(200, "They are in.")
        .headers(&[Header::ConsistencyToken, Header::CacheControl])
        .json(schema::named("Tokens"))
}

fn tokens() -> Value {
    json!({
        "type": "object",
        "required": ["access_token", "token_type", "expires_in", "refresh_token", "session_id"],
        "properties": {
            "access_token": {"type": "string", "description": "For `Authorization: Bearer`."},
            "token_type": {"type": "string", "enum": ["Bearer"]},
            "expires_in": {"type": "integer", "minimum": 1, "description": "Seconds that the access token is good for."},
            "refresh_token": {"type": "string", "description": "Good once, for the next pair."},
            "session_id": {"type": "string", "format": "uuid"},
        },
    })
}

fn refresh_token(required: &[&str]) -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": required,
        "properties": {"refresh_token": text("What was given with the last access token.")},
    })
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn password() -> Value {
    json!({"type": "string", "writeOnly": true})
}

fn code() -> Value {
    json!({"type": "string", "writeOnly": true, "description": "Six digits of the authenticator app, or a recovery code; needed by who has a second factor."})
}
