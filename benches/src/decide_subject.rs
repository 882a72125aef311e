//! The subject of `decide`: the command API's way from a command to events, without HTTP around it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow, ensure};
use command_api::Config;
use command_api::decision::answer::Answer;
use command_api::decision::request::{ANYBODY, Asked, Received};
use command_api::decision::{Beside, Commands, Deciding};
use command_api::deployment::{self, Known};
use command_api::user::{PATH, Users, VERIFY_EMAIL};
use domain::user::User;
use event_store::postgres::Postgres;
use event_store::publications::Publications;
use event_store::{Ends, EventStore as _, Outbox as _};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use lifecycle::http::RequestContext;
use problem_details::Problem;
use read_models::database::{SessionLimits, identity_schema};
use serde::Serialize;
use settings::Settings;
use sqlx::PgPool;
use uuid::Uuid;

use crate::decide_people::{PASSWORD_HASH, People, registration, update};
use crate::decide_sides::{Decision, Side};
use crate::world::World;

/// Limits of a session that decides; the baseline's sessions have the same.
const LIMITS: SessionLimits = SessionLimits {
    idle_in_transaction: Duration::from_secs(5),
    transaction: Duration::from_secs(5),
    lock: Duration::from_secs(3),
    statement: Duration::from_secs(5),
};

/// The settings of the command API in a world, all others as they are by default.
pub(crate) fn config(world: &World) -> Result<Config> {
    let mut settings = Settings::new(world.settings());
    let config = Config::from_settings(&mut settings);
    settings.finish(config).context("the settings of the command API")
}

/// As many connections as the command API has, whose sessions are as its own.
pub(crate) fn pool(config: &Config) -> PgPool {
    let decisions = &config.decisions;
    decisions.store.pool("bench", LIMITS, decisions.connections, Duration::from_secs(10))
}

/// What makes decisions in a world, where nobody publishes them.
pub(crate) struct Subject {
    commands: Commands<Postgres>,
    people: Arc<People>,
    headers: HeaderMap,
    pool: PgPool,
}

impl Subject {
    /// Opens the store, for there is no relay that would.
    pub(crate) async fn open(world: &World, people: &Arc<People>) -> Result<Self> {
        let config = config(world)?;
        let (decisions, pool) = (&config.decisions, pool(&config));
        let owner = decisions.store.session("bench outbox", LIMITS);
        let (prefix, identity) = (config.prefix.to_string(), identity_schema(&config.prefix));
        let store = Postgres::new(pool.clone(), owner, &prefix, &identity, &decisions.claim_key);
        let mut outbox = store.own_outbox().await?.context("somebody owns the outbox")?;
        outbox.compared(0, &Ends::new()).await?;
        outbox.rest().await?;
        let commands = Commands::new(Deciding {
            store,
            publications: Publications::default(),
            known: known(&config).await?,
            claim_key: decisions.claim_key.clone(),
            token_key: config.token_key.clone(),
            claim_term: decisions.claim_term,
            revocations_hold: config.access_tokens.revocations_hold(),
            wait: decisions.wait,
            log_is_away: Arc::new(|| false),
        });
        let headers = [("prefer", "respond-async"), ("content-type", "application/json")]
            .map(|(name, value)| (name.parse(), HeaderValue::from_static(value)));
        let headers = headers.into_iter().map(|(name, value)| Ok((name?, value)));
        let headers = headers.collect::<Result<_, http::header::InvalidHeaderName>>()?;
        Ok(Self { commands, people: Arc::clone(people), headers, pool })
    }

    /// Registers somebody; `beside` is written with it.
    pub(crate) async fn register(&self, person: usize, beside: Vec<Beside>) -> Result<()> {
        let id = self.people.id(person);
        let context = RequestContext::from_headers(&self.headers);
        let asked = self.asked(&Method::POST, "/api/v1/auth/register", &context, ANYBODY)?;
        let command = registration(person)?;
        let answer = shown(id, StatusCode::CREATED);
        let decided =
            self.commands.decide_beside::<Users>(id, &asked, command, &beside, answer).await;
        must_be_pending(decided.map(|response| response.status()))
    }

    async fn update(&self, person: usize, mark: usize) -> Result<()> {
        let id = self.people.id(person);
        let (path, actor) = (PATH.replace("{id}", &id.to_string()), id.to_string());
        let context = RequestContext::from_headers(&self.headers);
        let asked = self.asked(&Method::PATCH, &path, &context, &actor)?;
        let answer = shown(id, StatusCode::OK);
        let decided = self.commands.decide::<Users>(id, &asked, update(mark)?, answer).await;
        must_be_pending(decided.map(|response| response.status()))
    }

    fn asked<'a>(
        &'a self,
        method: &'a Method,
        path: &'a str,
        context: &'a RequestContext,
        actor: &str,
    ) -> Result<Asked<'a>> {
        let received = Received { method, path, headers: &self.headers, context, body: b"" };
        Asked::read(received, actor, &self.commands.deciding().claim_key).map_err(refused)
    }
}

impl Side for Subject {
    async fn decide(&self, decision: Decision) -> Result<()> {
        match decision {
            Decision::Register { person } => {
                let hash = Beside::PasswordHash(PASSWORD_HASH.to_owned());
                self.register(person, vec![hash, Beside::Mail(VERIFY_EMAIL)]).await
            }
            Decision::Update { person, mark } => self.update(person, mark).await,
        }
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

/// Nobody waits for the log here.
fn must_be_pending(answered: Result<StatusCode, Problem>) -> Result<()> {
    let status = answered.map_err(refused)?;
    ensure!(status == StatusCode::ACCEPTED, "answered {status} instead of 202");
    Ok(())
}

fn refused(problem: Problem) -> anyhow::Error {
    anyhow!("refused: {:?}", problem.kind())
}

/// A user as they are shown to themselves.
#[derive(Serialize)]
struct Shown<'a> {
    id: Uuid,
    username: Option<&'a str>,
    email: Option<&'a str>,
    email_verified: bool,
    full_name: Option<&'a str>,
    bio: Option<&'a str>,
    image: Option<&'a str>,
    active: bool,
    version: u64,
}

fn shown(id: Uuid, status: StatusCode) -> impl Fn(&User<String>, u64) -> Answer {
    move |user, version| {
        let shown = Shown {
            id,
            username: user.username.as_deref(),
            email: user.email.as_deref(),
            email_verified: user.email_verified,
            full_name: user.full_name.as_deref(),
            bio: user.bio.as_deref(),
            image: user.image.as_deref(),
            active: user.active,
            version,
        };
        Answer::showing(status, version, &shown).at(PATH.replace("{id}", &id.to_string()))
    }
}

/// What was deployed to the world.
async fn known(config: &Config) -> Result<Known> {
    let recorded = deployment::recorded(&config.database, &config.prefix).await;
    Ok(Known::new(recorded.map_err(Error::msg)?))
}
