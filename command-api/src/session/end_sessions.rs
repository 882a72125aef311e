//! Ending all sessions of somebody: `DELETE /api/v1/auth/sessions` one's own, and `DELETE
//! /api/v1/users/{id}/sessions` by the user or an admin.

use std::sync::Arc;

use access::{Caller, Role};
use api_description::Described;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::user::{EndSessions, UserId};
use event_store::EventStore;
use lifecycle::http::RequestContext;
use problem_details::{Problem, ProblemType};

use super::{Shared, Slice, description, request};
use crate::decision::answer::Answer;
use crate::decision::incoming;
use crate::user::Users;

/// All sessions of a user.
pub(super) const OF_USER: &str = "/api/v1/users/{id}/sessions";

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::end_own_sessions(), end_own_sessions)
        .on(description::end_sessions(), end_sessions)
}

async fn end_own_sessions<S: EventStore>(
    State(slice): Shared<S>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let caller = incoming::caller(&slice.deciding.verifier, &request)?;
    let id = caller.subject.clone();
    slice.end_sessions(&caller, &id, context, request).await
}

async fn end_sessions<S: EventStore>(
    State(slice): Shared<S>,
    Path(id): Path<String>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let caller = incoming::caller(&slice.deciding.verifier, &request)?;
    slice.end_sessions(&caller, &id, context, request).await
}

impl<S: EventStore> Slice<S> {
    /// Ends all sessions of the user of this id, if there is one.
    async fn end_sessions(
        &self,
        caller: &Caller,
        id: &str,
        context: RequestContext,
        request: Request,
    ) -> Result<Response, Problem> {
        must_be_own_or_admin(caller, id)?;
        let no_such_user = |_| Problem::new(ProblemType::NotFound, "there is no such user");
        let user = UserId::parse(id).map_err(no_such_user)?;
        let incoming = self.incoming(context, request).await?;
        request::nothing(&incoming.body)?;
        let asked = self.asked(&incoming, &caller.actor)?;
        let answer = |_: &_, _| Answer::empty();
        self.commands().decide::<Users>(user.0, &asked, EndSessions, answer).await
    }
}

fn must_be_own_or_admin(caller: &Caller, id: &str) -> Result<(), Problem> {
    let is_own = caller.roles.contains(Role::User) && caller.subject == id;
    let role = if is_own { Ok(()) } else { caller.must_be_any(&[Role::Admin]) };
    role.and_then(|()| caller.must_be_unbound()).map_err(|error| error.refuse(caller))
}
