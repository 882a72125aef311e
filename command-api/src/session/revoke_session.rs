//! Ending one session from elsewhere: `DELETE /api/v1/auth/sessions/{id}`, by its user or an admin.

use std::sync::Arc;

use access::{Caller, Role};
use api_description::Described;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::session::{EndSession, Session, SessionId};
use event_store::EventStore;
use lifecycle::http::RequestContext;
use problem_details::Problem;

use super::refused::no_such_session;
use super::{Sessions, Shared, Slice, description, request};
use crate::decision::answer::Answer;
use crate::decision::incoming;

/// A session.
pub(super) const PATH: &str = "/api/v1/auth/sessions/{id}";

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::revoke_session(), revoke_session)
}

async fn revoke_session<S: EventStore>(
    State(slice): Shared<S>,
    Path(id): Path<String>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    // First: whoever is nobody learns nothing of what there is.
    let caller = incoming::caller(&slice.deciding.verifier, &request)?;
    let allowed = caller.must_be_any(&[Role::User, Role::Admin]);
    allowed.and_then(|()| caller.must_be_unbound()).map_err(|error| error.refuse(&caller))?;
    let session = SessionId::parse(&id).map_err(|_| no_such_session())?;
    let incoming = slice.incoming(context, request).await?;
    request::nothing(&incoming.body)?;
    let commands = slice.commands();
    let found = commands.standing::<Sessions>(session.0).await?;
    // Another's is, to everybody but admins, none.
    let found = found.filter(|(state, _)| may_end(&caller, state));
    found.ok_or_else(no_such_session)?;
    let asked = slice.asked(&incoming, &caller.actor)?;
    let answer = |_: &_, _| Answer::empty();
    commands.decide::<Sessions>(session.0, &asked, EndSession::Revoke, answer).await
}

fn may_end(caller: &Caller, session: &Session) -> bool {
    let is_own = caller.roles.contains(Role::User) && caller.subject == session.user_id.to_string();
    is_own || caller.roles.contains(Role::Admin)
}
