//! What every store of failures to log in does, shown of each: the one that other tests stand on says what Postgres
//! does.

use std::str::FromStr as _;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use command_api::throttle::{
    Attempt, KNOWN_FOR, LoginFailures, NOTED_FOR, PostgresFailures, RULE_OF_ACCOUNT,
    RULE_OF_ADDRESS, RULE_OF_CODE, RULE_OF_NAME,
};
use event_store::claim::Digest;
use futures_util::future::try_join_all;
use read_models::database::identity_schema;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use test_support::World;

use crate::decision_world::TestFailures;

/// Tests that hold of every store.
macro_rules! of_every_store {
    ($($test:ident)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $test() -> anyhow::Result<()> {
                super::$test(&super::InMemory::default()).await
            })*
        }
        mod in_postgres {
            $(#[tokio::test]
            async fn $test() -> anyhow::Result<()> {
                super::$test(&super::InPostgres::start(stringify!($test)).await?).await
            })*
        }
    };
}

of_every_store! {
    waits_of_a_name_are_those_of_its_rule
    failures_of_a_name_are_forgotten_together
    of_failures_at_once_each_counts
    whoever_others_fail_beside_has_to_wait
    failures_of_an_address_are_forgotten_one_by_one
    whoever_is_known_waits_for_their_own_failures
    of_whoever_is_known_it_is_told_how_long_strangers_wait
    what_counts_for_a_name_alone_holds_no_stranger_back
    whoever_is_let_in_begins_anew_and_is_noted
    whoever_is_let_in_by_a_code_has_failed_once_less
    wrong_codes_are_forgotten_after_a_week_without_one
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// What a measured wait may differ by: clocks are read in parts of a second.
const TICK: Duration = Duration::from_millis(1);

/// Kinds of what an attempt counts for.
const NAME: u8 = 1;
const ADDRESS: u8 = 2;
const SITE: u8 = 3;
const ACCOUNT: u8 = 4;

/// What several attempts have in common, of whichever kind.
const SAME: u32 = u32::MAX;

/// A store with a clock that tests turn.
trait Home {
    fn failures(&self) -> &dyn LoginFailures;

    /// So much time passes.
    async fn pass(&self, time: Duration) -> Result<()>;
}

#[derive(Default)]
struct InMemory(TestFailures);

impl Home for InMemory {
    fn failures(&self) -> &dyn LoginFailures {
        &self.0
    }

    async fn pass(&self, time: Duration) -> Result<()> {
        self.0.pass(time);
        Ok(())
    }
}

struct InPostgres {
    failures: PostgresFailures,
    /// Sessions as the process has them.
    pool: PgPool,
    /// Kept for as long as the table.
    _world: World,
}

impl InPostgres {
    async fn start(name: &str) -> Result<Self> {
        let world = World::start(name).await?;
        let session = PgConnectOptions::from_str(&world.database_url("command_api")?)?
            .options([("search_path", identity_schema(world.prefix()))]);
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(session);
        Ok(Self { failures: PostgresFailures::new(pool.clone()), pool, _world: world })
    }
}

impl Home for InPostgres {
    fn failures(&self) -> &dyn LoginFailures {
        &self.failures
    }

    /// All that has happened is as much longer ago.
    async fn pass(&self, time: Duration) -> Result<()> {
        sqlx::query(
            "UPDATE login_failures SET
                 last_failed_at = last_failed_at - $1 * interval '1 second',
                 blocked_until = blocked_until - $1 * interval '1 second',
                 let_in_at = let_in_at - $1 * interval '1 second',
                 kept_until = kept_until - $1 * interval '1 second'",
        )
        .bind(time.as_secs_f64())
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

fn digest(kind: u8, number: u32) -> Digest {
    let mut digest = [kind; 32];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    digest
}

/// An attempt that has nothing in common with those of other numbers.
fn attempt(number: u32) -> Attempt {
    Attempt {
        of_name: digest(NAME, number),
        rule: RULE_OF_NAME,
        of_address: Some(digest(ADDRESS, number)),
        of_site: Some(digest(SITE, number)),
        of_account: Some(digest(ACCOUNT, number)),
    }
}

/// One of another name and at the same address.
fn at_the_address(number: u32) -> Attempt {
    Attempt { of_address: Some(digest(ADDRESS, SAME)), ..attempt(number) }
}

/// One of another name and at another address of the same site.
fn at_the_site(number: u32) -> Attempt {
    Attempt { of_site: Some(digest(SITE, SAME)), ..attempt(number) }
}

/// One of the same name and at another site.
fn of_the_account(number: u32) -> Attempt {
    Attempt { of_account: Some(digest(ACCOUNT, SAME)), ..attempt(number) }
}

/// Counts failures one after another, and says when the last one began to be counted.
async fn fail(home: &impl Home, attempts: impl IntoIterator<Item = Attempt>) -> Result<Instant> {
    let mut began = Instant::now();
    for attempt in attempts {
        began = Instant::now();
        home.failures().count(&attempt).await?;
    }
    Ok(began)
}

/// Whoever makes the attempt has to wait for so long from the last failure on, which began to be counted then.
async fn must_wait(
    home: &impl Home,
    attempt: Attempt,
    wait: Duration,
    began: Instant,
) -> Result<()> {
    let said = home.failures().before(&attempt).await?.wait();
    let least = wait.saturating_sub(began.elapsed() + TICK);
    ensure!((least..=wait).contains(&said), "{said:?} is not between {least:?} and {wait:?}");
    Ok(())
}

async fn must_not_wait(home: &impl Home, attempt: Attempt) -> Result<()> {
    let said = home.failures().before(&attempt).await?.wait();
    ensure!(said.is_zero(), "{said:?} is to be waited");
    Ok(())
}

async fn must_be_noted(home: &impl Home, attempt: Attempt, is_noted: bool) -> Result<()> {
    let before = home.failures().before(&attempt).await?;
    ensure!(before.is_noted == is_noted, "{before:?}");
    Ok(())
}

async fn waits_of_a_name_are_those_of_its_rule(home: &impl Home) -> Result<()> {
    let one = attempt(1);
    must_not_wait(home, one).await?;
    for failures in 1..=15 {
        let began = fail(home, [one]).await?;
        must_wait(home, one, RULE_OF_NAME.wait_after(failures), began).await?;
    }
    must_not_wait(home, attempt(2)).await?;
    home.pass(RULE_OF_NAME.longest_wait - MINUTE).await?;
    let said = home.failures().before(&one).await?.wait();
    ensure!(!said.is_zero() && said <= MINUTE, "{said:?} is left of it");
    home.pass(MINUTE).await?;
    must_not_wait(home, one).await
}

async fn failures_of_a_name_are_forgotten_together(home: &impl Home) -> Result<()> {
    let one = attempt(1);
    fail(home, [one; 11]).await?;
    home.pass(RULE_OF_NAME.forgets_every - MINUTE).await?;
    let began = fail(home, [one]).await?;
    must_wait(home, one, RULE_OF_NAME.wait_after(12), began).await?;
    home.pass(RULE_OF_NAME.forgets_every).await?;
    fail(home, [one; 2]).await?;
    must_not_wait(home, one).await?;
    let began = fail(home, [one; 9]).await?;
    must_wait(home, one, RULE_OF_NAME.wait_after(11), began).await
}

async fn of_failures_at_once_each_counts(home: &impl Home) -> Result<()> {
    let began = Instant::now();
    let attempts = [attempt(1), at_the_address(1), of_the_account(1)];
    let racing = attempts.iter().cycle().take(12).map(|attempt| home.failures().count(attempt));
    try_join_all(racing).await?;
    // Of the name are all of them, of the rest too few.
    must_wait(home, attempt(1), RULE_OF_NAME.wait_after(12), began).await
}

async fn whoever_others_fail_beside_has_to_wait(home: &impl Home) -> Result<()> {
    let by: [fn(u32) -> Attempt; 3] = [at_the_address, at_the_site, of_the_account];
    let rules = [RULE_OF_ADDRESS, RULE_OF_ADDRESS, RULE_OF_ACCOUNT];
    for ((number, beside), rule) in (1_000..).step_by(1_000).zip(by).zip(rules) {
        let others = |failures: u32| (number..number + failures).map(beside);
        let somebody = beside(number + 999);
        fail(home, others(rule.first_wait_at - 1)).await?;
        must_not_wait(home, somebody).await?;
        // Each of them fails for the second time, which costs nothing by the name.
        let began = fail(home, others(6)).await?;
        let wait = rule.wait_after(rule.first_wait_at + 5);
        must_wait(home, somebody, wait, began).await?;
        must_not_wait(home, attempt(number + 999)).await?;
        // Nor do those wait who have no more of it.
        let without = Attempt { of_site: None, of_account: None, ..attempt(number + 999) };
        must_not_wait(home, without).await?;
    }
    Ok(())
}

async fn failures_of_an_address_are_forgotten_one_by_one(home: &impl Home) -> Result<()> {
    fail(home, (0..60).map(at_the_address)).await?;
    // Half a minute more, since the database's clock goes on.
    home.pass(8 * MINUTE + MINUTE / 2).await?;
    let began = fail(home, [at_the_address(60)]).await?;
    must_wait(home, at_the_address(61), RULE_OF_ADDRESS.wait_after(53), began).await
}

async fn whoever_is_known_waits_for_their_own_failures(home: &impl Home) -> Result<()> {
    let beside = |number| Attempt {
        of_site: Some(digest(SITE, SAME)),
        of_account: Some(digest(ACCOUNT, SAME)),
        ..at_the_address(number)
    };
    let (known, stranger) = (beside(0), beside(1));
    let fill = async || fail(home, (2..112).map(beside)).await;
    home.failures().let_in(&known).await?;
    let began = fill().await?;
    must_wait(home, stranger, RULE_OF_ADDRESS.longest_wait, began).await?;
    must_not_wait(home, known).await?;
    let began = fail(home, [known; 8]).await?;
    must_wait(home, known, RULE_OF_NAME.wait_after(8), began).await?;
    home.pass(KNOWN_FOR - HOUR).await?;
    fill().await?;
    must_not_wait(home, known).await?;
    home.pass(HOUR).await?;
    let began = fill().await?;
    must_wait(home, known, RULE_OF_ADDRESS.longest_wait, began).await
}

async fn of_whoever_is_known_it_is_told_how_long_strangers_wait(home: &impl Home) -> Result<()> {
    let (known, stranger) = (at_the_address(0), at_the_address(1));
    home.failures().let_in(&known).await?;
    fail(home, (2..62).map(at_the_address)).await?;
    let of_known = home.failures().before(&known).await?;
    let of_stranger = home.failures().before(&stranger).await?;
    ensure!(of_known.is_known && !of_stranger.is_known, "{of_known:?}, {of_stranger:?}");
    let longest = RULE_OF_ADDRESS.longest_wait;
    for before in [of_known, of_stranger] {
        ensure!(before.of_name.is_zero() && before.told() == before.of_strangers, "{before:?}");
        ensure!((longest / 2..=longest).contains(&before.told()), "{before:?}");
    }
    Ok(())
}

async fn what_counts_for_a_name_alone_holds_no_stranger_back(home: &impl Home) -> Result<()> {
    let one = attempt(1);
    let began = fail(home, [one.for_its_name_alone(); 60]).await?;
    must_wait(home, one, RULE_OF_NAME.wait_after(60), began).await?;
    must_not_wait(home, Attempt { of_name: digest(NAME, 2), ..one }).await
}

async fn whoever_is_let_in_by_a_code_has_failed_once_less(home: &impl Home) -> Result<()> {
    let (one, failures) = (Attempt { rule: RULE_OF_CODE, ..attempt(1) }, home.failures());
    failures.let_in(&one).await?;
    must_be_noted(home, one, true).await?;
    fail(home, [one; 8]).await?;
    home.pass(RULE_OF_CODE.longest_wait).await?;
    failures.let_in(&one).await?;
    must_be_noted(home, one, false).await?;
    must_not_wait(home, one).await?;
    let began = fail(home, [one]).await?;
    must_wait(home, one, RULE_OF_CODE.wait_after(8), began).await?;
    // Whoever fails beside them elsewhere waits all the same.
    failures.let_in(&one).await?;
    must_wait(home, one, RULE_OF_CODE.wait_after(8), began).await?;
    // Half an hour more, since the database's clock goes on.
    home.pass(3 * HOUR + HOUR / 2).await?;
    let began = fail(home, [one]).await?;
    must_wait(home, one, RULE_OF_CODE.wait_after(5), began).await?;
    for _ in 0..5 {
        failures.let_in(&one).await?;
    }
    must_not_wait(home, one).await?;
    must_be_noted(home, one, true).await
}

async fn wrong_codes_are_forgotten_after_a_week_without_one(home: &impl Home) -> Result<()> {
    let one = Attempt { rule: RULE_OF_CODE, ..attempt(1) }.for_its_name_alone();
    fail(home, [one; 200]).await?;
    // Whoever comes in keeps the row for longer.
    home.failures().let_in(&one).await?;
    home.pass(RULE_OF_CODE.kept_for - HOUR).await?;
    let began = fail(home, [one]).await?;
    must_wait(home, one, RULE_OF_CODE.wait_after(33), began).await?;
    home.pass(RULE_OF_CODE.kept_for).await?;
    fail(home, [one; 2]).await?;
    must_not_wait(home, one).await
}

async fn whoever_is_let_in_begins_anew_and_is_noted(home: &impl Home) -> Result<()> {
    let (one, failures) = (attempt(1), home.failures());
    must_be_noted(home, one, false).await?;
    fail(home, [one; 11]).await?;
    failures.let_in(&one).await?;
    must_not_wait(home, one).await?;
    must_be_noted(home, one, true).await?;
    must_be_noted(home, attempt(2), false).await?;
    fail(home, [one; 2]).await?;
    must_not_wait(home, one).await?;
    must_be_noted(home, one, false).await?;
    let began = fail(home, [one; 9]).await?;
    must_wait(home, one, RULE_OF_NAME.wait_after(11), began).await?;
    failures.let_in(&one).await?;
    home.pass(NOTED_FOR - HOUR).await?;
    must_be_noted(home, one, true).await?;
    home.pass(HOUR).await?;
    must_be_noted(home, one, false).await
}
