//! Passwords that are guessed: many at once, one after the other, of those who are there and of those who are
//! not. What others notice of it, and what whoever guesses is told.

mod cores;
mod flood;
mod held_back;
mod timing;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use test_support::{Answer, Launch, PASSWORD, People, Running, World, with_json};

use crate::journeys::users::store_is_open;

/// What nobody has.
const WRONG: &str = "a wrong horse battery";

/// A command-api that lets people in, and whoever wants to come in.
struct Desk {
    world: World,
    command_api: Running,
    people: People,
}

/// What became of an attempt to log in that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// The password was compared, and is wrong.
    Wrong,
    /// Too many attempts have failed: this one was not looked at.
    HeldBack,
    /// As many as may are under way.
    Busy,
}

impl Desk {
    /// One that is set up further before it starts.
    async fn open(name: &str, set_up: impl FnOnce(Launch) -> Launch) -> Result<Self> {
        let world = World::start(name).await?;
        let command_api = set_up(world.command_api()?).start().await?;
        command_api.ready().await?;
        let people = People::new(&[&command_api], None)?;
        store_is_open(&people).await?;
        Ok(Self { world, command_api, people })
    }

    /// An attempt to log in through a front door, which says where it comes from.
    async fn attempt(&self, from: &str, name: &str, password: &str) -> Result<Answer> {
        self.attempt_with(&[("x-forwarded-for", from)], name, password).await
    }

    async fn attempt_with(
        &self,
        headers: &[(&str, &str)],
        name: &str,
        password: &str,
    ) -> Result<Answer> {
        let request = self.people.request(0, "POST", "/api/v1/auth/login")?;
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let body = json!({"username": name, "password": password});
        self.people.send(with_json(request, &body)).await
    }

    /// Lets somebody in who knows the password of those who register in tests.
    async fn must_let_in(&self, from: &str, name: &str) -> Result<()> {
        let answer = self.attempt(from, name, PASSWORD).await?;
        ensure!(answer.status == 200, "{name} from {from} is answered {answer}");
        Ok(())
    }
}

impl Refused {
    /// What an answer says of it; anything but an honest refusal is a fault.
    fn of(answer: &Answer) -> Result<Self> {
        let problem = answer.problem();
        let refused = match (answer.status, problem.as_str()) {
            (401, "login-failed") => return Ok(Self::Wrong),
            (429, "too-many-attempts" | "too-many-requests") => Self::HeldBack,
            (503, "not-ready" | "database-unavailable") => Self::Busy,
            _ => bail!("a guess is answered {answer}"),
        };
        seconds_to_wait(answer)?;
        Ok(refused)
    }
}

/// After how many seconds somebody may come back.
fn seconds_to_wait(answer: &Answer) -> Result<u64> {
    let seconds = answer.header("retry-after").with_context(|| format!("no time: {answer}"))?;
    let seconds = seconds.parse().with_context(|| format!("{seconds} is no time"))?;
    ensure!(seconds > 0, "it may come back at once: {answer}");
    Ok(seconds)
}

/// An address that no other number has: whoever comes from it has never failed before.
fn an_address(number: usize) -> String {
    let [.., high, middle, low] = number.to_be_bytes();
    format!("10.{high}.{middle}.{low}")
}
