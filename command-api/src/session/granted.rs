//! What somebody is given who is in: an access token, and the refresh token for the next one.

use axum::response::Response;
use domain::Timestamp;
use domain::session::{SessionId, UserStanding};
use domain::user::{User, UserId};
use event_store::{EventStore, Found};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use problem_details::{Problem, ProblemType};
use serde::Serialize;
use uuid::Uuid;

use super::Slice;
use super::client::Client;
use crate::access_token::{BearerClaims, MintedToken};
use crate::decision::answer::Answer;
use crate::decision::now;
use crate::decision::request::Asked;
use crate::user::Users;

/// A user who is there: neither erased nor without the key to what is known of them.
pub(super) struct Known {
    pub(super) id: UserId,
    /// The version of their stream.
    pub(super) version: u64,
    pub(super) user: User<String>,
    /// When that was looked up, or a moment before.
    pub(super) at: Timestamp,
}

/// What is answered. Never printed.
#[derive(Serialize)]
struct Granted<'a> {
    access_token: &'a str,
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    refresh_token: &'a str,
    session_id: Uuid,
}

impl Known {
    /// Whether somebody may stay in; nobody may who is not there.
    pub(super) fn standing(known: Option<&Self>) -> UserStanding {
        match known {
            Some(Self { user, .. }) => {
                UserStanding { active: user.active, session_epoch: user.session_epoch }
            }
            None => UserStanding { active: false, session_epoch: 0 },
        }
    }
}

impl<S: EventStore> Slice<S> {
    /// The user of this id, if there still is one.
    pub(super) async fn known(&self, id: UserId) -> Result<Option<Known>, Problem> {
        let at = now();
        known_where(id, at, self.commands().standing::<Users>(id.0).await)
    }

    /// The same of what the store has found of them already, at this time or later.
    pub(super) async fn known_of(
        &self,
        id: UserId,
        at: Timestamp,
        found: Found,
    ) -> Result<Option<Known>, Problem> {
        known_where(id, at, self.commands().standing_of::<Users>(id.0, found).await)
    }

    /// The answer that gives both tokens. The access token has the roles that the user had when they were looked
    /// up, and is as old as that: what is revoked afterwards is known for as long as it may live.
    ///
    /// # Errors
    /// Nothing signs access tokens now.
    pub(super) fn grant(
        &self,
        known: &Known,
        session: SessionId,
        generation: u32,
    ) -> Result<Answer, Problem> {
        let Known { id, version, user, at } = known;
        let bearer =
            BearerClaims { user: *id, user_version: *version, roles: &user.roles, session };
        let MintedToken { text, expires_in } = self.deciding.minter.mint(bearer, *at)?;
        let granted = Granted {
            access_token: &text,
            token_type: "Bearer",
            expires_in,
            refresh_token: &self.deciding.refresh_tokens.write(session, generation),
            session_id: session.0,
        };
        let body = serde_json::value::to_raw_value(&granted).ok();
        Ok(Answer { status: StatusCode::OK, location: None, version: None, body })
    }
}

/// Nobody where they were erased.
fn known_where(
    id: UserId,
    at: Timestamp,
    standing: Result<Option<(User<String>, u64)>, Problem>,
) -> Result<Option<Known>, Problem> {
    match standing {
        Ok(found) => Ok(found.filter(|(user, _)| !user.erased).map(|(user, version)| Known {
            id,
            version,
            user,
            at,
        })),
        Err(problem) if problem.kind() == ProblemType::Erased => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// What is asked, beside the command, where secrets are answered: no version is expected, and no name keeps
/// the answer.
pub(super) fn asked_in_secret(client: &Client, user: UserId) -> Asked<'_> {
    Asked::by_tool(&client.context, &user.to_string()).at_once()
}

/// The answer, which nobody keeps on its way.
pub(super) fn not_stored(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
