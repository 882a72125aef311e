//! What all reads have in common, for the description of the API.

use api_description::{Answer, Header, Parameter, schema};
use problem_details::ProblemType;
use serde_json::json;
use settings::table;

/// The group of reads of devices.
pub(crate) const TAG: &str = "Devices";

/// The device that examples ask for.
pub(crate) const ID: &str = "device-123";

/// The media type of exports.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// What a read that may carry a token can come to, beside what any request may.
pub(crate) const PROBLEMS: [ProblemType; 6] = [
    ProblemType::InvalidConsistencyToken,
    ProblemType::ProjectionBehind,
    ProblemType::ProjectionParked,
    ProblemType::ProjectionPaused,
    ProblemType::DatabaseUnavailable,
    ProblemType::NotReady,
];

/// What a read of pages can come to as well.
pub(crate) const LISTED: [ProblemType; 1] = [ProblemType::InvalidCursor];

/// What an answer says of how new it is.
pub(crate) const OF_READS: [Header; 3] =
    [Header::ConsistencyToken, Header::PreferenceApplied, Header::Age];

/// The headers by which a reader says how new the answer must be.
pub(crate) fn read_headers() -> [Parameter; 2] {
    let longest = schema::default_of(&table::QUERY_API_MAX_WAIT) / 1000;
    let prefer = format!(
        "`wait=<seconds>`, at most {longest}: how long to wait for what the token asks for. `handling=lenient`: then answer with what there is."
    );
    [
        Parameter::header(
            "Consistency-Token",
            "Tokens of answers, separated by commas: the read shows no less than they name.",
            json!({"type": "string", "pattern": "^[A-Za-z0-9_-]+( *, *[A-Za-z0-9_-]+)*$"}),
        ),
        Parameter::header("Prefer", &prefer, json!({"type": "string"})),
    ]
}

/// The header by which a reader says what it knows.
pub(crate) fn conditional() -> Parameter {
    Parameter::header(
        "If-None-Match",
        "The `ETag` of an answer, or several.",
        json!({"type": "string"}),
    )
}

/// The parameters by which a page is chosen.
pub(crate) fn limit_and_cursor() -> [Parameter; 2] {
    let (usual, most) = (
        schema::default_of(&table::QUERY_API_PAGE_ROWS),
        schema::default_of(&table::QUERY_API_MAX_PAGE_ROWS),
    );
    let limit = format!("Rows of a page: {usual} without it, {most} at most. Not for exports.");
    [
        Parameter::query(
            "limit",
            &limit,
            json!({"type": "integer", "minimum": 1, "maximum": most, "default": usual}),
        ),
        Parameter::query(
            "cursor",
            "Where the page before ended, as its `Link` says. Not for exports.",
            json!({"type": "string", "minLength": 1}),
        ),
    ]
}

/// The answer of a list.
pub(crate) fn of_pages(page: &str) -> Answer {
    Answer::new(200, "A page, or all of it.")
        .headers(&[Header::NextPage, Header::CacheControl])
        .headers(&OF_READS)
        .json(schema::named(page))
        .content(NDJSON, json!({"type": "string"}))
}
