//! Becoming a user by a mail, where registering is not to tell who has an account: the mail's link leads to a page, and
//! the page's button or a program says `POST /api/v1/auth/confirm-registration` with the token and the password that was
//! chosen in registering. Only then is it known whether name and address are free.
//!
//! The mail shows that an address is somebody's, and not that they have registered with it: of one address several may
//! wait, and some be strangers'. So whoever confirms one has to know its password, and nobody makes an account by their
//! own mail whose name and password somebody else has chosen. The first one that is confirmed counts: the others wait no
//! more.
//!
//! Following the link has no effect: programs that look through mails follow links too.
//!
//! A name of the request keeps no answer: what is kept of a request tells no password, so that a wrong one would be
//! answered as the right one was. Sent again, it is said that the token was used.

mod page;

use std::net::IpAddr;
use std::sync::Arc;

use api_description::Described;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use domain::user::{RegisterVerifiedUser, UserId};
use event_store::EventStore;
use http::{StatusCode, Uri};
use lifecycle::http::{ClientAddress, RequestContext};
use problem_details::{FieldError, Problem, ProblemType};

use super::mail_link::{answered, followed, no_registration, said_by_link};
use super::pending_registration::PendingRegistration;
use super::request::Confirming;
use super::shown::registered;
use super::{Shared, Slice, Users, description, occurrence};
use crate::decision::incoming::Incoming;
use crate::decision::request::{ANYBODY, Asked};
use crate::decision::{Beside, closed, now};
use crate::form::is_sent;
use crate::password::{HashedPassword, Password};
use crate::throttle::Attempt;
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
    followed(&uri, &PAGE, no_registration, |token| {
        slice.registration_tokens.read(token, now()).is_some()
    })
}

async fn confirm_registration<S: EventStore>(
    State(slice): Shared<S>,
    ClientAddress(address): ClientAddress,
    context: RequestContext,
    request: Request,
) -> Response {
    let is_form = is_sent(request.headers());
    let confirmed = slice.confirm_registration(address, context, request, is_form).await;
    answered(is_form, &PAGE, confirmed)
}

impl<S: EventStore> Slice<S> {
    async fn confirm_registration(
        &self,
        client: IpAddr,
        context: RequestContext,
        request: Request,
        is_form: bool,
    ) -> Result<Response, Problem> {
        let incoming = Incoming::read_any_type(request, context, self.deciding.body).await?;
        let Confirming { token, password } =
            said_by_link(&incoming, is_form, Confirming::read_form, Confirming::read)?;
        let user = self.registration_tokens.read(&token, now()).ok_or_else(no_registration)?;
        let asked = self.asked(&incoming, ANYBODY)?.without_name();
        let waiting = self.commands().deciding().store.pending_registration(user.0).await;
        let Some(waiting) = waiting.map_err(closed::store_problem)? else {
            return self.confirmed_before(user).await;
        };
        let pending = self.deciding.registrations.open(user, &waiting.sealed);
        let pending = pending.ok_or_else(no_registration)?;
        self.must_be_chosen(user, &pending, password, client).await?;
        self.make_user(user, pending, &asked).await
    }

    /// Lets whoever knows the password of what waits go on. Failures count for the registration, and make whoever guesses
    /// wait: of a stranger's, the reader of the mail is not to find out a password that may open more than this.
    ///
    /// # Errors
    /// They do not know it, have to wait, or nobody can say now.
    async fn must_be_chosen(
        &self,
        user: UserId,
        pending: &PendingRegistration,
        password: Password,
        client: IpAddr,
    ) -> Result<(), Problem> {
        let attempt = Attempt::of_pending(&self.commands().deciding().claim_key, user, client);
        let admitted = self.deciding.throttle.admit(attempt).await?;
        let hash = HashedPassword::from_phc(pending.password_hash.clone());
        let passwords = self.deciding.passwords.clone();
        let comparing = async move {
            let verified = passwords.compare(password, Some(hash)).await.map_err(Problem::from);
            verified.map(|verified| verified.is_right().then_some(()))
        };
        let failed = move || occurrence::registration_refused(user);
        let (admitted, right) = admitted.tried(comparing, failed).await?;
        if right.is_none() {
            return Err(not_chosen());
        }
        admitted.let_in().await
    }

    /// Makes somebody a user of what waits.
    async fn make_user(
        &self,
        user: UserId,
        pending: PendingRegistration,
        asked: &Asked<'_>,
    ) -> Result<Response, Problem> {
        let PendingRegistration { command, password_hash } = pending;
        let command = RegisterVerifiedUser(command);
        let beside = [Beside::PasswordHash(password_hash), Beside::NoPendingRegistration(user.0)];
        let (commands, answer) = (self.commands(), registered(user.0));
        let made = commands.decide_beside::<Users>(user.0, asked, command, &beside, answer).await;
        match made {
            // The link was used twice at once, and the other one has made it; or they were erased since.
            Err(refused)
                if matches!(refused.kind(), ProblemType::StateConflict | ProblemType::Erased) =>
            {
                self.confirmed_before(user).await
            }
            made => made,
        }
    }

    /// Of whoever has become a user by the token it is said that they are one, as long as the address is theirs to
    /// which it went. Else the token is good for nothing: somebody has become a user by another one with the address, or
    /// whoever had it was erased.
    ///
    /// Nothing is told of the user, not even which version they are of, and no password is looked at: who found a used
    /// link learns nothing by it, and cannot guess here.
    async fn confirmed_before(&self, user: UserId) -> Result<Response, Problem> {
        let state = match self.commands().state::<Users>(user.0).await {
            Err(problem) if problem.kind() == ProblemType::Erased => None,
            state => state?,
        };
        let is_theirs = state.is_some_and(|user| !user.erased && user.email_number == FIRST_EMAIL);
        if is_theirs { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(no_registration()) }
    }
}

/// Nobody is known here who could be forbidden anything.
fn not_chosen() -> Problem {
    let error = FieldError {
        pointer: "/password".to_owned(),
        rule: "chosen-password",
        limit: None,
        detail: "is not the password that was chosen in the registration of this mail".to_owned(),
    };
    let detail = "the registration of this mail has another password; nothing was made, and whoever \
                  wants an account may enter it again or register again";
    Problem::new(ProblemType::InvalidRequest, detail).with_errors(vec![error])
}
