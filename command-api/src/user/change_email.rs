//! Changing the address: `PUT /api/v1/users/{id}/email`, and asking for its verification mail again:
//! `POST /api/v1/users/{id}/email-verification`.
//!
//! Whoever has the address may have another password by it. So to change one's own takes the password, as
//! changing that does, and the address from before is told of it.

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::decision::Command as _;
use domain::user::{ChangeEmail, RequestEmailVerification};
use event_store::EventStore;
use lifecycle::http::{ClientAddress, RequestContext};
use problem_details::Problem;

use super::about::About;
use super::caller::{Leave, user_of};
use super::mailing::{Notice, VERIFY_EMAIL};
use super::request::{EmailChange, nothing};
use super::shown::shown;
use super::{Shared, Slice, Users, description};
use crate::decision::{Beside, Refusal as _};

const MAIL: Beside = Beside::Mail(VERIFY_EMAIL);

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::change_email(), change_email)
        .on(description::request_email_verification(), request_email_verification)
}

async fn change_email<S: EventStore>(
    State(slice): Shared<S>,
    Path(id): Path<String>,
    ClientAddress(address): ClientAddress,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let caller = slice.caller(&request, &id, Leave::OwnOrAdmin)?;
    let user = user_of(&id)?;
    let incoming = slice.incoming(context, request).await?;
    // Also of an admin: whoever has found their access token is to have no account by it.
    let is_own = caller.subject == id;
    let EmailChange { email, current } = EmailChange::read(&incoming.body, is_own)?;
    let asked = slice.asked(&incoming, &caller.actor)?;
    let commands = slice.commands();
    // Of a request that was answered before, the current password may be another one by now.
    if let Some(answered) = commands.answered::<Users>(&asked).await? {
        return Ok(answered);
    }
    let state = commands.state::<Users>(user.0).await?;
    let command = ChangeEmail { email };
    if let Some(current) = current {
        command.clone().decide(state.as_ref()).map_err(|error| error.refuse())?;
        slice.must_know(user, state.as_ref(), current, address).await?;
    }
    let notice = Notice::EmailChanged.beside(state.as_ref());
    let beside: Vec<_> = [MAIL].into_iter().chain(notice).collect();
    commands.decide_beside::<Users>(user.0, &asked, command, &beside, shown(user.0)).await
}

async fn request_email_verification<S: EventStore>(
    State(slice): Shared<S>,
    Path(id): Path<String>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let command = |body: &[u8]| nothing(body).map(|()| RequestEmailVerification);
    let about = About { id, context, request };
    slice.decide_about(about, Leave::OwnOrAdmin, command, &[MAIL], shown).await
}
