//! Logging in: `POST /api/v1/auth/login`.
//!
//! Whoever does not come in learns nothing of who there is: of nobody as much is looked up as of somebody, a
//! hash is compared, the failure is counted and the answer is the same. Only who knows the password is told
//! that the account was deactivated, or that a code is asked for beside it.

use std::error::Error;
use std::sync::Arc;

use api_description::Described;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use domain::session::{FIRST_GENERATION, SessionId, StartSession};
use domain::user::{STREAM_PREFIX, UserId};
use event_store::claim::ClaimOf;
use event_store::{Account, EventStore, Nobody};
use http::HeaderValue;
use http::header::LINK;
use lifecycle::http::{ClientAddress, RequestContext};
use problem_details::Problem;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::client::Client;
use super::credentials::{Credentials, Name};
use super::granted::{Known, asked_in_secret, not_stored};
use super::refused::{code_refused, code_required, deactivated, login_failed, must_enrol};
use super::{Deciding, Sessions, Shared, Slice, description, occurrence};
use crate::decision::{closed, now};
use crate::password::{HashedPassword, PasswordHashError, Verified};
use crate::second_factor::HandedOut;
use crate::throttle::{Admitted, Attempt};

/// The canonical path.
pub(super) const PATH: &str = "/api/v1/auth/login";

/// The older path, which means the same.
pub(super) const ALIAS: &str = "/login";

const CANONICAL: HeaderValue = HeaderValue::from_static(r#"</api/v1/auth/login>; rel="canonical""#);

/// Of whom as much is asked as of somebody.
const NOBODY: UserId = UserId(Uuid::nil());

/// What comes of the right password, and the right code where one is asked for.
pub(super) enum LoggedIn {
    /// They are in, and are answered this.
    In(Response),
    /// They come in once they have enrolled this.
    MustEnrol(HandedOut),
}

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    let described = description::log_in();
    let by_alias = described.clone().by_older_path(ALIAS, "logInByOlderPath");
    to.on(described, log_in).on(by_alias, log_in_by_alias)
}

async fn log_in<S: EventStore>(
    State(slice): Shared<S>,
    address: ClientAddress,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let client = Client::new(&context, address, request.headers());
    let incoming = slice.incoming(context, request).await?;
    let credentials = Credentials::read(&incoming.body)?;
    Ok(match slice.log_in(&client, &credentials).await? {
        LoggedIn::In(answer) => answer,
        LoggedIn::MustEnrol(enrolment) => {
            // With all that they need to enrol one, which nobody keeps on its way, as no problem.
            let problem = must_enrol(UserId(enrolment.user_id));
            problem.with_member("enrolment", &enrolment).into_response()
        }
    })
}

async fn log_in_by_alias<S: EventStore>(
    slice: Shared<S>,
    address: ClientAddress,
    context: RequestContext,
    request: Request,
) -> Response {
    let answered = log_in(slice, address, context, request).await;
    let mut response = answered.unwrap_or_else(Problem::into_response);
    response.headers_mut().append(LINK, CANONICAL);
    response
}

impl<S: EventStore> Slice<S> {
    /// Lets in whoever knows the password, and has a code where one is asked for.
    ///
    /// # Errors
    /// They do not, have to wait, or may not come in; or nobody can now.
    pub(super) async fn log_in(
        &self,
        client: &Client,
        credentials: &Credentials,
    ) -> Result<LoggedIn, Problem> {
        let key = &self.commands().deciding().claim_key;
        let Name { kind, normalised } = &credentials.name;
        let attempt = Attempt::by_name(key, *kind, normalised, client.address);
        let login_floor = self.deciding.sessions.login_floor;
        let admitted = match self.deciding.throttle.admit(attempt).await {
            Ok(admitted) => admitted,
            Err(refused) => {
                // As late as whoever is known there and has failed.
                sleep(login_floor).await;
                return Err(refused);
            }
        };
        let since = Instant::now();
        let (admitted, known) = self.compared(admitted, credentials).await?;
        let Some(known) = known else {
            sleep_until(since + login_floor).await;
            return Err(admitted.told_to_strangers().unwrap_or_else(login_failed));
        };
        // First: who knows the password and has no code clears nothing, and is told nothing more.
        if known.user.second_factor {
            self.must_show_code(client, known.id, credentials.code()).await?;
        }
        admitted.let_in().await?;
        if !known.user.active {
            occurrence::login_of_deactivated(known.id);
            return Err(deactivated(known.id));
        }
        let second_factors = &self.deciding.second_factors;
        if second_factors.must_enrol(&known.user) {
            occurrence::login_without_second_factor(known.id);
            return Ok(LoggedIn::MustEnrol(second_factors.hand_out(known.id, &known.user)));
        }
        self.start_session(client, &known).await.map(LoggedIn::In)
    }

    /// Lets whoever has entered a code that is good go on: it is used up then.
    async fn must_show_code(
        &self,
        client: &Client,
        user: UserId,
        code: Option<&str>,
    ) -> Result<(), Problem> {
        let Some(code) = code else {
            occurrence::login_without_code(user);
            return Err(code_required());
        };
        let Deciding { commands, second_factors, throttle, .. } = &self.deciding;
        let (deciding, address) = (commands.deciding(), client.address);
        if second_factors.is_shown(deciding, throttle, user, address, code).await? {
            Ok(())
        } else {
            Err(code_refused())
        }
    }

    /// Looks at what somebody says of themselves, and of nobody at as much as of somebody: whose name it is, if the
    /// password is theirs. A failure is counted.
    async fn compared(
        &self,
        admitted: Admitted,
        credentials: &Credentials,
    ) -> Result<(Admitted, Option<Known>), Problem> {
        let deciding = self.commands().deciding();
        let kind = credentials.name.kind.as_str();
        let digest = deciding.claim_key.digest(kind, &credentials.name.normalised);
        let (at, nobody) = (now(), NOBODY.to_string());
        let nobody = Nobody { prefix: STREAM_PREFIX, subject: &nobody };
        let found = deciding.store.account(&ClaimOf { kind, digest }, nobody).await;
        let Account { holder, found, password_hash: hash } =
            found.map_err(closed::store_problem)?;
        let account = holder.as_deref().and_then(UserId::from_stream_id);
        let id = account.unwrap_or(NOBODY);
        // A stream that is no user's is nobody's, whatever its state.
        let known = self.known_of(id, at, found).await?.filter(|_| account.is_some());
        let (passwords, password) = (self.deciding.passwords.clone(), credentials.password());
        let (theirs, is_there) = (hash.clone().map(HashedPassword::from_phc), known.is_some());
        let comparing = async move {
            let verified = passwords.compare(password, theirs).await.map_err(Problem::from);
            verified.map(|verified| Some(verified).filter(|it| is_there && it.is_right()))
        };
        let failed = move || occurrence::login_failed(account);
        let (admitted, verified) = admitted.tried(comparing, failed).await?;
        let known = known.filter(|_| verified.is_some());
        let is_outdated = verified == Some(Verified::RightButOutdated);
        if let (true, Some(known), Some(old)) = (is_outdated, &known, &hash) {
            self.hash_anew(credentials, known.id, old).await;
        }
        Ok((admitted, known))
    }

    /// Replaces a hash that others can guess by more easily than by one of today. What fails here fails for
    /// nobody: the next login does it.
    async fn hash_anew(&self, credentials: &Credentials, user: UserId, old: &str) {
        let new = match self.deciding.passwords.hash(credentials.password()).await {
            Ok(new) => new,
            Err(error @ PasswordHashError::Busy) => {
                // An overload must not fill the log.
                return tracing::debug!(%error, "the outdated hash of a password stays");
            }
            Err(error) => return hash_stays(&error),
        };
        let store = &self.commands().deciding().store;
        match store.replace_password_hash(&user.to_string(), old, new.as_phc()).await {
            Ok(replaced) => tracing::debug!(replaced, "the hash of a password was outdated"),
            Err(error) => hash_stays(&error),
        }
    }

    async fn start_session(&self, client: &Client, known: &Known) -> Result<Response, Problem> {
        let session = SessionId(Uuid::now_v7());
        let key = &self.commands().deciding().claim_key;
        // First: where nothing can be given, no session begins.
        let granted = self.grant(known, session, FIRST_GENERATION)?;
        let command = StartSession {
            user_id: known.id,
            session_epoch: known.user.session_epoch,
            client: client.mark(session, key).ok_or_else(closed::defect)?,
            at: (self.deciding.clock)(),
        };
        let asked = asked_in_secret(client, known.id).of_new();
        let answer = |_: &_, _| granted.clone();
        let decided =
            self.commands().decide::<Sessions>(session.0, &asked, command, answer).await?;
        Ok(not_stored(decided))
    }
}

fn hash_stays(error: &(dyn Error + 'static)) {
    tracing::warn!(error, "the outdated hash of a password stays");
}
