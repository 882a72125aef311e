//! What commands take and answer, whatever they decide about.

use api_description::{Answer, Example, Header, Operation, Parameter, Verb, schema};
use problem_details::ProblemType;
use serde_json::{Value, json};

use super::status;

/// What bodies are.
pub(crate) const JSON: &str = "application/json";

/// A token that is none.
pub(crate) const NO_TOKEN: &str = "bm9uZQ";

/// An id that nobody has.
pub(crate) const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

/// What is answered when.
pub(crate) const DECIDES: &str = "Answered once the log has what follows; where the log is away, or with \
`Prefer: respond-async`, with `202` and the decision's address, and what follows is in the log later.";

/// What a decision may come to, beside what any request may.
const OF_DECISIONS: [ProblemType; 13] = [
    ProblemType::MalformedJson,
    ProblemType::InvalidHeader,
    ProblemType::NotFound,
    ProblemType::RequestTimeout,
    ProblemType::ContentTooLarge,
    ProblemType::UnsupportedMediaType,
    ProblemType::StateConflict,
    ProblemType::Erased,
    ProblemType::TooManyRequests,
    ProblemType::UnknownOutcome,
    ProblemType::DatabaseUnavailable,
    ProblemType::StoreNotCompared,
    ProblemType::LogAheadOfStore,
];

/// What every command takes and may come to.
pub(crate) fn decides(operation: Operation, tag: &'static str) -> Operation {
    let about = "Your own name for the request, so that it may be sent again.";
    let named = operation.parameters([header("Idempotency-Key", about)]);
    decides_unnamed(named, tag).problems(&[ProblemType::IdempotencyKeyReused])
}

/// The same of a command whose requests keep no answer: sent again, each is another one.
pub(crate) fn decides_unnamed(operation: Operation, tag: &'static str) -> Operation {
    let about = "`respond-async`, or how many seconds to wait for the log: `wait=2`.";
    let operation = operation.tag(tag).parameters([header("Prefer", about)]);
    operation.answer(pending()).problems(&OF_DECISIONS)
}

/// What a command takes beside that decides upon a version which its caller may name.
pub(crate) fn upon_a_version(operation: Operation) -> Operation {
    let about = "The version that is decided upon, as the `ETag` of an answer.";
    operation.parameters([header("If-Match", about)]).problems(&[ProblemType::VersionMismatch])
}

/// The answer of a command whose event is not in the log yet.
pub(crate) fn pending() -> Answer {
    Answer::new(202, "It is decided, and the log does not have it yet.")
        .headers(&[Header::Location, Header::RetryAfter, Header::PreferenceApplied])
        .json(schema::named("Decision"))
}

/// Whether the log has a decision.
pub(super) fn decision_status() -> Operation {
    let parameter =
        Parameter::path("id", "The decision.", json!({"type": "string", "format": "uuid"}), NOBODY);
    let operation =
        Operation::new(Verb::Get, status::PATH, "getDecision", "Whether the log has a decision");
    operation
        .description("What `202` to a command names. Once it is `done`, the answer has the token by which its effect is read.")
        .tag("Decisions")
        .parameters([parameter])
        .answer(
            Answer::new(200, "The log has it.")
                .headers(&[Header::ConsistencyToken])
                .json(schema::named("Decision")),
        )
        .answer(pending())
        .problems(&[ProblemType::NotFound, ProblemType::DatabaseUnavailable])
        .example(Example::new("unknown", "A decision that nobody made", 404))
}

/// A decision, as it is told.
pub(super) fn decision() -> Value {
    json!({
        "type": "object", "required": ["id", "status"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "status": {"type": "string", "enum": ["pending", "done"]},
            "location": {"type": "string", "description": "Where the thing is read."},
        },
    })
}

fn header(name: &str, description: &str) -> Parameter {
    Parameter::header(name, description, json!({"type": "string", "minLength": 1}))
}
