//! Where the stack is.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use xtask::stack::rights::Givers;

/// The addresses of a running stack, as `.local/env` names them.
#[derive(Debug, Clone)]
pub struct Stack {
    variables: BTreeMap<String, String>,
}

impl Stack {
    /// The stack that the environment names.
    ///
    /// # Errors
    /// The environment names none: the test was started by itself.
    pub fn from_env() -> Result<Self> {
        let stack = Self { variables: std::env::vars().collect() };
        let needed = ["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL", "DATABASE_URL", "REDIS_URL"];
        let missing: Vec<_> =
            needed.into_iter().filter(|name| !stack.variables.contains_key(*name)).collect();
        if !missing.is_empty() {
            bail!(
                "{} not set: this test needs the stack. Run `make test`, or `make up` and then \
                 `. .local/env` before `cargo test`",
                missing.join(", ")
            );
        }
        Ok(stack)
    }

    /// The stack that an env file names.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn from_env_file(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let variables = text.lines().filter_map(|line| {
            let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
            Some((name.to_owned(), value.trim_matches('\'').to_owned()))
        });
        Ok(Self { variables: variables.collect() })
    }

    /// The brokers.
    ///
    /// # Errors
    /// Not named.
    pub fn brokers(&self) -> Result<&str> {
        self.variable("KAFKA_BROKERS")
    }

    /// The schema registry's Confluent REST API.
    ///
    /// # Errors
    /// Not named.
    pub fn registry_url(&self) -> Result<&str> {
        self.variable("SCHEMA_REGISTRY_URL")
    }

    /// The cache.
    ///
    /// # Errors
    /// Not named.
    pub fn redis_url(&self) -> Result<&str> {
        self.variable("REDIS_URL")
    }

    /// The URL under which a role reaches a database.
    ///
    /// # Errors
    /// `DATABASE_URL` is not `postgres://user:password@host:port/database`.
    pub fn database_url(&self, role: &str, database: &str) -> Result<String> {
        // Each role of a local stack has its name as password.
        let address = self.database_address()?;
        Ok(format!("postgres://{role}:{role}@{address}/{database}?sslmode=disable"))
    }

    /// What a process is told of the stack: addresses, without TLS and without a name but at the
    /// database, where it has a role.
    ///
    /// # Errors
    /// An address is not named.
    pub(crate) fn plain(&self, role: &str, database: &str) -> Result<Surroundings> {
        Ok(named([
            ("KAFKA_BROKERS", self.brokers()?.to_owned()),
            ("SCHEMA_REGISTRY_URL", self.registry_url()?.to_owned()),
            ("REDIS_URL", self.redis_url()?.to_owned()),
            ("DATABASE_URL", self.database_url(role, database)?),
        ]))
    }

    /// What a process is told of the stack that reaches all of it over TLS and under its name, which
    /// is its password too; at the database, in a role.
    ///
    /// # Errors
    /// An address is not named: the stack is older than its secured listeners.
    pub(crate) fn secured(&self, name: &str, role: &str, database: &str) -> Result<Surroundings> {
        let (_, port) =
            self.database_address()?.rsplit_once(':').context("an address of no port")?;
        let redis = self.variable("SECURED_REDIS")?;
        Ok(named([
            ("MILLRACE_TLS_CA_PATH", self.variable("SECURED_CA_PATH")?.to_owned()),
            ("KAFKA_BROKERS", self.variable("SECURED_KAFKA_BROKERS")?.to_owned()),
            ("MILLRACE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL".to_owned()),
            ("MILLRACE_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512".to_owned()),
            ("MILLRACE_KAFKA_SASL_USERNAME", name.to_owned()),
            ("MILLRACE_KAFKA_SASL_PASSWORD", name.to_owned()),
            ("SCHEMA_REGISTRY_URL", self.variable("SECURED_SCHEMA_REGISTRY_URL")?.to_owned()),
            ("MILLRACE_SCHEMA_REGISTRY_USERNAME", name.to_owned()),
            ("MILLRACE_SCHEMA_REGISTRY_PASSWORD", name.to_owned()),
            ("REDIS_URL", format!("rediss://{name}:{name}@{redis}")),
            (
                "DATABASE_URL",
                format!("postgres://{role}:{role}@localhost:{port}/{database}?sslmode=verify-full"),
            ),
        ]))
    }

    /// Where names are given their rights.
    ///
    /// # Errors
    /// An address is not named.
    pub(crate) fn givers(&self) -> Result<Givers> {
        let port = |address: &str| {
            let port = address.rsplit_once(':').map(|(_, port)| port.trim_end_matches('/'));
            port.and_then(|port| port.parse().ok())
                .with_context(|| format!("{address} has no port"))
        };
        Ok(Givers { kafka: port(self.brokers()?)?, redis: port(self.redis_url()?)? })
    }

    /// Whether the environment asks for tests whose processes reach the stack over TLS and by name.
    pub(crate) fn is_to_be_secured(&self) -> bool {
        self.variables.get("SECURED").is_some_and(|value| value == "1")
    }

    /// Where Postgres listens, `host:port`.
    ///
    /// # Errors
    /// `DATABASE_URL` is not `postgres://user:password@host:port/database`.
    pub fn database_address(&self) -> Result<&str> {
        let url = self.variable("DATABASE_URL")?;
        let after_role = url.split_once('@').map(|(_, rest)| rest);
        after_role
            .and_then(|rest| rest.split_once('/'))
            .map(|(address, _)| address)
            .context("DATABASE_URL is not postgres://user:password@host:port/database")
    }

    /// What the environment calls something.
    ///
    /// # Errors
    /// Not named.
    pub fn variable(&self, name: &str) -> Result<&str> {
        self.variables.get(name).map(String::as_str).with_context(|| format!("{name} is not set"))
    }
}

/// Settings by name.
pub(crate) type Surroundings = BTreeMap<String, String>;

fn named<const N: usize>(settings: [(&str, String); N]) -> Surroundings {
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
