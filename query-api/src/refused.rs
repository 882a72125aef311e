//! Every way in which a read is not answered, as a problem document.

use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use consistency_token::{TokenError, TooManyEntries};
use problem_details::{MEDIA_TYPE, Problem, ProblemType};
use serde::Serialize;

use crate::lookups::LookupError;
use crate::positions::Unreached;
use crate::positions::map::{LogPartition, Need, Position, StreamEvent};

/// When a reader may come back after a refusal that passes.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// When a record may have been tried again that is set aside.
const TRIED_AGAIN: Duration = Duration::from_secs(2);

/// When somebody may have done something.
const LATER: Duration = Duration::from_secs(30);

/// Why a read is not answered.
#[derive(Debug)]
pub(crate) enum Refused {
    /// As the problem says.
    Problem(Problem),
    /// The view has not come so far.
    Behind(Box<ProjectionBehind>),
}

/// A view has not come as far as a reader needs.
#[derive(Debug, PartialEq)]
pub(crate) struct ProjectionBehind {
    pub(crate) projection: &'static str,
    pub(crate) need: Need,
    pub(crate) position: Position,
    /// Why the projection stopped itself, if it did. Counts and codes, never values.
    pub(crate) brake: Option<String>,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        Problem::new(ProblemType::InvalidConsistencyToken, error.to_string()).into()
    }
}

impl From<TooManyEntries> for Refused {
    fn from(error: TooManyEntries) -> Self {
        Problem::new(ProblemType::InvalidConsistencyToken, error.to_string()).into()
    }
}

impl From<LookupError> for Refused {
    fn from(error: LookupError) -> Self {
        let detail = match error {
            LookupError::Busy => "as many reads wait for the database as may; come back later",
            LookupError::Unavailable => "the database does not answer; come back later",
        };
        Problem::new(ProblemType::DatabaseUnavailable, detail).with_retry_after(SOON).into()
    }
}

impl Refused {
    /// Why the view of this projection does not show what the reader needs.
    pub(crate) fn unreached(projection: &'static str, unreached: Unreached) -> Self {
        match unreached {
            Unreached::Behind { need, position, brake } => {
                Self::Behind(Box::new(ProjectionBehind { projection, need, position, brake }))
            }
            Unreached::NoSuchPartition(log) => no_such_partition(&log).into(),
            Unreached::NotLogged => {
                let detail = "what the token asks for is decided and not in the log yet; come back \
                              later, or send `Prefer: handling=lenient` for what there is";
                Problem::new(ProblemType::ProjectionBehind, detail).with_retry_after(SOON).into()
            }
            Unreached::NoSuchEvent(event) => no_such_event(&event).into(),
            Unreached::Unknown => {
                let detail = "the database does not say how far the view has come; come back later";
                Problem::new(ProblemType::DatabaseUnavailable, detail).with_retry_after(SOON).into()
            }
            Unreached::TooManyWaiting => {
                let detail = "as many reads wait for the view as may; come back later";
                Problem::new(ProblemType::NotReady, detail).with_retry_after(SOON).into()
            }
        }
    }
}

impl Refused {
    /// Records that the token asks for are set aside, the oldest of them in this state.
    pub(crate) fn parked(lacking: u64, oldest_state: &str) -> Self {
        let (what_next, wait) = match oldest_state {
            "retrying" => ("is tried again by itself", TRIED_AGAIN),
            "blocked" => ("waits behind an earlier one", LATER),
            _ => ("waits for an operator", LATER),
        };
        let detail = format!(
            "the view lacks {lacking} records of what the token asks for, which are set aside; the \
             oldest is {oldest_state} and {what_next}: come back later, or send \
             `Prefer: handling=lenient` for what there is"
        );
        Problem::new(ProblemType::ProjectionParked, detail).with_retry_after(wait).into()
    }
}

fn no_such_partition(log: &LogPartition) -> Problem {
    let LogPartition { topic, epoch, partition } = log;
    let detail = format!(
        "the consistency token names partition {partition} of {topic}, epoch {epoch}, which is not here"
    );
    Problem::new(ProblemType::InvalidConsistencyToken, detail)
}

fn no_such_event(StreamEvent { stream_id, version }: &StreamEvent) -> Problem {
    let detail =
        format!("the consistency token names version {version} of {stream_id}, which is not here");
    Problem::new(ProblemType::InvalidConsistencyToken, detail)
}

/// The document of `projection-behind` and `projection-paused`: the usual members, then how far
/// behind.
#[derive(Serialize)]
struct BehindBody<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    projection: &'static str,
    topic: &'a str,
    partition: u32,
    /// The first offset that the view does not show.
    position: u64,
    /// The offset that the token names.
    wanted: u64,
    /// Records from the view's position to the wanted one, that one included.
    behind: u64,
    /// Why the projection stopped itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl ProjectionBehind {
    fn detail(&self, behind: u64) -> String {
        let why = match &self.brake {
            None => String::new(),
            Some(reason) => format!(" and stands still until an operator lets it go on ({reason})"),
        };
        format!(
            "the view lacks {behind} records of what the token asks for{why}; come back later, or \
             send `Prefer: handling=lenient` for what there is"
        )
    }

    fn come_back(&self) -> Duration {
        if self.brake.is_some() { LATER } else { SOON }
    }
}

impl IntoResponse for ProjectionBehind {
    fn into_response(self) -> Response {
        let kind = match self.brake {
            None => ProblemType::ProjectionBehind,
            Some(_) => ProblemType::ProjectionPaused,
        };
        let Need { log, offset } = &self.need;
        let position = self.position.next_offset;
        let behind = offset.saturating_add(1).saturating_sub(position);
        let body = BehindBody {
            r#type: kind.uri(),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail: self.detail(behind),
            projection: self.projection,
            topic: &log.topic,
            partition: log.partition,
            position,
            wanted: *offset,
            behind,
            reason: self.brake.as_deref(),
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (kind.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, MEDIA_TYPE);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(RETRY_AFTER, HeaderValue::from(self.come_back().as_secs()));
        response.extensions_mut().insert(kind);
        response
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Behind(behind) => behind.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};

    use super::*;

    fn behind(brake: Option<&str>) -> ProjectionBehind {
        let log = LogPartition { topic: "events-input".into(), epoch: 1, partition: 7 };
        ProjectionBehind {
            projection: "resource",
            need: Need { log, offset: 130 },
            position: Position { next_offset: 128, age: None },
            brake: brake.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn a_view_that_stands_still_says_why_and_by_how_much_it_is_behind() {
        let response = behind(Some("10 keys failed with magic")).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "30");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let mut body: Value = serde_json::from_slice(&bytes).unwrap();
        let detail = body["detail"].take();
        assert!(detail.as_str().unwrap().contains("(10 keys failed with magic)"), "{detail}");
        assert_eq!(
            body,
            json!({
                "type": "/problems/projection-paused", "title": "The view is paused",
                "status": 503, "detail": null, "projection": "resource", "topic": "events-input",
                "partition": 7, "position": 128, "wanted": 130, "behind": 3,
                "reason": "10 keys failed with magic",
            })
        );
    }

    #[test]
    fn what_a_token_names_by_its_stream_is_not_logged_yet_or_not_here() {
        let refused = |unreached| Refused::unreached("session", unreached).into_response();
        let not_yet = refused(Unreached::NotLogged);
        assert_eq!(not_yet.status(), 503);
        assert_eq!(not_yet.headers()[RETRY_AFTER], "1");
        let event = StreamEvent { stream_id: "session-1".into(), version: 7 };
        assert_eq!(refused(Unreached::NoSuchEvent(event)).status(), 400);
    }

    #[tokio::test]
    async fn a_view_that_is_behind_says_by_how_much() {
        let response = behind(None).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let mut body: Value = serde_json::from_slice(&bytes).unwrap();
        let detail = body["detail"].take();
        assert!(detail.as_str().unwrap().starts_with("the view lacks 3 records"));
        assert_eq!(
            body,
            json!({
                "type": "/problems/projection-behind", "title": "The view is behind",
                "status": 503, "detail": null, "projection": "resource", "topic": "events-input",
                "partition": 7, "position": 128, "wanted": 130, "behind": 3,
            })
        );
    }
}
