//! The same for OAuth 2 clients: `POST /api/v1/auth/token`, a form.

mod foreign;
mod grant;
mod told;

use std::sync::Arc;

use api_description::Described;
use axum::extract::{Request, State};
use axum::response::Response;
use domain::user::UserId;
use event_store::EventStore;
use http::HeaderValue;
use http::header::{ACCEPT, LINK};
use lifecycle::http::{ClientAddress, RequestContext};
use problem_details::{Problem, ProblemType};

use super::client::Client;
use super::log_in::LoggedIn;
use super::refused::must_enrol;
use super::{Shared, Slice, description};
use crate::decision::incoming::Incoming;
use crate::form;
use grant::Grant;
use told::told;

/// The canonical path.
pub(super) const PATH: &str = "/api/v1/auth/token";

/// The older path, which means the same.
pub(super) const ALIAS: &str = "/token";

const CANONICAL: HeaderValue = HeaderValue::from_static(r#"</api/v1/auth/token>; rel="canonical""#);

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    let described = description::token();
    let by_alias = described.clone().by_older_path(ALIAS, "issueTokenByOlderPath");
    to.on(described, token).on(by_alias, token_by_alias)
}

async fn token<S: EventStore>(
    State(slice): Shared<S>,
    address: ClientAddress,
    context: RequestContext,
    request: Request,
) -> Response {
    let client = Client::new(&context, address, request.headers());
    slice.token(&client, context, request).await.unwrap_or_else(told)
}

async fn token_by_alias<S: EventStore>(
    slice: Shared<S>,
    address: ClientAddress,
    context: RequestContext,
    request: Request,
) -> Response {
    let mut response = token(slice, address, context, request).await;
    response.headers_mut().append(LINK, CANONICAL);
    response
}

impl<S: EventStore> Slice<S> {
    async fn token(
        &self,
        client: &Client,
        context: RequestContext,
        request: Request,
    ) -> Result<Response, Problem> {
        foreign::must_be_of(&self.deciding.origins, request.headers())?;
        let is_form = form::is_sent(request.headers());
        let incoming = Incoming::read_any_type(request, context, self.deciding.body).await?;
        if !is_form {
            return Err(no_form());
        }
        match Grant::read(&incoming.body)? {
            Grant::Password(credentials) => match self.log_in(client, &credentials).await? {
                LoggedIn::In(answer) => Ok(answer),
                // How, the other way of logging in says: OAuth clients are not made for it.
                LoggedIn::MustEnrol(enrolment) => Err(must_enrol(UserId(enrolment.user_id))),
            },
            Grant::RefreshToken(token) => self.refresh(client, &token).await,
        }
    }
}

fn no_form() -> Problem {
    let detail = "send the body as `Content-Type: application/x-www-form-urlencoded`";
    let problem = Problem::new(ProblemType::UnsupportedMediaType, detail);
    problem.with_header(ACCEPT, HeaderValue::from_static(form::MEDIA_TYPE))
}
