//! Mails that decisions cause, and where their links lead.

mod forgotten;
mod link;
mod notices;
mod registering;
mod sending;
mod verifying;

use consistency_token::TokenKey;
use domain::user::UserId;
use serde_json::json;

use crate::decision_world::{PASSWORD, PUBLIC_URL, Person, World};
use crate::world::Answer;

const VERIFY: &str = "/api/v1/auth/verify-email";

/// The token of the link in the last mail, which goes to this address.
fn token_to(world: &World, address: &str) -> String {
    assert_eq!(world.mailer.sent().pop().unwrap().to, address);
    last_token(world, VERIFY)
}

/// The token of the link in the last mail, which leads to this path.
fn last_token(world: &World, path: &str) -> String {
    let mail = world.mailer.sent().pop().unwrap();
    let link = format!("{PUBLIC_URL}{path}?token=");
    let tokens: Vec<_> = mail.text.lines().filter_map(|line| line.strip_prefix(&*link)).collect();
    let [token] = tokens[..] else { panic!("{}", mail.text) };
    token.to_owned()
}

async fn sent(world: &World, count: usize) {
    let what = format!("{count} mails were sent");
    world.mails_come_to(&what, |world| world.mailer.sent().len() == count).await;
}

async fn settled(world: &World, count: usize) {
    let what = format!("{count} mails were settled");
    world.mails_come_to(&what, |world| world.store.settled().len() == count).await;
}

async fn put_off(world: &World, count: usize) {
    let what = format!("{count} mails were put off");
    world.mails_come_to(&what, |world| world.store.put_off().len() == count).await;
}

async fn post(world: &World, token: &str) -> Answer {
    world.call("POST", VERIFY).saying(&json!({"token": token})).send().await
}

/// Follows the link.
async fn follow(world: &World, token: &str) -> Answer {
    world.call("GET", &format!("{VERIFY}?token={token}")).send().await
}

/// Presses the button of the page that the link leads to.
async fn press(world: &World, token: &str) -> Answer {
    send_form(world, format!("token={token}")).await
}

async fn send_form(world: &World, form: String) -> Answer {
    world.call("POST", VERIFY).saying_as("application/x-www-form-urlencoded", form).send().await
}

/// Status and text of a page, which says of itself what each one must.
fn page(answer: &Answer) -> (u16, &str) {
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        (
            "content-security-policy",
            "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(name), value, "{answer:?}");
    }
    (answer.status.as_u16(), answer.body.as_str().unwrap_or_default())
}

async fn change_email(world: &World, person: &Person, address: &str) -> Answer {
    let call = world.call("PUT", &person.path("/email")).by(&person.claims());
    call.saying(&json!({"email": address, "current_password": PASSWORD})).send().await
}

/// A token as the process signs it.
fn signed(world: &World, person: &Person, email_number: u32, until: i64) -> String {
    signed_by(&world.mail_link_key, person, email_number, until)
}

/// The same as whoever has the key signs it.
fn signed_by(key: &TokenKey, person: &Person, email_number: u32, until: i64) -> String {
    let user = UserId::parse(&person.id).unwrap().0;
    let until = until * 1_000_000;
    let content =
        [user.as_bytes().as_slice(), &email_number.to_be_bytes(), &until.to_be_bytes()].concat();
    key.for_texts("verify-email").sign(b"", &content)
}

fn is_verified(answer: &Answer) -> &serde_json::Value {
    &answer.body["email_verified"]
}

async fn shown(world: &World, person: &Person) -> Answer {
    world.call("PATCH", &person.path("")).by(&person.claims()).saying(&json!({})).send().await
}
