//! Registering: `POST /api/v1/auth/register`.
//!
//! Where it is not to tell who has an account, nobody is looked for and nobody comes into being: what was asked for
//! waits, and a mail goes to the address. The answer is the same whoever has name or address, and so is the work.

use std::sync::Arc;

use api_description::Described;
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use domain::decision::ClaimKind;
use domain::user::{RegisterUser, UserId};
use event_store::EventStore;
use event_store::pending_registration::NewRegistration;
use http::{StatusCode, Uri};
use lifecycle::http::RequestContext;
use problem_details::Problem;
use serde_json::json;
use uuid::Uuid;

use super::mailing::{CONFIRM_REGISTRATION, VERIFY_EMAIL};
use super::pending_registration::WAITS_FOR;
use super::request::Registration;
use super::shown::registered;
use super::{Shared, Slice, Users, description};
use crate::decision::Beside;
use crate::decision::request::ANYBODY;
use crate::password::HashedPassword;

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
        if !self.deciding.registrations.reveals_accounts() {
            let hash = self.deciding.passwords.hash(password).await.map_err(Problem::from)?;
            return self.wait_for_mail(&command, &hash).await;
        }
        // A request that was answered before hashes nothing.
        if let Some(answered) = self.commands().answered::<Users>(&asked).await? {
            return Ok(answered);
        }
        let hash = self.deciding.passwords.hash(password).await.map_err(Problem::from)?;
        let beside = [Beside::PasswordHash(hash.as_phc().to_owned()), Beside::Mail(VERIFY_EMAIL)];
        let id = Uuid::now_v7();
        self.commands().decide_beside::<Users>(id, &asked, command, &beside, registered(id)).await
    }

    /// Keeps what was asked for until the link of its mail is followed.
    ///
    /// A name of the request keeps no answer: it would be given for longer than what was asked for waits, and what is
    /// kept of a request tells no password, so that one who has chosen another would not find it.
    async fn wait_for_mail(
        &self,
        command: &RegisterUser,
        hash: &HashedPassword,
    ) -> Result<Response, Problem> {
        let id = UserId(Uuid::now_v7());
        let kind = ClaimKind::Email.as_str();
        let claim_key = &self.commands().deciding().claim_key;
        let registration = NewRegistration {
            id: id.0,
            email: claim_key.digest(kind, &command.email.normalised()),
            sealed: self.deciding.registrations.seal(id, command, hash),
            mail: CONFIRM_REGISTRATION,
            waits_for: WAITS_FOR,
        };
        self.commands().put_aside(registration).await?;
        let accepted = json!({"status": "accepted"});
        Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
    }
}
