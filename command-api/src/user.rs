//! Users: `POST /api/v1/auth/register` and what is decided about them afterwards.

mod about;
mod activation;
mod aggregate;
mod caller;
mod change_email;
mod change_password;
mod chosen_password;
mod confirm_registration;
mod description;
mod erase_user;
mod fields;
mod forgot_password;
mod form;
mod mail_link;
mod mail_token;
mod mailing;
mod must_know;
mod occurrence;
mod page;
mod pending_registration;
mod refused;
mod register_user;
mod registration_token;
mod request;
mod reset_password;
mod reset_token;
mod roles;
mod second_factor;
mod shown;
mod update_profile;
mod verification;
mod verify_email;

use std::sync::Arc;

use access::Verifier;
use api_description::{Described, Description, Verb};
use axum::Router;
use axum::extract::{Request, State};
use consistency_token::TokenKey;
use event_store::EventStore;
use event_store::postgres::Postgres;
use lifecycle::http::RequestContext;
use problem_details::{BodyLimits, Problem};

use crate::decision::Commands;
use crate::decision::incoming::Incoming;
use crate::decision::request::Asked;
use crate::password::PasswordHasher;
use crate::second_factor::SecondFactors;
use crate::throttle::Throttle;
use registration_token::RegistrationKey;
use reset_token::PasswordResetKey;
use verification::VerificationKey;

pub use aggregate::Users;
pub use mailing::{CONFIRM_REGISTRATION, Mailing, RESET_PASSWORD, VERIFY_EMAIL};
pub use pending_registration::Registrations;
pub(crate) use second_factor::beside_removal;

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
    /// Hands second factors out and checks their codes.
    pub second_factors: SecondFactors,
    /// How people register.
    pub registrations: Registrations,
    /// Holds back whoever guesses passwords or codes, wherever they say them.
    pub throttle: Throttle,
    /// Signs the tokens in links of mails.
    pub mail_link_key: TokenKey,
    /// How much of a body is taken.
    pub body: BodyLimits,
}

/// The slice's state.
struct Slice<S> {
    deciding: Deciding<S>,
    verification: VerificationKey,
    password_resets: PasswordResetKey,
    registration_tokens: RegistrationKey,
}

type Shared<S> = State<Arc<Slice<S>>>;

/// The slice's routes.
pub fn routes<S: EventStore>(deciding: Deciding<S>) -> Router {
    let key = &deciding.mail_link_key;
    let (verification, password_resets) = (VerificationKey::new(key), PasswordResetKey::new(key));
    let registration_tokens = RegistrationKey::new(key);
    let slice = Slice { deciding, verification, password_resets, registration_tokens };
    described().into_router().with_state(Arc::new(slice))
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
        confirm_registration::on,
        verify_email::on,
        update_profile::on,
        change_email::on,
        change_password::on,
        forgot_password::on,
        reset_password::on,
        second_factor::on,
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
