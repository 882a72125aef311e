//! What processes run with, printed for whoever looks for a fault.

use std::fmt::Debug;

use anyhow::{Context as _, Result, ensure};
use settings::Settings;
use telemetry::{LogConfig, TraceConfig};

use super::environment;
use super::planted::{Kind, Planted, Search};

/// Something that may or may not be printable.
struct Printed<'a, T>(&'a T);

impl<T: Debug> Printed<'_, T> {
    fn text(&self) -> String {
        format!("{:?}\n{:#?}\n", self.0, self.0)
    }
}

/// What cannot be printed tells nothing: the method above is not there for it, so that this one is taken.
trait TellsNothing {
    fn text(&self) -> String {
        String::new()
    }
}

impl<T> TellsNothing for Printed<'_, T> {}

/// All that is told by printing these.
macro_rules! printed {
    ($($value:expr),* $(,)?) => { [$(Printed(&$value).text()),*].concat() };
}

/// What each process reads from these variables.
struct Configurations {
    command_api: command_api::Config,
    projector: projector::Config,
    query_api: query_api::Config,
    traces: TraceConfig,
    log: LogConfig,
}

fn read<T>(
    planted: &Planted,
    read: impl FnOnce(&mut Settings) -> T,
) -> Result<T, settings::SettingsError> {
    let mut settings = Settings::new(environment::all(planted));
    let value = read(&mut settings);
    settings.finish(value)
}

impl Configurations {
    fn of(planted: &Planted) -> Result<Self> {
        Ok(Self {
            command_api: read(planted, command_api::Config::from_settings)?,
            projector: read(planted, projector::Config::from_settings)?,
            query_api: read(planted, query_api::Config::from_settings)?,
            traces: read(planted, TraceConfig::from_settings)?.context("nothing is traced")?,
            log: read(planted, |settings| LogConfig::from_settings(settings, "a-process"))?,
        })
    }
}

/// Every part, so that a new one does not go unseen.
fn of_command_api(config: &command_api::Config) -> String {
    let command_api::Config {
        http,
        access,
        access_tokens,
        token_key,
        producer,
        database,
        report,
        decisions,
        passwords,
        second_factors,
        registrations,
        sessions,
        refresh_tokens,
        mail,
        mail_link_key,
        rate_limits,
        redis,
        prefix,
        drain_timeout,
    } = config;
    let parts = printed!(
        http,
        access,
        access_tokens,
        token_key,
        producer,
        database,
        report,
        passwords,
        second_factors,
        registrations,
        sessions,
        refresh_tokens,
        mail,
        mail_link_key,
        rate_limits,
        redis,
        prefix,
        drain_timeout,
    );
    parts + &printed!(*config, *decisions, decisions.store, decisions.claim_key)
}

fn of_projector(config: &projector::Config) -> String {
    let projector::Config { http, projections, drain_timeout } = config;
    let runners = projections.configs().map(|runner| {
        printed!(
            *runner,
            runner.consumer,
            runner.notices,
            runner.database,
            runner.registry,
            runner.cache,
            runner.batch,
        )
    });
    let runners: String = runners.collect();
    printed!(*config, *http, *projections, *drain_timeout) + &runners
}

/// Parts of it are its own, so that it has to print them itself: all of them.
fn of_query_api(config: &query_api::Config) -> String {
    format!("{config:?}\n{config:#?}\n")
}

#[test]
fn no_configuration_prints_a_secret() -> Result<()> {
    let planted = Planted::default();
    let configurations = Configurations::of(&planted)?;
    let Configurations { command_api, projector, query_api, traces, log } = &configurations;
    let mut search = Search::of(&planted);
    for (process, printed) in [
        ("command-api", of_command_api(command_api)),
        ("projector", of_projector(projector)),
        ("query-api", of_query_api(query_api)),
        ("any process", printed!(*traces, *log)),
    ] {
        ensure!(!printed.is_empty(), "nothing of {process} can be printed");
        search.look(&format!("what {process} runs with, printed,"), &printed, Kind::ALL);
    }
    search.end().map(drop)
}

#[test]
fn what_can_be_printed_is_and_what_cannot_tells_nothing() {
    struct Unprintable;
    assert_eq!(printed!("a", 7), "\"a\"\n\"a\"\n7\n7\n");
    assert_eq!(printed!(Unprintable), "");
}
