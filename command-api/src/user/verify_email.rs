//! Showing that an address is one's own: the mail's link leads to a page, and the page's button or a program
//! says `POST /api/v1/auth/verify-email` with the token.
//!
//! Following the link has no effect: programs that look through mails follow links too.

mod form;
mod page;

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use domain::user::VerifyEmail;
use event_store::EventStore;
use http::Uri;
use lifecycle::http::RequestContext;
use problem_details::{Problem, ProblemType};

use super::request;
use super::shown::nothing;
use super::verification::Verification;
use super::{Shared, Slice, Users, description};
use crate::decision::incoming::Incoming;
use crate::decision::now;
use crate::decision::request::ANYBODY;

/// Where it is said.
pub(super) const PATH: &str = "/api/v1/auth/verify-email";

/// What the page is.
pub(super) const PAGE: &str = page::MEDIA_TYPE;

/// What its button sends.
pub(super) const FORM: &str = form::MEDIA_TYPE;

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::verify_email(), verify_email)
        .on(description::verification_page(), verification_page)
}

async fn verification_page<S: EventStore>(State(slice): Shared<S>, uri: Uri) -> Response {
    let token = uri.query().and_then(token_of).unwrap_or_default();
    match slice.verification.open(token, now()) {
        Some(_) => page::asking(token),
        None => page::refusing(not_ours()),
    }
}

/// Whoever sends a form is answered with a page.
async fn verify_email<S: EventStore>(
    State(slice): Shared<S>,
    context: RequestContext,
    request: Request,
) -> Response {
    let is_form = form::is_sent(request.headers());
    let verified = slice.verify_email(context, request, is_form).await;
    if is_form {
        page::answering(verified)
    } else {
        verified.unwrap_or_else(Problem::into_response)
    }
}

impl<S: EventStore> Slice<S> {
    async fn verify_email(
        &self,
        context: RequestContext,
        request: Request,
        is_form: bool,
    ) -> Result<Response, Problem> {
        let incoming = Incoming::read_any_type(request, context, self.deciding.body).await?;
        let token = if is_form {
            form::token(&incoming.body)?
        } else {
            incoming.must_be_json()?;
            request::token(&incoming.body)?
        };
        let Verification { user, email_number, .. } =
            self.verification.open(&token, now()).ok_or_else(not_ours)?;
        let asked = self.asked(&incoming, ANYBODY)?;
        let command = VerifyEmail { email_number };
        self.commands().decide::<Users>(user.0, &asked, command, nothing).await
    }
}

/// The token of a query: it has no character that would be encoded.
fn token_of(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("token="))
}

fn not_ours() -> Problem {
    let detail = "the token was not sent by us, or does not hold any more; ask for another mail";
    Problem::new(ProblemType::InvalidVerificationToken, detail)
}
