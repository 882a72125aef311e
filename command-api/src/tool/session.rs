//! What a tool works with: the store, and what was deployed.

use std::sync::Arc;
use std::time::Duration;

use event_store::postgres::Postgres;
use event_store::publications::Publications;
use lifecycle::Process as _;
use read_cache::CacheConfig;
use settings::{Settings, SettingsError, table};

use super::ToolError;
use crate::database::TOOL_CONNECT_TIMEOUT;
use crate::decision::{Commands, Deciding};
use crate::deployment::{Deployed, Known};
use crate::{App, Config, deciding, deployment};

/// The process' configuration, and the store that it names.
pub(super) struct Session {
    pub(super) config: Config,
    pub(super) store: Postgres,
    /// How Redis is reached, which the process itself does without; `None` where nobody has said it.
    pub(super) cache: Option<CacheConfig>,
    /// The password of an admin who is to be registered, where it is not to be made.
    pub(super) admin_password: Option<String>,
}

impl Session {
    pub(super) fn from_settings(mut settings: Settings) -> Result<Self, SettingsError> {
        let config = App::config(&mut settings);
        let cache = CacheConfig::from_settings(&mut settings);
        let mut read = settings.effective().iter();
        let is_said = read.any(|e| e.setting.name == table::REDIS_URL.name && !e.is_default);
        let cache = is_said.then_some(cache);
        let admin_password = settings.optional_text(&table::ADMIN_PASSWORD);
        settings.finish(config).map(|config| Self {
            store: deciding::store(&config, TOOL_CONNECT_TIMEOUT),
            config,
            cache,
            admin_password,
        })
    }

    /// What was deployed.
    pub(super) async fn deployed(&self) -> Result<Deployed, ToolError> {
        let config = &self.config;
        deployment::recorded(&config.database, &config.prefix)
            .await
            .map_err(ToolError::failed("reading what was deployed"))
    }

    /// Makes decisions, which a running command-api publishes.
    pub(super) async fn commands(&self) -> Result<Commands<Postgres>, ToolError> {
        let config = &self.config;
        Ok(Commands::new(Deciding {
            store: self.store.clone(),
            publications: Publications::default(),
            known: Known::new(self.deployed().await?),
            claim_key: config.decisions.claim_key.clone(),
            token_key: config.token_key.clone(),
            claim_term: config.decisions.claim_term,
            revocations_hold: config.access_tokens.revocations_hold(),
            wait: Duration::ZERO,
            log_is_away: Arc::new(|| false),
        }))
    }
}
