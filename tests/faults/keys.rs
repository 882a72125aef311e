//! The key that signs access tokens is replaced while people are in: nobody notices, and the old key goes when
//! nothing that it signed can be left.
//!
//! The settings are the shortest that there are, and still ask for minutes: of these the test takes the
//! moments that count, and moves the times that stand in the table of keys in between.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use test_support::{
    Answer, Client, Launch, PASSWORD, People, Running, World, event_body, eventually, with_json,
};
use tokio::task::JoinSet;

use crate::journeys::users::store_is_open;

/// Those who are in, each in a session of their own.
const CLIENTS: usize = 8;

/// The shortest settings: how long an access token is taken and a key published before it signs.
const SHORTEST: [(&str, &str); 3] = [
    ("MILLRACE_ACCESS_TOKEN_LIFETIME_S", "60"),
    ("MILLRACE_SIGNING_KEY_LEAD_S", "60"),
    ("MILLRACE_ACCESS_TOKEN_LEEWAY_MS", "0"),
];

/// For how long a key is published after another one took over: the lifetime, the most that any verifier may
/// overlook of clocks whatever ours are set to, and 90 s for clocks and for whoever hears of something late.
const PUBLISHED_SECONDS: u64 = 60 + 300 + 90;

/// A key is published for longer than any process goes without a look at the table, which is 5 s, before it
/// signs.
const LEAD_SECONDS: u64 = 7;

/// The old key goes so soon after its time: at the next look, or a moment later on a machine that is busy.
const GONE_WITHIN: Duration = Duration::from_secs(5 + 10);

/// Two processes of each side.
struct Stage {
    world: World,
    writes: [Running; 2],
    reads: [Running; 2],
    _projector: Running,
    people: People,
    client: Client,
    tool: Launch,
}

impl Stage {
    async fn set() -> Result<Self> {
        let world = World::start("keys_rotated").await?;
        let shortest = |launch: Launch| {
            SHORTEST.iter().fold(launch, |launch, (name, value)| launch.setting(name, value))
        };
        let (write, read) = (shortest(world.command_api()?), shortest(world.query_api()?));
        let projector = world.projector_of("user")?;
        let (one, other, first, second, projector) = tokio::try_join!(
            write.start(),
            write.start(),
            read.start(),
            read.start(),
            projector.start()
        )?;
        let (writes, reads) = ([one, other], [first, second]);
        for process in writes.iter().chain(&reads).chain([&projector]) {
            process.ready().await?;
        }
        let people = People::new(&[&writes[0], &writes[1]], None)?;
        store_is_open(&people).await?;
        let client = Client::new()?;
        Ok(Self { world, writes, reads, _projector: projector, people, client, tool: write })
    }

    /// The names of the keys that a command-api publishes.
    async fn published(&self, process: &Running) -> Result<BTreeSet<String>> {
        let answer = process.get("/.well-known/jwks.json").await?;
        ensure!(answer.status == 200, "{answer}");
        let set = answer.json()?;
        let keys = set["keys"].as_array().context("no keys")?.iter();
        keys.map(|key| key["kid"].as_str().map(str::to_owned).context("no kid")).collect()
    }

    /// Replaces the key, as an operator does; the name of the new one.
    async fn rotate(&self) -> Result<String> {
        let ended = self.tool.run(&["keys", "rotate"]).await?;
        let told = String::from_utf8_lossy(&ended.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.success(), "{told}{complaint}");
        let kid = told.strip_prefix("key ").and_then(|rest| rest.split(' ').next());
        kid.map(str::to_owned).with_context(|| format!("it names no key: {told}"))
    }

    /// Lets a key sign from another moment on, so many seconds from now, and tells everybody.
    async fn signs_from(&self, kid: &str, seconds: i64) -> Result<()> {
        let set = format!(
            "UPDATE {{identity}}.signing_keys SET signs_from = now() + interval '{seconds} seconds'
             WHERE kid = '{kid}'"
        );
        self.world.execute(&set).await?;
        self.world.execute("SELECT pg_notify('{identity}_changed', 'signing-keys')").await
    }

    /// What each process answers to an access token: both command-apis, then both query-apis.
    async fn answers(&self, access_token: &str) -> Result<[u16; 4]> {
        // None of it has an effect: nobody has that session, and of that device nothing is known.
        let session = "/api/v1/auth/sessions/00000000-0000-7000-8000-000000000000";
        let writes = self.writes.iter().map(|process| ("DELETE", process.url(session)));
        let device = "/api/v1/resources/device-of-nobody";
        let reads = self.reads.iter().map(|process| ("GET", process.url(device)));
        let mut statuses = [0; 4];
        for (status, (method, url)) in statuses.iter_mut().zip(writes.chain(reads)) {
            let request = self.client.request(method, &url)?.bearer_auth(access_token);
            *status = self.client.send(request).await?.status;
        }
        Ok(statuses)
    }
}

/// Tokens that somebody has.
#[derive(Debug, Clone)]
struct Tokens {
    access: String,
    refresh: String,
}

impl Tokens {
    fn of(answer: &Answer) -> Result<Self> {
        ensure!(answer.status == 200, "nobody is in: {answer}");
        let body = answer.json()?;
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let tokens =
            || Some(Self { access: text("access_token")?, refresh: text("refresh_token")? });
        tokens().with_context(|| format!("no tokens: {answer}"))
    }

    /// The name of the key that signed the access token.
    fn kid(&self) -> Result<String> {
        let head = self.access.split('.').next().unwrap_or_default();
        let head = URL_SAFE_NO_PAD.decode(head).context("reading the head of an access token")?;
        let head: Value = serde_json::from_slice(&head)?;
        head["kid"].as_str().map(str::to_owned).context("no kid")
    }
}

/// Somebody who is in, and does a little of everything again and again.
struct Person {
    stage: Arc<Stage>,
    number: usize,
    tokens: Tokens,
}

impl Person {
    async fn log_in(stage: &Arc<Stage>, number: usize) -> Result<Self> {
        let name = format!("somebody-{number}");
        stage.people.register(&name).await?;
        let request = stage.people.request(number, "POST", "/api/v1/auth/login")?;
        let body = json!({"username": name, "password": PASSWORD});
        let tokens = Tokens::of(&stage.people.send(with_json(request, &body)).await?)?;
        let person = Self { stage: Arc::clone(stage), number, tokens };
        eventually(&format!("{name} is shown"), async || person.looks(0).await.map(drop)).await?;
        Ok(person)
    }

    /// Looks at themselves through a query-api.
    async fn looks(&self, process: usize) -> Result<Answer> {
        let Self { stage, tokens, .. } = self;
        let url = stage.reads[process % 2].url("/api/v1/auth/me");
        let request = stage.client.request("GET", &url)?.bearer_auth(&tokens.access);
        let answer = stage.client.send(request).await?;
        ensure!(answer.status == 200, "query-api {} answers {answer}", process % 2);
        Ok(answer)
    }

    /// Refreshes, reads and reports, each through another process than the time before; how many requests
    /// that was. Any that fails is an error.
    async fn round(&mut self, round: usize) -> Result<usize> {
        let stage = Arc::clone(&self.stage);
        let (first, second) = (self.number + round, self.number + round + 1);
        let request = stage.people.request(first, "POST", "/api/v1/auth/refresh")?;
        let body = json!({"refresh_token": self.tokens.refresh});
        self.tokens = Tokens::of(&stage.people.send(with_json(request, &body)).await?)?;
        for process in [first, second] {
            self.looks(process).await?;
            let request = stage.people.request(process, "POST", "/api/v1/events")?;
            let request = request.bearer_auth(&self.tokens.access);
            let request = request.header("content-type", "application/json");
            let event = event_body(&format!("device-{}", self.number), "1");
            let answer = stage.people.send(request.body(event)).await?;
            ensure!(answer.status == 202, "command-api {} answers {answer}", process % 2);
        }
        Ok(5)
    }
}

/// Everybody who is in, at work.
struct Load {
    is_over: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
    /// By which key each has the present access token.
    kids: Arc<[Mutex<String>]>,
    clients: JoinSet<Result<()>>,
}

impl Load {
    fn begin(people: Vec<Person>) -> Self {
        let kids = people.iter().map(|_| Mutex::default()).collect();
        let (is_over, requests) = (Arc::default(), Arc::default());
        let mut load = Self { is_over, requests, kids, clients: JoinSet::new() };
        for person in people {
            let (is_over, requests) = (Arc::clone(&load.is_over), Arc::clone(&load.requests));
            let kids = Arc::clone(&load.kids);
            load.clients.spawn(async move {
                let (mut person, mut round) = (person, 0);
                while !is_over.load(Ordering::Relaxed) {
                    requests.fetch_add(person.round(round).await?, Ordering::Relaxed);
                    let kid = person.tokens.kid()?;
                    *kids[person.number].lock().unwrap_or_else(PoisonError::into_inner) = kid;
                    round += 1;
                }
                Ok(())
            });
        }
        load
    }

    /// Waits until everybody has an access token by this key.
    async fn all_have(&self, kid: &str) -> Result<()> {
        eventually(&format!("everybody has an access token by {kid}"), async || {
            let has =
                |of: &Mutex<String>| *of.lock().unwrap_or_else(PoisonError::into_inner) == kid;
            let others = self.kids.iter().filter(|of| !has(of)).count();
            ensure!(others == 0, "{others} have another");
            Ok(())
        })
        .await
    }

    /// Waits until each client has done so many requests more, on average.
    async fn goes_on(&self) -> Result<()> {
        let before = self.requests.load(Ordering::Relaxed);
        eventually("requests go on", async || {
            let more = self.requests.load(Ordering::Relaxed) - before;
            ensure!(more >= CLIENTS * 10, "{more} were answered");
            Ok(())
        })
        .await
    }

    /// How many requests there were, none of which has failed.
    async fn end(mut self) -> Result<usize> {
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client.context("a client panicked")??;
        }
        Ok(self.requests.load(Ordering::Relaxed))
    }
}

/// The old key's access token, and how late after its time the key was gone from each command-api.
async fn replaced(stage: &Stage, load: &Load, old: &str) -> Result<[Duration; 2]> {
    let new = stage.rotate().await?;
    // It is to sign after the lead, and is published at once.
    for process in &stage.writes {
        eventually("both keys are published", async || {
            let published = stage.published(process).await?;
            let both = BTreeSet::from([old, new.as_str()].map(str::to_owned));
            ensure!(published == both, "{published:?} and not {both:?}");
            Ok(())
        })
        .await?;
    }
    load.all_have(old).await?;
    load.goes_on().await?;

    // The lead is over.
    stage.signs_from(&new, LEAD_SECONDS.cast_signed()).await?;
    load.all_have(&new).await?;
    load.goes_on().await?;
    for process in &stage.writes {
        let published = stage.published(process).await?;
        ensure!(published.contains(old), "the old key is gone while its tokens live");
    }

    // So is the time in which a token of the old key may live.
    let left = Duration::from_secs(3);
    let seconds = left.as_secs().cast_signed() - PUBLISHED_SECONDS.cast_signed();
    stage.signs_from(old, seconds - 1).await?;
    let lapses_at = Instant::now() + left;
    stage.signs_from(&new, seconds).await?;
    let mut late = [Duration::ZERO; 2];
    for (late, process) in late.iter_mut().zip(&stage.writes) {
        eventually("the old key is gone", async || {
            let published = stage.published(process).await?;
            ensure!(!published.contains(old), "{published:?} are published");
            Ok(())
        })
        .await?;
        let early = lapses_at.saturating_duration_since(Instant::now());
        ensure!(early.is_zero(), "the old key was gone {early:?} before its time");
        *late = lapses_at.elapsed();
    }
    load.goes_on().await?;
    Ok(late)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_replaced_under_load_and_no_request_fails() -> Result<()> {
    let stage = Arc::new(Stage::set().await?);
    let mut people = Vec::new();
    for number in 0..CLIENTS {
        people.push(Person::log_in(&stage, number).await?);
    }
    let before = people[0].tokens.clone();
    let old = before.kid()?;
    ensure!(stage.answers(&before.access).await? == [404; 4], "it is not taken");
    let load = Load::begin(people);
    let replaced = replaced(&stage, &load, &old).await;
    // What a client has met comes first: all else may follow from it.
    let requests = load.end().await?;
    let late = replaced?;
    println!("{requests} requests, none failed; the old key was gone {late:?} after its time");
    for late in late {
        ensure!(late < GONE_WITHIN, "the old key was gone {late:?} after its time");
    }
    eventually("what the old key has signed is refused", async || {
        let answers = stage.answers(&before.access).await?;
        ensure!(answers == [401; 4], "it is answered {answers:?}");
        Ok(())
    })
    .await
}
