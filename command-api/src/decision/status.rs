//! `GET /api/v1/decisions/{id}`: whether the log has a decision that was answered before it did.

use api_description::{Described, Description};
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use event_store::EventStore;
use event_store::postgres::Postgres;
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use problem_details::{Problem, ProblemType};
use serde::Serialize;
use uuid::Uuid;

use super::{Commands, closed, description};

/// Where decisions are asked for.
pub const PATH: &str = "/api/v1/decisions/{id}";

const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("consistency-token");

/// The route.
pub fn routes<S: EventStore>(commands: Commands<S>) -> Router {
    described().into_router().with_state(commands)
}

/// What it is.
pub fn description() -> Description {
    described::<Postgres>().into_description()
}

fn described<S: EventStore>() -> Described<Commands<S>> {
    Described::default()
        .schema("Decision", description::decision())
        .on(description::decision_status(), decision_status)
}

async fn decision_status<S: EventStore>(
    State(commands): State<Commands<S>>,
    Path(id): Path<String>,
) -> Response {
    commands.status(&id).await.unwrap_or_else(Problem::into_response)
}

/// A decision, as it is told.
#[derive(Debug, Serialize)]
struct Status<'a> {
    id: Uuid,
    /// `pending`: it is made, and the log does not have it yet; `done`: the log has it.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
}

/// The answer to a command whose event is not in the log yet.
pub(super) fn pending(event_id: Uuid, location: Option<&str>) -> Response {
    let status = Status { id: event_id, status: "pending", location };
    let mut response = (StatusCode::ACCEPTED, Json(status)).into_response();
    let headers = response.headers_mut();
    if let Ok(path) = HeaderValue::try_from(PATH.replace("{id}", &event_id.to_string())) {
        headers.insert(LOCATION, path);
    }
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

impl<S: EventStore> Commands<S> {
    /// Whether the log has a decision; once it does, with the token by which its effect is read.
    ///
    /// # Errors
    /// There is no such decision, or nobody can tell now.
    pub async fn status(&self, id: &str) -> Result<Response, Problem> {
        let nobody_s = || Problem::new(ProblemType::NotFound, "there is no decision of this id");
        let event_id = Uuid::try_parse(id).map_err(|_| nobody_s())?;
        let known = self.0.known.get().ok_or_else(closed::not_ready)?;
        let event = self.0.store.event(event_id).await.map_err(closed::store_problem)?;
        let event = event.ok_or_else(nobody_s)?;
        let Some(place) = event.place else { return Ok(pending(event_id, None)) };
        let status = Status { id: event_id, status: "done", location: None };
        let mut response = Json(status).into_response();
        let token = known.token(&event.topic, place);
        let token = token.map(|token| token.encode(&self.0.token_key)).map(HeaderValue::try_from);
        if let Some(Ok(token)) = token {
            response.headers_mut().insert(CONSISTENCY_TOKEN, token);
        }
        Ok(response)
    }
}
