//! `GET /api/v1/users/{id}/audit`: who changed what of a user and when, for admins. It is read where
//! decisions are made, so that it is never behind; it names fields and never holds what they said.

pub(super) mod query;
mod rows;

use axum::extract::{Path, State, rejection::PathRejection};
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};

use super::{PROJECTION, must_oversee, unknown, user_id};
use crate::Api;
use crate::caller::Authenticated;
use crate::listing::PageKey;
use crate::page;
use crate::parameters::Parameters;
use crate::refused::Refused;

use query::AuditQuery;

pub(crate) type UserAudits = crate::listing::PageLookup<AuditQuery>;

pub(super) async fn get_audit(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Refused> {
    must_oversee(&caller)?;
    let id = user_id(id)?;
    let mut parameters = Parameters::of(&uri, &page::OF_PAGES);
    let size = api.pages.size(&mut parameters);
    parameters.check()?;
    let identity = parameters.identity(&page::OF_PAGES);
    let mut query = AuditQuery::of(&api.event_store, id);
    if let Some(cursor) = parameters.read("cursor", |text| Ok(text.to_owned())) {
        query.before = Some(api.cursors.read(&identity, &cursor)?);
    }

    let slot = api.slots.take()?;
    let key = PageKey { listed: query, size, unsure: Vec::new() };
    let found = api.user_audits.find(key).await?;
    if !found.exists {
        return Ok(unknown().into_response());
    }
    let rows = &found.page.rows;
    let next = rows
        .last()
        .filter(|_| found.page.has_more)
        .map(|last| parameters.link_with("cursor", &api.cursors.write(&identity, &last.version())));
    let items: Vec<String> = rows.iter().map(rows::AuditColumns::json).collect();
    api.counters.audit_pages.increment(1);
    Ok(page::answer(slot, &items, next))
}
