//! Decisions over HTTP: a command API with users whose profiles are updated.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::sleep;
use uuid::Uuid;
use xtask::dev_token::mint_admin;

use crate::child::Process;
use crate::cpu;
use crate::decide_people::{People, update_body};
use crate::decide_sides::Side as _;
use crate::decide_subject::Subject;
use crate::http_load::{self, Answer, Load};
use crate::report::Measured;
use crate::services::start_command_api;
use crate::world::World;

/// Registrations at once.
const AT_ONCE: usize = 16;

/// A command API and users that it has published.
pub(crate) struct Served<'a> {
    pub(crate) world: &'a World,
    pub(crate) server: SocketAddr,
    pub(crate) people: Arc<People>,
    process: Process,
    /// Makes each update another one than all before.
    marks: Arc<AtomicUsize>,
}

impl<'a> Served<'a> {
    /// Registers so many and returns once the log has them.
    pub(crate) async fn start(world: &'a World, users: usize) -> Result<Self> {
        let people = Arc::new(People::new(users));
        let subject = Subject::open(world, &people).await?;
        // Nobody is sent a mail: only updates are measured.
        stream::iter(0..users)
            .map(|person| Ok(subject.register(person, Vec::new())))
            .try_buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        subject.close().await;
        let (process, server) = start_command_api(world).await?;
        let served = Self { world, server, people, process, marks: Arc::default() };
        served.until_published().await?;
        Ok(served)
    }

    async fn until_published(&self) -> Result<()> {
        let schema = read_models::database::event_store_schema(&self.world.prefix);
        let waiting =
            format!("SELECT count(*) FROM {schema}.events WHERE published_offset IS NULL");
        let mut database = self.world.connect().await?;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let waiting: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(waiting.as_str()))
                .fetch_one(&mut database)
                .await?;
            if waiting == 0 {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{waiting} events are not published");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// What an update is, whose turn it is.
    pub(crate) fn updates(&self) -> Result<Updates> {
        let (people, marks) = (Arc::clone(&self.people), Arc::clone(&self.marks));
        Ok(Updates { people, marks, token: mint_admin()? })
    }

    /// As many updates as are answered, one after the other on each connection; every answer waits until
    /// the log has the event.
    pub(crate) async fn flood(&self, connections: u64, requests: u64) -> Result<Measured> {
        let updates = Arc::new(self.updates()?);
        http_load::flood(self.server, &updates, connections, requests / 10).await?;
        let (broker, postgres) = (self.world.pid("kafka")?, self.world.pid("postgres")?);
        let cpu = || (self.process.cpu(), cpu::of_tree(postgres), cpu::of_tree(broker));
        let before = cpu();
        let wall = http_load::flood(self.server, &updates, connections, requests).await?;
        let after = cpu();
        Ok(Measured {
            name: format!("command-api: JWT, published by its relay, {connections} connections"),
            units: requests,
            wall,
            cpu: vec![
                ("server", after.0.saturating_sub(before.0)),
                ("postgres", after.1.saturating_sub(before.1)),
                ("broker", after.2.saturating_sub(before.2)),
            ],
            rows: None,
        })
    }
}

/// PATCHes of everybody's profile in turns, each to be answered 200.
pub(crate) struct Updates {
    people: Arc<People>,
    marks: Arc<AtomicUsize>,
    token: String,
}

impl Updates {
    /// The next one, and of whom it is.
    pub(crate) fn next(&self) -> (Uuid, Vec<u8>) {
        let mark = self.marks.fetch_add(1, Ordering::Relaxed);
        let id = self.people.id(self.people.turn_of(mark));
        let (token, body) = (&self.token, update_body(mark));
        let request = format!(
            "PATCH /api/v1/users/{id} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        (id, request.into_bytes())
    }

    /// A read of a user that shows at least what a token names.
    pub(crate) fn read(&self, id: Uuid, consistency: &str) -> Vec<u8> {
        let token = &self.token;
        format!(
            "GET /api/v1/users/{id} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nConsistency-Token: {consistency}\r\nPrefer: wait=5\r\n\r\n"
        )
        .into_bytes()
    }
}

impl Load for Updates {
    fn request(&self, _: u64) -> Vec<u8> {
        self.next().1
    }

    fn check(&self, answer: &Answer) -> Result<()> {
        ensure!(answer.status == 200, "PATCH answered {}", answer.status);
        Ok(())
    }
}
