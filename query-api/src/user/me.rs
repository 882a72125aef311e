//! `GET /api/v1/auth/me`: whoever asks, as they are shown to themselves.

use access::Caller;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use domain::user::UserId;
use problem_details::Problem;

use super::{must_speak_for_themselves, not_found, show};
use crate::Api;
use crate::caller::Authenticated;
use crate::refused::Refused;

pub(super) async fn get_me(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    must_speak_for_themselves(&caller)?;
    show(&api, &caller, own_id(&caller)?, &headers, nobody).await
}

/// The user whom the access token names. Tokens of other issuers name whom they like.
pub(crate) fn own_id(caller: &Caller) -> Result<UserId, Problem> {
    UserId::parse(&caller.subject).map_err(|_| nobody())
}

/// Nobody is who the access token says.
pub(crate) fn nobody() -> Problem {
    not_found("the access token names nobody who has registered here".to_owned())
}
