//! Having another password than the forgotten one: the mail's link leads to a page, and the page's button or a
//! program says `POST /api/v1/auth/reset-password` with the token and the new password.
//!
//! Following the link has no effect: programs that look through mails follow links too.
//!
//! A name of the request keeps no answer: what is kept of a request tells no password, so that one with another
//! password would be answered that it is had from now on. Sent again, it is refused, since a token is good once.

mod page;

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Request, State};
use axum::response::Response;
use domain::decision::Command as _;
use event_store::EventStore;
use http::Uri;
use lifecycle::http::RequestContext;
use problem_details::Problem;

use super::mail_link::{answered, followed, not_ours, said_by_link};
use super::mailing::Notice;
use super::request::NewPassword;
use super::reset_token::PasswordReset;
use super::shown::nothing;
use super::{Shared, Slice, Users, description, occurrence};
use crate::decision::incoming::Incoming;
use crate::decision::request::ANYBODY;
use crate::decision::{Refusal as _, now};
use crate::form::is_sent;
use page::PAGE;

/// Where it is said.
pub(super) const PATH: &str = "/api/v1/auth/reset-password";

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::reset_password(), reset_password)
        .on(description::password_page(), password_page)
}

async fn password_page<S: EventStore>(State(slice): Shared<S>, uri: Uri) -> Response {
    followed(&uri, &PAGE, not_ours, |token| slice.password_resets.read(token, now()).is_some())
}

async fn reset_password<S: EventStore>(
    State(slice): Shared<S>,
    context: RequestContext,
    request: Request,
) -> Response {
    let is_form = is_sent(request.headers());
    let reset = slice.reset_password(context, request, is_form).await;
    answered(is_form, &PAGE, reset)
}

impl<S: EventStore> Slice<S> {
    async fn reset_password(
        &self,
        context: RequestContext,
        request: Request,
        is_form: bool,
    ) -> Result<Response, Problem> {
        let incoming = Incoming::read_any_type(request, context, self.deciding.body).await?;
        let NewPassword { token, new } =
            said_by_link(&incoming, is_form, NewPassword::read_form, NewPassword::read)?;
        let Some(reset) = self.password_resets.read(&token, now()) else {
            occurrence::reset_token_unknown();
            return Err(not_ours());
        };
        let PasswordReset { user, command, .. } = reset;
        let asked = self.asked(&incoming, ANYBODY)?.without_name();
        let state = self.commands().state::<Users>(user.0).await?;
        let refused = |problem: &Problem| occurrence::reset_refused(user, problem);
        // First: with a used token nobody has us hash anything.
        let judged = command.decide(state.as_ref()).map_err(|error| error.refuse());
        judged.inspect_err(refused)?;
        let mut beside = Vec::from(self.new_password(new, state.as_ref()).await?);
        beside.extend(Notice::PasswordChanged.beside(state.as_ref()));
        let commands = self.commands();
        let reset = commands.decide_beside::<Users>(user.0, &asked, command, &beside, nothing);
        reset.await.inspect_err(refused)
    }
}
