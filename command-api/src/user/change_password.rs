//! Changing the password: `PUT /api/v1/users/{id}/password`, by whoever knows the one before. Whom the old one
//! belonged to is told by a mail.
//!
//! A name of the request keeps no answer: what is kept of a request tells no password, so that one with another
//! password would be answered that it is had from now on. Sent again, a change is refused, since the password
//! before it is known no more.

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::decision::Command as _;
use domain::user::ChangePassword;
use event_store::EventStore;
use lifecycle::http::{ClientAddress, RequestContext};
use problem_details::Problem;

use super::caller::{Leave, user_of};
use super::mailing::Notice;
use super::request::PasswordChange;
use super::shown::nothing;
use super::{Shared, Slice, Users, description};
use crate::decision::Refusal as _;

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::change_password(), change_password)
}

async fn change_password<S: EventStore>(
    State(slice): Shared<S>,
    Path(id): Path<String>,
    ClientAddress(address): ClientAddress,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let caller = slice.caller(&request, &id, Leave::Own)?;
    let user = user_of(&id)?;
    let incoming = slice.incoming(context, request).await?;
    let PasswordChange { current, new } = PasswordChange::read(&incoming.body)?;
    let asked = slice.asked(&incoming, &caller.actor)?.without_name();
    let commands = slice.commands();
    let state = commands.state::<Users>(user.0).await?;
    let session_epoch = state.as_ref().map_or(0, |user| user.session_epoch);
    let command = ChangePassword { session_epoch };
    command.decide(state.as_ref()).map_err(|error| error.refuse())?;
    slice.must_know(user, state.as_ref(), current, address).await?;
    let mut beside = Vec::from(slice.new_password(new, state.as_ref()).await?);
    beside.extend(Notice::PasswordChanged.beside(state.as_ref()));
    commands.decide_beside::<Users>(user.0, &asked, command, &beside, nothing).await
}
