//! Staying in: `POST /api/v1/auth/refresh` exchanges a refresh token for the next one and an access token.

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Request, State};
use axum::response::Response;
use domain::session::{RefreshSession, RefreshSessionError, Session, SessionId};
use event_store::EventStore;
use lifecycle::http::{ClientAddress, RequestContext};
use problem_details::Problem;

use super::client::Client;
use super::granted::{Known, asked_in_secret, not_stored};
use super::refused::invalid_refresh_token;
use super::{Sessions, Shared, Slice, description, occurrence, request};
use crate::decision::answer::Answer;
use crate::decision::{Outcome, Refusal as _, closed};

/// Where it is exchanged.
pub(super) const PATH: &str = "/api/v1/auth/refresh";

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::refresh(), refresh)
}

async fn refresh<S: EventStore>(
    State(slice): Shared<S>,
    address: ClientAddress,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let client = Client::new(&context, address, request.headers());
    let incoming = slice.incoming(context, request).await?;
    let token = request::refresh_token(&incoming.body)?;
    slice.refresh(&client, &token).await
}

impl<S: EventStore> Slice<S> {
    /// Exchanges a refresh token.
    ///
    /// # Errors
    /// It is good for nothing, whatever the reason; or nobody can tell now.
    pub(super) async fn refresh(&self, client: &Client, token: &str) -> Result<Response, Problem> {
        let (session, generation) = self.session_of(token)?;
        let exchanged = self.exchange(client, session, generation).await;
        exchanged.inspect_err(|problem| occurrence::refresh_refused(session, problem))
    }

    /// The session of a refresh token that was made here, and the token's generation.
    ///
    /// # Errors
    /// It is forged.
    pub(super) fn session_of(&self, token: &str) -> Result<(SessionId, u32), Problem> {
        self.deciding.refresh_tokens.read(token).ok_or_else(|| {
            occurrence::refresh_token_forged();
            invalid_refresh_token("forged")
        })
    }

    /// Answers with what is given where there is somebody to give it to and the session goes on.
    async fn exchange(
        &self,
        client: &Client,
        session: SessionId,
        generation: u32,
    ) -> Result<Response, Problem> {
        let commands = self.commands();
        let found = commands.standing::<Sessions>(session.0).await?;
        let (before, _) = found.ok_or_else(|| RefreshSessionError::NotFound.refuse())?;
        let known = self.known(before.user_id).await?;
        let key = &commands.deciding().claim_key;
        let command = RefreshSession {
            generation,
            client: client.mark(session, key).ok_or_else(closed::defect)?,
            at: (self.deciding.clock)(),
            // Who has to enrol a second factor is out, as who was deactivated: logging in says how.
            user: Known::standing(known.as_ref().filter(|known| self.has_enrolled(known))),
            rules: self.deciding.sessions.rules,
        };
        // Whoever sends a generation is given the next one, now and when they send it again. First: where nothing
        // can be given, nothing is exchanged.
        let next = generation.saturating_add(1);
        let granted = known.as_ref().map(|known| self.grant(known, session, next)).transpose()?;
        let answer = |after: &Session, _| match &granted {
            Some(granted) if after.end.is_none() => granted.clone(),
            // Who is refused is answered otherwise.
            _ => Answer::empty(),
        };
        let asked = asked_in_secret(client, before.user_id);
        let deciding = commands.carry_out::<Sessions>(session.0, &asked, command, &[], answer);
        let Outcome { response, state } = deciding.await?;
        match state {
            Some(after) if after.end.is_none() => Ok(not_stored(response)),
            _ => Err(invalid_refresh_token("reused")),
        }
    }

    /// Whether somebody has the second factor that a role of theirs may ask for.
    fn has_enrolled(&self, known: &Known) -> bool {
        !self.deciding.second_factors.must_enrol(&known.user)
    }
}
