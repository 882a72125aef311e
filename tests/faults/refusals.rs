//! Who is refused at its start for a reason that waiting does not mend says which settings to look at, and
//! ends, unless it is the registry that refuses. What is merely away ends nobody.

mod dependency;
mod impostors;

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use test_support::{
    Launch, Opening, RegistryAnswer, StubRegistry, TlsServer, World, a_report, eventually,
};
use tokio::task::JoinSet;
use xtask::stack::pki::{Authority, Validity};

use dependency::Dependency::{self, Kafka, Postgres, Redis, Registry};
use impostors::Impostors;

/// What no log may hold.
const WRONG: &str = "not-the-password-hunter2";

/// Longer than a process asks at its start.
const ASKED: Duration = Duration::from_secs(12);

/// What a process says that is refused.
const ENDS: &str = "the process is refused and ends";
const REFUSED_BY_REGISTRY: &str = "the schema registry refuses the process";

/// One way to be refused.
struct Refusal {
    what: String,
    launch: Launch,
    /// What is to be named.
    setting: &'static str,
    /// A word of the reason, which messages of another kind lack.
    reason: &'static str,
}

impl Refusal {
    /// It must be told in one line, with the setting and the reason, and without the password.
    fn must_be_told(&self, said: &str, line: &str) -> Result<()> {
        let Self { what, setting, reason, .. } = self;
        let told: Vec<&str> = said.lines().filter(|it| it.contains(line)).collect();
        let [told] = told[..] else { bail!("{what}: it is told {} times: {said}", told.len()) };
        ensure!(told.contains(r#""level":"ERROR""#), "{what}: no error: {told}");
        ensure!(told.contains(setting), "{what}: {setting} is not named: {told}");
        ensure!(told.contains(reason), "{what}: {reason} is not named: {told}");
        ensure!(!said.contains(WRONG), "{what}: a password is told: {said}");
        Ok(())
    }
}

/// Each way to be refused by a dependency. All else is as it should be.
fn refusals(
    world: &World,
    impostors: &Impostors,
    launch: &Launch,
    dependency: Dependency,
) -> Result<Vec<Refusal>> {
    let right = world
        .secured(launch.clone())?
        .setting("MILLRACE_TLS_CA_PATH", impostors.authorities().display())
        // Of several authorities Postgres' client takes the first, unless OpenSSL is told of all.
        .setting("SSL_CERT_FILE", impostors.authorities().display());
    let refusal = |what: &str, launch: Launch, setting, reason| Refusal {
        what: format!("{}, {dependency:?}: {what}", launch.name()),
        launch,
        setting,
        reason,
    };
    let elsewhere = |what: &str, address: &str, reason| {
        let launch = dependency.at(right.clone(), world, address);
        refusal(what, launch, dependency.address_setting(), reason)
    };
    let wrong_password = dependency.with_password(right.clone(), WRONG)?;
    let setting = dependency.password_setting();
    let mut refusals = vec![refusal("a wrong password", wrong_password, setting, "password")];
    if let Some(without_tls) = dependency.without_tls(world, impostors)? {
        refusals.push(elsewhere("a port without TLS", &without_tls, "TLS"));
    }
    for impostor in impostors.certified() {
        let reason = dependency.reason(impostor);
        refusals.push(elsewhere(impostor.what, &impostor.address(dependency), reason));
    }
    Ok(refusals)
}

/// It must end in time, with a code that says so and one line that says why.
async fn must_end(refusal: Refusal) -> Result<()> {
    let output = refusal.launch.run(&[]).await.with_context(|| refusal.what.clone())?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(!output.status.success(), "{}: {}: {said}", refusal.what, output.status);
    refusal.must_be_told(&said, ENDS)
}

/// Every way to be refused by these, some at a time.
async fn must_be_refused(world: &World, launch: Launch, dependencies: &[Dependency]) -> Result<()> {
    const AT_ONCE: usize = 4;
    let impostors = Impostors::start(world, launch.name()).await?;
    let (mut all, mut running) = (Vec::new(), JoinSet::new());
    for dependency in dependencies {
        all.extend(refusals(world, &impostors, &launch, *dependency)?);
    }
    for refusal in all {
        if running.len() == AT_ONCE {
            running.join_next().await.context("nothing runs")???;
        }
        running.spawn(must_end(refusal));
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

#[tokio::test]
async fn a_command_api_that_is_refused_ends_and_names_the_setting() -> Result<()> {
    let world = World::start("refused_command_api").await?;
    must_be_refused(&world, world.command_api()?, &[Kafka, Postgres]).await
}

#[tokio::test]
async fn a_query_api_that_is_refused_ends_and_names_the_setting() -> Result<()> {
    let world = World::start("refused_query_api").await?;
    must_be_refused(&world, world.query_api()?, &[Postgres, Redis]).await
}

#[tokio::test]
async fn a_projector_that_is_refused_ends_and_names_the_setting() -> Result<()> {
    let world = World::start("refused_projector").await?;
    must_be_refused(&world, world.projector()?, &[Kafka, Postgres, Redis]).await
}

#[tokio::test]
async fn a_projector_that_the_registry_refuses_names_the_setting_and_folds_what_it_knows()
-> Result<()> {
    let world = World::start("refused_by_registry").await?;
    let impostors = Impostors::start(&world, "projector").await?;
    for refusal in refusals(&world, &impostors, &world.projector()?, Registry)? {
        let mut projector = refusal.launch.start().await?;
        projector.not_ready(&["schema registry", refusal.setting]).await?;
        world.log()?.append([a_report("device-1")]).await?;
        world.level().await.with_context(|| refusal.what.clone())?;
        refusal.must_be_told(&projector.log()?, REFUSED_BY_REGISTRY)?;
        ensure!(projector.terminate().await?.success(), "{}: it ends badly", refusal.what);
    }
    Ok(())
}

#[tokio::test]
async fn a_projector_is_ready_once_the_registry_refuses_it_no_more() -> Result<()> {
    let world = World::start("refused_for_a_while").await?;
    let stub = StubRegistry::start(RegistryAnswer::Status(401)).await?;
    let projector = world
        .projector()?
        .setting("SCHEMA_REGISTRY_URL", stub.url())
        .setting("MILLRACE_SCHEMA_REGISTRY_USERNAME", "projector")
        .setting("MILLRACE_SCHEMA_REGISTRY_PASSWORD", "projector")
        .start()
        .await?;
    let refused = ["schema registry", "MILLRACE_SCHEMA_REGISTRY_PASSWORD"];
    projector.not_ready(&refused).await?;
    // One that cannot answer takes nothing back.
    stub.set(RegistryAnswer::Status(503));
    let before = stub.asked();
    eventually("it has asked twice more", async || {
        ensure!(stub.asked() > before + 1, "it asked {} times", stub.asked() - before);
        Ok(())
    })
    .await?;
    projector.not_ready(&refused).await?;
    stub.set(RegistryAnswer::Status(200));
    projector.ready().await
}

#[tokio::test]
async fn what_is_away_ends_no_process() -> Result<()> {
    let world = World::start("away").await?;
    let certified = Authority::new()?.certify(&["localhost"], Validity::Current)?;
    let hanging_up = TlsServer::start(&certified, Opening::HangUp).await?;
    let postgres_hanging_up = TlsServer::start(&certified, Opening::PostgresHangUp).await?;
    let nobody = "localhost:1".to_owned();
    // Where everything is, and where Postgres is.
    let ways = [
        (nobody.clone(), nobody),
        (hanging_up.address(), hanging_up.address()),
        (hanging_up.address(), postgres_hanging_up.address()),
    ];
    let mut running = Vec::new();
    for (everything, database) in ways {
        let away = |launch: Launch| {
            let mut launch = world.secured(launch)?;
            for dependency in [Kafka, Registry, Redis] {
                launch = dependency.at(launch, &world, &everything);
            }
            anyhow::Ok(Postgres.at(launch, &world, &database))
        };
        let command_api = away(world.command_api()?)?;
        let query_api = away(world.query_api()?)?;
        let projector = away(world.projector()?)?;
        let (command_api, query_api, projector) =
            tokio::try_join!(command_api.start(), query_api.start(), projector.start())?;
        running.extend([command_api, query_api, projector]);
    }
    // Nobody may end in the time in which whoever is refused does.
    tokio::time::sleep(ASKED).await;
    for process in &running {
        let said = process.log()?;
        let is_refused = said.contains(ENDS) || said.contains(REFUSED_BY_REGISTRY);
        ensure!(!is_refused, "what is away is said to refuse: {said}");
        let live = process.get("/health/live").await.context(said)?;
        ensure!(live.status == 200, "it answers {live}");
    }
    Ok(())
}
