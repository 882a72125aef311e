//! `GET /api/v1/resources/{id}`: the latest state of a device.

mod description;
mod letters;
mod list;
mod presence;
mod row;

use access::Role;
use api_description::Described;
use axum::extract::{Path, Request, State, rejection::PathRejection};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LINK, VARY};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use domain::device::DeviceId;
use problem_details::{Problem, ProblemType};
use read_models::cached::CachedRow;
use read_models::resource;

use crate::Api;
use crate::cache::{CacheStatus, Place};
use crate::caller::Authenticated;
use crate::conditional::EntityTag;
use crate::consistency::{Consistency, LogTopic, OpenLetters};
use crate::lookups::LookupError;
use crate::positions::map::Need;
use crate::refused::Refused;

use presence::{ONLINE, is_online};
use row::ResourceKey;

pub(crate) use list::ResourcePages;
pub(crate) use row::ResourceLookup;

/// The projection whose view this is.
const PROJECTION: &str = "resource";

/// What its rows are called in the cache.
const NOUN: &str = "resource";

/// Headers of an answer, those of the server included: they are given room at once.
const HEADERS: usize = 19;

/// Whoever may read devices.
const READERS: &[Role] = &[Role::Device, Role::User, Role::Admin];

/// The topic whose records the view folds, without the deployment's prefix.
pub(crate) const TOPIC: &str = "events-input";

/// The canonical paths and an alias.
pub(crate) fn described() -> Described<Api> {
    let one = description::one();
    let by_alias = one.clone().by_older_path("/resource/{id}", "getResourceByOlderPath");
    description::with_schemas(Described::default())
        .on(one, get_resource)
        .on(description::list(), list::get_resources)
        .on(by_alias, get_resource_by_alias)
}

async fn get_resource_by_alias(
    uri: Uri,
    state: State<Api>,
    caller: Authenticated,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Refused> {
    let mut response = get_resource(state, caller, id, request).await?;
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
    request: Request,
) -> Result<Response, Refused> {
    let headers = request.headers();
    caller.must_be_any(READERS).map_err(|error| error.refuse(&caller))?;
    let id = device_id(id)?;
    caller.must_own_device(&id).map_err(|error| error.refuse(&caller))?;

    let topic = LogTopic { projection: PROJECTION, topic: &api.resource_topic, decisions: None };
    let consistency = Consistency::from_headers(headers, &api.tokens)?;
    let mut settled = consistency.settle(&api.positions, topic, api.waits).await?;
    let found = find(&api, id.as_str(), settled.take_unsure()).await?;
    let settled = settled.despite(found.letters)?;

    let Some(row) = found.row else {
        api.counters.resources.not_found.increment(1);
        let problem = Problem::new(ProblemType::NotFound, "nothing is known of this device");
        let mut response = problem.into_response();
        found.cache_status.tell(response.headers_mut());
        return Ok(settled.onto(response, None, &api.tokens));
    };
    let is_online = api.is_online(&row);
    let beside = if is_online { "" } else { ".offline" };
    let tag = EntityTag { generation: row.generation, version: row.version, beside };
    let mut response = Response::default();
    let out = response.headers_mut();
    out.reserve(HEADERS);
    if tag.is_known_by(headers) {
        api.counters.resources.not_modified.increment(1);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        api.counters.resources.found.increment(1);
        out.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *response.body_mut() = shown_body(&row, is_online).into();
    }
    let out = response.headers_mut();
    out.insert(ETAG, tag.header_value());
    out.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    out.insert(VARY, HeaderValue::from_static("authorization, consistency-token, prefer"));
    found.cache_status.tell(out);
    let shown = api.positions.shown(&api.resource_topic, id.as_str(), row.position);
    Ok(settled.onto(response, shown, &api.tokens))
}

impl Api {
    /// Whether the device has reported within the time that it may be silent. What is cached does not
    /// say so: it would be true for a while only.
    fn is_online(&self, row: &CachedRow) -> bool {
        let updated_at = resource::updated_at(&row.body);
        updated_at
            .is_some_and(|at| is_online(at, self.positions.database_time(), self.offline_after))
    }
}

/// The row with what is derived of it.
fn shown_body(row: &CachedRow, is_online: bool) -> Vec<u8> {
    let members = row.body.strip_suffix(b"}").unwrap_or(&row.body);
    let is_online: &[u8] = if is_online { b"true" } else { b"false" };
    [members, b",\"", ONLINE.as_bytes(), b"\":", is_online, b"}"].concat()
}

/// What is known of a device, all of one moment.
struct Found {
    row: Option<CachedRow>,
    letters: Vec<OpenLetters>,
    cache_status: CacheStatus,
}

/// From the cache, or from Postgres; from there at once where the reader has to know of letters,
/// which the cache does not hold.
async fn find(api: &Api, id: &str, unsure: Vec<Need>) -> Result<Found, LookupError> {
    let found =
        if unsure.is_empty() {
            let place = api.positions.partition_now(&api.resource_topic, id).map(|partition| {
                Place { noun: NOUN, projection: PROJECTION, id, partition, ttl: api.ttls.resource }
            });
            let load = async || {
                let key = ResourceKey { id: id.to_owned(), unsure: Vec::new() };
                Ok(api.resources.find(key).await?.stored.map(|stored| stored.cached()))
            };
            let (row, cache_status) = api.cache.get(place, load).await?;
            Found { row, letters: Vec::new(), cache_status }
        } else {
            let key = ResourceKey { id: id.to_owned(), unsure };
            let found = api.resources.find(key).await?;
            let row = found.stored.map(|stored| stored.cached());
            Found { row, letters: found.letters, cache_status: api.cache.bypassed() }
        };
    api.counters.resources.cache.count(found.cache_status);
    Ok(found)
}

/// An id that no device can have names nothing.
pub(crate) fn device_id(path: Result<Path<String>, PathRejection>) -> Result<DeviceId, Problem> {
    let not_found = |detail: String| Problem::new(ProblemType::NotFound, detail);
    let Path(text) = path.map_err(|error| not_found(format!("the path is not valid: {error}")))?;
    DeviceId::parse(text, usize::MAX)
        .map_err(|error| not_found(format!("no device has this id, which {error}")))
}
