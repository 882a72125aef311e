//! The schema registry, with its store on disk: in memory it would hand out the same ids anew.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Stack;
use super::ports::Listener;
use super::process::{Process, Program, StopSignal, Tier};
use super::ready::Probe;

/// The Confluent REST API of the registry, under its port.
pub(crate) const API_PATH: &str = "/apis/ccompat/v7";

/// The process.
pub(crate) fn process(stack: &Stack) -> Result<Process> {
    let port = stack.ports.of(Listener::Registry);
    let dir = stack.parts.registry();
    let jar = std::fs::read_dir(&dir)
        .context("looking for the registry")?
        .flatten()
        .map(|file| file.path())
        .find(|path| path.to_string_lossy().ends_with("-runner.jar"))
        .context("the registry's package holds no runner jar")?;
    let store = stack.local.data().join("registry/store");
    let args = [
        "-Xmx320m".to_owned(),
        "-XX:+UseSerialGC".to_owned(),
        "-Dquarkus.http.host=127.0.0.1".to_owned(),
        format!("-Dquarkus.http.port={port}"),
        "-jar".to_owned(),
        jar.display().to_string(),
    ];
    Ok(Process {
        name: "registry".to_owned(),
        program: Program {
            path: "java".into(),
            args: args.into(),
            env: vec![(
                "REGISTRY_DATASOURCE_URL".to_owned(),
                format!("jdbc:h2:file:{}", store.display()),
            )],
            dir,
        },
        ports: vec![port],
        probe: Probe::Http { port, path: format!("{API_PATH}/subjects") },
        start_budget: Duration::from_secs(60),
        stop_signal: StopSignal::Term,
        stop_budget: Duration::from_secs(15),
        tier: Tier::Infrastructure,
        files: Vec::new(),
    })
}
