//! Secrets of the settings: no process tells one, whether it is right, wrong or of no use, and however it was told.
//! That none is told where a dependency refuses it is seen in `faults::refusals`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use settings::Setting;
use test_support::{Launch, World, eventually};

use super::environment::{self, Told, secrets, set, valid};
use super::planted::{Kind, Planted, Search};
use super::talkative;

/// Wrong settings.
const WRONG_SETTINGS: i32 = 78;

fn processes(world: &World) -> Result<[Launch; 3]> {
    Ok([world.command_api()?, world.projector()?, world.query_api()?])
}

/// All that a process prints that says what it would run with, and whether it would run.
async fn checked(launch: &Launch) -> Result<(String, bool)> {
    let output = launch.run(&["--check-config"]).await?;
    let is_known = output.status.success() || output.status.code() == Some(WRONG_SETTINGS);
    ensure!(is_known, "{} ended with {}", launch.name(), output.status);
    let said = [output.stdout, output.stderr].concat();
    Ok((String::from_utf8_lossy(&said).into_owned(), output.status.success()))
}

#[tokio::test]
async fn whoever_says_what_they_would_run_with_tells_no_secret() -> Result<()> {
    let (world, planted) = (World::start("secret_settings").await?, Planted::default());
    let variables = environment::all(&planted);
    let mut search = Search::of(&planted);
    for launch in processes(&world)? {
        for told in [Told::ByVariables, Told::ByFiles] {
            let launch = set(launch.clone(), &variables, told, world.dir())?;
            let (said, is_right) = checked(&launch).await?;
            ensure!(is_right, "{} {told:?}: {said}", launch.name());
            ensure!(
                said.contains("MILLRACE_TOKEN_SECRET=***") || said.contains("DATABASE_URL=***")
            );
            search.look(&format!("{} {told:?}", launch.name()), &said, Kind::ALL);
        }
    }
    search.end().map(drop)
}

/// The variables under one mistake that somebody makes with a secret, and what it is.
fn mistaken(
    right: &BTreeMap<String, String>,
    setting: &Setting,
    text: &str,
) -> Vec<(String, BTreeMap<String, String>)> {
    let mut all = Vec::new();
    let mut mistake = |what: &str, name: &str, value: String| {
        let mut variables = right.clone();
        variables.insert(name.to_owned(), value);
        all.push((format!("{}: {what}", setting.name), variables));
    };
    let name = setting.name;
    mistake("of another form", name, format!("{text} ://\u{1}@:x/?#="));
    mistake("with blanks around it", name, format!(" {} ", valid(setting, text)));
    mistake("cut off", name, valid(setting, text).chars().take(12).collect::<String>() + text);
    for alias in setting.aliases {
        mistake("under two names that differ", alias, valid(setting, text));
    }
    mistake("with a file beside it that is not there", &format!("{name}_FILE"), "/nowhere".into());
    all
}

#[tokio::test]
async fn whoever_is_told_a_secret_in_the_wrong_way_does_not_repeat_it() -> Result<()> {
    let (world, planted) = (World::start("secret_mistakes").await?, Planted::default());
    let right = environment::all(&planted);
    let mut search = Search::of(&planted);
    let mut refused = 0;
    for setting in secrets() {
        let text = planted.secret(&format!("a mistake with {}", setting.name));
        for (what, variables) in mistaken(&right, setting, &text) {
            for launch in processes(&world)? {
                let launch = set(launch, &variables, Told::ByVariables, world.dir())?;
                let (said, is_right) = checked(&launch).await?;
                refused += usize::from(!is_right);
                search.look(&format!("{}, {what},", launch.name()), &said, Kind::ALL);
            }
        }
    }
    ensure!(refused > secrets().count(), "only {refused} mistakes are refused");
    search.end().map(drop)
}

#[tokio::test]
async fn whoever_reaches_nothing_tells_no_secret_while_it_tries() -> Result<()> {
    let (world, planted) = (World::start("secret_away").await?, Planted::default());
    let variables = environment::all(&planted);
    let mut search = Search::of(&planted);
    for told in [Told::ByVariables, Told::ByFiles] {
        let [command_api, projector, query_api] = processes(&world)?;
        let start = async |launch: Launch| {
            talkative(set(launch, &variables, told, world.dir())?).start().await
        };
        let processes = tokio::try_join!(start(command_api), start(projector), start(query_api))?;
        for process in [processes.0, processes.1, processes.2] {
            process.not_ready(&[]).await?;
            eventually("it has told what it tries", async || {
                let log = process.log()?;
                ensure!(log.lines().count() > 20, "it says {log}");
                Ok(())
            })
            .await?;
            let name = format!("a process that is told {told:?}");
            search.look(&format!("the log of {name}"), &process.log()?, Kind::ALL);
            for path in ["/health/ready", "/health/live", "/metrics"] {
                let answer = process.get(path).await.with_context(|| name.clone())?;
                search.look(&format!("{path} of {name}"), &answer.text, Kind::ALL);
            }
        }
    }
    search.end().map(drop)
}
