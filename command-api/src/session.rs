//! Sessions: `POST /api/v1/auth/login`, and what keeps somebody in or puts them out afterwards.

mod aggregate;
mod client;
mod config;
mod credentials;
mod description;
mod end_sessions;
mod granted;
mod log_in;
mod log_out;
mod oauth;
mod occurrence;
mod refresh;
mod refused;
mod request;
mod revoke_session;

use std::sync::Arc;

use access::Verifier;
use api_description::{Described, Description, Verb};
use axum::Router;
use axum::extract::{Request, State};
use domain::Timestamp;
use event_store::EventStore;
use event_store::postgres::Postgres;
use http::HeaderValue;
use lifecycle::http::RequestContext;
use problem_details::{BodyLimits, Problem};

use crate::access_token::Minter;
use crate::decision::Commands;
use crate::decision::incoming::Incoming;
use crate::decision::request::Asked;
use crate::password::PasswordHasher;
use crate::refresh_token::RefreshTokens;
use crate::second_factor::SecondFactors;
use crate::throttle::Throttle;

pub use aggregate::Sessions;
pub use config::SessionConfig;

/// One's own sessions.
pub const PATH: &str = "/api/v1/auth/sessions";

/// What deciding about sessions needs.
pub struct Deciding<S> {
    /// Makes decisions.
    pub commands: Commands<S>,
    /// Verifies access tokens.
    pub verifier: Arc<Verifier>,
    /// Makes them.
    pub minter: Minter,
    /// Makes and reads refresh tokens.
    pub refresh_tokens: RefreshTokens,
    /// Compares passwords.
    pub passwords: PasswordHasher,
    /// Checks second factors, and hands them out to who has to have one.
    pub second_factors: SecondFactors,
    /// Holds back whoever guesses passwords or codes, wherever they say them.
    pub throttle: Throttle,
    /// How long sessions last.
    pub sessions: SessionConfig,
    /// By which they begin, are refreshed and lapse.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// How much of a body is taken.
    pub body: BodyLimits,
    /// Origins whose pages may send forms, besides our own.
    pub origins: Vec<HeaderValue>,
}

/// The slice's state.
struct Slice<S> {
    deciding: Deciding<S>,
}

type Shared<S> = State<Arc<Slice<S>>>;

/// The slice's routes.
pub fn routes<S: EventStore>(deciding: Deciding<S>) -> Router {
    let slice = Slice { deciding };
    described().into_router().with_state(Arc::new(slice))
}

/// What they are.
pub fn description() -> Description {
    described::<Postgres>().into_description()
}

fn described<S: EventStore>() -> Described<Arc<Slice<S>>> {
    // Reading them is the query side's.
    let described = description::with_schemas(Described::default()).elsewhere(Verb::Get, PATH);
    [log_in::on, oauth::on, refresh::on, log_out::on, revoke_session::on, end_sessions::on]
        .into_iter()
        .fold(described, |described, on| on(described))
}

impl<S: EventStore> Slice<S> {
    async fn incoming(
        &self,
        context: RequestContext,
        request: Request,
    ) -> Result<Incoming, Problem> {
        Incoming::read(request, context, self.deciding.body).await
    }

    /// What is asked, beside the command, where nothing secret is answered: it may have a name.
    fn asked<'a>(&self, incoming: &'a Incoming, actor: &str) -> Result<Asked<'a>, Problem> {
        let asked = incoming.asked(actor, &self.commands().deciding().claim_key)?;
        Ok(asked.at_once())
    }

    fn commands(&self) -> &Commands<S> {
        &self.deciding.commands
    }
}
