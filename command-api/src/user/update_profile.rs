//! Changing a profile: `PUT` (whole) and `PATCH` (in part) `/api/v1/users/{id}`.

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use event_store::EventStore;
use http::Method;
use lifecycle::http::RequestContext;
use problem_details::Problem;

use super::about::About;
use super::caller::Leave;
use super::request::profile;
use super::shown::shown;
use super::{Shared, Slice, description};

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::replace_profile(), update_profile)
        .on(description::patch_profile(), update_profile)
}

async fn update_profile<S: EventStore>(
    State(slice): Shared<S>,
    Path(id): Path<String>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let is_whole = request.method() == Method::PUT;
    let command = |body: &[u8]| profile(body, is_whole);
    let about = About { id, context, request };
    slice.decide_about(about, Leave::OwnOrAdmin, command, &[], shown).await
}
