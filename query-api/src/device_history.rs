//! `GET /api/v1/resources/{id}/history`: every event of a device, by the time the log took it.

mod description;
mod query;
mod rows;

use access::Role;
use api_description::Described;
use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse as _, Response};
use problem_details::{Problem, ProblemType};
use read_models::device_history::body;

use crate::Api;
use crate::caller::Authenticated;
use crate::consistency::{Consistency, LogTopic, Shown};
use crate::export::{self, Export};
use crate::listing::PageKey;
use crate::page;
use crate::parameters::Parameters;
use crate::positions::map::LogPartition;
use crate::refused::Refused;
use crate::resource::device_id;

use query::HistoryQuery;
use rows::HistoryColumns;

/// The projection whose view this is.
const PROJECTION: &str = "device_history";

/// Whoever may read what a device reported.
const READERS: &[Role] = &[Role::Device, Role::User, Role::Admin];

/// The path.
pub(crate) fn described() -> Described<Api> {
    description::with_schemas(Described::default()).on(description::operation(), get_history)
}

pub(crate) type HistoryPages = crate::listing::PageLookup<HistoryQuery>;

async fn get_history(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    id: Result<Path<String>, PathRejection>,
    (method, uri, headers): (Method, Uri, HeaderMap),
) -> Result<Response, Refused> {
    caller.must_be_any(READERS).map_err(|error| error.refuse(&caller))?;
    let id = device_id(id)?;
    caller.must_own_device(&id).map_err(|error| error.refuse(&caller))?;
    if export::is_asked_for(&headers) {
        return export_history(&api, id.into_string(), &method, &uri, &headers).await;
    }

    let mut parameters = Parameters::of(&uri, &query::OF_PAGES);
    let size = api.pages.size(&mut parameters);
    let mut query = HistoryQuery::read(&mut parameters, id.into_string());
    parameters.check()?;
    let identity = parameters.identity(&page::OF_PAGES);
    if let Some(cursor) = parameters.read("cursor", |text| Ok(text.to_owned())) {
        query.after = Some(query::place(api.cursors.read(&identity, &cursor)?));
    }

    let topic = LogTopic { projection: PROJECTION, topic: &api.resource_topic, decisions: None };
    let consistency = Consistency::from_headers(&headers, &api.tokens)?;
    let mut settled = consistency.settle(&api.positions, topic, api.waits).await?;
    let slot = api.slots.take()?;
    let key = PageKey { listed: query, size, unsure: settled.take_unsure() };
    let found = api.histories.find(key).await?;
    let settled = settled.despite(found.letters)?;
    if !found.exists {
        return Ok(settled.onto(unknown().into_response(), None, &api.tokens));
    }
    let rows = &found.page.rows;
    let next = rows.last().filter(|_| found.page.has_more).map(|last| {
        parameters.link_with("cursor", &api.cursors.write(&identity, &query::written(last.place())))
    });
    let items: Vec<String> = rows.iter().map(|row| body(&row.entry())).collect();
    let shown: Vec<Shown> = rows.iter().filter_map(|row| shown(&api, row)).collect();
    api.counters.history_pages.increment(1);
    Ok(settled.onto(page::answer(slot, &items, next), shown, &api.tokens))
}

/// The record of a row.
fn shown(api: &Api, row: &HistoryColumns) -> Option<Shown> {
    let place = row.place();
    let log = LogPartition {
        topic: api.resource_topic.clone(),
        epoch: u32::try_from(place.epoch).ok()?,
        partition: u32::try_from(place.partition).ok()?,
    };
    Some(Shown { log, offset: u64::try_from(place.offset).ok()? })
}

async fn export_history(
    api: &Api,
    device_id: String,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Refused> {
    let mut parameters = Parameters::of(uri, &query::OF_EXPORTS);
    let query = HistoryQuery::read(&mut parameters, device_id);
    parameters.check()?;
    let topic = LogTopic { projection: PROJECTION, topic: &api.resource_topic, decisions: None };
    let consistency = Consistency::from_headers(headers, &api.tokens)?;
    let mut settled = consistency.settle(&api.positions, topic, api.waits).await?;
    let export = Export { listed: query, line: |row: HistoryColumns| body(&row.entry()) };
    let begun = api.exports.begin(export, &settled.take_unsure()).await?;
    let settled = settled.despite(begun.letters)?;
    let response = match begun.rows {
        Some(rows) => rows.answer(method),
        None => unknown().into_response(),
    };
    Ok(settled.onto(response, None, &api.tokens))
}

fn unknown() -> Problem {
    Problem::new(ProblemType::NotFound, "nothing is known of this device")
}
