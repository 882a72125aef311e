//! Users of a world: they register, decide about themselves and are read, as clients see it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{AccessToken, Answer, Client, LogRecord, Running, World, eventually};

/// A password that keeps all rules.
pub const PASSWORD: &str = "correct horse battery";

/// A client that reaches command-apis and, where there is one, the read side.
#[derive(Debug, Clone)]
pub struct People {
    client: Client,
    writes: Vec<String>,
    reads: Option<String>,
}

/// A decided event, as the store and the log name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Its number in the stream.
    pub version: u64,
    /// Its identity.
    pub event_id: Uuid,
}

impl People {
    /// Clients of these processes.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn new(command_apis: &[&Running], query_api: Option<&Running>) -> Result<Self> {
        Ok(Self {
            client: Client::new()?,
            writes: command_apis.iter().map(|side| side.url("")).collect(),
            reads: query_api.map(|side| side.url("")),
        })
    }

    /// The same client with other command-apis.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn of(&self, command_apis: &[&Running]) -> Result<Self> {
        let writes = command_apis.iter().map(|side| side.url("")).collect();
        Ok(Self { client: Client::new()?, writes, reads: self.reads.clone() })
    }

    /// A request to one of the command-apis, to be completed and sent.
    ///
    /// # Errors
    /// The request cannot be made.
    pub fn request(&self, instance: usize, method: &str, path: &str) -> Result<RequestBuilder> {
        let side = &self.writes[instance % self.writes.len()];
        self.client.request(method, &format!("{side}{path}"))
    }

    /// The same in somebody's name.
    ///
    /// # Errors
    /// The request cannot be made.
    pub fn request_as(
        &self,
        who: &AccessToken,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<RequestBuilder> {
        let request = self.request(0, method, path)?.bearer_auth(who.sign()?);
        Ok(match body {
            Some(body) => with_json(request, &body),
            None => request,
        })
    }

    /// A registration with this name, to be completed and sent.
    ///
    /// # Errors
    /// The request cannot be made.
    pub fn registration(&self, instance: usize, name: &str, email: &str) -> Result<RequestBuilder> {
        let body = json!({"username": name, "email": email, "password": PASSWORD});
        Ok(with_json(self.request(instance, "POST", "/api/v1/auth/register")?, &body))
    }

    /// Registers somebody, once the store takes decisions: one that has just started is first compared
    /// with the log.
    ///
    /// # Errors
    /// They are not registered.
    pub async fn register(&self, name: &str) -> Result<Answer> {
        let email = format!("{name}@example.org");
        let answer = eventually("the store takes decisions", async || {
            let answer = self.send(self.registration(0, name, &email)?).await?;
            ensure!(answer.problem() != "store-not-compared", "{answer}");
            Ok(answer)
        })
        .await?;
        ensure!(answer.status == 201, "{name} was answered {answer}");
        Ok(answer)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        self.client.send(request).await
    }

    /// Reads a path in somebody's name, as new as the answer's token says.
    ///
    /// # Errors
    /// There is no answer, or the written one carries no token.
    pub async fn read_after(
        &self,
        who: &AccessToken,
        written: &Answer,
        path: &str,
    ) -> Result<Answer> {
        let token = written.header("consistency-token");
        let token = token.with_context(|| format!("there is no token in {written}"))?;
        let request = self.reading(who, path)?.header("consistency-token", token);
        self.send(request.header("prefer", "wait=10")).await
    }

    /// Reads a path in somebody's name.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn read(&self, who: &AccessToken, path: &str) -> Result<Answer> {
        self.send(self.reading(who, path)?).await
    }

    fn reading(&self, who: &AccessToken, path: &str) -> Result<RequestBuilder> {
        let reads = self.reads.as_ref().context("there is no read side")?;
        Ok(self.client.request("GET", &format!("{reads}{path}"))?.bearer_auth(who.sign()?))
    }
}

impl AccessToken {
    /// Of a registered user.
    pub fn user(id: &str) -> Self {
        Self::tester().claim("sub", id).roles(&["user"])
    }

    /// Of somebody who may do what admins may.
    pub fn admin() -> Self {
        Self::tester().claim("sub", "an-admin").roles(&["user", "admin"])
    }
}

/// The id of the user that an answer shows.
///
/// # Errors
/// It shows none.
pub fn id_of(answer: &Answer) -> Result<String> {
    let id = answer.json()?["id"].as_str().map(str::to_owned);
    id.with_context(|| format!("there is no id in {answer}"))
}

/// A request with this body.
pub fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}

impl World {
    /// The name of a table of the event store.
    pub fn decisions(&self, table: &str) -> String {
        format!("{}.{table}", read_models::database::event_store_schema(self.prefix()))
    }

    /// Executes a statement in which `{store}` and `{identity}` are the schemas of decisions and secrets.
    ///
    /// # Errors
    /// The database refuses it.
    pub async fn execute(&self, statement: &str) -> Result<()> {
        let statement = self.with_schemas(statement);
        sqlx::query(sqlx::AssertSqlSafe(statement.clone()))
            .execute(self.pool())
            .await
            .with_context(|| format!("executing {statement}"))
            .map(drop)
    }

    /// The one text that such a statement selects.
    ///
    /// # Errors
    /// The database does not answer it.
    pub async fn text_of(&self, statement: &str) -> Result<String> {
        let statement = self.with_schemas(statement);
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement.clone()))
            .fetch_one(self.pool())
            .await
            .with_context(|| format!("selecting {statement}"))
    }

    fn with_schemas(&self, statement: &str) -> String {
        statement
            .replace("{store}", &read_models::database::event_store_schema(self.prefix()))
            .replace("{identity}", &read_models::database::identity_schema(self.prefix()))
    }

    /// The number that such a statement selects.
    ///
    /// # Errors
    /// The database does not answer it.
    pub async fn counted(&self, statement: &str) -> Result<i64> {
        let statement = self.with_schemas(statement);
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement.clone()))
            .fetch_one(self.pool())
            .await
            .with_context(|| format!("counting by {statement}"))
    }

    /// Every event of the store, by stream.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn stored_streams(&self) -> Result<BTreeMap<String, Vec<Named>>> {
        let statement = format!(
            "SELECT stream_id, stream_version, event_id FROM {} ORDER BY stream_id, stream_version",
            self.decisions("events")
        );
        let rows: Vec<(String, i64, Uuid)> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .fetch_all(self.pool())
            .await
            .context("reading the event store")?;
        let mut streams: BTreeMap<String, Vec<Named>> = BTreeMap::new();
        for (stream, version, event_id) in rows {
            let version = version.cast_unsigned();
            streams.entry(stream).or_default().push(Named { version, event_id });
        }
        Ok(streams)
    }

    /// Every event of users in the log, by stream and in its order, with how many stand there again.
    ///
    /// # Errors
    /// The log cannot be read, or a version is missing, forked or out of order.
    pub async fn logged_streams(&self) -> Result<(BTreeMap<String, Vec<Named>>, usize)> {
        let mut streams: BTreeMap<String, Vec<Named>> = BTreeMap::new();
        let mut again = 0;
        for record in self.users_log()?.read().await? {
            let (stream, named) = named(&record)?;
            let events = streams.entry(stream.clone()).or_default();
            let at = usize::try_from(named.version)?.saturating_sub(1);
            match events.get(at) {
                Some(before) => {
                    ensure!(*before == named, "{stream} version {} is forked", named.version);
                    again += 1;
                }
                None => {
                    ensure!(
                        at == events.len(),
                        "{stream} version {} came too early",
                        named.version
                    );
                    events.push(named);
                }
            }
        }
        Ok((streams, again))
    }
}

fn named(record: &LogRecord) -> Result<(String, Named)> {
    let key = record.key.as_deref().context("a record without a key")?;
    let header = |name: &str| {
        let found = record.headers.iter().find(|(of, _)| of == name);
        let value = found.and_then(|(_, value)| value.as_deref());
        value
            .and_then(|value| std::str::from_utf8(value).ok())
            .with_context(|| format!("no {name}"))
    };
    let version = header("ce_streamversion")?.parse()?;
    let event_id = header("ce_id")?.parse()?;
    Ok((String::from_utf8(key.to_vec())?, Named { version, event_id }))
}
