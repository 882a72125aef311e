//! The schema registry, asked only what an id means that nobody here has seen.
//!
//! The cache is ours: an answer holds for ever, a definite "no such id" for half a minute, any
//! other failure for a second, so that a hiccup of the registry never looks like poison. One id is
//! asked for by one task at a time; the others wait for its answer.

mod probe;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_schema_by_id};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RawError, RegisteredSchema, SchemaType};
use settings::{Authorities, Settings, table, without_userinfo};
use tokio::time::Instant;

pub use probe::{Refused, Reply};

/// How long a definite "no such id" holds.
const UNKNOWN_HOLDS: Duration = Duration::from_secs(30);
/// How long any other failure holds.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);
/// Ids remembered before lapsed ones are forgotten.
const FORGET_ABOVE: usize = 1024;
/// The Confluent API's code for "no such schema". Other 404s come from a wrong address.
const SCHEMA_NOT_FOUND: u32 = 40403;

/// How to reach the registry. Printed without user and password.
#[derive(Clone)]
pub struct RegistryConfig {
    /// The Confluent REST API.
    pub url: String,
    /// Longest time for one answer.
    pub timeout: Duration,
    /// Who we are, if it asks.
    pub credentials: Option<Credentials>,
    /// The authorities that are believed; `None` means those of the system.
    pub authorities: Option<Authorities>,
}

/// A name and its password.
#[derive(Clone)]
pub struct Credentials {
    /// The name.
    pub username: String,
    /// The password, which is never shown.
    pub password: String,
}

/// What an id stands for, as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredText {
    /// The schema's text.
    pub text: String,
    /// Whether it is Avro; registries hold other kinds as well.
    pub is_avro: bool,
}

/// Why the registry did not say what an id means.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FetchError {
    /// The registry answers, and has no such id: the value that carries it is at fault.
    #[error("the schema registry knows no schema id {0}")]
    UnknownId(u32),
    /// No usable answer; waiting helps, the value is not at fault.
    #[error("the schema registry did not say what schema id {id} means")]
    Unavailable {
        /// The id asked for.
        id: u32,
        /// What went wrong.
        #[source]
        source: SRCError,
    },
}

impl FetchError {
    /// Whether asking again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    fn holds(&self) -> Duration {
        if self.is_transient() { FAILURE_HOLDS } else { UNKNOWN_HOLDS }
    }
}

/// The registry's client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RegistryConfigError {
    /// The client does not take its settings.
    #[error("the schema registry's client could not be created")]
    Client(#[source] SRCError),
    /// The authorities cannot be used.
    #[error("{} cannot be used", settings::table::TLS_CA_PATH.name)]
    Authorities(#[source] reqwest::Error),
}

/// The registry and what it has said.
pub struct Registry {
    settings: SrSettings,
    slots: Mutex<HashMap<u32, Arc<Slot>>>,
}

/// What was said of one id; locked by the task that asks.
type Slot = tokio::sync::Mutex<Option<Answer>>;

#[derive(Debug)]
struct Answer {
    result: Result<RegisteredText, FetchError>,
    /// `None` for ever.
    until: Option<Instant>,
}

impl RegistryConfig {
    /// Reads where the registry is.
    pub fn from_settings(settings: &mut Settings) -> Self {
        let url = settings.text(&table::SCHEMA_REGISTRY_URL);
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            settings.fault(format!(
                "{} must begin with http:// or https://",
                table::SCHEMA_REGISTRY_URL.name
            ));
        }
        let username = settings.optional_text(&table::SCHEMA_REGISTRY_USERNAME);
        let password = settings.optional_text(&table::SCHEMA_REGISTRY_PASSWORD);
        if username.is_some() != password.is_some() {
            settings.fault(format!(
                "{} and {} are set together or not at all",
                table::SCHEMA_REGISTRY_USERNAME.name,
                table::SCHEMA_REGISTRY_PASSWORD.name
            ));
        }
        let credentials =
            username.zip(password).map(|(username, password)| Credentials { username, password });
        let authorities = Authorities::from_settings(settings);
        Self { credentials, authorities, ..Self::open(&url) }
    }

    /// A registry that asks for no name.
    pub fn open(url: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            timeout: Duration::from_secs(2),
            credentials: None,
            authorities: None,
        }
    }

    /// The HTTP client's settings: short waits, and the authorities that are believed.
    ///
    /// # Errors
    /// The authorities are no certificates.
    pub fn client(&self) -> Result<reqwest::ClientBuilder, reqwest::Error> {
        let client = reqwest::Client::builder().connect_timeout(self.timeout / 2);
        let Some(authorities) = &self.authorities else { return Ok(client) };
        let certificates = authorities
            .certificates()
            .map(|pem| reqwest::Certificate::from_pem(pem.as_bytes()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(client.tls_certs_only(certificates))
    }
}

impl RegistryConfig {
    /// Says who we are, if the registry asks.
    pub fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.credentials {
            Some(Credentials { username, password }) => {
                request.basic_auth(username, Some(password))
            }
            None => request,
        }
    }
}

impl fmt::Debug for RegistryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryConfig")
            .field("url", &without_userinfo(&self.url))
            .field("timeout", &self.timeout)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

/// Its client keeps the address as it was set.
impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Registry {
    /// A client; nothing is asked yet.
    pub fn new(config: &RegistryConfig) -> Result<Self, RegistryConfigError> {
        let client = config.client().map_err(RegistryConfigError::Authorities)?;
        let mut builder = SrSettings::new_builder(config.url.clone());
        builder.set_timeout(config.timeout).no_proxy();
        if let Some(Credentials { username, password }) = &config.credentials {
            builder.set_basic_authorization(username, Some(password));
        }
        let settings = builder.build_with(client).map_err(RegistryConfigError::Client)?;
        Ok(Self { settings, slots: Mutex::default() })
    }

    /// What an id stands for.
    pub async fn fetch(&self, id: u32) -> Result<RegisteredText, FetchError> {
        let slot = self.slot(id);
        let mut answer = slot.lock().await;
        if let Some(known) = answer.as_ref().filter(|known| known.holds(Instant::now())) {
            return known.result.clone();
        }
        let result = self.ask(id).await;
        let until = result.as_ref().err().map(|error| Instant::now() + error.holds());
        *answer = Some(Answer { result: result.clone(), until });
        result
    }

    fn slot(&self, id: u32) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if slots.len() >= FORGET_ABOVE {
            let now = Instant::now();
            slots.retain(|_, slot| {
                // A locked slot is being asked for.
                slot.try_lock().map_or(true, |a| a.as_ref().is_some_and(|a| a.holds(now)))
            });
        }
        Arc::clone(slots.entry(id).or_default())
    }

    /// Asks without the converter's own cache, which keeps one bad answer for ever.
    async fn ask(&self, id: u32) -> Result<RegisteredText, FetchError> {
        if id > LARGEST_ID {
            return Err(FetchError::UnknownId(id));
        }
        match get_schema_by_id(id, &self.settings).await {
            Ok(RegisteredSchema { schema, schema_type, .. }) => {
                Ok(RegisteredText { text: schema, is_avro: schema_type == SchemaType::Avro })
            }
            Err(error) if is_not_found(&error) => Err(FetchError::UnknownId(id)),
            Err(source) => Err(FetchError::Unavailable { id, source }),
        }
    }
}

impl Answer {
    fn holds(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl RegisteredText {
    /// The record's full name, or `None` where the text is no Avro record.
    pub fn record_name(&self) -> Option<String> {
        if !self.is_avro {
            return None;
        }
        let schema: serde_json::Value = serde_json::from_str(&self.text).ok()?;
        let text = |member: &str| schema.get(member).and_then(serde_json::Value::as_str);
        if text("type") != Some("record") {
            return None;
        }
        let name = text("name")?;
        match text("namespace").filter(|space| !space.is_empty() && !name.contains('.')) {
            Some(namespace) => Some(format!("{namespace}.{name}")),
            None => Some(name.to_owned()),
        }
    }

    /// Avro's canonical form, or `None` where the Avro library cannot read the text.
    pub(crate) fn canonical_form(&self) -> Option<String> {
        apache_avro::Schema::parse_str(&self.text).ok().map(|schema| schema.canonical_form())
    }
}

/// The largest id that registries give: theirs are signed, and some answer to more with an error that
/// does not say that there is no such id.
const LARGEST_ID: u32 = i32::MAX.cast_unsigned();

fn is_not_found(error: &SRCError) -> bool {
    let answered = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    answered.is_some_and(|answer: &RawError| answer.error_code == SCHEMA_NOT_FOUND)
}

#[cfg(test)]
mod tests;
