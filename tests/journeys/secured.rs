//! The way of an event where everything asks for TLS and for a name, as Confluent Cloud and AWS do, and
//! secrets come from files. With `SECURED=1` all journeys go this way, by SCRAM.

use anyhow::{Context as _, Result, ensure};
use test_support::{Launch, Spine, World};

/// What is a secret, of all processes.
const SECRETS: [&str; 4] = [
    "DATABASE_URL",
    "REDIS_URL",
    "MILLRACE_KAFKA_SASL_PASSWORD",
    "MILLRACE_SCHEMA_REGISTRY_PASSWORD",
];

/// The same process, with each secret in a file of its own.
fn with_secret_files(mut launch: Launch, world: &World) -> Result<Launch> {
    for secret in SECRETS {
        let value = launch.settings().find(|(name, _)| name == secret);
        let value = value.with_context(|| format!("{secret} is not set"))?.1;
        let file = world.dir().join(format!("{}-{secret}", launch.name()));
        std::fs::write(&file, value + "\n").with_context(|| format!("writing {secret}"))?;
        launch = launch.without(secret).setting(&format!("{secret}_FILE"), file.display());
    }
    Ok(launch)
}

#[tokio::test]
async fn an_event_travels_over_tls_and_under_names_whose_passwords_are_in_files() -> Result<()> {
    let world = World::start("secret_files").await?;
    let secured = |launch: Launch| {
        let launch = world.secured(launch)?.setting("MILLRACE_KAFKA_SASL_MECHANISM", "PLAIN");
        with_secret_files(launch, &world)
    };
    let [command_api, projector, query_api] = [
        secured(world.command_api()?)?,
        secured(world.projector()?)?,
        secured(world.query_api()?)?,
    ];
    let Spine { caller, .. } = &Spine::start_with(command_api, projector, query_api).await?;
    let posted = caller.report("device-1", r#"{"status":"ok"}"#).await?;
    ensure!(posted.status == 202, "{posted}");
    let read = caller.read_after(&posted, "device-1").await?;
    ensure!(read.status == 200 && read.json()?["payload"]["status"] == "ok", "{read}");
    Ok(())
}
