//! Second factors: enrolling one, coming in with its codes, having to have one, and being rid of it.

mod asked_of_roles;
mod enrolling;
mod removing;
mod using;

use command_api::password::Scheme;
use serde_json::{Value, json};
use test_support::Authenticator;

use crate::decision_world::{Call, PASSWORD, Person, Setup, World};
use crate::world::Answer;

const LOGIN: &str = "/api/v1/auth/login";

/// One in which a password costs little, and in which these roles have to have a second factor.
async fn world_asking(roles: Option<&'static str>) -> World {
    let scheme = Scheme::Bcrypt { rounds: 4 };
    World::of(Setup { scheme, second_factor_roles: roles, ..Setup::default() }).await
}

pub(crate) async fn world() -> World {
    world_asking(None).await
}

/// What somebody was handed out, and where they have put it.
#[derive(Debug)]
pub(crate) struct HandedOut {
    token: String,
    secret: String,
    app: Authenticator,
    pub(crate) recovery_codes: Vec<String>,
}

impl HandedOut {
    fn of(enrolment: &Value) -> Self {
        let text = |name: &str| enrolment[name].as_str().unwrap().to_owned();
        let codes = enrolment["recovery_codes"].as_array().unwrap();
        Self {
            token: text("enrolment_token"),
            secret: text("secret"),
            app: Authenticator::of(&text("otpauth_uri")).unwrap(),
            recovery_codes: codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect(),
        }
    }

    /// What the app shows now, or so many steps later: for at least half a minute, both are good.
    fn code(&self, later: u64) -> String {
        self.app.code(Authenticator::step() + later).unwrap()
    }
}

/// Asks for a second factor.
fn ask(world: &World, person: &Person, password: &str) -> Call {
    let call = world.call("POST", &person.path("/second-factor")).by(&person.claims());
    call.saying(&json!({"current_password": password}))
}

async fn handed_out(world: &World, person: &Person) -> HandedOut {
    let answer = ask(world, person, PASSWORD).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    HandedOut::of(&answer.body)
}

fn confirm(world: &World, person: &Person, token: &str, code: &str) -> Call {
    let body = json!({"enrolment_token": token, "code": code});
    world.call("POST", &person.path("/second-factor/confirm")).saying(&body)
}

/// Has somebody have a second factor; the code of now is used.
pub(crate) async fn enrol(world: &World, person: &Person) -> HandedOut {
    let handed_out = handed_out(world, person).await;
    let code = handed_out.code(0);
    let answer = confirm(world, person, &handed_out.token, &code).send().await;
    assert_eq!(answer.status, 204, "{answer:?}");
    handed_out
}

/// Somebody who has a second factor.
async fn enrolled(world: &World, name: &str) -> (Person, HandedOut) {
    let person = world.registered(name).await;
    let handed_out = enrol(world, &person).await;
    (person, handed_out)
}

/// Asks for one's own second factor to be removed.
pub(crate) fn remove(world: &World, person: &Person, body: &Value) -> Call {
    world.call("DELETE", &person.path("/second-factor")).by(&person.claims()).saying(body)
}

fn with_code(name: &str, code: &str) -> Value {
    json!({"username": name, "password": PASSWORD, "code": code})
}

fn without_code(name: &str) -> Value {
    json!({"username": name, "password": PASSWORD})
}

fn log_in(world: &World, body: &Value) -> Call {
    world.call("POST", LOGIN).saying(body)
}

/// Status and type of a refusal.
fn told(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.problem())
}

fn refresh(world: &World, logged_in: &Answer) -> Call {
    assert_eq!(logged_in.status, 200, "{logged_in:?}");
    let body = json!({"refresh_token": logged_in.body["refresh_token"]});
    world.call("POST", "/api/v1/auth/refresh").saying(&body)
}
