//! What a user may be: `PUT` and `DELETE` `/api/v1/users/{id}/roles/{role}`, by admins.

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::role::Role;
use domain::user::{GrantRole, RevokeRole};
use event_store::EventStore;
use lifecycle::http::RequestContext;
use problem_details::{Problem, ProblemType};

use super::about::About;
use super::caller::Leave;
use super::request::nothing;
use super::shown::shown;
use super::{Shared, Slice, description};

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::grant_role(), grant).on(description::revoke_role(), revoke)
}

async fn grant<S: EventStore>(
    State(slice): Shared<S>,
    Path((id, role)): Path<(String, String)>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let command = |body: &[u8]| role_of(&role, body).map(|role| GrantRole { role });
    slice.decide_about(About { id, context, request }, Leave::Admin, command, &[], shown).await
}

async fn revoke<S: EventStore>(
    State(slice): Shared<S>,
    Path((id, role)): Path<(String, String)>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let command = |body: &[u8]| role_of(&role, body).map(|role| RevokeRole { role });
    slice.decide_about(About { id, context, request }, Leave::Admin, command, &[], shown).await
}

/// The role of this name, beside which nothing is said.
fn role_of(name: &str, body: &[u8]) -> Result<Role, Problem> {
    let role = Role::parse(name).ok_or_else(|| {
        let names = Role::ALL.map(Role::name).join(", ");
        Problem::new(ProblemType::NotFound, format!("there is no such role; there are {names}"))
    })?;
    nothing(body).map(|()| role)
}
