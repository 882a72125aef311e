//! What was revoked, and by which keys the deployment's own tokens are verified, as every process knows it:
//! within a second where the database says so, and honestly where it does not.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use read_models::database::identity_schema;
use sqlx::{AssertSqlSafe, PgConnection};
use test_support::{AccessToken, Answer, Caller, Link, Proxy, Running, World, eventually};
use uuid::Uuid;

/// What is promised, and nothing for whoever tries.
const WITHIN: Duration = Duration::from_secs(1);

/// The key pair of RFC 8037, appendix A.
const PRIVATE_KEY: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// A token of a session, made when its user's stream was at a version.
fn of_session(user: Uuid, session: Uuid, version: u64, roles: &[&str]) -> AccessToken {
    AccessToken::tester()
        .roles(roles)
        .claim("sub", user.to_string())
        .claim("sid", session.to_string())
        .claim("user_version", version)
}

/// Revokes in the transaction of a session, as whoever decides it does.
async fn revoke(
    world: &World,
    session: &mut PgConnection,
    what: (Option<Uuid>, Option<Uuid>, Option<i64>),
) -> Result<()> {
    let schema = identity_schema(world.prefix());
    let statement = format!(
        "WITH revoked AS (
             INSERT INTO {schema}.revocations (session_id, user_id, below_version, expires_at)
             VALUES ($1, $2, $3, now() + interval '15 minutes')
         )
         SELECT pg_notify('{schema}_changed', '')"
    );
    let (session_id, user_id, below_version) = what;
    sqlx::query(AssertSqlSafe(statement))
        .bind(session_id)
        .bind(user_id)
        .bind(below_version)
        .execute(session)
        .await
        .context("revoking")
        .map(drop)
}

/// Waits until all are told that they were revoked, and returns how long that took.
async fn refused(callers: &[Caller]) -> Result<Duration> {
    let began = Instant::now();
    for caller in callers {
        eventually("who was revoked is refused", async || {
            for answer in [caller.report("device-1", "1").await?, caller.read("device-1").await?] {
                let challenge = answer.header("www-authenticate").unwrap_or_default();
                ensure!(answer.status == 401 && challenge.contains("revoked"), "{answer}");
            }
            Ok(())
        })
        .await?;
    }
    Ok(began.elapsed())
}

async fn taken(caller: &Caller) -> Result<()> {
    let (posted, read) = (caller.report("device-1", "1").await?, caller.read("device-1").await?);
    ensure!(posted.status == 202, "a report is answered {posted}");
    // No projector runs: whoever may look finds nothing.
    ensure!(read.status == 404, "a read is answered {read}");
    Ok(())
}

#[tokio::test]
async fn who_is_revoked_is_refused_by_every_process_within_a_second() -> Result<()> {
    let world = World::start("revocations").await?;
    let (command_api, query_api) = (world.command_api()?, world.query_api()?);
    let (command_api, one, other) =
        tokio::try_join!(command_api.start(), query_api.start(), query_api.start())?;
    tokio::try_join!(command_api.ready(), one.ready(), other.ready())?;
    let everywhere = |token: &AccessToken| -> Result<[Caller; 2]> {
        let token = token.sign()?;
        let of = |query_api| Caller::new(&command_api, query_api, &token);
        Ok([of(&one)?, of(&other)?])
    };
    let (user, first, second) = (Uuid::from_u128(7), Uuid::from_u128(8), Uuid::from_u128(9));
    let roles = &["device", "user"];
    let in_first = everywhere(&of_session(user, first, 3, roles))?;
    let in_second = everywhere(&of_session(user, second, 3, roles))?;
    let renewed = everywhere(&of_session(user, second, 4, roles))?;
    for caller in in_first.iter().chain(&in_second).chain(&renewed) {
        taken(caller).await?;
    }

    // This one commits after what was revoked later and known long ago.
    let mut late = world.pool().begin().await.context("beginning a transaction")?;
    revoke(&world, &mut late, (Some(first), None, None)).await?;
    let mut session = world.pool().acquire().await.context("connecting")?;
    revoke(&world, &mut session, (None, Some(user), Some(4))).await?;
    let took = refused(&in_second).await?;
    ensure!(took < WITHIN, "it took {took:?}");
    taken(&renewed[0]).await?;
    let another = everywhere(&of_session(user, first, 4, roles))?;
    taken(&another[0]).await?;
    late.commit().await.context("committing")?;
    let took = refused(&another).await?;
    ensure!(took < WITHIN, "of a transaction that commits late it took {took:?}");
    for caller in &renewed {
        taken(caller).await?;
    }

    // Whoever starts later knows it too.
    let late = world.query_api()?.start().await?;
    late.ready().await?;
    let token = of_session(user, first, 4, roles).sign()?;
    let read = Caller::new(&command_api, &late, &token)?.read("device-1").await?;
    ensure!(read.status == 401, "a process that starts answers {read}");
    Ok(())
}

/// A command-api whose way to the database may be cut, with callers who are an admin and who are none.
struct Reached {
    command_api: Running,
    database: Proxy,
    admin: Caller,
    user: Caller,
}

impl Reached {
    async fn start(world: &World, when_unknown: &str, sessions: [Uuid; 2]) -> Result<Self> {
        let address = world.stack().database_address()?;
        let database = Proxy::start(address).await?;
        let url = world.database_url("command_api")?;
        let url = url.replace(address, &database.address().to_string());
        let command_api = world
            .command_api()?
            .setting("DATABASE_URL", url)
            .setting("MILLRACE_REVOCATIONS_UNKNOWN", when_unknown)
            .start()
            .await?;
        command_api.ready().await?;
        let caller = |session, roles: &[&str]| {
            let token = of_session(Uuid::from_u128(7), session, 1, roles).sign()?;
            Caller::new(&command_api, &command_api, &token)
        };
        let admin = caller(sessions[0], &["admin"])?;
        let user = caller(sessions[1], &["device", "user"])?;
        Ok(Self { command_api, database, admin, user })
    }

    async fn report(&self, of: &Caller) -> Result<Answer> {
        of.report("device-1", "1").await
    }
}

#[tokio::test]
async fn while_the_database_says_nothing_admins_wait_and_the_others_go_on() -> Result<()> {
    let world = World::start("revocations_unknown").await?;
    let sessions = [Uuid::from_u128(8), Uuid::from_u128(9)];
    let reached = Reached::start(&world, "refuse-admin", sessions).await?;
    for caller in [&reached.admin, &reached.user] {
        ensure!(reached.report(caller).await?.status == 202);
    }
    for link in [Link::Frozen, Link::Cut] {
        reached.database.set(link);
        eventually("an admin is not taken", async || {
            let answer = reached.report(&reached.admin).await?;
            ensure!(answer.status == 503 && answer.problem() == "not-ready", "{answer}");
            ensure!(answer.header("retry-after") == Some("1"), "{answer}");
            Ok(())
        })
        .await?;
        let answer = reached.report(&reached.user).await?;
        ensure!(answer.status == 202, "{link:?}: a user is answered {answer}");
        // It does its work for all others.
        reached.command_api.ready().await?;
        reached.database.set(Link::Open);
        eventually("the admin is taken again", async || {
            let answer = reached.report(&reached.admin).await?;
            ensure!(answer.status == 202, "{answer}");
            Ok(())
        })
        .await?;
    }

    // What is revoked while nobody hears it is known as soon as the database is back.
    reached.database.set(Link::Cut);
    let mut session = world.pool().acquire().await.context("connecting")?;
    revoke(&world, &mut session, (Some(sessions[1]), None, None)).await?;
    ensure!(reached.report(&reached.user).await?.status == 202);
    reached.database.set(Link::Open);
    eventually("the user is refused", async || {
        let answer = reached.report(&reached.user).await?;
        ensure!(answer.status == 401, "{answer}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn where_nobody_is_to_be_taken_without_knowing_the_process_says_that_it_is_not_ready()
-> Result<()> {
    let world = World::start("revocations_strict").await?;
    let sessions = [Uuid::from_u128(8), Uuid::from_u128(9)];
    let reached = Reached::start(&world, "refuse-all", sessions).await?;
    reached.database.set(Link::Cut);
    reached.command_api.not_ready(&["revocations", "the database does not say"]).await?;
    for caller in [&reached.admin, &reached.user] {
        let answer = reached.report(caller).await?;
        ensure!(answer.status == 503 && answer.problem() == "not-ready", "{answer}");
    }
    // Of whoever has no session nothing can be revoked.
    let token = world.token().sign()?;
    let device = Caller::new(&reached.command_api, &reached.command_api, &token)?;
    ensure!(reached.report(&device).await?.status == 202);
    reached.database.set(Link::Open);
    reached.command_api.ready().await
}

#[tokio::test]
async fn the_deployment_s_keys_are_believed_for_as_long_as_they_stand_in_the_table() -> Result<()> {
    let world = World::start("own_keys").await?;
    let query_api = world.query_api()?.start().await?;
    query_api.ready().await?;
    let token = of_session(Uuid::from_u128(7), Uuid::from_u128(8), 1, &["user"]).issued_now();
    let caller = Caller::new(&query_api, &query_api, &token.sign_eddsa(PRIVATE_KEY, "own")?)?;
    let answered = async |status: u16| {
        eventually("the key counts or does not", async || {
            let answer = caller.read("device-1").await?;
            ensure!(answer.status == status, "{answer}");
            Ok(())
        })
        .await
    };
    answered(401).await?;
    let schema = identity_schema(world.prefix());
    let statement = format!(
        "INSERT INTO {schema}.signing_keys (kid, public_key, sealed_private_key, signs_from)
         VALUES ('own', decode($1, 'hex'), '\\x00', now())"
    );
    sqlx::query(AssertSqlSafe(statement)).bind(PUBLIC_KEY).execute(world.pool()).await?;
    answered(404).await?;
    let statement = format!("DELETE FROM {schema}.signing_keys");
    sqlx::query(AssertSqlSafe(statement)).execute(world.pool()).await?;
    answered(401).await
}
