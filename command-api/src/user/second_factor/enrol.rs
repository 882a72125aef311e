//! Asking for a second factor: by oneself, with the password. Nothing is written: what is handed out counts once
//! its first code is shown, so that nobody is locked out by an app that has not taken it.

use std::sync::Arc;

use api_description::Described;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use domain::decision::Command as _;
use domain::user::EnrolSecondFactor;
use event_store::EventStore;
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use lifecycle::http::{ClientAddress, RequestContext};
use problem_details::Problem;

use super::request;
use crate::decision::{Refusal as _, closed};
use crate::user::caller::{Leave, user_of};
use crate::user::{Shared, Slice, Users, description};

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::enrol_second_factor(), enrol)
}

async fn enrol<S: EventStore>(
    State(slice): Shared<S>,
    Path(id): Path<String>,
    ClientAddress(address): ClientAddress,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    slice.caller(&request, &id, Leave::Own)?;
    let user = user_of(&id)?;
    let incoming = slice.incoming(context, request).await?;
    let current = request::current_password(&incoming.body)?;
    let state = slice.commands().state::<Users>(user.0).await?;
    let session_epoch = state.as_ref().map_or(0, |user| user.session_epoch);
    // First: who has one already has us hash nothing.
    let judged = EnrolSecondFactor { session_epoch }.decide(state.as_ref());
    judged.map_err(|error| error.refuse())?;
    slice.must_know(user, state.as_ref(), current, address).await?;
    let state = state.ok_or_else(closed::defect)?;
    let handed_out = slice.deciding.second_factors.hand_out(user, &state);
    // Nobody keeps it on its way.
    let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((no_store, Json(&handed_out)).into_response())
}
