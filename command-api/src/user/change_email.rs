//! Changing the address: `PUT /api/v1/users/{id}/email`, and asking for its verification mail again:
//! `POST /api/v1/users/{id}/email-verification`.

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::user::{ChangeEmail, RequestEmailVerification};
use event_store::EventStore;
use lifecycle::http::RequestContext;
use problem_details::Problem;

use super::about::About;
use super::caller::Leave;
use super::mailing::VERIFY_EMAIL;
use super::request::{new_email, nothing};
use super::shown::shown;
use super::{Shared, Slice, description};
use crate::decision::Beside;

const MAIL: Beside = Beside::Mail(VERIFY_EMAIL);

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::change_email(), change_email)
        .on(description::request_email_verification(), request_email_verification)
}

async fn change_email<S: EventStore>(
    State(slice): Shared<S>,
    Path(id): Path<String>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let command = |body: &[u8]| Ok(ChangeEmail { email: new_email(body)? });
    let about = About { id, context, request };
    slice.decide_about(about, Leave::OwnOrAdmin, command, &[MAIL], shown).await
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
