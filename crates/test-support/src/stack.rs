//! Where the stack is.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

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
        Ok(format!("postgres://{role}:{role}@{}/{database}", self.database_address()?))
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

    fn variable(&self, name: &str) -> Result<&str> {
        self.variables.get(name).map(String::as_str).with_context(|| format!("{name} is not set"))
    }
}
