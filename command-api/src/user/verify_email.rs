//! Showing that an address is one's own: the mail's link leads to a page, and the page's button or a program
//! says `POST /api/v1/auth/verify-email` with the token.
//!
//! Following the link has no effect: programs that look through mails follow links too.

mod page;

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Request, State};
use axum::response::Response;
use domain::user::VerifyEmail;
use event_store::EventStore;
use http::Uri;
use lifecycle::http::RequestContext;
use problem_details::Problem;

use super::mail_link::{answered, followed, not_ours, said_by_link};
use super::shown::nothing;
use super::verification::Verification;
use super::{Shared, Slice, Users, description, request};
use crate::decision::incoming::Incoming;
use crate::decision::now;
use crate::decision::request::ANYBODY;
use crate::form::is_sent;
use page::PAGE;

/// Where it is said.
pub(super) const PATH: &str = "/api/v1/auth/verify-email";

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::verify_email(), verify_email)
        .on(description::verification_page(), verification_page)
}

async fn verification_page<S: EventStore>(State(slice): Shared<S>, uri: Uri) -> Response {
    followed(&uri, &PAGE, not_ours, |token| slice.verification.read(token, now()).is_some())
}

async fn verify_email<S: EventStore>(
    State(slice): Shared<S>,
    context: RequestContext,
    request: Request,
) -> Response {
    let is_form = is_sent(request.headers());
    let verified = slice.verify_email(context, request, is_form).await;
    answered(is_form, &PAGE, verified)
}

impl<S: EventStore> Slice<S> {
    async fn verify_email(
        &self,
        context: RequestContext,
        request: Request,
        is_form: bool,
    ) -> Result<Response, Problem> {
        let incoming = Incoming::read_any_type(request, context, self.deciding.body).await?;
        let token = said_by_link(&incoming, is_form, request::token_of_form, request::token)?;
        let Verification { user, email_number, .. } =
            self.verification.read(&token, now()).ok_or_else(not_ours)?;
        let asked = self.asked(&incoming, ANYBODY)?;
        let command = VerifyEmail { email_number };
        self.commands().decide::<Users>(user.0, &asked, command, nothing).await
    }
}
