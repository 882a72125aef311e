//! What reads of sessions take and answer.

use api_description::{Answer, Described, Example, Header, Operation, Parameter, Verb, schema};
use domain::session::SessionEnd;
use problem_details::ProblemType;
use serde_json::{Value, json};

use super::PATH;
use super::query::State;
use super::standing::WITHOUT_EVENT;
use crate::description::{LISTED, OF_READS, PROBLEMS, limit_and_cursor, read_headers};

/// The group of logging in and out.
const TAG: &str = "Sessions";

/// Where somebody is logged in.
pub(super) fn list() -> Operation {
    Operation::new(Verb::Get, PATH, "listSessions", "Where somebody is logged in, and was")
        .listing()
        .description(
            "The caller's own sessions, or those of a user for admins, the newest first, a page at a time. A session is active until its events, all sessions of its user or time end it.",
        )
        .tag(TAG)
        .with_access()
        .parameters([
            Parameter::query(
                "user_id",
                "Whose; the caller's own without it. Those of others are for admins.",
                id(),
            ),
            Parameter::query(
                "state",
                "Those that are active, or have ended.",
                json!({"type": "string", "enum": State::names()}),
            ),
        ])
        .parameters(limit_and_cursor())
        .parameters(read_headers())
        .answer(
            Answer::new(200, "A page.")
                .headers(&[Header::NextPage, Header::CacheControl])
                .headers(&OF_READS)
                .json(schema::named("SessionPage")),
        )
        .problems(&[ProblemType::NotFound])
        .problems(&LISTED)
        .problems(&PROBLEMS)
        .example(Example::new("nobody", "A caller who is no user", 404).query("state=active"))
        .example(
            Example::new("not-an-admin", "Somebody else's, by a caller who is no admin", 403)
                .query("user_id=00000000-0000-7000-8000-000000000000"),
        )
        .example(Example::new("no-state", "A state that is none", 400).query("state=open"))
}

/// The schemas that they speak of.
pub(super) fn with_schemas<S: Clone + Send + Sync + 'static>(to: Described<S>) -> Described<S> {
    let members = members();
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let properties = members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone()));
    let session = json!({
        "type": "object",
        "description": "A session: from a login until it ends.",
        "required": names,
        "additionalProperties": false,
        "properties": Value::Object(properties.collect()),
    });
    let page = json!({
        "type": "object",
        "required": ["items"],
        "additionalProperties": false,
        "properties": {"items": {"type": "array", "items": schema::named("ListedSession")}},
    });
    to.schema("ListedSession", session).schema("SessionPage", page)
}

fn members() -> Vec<(&'static str, Value)> {
    let ends: Vec<Value> = SessionEnd::ALL
        .map(SessionEnd::name)
        .into_iter()
        .chain(WITHOUT_EVENT)
        .map(Value::from)
        .chain([Value::Null])
        .collect();
    vec![
        ("id", id()),
        ("user_id", id()),
        (
            "current",
            json!({"type": "boolean", "description": "Whether it is the one of the access token."}),
        ),
        ("state", json!({"type": "string", "enum": State::names()})),
        ("started_at", schema::time("The log's time of the login.")),
        (
            "last_refreshed_at",
            schema::time_or_null("The log's time of the newest exchange of its refresh token."),
        ),
        (
            "refreshes",
            json!({"type": "integer", "minimum": 0, "description": "How often its refresh token was exchanged."}),
        ),
        (
            "ended_at",
            schema::time_or_null(
                "When it ended; `null` too where all sessions of the user were ended.",
            ),
        ),
        (
            "end_reason",
            json!({
                "enum": ends,
                "description": "How it ended: by itself, with all sessions of the user (`all-ended`), or by not being refreshed for too long (`lapsed`).",
            }),
        ),
        (
            "version",
            json!({"type": "integer", "minimum": 1, "description": "How many events it has."}),
        ),
    ]
}

fn id() -> Value {
    json!({
        "type": "string", "format": "uuid",
        "pattern": "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$",
    })
}

#[cfg(test)]
mod tests {
    use super::super::standing::a_listed_session;
    use super::*;

    #[test]
    fn a_session_has_the_members_that_are_described() {
        let listed: Value = serde_json::from_str(&a_listed_session()).unwrap();
        let found: Vec<&String> = listed.as_object().unwrap().keys().collect();
        let members = members();
        let mut described: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
        described.sort_unstable();
        assert_eq!(found, described);
    }
}
