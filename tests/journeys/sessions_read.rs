//! What readers see of sessions, whose events are logged by hand, and of themselves.

mod login;

use anyhow::{Context as _, Result, ensure};
use consistency_token::Token;
use domain::session::SessionEvent;
use domain::user::UserEvent;
use serde_json::{Value, json};
use test_support::{AccessToken, Answer, PASSWORD, People, eventually, with_json};

use super::users::store_is_open;
use super::users_read::stage::{Person, Stage, admin, registered, stranger};
use login::Login;

const SESSIONS: &str = "/api/v1/auth/sessions";
const ME: &str = "/api/v1/auth/me";

async fn ann(stage: &Stage) -> Result<Person> {
    let mut ann = stage.person().await?;
    let logged = stage.say(&mut ann, registered("Ann", "ann@example.org")).await?;
    let seen = stage.get_after(logged, &admin(), &ann.path()).await?;
    ensure!(seen.status == 200, "{seen}");
    Ok(ann)
}

fn items(page: &Answer) -> Result<Vec<Value>> {
    let items = page.json()?["items"].as_array().cloned();
    items.with_context(|| format!("no items in {page}"))
}

/// Which of these sessions a page shows, in its order.
fn shown(page: &Answer, of: &[&Login]) -> Result<Vec<usize>> {
    let number = |item: &Value| of.iter().position(|login| item["id"] == login.id.to_string());
    let numbers = items(page)?.iter().map(number).collect::<Option<Vec<_>>>();
    numbers.with_context(|| format!("a session that nobody has: {page}"))
}

#[tokio::test]
async fn somebody_sees_where_they_are_logged_in_and_nobody_else_does() -> Result<()> {
    let stage = Stage::set("sessions").await?;
    let (ann, mut bob) = (ann(&stage).await?, stage.person().await?);
    let of_bob = stage.say(&mut bob, registered("Bob", "bob@example.org")).await?;
    let mut logins = Vec::new();
    for _ in 0..4 {
        let mut login = Login::of(&ann)?;
        login.say(&stage, login.began(0)).await?;
        logins.push(login);
    }
    let [phone, laptop, work, stolen] = &mut logins[..] else { anyhow::bail!("not four") };
    phone.say(&stage, phone.refreshed(2)).await?;
    let last = phone.say(&stage, phone.refreshed(3)).await?;
    let ended = laptop.say(&stage, SessionEvent::LoggedOut).await?;
    let reused = SessionEvent::ReuseDetected { generation: 1, client: None };
    let reused = stolen.say(&stage, reused).await?;
    for logged in [last, ended, reused] {
        let found = stage.get_after(logged, &ann.token(), SESSIONS).await?;
        ensure!(found.status == 200, "{found}");
    }

    let all = [&*phone, &*laptop, &*work, &*stolen];
    let by_phone = ann.token().claim("sid", phone.id.to_string());
    let page = stage.get(&by_phone, SESSIONS, &[]).await?;
    ensure!(shown(&page, &all)? == [3, 2, 1, 0], "{page}");
    ensure!(page.header("cache-control") == Some("private, no-cache"), "{:?}", page.headers);
    let sessions = items(&page)?;
    let expected = json!({
        "id": phone.id.to_string(), "user_id": ann.id.to_string(), "current": true,
        "state": "active", "started_at": sessions[3]["started_at"],
        "last_refreshed_at": sessions[3]["last_refreshed_at"], "refreshes": 2, "ended_at": null,
        "end_reason": null, "version": 3,
    });
    ensure!(sessions[3] == expected, "{page}");
    ensure!(sessions[3]["last_refreshed_at"].as_str() > sessions[3]["started_at"].as_str());
    for (number, state, reason) in [
        (0, "ended", json!("reuse-detected")),
        (1, "active", Value::Null),
        (2, "ended", json!("logged-out")),
    ] {
        let session = &sessions[number];
        let found = (&session["state"], &session["end_reason"], &session["current"]);
        ensure!(found == (&json!(state), &reason, &json!(false)), "{page}");
        ensure!(session["ended_at"].is_string() == (state == "ended"), "{page}");
    }

    // One at a time, with a session that begins between the pages.
    let mut path = format!("{SESSIONS}?limit=1&state=active");
    let first = stage.get(&ann.token(), &path, &[]).await?;
    ensure!(shown(&first, &all)? == [2], "{first}");
    let next = first.header("link").and_then(|link| link.strip_prefix('<')?.split_once('>'));
    path = next.context("no next page")?.0.to_owned();
    let mut tablet = Login::of(&ann)?;
    let began = tablet.say(&stage, tablet.began(0)).await?;
    let second = stage.get_after(began, &ann.token(), &path).await?;
    ensure!(shown(&second, &all)? == [0] && second.header("link").is_none(), "{second}");
    let ended = stage.get(&ann.token(), &format!("{SESSIONS}?state=ended"), &[]).await?;
    ensure!(shown(&ended, &all)? == [3, 1], "{ended}");

    let of_ann = format!("{SESSIONS}?user_id={}", ann.id);
    let bound = ann.token().device("device-1");
    for (who, path, status, problem) in [
        (bob.token(), &*of_ann, 403, "forbidden"),
        (stranger(), &of_ann, 403, "forbidden"),
        (bound, SESSIONS, 403, "forbidden"),
        (ann.token().expired(60), SESSIONS, 401, "unauthenticated"),
        (stranger(), SESSIONS, 404, "not-found"),
        (admin(), &format!("{SESSIONS}?user_id={}", uuid::Uuid::now_v7()), 404, "not-found"),
        (admin(), &format!("{SESSIONS}?user_id=ann"), 400, "invalid-request"),
        (ann.token(), &format!("{SESSIONS}?state=open"), 400, "invalid-request"),
        (ann.token(), &format!("{SESSIONS}?cursor=bm9uZQ"), 400, "invalid-cursor"),
    ] {
        let answer = stage.get(&who, path, &[]).await?;
        let found = (answer.status, answer.problem());
        ensure!((found.0, found.1.as_str()) == (status, problem), "{path}: {answer}");
    }
    let by_admin = stage.get(&admin(), &of_ann, &[]).await?;
    ensure!(items(&by_admin)?.len() == 5, "{by_admin}");
    let none = stage.get_after(of_bob, &bob.token(), SESSIONS).await?;
    ensure!(none.json()? == json!({"items": []}), "{none}");
    Ok(())
}

/// How a session ended, as a page says.
fn end_reason(page: &Answer, login: &Login) -> Result<Value> {
    let items = items(page)?;
    let session = items.iter().find(|item| item["id"] == login.id.to_string());
    Ok(session.with_context(|| format!("it is not listed: {page}"))?["end_reason"].clone())
}

#[tokio::test]
async fn sessions_that_ended_together_or_lapsed_are_not_called_active() -> Result<()> {
    let stage = Stage::set("sessions_over").await?;
    let mut ann = ann(&stage).await?;
    let (mut before, mut after) = (Login::of(&ann)?, Login::of(&ann)?);
    let began = before.say(&stage, before.began(0)).await?;
    let page = stage.get_after(began, &ann.token(), SESSIONS).await?;
    ensure!(end_reason(&page, &before)?.is_null(), "{page}");
    let logged = stage.say(&mut ann, UserEvent::SessionsEnded).await?;
    let page = stage.get_after(logged, &ann.token(), SESSIONS).await?;
    ensure!(end_reason(&page, &before)? == "all-ended", "{page}");
    let began = after.say(&stage, after.began(1)).await?;
    let page = stage.get_after(began, &ann.token(), SESSIONS).await?;
    ensure!(end_reason(&page, &before)? == "all-ended", "{page}");
    ensure!(end_reason(&page, &after)?.is_null(), "{page}");
    let active = stage.get(&ann.token(), &format!("{SESSIONS}?state=active"), &[]).await?;
    ensure!(shown(&active, &[&before, &after])? == [1], "{active}");

    let age = "UPDATE session_rows SET started_at = started_at - interval '15 days' WHERE id = $1";
    sqlx::query(age).bind(after.id.0).execute(stage.world.pool()).await?;
    let page = stage.get(&ann.token(), SESSIONS, &[]).await?;
    ensure!(end_reason(&page, &after)? == "lapsed", "{page}");
    let active = stage.get(&ann.token(), &format!("{SESSIONS}?state=active"), &[]).await?;
    ensure!(items(&active)?.is_empty(), "{active}");

    let mut newest = Login::of(&ann)?;
    let began = newest.say(&stage, newest.began(1)).await?;
    let page = stage.get_after(began, &ann.token(), SESSIONS).await?;
    ensure!(end_reason(&page, &newest)?.is_null(), "{page}");
    let logged = stage.say(&mut ann, UserEvent::Deactivated).await?;
    let page = stage.get_after(logged, &admin(), &format!("{SESSIONS}?user_id={}", ann.id)).await?;
    for login in [&before, &after, &newest] {
        ensure!(end_reason(&page, login)? == "all-ended", "{page}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_that_names_a_stream_shows_the_write_once_the_log_has_it() -> Result<()> {
    let stage = Stage::set("sessions_tokens").await?;
    let ann = ann(&stage).await?;
    let mut login = Login::of(&ann)?;
    let event = login.decide(login.began(0));
    login.store(&stage, &event).await?;
    let token = stage.signed(&Token::of_stream(&login.id.stream_id(), 1))?;
    let read = async |prefer: &str| {
        let headers = [("consistency-token", token.as_str()), ("prefer", prefer)];
        stage.get(&ann.token(), SESSIONS, &headers).await
    };

    let behind = read("wait=1").await?;
    ensure!((behind.status, behind.problem().as_str()) == (503, "projection-behind"), "{behind}");
    ensure!(behind.header("retry-after").is_some(), "{:?}", behind.headers);
    let lenient = read("wait=0, handling=lenient").await?;
    ensure!(lenient.status == 200 && lenient.header("age").is_some(), "{lenient}");
    ensure!(items(&lenient)?.is_empty(), "{lenient}");

    // Published while somebody waits for it.
    let (found, published) = tokio::join!(read("wait=5"), login.publish(&stage, &event));
    published?;
    let found = found?;
    ensure!(shown(&found, &[&login])? == [0] && found.header("age").is_none(), "{found}");
    // What it was answered with asks for no less.
    let token = found.header("consistency-token").context("no token")?.to_owned();
    let again = stage.get(&ann.token(), SESSIONS, &[("consistency-token", &token)]).await?;
    ensure!(shown(&again, &[&login])? == [0], "{again}");

    let unknown = stage.signed(&Token::of_stream(&login.id.stream_id(), 2))?;
    let refused = stage.get(&ann.token(), SESSIONS, &[("consistency-token", &unknown)]).await?;
    let found = (refused.status, refused.problem());
    ensure!((found.0, found.1.as_str()) == (400, "invalid-consistency-token"), "{refused}");
    // The view of users shows nothing of sessions.
    let me = stage.get(&ann.token(), ME, &[("consistency-token", &unknown)]).await?;
    ensure!(me.status == 200, "{me}");
    Ok(())
}

#[tokio::test]
async fn a_session_whose_events_wait_is_not_called_shown_until_it_is() -> Result<()> {
    let stage = Stage::set("sessions_waiting").await?;
    let ann = ann(&stage).await?;
    let mut login = Login::of(&ann)?;
    let missing = login.decide(login.began(0));
    let behind = login.say(&stage, login.refreshed(2)).await?;
    eventually("the later event is set aside", async || {
        let letters = stage.world.letters().await?;
        ensure!(letters.len() == 1, "{} letters", letters.len());
        Ok(())
    })
    .await?;
    let parked = stage.get_after(behind, &ann.token(), SESSIONS).await?;
    ensure!(parked.problem() == "projection-parked", "{parked}");

    login.log(&stage, &missing).await?;
    eventually("the stream goes on", async || {
        let found = stage.get_after(behind, &ann.token(), SESSIONS).await?;
        ensure!(found.status == 200 && items(&found)?[0]["refreshes"] == 1, "{found}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn whoever_asks_is_shown_themselves() -> Result<()> {
    let stage = Stage::set("me").await?;
    let mut ann = ann(&stage).await?;
    let found = stage.get(&ann.token(), ME, &[]).await?;
    ensure!(found.status == 200 && found.json()?["email"] == "ann@example.org", "{found}");
    let by_id = stage.get(&ann.token(), &ann.path(), &[]).await?;
    ensure!(found.json()? == by_id.json()? && found.header("etag") == by_id.header("etag"));
    let etag = found.header("etag").context("no ETag")?.to_owned();
    let known = stage.get(&ann.token(), ME, &[("if-none-match", &etag)]).await?;
    ensure!(known.status == 304, "{known}");
    let logged = stage.say(&mut ann, UserEvent::EmailVerified).await?;
    let changed = stage.get_after(logged, &ann.token(), ME).await?;
    ensure!(changed.json()?["email_verified"] == true, "{changed}");

    let nobody = AccessToken::user(&uuid::Uuid::now_v7().to_string());
    for who in [nobody, stranger(), admin()] {
        let answer = stage.get(&who, ME, &[]).await?;
        ensure!((answer.status, answer.problem().as_str()) == (404, "not-found"), "{answer}");
        ensure!(answer.text.contains("nobody who has registered here"), "{answer}");
    }
    let bound = stage.get(&ann.token().device("device-1"), ME, &[]).await?;
    ensure!(bound.status == 403, "{bound}");

    stage.destroy_key(&ann).await?;
    let logged = stage.say(&mut ann, UserEvent::Erased).await?;
    let erased = stage.get_after(logged, &ann.token(), ME).await?;
    ensure!((erased.status, erased.problem().as_str()) == (410, "erased"), "{erased}");
    Ok(())
}

/// What a login or a refresh has given: access token, refresh token, consistency token.
fn given(answer: &Answer) -> Result<[String; 3]> {
    ensure!(answer.status == 200, "{answer}");
    let (body, token) = (answer.json()?, answer.header("consistency-token"));
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let given = || Some([text("access_token")?, text("refresh_token")?, token?.to_owned()]);
    given().with_context(|| format!("something is not given: {answer}"))
}

#[tokio::test]
async fn whoever_logs_in_reads_it_by_the_token_and_is_out_when_all_sessions_end() -> Result<()> {
    let stage = Stage::set("sessions_whole").await?;
    let command_api = stage.world.command_api()?.start().await?;
    command_api.ready().await?;
    let people = People::new(&[&command_api], None)?;
    store_is_open(&people).await?;
    let registered = people.register("ann").await?;
    let registered = registered.header("consistency-token").context("no token")?.to_owned();
    let ask = async |method, path, body: Value| {
        people.send(with_json(people.request(0, method, path)?, &body)).await
    };
    let seen = async |access_token: &str, path: &str, token: &str| {
        let headers = [("consistency-token", token), ("prefer", "wait=5")];
        stage.get_by(access_token, path, &headers).await
    };

    let login = json!({"username": "ann", "password": PASSWORD});
    let [access, refresh, token] = given(&ask("POST", "/api/v1/auth/login", login).await?)?;
    let page = eventually("the key of the access token is known", async || {
        let page = seen(&access, SESSIONS, &token).await?;
        ensure!(page.status == 200, "{page}");
        Ok(page)
    })
    .await?;
    let listed = items(&page)?;
    let [session] = &listed[..] else { anyhow::bail!("not one session: {page}") };
    ensure!(session["current"] == true && session["state"] == "active", "{page}");
    let me = seen(&access, ME, &registered).await?;
    ensure!(me.status == 200 && me.json()?["username"] == "ann", "{me}");

    let refresh = json!({ "refresh_token": refresh });
    let [access, _, token] = given(&ask("POST", "/api/v1/auth/refresh", refresh).await?)?;
    let page = seen(&access, SESSIONS, &token).await?;
    ensure!(items(&page)?[0]["refreshes"] == 1 && items(&page)?[0]["current"] == true, "{page}");

    let end = people.request(0, "DELETE", SESSIONS)?.bearer_auth(&access);
    let ended = people.send(end).await?;
    ensure!(ended.status == 204, "{ended}");
    let token = ended.header("consistency-token").context("no token")?;
    let user_id = session["user_id"].as_str().context("nobody's")?;
    let of_ann = format!("{SESSIONS}?user_id={user_id}");
    let page = seen(&admin().sign()?, &of_ann, token).await?;
    ensure!(items(&page)?[0]["end_reason"] == "all-ended", "{page}");
    eventually("she is out", async || {
        let answer = seen(&access, SESSIONS, token).await?;
        ensure!(answer.status == 401 && answer.problem() == "unauthenticated", "{answer}");
        Ok(())
    })
    .await
}
