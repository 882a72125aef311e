//! Registering: `POST /api/v1/auth/register`.

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use event_store::EventStore;
use http::{StatusCode, Uri};
use lifecycle::http::RequestContext;
use problem_details::Problem;
use uuid::Uuid;

use super::mailing::VERIFY_EMAIL;
use super::request::Registration;
use super::shown::shown;
use super::{Shared, Slice, Users, description};
use crate::decision::Beside;
use crate::decision::answer::Answer;
use crate::decision::request::ANYBODY;

/// The canonical path.
pub(super) const PATH: &str = "/api/v1/auth/register";

/// The older path, which means the same.
pub(super) const ALIAS: &str = "/users";

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    let register = description::register_user();
    let by_alias = register.clone().by_older_path(ALIAS, "registerUserByOlderPath");
    to.on(register, register_user).on(by_alias, register_user_by_alias)
}

async fn register_user_by_alias<S: EventStore>(
    slice: Shared<S>,
    context: RequestContext,
    mut request: Request,
) -> Response {
    // So that a request which is sent again may come by the other path.
    *request.uri_mut() = canonical(request.uri());
    let response = register_user(slice, context, request).await;
    description::canonically(PATH, response)
}

/// The canonical path, with the query.
fn canonical(uri: &Uri) -> Uri {
    let Some(query) = uri.query() else { return Uri::from_static(PATH) };
    Uri::try_from(format!("{PATH}?{query}")).unwrap_or_else(|_| uri.clone())
}

async fn register_user<S: EventStore>(
    State(slice): Shared<S>,
    context: RequestContext,
    request: Request,
) -> Response {
    slice.register(context, request).await.unwrap_or_else(Problem::into_response)
}

impl<S: EventStore> Slice<S> {
    async fn register(
        &self,
        context: RequestContext,
        request: Request,
    ) -> Result<Response, Problem> {
        let incoming = self.incoming(context, request).await?;
        let rules = self.deciding.passwords.rules();
        let Registration { command, password } = Registration::read(&incoming.body, rules)?;
        let asked = self.asked(&incoming, ANYBODY)?;
        // A request that was answered before hashes nothing.
        if let Some(answered) = self.commands().answered::<Users>(&asked).await? {
            return Ok(answered);
        }
        let hash = self.deciding.passwords.hash(password).await.map_err(Problem::from)?;
        let beside = [Beside::PasswordHash(hash.as_phc().to_owned()), Beside::Mail(VERIFY_EMAIL)];
        let id = Uuid::now_v7();
        let shown = shown(id);
        let answer =
            |user: &_, version| Answer { status: StatusCode::CREATED, ..shown(user, version) };
        self.commands().decide_beside::<Users>(id, &asked, command, &beside, answer).await
    }
}
