//! Showing the first code: by whoever brings back what was handed out, at login or to who asked for it. An access
//! token is not needed: what is brought back says whose it is, and that they have just shown their password.

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::user::EnrolSecondFactor;
use event_store::EventStore;
use lifecycle::http::RequestContext;
use problem_details::{Problem, ProblemType};

use super::request::Confirmation;
use super::{no_code, not_good};
use crate::decision::{Beside, now};
use crate::user::caller::user_of;
use crate::user::mailing::Notice;
use crate::user::shown::nothing;
use crate::user::{Shared, Slice, Users, description};

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::confirm_second_factor(), confirm)
}

async fn confirm<S: EventStore>(
    State(slice): Shared<S>,
    Path(id): Path<String>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let user = user_of(&id)?;
    let incoming = slice.incoming(context, request).await?;
    let Confirmation { token, code } = Confirmation::read(&incoming.body)?;
    let second_factors = &slice.deciding.second_factors;
    let enrolment = second_factors.brought_back(&token, now());
    let enrolment = enrolment.filter(|it| it.user == user).ok_or_else(not_handed_out)?;
    let asked = slice.asked(&incoming, &user.to_string())?;
    let commands = slice.commands();
    // Of a request that was answered before, the code has lapsed by now.
    if let Some(answered) = commands.answered::<Users>(&asked).await? {
        return Ok(answered);
    }
    let step = enrolment.step_of(&code, now()).ok_or_else(no_such_code)?;
    let kept = second_factors.kept(&enrolment, &commands.deciding().claim_key, step);
    let command = EnrolSecondFactor { session_epoch: enrolment.session_epoch };
    let state = commands.state::<Users>(user.0).await?;
    let notice = Notice::SecondFactorEnrolled.beside(state.as_ref());
    let beside: Vec<_> = [Beside::SecondFactor(kept)].into_iter().chain(notice).collect();
    commands.decide_beside::<Users>(user.0, &asked, command, &beside, nothing).await
}

/// The same whatever is wrong with it.
fn not_handed_out() -> Problem {
    let detail = "the token was not handed out to this user, or has lapsed; ask for another one";
    not_good(ProblemType::InvalidRequest, "/enrolment_token", "enrolment-token", detail)
}

/// Nobody is known here who could be forbidden anything.
fn no_such_code() -> Problem {
    no_code(ProblemType::InvalidRequest)
}
