//! Users: `POST /api/v1/auth/register` and what is decided about them afterwards.

mod about;
mod activation;
mod aggregate;
mod caller;
mod change_email;
mod description;
mod erase_user;
mod fields;
mod mailing;
mod refused;
mod register_user;
mod request;
mod roles;
mod shown;
mod update_profile;
mod verification;
mod verify_email;

use std::sync::Arc;

use access::Verifier;
use api_description::{Described, Description, Verb};
use axum::Router;
use axum::extract::{Request, State};
use event_store::EventStore;
use event_store::postgres::Postgres;
use lifecycle::http::RequestContext;
use problem_details::{BodyLimits, Problem};

use crate::decision::Commands;
use crate::decision::incoming::Incoming;
use crate::decision::request::Asked;
use crate::password::PasswordHasher;
use verification::VerificationKey;

pub use aggregate::Users;
pub use mailing::{Mailing, VERIFY_EMAIL};

/// The canonical path of a user.
pub const PATH: &str = "/api/v1/users/{id}";

/// What deciding about users needs.
pub struct Deciding<S> {
    /// Makes decisions.
    pub commands: Commands<S>,
    /// Verifies access tokens.
    pub verifier: Arc<Verifier>,
    /// Hashes passwords.
    pub passwords: PasswordHasher,
    /// How much of a body is taken.
    pub body: BodyLimits,
}

/// The slice's state.
struct Slice<S> {
    deciding: Deciding<S>,
    verification: VerificationKey,
}

type Shared<S> = State<Arc<Slice<S>>>;

/// The slice's routes.
pub fn routes<S: EventStore>(deciding: Deciding<S>) -> Router {
    let verification = VerificationKey::new(&deciding.commands.deciding().token_key);
    described().into_router().with_state(Arc::new(Slice { deciding, verification }))
}

/// What they are.
pub fn description() -> Description {
    described::<Postgres>().into_description()
}

fn described<S: EventStore>() -> Described<Arc<Slice<S>>> {
    // Reading them is the query side's.
    let described = description::with_schemas(Described::default())
        .elsewhere(Verb::Get, PATH)
        .elsewhere(Verb::Get, register_user::ALIAS);
    [
        register_user::on,
        verify_email::on,
        update_profile::on,
        change_email::on,
        activation::on,
        roles::on,
        erase_user::on,
    ]
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

    /// What is asked, beside the command.
    fn asked<'a>(&self, incoming: &'a Incoming, actor: &str) -> Result<Asked<'a>, Problem> {
        incoming.asked(actor, &self.commands().deciding().claim_key)
    }

    fn commands(&self) -> &Commands<S> {
        &self.deciding.commands
    }
}
