//! Logging out: `POST /api/v1/auth/logout`.

use std::sync::Arc;

use access::Caller;
use api_description::Described;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use domain::session::{EndSession, SessionId};
use event_store::EventStore;
use http::StatusCode;
use lifecycle::http::RequestContext;
use problem_details::Problem;

use super::{Sessions, Shared, Slice, description, request};
use crate::decision::answer::Answer;
use crate::fields::{Broken, Faults};

/// Where it is said.
pub(super) const PATH: &str = "/api/v1/auth/logout";

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::log_out(), log_out)
}

/// Whoever brings the session's refresh token needs no access token: it may have expired, or be revoked by the
/// same request that comes again.
async fn log_out<S: EventStore>(
    State(slice): Shared<S>,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let incoming = slice.incoming(context, request).await?;
    let session = match request::refresh_token_if_any(&incoming.body)? {
        Some(token) => slice.session_of(&token)?.0,
        None => session_in(incoming.caller(&slice.deciding.verifier)?.as_ref())?,
    };
    let commands = slice.commands();
    let Some((state, _)) = commands.standing::<Sessions>(session.0).await? else {
        // There is nothing to end.
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    // Which session is meant is said by a token: under one name, another session's end would answer for this one's.
    // And a session ends once, however often it is asked for.
    let asked = slice.asked(&incoming, &state.user_id.to_string())?.without_name();
    let answer = |_: &_, _| Answer::empty();
    commands.decide::<Sessions>(session.0, &asked, EndSession::LogOut, answer).await
}

/// The session that an access token was given to.
fn session_in(caller: &Caller) -> Result<SessionId, Problem> {
    caller.revocable.map(|revocable| SessionId(revocable.session)).ok_or_else(|| {
        let mut faults = Faults::of_body();
        let detail = "is required, since the access token names no session of ours";
        faults.note("/refresh_token", Broken::new("required", detail));
        faults.refuse()
    })
}
