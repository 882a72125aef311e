//! Becoming a user by a mail, where registering is not to tell who has an account: the mail's link leads to a page, and
//! the page's button or a program says `POST /api/v1/auth/confirm-registration` with the token. Only then is it known
//! whether name and address are free.
//!
//! Following the link has no effect: programs that look through mails follow links too.

mod page;

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Request, State};
use axum::response::Response;
use domain::user::{RegisterVerifiedUser, UserId, VerifyEmail};
use event_store::EventStore;
use http::Uri;
use lifecycle::http::RequestContext;
use problem_details::{Problem, ProblemType};

use super::mail_link::{answered, followed, not_ours, said_by_link};
use super::pending_registration::PendingRegistration;
use super::shown::{registered, shown};
use super::{Shared, Slice, Users, description, request};
use crate::decision::incoming::Incoming;
use crate::decision::request::{ANYBODY, Asked};
use crate::decision::{Beside, closed, now};
use crate::form::is_sent;
use page::PAGE;

/// Where it is said.
pub(super) const PATH: &str = "/api/v1/auth/confirm-registration";

/// Which of their addresses whoever registers has.
const FIRST_EMAIL: u32 = 1;

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::confirm_registration(), confirm_registration)
        .on(description::registration_page(), registration_page)
}

async fn registration_page<S: EventStore>(State(slice): Shared<S>, uri: Uri) -> Response {
    followed(&uri, &PAGE, |token| slice.registration_tokens.read(token, now()).is_some())
}

async fn confirm_registration<S: EventStore>(
    State(slice): Shared<S>,
    context: RequestContext,
    request: Request,
) -> Response {
    let is_form = is_sent(request.headers());
    let confirmed = slice.confirm_registration(context, request, is_form).await;
    answered(is_form, &PAGE, confirmed)
}

impl<S: EventStore> Slice<S> {
    async fn confirm_registration(
        &self,
        context: RequestContext,
        request: Request,
        is_form: bool,
    ) -> Result<Response, Problem> {
        let incoming = Incoming::read_any_type(request, context, self.deciding.body).await?;
        let token = said_by_link(&incoming, is_form, request::token_of_form, request::token)?;
        let user = self.registration_tokens.read(&token, now()).ok_or_else(not_ours)?;
        let asked = self.asked(&incoming, ANYBODY)?;
        let commands = self.commands();
        // First: what a request was about that was answered before waits no more.
        if let Some(answered) = commands.answered::<Users>(&asked).await? {
            return Ok(answered);
        }
        let waiting = commands.deciding().store.pending_registration(user.0).await;
        let Some(waiting) = waiting.map_err(closed::store_problem)? else {
            return self.confirmed_before(user, &asked).await;
        };
        let pending = self.deciding.registrations.open(user, &waiting.sealed);
        self.make_user(user, pending.ok_or_else(not_ours)?, asked).await
    }

    /// Makes somebody a user of what waits.
    async fn make_user(
        &self,
        user: UserId,
        pending: PendingRegistration,
        asked: Asked<'_>,
    ) -> Result<Response, Problem> {
        let PendingRegistration { command, password_hash } = pending;
        let command = RegisterVerifiedUser(command);
        let beside = [Beside::PasswordHash(password_hash), Beside::NoPendingRegistration(user.0)];
        let (commands, answer) = (self.commands(), registered(user.0));
        let made = commands.decide_beside::<Users>(user.0, &asked, command, &beside, answer).await;
        match made {
            // The link was used twice at once, and the other one has made it.
            Err(refused) if refused.kind() == ProblemType::StateConflict => {
                self.confirmed_before(user, &asked.without_name()).await
            }
            made => made,
        }
    }

    /// Of whoever has become a user by the token it is said again, as long as the address is theirs to which it went.
    /// Else the token is good for nothing: another one has taken its place, or whoever had the address was erased.
    async fn confirmed_before(&self, user: UserId, asked: &Asked<'_>) -> Result<Response, Problem> {
        let commands = self.commands();
        commands.state::<Users>(user.0).await?.ok_or_else(not_ours)?;
        let command = VerifyEmail { email_number: FIRST_EMAIL };
        commands.decide::<Users>(user.0, asked, command, shown(user.0)).await
    }
}
