//! Second factors from enrolling one to losing it, over the real processes.

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use test_support::{
    AccessToken, Answer, Authenticator, Launch, PASSWORD, People, Running, World, eventually,
    id_of, with_json,
};

use super::users::store_is_open;

/// Those who say one code at once.
const AT_ONCE: usize = 24;

/// Two command-apis in which these roles have to have a second factor.
struct Stage {
    world: World,
    command_api: Launch,
    running: [Running; 2],
    people: People,
}

/// What somebody was handed out.
struct HandedOut {
    token: String,
    secret: String,
    app: Authenticator,
    recovery_codes: Vec<String>,
}

impl HandedOut {
    fn of(enrolment: &Value) -> Result<Self> {
        let text = |name: &str| {
            enrolment[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"))
        };
        let codes = enrolment["recovery_codes"].as_array().context("no recovery codes")?;
        Ok(Self {
            token: text("enrolment_token")?,
            secret: text("secret")?,
            app: Authenticator::of(&text("otpauth_uri")?)?,
            recovery_codes: codes.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }

    /// What the app shows now, or so many steps later.
    fn code(&self, later: u64) -> Result<String> {
        self.app.code(Authenticator::step() + later)
    }
}

impl Stage {
    async fn set(name: &str, roles: Option<&str>) -> Result<Self> {
        let world = World::start(name).await?;
        let mut command_api = world.command_api()?;
        if let Some(roles) = roles {
            command_api = command_api.setting("MILLRACE_SECOND_FACTOR_ROLES", roles);
        }
        let (one, other) = tokio::try_join!(command_api.start(), command_api.start())?;
        tokio::try_join!(one.ready(), other.ready())?;
        let people = People::new(&[&one, &other], None)?;
        store_is_open(&people).await?;
        Ok(Self { world, command_api, running: [one, other], people })
    }

    async fn log_in(&self, process: usize, name: &str, code: Option<&str>) -> Result<Answer> {
        self.log_in_from("198.51.100.7", process, name, code).await
    }

    /// As the front door passes it on that says where it comes from.
    async fn log_in_from(
        &self,
        address: &str,
        process: usize,
        name: &str,
        code: Option<&str>,
    ) -> Result<Answer> {
        let mut body = json!({"username": name, "password": PASSWORD});
        if let Some(code) = code {
            body["code"] = code.into();
        }
        let request = self.people.request(process, "POST", "/api/v1/auth/login")?;
        self.people.send(with_json(request.header("x-forwarded-for", address), &body)).await
    }

    async fn confirm(&self, process: usize, id: &str, handed_out: &HandedOut) -> Result<Answer> {
        let path = format!("/api/v1/users/{id}/second-factor/confirm");
        let body = json!({"enrolment_token": handed_out.token, "code": handed_out.code(0)?});
        let request = self.people.request(process, "POST", &path)?;
        self.people.send(with_json(request, &body)).await
    }

    /// Somebody who has a second factor, by their id.
    async fn enrolled(&self, name: &str) -> Result<(String, HandedOut)> {
        let id = id_of(&self.people.register(name).await?)?;
        let path = format!("/api/v1/users/{id}/second-factor");
        let body = json!({"current_password": PASSWORD});
        let own = AccessToken::user(&id);
        let request = self.people.request_as(&own, "POST", &path, Some(body))?;
        let answer = self.people.send(request).await?;
        ensure!(answer.status == 200, "nothing is handed out: {answer}");
        let handed_out = HandedOut::of(&answer.json()?)?;
        // To whichever process it is brought back.
        let confirmed = self.confirm(1, &id, &handed_out).await?;
        ensure!(confirmed.status == 204, "{confirmed}");
        Ok((id, handed_out))
    }

    async fn by_admin(&self, method: &str, path: &str) -> Result<Answer> {
        self.people.send(self.people.request_as(&AccessToken::admin(), method, path, None)?).await
    }
}

fn must_be(answer: &Answer, status: u16, problem: &str) -> Result<()> {
    ensure!((answer.status, answer.problem().as_str()) == (status, problem), "{answer}");
    Ok(())
}

#[tokio::test]
async fn of_many_who_say_one_code_at_once_over_two_processes_one_comes_in() -> Result<()> {
    let stage = Stage::set("second_factor_racing", None).await?;
    for (name, by_app) in [("ann", true), ("bob", false)] {
        let (_, handed_out) = stage.enrolled(name).await?;
        let none = stage.log_in(0, name, None).await?;
        must_be(&none, 401, "second-factor-required")?;
        let code = if by_app { handed_out.code(1)? } else { handed_out.recovery_codes[4].clone() };
        let code = code.as_str();
        let racing = (0..AT_ONCE).map(|process| stage.log_in(process, name, Some(code)));
        let answers = try_join_all(racing).await?;
        let (are_in, others): (Vec<_>, Vec<_>) =
            answers.iter().partition(|answer| answer.status == 200);
        ensure!(are_in.len() == 1, "{} came in with one code", are_in.len());
        for answer in others {
            let problem = answer.problem();
            let is_refused = matches!(
                (answer.status, problem.as_str()),
                (401, "invalid-second-factor") | (429, "too-many-attempts")
            );
            ensure!(is_refused, "{answer}");
        }
    }
    let sessions = "SELECT count(*) FROM {store}.events
                    WHERE event_type = 'identity.session.logged-in.v1'";
    ensure!(stage.world.counted(sessions).await? == 2, "somebody else is in");
    Ok(())
}

#[tokio::test]
async fn both_processes_hold_back_whoever_guesses_codes_wherever_they_come_from() -> Result<()> {
    let stage = Stage::set("second_factor_throttled", None).await?;
    let (_, handed_out) = stage.enrolled("ann").await?;
    for n in 1..=3 {
        let address = format!("198.51.100.{n}");
        let answer = stage.log_in_from(&address, n, "ann", Some("12345")).await?;
        must_be(&answer, 401, "invalid-second-factor")?;
    }
    let code = handed_out.recovery_codes[0].as_str();
    for process in [0, 1] {
        let answer = stage.log_in_from("203.0.113.9", process, "ann", Some(code)).await?;
        must_be(&answer, 429, "too-many-attempts")?;
    }
    stage.world.execute("UPDATE {identity}.login_failures SET blocked_until = now()").await?;
    // A process believes for a moment what it was told last.
    eventually("who has a code comes in", async || {
        let answer = stage.log_in_from("203.0.113.9", 1, "ann", Some(code)).await?;
        ensure!(answer.status == 200, "{answer}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_code_removes_it_and_the_password_does_not_and_that_is_told_once() -> Result<()> {
    let stage = Stage::set("second_factor_removed", None).await?;
    let (id, handed_out) = stage.enrolled("ann").await?;
    let path = format!("/api/v1/users/{id}/second-factor");
    let own = AccessToken::user(&id).sign()?;
    let remove = async |process: usize, body: &Value| {
        let request = stage.people.request(process, "DELETE", &path)?.bearer_auth(&own);
        let request = request.header("idempotency-key", "\"one\"");
        stage.people.send(with_json(request, body)).await
    };
    let by_password = remove(0, &json!({"current_password": PASSWORD})).await?;
    must_be(&by_password, 400, "invalid-request")?;
    must_be(&stage.log_in(1, "ann", None).await?, 401, "second-factor-required")?;
    let by_code = json!({"code": handed_out.recovery_codes[3]});
    // The second time the answer was lost, and another process is asked.
    for process in [1, 0] {
        let removed = remove(process, &by_code).await?;
        ensure!(removed.status == 204, "{removed}");
    }
    let answer = stage.log_in(0, "ann", None).await?;
    ensure!(answer.status == 200, "a code is asked for: {answer}");
    let mut told = 0;
    for process in &stage.running {
        told += process.log()?.matches(r#""security.event":"second-factor-removed""#).count();
    }
    ensure!(told == 1, "it is told {told} times");
    Ok(())
}

#[tokio::test]
async fn what_is_kept_of_a_second_factor_makes_no_code_and_goes_with_its_user() -> Result<()> {
    let stage = Stage::set("second_factor_kept", None).await?;
    let (id, handed_out) = stage.enrolled("ann").await?;
    let dump = format!(
        "SELECT encode(sealed_secret, 'escape') || ' ' || recovery_codes::text
         FROM {{identity}}.second_factors WHERE user_id = '{id}'"
    );
    let kept = stage.world.text_of(&dump).await?.to_ascii_lowercase();
    for secret in [&handed_out.secret, &handed_out.recovery_codes[0], &handed_out.recovery_codes[9]]
    {
        let plain = secret.to_ascii_lowercase();
        ensure!(!kept.contains(&plain[..8]), "a secret is kept as it is");
        ensure!(!kept.contains(&plain.replace('-', "")[..8]), "a secret is kept as it is");
    }
    let events = format!(
        "SELECT string_agg(split_part(event_type, '.', 3), ' ' ORDER BY stream_version)
         FROM {{store}}.events WHERE stream_id = 'user-{id}' AND stream_version > 2"
    );
    let events = stage.world.text_of(&events).await?;
    ensure!(events == "second-factor-enrolled sessions-ended", "{events}");

    let erased = stage.by_admin("DELETE", &format!("/api/v1/users/{id}")).await?;
    ensure!(erased.status == 204, "{erased}");
    let left = stage.world.counted("SELECT count(*) FROM {identity}.second_factors").await?;
    ensure!(left == 0, "{left} are left");
    Ok(())
}

#[tokio::test]
async fn whoever_has_to_have_one_enrols_it_at_login_and_an_operator_helps_who_has_lost_it()
-> Result<()> {
    let stage = Stage::set("second_factor_roles", Some("approver")).await?;
    let id = id_of(&stage.people.register("ann").await?)?;
    let before = stage.log_in(0, "ann", None).await?;
    ensure!(before.status == 200, "a user may: {before}");
    let granted = stage.by_admin("PUT", &format!("/api/v1/users/{id}/roles/approver")).await?;
    ensure!(granted.status == 200, "{granted}");
    let refresh = async |login: &Answer| {
        let body = json!({"refresh_token": login.json()?["refresh_token"]});
        let request = stage.people.request(1, "POST", "/api/v1/auth/refresh")?;
        stage.people.send(with_json(request, &body)).await
    };
    must_be(&refresh(&before).await?, 401, "invalid-refresh-token")?;

    let answer = stage.log_in(1, "ann", None).await?;
    must_be(&answer, 403, "second-factor-not-enrolled")?;
    let handed_out = HandedOut::of(&answer.json()?["enrolment"])?;
    let confirmed = stage.confirm(0, &id, &handed_out).await?;
    ensure!(confirmed.status == 204, "{confirmed}");
    must_be(&refresh(&before).await?, 401, "invalid-refresh-token")?;
    let login = stage.log_in(1, "ann", Some(&handed_out.code(1)?)).await?;
    ensure!(login.status == 200, "{login}");
    ensure!(refresh(&login).await?.status == 200, "a session with a code does not go on");

    let tool = stage.command_api.run(&["remove-second-factor", &id]).await?;
    let said = String::from_utf8_lossy(&tool.stdout).into_owned();
    ensure!(tool.status.success() && said.contains("has no second factor"), "{said}");
    let answer = stage.log_in(0, "ann", None).await?;
    must_be(&answer, 403, "second-factor-not-enrolled")?;
    let nobody = stage.command_api.run(&["remove-second-factor", "ann"]).await?;
    ensure!(nobody.status.code() == Some(2), "{nobody:?}");
    Ok(())
}
