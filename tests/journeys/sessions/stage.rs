//! The processes of sessions, two of the write side, and clients of them.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use test_support::{
    Answer, Client, Launch, PASSWORD, People, RedisServer, Running, World, eventually, id_of,
    with_json,
};

use crate::journeys::users::store_is_open;

/// What clients say of themselves.
pub(super) const APP: &str = "an app";

/// What somebody was given who is in.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) access_token: String,
    pub(super) refresh_token: String,
    pub(super) session: String,
}

impl Login {
    pub(super) fn of(answer: &Answer) -> Result<Self> {
        ensure!(answer.status == 200, "nobody is in: {answer}");
        let body: Value = answer.json()?;
        let text = |name: &str| {
            body[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"))
        };
        Ok(Self {
            access_token: text("access_token")?,
            refresh_token: text("refresh_token")?,
            session: text("session_id")?,
        })
    }
}

/// By how much quotas are larger than those of the profile: they are kept in Redis, and stop nobody here.
const FACTOR: u64 = 10_000;

/// Two command-apis and a query-api with a Redis of their own, which may be stopped.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) redis: RedisServer,
    pub(super) one: Running,
    pub(super) other: Running,
    pub(super) query_api: Running,
    pub(super) people: People,
    pub(super) client: Client,
    repeat_ms: Option<u64>,
}

impl Stage {
    /// Sets it with so long a time in which a refresh may be repeated.
    pub(super) async fn set(name: &str, repeat_ms: u64) -> Result<Self> {
        Self::of(name, Some(repeat_ms)).await
    }

    /// The same with the time that there is unless somebody chooses another.
    pub(super) async fn set_by_default(name: &str) -> Result<Self> {
        Self::of(name, None).await
    }

    async fn of(name: &str, repeat_ms: Option<u64>) -> Result<Self> {
        let (world, redis) = (World::start(name).await?, RedisServer::start(&[]).await?);
        let writes = command_api(&world, &redis, repeat_ms)?;
        let reads = query_api(&world, &redis)?;
        let (one, other, query_api) =
            tokio::try_join!(writes.start(), writes.start(), reads.start())?;
        tokio::try_join!(one.ready(), other.ready(), query_api.ready())?;
        let people = People::new(&[&one, &other], Some(&query_api))?;
        store_is_open(&people).await?;
        let client = Client::new()?;
        Ok(Self { world, redis, one, other, query_api, people, client, repeat_ms })
    }

    /// Kills all processes and starts them anew.
    pub(super) async fn start_again(&mut self) -> Result<()> {
        for process in [&mut self.one, &mut self.other, &mut self.query_api] {
            process.kill9()?;
        }
        let writes = command_api(&self.world, &self.redis, self.repeat_ms)?;
        let reads = query_api(&self.world, &self.redis)?;
        (self.one, self.other, self.query_api) =
            tokio::try_join!(writes.start(), writes.start(), reads.start())?;
        tokio::try_join!(self.one.ready(), self.other.ready())?;
        self.people = People::new(&[&self.one, &self.other], Some(&self.query_api))?;
        store_is_open(&self.people).await
    }

    /// Waits until every process counts what callers use in Redis, or each has found that it does not answer.
    /// Whom nobody asks has nothing to count: each is asked by this session.
    pub(super) async fn all_use_redis(&self, login: &Login, is_there: bool) -> Result<()> {
        let what = if is_there { "every process uses Redis" } else { "all do without Redis" };
        eventually(what, async || {
            self.are_taken(login).await?;
            for process in [&self.one, &self.other, &self.query_api] {
                let alone = process.metric("rate_limit_alone").await?;
                let charged = process.metric("rate_limit_charges_total").await?;
                let is_used = alone == 0.0 && charged > 0.0;
                ensure!(is_used == is_there, "alone: {alone}, charged: {charged}");
            }
            Ok(())
        })
        .await
    }

    /// The id of somebody who has registered under this name.
    pub(super) async fn register(&self, name: &str) -> Result<String> {
        id_of(&self.people.register(name).await?)
    }

    pub(super) async fn ask_to_log_in(&self, process: usize, name: &str) -> Result<Answer> {
        let body = json!({"username": name, "password": PASSWORD});
        let request = self.people.request(process, "POST", "/api/v1/auth/login")?;
        self.people.send(with_json(request, &body)).await
    }

    pub(super) async fn log_in(&self, name: &str) -> Result<Login> {
        Login::of(&self.ask_to_log_in(0, name).await?)
    }

    pub(super) async fn refresh(&self, process: usize, refresh_token: &str) -> Result<Answer> {
        self.refresh_by(APP, process, refresh_token).await
    }

    /// By a client that says this of itself.
    pub(super) async fn refresh_by(
        &self,
        agent: &str,
        process: usize,
        refresh_token: &str,
    ) -> Result<Answer> {
        let request = self.people.request(process, "POST", "/api/v1/auth/refresh")?;
        let request = request.header("user-agent", agent);
        let body = json!({"refresh_token": refresh_token});
        self.people.send(with_json(request, &body)).await
    }

    /// Reads a path with a session's access token, as new as the answer's token says.
    pub(super) async fn read_after(
        &self,
        login: &Login,
        written: &Answer,
        path: &str,
    ) -> Result<Answer> {
        let token = written.header("consistency-token").context("no token")?;
        let request = self.client.request("GET", &self.query_api.url(path))?;
        let request = request.bearer_auth(&login.access_token).header("prefer", "wait=10");
        self.client.send(request.header("consistency-token", token)).await
    }

    /// Whether each process takes the session's access token: both command-apis, then query-api.
    pub(super) async fn are_taken(&self, login: &Login) -> Result<[bool; 3]> {
        // None of it has an effect: nobody has that session, and of that device nothing is known.
        let nobody_s = "/api/v1/auth/sessions/00000000-0000-7000-8000-000000000000";
        let asked = async |process: &Running, method: &str, path: &str| {
            let request = self.client.request(method, &process.url(path))?;
            let answer = self.client.send(request.bearer_auth(&login.access_token)).await?;
            match answer.status {
                404 => Ok(true),
                401 => {
                    let challenge = answer.header("www-authenticate").unwrap_or_default();
                    ensure!(challenge.contains("revoked"), "{answer}");
                    Ok(false)
                }
                _ => anyhow::bail!("{method} {path} is answered {answer}"),
            }
        };
        let (one, other, query_api) = tokio::try_join!(
            asked(&self.one, "DELETE", nobody_s),
            asked(&self.other, "DELETE", nobody_s),
            asked(&self.query_api, "GET", "/api/v1/resources/device-of-nobody"),
        )?;
        Ok([one, other, query_api])
    }

    /// What happened to the session, in its order.
    pub(super) async fn events(&self, login: &Login) -> Result<String> {
        let statement = format!(
            "SELECT string_agg(split_part(event_type, '.', 3), ' ' ORDER BY stream_version)
             FROM {{store}}.events WHERE stream_id = 'session-{}'",
            login.session
        );
        self.world.text_of(&statement).await
    }
}

fn command_api(world: &World, redis: &RedisServer, repeat_ms: Option<u64>) -> Result<Launch> {
    let launch = with_redis(world.command_api()?, redis);
    Ok(match repeat_ms {
        Some(repeat_ms) => launch.setting("MILLRACE_REFRESH_REPEAT_MS", repeat_ms),
        None => launch,
    })
}

fn query_api(world: &World, redis: &RedisServer) -> Result<Launch> {
    Ok(with_redis(world.query_api()?, redis))
}

/// Quotas hold, so that command-api uses Redis, too.
fn with_redis(launch: Launch, redis: &RedisServer) -> Launch {
    launch
        .setting("REDIS_URL", redis.url())
        .setting("MILLRACE_RATE_LIMIT_PROFILE", "app")
        .setting("MILLRACE_RATE_LIMIT_FACTOR", FACTOR)
}
