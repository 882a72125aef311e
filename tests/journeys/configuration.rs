//! Wrong settings stop a process before it does anything, and each is named.

use anyhow::{Result, ensure};
use test_support::{Launch, World};

/// `EX_CONFIG` of sysexits.
const WRONG_SETTINGS: i32 = 78;

/// The same process in production, with the secrets that it needs there.
fn in_production(launch: &Launch) -> Launch {
    launch
        .clone()
        .setting("MILLRACE_PROFILE", "production")
        .setting("MILLRACE_TOKEN_SECRET", "0123456789abcdef0123456789abcdef")
        .setting("MILLRACE_SESSION_SECRET", "fedcba9876543210fedcba9876543210")
}

/// What is wrong, in which process, and what the refusal must name.
fn broken(world: &World) -> Result<Vec<(&'static str, Launch, &'static [&'static str])>> {
    let (command_api, query_api, projector) =
        (world.command_api()?, world.query_api()?, world.projector()?);
    Ok(vec![
        (
            "a misspelt name",
            projector.clone().setting("MILLRACE_PROJECTOR_LANE", 2),
            &["MILLRACE_PROJECTOR_LANE ", "MILLRACE_PROJECTOR_LANES"],
        ),
        (
            "a number out of bounds",
            projector.clone().setting("MILLRACE_PROJECTOR_LANES", 0),
            &["MILLRACE_PROJECTOR_LANES", "1 to 64"],
        ),
        (
            "no number",
            query_api.clone().setting("MILLRACE_QUERY_API_MAX_WAIT_MS", "2s"),
            &["MILLRACE_QUERY_API_MAX_WAIT_MS", "milliseconds"],
        ),
        ("a required one is absent", projector.clone().without("DATABASE_URL"), &["DATABASE_URL"]),
        (
            "a URL that is none",
            query_api.clone().setting("DATABASE_URL", "127.0.0.1:5432/appdb"),
            &["DATABASE_URL", "postgres://"],
        ),
        (
            "an unknown word",
            command_api.clone().setting("MILLRACE_PROFILE", "test"),
            &["MILLRACE_PROFILE", "production"],
        ),
        (
            "the dev secret in production",
            in_production(&command_api).setting("JWT_SECRET", "local-dev-secret"),
            &["JWT_SECRET must be absent", "MILLRACE_JWKS_URL"],
        ),
        (
            "any other secret of access tokens in production",
            in_production(&query_api).setting("SECRET_KEY", "0123456789abcdef0123456789abcdef"),
            &["SECRET_KEY must be absent", "MILLRACE_JWKS_URL"],
        ),
        (
            "production without secrets",
            command_api.clone().setting("MILLRACE_PROFILE", "production"),
            &["MILLRACE_TOKEN_SECRET", "MILLRACE_SESSION_SECRET"],
        ),
        (
            "reads in production without a secret",
            query_api.clone().setting("MILLRACE_PROFILE", "production"),
            &["MILLRACE_TOKEN_SECRET"],
        ),
        (
            "logins in production by the secret that all processes have",
            in_production(&command_api).without("MILLRACE_SESSION_SECRET"),
            &["MILLRACE_SESSION_SECRET is required"],
        ),
        (
            "two names of one setting that differ",
            command_api.clone().setting("JWT_SECRET", "one").setting("JWT_SECRET_KEY", "two"),
            &["JWT_SECRET", "JWT_SECRET_KEY"],
        ),
        (
            "limits that contradict each other",
            command_api.clone().setting("MILLRACE_HTTP_MAX_BODY_BYTES", 65_536),
            &["MILLRACE_HTTP_MAX_BODY_BYTES", "MILLRACE_PAYLOAD_MAX_BYTES"],
        ),
        (
            "times that contradict each other",
            projector.clone().setting("MILLRACE_PROJECTOR_LOCK_TIMEOUT_MS", 20_000),
            &["MILLRACE_PROJECTOR_LOCK_TIMEOUT_MS", "MILLRACE_PROJECTOR_TRANSACTION_TIMEOUT_MS"],
        ),
        (
            "an address that is none",
            query_api.clone().setting("MILLRACE_QUERY_API_BIND", "localhost"),
            &["MILLRACE_QUERY_API_BIND"],
        ),
        (
            "a prefix that fits no system",
            projector.clone().setting("MILLRACE_PREFIX", "Acme.EU"),
            &["MILLRACE_PREFIX"],
        ),
        (
            "brokers that are none",
            command_api.clone().setting("KAFKA_BROKERS", "broker"),
            &["KAFKA_BROKERS", "host:port"],
        ),
        (
            "a file that is not there",
            command_api.setting("MILLRACE_JWKS_PATH", "/nowhere/jwks.json"),
            &["MILLRACE_JWKS_PATH", "/nowhere/jwks.json"],
        ),
    ])
}

#[tokio::test]
async fn each_kind_of_wrong_configuration_is_refused_by_name() -> Result<()> {
    let world = World::start("configuration").await?;
    for (what, launch, named) in broken(&world)? {
        for arguments in [&["--check-config"][..], &[]] {
            let output = launch.run(arguments).await?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(
                output.status.code() == Some(WRONG_SETTINGS),
                "{what}: {}: {said}",
                output.status
            );
            for name in named {
                ensure!(said.contains(name), "{what}: {name} is not named: {said}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_right_configuration_is_told_without_its_secrets() -> Result<()> {
    let world = World::start("right_configuration").await?;
    let (command_api, query_api) = (world.command_api()?, world.query_api()?);
    let production = [in_production(&command_api), in_production(&query_api)];
    for launch in production.into_iter().chain([command_api, query_api, world.projector()?]) {
        let output = launch.run(&["--check-config"]).await?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success() && said.starts_with("configuration ok"), "{said}");
        ensure!(said.contains("DATABASE_URL=***"), "{said}");
        ensure!(!said.contains("postgres://"), "a secret is told: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn brokers_without_an_address_stop_the_projector_too() -> Result<()> {
    let world = World::start("projector_brokers").await?;
    let launch = world.projector()?.setting("KAFKA_BROKERS", "broker");
    let output = launch.run(&["--check-config"]).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(WRONG_SETTINGS) && said.contains("KAFKA_BROKERS"),
        "{said}"
    );
    Ok(())
}
