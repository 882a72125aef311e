//! `GET /api/v1/resources/{id}`: the latest state of a device.

mod body;
mod letters;
mod row;

use access::Role;
use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::header::{CACHE_CONTROL, ETAG, LINK, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, routing::get};
use domain::device::DeviceId;
use problem_details::{Problem, ProblemType};

use crate::Api;
use crate::caller::Authenticated;
use crate::conditional::EntityTag;
use crate::consistency::{Consistency, LogTopic};
use crate::refused::Refused;

use row::ResourceKey;

pub(crate) use row::ResourceLookup;

/// The projection whose view this is.
const PROJECTION: &str = "resource";

/// Whoever may read devices.
const READERS: &[Role] = &[Role::Device, Role::User, Role::Admin];

/// The topic whose records the view folds, without the deployment's prefix.
pub(crate) const TOPIC: &str = "events-input";

/// The canonical path and its alias.
pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/resources/{id}", get(get_resource))
        .route("/resource/{id}", get(get_resource_by_alias))
}

async fn get_resource_by_alias(
    uri: Uri,
    state: State<Api>,
    caller: Authenticated,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let mut response = get_resource(state, caller, id, headers).await?;
    // The id as it was sent is escaped as it must be.
    let id = uri.path().rsplit('/').next().unwrap_or_default();
    let link = HeaderValue::from_str(&format!("</api/v1/resources/{id}>; rel=\"canonical\""));
    if let Ok(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

async fn get_resource(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    caller.must_be_any(READERS).map_err(|error| error.refuse(&caller))?;
    let id = device_id(id)?;
    caller.must_own_device(&id).map_err(|error| error.refuse(&caller))?;

    let topic = LogTopic { projection: PROJECTION, topic: &api.resource_topic };
    let consistency = Consistency::from_headers(&headers, &api.tokens)?;
    let mut settled = consistency.settle(&api.positions, topic, api.waits).await?;
    let key = ResourceKey { id: id.as_str().to_owned(), unsure: settled.take_unsure() };
    let found = api.resources.find(key).await?;
    let settled = settled.despite(found.letters)?;

    let Some(stored) = found.stored else {
        api.counters.not_found.increment(1);
        let problem = Problem::new(ProblemType::NotFound, "nothing is known of this device");
        return Ok(settled.onto(problem.into_response(), None, &api.tokens));
    };
    let tag = EntityTag { generation: stored.generation, version: stored.row.version };
    let mut response = if tag.is_known_by(&headers) {
        api.counters.not_modified.increment(1);
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        api.counters.found.increment(1);
        body::answer(id.as_str(), &stored.row)
    };
    let out = response.headers_mut();
    out.insert(ETAG, tag.header_value());
    out.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    out.insert(VARY, HeaderValue::from_static("authorization, consistency-token, prefer"));
    let shown = api.positions.shown(&api.resource_topic, id.as_str(), stored.row.position);
    Ok(settled.onto(response, shown, &api.tokens))
}

/// An id that no device can have names nothing.
fn device_id(path: Result<Path<String>, PathRejection>) -> Result<DeviceId, Problem> {
    let not_found = |detail: String| Problem::new(ProblemType::NotFound, detail);
    let Path(text) = path.map_err(|error| not_found(format!("the path is not valid: {error}")))?;
    DeviceId::parse(text, usize::MAX)
        .map_err(|error| not_found(format!("no device has this id, which {error}")))
}
