//! Months of history: made ahead, made when they are missing, dropped when they are old, and left
//! alone by whoever asks for others.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use sqlx::{Connection as _, Executor as _, PgConnection};
use test_support::{Spine, World, eventually};

use super::{items, path};

/// The tables of months, by their names' last part.
async fn months(world: &World) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT substring(c.relname FROM '[0-9]+$') FROM pg_inherits i
         JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'device_history_rows_1'::regclass ORDER BY 1",
    )
    .fetch_all(world.pool())
    .await
    .context("reading months")
}

/// A month by its distance from the one that runs.
async fn month(world: &World, distance: i32) -> Result<String> {
    sqlx::query_scalar(
        "SELECT to_char(now() AT TIME ZONE 'UTC' + make_interval(months => $1), 'YYYYMM')",
    )
    .bind(distance)
    .fetch_one(world.pool())
    .await
    .context("asking for a month")
}

async fn next_three(world: &World) -> Result<Vec<String>> {
    Ok(vec![month(world, 0).await?, month(world, 1).await?, month(world, 2).await?])
}

/// Rows of one device, one a day, for so many days before now.
async fn days_of_history(world: &World, days: i32) -> Result<()> {
    let mut session = world.pool().acquire().await?;
    session
        .execute(sqlx::AssertSqlSafe(format!(
            "SELECT make_device_history_month(1, now() - make_interval(days => d))
             FROM generate_series(0, {days}) d;
             INSERT INTO device_history_rows
             SELECT 1, 'device-1', gen_random_uuid(), to_json(d), NULL,
                    now() - make_interval(days => d), 1, 0, 1000000 - d
             FROM generate_series(1, {days}) d;
             INSERT INTO resource_rows
             VALUES (1, 'device-1', 'null', 1, NULL, now(), now(), 1, 1, 1);
             ANALYZE device_history_rows"
        )))
        .await
        .context("writing history")?;
    // What it has looked into is counted at once.
    session.execute("SELECT pg_stat_force_next_flush()").await?;
    Ok(())
}

#[tokio::test]
async fn the_months_to_come_are_there_before_they_begin() -> Result<()> {
    let world = World::start("months_ahead").await?;
    ensure!(months(&world).await? == next_three(&world).await?, "{:?}", months(&world).await?);
    // A projector sees to it where nobody deploys for long.
    for table in months(&world).await? {
        let drop = format!("DROP TABLE device_history_rows_1_{table}");
        world.pool().execute(sqlx::AssertSqlSafe(drop)).await?;
    }
    let projector = world.projector_of("device_history")?.start().await?;
    eventually("the months are made", async || {
        let months = months(&world).await?;
        ensure!(months == next_three(&world).await?, "there are {months:?}");
        Ok(())
    })
    .await?;
    projector.ready().await
}

#[tokio::test]
async fn an_event_whose_month_is_missing_is_folded_and_is_no_letter() -> Result<()> {
    let world = World::start("months_missing").await?;
    let spine = Spine::start_whole(&world).await?;
    let now = month(&world, 0).await?;
    let drop = format!("DROP TABLE device_history_rows_1_{now}");
    for (n, when) in ["before the first event", "behind the projector's back"].iter().enumerate() {
        world.pool().execute(sqlx::AssertSqlSafe(drop.clone())).await?;
        let posted = spine.caller.report("device-1", &n.to_string()).await?;
        let read = eventually("the event is shown", async || {
            let read = spine.caller.get_after(&posted, &path("device-1", "")).await?;
            ensure!(read.status == 200, "{when}: {read}");
            Ok(read)
        });
        ensure!(items(&read.await?)?.len() == 1, "{when}: the month is another one");
    }
    let letters: i64 =
        sqlx::query_scalar("SELECT count(*) FROM letters").fetch_one(world.pool()).await?;
    ensure!(letters == 0, "{letters} letters");
    Ok(())
}

#[tokio::test]
async fn months_that_are_not_kept_are_dropped_and_readers_hardly_notice() -> Result<()> {
    let world = World::start("months_old").await?;
    days_of_history(&world, 200).await?;
    ensure!(months(&world).await?.len() >= 9, "{:?}", months(&world).await?);
    // A reader of one of them stands in the way, and is waited for only a moment.
    let mut reader = world.pool().begin().await?;
    let held: i64 =
        sqlx::query_scalar("SELECT count(*) FROM device_history").fetch_one(&mut *reader).await?;
    ensure!(held == 200, "{held} rows");
    let launch = world.projector_of("device_history")?.setting("MILLRACE_HISTORY_MONTHS", 2);
    let mut projector = launch.start().await?;
    projector.ready().await?;
    eventually("the projector says that it could not", async || {
        let failed = projector.metric("projection_upkeep_failed_total").await?;
        ensure!(failed >= 1.0, "it failed {failed} times");
        Ok(())
    })
    .await?;
    ensure!(months(&world).await?.len() >= 9, "a month was taken from its reader");
    reader.rollback().await?;
    projector.terminate().await?;

    let _projector = launch.start().await?;
    let kept = [month(&world, -2).await?, month(&world, -1).await?];
    let kept = [&kept[..], &next_three(&world).await?[..]].concat();
    eventually("two months and those from now on are left", async || {
        let months = months(&world).await?;
        ensure!(months == kept, "there are {months:?}");
        Ok(())
    })
    .await?;
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM device_history").fetch_one(world.pool()).await?;
    ensure!((59..=93).contains(&left), "{left} rows are left");
    Ok(())
}

#[tokio::test]
async fn every_month_may_be_kept() -> Result<()> {
    let world = World::start("months_kept").await?;
    days_of_history(&world, 800).await?;
    let before = months(&world).await?;
    let launch = world.projector_of("device_history")?.setting("MILLRACE_HISTORY_MONTHS", 0);
    let projector = launch.start().await?;
    projector.ready().await?;
    // It has looked after its tables: a month that was missing is there again.
    let last = format!("DROP TABLE device_history_rows_1_{}", month(&world, 2).await?);
    world.pool().execute(sqlx::AssertSqlSafe(last)).await?;
    let again = launch.start().await?;
    eventually("the tables are looked after", async || {
        ensure!(months(&world).await? == before, "there are {:?}", months(&world).await?);
        Ok(())
    })
    .await?;
    again.ready().await
}

/// Scans of each month's index, as Postgres counts them.
async fn scans(world: &World) -> Result<BTreeMap<String, i64>> {
    let scans: Vec<(String, i64)> = sqlx::query_as(
        "SELECT substring(relname FROM '[0-9]+$'), coalesce(idx_scan, 0) + coalesce(seq_scan, 0)
         FROM pg_stat_user_tables WHERE relname ~ '^device_history_rows_1_[0-9]+$'",
    )
    .fetch_all(world.pool())
    .await
    .context("reading statistics")?;
    Ok(scans.into_iter().collect())
}

#[tokio::test]
async fn only_the_months_of_a_range_are_looked_into() -> Result<()> {
    let world = World::start("months_pruned").await?;
    days_of_history(&world, 400).await?;
    let query_api = world.query_api()?.start().await?;
    query_api.ready().await?;
    let caller = test_support::Caller::new(&query_api, &query_api, &world.token().sign()?)?;
    let asked = month(&world, -5).await?;
    let (year, number) = asked.split_at(4);
    let range = format!("?from={year}-{number}-03T00:00:00Z&to={year}-{number}-20T00:00:00Z");
    let before = scans(&world).await?;
    for order in ["desc", "asc"] {
        let page = caller.get(&path("device-1", &format!("{range}&order={order}&limit=5"))).await?;
        ensure!(items(&page)?.len() == 5, "{page}");
        let next = super::next(&page).context("there is no next page")?;
        ensure!(items(&caller.get(&next).await?)?.len() == 5, "{page}");
    }
    let others = eventually("Postgres has counted the scans", async || {
        let after = scans(&world).await?;
        let scanned = |month: &String| after.get(month) > before.get(month);
        ensure!(scanned(&asked), "the month was not looked into");
        Ok(after.keys().filter(|month| **month != asked && scanned(month)).cloned().collect())
    });
    let others: Vec<String> = others.await?;
    ensure!(others.is_empty(), "looked into were {others:?} too");

    // So it is for those who ask the view.
    let plan: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "EXPLAIN SELECT * FROM device_history WHERE device_id = 'device-1'
           AND recorded_at >= '{year}-{number}-03' AND recorded_at < '{year}-{number}-20'"
    )))
    .fetch_all(world.pool())
    .await?;
    let plan = plan.join("\n");
    ensure!(plan.contains(&format!("device_history_rows_1_{asked}")), "{plan}");
    ensure!(plan.matches("Scan").count() <= 2, "more than a month and the generation: {plan}");
    Ok(())
}

#[tokio::test]
async fn the_projector_owns_no_table_and_makes_months_all_the_same() -> Result<()> {
    let world = World::start("months_rights").await?;
    let allowed = "SELECT make_device_history_month(1, '2020-05-05')";
    let forbidden = [
        "CREATE TABLE mine (id integer)",
        "DROP TABLE device_history_rows",
        "ALTER TABLE device_history_rows_1 DETACH PARTITION device_history_rows_1_202005",
        "SELECT drop_device_history_month(1, 0)",
    ];
    for (role, may_make, may_drop) in
        [("projector", true, true), ("dlq_replayer", true, false), ("query_api", false, false)]
    {
        let mut session = PgConnection::connect(&world.database_url(role)?).await?;
        let schema = read_models::database::schema(world.prefix());
        session.execute(sqlx::AssertSqlSafe(format!("SET search_path = {schema}"))).await?;
        let made = session.execute(allowed).await;
        ensure!(made.is_ok() == may_make, "{role}: {made:?}");
        let dropped = session.execute("SELECT drop_device_history_month(1, 1200)").await;
        ensure!(dropped.is_ok() == may_drop, "{role}: {dropped:?}");
        for statement in forbidden {
            ensure!(session.execute(statement).await.is_err(), "{role} may {statement}");
        }
    }
    // Who puts a table of the same name before ours is not listened to.
    let mut session = PgConnection::connect(&world.database_url("projector")?).await?;
    let schema = read_models::database::schema(world.prefix());
    session
        .execute(sqlx::AssertSqlSafe(format!(
            "CREATE TEMPORARY TABLE device_history_rows_1_202007 (id integer);
             SET search_path = pg_temp, {schema};
             SELECT make_device_history_month(1, '2020-07-07')"
        )))
        .await?;
    ensure!(months(&world).await?.contains(&"202007".to_owned()), "a temporary table misled it");
    Ok(())
}
