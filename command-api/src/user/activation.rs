//! Letting a user in or not: `POST /api/v1/users/{id}/deactivate` and `/reactivate`, by admins.

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::user::{DeactivateUser, ReactivateUser};
use event_store::EventStore;
use lifecycle::http::RequestContext;
use problem_details::Problem;

use super::about::About;
use super::caller::Leave;
use super::request::nothing;
use super::shown::shown;
use super::{Shared, Slice, description};

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::deactivate_user(), deactivate).on(description::reactivate_user(), reactivate)
}

async fn deactivate<S: EventStore>(
    State(slice): Shared<S>,
    Path(id): Path<String>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let command = |body: &[u8]| nothing(body).map(|()| DeactivateUser);
    slice.decide_about(About { id, context, request }, Leave::Admin, command, &[], shown).await
}

async fn reactivate<S: EventStore>(
    State(slice): Shared<S>,
    Path(id): Path<String>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let command = |body: &[u8]| nothing(body).map(|()| ReactivateUser);
    slice.decide_about(About { id, context, request }, Leave::Admin, command, &[], shown).await
}
