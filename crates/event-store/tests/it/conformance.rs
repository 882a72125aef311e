//! What every store does, shown of each.

mod appending;
mod besides;
mod cancelled;
mod claims;
mod notices;
mod passwords;
mod pending_registrations;
mod requests;
mod revocations;
mod second_factors;
mod standing;

use std::str::FromStr as _;

use anyhow::{Context as _, Result, bail};
use event_store::beside::Revoked;
use event_store::claim::ClaimKey;
use event_store::memory::Memory;
use event_store::postgres::Postgres;
use event_store::{Ends, EventStore, Outbox as _};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use test_support::World;
use uuid::Uuid;

use crate::samples::key;

/// Sessions of a store.
const SESSIONS: u32 = 8;

/// A store with what it lives in.
pub(crate) trait Home: Sized {
    type Store: EventStore;

    async fn new(name: &str) -> Result<Self>;

    fn store(&self) -> Self::Store;

    /// What was revoked and is not forgotten, in its order.
    async fn revocations(&self) -> Result<Vec<Revoked>>;
}

pub(crate) struct InMemory(Memory);

impl Home for InMemory {
    type Store = Memory;

    async fn new(_: &str) -> Result<Self> {
        Ok(Self(Memory::new()))
    }

    fn store(&self) -> Memory {
        self.0.clone()
    }

    async fn revocations(&self) -> Result<Vec<Revoked>> {
        Ok(self.0.revocations().into_iter().map(|(what, _)| what).collect())
    }
}

pub(crate) struct InPostgres {
    /// Kept for as long as the store.
    world: World,
    store: Postgres,
    /// Sessions as the store has them.
    pool: PgPool,
}

impl Home for InPostgres {
    type Store = Postgres;

    async fn new(name: &str) -> Result<Self> {
        let world = World::start(name).await?;
        let (store, pool) = instance(&world, &key(), SESSIONS)?;
        Ok(Self { world, store, pool })
    }

    fn store(&self) -> Postgres {
        self.store.clone()
    }

    async fn revocations(&self) -> Result<Vec<Revoked>> {
        let rows: Vec<RevocationRow> = sqlx::query_as(
            "SELECT session_id, user_id, below_version FROM revocations ORDER BY revocation_id",
        )
        .fetch_all(&self.pool)
        .await?;
        let revoked = |row: RevocationRow| match row {
            (Some(session), None, None) => Ok(Revoked::Session(session)),
            (None, Some(id), Some(below)) => {
                Ok(Revoked::User { id, below_version: u64::try_from(below)? })
            }
            row => bail!("{row:?} is nothing that is revoked"),
        };
        rows.into_iter().map(revoked).collect()
    }
}

/// Session, user, and the version below which the user's access tokens are taken no more.
type RevocationRow = (Option<Uuid>, Option<Uuid>, Option<i64>);

impl InPostgres {
    /// The same store as a process knows it whose claims are under another key.
    fn store_under(&self, key: &ClaimKey) -> Result<Postgres> {
        Ok(instance(&self.world, key, SESSIONS)?.0)
    }

    /// The same store over one session, and that session.
    fn store_of_one_session(&self) -> Result<(Postgres, PgPool)> {
        instance(&self.world, &key(), 1)
    }

    /// The schema of what belongs to persons.
    fn identity_schema(&self) -> String {
        self.world.prefix().underscored("identity")
    }
}

fn instance(world: &World, key: &ClaimKey, sessions: u32) -> Result<(Postgres, PgPool)> {
    let schemas = ["event_store", "identity"].map(|schema| world.prefix().underscored(schema));
    let session = PgConnectOptions::from_str(&world.database_url("command_api")?)?
        .options([("search_path", schemas.join(", ")), ("lock_timeout", "2s".to_owned())]);
    let pool = PgPoolOptions::new().max_connections(sessions).connect_lazy_with(session.clone());
    let store = Postgres::new(pool.clone(), session, "a deployment", &schemas[1], key);
    Ok((store, pool))
}

/// A store that is open.
pub(crate) async fn open(home: &impl Home) -> Result<impl EventStore> {
    let store = home.store();
    let mut outbox = store.own_outbox().await?.context("somebody owns the outbox")?;
    outbox.compared(0, &Ends::new()).await?;
    outbox.rest().await?;
    Ok(store)
}

/// Tests that hold of every store.
macro_rules! of_every_store {
    ($($test:ident)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $test() -> anyhow::Result<()> {
                use $crate::conformance::Home as _;
                super::$test(&$crate::conformance::InMemory::new(stringify!($test)).await?).await
            })*
        }
        mod in_postgres {
            $(#[tokio::test]
            async fn $test() -> anyhow::Result<()> {
                use $crate::conformance::Home as _;
                super::$test(&$crate::conformance::InPostgres::new(stringify!($test)).await?).await
            })*
        }
    };
}
use of_every_store;
