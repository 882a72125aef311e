//! What analysts are promised: views they may read, each column explained, and queries that find their
//! rows by an index.

use std::str::FromStr as _;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use settings::Prefix;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _};
use test_support::World;

const QUERIES: &str = include_str!("../../docs/analysts.md");
const DICTIONARY: &str = include_str!("../../docs/data-dictionary.md");

const VIEWS: [&str; 6] =
    ["dead_letters", "device_history", "freshness", "resources", "sessions", "users"];

/// Rows that may be read without an index: of small tables, and of months that have not begun.
const A_FEW: f64 = 100.0;

/// Ten days of 20,000 devices, in the order of the log, and 20,000 letters of which most are settled.
const ROWS: &str = "
    SELECT make_device_history_month(1, month)
    FROM generate_series(date_trunc('month', now()) - interval '1 month', now(), '1 month') AS month;
    INSERT INTO device_history_rows
    SELECT 1, CASE WHEN n % 100 = 0 THEN 'device-123' ELSE 'device-' || n % 20000 END,
           gen_random_uuid(), '{\"status\":\"ok\",\"temp_c\":21.5}', at - interval '2 seconds', at, 1, 0, n
    FROM generate_series(1, 200000) AS n,
         LATERAL (SELECT now() - (200000 - n) * interval '4.32 seconds' AS at) AS log;
    INSERT INTO resource_rows (generation, id, payload, version, recorded_at, updated_at, log_epoch,
                               log_offset, batch_start)
    SELECT 1, CASE WHEN n % 50 = 0 THEN 'pump-' ELSE 'device-' END || n, '{\"status\":\"ok\"}', 10,
           at, at, 1, n, n
    FROM generate_series(1, 20000) AS n,
         LATERAL (SELECT now() - n * interval '5 seconds' AS at) AS log;
    INSERT INTO letters (id, projection, generation, topic, epoch, partition, log_offset, log_time,
                         stream_id, value, state, error_class, error_code, error_message, settled_at)
    SELECT gen_random_uuid(), 'resource', 1, 'events-input', 1, 0, n, now(), 'device-' || n,
           'a secret', CASE WHEN n % 1000 = 0 THEN 'parked' ELSE 'applied' END, 'poison', '23514',
           'refused', CASE WHEN n % 1000 = 0 THEN NULL ELSE now() END
    FROM generate_series(1, 20000) AS n;
    ANALYZE device_history_rows, resource_rows, letters;";

/// A session of an analyst.
async fn analyst(world: &World) -> Result<PgConnection> {
    let options = PgConnectOptions::from_str(&world.database_url("analyst")?)?;
    let schema = read_models::database::schema(world.prefix());
    let session = options.options([("search_path", schema)]).connect().await;
    session.context("connecting as analyst")
}

/// The queries of the page by their headings.
fn queries() -> Vec<(&'static str, &'static str)> {
    let sections = QUERIES.split("\n### ").skip(1);
    let query = |section: &'static str| {
        let (heading, rest) = section.split_once('\n')?;
        let (_, sql) = rest.split_once("```sql\n")?;
        Some((heading, sql.split_once(";\n```")?.0))
    };
    sections.filter_map(query).collect()
}

/// All nodes of a plan.
fn nodes(plan: &Value) -> Vec<&Value> {
    let below = plan["Plans"].as_array().into_iter().flatten();
    std::iter::once(plan).chain(below.flat_map(nodes)).collect()
}

/// A plan, as it was run, that reads no table whole, and one by an index.
fn must_use_an_index(plan: &Value) -> Result<()> {
    let nodes = nodes(plan);
    let is_by_index = |node: &Value| {
        let name = node["Index Name"].as_str().unwrap_or_default();
        !name.is_empty() && !name.starts_with("generations")
    };
    for node in &nodes {
        let read = ["Actual Rows", "Rows Removed by Filter"].map(|name| node[name].as_f64());
        let read: f64 = read.into_iter().flatten().sum();
        let is_whole = node["Node Type"] == "Seq Scan" && read > A_FEW;
        ensure!(!is_whole, "{} is read whole: {plan:#}", node["Relation Name"]);
    }
    ensure!(nodes.into_iter().any(is_by_index), "no index is used: {plan:#}");
    Ok(())
}

#[tokio::test]
async fn each_of_the_ten_queries_finds_its_rows_by_an_index() -> Result<()> {
    let world = World::start("analysts").await?;
    world.pool().execute(ROWS).await.context("filling the views")?;
    let mut session = analyst(&world).await?;
    let queries = queries();
    ensure!(queries.len() == 10, "the page has {} queries", queries.len());
    for (heading, sql) in queries {
        let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) {sql}");
        let explained = sqlx::query(AssertSqlSafe(explain)).fetch_one(&mut session).await;
        let explained: String =
            explained.with_context(|| heading.to_owned())?.try_get_unchecked(0)?;
        let plan: Value = serde_json::from_str(&explained).context("reading a plan")?;
        must_use_an_index(&plan[0]["Plan"]).with_context(|| heading.to_owned())?;
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut session).await?;
        ensure!(!rows.is_empty(), "{heading}: nothing is found");
    }
    Ok(())
}

/// The code by which Postgres refuses a statement.
async fn refusal(session: &mut PgConnection, sql: &str) -> Option<String> {
    let error = session.execute(AssertSqlSafe(sql)).await.err()?;
    Some(error.as_database_error()?.code()?.into_owned())
}

#[tokio::test]
async fn analysts_read_the_views_and_nothing_else() -> Result<()> {
    let world = World::start("analyst_rights").await?;
    let mut session = analyst(&world).await?;
    let relations: Vec<(String, String)> = sqlx::query_as(
        "SELECT relname::text, relkind::text FROM pg_class
         WHERE relnamespace = to_regnamespace(current_schema()) AND relkind IN ('r', 'p', 'v', 'm')",
    )
    .fetch_all(world.pool())
    .await?;
    let mut views = Vec::new();
    for (name, kind) in relations {
        // Of one view some columns are not theirs.
        let refused = refusal(&mut session, &format!("SELECT count(*) FROM {name}")).await;
        if kind == "v" {
            ensure!(refused.is_none(), "{name} is refused: {refused:?}");
            views.push(name);
        } else {
            ensure!(refused.as_deref() == Some("42501"), "{name} is not refused: {refused:?}");
        }
    }
    views.sort();
    ensure!(views == VIEWS, "the views are {views:?}");
    session.execute("SET default_transaction_read_only = off").await?;
    for column in ["username", "email", "full_name", "bio", "image"] {
        let refused = refusal(&mut session, &format!("SELECT {column} FROM users")).await;
        ensure!(refused.as_deref() == Some("42501"), "{column} is answered {refused:?}");
    }
    session.execute("SELECT id, roles, active, erased, session_epoch FROM users").await?;
    session.execute("SELECT * FROM sessions").await?;
    for write in [
        "INSERT INTO resources (id) VALUES ('x')",
        "DELETE FROM dead_letters",
        "CREATE TABLE mine ()",
        "SELECT drop_device_history_month(1, 1)",
        "SET ROLE appuser",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT passwd FROM pg_shadow",
    ] {
        let refused = refusal(&mut session, write).await;
        ensure!(refused.as_deref() == Some("42501"), "{write} is answered {refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_analyst_cannot_write_or_linger_by_mistake() -> Result<()> {
    let world = World::start("analyst_limits").await?;
    let mut session = analyst(&world).await?;
    for (limit, value) in [
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "5min"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("lock_timeout", "5s"),
    ] {
        let shown: String = sqlx::query_scalar(AssertSqlSafe(format!("SHOW {limit}")))
            .fetch_one(&mut session)
            .await?;
        ensure!(shown == value, "{limit} is {shown}");
    }
    let refused = refusal(&mut session, "CREATE TEMP TABLE mine ()").await;
    ensure!(refused.as_deref() == Some("25006"), "a table is answered {refused:?}");
    Ok(())
}

#[tokio::test]
async fn the_dictionary_is_what_the_database_says() -> Result<()> {
    let world = World::start("dictionary").await?;
    let owner = PgConnectOptions::from_str(&world.database_url("appuser")?)?;
    let prefix: &Prefix = world.prefix();
    let page = xtask::deploy::dictionary(&owner, prefix).await?;
    ensure!(page == DICTIONARY, "run `cargo xtask write-dictionary` after a migration:\n{page}");
    for view in VIEWS {
        ensure!(page.contains(&format!("\n## {view}\n")), "{view} is not explained");
    }
    Ok(())
}
