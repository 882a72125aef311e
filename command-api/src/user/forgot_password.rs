//! Having forgotten the password: `POST /api/v1/auth/forgot-password`.
//!
//! Whether there is a user of the address is not told: the answer is the same, and so is the work. To whom a
//! mail goes, and whether to anybody, is found out by the statement that keeps it, which writes one row in
//! either case.

use std::sync::Arc;

use api_description::Described;
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use domain::decision::ClaimKind;
use event_store::EventStore;
use event_store::claim::ClaimOf;
use http::StatusCode;
use lifecycle::http::RequestContext;
use problem_details::Problem;
use serde_json::json;
use uuid::Uuid;

use super::mailing::RESET_PASSWORD;
use super::request::only_email;
use super::reset_token::HOLDS_FOR;
use super::{Shared, Slice, description, occurrence};
use crate::decision::closed;

/// Where it is said.
pub(super) const PATH: &str = "/api/v1/auth/forgot-password";

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::forgot_password(), forgot_password)
}

async fn forgot_password<S: EventStore>(
    State(slice): Shared<S>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let incoming = slice.incoming(context, request).await?;
    let email = only_email(&incoming.body)?;
    let deciding = slice.commands().deciding();
    let kind = ClaimKind::Email.as_str();
    let digest = deciding.claim_key.digest(kind, &email.normalised());
    let (store, mail, value) = (&deciding.store, Uuid::now_v7(), ClaimOf { kind, digest });
    let kept = store.keep_mail_for_holder(mail, RESET_PASSWORD, value, HOLDS_FOR).await;
    kept.map_err(closed::store_problem)?;
    occurrence::password_forgotten();
    Ok((StatusCode::ACCEPTED, Json(json!({"status": "accepted"}))).into_response())
}
