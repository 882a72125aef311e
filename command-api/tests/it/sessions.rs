//! Sessions: coming in, staying in and being put out, as clients see it, and what is left in store and log.

mod ended;
mod logging_in;
mod oauth;
mod recorded;
mod refreshed;
mod throttled;

use domain::session::SessionId;
use event_store::EventStore as _;
use serde_json::{Value, json};

use crate::decision_world::{Call, PASSWORD, World};
use crate::world::Answer;

const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const LOGOUT: &str = "/api/v1/auth/logout";
const SESSIONS: &str = "/api/v1/auth/sessions";

/// What somebody is given who is in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Session {
    access_token: String,
    refresh_token: String,
    id: SessionId,
}

impl Session {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        let id = SessionId::parse(&text("session_id")).unwrap();
        Self { access_token: text("access_token"), refresh_token: text("refresh_token"), id }
    }

    /// The types of its events, as the store has them.
    async fn events(&self, world: &World) -> Vec<String> {
        let history = world.store.history(&self.id.stream_id()).await.unwrap();
        let name = |event: event_store::Event| {
            let name = event.event_type.strip_prefix("identity.session.");
            name.and_then(|name| name.strip_suffix(".v1")).unwrap().to_owned()
        };
        history.into_iter().map(name).collect()
    }
}

fn login(world: &World, name: &str) -> Call {
    world.log_in(name, PASSWORD)
}

fn saying(world: &World, body: &Value) -> Call {
    world.call("POST", LOGIN).saying(body)
}

async fn logged_in(world: &World, name: &str) -> Session {
    Session::of(&login(world, name).send().await)
}

fn refresh(world: &World, refresh_token: &str) -> Call {
    world.call("POST", REFRESH).saying(&json!({"refresh_token": refresh_token}))
}

/// Whether the session's refresh token is still good for something.
async fn goes_on(world: &World, session: &Session) -> bool {
    let answer = refresh(world, &session.refresh_token).send().await;
    match answer.status.as_u16() {
        200 => true,
        401 => {
            assert_eq!(answer.problem(), "invalid-refresh-token");
            false
        }
        _ => panic!("{answer:?}"),
    }
}

/// What of a refusal is the same whatever was wrong.
fn told(answer: &Answer) -> (u16, Value, Vec<(String, String)>) {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (answer.status.as_u16(), answer.body.clone(), headers)
}
