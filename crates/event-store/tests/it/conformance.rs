//! What every store does, shown of each.

mod appending;
mod besides;
mod claims;
mod requests;
mod standing;

use std::str::FromStr as _;

use anyhow::{Context as _, Result};
use event_store::memory::Memory;
use event_store::postgres::Postgres;
use event_store::{Ends, EventStore, Outbox as _};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use test_support::World;

use crate::samples::key;

/// A store with what it lives in.
pub(crate) trait Home: Sized {
    type Store: EventStore;

    async fn new(name: &str) -> Result<Self>;

    fn store(&self) -> Self::Store;
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
}

pub(crate) struct InPostgres {
    /// Kept for as long as the store.
    _world: World,
    store: Postgres,
}

impl Home for InPostgres {
    type Store = Postgres;

    async fn new(name: &str) -> Result<Self> {
        let world = World::start(name).await?;
        let store = instance(&world)?;
        Ok(Self { _world: world, store })
    }

    fn store(&self) -> Postgres {
        self.store.clone()
    }
}

fn instance(world: &World) -> Result<Postgres> {
    let schemas = ["event_store", "identity"].map(|schema| world.prefix().underscored(schema));
    let session = PgConnectOptions::from_str(&world.database_url("command_api")?)?
        .options([("search_path", schemas.join(", ")), ("lock_timeout", "2s".to_owned())]);
    let pool = PgPoolOptions::new().max_connections(8).connect_lazy_with(session.clone());
    Ok(Postgres::new(pool, session, "a deployment", &key()))
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
