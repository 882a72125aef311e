//! What people and devices do that is right, with something planted in all of it: so it comes as deep as
//! anything does.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use test_support::{Answer, World, eventually, id_of};

use super::asker::{Asker, Wish};
use super::planted::Planted;

const REGISTER: &str = "/api/v1/auth/register";
const CONFIRM: &str = "/api/v1/auth/confirm-registration";
const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const RESET: &str = "/api/v1/auth/reset-password";
const VERIFY: &str = "/api/v1/auth/verify-email";
const EVENTS: &str = "/api/v1/events";

/// Somebody whose every field is planted.
#[derive(Clone)]
struct Person {
    id: String,
    name: String,
    email: String,
    password: String,
}

/// The access token and the refresh token of an answer.
fn tokens(answer: &Answer) -> Result<(String, String)> {
    let body = answer.json()?;
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    text("access_token").zip(text("refresh_token")).with_context(|| format!("no tokens: {answer}"))
}

/// Somebody who is no user yet, and what they register with.
fn somebody(planted: &Planted, who: &str) -> (Person, Value) {
    let of = |what: &str| format!("{what} of {who}");
    let (name, local) = (planted.private(&of("name")), planted.private(&of("address")));
    let (email, password) = (format!("{local}@example.org"), planted.secret(&of("password")));
    let picture = planted.private(&of("picture"));
    let body = json!({
        "username": name,
        "email": email,
        "password": password,
        "full_name": planted.private(&of("full name")),
        "bio": planted.private(&of("bio")),
        "image": format!("https://example.org/{picture}.png"),
    });
    (Person { id: String::new(), name, email, password }, body)
}

/// Sends what somebody registers with.
async fn send(asker: &mut Asker<'_>, who: &str, status: u16, body: &Value) -> Result<Answer> {
    let key = asker.planted.private(&format!("idempotency key of {who}"));
    let wish = Wish::new("POST", REGISTER).json(body).header("idempotency-key", key);
    asker.must(status, wish).await
}

/// Somebody who has just registered, and the answer that says so.
async fn register(asker: &mut Asker<'_>, who: &str) -> Result<(Person, Answer)> {
    let (person, body) = somebody(asker.planted, who);
    let answer = send(asker, who, 201, &body).await?;
    Ok((Person { id: id_of(&answer)?, ..person }, answer))
}

/// The id of somebody who registers and does nothing else.
pub(super) async fn a_scapegoat(asker: &mut Asker<'_>) -> Result<String> {
    // Until log and store are compared nobody can.
    eventually("the store takes decisions", async || {
        let (person, _) = register(asker, "a scapegoat").await?;
        Ok(person.id)
    })
    .await
}

/// The token of the first mail to an address that leads to this page.
async fn mailed(asker: &Asker<'_>, world: &World, to: &str, page: &str) -> Result<String> {
    let token = eventually("the mail is in the outbox", async || {
        for entry in std::fs::read_dir(world.outbox()).context("no outbox yet")?.flatten() {
            // Long lines are folded for mail.
            let mail =
                std::fs::read_to_string(entry.path())?.replace("=\r\n", "").replace("=3D", "=");
            let begin = format!("{page}?token=");
            if mail.contains(to)
                && let Some((_, rest)) = mail.split_once(begin.as_str())
            {
                let token = rest.split_whitespace().next().context("no token")?;
                return Ok(token.to_owned());
            }
        }
        anyhow::bail!("there is none")
    })
    .await?;
    asker.planted.given(&format!("the token of a mail that leads to {page}"), &token);
    Ok(token)
}

/// Somebody registers, comes in by every way, reads, changes all that they are, forgets their password and
/// leaves. Their id.
pub(super) async fn of_a_person(
    asker: &mut Asker<'_>,
    world: &World,
    admin: &str,
) -> Result<String> {
    let (person, registered) = register(asker, "somebody").await?;
    verify(asker, world, &person).await?;
    let access = come_in(asker, &person).await?;
    look(asker, &person, &registered, &access, admin).await?;
    let password = change(asker, &person, &access).await?;
    let password = forget(asker, world, &Person { password, ..person.clone() }).await?;
    let person = Person { password, ..person };
    leave(asker, &person).await?;
    Ok(person.id)
}

async fn verify(asker: &mut Asker<'_>, world: &World, person: &Person) -> Result<()> {
    let token = mailed(asker, world, &person.email, VERIFY).await?;
    asker.must(200, Wish::new("GET", format!("{VERIFY}?token={token}"))).await?;
    asker.must(204, Wish::new("POST", VERIFY).json(&json!({"token": token}))).await?;
    let none = asker.planted.secret("a token of a mail that is none");
    asker.must(400, Wish::new("GET", format!("{VERIFY}?token={none}"))).await?;
    asker.must(400, Wish::new("POST", VERIFY).form(format!("token={none}"))).await?;
    Ok(())
}

/// Who follows the link of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Program,
    Page,
}

/// What confirms a registration.
fn confirming(by: By, token: &str, password: &str) -> Wish {
    let wish = Wish::new("POST", CONFIRM);
    match by {
        By::Program => wish.json(&json!({"token": token, "password": password})),
        By::Page => wish.form(format!("token={token}&password={password}")),
    }
}

/// Two people register where that tells nobody who has an account, and become users by their mails: one by a program,
/// one by the page.
pub(super) async fn of_registrations_that_wait(asker: &mut Asker<'_>, world: &World) -> Result<()> {
    let nobody = asker.planted.private("a name of nobody");
    let body =
        json!({"username": nobody, "password": asker.planted.secret("a password of nobody")});
    // A process that has just started takes none before it knows that log and store are compared.
    eventually("the store takes decisions", async || {
        let answer = asker.ask(Wish::new("POST", LOGIN).json(&body)).await?;
        ensure!(answer.problem() != "store-not-compared", "{answer}");
        Ok(())
    })
    .await?;
    for (who, by) in [("somebody by a program", By::Program), ("somebody by a page", By::Page)] {
        confirm(asker, world, who, by).await?;
    }
    Ok(())
}

async fn confirm(asker: &mut Asker<'_>, world: &World, who: &str, by: By) -> Result<()> {
    let (Person { email, password, .. }, body) = somebody(asker.planted, who);
    send(asker, who, 202, &body).await?;
    let token = mailed(asker, world, &email, CONFIRM).await?;
    let none = asker.planted.secret("a token of a registration that is none");
    let wrong = asker.planted.secret("a password that was not registered with");
    for (status, token) in [(200, &token), (400, &none)] {
        asker.must(status, Wish::new("GET", format!("{CONFIRM}?token={token}"))).await?;
    }
    for any in [By::Program, By::Page] {
        asker.must(400, confirming(any, &none, &password)).await?;
        asker.must(400, confirming(any, &token, &wrong)).await?;
    }
    asker.must(201, confirming(by, &token, &password)).await?;
    // Whatever the password, it is said that the token was used, and by a page that there is an account.
    for (any, status) in [(By::Program, 204), (By::Page, 200)] {
        asker.must(status, confirming(any, &token, &wrong)).await?;
    }
    Ok(())
}

/// The access token of the last way in.
async fn come_in(asker: &mut Asker<'_>, person: &Person) -> Result<String> {
    let Person { name, email, password, .. } = person;
    let wrong = asker.planted.secret("a wrong password");
    let body = json!({"username": name, "password": wrong});
    asker.must(401, Wish::new("POST", LOGIN).json(&body)).await?;
    let body = json!({"email": email, "password": password});
    asker.must(200, Wish::new("POST", "/login").json(&body)).await?;
    let (client, secret) = (
        asker.planted.private("an OAuth client"),
        asker.planted.secret("an OAuth client's secret"),
    );
    let form = format!(
        "grant_type=password&username={name}&password={password}&client_id={client}&client_secret={secret}"
    );
    let answer = asker.must(200, Wish::new("POST", "/token").form(form)).await?;
    let (_, refresh) = tokens(&answer)?;
    let form = format!("grant_type=refresh_token&refresh_token={refresh}&client_id={client}");
    asker.must(200, Wish::new("POST", "/api/v1/auth/token").form(form)).await?;
    let body = json!({"username": name, "password": password});
    let answer = asker.must(200, Wish::new("POST", LOGIN).json(&body)).await?;
    let (_, refresh) = tokens(&answer)?;
    let body = json!({ "refresh_token": refresh });
    let answer = asker.must(200, Wish::new("POST", REFRESH).json(&body)).await?;
    let none = asker.planted.secret("a refresh token that is none");
    let body = json!({ "refresh_token": none });
    asker.must(401, Wish::new("POST", REFRESH).json(&body)).await?;
    Ok(tokens(&answer)?.0)
}

async fn look(
    asker: &mut Asker<'_>,
    person: &Person,
    registered: &Answer,
    access: &str,
    admin: &str,
) -> Result<()> {
    let Person { id, name, .. } = person;
    let token = registered.header("consistency-token").context("no token")?;
    let me = Wish::new("GET", "/api/v1/auth/me").by(access).header("consistency-token", token);
    asker.must(200, me.header("prefer", "wait=5")).await?;
    let changed = asker.planted.private("a consistency token that is none");
    let me = Wish::new("GET", "/api/v1/auth/me").by(access);
    asker.must(400, me.header("consistency-token", changed)).await?;
    for path in [
        format!("/api/v1/users/{id}"),
        format!("/api/v1/users/by-username/{name}"),
        "/api/v1/auth/sessions".to_owned(),
    ] {
        asker.must(200, Wish::new("GET", path).by(access)).await?;
    }
    for path in [format!("/api/v1/users?prefix={name}"), format!("/api/v1/users/{id}/audit")] {
        asker.must(403, Wish::new("GET", path.as_str()).by(access)).await?;
        asker.must(200, Wish::new("GET", path).by(admin)).await?;
    }
    Ok(())
}

/// Another profile and another password, which is returned.
async fn change(asker: &mut Asker<'_>, person: &Person, access: &str) -> Result<String> {
    let path = format!("/api/v1/users/{}", person.id);
    let (full_name, bio) =
        (asker.planted.private("another full name"), asker.planted.private("another bio"));
    let body = json!({"full_name": full_name, "bio": bio});
    let wish = Wish::new("PATCH", path.as_str()).by(access).json(&body);
    let key = asker.planted.private("another idempotency key");
    asker.must(200, wish.header("idempotency-key", key)).await?;
    let (wrong, new) = (
        asker.planted.secret("a current password that is wrong"),
        asker.planted.secret("a new password"),
    );
    for (status, current) in [(403, &wrong), (204, &person.password)] {
        let body = json!({"current_password": current, "new_password": new});
        let wish = Wish::new("PUT", format!("{path}/password")).by(access).json(&body);
        asker.must(status, wish).await?;
    }
    Ok(new)
}

/// By a mail somebody has another password, which is returned.
async fn forget(asker: &mut Asker<'_>, world: &World, person: &Person) -> Result<String> {
    let nobody = asker.planted.private("an address of nobody");
    for email in [format!("{nobody}@example.org"), person.email.clone()] {
        let body = json!({ "email": email });
        asker.must(202, Wish::new("POST", "/api/v1/auth/forgot-password").json(&body)).await?;
    }
    let token = mailed(asker, world, &person.email, RESET).await?;
    asker.must(200, Wish::new("GET", format!("{RESET}?token={token}"))).await?;
    let chosen = asker.planted.secret("a password that was chosen by mail");
    let form = format!("token={token}&new_password={chosen}");
    asker.must(200, Wish::new("POST", RESET).form(form.as_str())).await?;
    let answer = asker.ask(Wish::new("POST", RESET).form(form)).await?;
    ensure!(answer.status >= 400, "a token is taken twice: {answer}");
    let none = asker.planted.secret("another token of a mail that is none");
    let body = json!({"token": none, "new_password": chosen});
    asker.must(400, Wish::new("POST", RESET).json(&body)).await?;
    Ok(chosen)
}

/// Another address, and out.
async fn leave(asker: &mut Asker<'_>, person: &Person) -> Result<()> {
    let Person { id, name, password, .. } = person;
    let body = json!({"username": name, "password": password});
    let answer = asker.must(200, Wish::new("POST", LOGIN).json(&body)).await?;
    let (access, refresh) = tokens(&answer)?;
    let email = format!("{}@example.org", asker.planted.private("another address"));
    let body = json!({"email": email, "current_password": password});
    let path = format!("/api/v1/users/{id}/email");
    asker.must(200, Wish::new("PUT", path).by(&access).json(&body)).await?;
    let body = json!({ "refresh_token": refresh });
    asker.must(204, Wish::new("POST", "/api/v1/auth/logout").json(&body)).await?;
    asker.must(401, Wish::new("POST", REFRESH).json(&body)).await?;
    Ok(())
}

/// A device reports in every form in which it may, and under one key something else than before, which
/// becomes a letter.
pub(super) async fn of_a_device(asker: &mut Asker<'_>, access: &str) -> Result<()> {
    let planted = asker.planted;
    let payload = json!({planted.private("a member of a payload"): planted.private("a payload")});
    let (id, source) = (planted.private("an event's id"), planted.private("an event's source"));
    let (kind, extension) = (planted.private("an event's type"), planted.private("an extension"));
    let report = |payload: &serde_json::Value| {
        let body = json!({"device_id": "device-1", "payload": payload});
        Wish::new("POST", EVENTS).by(access).json(&body)
    };
    let key = planted.private("a report's idempotency key");
    asker.must(202, report(&payload).header("idempotency-key", key.as_str())).await?;
    let other = json!(planted.private("another payload"));
    asker.must(202, report(&other).header("idempotency-key", key)).await?;

    let event = json!({
        "specversion": "1.0",
        "id": id,
        "source": format!("/{source}"),
        "type": kind,
        "subject": "device-1",
        "tenant": extension,
        "data": payload,
    });
    let structured = Some(("application/cloudevents+json", event.to_string()));
    let batch = Some(("application/cloudevents-batch+json", json!([event]).to_string()));
    for content in [structured, batch] {
        let wish = Wish { content, ..Wish::new("POST", EVENTS) };
        let answer = asker.ask(wish.by(access)).await?;
        ensure!([202, 207].contains(&answer.status), "{answer}");
    }
    let binary = [
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", planted.private("the header ce-id")),
        ("ce-source", format!("/{}", planted.private("the header ce-source"))),
        ("ce-type", planted.private("the header ce-type")),
        ("ce-subject", "device-1".to_owned()),
        ("ce-tenant", planted.private("the header of an extension")),
    ];
    let wish = Wish::new("POST", EVENTS).by(access).json(&payload);
    let wish = binary.into_iter().fold(wish, |wish, (name, value)| wish.header(name, value));
    asker.must(202, wish).await?;
    asker.must(200, Wish::new("GET", "/api/v1/resources").by(access)).await?;
    Ok(())
}
