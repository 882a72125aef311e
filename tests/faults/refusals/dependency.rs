//! What a process reaches at its start, and by which settings.

use anyhow::{Context as _, Result, ensure};
use test_support::{Launch, World};

use super::impostors::{Impostor, Impostors};

/// What a process reaches at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dependency {
    Kafka,
    Registry,
    Postgres,
    Redis,
}

impl Dependency {
    /// How the reason is called for which an impostor is not believed. Kafka's client says only that the
    /// certificate is at fault.
    pub(super) fn reason(self, impostor: &Impostor) -> &'static str {
        match self {
            Self::Kafka => "certificate verify failed",
            Self::Registry | Self::Postgres | Self::Redis => impostor.reason,
        }
    }

    /// The setting that says where it is.
    pub(super) fn address_setting(self) -> &'static str {
        match self {
            Self::Kafka => "KAFKA_BROKERS",
            Self::Registry => "SCHEMA_REGISTRY_URL",
            Self::Postgres => "DATABASE_URL",
            Self::Redis => "REDIS_URL",
        }
    }

    /// The same process, but this is elsewhere, over TLS.
    pub(super) fn at(self, launch: Launch, world: &World, address: &str) -> Launch {
        let name = launch.name().replace('-', "_");
        let database = world.database();
        let place = match self {
            Self::Kafka => address.to_owned(),
            Self::Registry => format!("https://{address}/apis/ccompat/v7"),
            Self::Postgres => {
                format!("postgres://{name}:{name}@{address}/{database}?sslmode=verify-full")
            }
            Self::Redis => format!("rediss://{name}:{name}@{address}"),
        };
        launch.setting(self.address_setting(), place)
    }

    /// The same process with this password here.
    pub(super) fn with_password(self, launch: Launch, password: &str) -> Result<Launch> {
        let setting = self.password_setting();
        if matches!(self, Self::Kafka | Self::Registry) {
            return Ok(launch.setting(setting, password));
        }
        let name = launch.name().replace('-', "_");
        let url = launch.settings().find(|(name, _)| name == setting);
        let url = url.with_context(|| format!("{setting} is not set"))?.1;
        let right = format!("{name}:{name}@");
        ensure!(url.contains(&right), "{setting} holds no password");
        Ok(launch.setting(setting, url.replace(&right, &format!("{name}:{password}@"))))
    }

    /// The setting that holds the password.
    pub(super) fn password_setting(self) -> &'static str {
        match self {
            Self::Kafka => "MILLRACE_KAFKA_SASL_PASSWORD",
            Self::Registry => "MILLRACE_SCHEMA_REGISTRY_PASSWORD",
            Self::Postgres | Self::Redis => self.address_setting(),
        }
    }

    /// Where it listens and speaks no TLS, if it says so. A broker hangs up, as one does that is about to
    /// end.
    pub(super) fn without_tls(
        self,
        world: &World,
        impostors: &Impostors,
    ) -> Result<Option<String>> {
        let stack = world.stack();
        Ok(match self {
            Self::Kafka => None,
            Self::Registry => Some(host_and_port(stack.registry_url()?)?),
            Self::Postgres => Some(impostors.without_tls()),
            Self::Redis => Some(host_and_port(stack.redis_url()?)?),
        })
    }
}

fn host_and_port(url: &str) -> Result<String> {
    let (_, rest) = url.split_once("://").context("no URL")?;
    Ok(rest.split('/').next().unwrap_or(rest).to_owned())
}
