//! A deployment, and people whom requests are about.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use domain::role::Role;
use serde_json::json;
use test_support::{
    AccessToken, Answer, Client, PASSWORD, People, Spine, World, eventually, eventually_within,
    id_of, with_json,
};
use uuid::Uuid;

use super::super::front_door::FrontDoor;
use super::caller::{Caller, with_all_roles};
use super::table::{Outcome, Row, UsesUp};
use crate::journeys::users::store_is_open;

/// Far above the second within which every process knows who is out.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);

/// A user, whose name is found in nothing that others say.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) device: String,
    /// Their session; empty where there is none.
    pub(super) session: String,
    pub(super) refresh_token: String,
}

/// Registers people, each under a name of their own.
struct Registrar {
    people: People,
    count: AtomicUsize,
}

/// Processes behind a front door, and whoever requests are about.
pub(super) struct Stage {
    world: World,
    spine: Spine,
    front_door: FrontDoor,
    client: Client,
    registrar: Registrar,
    /// Of whom nothing may change: what may take effect is about somebody else.
    pub(super) ann: Person,
    /// Another user.
    pub(super) other: Person,
    /// A user who was deactivated.
    pub(super) deactivated: Person,
    /// A user whose session was ended.
    pub(super) ended: Person,
    /// An id under which nobody has registered.
    pub(super) nobody: String,
}

impl Person {
    /// The token as one that was given to their session, where there is one.
    pub(super) fn of_session(&self, token: AccessToken) -> AccessToken {
        if self.session.is_empty() {
            return token;
        }
        token.claim("sid", self.session.as_str()).claim("user_version", 1_u64)
    }

    fn path(&self, below: &str) -> String {
        format!("/api/v1/users/{}{below}", self.id)
    }
}

impl Registrar {
    fn new_name(&self) -> String {
        format!("ysolde-{:04}", self.count.fetch_add(1, Ordering::Relaxed))
    }

    async fn register(&self) -> Result<Person> {
        let name = self.new_name();
        let id = id_of(&self.people.register(&name).await?)?;
        let (email, device) = (format!("{name}@example.org"), format!("device-of-{name}"));
        let (session, refresh_token) = (String::new(), String::new());
        Ok(Person { id, name, email, device, session, refresh_token })
    }

    async fn register_and_log_in(&self) -> Result<Person> {
        let person = self.register().await?;
        let body = json!({"username": person.name, "password": PASSWORD});
        let request = self.people.request(0, "POST", "/api/v1/auth/login")?;
        let answer = self.people.send(with_json(request, &body)).await?;
        ensure!(answer.status == 200, "{} is not let in: {answer}", person.name);
        let given = answer.json()?;
        let text = |name: &str| {
            given[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"))
        };
        Ok(Person { session: text("session_id")?, refresh_token: text("refresh_token")?, ..person })
    }

    /// An admin decides something, which is answered so.
    async fn decide(&self, method: &str, path: &str, status: u16) -> Result<()> {
        let request = self.people.request_as(&AccessToken::admin(), method, path, None)?;
        let answer = self.people.send(request).await?;
        ensure!(answer.status == status, "{method} {path} is answered {answer}");
        Ok(())
    }
}

impl Stage {
    pub(super) async fn set(name: &str) -> Result<Self> {
        let world = World::start(name).await?;
        // All callers send one refresh token.
        let writes = world.command_api()?.setting("MILLRACE_REFRESH_REPEAT_MS", 60_000);
        let folds = world.projector_of("resource,device_history,user,session")?;
        let spine = Spine::start_with(writes, folds, world.query_api()?).await?;
        let front_door = FrontDoor::start(&world, &spine).await?;
        let people = People::new(&[&spine.command_api], Some(&spine.query_api))?;
        store_is_open(&people).await?;
        let registrar = Registrar { people, count: AtomicUsize::new(0) };
        let (ann, other, deactivated, ended) = tokio::try_join!(
            registrar.register_and_log_in(),
            registrar.register(),
            registrar.register_and_log_in(),
            registrar.register_and_log_in(),
        )?;
        registrar.decide("POST", &deactivated.path("/deactivate"), 200).await?;
        let session = format!("/api/v1/auth/sessions/{}", ended.session);
        registrar.decide("DELETE", &session, 204).await?;
        let (client, nobody) = (Client::new()?, Uuid::now_v7().to_string());
        let stage = Self {
            world,
            spine,
            front_door,
            client,
            registrar,
            ann,
            other,
            deactivated,
            ended,
            nobody,
        };
        // Whoever is not out by then is found so in every row.
        let _ = stage.are_out().await;
        stage.must_be_seen().await?;
        Ok(stage)
    }

    /// Waits a while until both sides know who is out.
    async fn are_out(&self) -> Result<()> {
        let no_session = format!("/api/v1/auth/sessions/{}", self.nobody);
        let no_device = format!("/api/v1/resources/{}", self.nobody);
        eventually_within(KNOWN_WITHIN, "both sides refuse whoever is out", async || {
            for person in [&self.deactivated, &self.ended] {
                let token = person.of_session(with_all_roles(&person.id)).sign()?;
                let bearer = format!("Bearer {token}");
                let headers = [("authorization", bearer.as_str())];
                for (method, path) in [("DELETE", &no_session), ("GET", &no_device)] {
                    let answer = self.ask((method, path.as_str()), &headers, None).await?;
                    ensure!(answer.status == 401, "{method} {path} is answered {answer}");
                }
            }
            Ok(())
        })
        .await
    }

    /// Waits until all that reads are about is shown.
    async fn must_be_seen(&self) -> Result<()> {
        let Person { id, name, device, session, .. } = &self.ann;
        let reported = self.spine.caller.report(device, "1").await?;
        ensure!(reported.status == 202, "{reported}");
        let shown = [
            (format!("/api/v1/resources/{device}"), device),
            (format!("/api/v1/resources/{device}/history"), device),
            (format!("/api/v1/users/by-username/{name}"), id),
            (format!("/api/v1/users/{}", self.other.id), &self.other.id),
            (format!("/api/v1/auth/sessions?user_id={id}"), session),
        ];
        eventually("all that is read is shown", async || {
            for (path, what) in &shown {
                let answer = self.registrar.people.read(&AccessToken::admin(), path).await?;
                ensure!(answer.status == 200, "{path} is answered {answer}");
                ensure!(answer.text.contains(what.as_str()), "{path} does not show it: {answer}");
            }
            Ok(())
        })
        .await
    }

    /// Refuses that anything was done to whom only refused callers could do it to.
    pub(super) async fn must_be_unchanged(&self) -> Result<()> {
        let statement = format!(
            "SELECT coalesce(string_agg(event_type, ', '), '') FROM {{store}}.events
             WHERE (stream_id = 'user-{}' AND stream_version > 2 OR stream_id = 'session-{}')
                 AND split_part(event_type, '.', 3) NOT IN ('logged-in', 'refreshed')",
            self.ann.id, self.ann.session
        );
        let changes = self.world.text_of(&statement).await?;
        ensure!(changes.is_empty(), "callers who were refused have decided {changes}");
        Ok(())
    }

    /// Whom a call is about: somebody of its own where it may take effect.
    pub(super) async fn about(&self, row: &Row, caller: Caller) -> Result<Person> {
        let decides = matches!(caller, Caller::Owner | Caller::Only(Role::Admin))
            && row.expects(caller) == Outcome::Allowed;
        match row.uses_up {
            UsesUp::Person if decides => self.registrar.register().await,
            UsesUp::Session if decides => self.registrar.register_and_log_in().await,
            _ => Ok(self.ann.clone()),
        }
    }

    /// A name that nobody has.
    pub(super) fn new_name(&self) -> String {
        self.registrar.new_name()
    }

    /// What the front door answers to a request with these headers, and with this media type and body.
    pub(super) async fn ask(
        &self,
        (method, target): (&str, &str),
        headers: &[(&str, &str)],
        body: Option<&(String, String)>,
    ) -> Result<Answer> {
        let mut request = self.client.request(method, &self.front_door.url(target))?;
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some((media_type, body)) = body {
            request = request.header("content-type", media_type).body(body.clone());
        }
        self.client.send(request).await
    }

    /// What both sides have written so far.
    pub(super) fn logs(&self) -> Result<[String; 2]> {
        Ok([self.spine.command_api.log()?, self.spine.query_api.log()?])
    }
}
