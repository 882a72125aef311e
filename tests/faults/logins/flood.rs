//! Two hundred who guess at once: what readers notice of them, and what becomes of the guesses.
//!
//! How much later a read is answered meanwhile depends on which cores there are for readers, guesses, Postgres
//! and the test itself, so that figure is printed, and judged only where `LOGIN_FLOOD_RATIO` says by which number,
//! on a machine that does nothing else. There command-api has one core, and whoever reads another one with
//! query-api, as in a deployment where each has its share: on one core, whoever reads waits for the turn of a
//! hash that has begun. What depends on no machine is always held to: how much memory the guesses take, that
//! everybody is answered in time and honestly, and that no read fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use settings::table::PASSWORD_HASHES;
use test_support::{Running, World, a_report, alone, eventually};
use tokio::task::JoinSet;

use super::cores::keep_to;
use super::{Desk, Refused, WRONG, an_address};
use crate::faults::cache::connection::Connection;

/// Those who guess at the same moment.
const AT_ONCE: usize = 200;

/// Every so many of them come from one address and want to be one person, so that they are held back; each of
/// the others comes from an address of its own, and costs a hash if there is room for one.
const FROM_ONE_ADDRESS: usize = 4;
const ADDRESS: &str = "198.51.100.7";
const ELSEWHERE: &str = "203.0.113.9";

/// Windows without guesses and with them, in turns, so that what disturbs the machine disturbs both.
const WINDOWS: usize = 4;
const WINDOW: Duration = Duration::from_secs(3);

const READERS: usize = 4;
const DEVICES: usize = 16;

/// What no answer may take, far above what any does: then it would be a hang.
const HANG: Duration = Duration::from_secs(25);

/// What one hash takes, and what two hundred requests and their connections may take beside the hashes.
const BYTES_OF_A_HASH: u64 = 19 * 1024 * 1024;
const BYTES_BESIDE: u64 = 64 * 1024 * 1024;

/// By which number the p99 of reads may be multiplied at most, where the environment says so.
const RATIO_VARIABLE: &str = "LOGIN_FLOOD_RATIO";

/// What readers have seen in a window.
#[derive(Debug, Default)]
struct Window {
    /// How long hits of the cache took.
    hits: Vec<Duration>,
    /// Reads that were no hits.
    others: usize,
}

impl Window {
    fn add(&mut self, other: Self) {
        self.hits.extend(other.hits);
        self.others += other.others;
    }

    /// Milliseconds that so many of a hundred reads took no more than.
    fn percentile(&mut self, percent: usize) -> Result<f64> {
        self.hits.sort_unstable();
        let last = self.hits.len().saturating_sub(1);
        let found = self.hits.get((self.hits.len() * percent / 100).min(last));
        Ok(found.context("nothing was read")?.as_secs_f64() * 1_000.0)
    }
}

/// The middle of a percentile over windows of one kind.
fn median(windows: &mut [Window], percent: usize) -> Result<f64> {
    let values: Result<Vec<f64>> = windows.iter_mut().map(|it| it.percentile(percent)).collect();
    let mut values = values?;
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().context("no windows")
}

/// What became of guesses.
#[derive(Debug, Default)]
struct Guesses {
    wrong: usize,
    held_back: usize,
    busy: usize,
    longest: Duration,
}

impl Guesses {
    fn add(&mut self, refused: Refused, took: Duration) {
        match refused {
            Refused::Wrong => self.wrong += 1,
            Refused::HeldBack => self.held_back += 1,
            Refused::Busy => self.busy += 1,
        }
        self.longest = self.longest.max(took);
    }
}

/// A read side whose devices are all in the cache, beside a desk.
struct Scene {
    desk: Arc<Desk>,
    query_api: Running,
    _projector: Running,
    requests: Arc<[Vec<u8>]>,
    /// Guesses so far: no two from one address, but those that are to be.
    guesses: AtomicUsize,
}

impl Scene {
    async fn set() -> Result<Self> {
        let desk = Desk::open("login_flood", |launch| launch).await?;
        desk.people.register("ann").await?;
        let (projector, query_api) = readers(&desk.world).await?;
        let names: Vec<String> = (0..DEVICES).map(|number| format!("device-{number}")).collect();
        desk.world.log()?.append(names.iter().map(|name| a_report(name))).await?;
        desk.world.level().await?;
        let token = desk.world.token().sign()?;
        let requests = names.iter().map(|name| get(name, &token)).collect();
        let (desk, guesses) = (Arc::new(desk), AtomicUsize::new(0));
        let scene = Self { desk, query_api, _projector: projector, requests, guesses };
        eventually("every device is in the cache", async || {
            let window = scene.read(Duration::from_millis(200)).await?;
            ensure!(window.others == 0 && !window.hits.is_empty(), "{} are not", window.others);
            Ok(())
        })
        .await?;
        Ok(scene)
    }

    /// Everybody reads for so long.
    async fn read(&self, time: Duration) -> Result<Window> {
        let until = Instant::now() + time;
        let mut readers = JoinSet::new();
        for reader in 0..READERS {
            let connection = Connection::new(self.query_api.address());
            readers.spawn(read_until(connection, Arc::clone(&self.requests), reader, until));
        }
        let mut window = Window::default();
        while let Some(reader) = readers.join_next().await {
            window.add(reader.context("a reader panicked")??);
        }
        Ok(window)
    }

    /// Two hundred guess at once, and again as soon as all are answered, for so long.
    async fn guess(&self, time: Duration) -> Result<Guesses> {
        let (until, mut guesses) = (Instant::now() + time, Guesses::default());
        while Instant::now() < until {
            let mut guessing = JoinSet::new();
            for _ in 0..AT_ONCE {
                let number = self.guesses.fetch_add(1, Ordering::Relaxed);
                guessing.spawn(guess(Arc::clone(&self.desk), number));
            }
            while let Some(guessed) = guessing.join_next().await {
                let (refused, took) = guessed.context("a guesser panicked")??;
                guesses.add(refused, took);
            }
        }
        Ok(guesses)
    }
}

async fn readers(world: &World) -> Result<(Running, Running)> {
    // What is looked at is hits: a machine that stands still for a moment turns no read away from Redis.
    let query_api = world.query_api()?.setting("MILLRACE_CACHE_READ_TIMEOUT_MS", 1_000);
    let query_api = query_api.setting("MILLRACE_CACHE_TTL_MS", 3_600_000);
    let projector = world.projector()?.setting("MILLRACE_CACHE_TTL_MS", 3_600_000);
    let (projector, query_api) = tokio::try_join!(projector.start(), query_api.start())?;
    tokio::try_join!(projector.ready(), query_api.ready())?;
    Ok((projector, query_api))
}

fn get(device: &str, access_token: &str) -> Vec<u8> {
    format!(
        "GET /api/v1/resources/{device} HTTP/1.1\r\nhost: test\r\n\
         authorization: Bearer {access_token}\r\n\r\n"
    )
    .into_bytes()
}

async fn read_until(
    mut connection: Connection,
    requests: Arc<[Vec<u8>]>,
    first: usize,
    until: Instant,
) -> Result<Window> {
    connection.connect().await?;
    let mut window = Window::default();
    for request in requests.iter().cycle().skip(first) {
        let began = Instant::now();
        if began >= until {
            break;
        }
        let reply = connection.ask(request).await?;
        ensure!(reply.status == 200, "a read is answered {}", reply.status);
        if reply.header("cache-status") == Some("millrace; hit") {
            window.hits.push(began.elapsed());
        } else {
            window.others += 1;
        }
    }
    Ok(window)
}

/// A guess, how it was refused, and how long that took.
async fn guess(desk: Arc<Desk>, number: usize) -> Result<(Refused, Duration)> {
    // Of nobody many are tried: one whom so many guess would be held back wherever they come from.
    let (from, name) = match number % FROM_ONE_ADDRESS {
        0 => (ADDRESS.to_owned(), "ann".to_owned()),
        1 => (an_address(number), "ann".to_owned()),
        _ => (an_address(number), format!("nobody-{number}")),
    };
    let began = Instant::now();
    let answer = desk.attempt(&from, &name, WRONG).await?;
    Ok((Refused::of(&answer)?, began.elapsed()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_who_guess_at_once_are_refused_honestly_and_take_no_more_than_is_set()
-> Result<()> {
    let _alone = alone().await?;
    let scene = Scene::set().await?;
    // From there it is known, so that whoever guesses elsewhere stands in nobody's way.
    scene.desk.must_let_in(ELSEWHERE, "ann").await?;
    let command_api = &scene.desk.command_api;
    let judged_by = std::env::var(RATIO_VARIABLE).ok();
    if judged_by.is_some() {
        keep_to(0, command_api.pid())?;
        keep_to(1, scene.query_api.pid())?;
        keep_to(1, std::process::id())?;
    }
    let memory_before = command_api.peak_memory()?;
    let (mut quiet, mut flooded, mut all) = (Vec::new(), Vec::new(), Guesses::default());
    for _ in 0..WINDOWS {
        quiet.push(scene.read(WINDOW).await?);
        let (read, guessed) = tokio::try_join!(scene.read(WINDOW), scene.guess(WINDOW))?;
        println!("{guessed:?}; {} reads, {} no hits", read.hits.len(), read.others);
        flooded.push(read);
        all.wrong += guessed.wrong;
        all.held_back += guessed.held_back;
        all.busy += guessed.busy;
        all.longest = all.longest.max(guessed.longest);
    }
    let memory = command_api.peak_memory()? - memory_before;
    println!("{all:?}; the process took {} MiB more", memory / (1024 * 1024));

    // Everybody was answered, else this would not be reached; what was answered was honest.
    ensure!(all.longest < HANG, "somebody waited for {:?}", all.longest);
    ensure!(all.wrong > 0 && all.held_back > 0 && all.busy > 0, "nothing was refused: {all:?}");
    let hashes: u64 = PASSWORD_HASHES.default.context("no default")?.parse()?;
    let most = hashes * BYTES_OF_A_HASH + BYTES_BESIDE;
    ensure!(memory < most, "{memory} bytes are more than {hashes} hashes at once take");
    eventually("whoever knows the password comes in", async || {
        scene.desk.must_let_in(ELSEWHERE, "ann").await
    })
    .await?;

    let mut ratios = [0.0; 2];
    for (ratio, percent) in ratios.iter_mut().zip([50, 99]) {
        let (without, with) = (median(&mut quiet, percent)?, median(&mut flooded, percent)?);
        *ratio = with / without;
        println!(
            "cached reads, p{percent}: {without:.2} ms alone, {with:.2} ms beside {AT_ONCE} guesses, {ratio:.2} \
             times as long"
        );
    }
    if let Some(most) = judged_by {
        let most: f64 = most.parse().with_context(|| format!("{RATIO_VARIABLE} is {most}"))?;
        ensure!(ratios[1] < most, "the p99 is {} times as long, and not {most}", ratios[1]);
    }
    Ok(())
}
