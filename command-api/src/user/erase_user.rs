//! Erasing a user: `DELETE /api/v1/users/{id}`, by themselves or an admin.

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::user::EraseUser;
use event_store::EventStore;
use lifecycle::http::RequestContext;
use problem_details::Problem;

use super::about::About;
use super::caller::Leave;
use super::{Shared, Slice, description, request, shown};
use crate::decision::Beside;

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::erase_user(), erase_user)
}

async fn erase_user<S: EventStore>(
    State(slice): Shared<S>,
    Path(id): Path<String>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let command = |body: &[u8]| request::nothing(body).map(|()| EraseUser);
    let about = About { id, context, request };
    let beside = [Beside::Erasure];
    slice.decide_about(about, Leave::OwnOrAdmin, command, &beside, |_| shown::nothing).await
}
