//! What reads of users take and answer.

use access::Role;
use api_description::{Answer, Described, Example, Header, Operation, Parameter, Verb, schema};
use domain::user::{Bio, Email, FullName, ImageUrl, Username};
use problem_details::ProblemType;
use serde_json::{Value, json};

use crate::description::{LISTED, OF_READS, PROBLEMS, conditional, limit_and_cursor, read_headers};

/// The group of reads of users.
const TAG: &str = "Users";

/// The user that examples ask for, whom nobody is.
const ID: &str = "00000000-0000-7000-8000-000000000000";

/// The name that examples ask for, of somebody who registers in those of commands.
const NAME: &str = "ann";

/// The headers of a profile.
const HEADERS: [Header; 3] = [Header::ETag, Header::CacheControl, Header::CacheStatus];

/// A user.
pub(super) fn one() -> Operation {
    of_one(Operation::new(Verb::Get, "/api/v1/users/{id}", "getUser", "A user"))
        .description(
            "The user and admins see the full profile, everybody else the public one, which has an `ETag` of its own. Who was erased is gone.",
        )
        .parameters([id()])
        .answer(profile(json!({"oneOf": [schema::named("PublicProfile"), schema::named("FullProfile")]})))
        .problems(&[ProblemType::Erased])
        .example(Example::new("unknown", "Somebody nobody knows", 404))
        .example(
            Example::new("foreign-token", "A consistency token that is none", 400)
                .header("Consistency-Token", "bm9uZQ"),
        )
}

/// Whoever asks.
pub(super) fn me() -> Operation {
    of_one(Operation::new(Verb::Get, "/api/v1/auth/me", "getMe", "Whoever asks"))
        .description(
            "The full profile of the user whom the access token names, as `GET /api/v1/users/{id}` answers it to them. A token may name somebody who has not registered here: then there is nobody to show.",
        )
        .answer(profile(schema::named("FullProfile")))
        .problems(&[ProblemType::Erased])
        .example(Example::new("nobody", "A caller who is no user", 404))
}

/// A user, by name.
pub(super) fn by_name() -> Operation {
    let path = "/api/v1/users/by-username/{name}";
    of_one(Operation::new(Verb::Get, path, "getUserByUsername", "A user, by name"))
        .description("The public profile, whoever asks. Upper and lower case make no difference.")
        .parameters([Parameter::path("name", "The name.", username(), NAME)])
        .answer(profile(schema::named("PublicProfile")))
        .example(Example::new("ann", "Ann, who has registered", 200))
        .example(
            Example::new("unknown", "A name that nobody has", 404)
                .path("/api/v1/users/by-username/nobody-has-this-name"),
        )
}

fn of_one(operation: Operation) -> Operation {
    operation
        .tag(TAG)
        .with_access()
        .parameters(read_headers())
        .parameters([conditional()])
        .answer(
            Answer::new(304, "Nothing has changed since the version of `If-None-Match`.")
                .headers(&HEADERS)
                .headers(&OF_READS),
        )
        .problems(&[ProblemType::NotFound])
        .problems(&PROBLEMS)
}

fn profile(schema: Value) -> Answer {
    Answer::new(200, "What the caller may see.").headers(&HEADERS).headers(&OF_READS).json(schema)
}

/// All users.
pub(super) fn list() -> Operation {
    let roles = Role::ALL.map(Role::name);
    Operation::new(Verb::Get, "/api/v1/users", "listUsers", "All users")
        .listing()
        .description(
            "For admins: full profiles of all who are not erased, a page at a time, in the order of ids, which is that of registration; with `prefix` in that of names in lower case.",
        )
        .tag(TAG)
        .with_access()
        .parameters([
            Parameter::query(
                "role",
                "Those who have this role.",
                json!({"type": "string", "enum": roles}),
            ),
            Parameter::query(
                "active",
                "Those who may come in, or may not.",
                json!({"type": "string", "enum": ["true", "false"]}),
            ),
            Parameter::query(
                "prefix",
                "Those whose name begins so, whatever its case.",
                json!({"type": "string", "maxLength": Username::MAX_LENGTH}),
            ),
        ])
        .parameters(limit_and_cursor())
        .parameters(read_headers())
        .answer(page("UserPage").headers(&OF_READS))
        .problems(&LISTED)
        .problems(&PROBLEMS)
        .example(
            Example::new("not-an-admin", "A caller who is no admin", 403)
                .query("role=approver&active=true&limit=10"),
        )
}

/// What was done to a user.
pub(super) fn audit() -> Operation {
    let path = "/api/v1/users/{id}/audit";
    Operation::new(Verb::Get, path, "getUserAudit", "Who changed what of a user and when")
        .listing()
        .description(
            "For admins: newest first, a page at a time. It names what was changed and never says what to. It stays when the user is erased.",
        )
        .tag(TAG)
        .with_access()
        .parameters([id()])
        .parameters(limit_and_cursor())
        .answer(page("UserAuditPage"))
        .problems(&[ProblemType::NotFound, ProblemType::DatabaseUnavailable, ProblemType::NotReady])
        .problems(&LISTED)
        .example(Example::new("not-an-admin", "A caller who is no admin", 403).query("limit=10"))
}

fn page(schema: &str) -> Answer {
    Answer::new(200, "A page.")
        .headers(&[Header::NextPage, Header::CacheControl])
        .json(schema::named(schema))
}

fn id() -> Parameter {
    Parameter::path("id", "The user.", user_id(), ID)
}

/// The schemas that they speak of.
pub(super) fn with_schemas<S: Clone + Send + Sync + 'static>(to: Described<S>) -> Described<S> {
    let public = members_for_everybody();
    let full = [public.clone(), members_for_themselves()].concat();
    to.schema("PublicProfile", object("What everybody sees of a user.", &public))
        .schema("FullProfile", object("What the user and admins see.", &full))
        .schema("UserPage", items("FullProfile"))
        .schema("UserAuditEntry", object("A change of a user.", &members_of_audit()))
        .schema("UserAuditPage", items("UserAuditEntry"))
}

type Members = Vec<(&'static str, Value)>;

fn members_for_everybody() -> Members {
    let text = |longest: usize, about: &str| json!({"type": ["string", "null"], "maxLength": longest, "description": about});
    vec![
        ("id", user_id()),
        ("username", username()),
        ("full_name", text(FullName::MAX_LENGTH, "Their full name, if they tell it.")),
        ("bio", text(Bio::MAX_LENGTH, "What they say of themselves.")),
        ("image", text(ImageUrl::MAX_LENGTH, "The address of their picture.")),
        (
            "version",
            json!({"type": "integer", "minimum": 1, "description": "How many events they have."}),
        ),
        ("created_at", schema::time("The log's time of their registration.")),
        ("updated_at", schema::time("The log's time of their newest event.")),
    ]
}

fn members_for_themselves() -> Members {
    vec![
        (
            "email",
            json!({"type": "string", "maxLength": Email::MAX_BYTES, "description": "Where they get letters."}),
        ),
        (
            "email_verified",
            json!({"type": "boolean", "description": "Whether they showed that the address is theirs."}),
        ),
        ("active", json!({"type": "boolean", "description": "Whether they may come in."})),
        (
            "roles",
            json!({
                "type": "array", "uniqueItems": true,
                "items": {"type": "string", "enum": Role::ALL.map(Role::name)},
                "description": "What they may be.",
            }),
        ),
    ]
}

fn members_of_audit() -> Members {
    vec![
        (
            "version",
            json!({"type": "integer", "minimum": 1, "description": "The version that the change made."}),
        ),
        (
            "event_type",
            json!({"type": "string", "description": "What happened, as `ce_type` in the log."}),
        ),
        ("occurred_at", schema::time("When it was decided.")),
        (
            "actor",
            json!({"type": ["string", "null"], "description": "The opaque id of who did it."}),
        ),
        (
            "changed",
            json!({
                "type": "array", "items": {"type": "string"},
                "description": "The names of what was changed.",
            }),
        ),
    ]
}

fn object(about: &str, members: &Members) -> Value {
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let properties = members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone()));
    json!({
        "type": "object",
        "description": about,
        "required": names,
        "additionalProperties": false,
        "properties": Value::Object(properties.collect()),
    })
}

fn items(schema: &str) -> Value {
    json!({
        "type": "object",
        "required": ["items"],
        "additionalProperties": false,
        "properties": {"items": {"type": "array", "items": schema::named(schema)}},
    })
}

fn user_id() -> Value {
    json!({
        "type": "string", "format": "uuid",
        "pattern": "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$",
    })
}

fn username() -> Value {
    json!({
        "type": "string",
        "minLength": Username::MIN_LENGTH, "maxLength": Username::MAX_LENGTH,
        "pattern": "^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$",
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::Timestamp;
    use domain::user::UserId;
    use read_models::recorded::LogPosition;
    use read_models::user::{UserBody, UserRow, body};

    use super::*;

    fn members(json: &str) -> Vec<String> {
        let value: Value = serde_json::from_str(json).unwrap();
        value.as_object().unwrap().keys().cloned().collect()
    }

    fn names(members: &Members) -> Vec<String> {
        let mut names: Vec<String> = members.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn profiles_have_the_members_that_are_described() {
        let row = UserRow {
            username: Some("Ann".to_owned()),
            email: Some("ann@example.org".to_owned()),
            full_name: None,
            bio: None,
            image: None,
            roles: BTreeSet::new(),
            email_verified: false,
            active: true,
            erased: false,
            session_epoch: 0,
            version: 1,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            position: LogPosition { epoch: 1, offset: 0 },
        };
        let body = body(UserId(uuid::Uuid::nil()), &row);
        let Some(UserBody::Profile(profile)) = UserBody::read(body.as_bytes()) else {
            panic!("{body} is no profile");
        };
        let public = members_for_everybody();
        assert_eq!(members(profile.public()), names(&public));
        let full = [public, members_for_themselves()].concat();
        assert_eq!(members(&profile.full()), names(&full));
    }
}
