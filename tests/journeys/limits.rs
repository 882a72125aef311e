//! How much callers may ask for: told with every answer, kept by processes together, and by each alone.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use test_support::{
    AccessToken, Answer, Client, Launch, RedisServer, Running, World, event_body, eventually,
    with_json,
};

/// What nobody has reported of: the answer costs little.
const PATH: &str = "/api/v1/resources/device-of-nobody";

/// Requests in a minute, by the profile `app`.
const SHORT: u64 = 100;

/// What a process may let through before the others have heard of it: an eighth of the quota.
const CREDIT: u64 = 12;

/// How long a busy machine may keep processes from their Redis in one run, all in all.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many requests of a run may have to wait for that. In the time of two waits a process that always hears too
/// late lets a credit through, so that of a hundred requests some 17 wait, and a few more where two processes are asked.
/// Of a limiter that refuses half of what it may let through, fifty do.
const MOST_WAITS: u64 = 25;

/// Two query-apis that share quotas in a Redis of their own.
struct Stage {
    _world: World,
    redis: RedisServer,
    one: Running,
    other: Running,
    client: Client,
}

/// What was waited for in one run while something was left.
#[derive(Debug, Default)]
struct Patience {
    waits: u64,
    waited: Duration,
}

impl Patience {
    fn lasts(&self) -> bool {
        self.waits <= MOST_WAITS && self.waited < PATIENCE
    }
}

fn limited(launch: Launch, redis: &RedisServer) -> Launch {
    launch.setting("MILLRACE_RATE_LIMIT_PROFILE", "app").setting("REDIS_URL", redis.url())
}

impl Stage {
    async fn set(name: &str) -> Result<Self> {
        let (world, redis) = (World::start(name).await?, RedisServer::start(&[]).await?);
        // With less patience a process may believe for a moment that it is alone.
        let reads = limited(world.query_api()?, &redis);
        let reads = reads.setting("MILLRACE_CACHE_READ_TIMEOUT_MS", 1_000);
        let (one, other) = tokio::try_join!(reads.start(), reads.start())?;
        tokio::try_join!(one.ready(), other.ready())?;
        let stage = Self { _world: world, redis, one, other, client: Client::new()? };
        for process in [&stage.one, &stage.other] {
            stage.shares(process).await?;
        }
        Ok(stage)
    }

    /// Waits until a process shares quotas: it may be asked before it has connected.
    async fn shares(&self, process: &Running) -> Result<()> {
        eventually("the process shares quotas", async || {
            self.ask(process, "somebody-else").await?;
            let alone = process.metric("rate_limit_alone").await?;
            let charged = process.metric("rate_limit_charges_total").await?;
            ensure!(alone == 0.0 && charged > 0.0, "alone: {alone}, charged: {charged}");
            Ok(())
        })
        .await
    }

    async fn ask(&self, process: &Running, who: &str) -> Result<Answer> {
        let token = AccessToken::tester().claim("sub", who).sign()?;
        let request = self.client.request("GET", &process.url(PATH))?;
        self.client.send(request.bearer_auth(token)).await
    }

    /// How many requests are let through, of so many that each of these processes is sent by turns, one after the
    /// other.
    async fn admitted(&self, processes: &[&Running], who: &str, requests: u64) -> Result<u64> {
        let (mut patience, mut admitted) = (Patience::default(), 0);
        for _ in 0..requests {
            for process in processes {
                let answer = self.ask_patiently(process, who, &mut patience).await?;
                admitted += u64::from(is_admitted(&answer)?);
            }
        }
        Ok(admitted)
    }

    /// Asks again while something is left and the process waits for the others to have heard of what it let
    /// through, which on a busy machine takes longer than a few requests. The patience is that of a whole run:
    /// whoever refuses for no reason uses it up.
    async fn ask_patiently(
        &self,
        process: &Running,
        who: &str,
        patience: &mut Patience,
    ) -> Result<Answer> {
        let mut answer = self.ask(process, who).await?;
        if !may_pass_soon(&answer)? {
            return Ok(answer);
        }
        let (began, before) = (Instant::now(), patience.waited);
        patience.waits += 1;
        while may_pass_soon(&answer)? {
            ensure!(patience.lasts(), "refused for no reason, {patience:?}: {answer}");
            tokio::time::sleep(Duration::from_millis(5)).await;
            answer = self.ask(process, who).await?;
            patience.waited = before + began.elapsed();
        }
        Ok(answer)
    }
}

/// Whether it is a refusal though something is left.
fn may_pass_soon(answer: &Answer) -> Result<bool> {
    Ok(answer.status == 429 && left(answer)? > 0)
}

/// How many units are left, as an answer tells.
fn left(answer: &Answer) -> Result<u64> {
    let told = answer.header("ratelimit").context("no RateLimit")?;
    let (_, rest) = told.split_once(";r=").context("no r")?;
    Ok(rest.split(';').next().unwrap_or(rest).parse()?)
}

/// Whether it is no refusal; and a refusal says when to come back.
fn is_admitted(answer: &Answer) -> Result<bool> {
    if answer.status != 429 {
        return Ok(true);
    }
    ensure!(answer.problem() == "quota-exceeded", "{answer}");
    let wait: u64 = answer.header("retry-after").context("no Retry-After")?.parse()?;
    let told = answer.header("ratelimit").context("no RateLimit")?;
    let until: u64 = told.rsplit_once(";t=").context("no t")?.1.parse()?;
    ensure!(wait >= 1 && wait >= until, "Retry-After {wait}, RateLimit {told}");
    Ok(false)
}

/// What has flowed into a bucket since then, and one for what was begun.
fn flowed(since: Instant) -> u64 {
    since.elapsed().as_secs() * SHORT / 60 + 2
}

#[tokio::test]
async fn limits_are_kept_and_told() -> Result<()> {
    let stage = Stage::set("limits").await?;
    let began = Instant::now();
    let first = stage.ask(&stage.one, "ann").await?;
    ensure!(first.header("ratelimit") == Some(r#""short";r=99;t=1"#), "{:?}", first.headers);
    let policy = r#""short";q=100;w=60, "medium";q=500;w=600, "long";q=2000;w=3600, "work";q=500;w=10;qu="work""#;
    ensure!(first.header("ratelimit-policy") == Some(policy), "{:?}", first.headers);
    let admitted = 1 + stage.admitted(&[&stage.one], "ann", 150).await?;
    let most = SHORT + flowed(began);
    ensure!((SHORT - CREDIT..=most).contains(&admitted), "{admitted} and not up to {most}");
    // Nobody else has to do with it, and whoever looks after the process has not either.
    ensure!(stage.ask(&stage.one, "bob").await?.status == 404);
    let ready = stage.one.get("/health/ready").await?;
    ensure!(ready.status == 200 && ready.header("ratelimit").is_none(), "{:?}", ready.headers);
    let counted = stage.one.metric("rate_limit_requests_total").await?;
    ensure!(counted >= 152.0, "{counted} are counted");
    Ok(())
}

#[tokio::test]
async fn facts_are_hardly_limited_and_logging_in_is() -> Result<()> {
    let (world, redis) = (World::start("limits_writes").await?, RedisServer::start(&[]).await?);
    let command_api = limited(world.command_api()?, &redis).start().await?;
    command_api.ready().await?;
    let client = Client::new()?;
    let token = AccessToken::tester().sign()?;
    for number in 0..150 {
        let request = client.request("POST", &command_api.url("/events"))?.bearer_auth(&token);
        let request = request.header("content-type", "application/json");
        let body = event_body("device-1", &number.to_string());
        let answer = client.send(request.body(body)).await?;
        ensure!(answer.status == 202, "{number}: {answer}");
        let told = answer.header("ratelimit").unwrap_or_default();
        ensure!(told.starts_with("\"facts\";r=59"), "{told}");
    }
    let mut refused = 0;
    for _ in 0..40 {
        let request = client.request("POST", &command_api.url("/api/v1/auth/refresh"))?;
        let body = json!({"refresh_token": "bm9uZQ"});
        let answer = client.send(with_json(request, &body)).await?;
        if !is_admitted(&answer)? {
            ensure!(answer.header("ratelimit").is_some_and(|it| it.starts_with("\"auth\";")));
            refused += 1;
        }
    }
    ensure!(refused > 0, "40 refresh tokens were tried at once");
    Ok(())
}

#[tokio::test]
async fn two_processes_let_through_what_one_may() -> Result<()> {
    let stage = Stage::set("limits_shared").await?;
    let began = Instant::now();
    let here = stage.admitted(&[&stage.one], "ann", 150).await?;
    let there = stage.admitted(&[&stage.other], "ann", 150).await?;
    let most = SHORT + CREDIT + flowed(began);
    ensure!(here + there <= most, "{here} and {there}, together more than {most}");
    ensure!(there <= CREDIT + flowed(began), "{there}, though nothing was left after {here}");
    // By turns, too.
    let began = Instant::now();
    let admitted = stage.admitted(&[&stage.one, &stage.other], "bob", 150).await?;
    let (least, most) = (SHORT - 2 * CREDIT, SHORT + 2 * CREDIT + flowed(began));
    ensure!((least..=most).contains(&admitted), "{admitted}, not {least} to {most}");
    Ok(())
}

#[tokio::test]
async fn without_redis_two_processes_stay_within_twice_the_limit_and_share_again_afterwards()
-> Result<()> {
    let stage = Stage::set("limits_alone").await?;
    let began = Instant::now();
    // One who has used some of it before, and one who has not.
    let before = stage.admitted(&[&stage.one], "ann", 60).await?;
    stage.redis.kill9()?;
    for who in ["ann", "bob"] {
        let here = stage.admitted(&[&stage.one], who, 150).await?;
        let there = stage.admitted(&[&stage.other], who, 150).await?;
        let before = if who == "ann" { before } else { 0 };
        let most = 2 * SHORT + flowed(began);
        ensure!(before + here + there <= most, "{who}: {before}, {here}, {there}");
        ensure!(there > 0 && here + there <= SHORT + flowed(began), "{who}: {here}, {there}");
    }
    for process in [&stage.one, &stage.other] {
        let alone = process.metric("rate_limit_alone").await?;
        ensure!(alone == 1.0, "it says {alone}");
        // Nothing else is the worse for it.
        process.ready().await?;
    }
    stage.redis.start_again().await?;
    for process in [&stage.one, &stage.other] {
        stage.shares(process).await?;
    }
    Ok(())
}

#[tokio::test]
async fn whom_a_stranger_says_to_come_from_changes_nothing() -> Result<()> {
    let (world, redis) = (World::start("limits_spoofed").await?, RedisServer::start(&[]).await?);
    let reads = limited(world.query_api()?, &redis);
    let behind_a_proxy = reads.start().await?;
    let reached_directly =
        reads.setting("MILLRACE_TRUSTED_PROXIES", "192.0.2.0/24").start().await?;
    tokio::try_join!(behind_a_proxy.ready(), reached_directly.ready())?;
    let client = Client::new()?;
    let ask = async |process: &Running, forwarded_for: String| {
        let request = client.request("GET", &process.url(PATH))?;
        let answer = client.send(request.header("x-forwarded-for", forwarded_for)).await?;
        let is_admitted = is_admitted(&answer)?;
        ensure!(!is_admitted || answer.status == 401, "{answer}");
        anyhow::Ok(is_admitted)
    };
    let began = Instant::now();
    let (mut directly, mut by_proxy) = (0, 0);
    for number in 0..200 {
        let anybody = format!("198.51.100.{number}");
        directly += u64::from(ask(&reached_directly, anybody.clone()).await?);
        // A proxy adds whom it was called by.
        let by = format!("{anybody}, 203.0.113.9");
        by_proxy += u64::from(ask(&behind_a_proxy, by).await?);
    }
    let most = SHORT + CREDIT + flowed(began);
    ensure!(directly <= most && by_proxy <= most, "{directly}, {by_proxy}, and not {most}");
    ensure!(ask(&behind_a_proxy, "203.0.113.10".to_owned()).await?, "a neighbour is refused");
    Ok(())
}
