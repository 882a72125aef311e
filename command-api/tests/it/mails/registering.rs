//! Registering where it tells nobody who has an account: nobody is a user before the link of the mail is followed by
//! whoever knows the password.

mod confirming;

use std::time::Duration;

use command_api::user::CONFIRM_REGISTRATION;
use event_store::EventStore as _;
use event_store::pending_registration::NewRegistration;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{PASSWORD, change_email, put_off, settled};
use crate::decision_world::{Call, PUBLIC_URL, Person, Setup, World, registration};
use crate::world::{Answer, now};

const REGISTER: &str = "/api/v1/auth/register";
const CONFIRM: &str = "/api/v1/auth/confirm-registration";

/// What somebody else chooses, or enters.
const ANOTHER: &str = "battery staple";

const HOUR: Duration = Duration::from_secs(3_600);

async fn world() -> World {
    World::of(Setup { reveals_accounts: false, ..Setup::default() }).await
}

fn wanted(name: &str, email: &str) -> Value {
    let mut body = registration(name);
    body["email"] = email.into();
    body
}

async fn register(world: &World, name: &str, email: &str) -> Answer {
    world.call("POST", REGISTER).saying(&wanted(name, email)).send().await
}

async fn registers(world: &World, name: &str, email: &str) {
    let answer = register(world, name, email).await;
    assert_eq!((answer.status.as_u16(), &answer.body), (202, &json!({"status": "accepted"})));
}

/// The tokens of the links that went to an address, in their order.
fn tokens_to(world: &World, address: &str) -> Vec<String> {
    let link = format!("{PUBLIC_URL}{CONFIRM}?token=");
    let mails: Vec<_> = world.mailer.sent().into_iter().filter(|mail| mail.to == address).collect();
    let lines = mails.iter().flat_map(|mail| mail.text.lines());
    lines.filter_map(|line| line.strip_prefix(&*link)).map(str::to_owned).collect()
}

fn last_token(world: &World, address: &str) -> String {
    tokens_to(world, address).pop().unwrap()
}

/// A token as the process signs it.
fn signed(world: &World, id: Uuid, until: i64) -> String {
    let until = until * 1_000_000;
    let content = [id.as_bytes().as_slice(), &until.to_be_bytes()].concat();
    world.mail_link_key.for_texts("confirm-registration").sign(b"", &content)
}

async fn confirm(world: &World, token: &str) -> Answer {
    confirm_with(world, token, PASSWORD).await
}

async fn confirm_with(world: &World, token: &str, password: &str) -> Answer {
    confirming(world, token, password).send().await
}

fn confirming(world: &World, token: &str, password: &str) -> Call {
    world.call("POST", CONFIRM).saying(&json!({"token": token, "password": password}))
}

/// Presses the button of the page that the link leads to.
async fn press(world: &World, token: &str) -> Answer {
    press_with(world, token, PASSWORD).await
}

async fn press_with(world: &World, token: &str, password: &str) -> Answer {
    let password = password.replace(' ', "+");
    send_form(world, format!("token={token}&password={password}")).await
}

async fn send_form(world: &World, form: String) -> Answer {
    world.call("POST", CONFIRM).saying_as("application/x-www-form-urlencoded", form).send().await
}

/// Somebody who has become a user by a mail. No other ones are sent afterwards.
async fn registered(world: &World, name: &str) -> Person {
    let (email, mails) = (format!("{name}@example.org"), world.store.settled().len());
    registers(world, name, &email).await;
    let mailing = world.starts_to_send_mails();
    settled(world, mails + 1).await;
    mailing.abort();
    let answer = confirm(world, &last_token(world, &email)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    Person::new(answer.body["id"].as_str().unwrap())
}

async fn log_in(world: &World, name: &str) -> u16 {
    world.log_in(name, PASSWORD).send().await.status.as_u16()
}

fn told(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.problem())
}

/// That nothing is told of a version of theirs, nor by what they are found.
fn must_tell_of_no_user(answer: &Answer) {
    for name in ["etag", "consistency-token", "location"] {
        assert!(!answer.headers.contains_key(name), "{name} in {answer:?}");
    }
}

/// That this is not the password, of which nothing is told.
fn must_be_wrong(answer: &Answer) {
    assert_eq!(told(answer), (400, "invalid-request"), "{answer:?}");
    assert_eq!(answer.errors(), [("/password", "chosen-password")]);
    assert!(!format!("{answer:?}").contains(ANOTHER), "{answer:?}");
}

#[tokio::test]
async fn whoever_registers_is_told_nothing_of_who_there_is() {
    let world = world().await;
    registered(&world, "ann").await;
    let all_of = async |name: &str, email: &str| {
        let mails = world.store.memory().mails();
        world.store.called();
        let answer = register(&world, name, email).await;
        let (called, written) = (world.store.called(), world.store.memory().mails() - mails);
        (answer.status.as_u16(), answer.body, answer.headers, called, written)
    };
    let expected = all_of("nobody", "nobody@example.org").await;
    assert_eq!((expected.0, &expected.1), (202, &json!({"status": "accepted"})));
    assert_eq!((&expected.3[..], expected.4), (&["keep_registration"][..], 1));
    // Of a name that is taken, of an address, of both, and once more of neither.
    for (name, email) in [
        ("ann", "free@example.org"),
        ("free", "ann@example.org"),
        ("Ann", "ANN@Example.org"),
        ("nobody", "nobody@example.org"),
    ] {
        assert_eq!(all_of(name, email).await, expected, "{name} {email}");
    }
    assert_eq!(world.log.records().len(), 2, "nothing was decided but about Ann");
    let faulty = register(&world, "a", "nobody").await;
    assert_eq!(faulty.errors(), [("/username", "min-characters"), ("/email", "email")]);
    world.store.is_away(true);
    for email in ["ann@example.org", "nobody@example.org"] {
        let answer = register(&world, "bob", email).await;
        assert_eq!(told(&answer), (503, "database-unavailable"), "{email}");
    }
}

#[tokio::test]
async fn a_registration_that_is_sent_again_under_its_name_is_another_one_since_its_password_may_be()
{
    let world = world().await;
    world.starts_to_send_mails();
    let send = async |path: &str, password: &str| {
        let mut body = wanted("ann", "ann@example.org");
        body["password"] = password.into();
        let answer = world.call("POST", path).named("k1").saying(&body).send().await;
        assert_eq!((answer.status.as_u16(), &answer.body), (202, &json!({"status": "accepted"})));
    };
    send(REGISTER, ANOTHER).await;
    settled(&world, 1).await;
    send("/users", PASSWORD).await;
    settled(&world, 2).await;
    assert!(world.store.kept("anybody", "k1").await.is_none(), "its answer is kept");
    assert_eq!(confirm(&world, &last_token(&world, "ann@example.org")).await.status, 201);
    assert_eq!(log_in(&world, "ann").await, 200);
    let faulty = world.call("POST", REGISTER).with("idempotency-key", "");
    let faulty = faulty.saying(&wanted("bob", "bob@example.org")).send().await;
    assert_eq!(told(&faulty), (400, "invalid-header"));
}

#[tokio::test]
async fn whoever_has_an_account_already_is_told_so_and_nobody_else_is() {
    let world = world().await;
    registered(&world, "ann").await;
    registers(&world, "eve", "ANN@example.org").await;
    world.starts_to_send_mails();
    settled(&world, 2).await;
    let mail = world.mailer.sent().pop().unwrap();
    let (to, subject) = (mail.to.as_str(), mail.subject.as_str());
    assert_eq!((to, subject), ("ann@example.org", "You have an account already"));
    assert!(!mail.text.contains("token=") && !mail.text.contains("eve"), "{}", mail.text);
    assert_eq!(world.log.records().len(), 2, "nothing was decided but about Ann");
}

#[tokio::test]
async fn nobody_is_buried_in_mails_by_those_who_register_with_their_address() {
    let world = world().await;
    let mailing = world.starts_to_send_a_mail_every(HOUR);
    registers(&world, "ann", "ann@example.org").await;
    settled(&world, 1).await;
    registers(&world, "eve", "Ann@example.org").await;
    put_off(&world, 1).await;
    registers(&world, "bob", "bob@example.org").await;
    settled(&world, 2).await;
    mailing.abort();
    world.starts_to_send_mails();
    for n in 1..=4 {
        registers(&world, "ann", "ann@example.org").await;
        settled(&world, 2 + n).await;
    }
    registers(&world, "ann", "ann@example.org").await;
    settled(&world, 7).await;
    assert_eq!(world.store.settled().pop(), Some(Ok("too-many")));
    assert_eq!(world.mailer.sent().len(), 6, "five to Ann and one to Bob");
}

#[tokio::test]
async fn each_registration_with_an_address_is_mailed_to_whatever_the_clocks_of_processes_say() {
    let world = world().await;
    // By a process whose clock is ahead.
    let ahead = u64::try_from(now() + 60).unwrap() * 1_000;
    let id = uuid::Builder::from_unix_timestamp_millis(ahead, &[0; 10]).into_uuid();
    let email = world.commands.deciding().claim_key.digest("email", "ann@example.org");
    let (sealed, mail, waits_for) = (b"the one before".to_vec(), CONFIRM_REGISTRATION, HOUR);
    let before = NewRegistration { id, email, sealed, mail, waits_for };
    world.store.keep_registration(before).await.unwrap();
    registers(&world, "ann", "ann@example.org").await;
    world.starts_to_send_mails();
    settled(&world, 2).await;
    // Nobody can read the other one, which is looked at all the same.
    assert_eq!(world.store.settled(), [Ok("sent"), Ok("unknown")]);
    assert_eq!(confirm(&world, &last_token(&world, "ann@example.org")).await.status, 201);
}

#[tokio::test]
async fn upon_a_store_that_was_not_compared_nobody_is_mailed_a_link() {
    let setup = Setup { reveals_accounts: false, has_relay: false, ..Setup::default() };
    let world = World::of(setup).await;
    registers(&world, "ann", "ann@example.org").await;
    world.starts_to_send_mails();
    settled(&world, 1).await;
    assert!(world.store.settled()[0].is_err(), "it is tried again");
    assert!(world.mailer.sent().is_empty(), "somebody may have the address");
    world.starts_to_publish().await;
    world.mails_come_to("the mail was sent", |world| world.mailer.sent().len() == 1).await;
    assert_eq!(confirm(&world, &last_token(&world, "ann@example.org")).await.status, 201);
}

#[tokio::test]
async fn whoever_has_become_a_user_already_is_mailed_no_link() {
    let world = world().await;
    let ann = registered(&world, "ann").await;
    // As after a restore that had what waited, and a repair by which she is a user again.
    let (id, sealed) = (ann.id.parse().unwrap(), b"what she had asked for".to_vec());
    let email = world.commands.deciding().claim_key.digest("email", "other@example.org");
    let (mail, waits_for) = (CONFIRM_REGISTRATION, HOUR);
    let again = NewRegistration { id, email, sealed, mail, waits_for };
    world.store.keep_registration(again).await.unwrap();
    world.starts_to_send_mails();
    settled(&world, 2).await;
    assert_eq!(world.store.settled(), [Ok("sent"), Ok("not-needed")]);
}

#[tokio::test]
async fn where_addresses_are_hashed_with_another_secret_nothing_is_kept() {
    let world = world().await;
    world.store.is_of_another_key();
    let refused = register(&world, "ann", "ann@example.org").await;
    assert_eq!(told(&refused), (503, "store-not-compared"));
    assert_eq!(world.store.memory().mails(), 0);
}

#[tokio::test]
async fn what_waits_for_an_address_goes_with_whoever_is_erased() {
    let world = world().await;
    let ann = registered(&world, "ann").await;
    registers(&world, "eve", "ann@example.org").await;
    assert_eq!(world.store.memory().mails(), 2);
    world.call("DELETE", &ann.path("")).by(&ann.claims()).send().await;
    assert_eq!(world.store.memory().mails(), 0, "they hold the hash of the address");
    world.starts_to_send_mails();
    registers(&world, "bob", "bob@example.org").await;
    settled(&world, 2).await;
    let to: Vec<_> = world.mailer.tried().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["ann@example.org", "bob@example.org"], "the first one before");
}

#[tokio::test]
async fn of_whoever_is_erased_no_mail_to_the_address_is_left_with_which_they_have_registered() {
    let world = world().await;
    let ann = registered(&world, "ann").await;
    assert_eq!(change_email(&world, &ann, "ann@example.com").await.status, 200);
    let before = world.store.memory().mails();
    world.call("DELETE", &ann.path("")).by(&ann.claims()).send().await;
    assert_eq!(world.store.memory().mails(), before - 1, "it holds the hash of the address");
}
