//! All processes of a deployment with a cache: two projectors and two query-apis, each with a link
//! of its own to a Redis of their own.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use test_support::{Launch, Proxy, RedisServer, Running, World, eventually};

/// Redis is full with this.
pub(super) const MEMORY: &str = "16mb";

/// Fields are dropped in this order: processes before what they stand on.
#[derive(Debug)]
pub(super) struct Deployment {
    pub(super) projectors: [Linked; 2],
    pub(super) query_apis: [Linked; 2],
    pub(super) command_api: Running,
    pub(super) redis: RedisServer,
    pub(super) world: World,
}

/// A process and its link to Redis.
#[derive(Debug)]
pub(super) struct Linked {
    pub(super) running: Running,
    pub(super) link: Proxy,
    pub(super) launch: Launch,
}

impl Deployment {
    /// Starts everything and waits until both projectors own partitions.
    pub(super) async fn start(name: &str) -> Result<Self> {
        let world = World::start(name).await?;
        let redis = RedisServer::start(&["--maxmemory", MEMORY]).await?;
        // Without names of their own: a named one that is killed while it hands partitions over gets
        // its others back at once, and nobody is told of those.
        let projector = || Ok::<_, anyhow::Error>(world.projector()?.without("MILLRACE_INSTANCE"));
        // A version has one body, for as long as nobody is silent for too long.
        let never = 365 * 24 * 3_600_000_u64;
        let query_api = || {
            Ok::<_, anyhow::Error>(world.query_api()?.setting("MILLRACE_OFFLINE_AFTER_MS", never))
        };
        let (first, second, third, fourth, command_api) = tokio::try_join!(
            Linked::start(&redis, projector()?),
            Linked::start(&redis, projector()?),
            Linked::start(&redis, query_api()?),
            Linked::start(&redis, query_api()?),
            async { world.command_api()?.start().await },
        )?;
        let (projectors, query_apis) = ([first, second], [third, fourth]);
        for process in projectors.iter().chain(&query_apis) {
            process.running.ready().await?;
        }
        command_api.ready().await?;
        let deployment = Self { projectors, query_apis, command_api, redis, world };
        deployment.shared().await?;
        Ok(deployment)
    }

    /// Both projectors own partitions.
    async fn shared(&self) -> Result<()> {
        eventually("both projectors own partitions", async || {
            let owners = self.world.owners().await?;
            let names: BTreeSet<&str> = owners.values().map(String::as_str).collect();
            ensure!(names.len() == 2 && !names.contains(""), "they belong to {owners:?}");
            Ok(())
        })
        .await
    }
}

impl Linked {
    async fn start(redis: &RedisServer, launch: Launch) -> Result<Self> {
        let link = Proxy::start(&redis.address().to_string()).await?;
        let launch = launch.setting("REDIS_URL", format!("redis://{}", link.address()));
        let running = launch.start().await?;
        Ok(Self { running, link, launch })
    }
}
