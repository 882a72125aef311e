//! Users, and their sessions, that are decided by hand: keys by SQL, events straight into the log.

use std::convert::Infallible;

use anyhow::{Context as _, Result, ensure};
use consistency_token::{Token, TokenKey};
use domain::Timestamp;
use domain::decision::Decided;
use domain::role::Role;
use domain::user::{UserEvent, UserId};
use event_schema::personal::{Sealed, SubjectKey};
use event_schema::schema::Schema;
use event_schema::user::{encode, schema_of};
use kafka_io::topic::Topic;
use read_models::database::identity_schema;
use read_models::deployment;
use settings::Settings;
use sqlx::AssertSqlSafe;
use sqlx::types::Uuid;
use test_support::{AccessToken, Answer, Client, Outgoing, Running, World, eventually};

/// A projector of users and sessions and a query-api in front of its views.
pub(crate) struct Stage {
    pub(crate) world: World,
    _projector: Running,
    query_api: Running,
    client: Client,
}

/// Somebody, by the events that were logged of them.
pub(crate) struct Person {
    pub(crate) id: UserId,
    key: SubjectKey,
    version: u64,
    last: Option<Uuid>,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logged {
    topic: Topic,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl Stage {
    pub(crate) async fn set(name: &str) -> Result<Self> {
        let world = World::start(name).await?;
        let (projector, query_api) = (world.projector_of("user,session")?, world.query_api()?);
        let (projector, query_api) = tokio::try_join!(projector.start(), query_api.start())?;
        tokio::try_join!(projector.ready(), query_api.ready())?;
        Ok(Self { world, _projector: projector, query_api, client: Client::new()? })
    }

    /// Somebody who is about to register, with a key of their own.
    pub(crate) async fn person(&self) -> Result<Person> {
        let (id, key) = (UserId(Uuid::now_v7()), SubjectKey::generate());
        let insert = format!(
            "INSERT INTO {}.subject_keys (subject, key) VALUES ($1, $2)",
            identity_schema(self.world.prefix())
        );
        sqlx::query(AssertSqlSafe(insert))
            .bind(id.to_string())
            .bind(&key.as_bytes()[..])
            .execute(self.world.pool())
            .await?;
        Ok(Person { id, key, version: 0, last: None })
    }

    /// Destroys the key, as erasing does beside its event.
    pub(crate) async fn destroy_key(&self, person: &Person) -> Result<()> {
        let destroy = format!(
            "UPDATE {}.subject_keys SET key = NULL, destroyed_at = now() WHERE subject = $1",
            identity_schema(self.world.prefix())
        );
        let destroyed = sqlx::query(AssertSqlSafe(destroy))
            .bind(person.id.to_string())
            .execute(self.world.pool())
            .await?;
        ensure!(destroyed.rows_affected() == 1, "there was no key");
        Ok(())
    }

    /// Appends an event of somebody, and says where the log has it.
    pub(crate) async fn log(&self, event: &Decided<UserEvent<Sealed>>) -> Result<Logged> {
        let id = self.schema_id(schema_of(&event.event)).await?;
        let key = UserId(event.aggregate_id).stream_id();
        self.append(Topic::IdentityUser, key, encode(event, id)?).await
    }

    /// The id under which a schema was registered.
    pub(crate) async fn schema_id(&self, schema: Schema) -> Result<u32> {
        let known = deployment::schemas(self.world.pool()).await?;
        let known = known.iter().find(|known| known.record_name == schema.record_name());
        Ok(known.context("the schema is not registered")?.schema_id)
    }

    /// Appends a value under a key, and says where the log has it.
    pub(crate) async fn append(&self, topic: Topic, key: String, value: Vec<u8>) -> Result<Logged> {
        let (log, key) = (self.world.log_of(topic)?, key.into_bytes());
        let partition = log.partition_of(&key);
        let record = Outgoing { key: Some(key), value: Some(value), ..Outgoing::default() };
        log.append_raw(vec![record]).await?;
        let end = log.ends().await?.get(&partition).copied().context("no such partition")?;
        Ok(Logged { topic, partition, offset: end - 1 })
    }

    /// Somebody decides something, and it is logged.
    pub(crate) async fn say(&self, person: &mut Person, event: UserEvent<&str>) -> Result<Logged> {
        let decided = person.decide(event);
        self.log(&decided).await
    }

    /// The consistency token of a record.
    pub(crate) fn token(&self, logged: Logged) -> Result<String> {
        let topic = logged.topic.name(self.world.prefix());
        let (partition, offset) = (logged.partition.cast_unsigned(), logged.offset.cast_unsigned());
        self.signed(&Token::of_record(&topic, 1, partition, offset))
    }

    /// A consistency token as command-api gives it.
    pub(crate) fn signed(&self, token: &Token) -> Result<String> {
        let mut settings = Settings::new(self.world.query_api()?.settings());
        let key = TokenKey::from_settings(&mut settings);
        Ok(token.encode(&key))
    }

    /// What somebody with this token is answered to a GET, with these headers.
    pub(crate) async fn get(
        &self,
        who: &AccessToken,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        self.get_by(&who.sign()?, path, headers).await
    }

    /// The same by an access token as it was given.
    pub(crate) async fn get_by(
        &self,
        access_token: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let request = self.client.request("GET", &self.query_api.url(path))?;
        let mut request = request.bearer_auth(access_token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.send(request).await
    }

    /// The same, of what is there once this record is folded.
    pub(crate) async fn get_after(
        &self,
        logged: Logged,
        who: &AccessToken,
        path: &str,
    ) -> Result<Answer> {
        let token = self.token(logged)?;
        self.get(who, path, &[("consistency-token", &token), ("prefer", "wait=5")]).await
    }

    /// Asks until the cache vouches for the answer.
    pub(crate) async fn hit(&self, who: &AccessToken, path: &str) -> Result<Answer> {
        eventually("the read is a hit", async || {
            let answer = self.get(who, path, &[]).await?;
            let status = answer.header("cache-status");
            ensure!(status == Some("millrace; hit"), "the cache was {status:?}");
            Ok(answer)
        })
        .await
    }
}

impl Person {
    /// The next event, sealed with their key.
    pub(crate) fn decide(&mut self, event: UserEvent<&str>) -> Decided<UserEvent<Sealed>> {
        let key = SubjectKey::from_bytes(*self.key.as_bytes());
        self.decide_with(&key, event)
    }

    /// The next event, sealed with a key that nobody has.
    pub(crate) fn forge(&mut self, event: UserEvent<&str>) -> Decided<UserEvent<Sealed>> {
        self.decide_with(&SubjectKey::generate(), event)
    }

    fn decide_with(
        &mut self,
        key: &SubjectKey,
        event: UserEvent<&str>,
    ) -> Decided<UserEvent<Sealed>> {
        let event_id = Uuid::now_v7();
        let seal = |field, text: &str| Ok::<_, Infallible>(key.seal(event_id, field, text));
        let Ok(event) = event.map(&mut |field, text| seal(field, text));
        self.version += 1;
        Decided {
            event_id,
            aggregate_id: self.id.0,
            version: self.version,
            previous_id: self.last.replace(event_id),
            occurred_at: Timestamp(1_772_366_400_000_000),
            event,
        }
    }

    pub(crate) fn path(&self) -> String {
        format!("/api/v1/users/{}", self.id)
    }

    /// Their own access token.
    pub(crate) fn token(&self) -> AccessToken {
        AccessToken::tester().claim("sub", self.id.to_string()).roles(&["user"])
    }
}

/// An admin's access token.
pub(crate) fn admin() -> AccessToken {
    AccessToken::tester().claim("sub", "an-admin").roles(&["admin"])
}

/// Somebody's who has nothing to do with it.
pub(crate) fn stranger() -> AccessToken {
    AccessToken::tester().claim("sub", "a-stranger").roles(&["user"])
}

/// How somebody begins, whose address is made of the name.
pub(crate) fn registered<'a>(username: &'a str, email: &'a str) -> UserEvent<&'a str> {
    UserEvent::Registered {
        username,
        email,
        full_name: Some("Full Name"),
        bio: None,
        image: None,
        roles: vec![Role::User],
    }
}
