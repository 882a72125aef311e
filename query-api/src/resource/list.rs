//! `GET /api/v1/resources`: the latest state of many devices.

pub(super) mod fields;
mod query;
mod rows;

use access::{Caller, Role};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse as _, Response};
use problem_details::{Problem, ProblemType};

use super::PROJECTION;
use crate::Api;
use crate::caller::Authenticated;
use crate::consistency::{Consistency, LogTopic, Shown};
use crate::export::{self, Export};
use crate::listing::PageKey;
use crate::page;
use crate::parameters::Parameters;
use crate::refused::Refused;

use query::ResourcesQuery;
use rows::ResourceListed;

/// Whoever may read many devices; a caller who is bound to one sees that one.
const READERS: &[Role] = &[Role::User, Role::Admin];

pub(crate) type ResourcePages = crate::listing::PageLookup<ResourcesQuery>;

pub(super) async fn get_resources(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    caller.must_be_any(READERS).map_err(|error| error.refuse(&caller))?;
    if export::is_asked_for(&headers) {
        return export_resources(&api, &caller, &method, &uri, &headers).await;
    }

    let mut parameters = Parameters::of(&uri, &query::OF_PAGES);
    let size = api.pages.size(&mut parameters);
    let mut query = ask(&api, &caller, &mut parameters);
    parameters.check()?;
    let identity = parameters.identity(&page::OF_PAGES);
    if let Some(cursor) = parameters.read("cursor", |text| Ok(text.to_owned())) {
        query.after = Some(api.cursors.read(&identity, &cursor)?);
    }

    let mut settled = Consistency::from_headers(&headers, &api.tokens)?
        .settle(&api.positions, topic(&api), api.waits)
        .await?;
    let slot = api.slots.take()?;
    let (fields, key) =
        (query.fields, PageKey { listed: query, size, unsure: settled.take_unsure() });
    let found = api.lists.find(key).await?;
    let settled = settled.despite(found.letters)?;
    let rows = &found.page.rows;
    let next = rows
        .last()
        .filter(|_| found.page.has_more)
        .map(|last| parameters.link_with("cursor", &api.cursors.write(&identity, &last.place())));
    let items: Vec<String> = rows.iter().map(|row| row.json(fields)).collect();
    let shown: Vec<Shown> = rows.iter().filter_map(|row| shown(&api, row)).collect();
    api.counters.pages.increment(1);
    Ok(settled.onto(page::answer(slot, &items, next), shown, &api.tokens))
}

fn topic(api: &Api) -> LogTopic<'_> {
    LogTopic { projection: PROJECTION, topic: &api.resource_topic, decisions: None }
}

fn ask(api: &Api, caller: &Caller, parameters: &mut Parameters) -> ResourcesQuery {
    let own = caller.device_id.as_ref().map(|id| id.as_str().to_owned());
    ResourcesQuery::read(parameters, own, api.offline_after)
}

/// The newest record that is shown of the row's partition and of which nothing before it is set
/// aside: a page speaks for whole partitions.
fn shown(api: &Api, row: &ResourceListed) -> Option<Shown> {
    let shown = api.positions.shown(&api.resource_topic, row.id(), row.position())?;
    api.positions.clear(PROJECTION, shown)
}

async fn export_resources(
    api: &Api,
    caller: &Caller,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Refused> {
    let mut parameters = Parameters::of(uri, &query::OF_EXPORTS);
    let query = ask(api, caller, &mut parameters);
    parameters.check()?;
    let mut settled = Consistency::from_headers(headers, &api.tokens)?
        .settle(&api.positions, topic(api), api.waits)
        .await?;
    let fields = query.fields;
    let export = Export { listed: query, line: move |row: ResourceListed| row.json(fields) };
    let begun = api.exports.begin(export, &settled.take_unsure()).await?;
    let settled = settled.despite(begun.letters)?;
    let response = match begun.rows {
        Some(rows) => rows.answer(method),
        None => Problem::new(ProblemType::NotFound, "there is no such list").into_response(),
    };
    Ok(settled.onto(response, None, &api.tokens))
}
