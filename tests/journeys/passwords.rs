//! Passwords from choosing one to forgetting it, and the address that lets somebody have another one, over the
//! real processes.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use test_support::{
    AccessToken, Answer, Launch, PASSWORD, People, Running, World, eventually, id_of, with_json,
};

use super::users::store_is_open;

const FORGOT: &str = "/api/v1/auth/forgot-password";
const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const RESET: &str = "/api/v1/auth/reset-password";
const VERIFY: &str = "/api/v1/auth/verify-email";

/// What somebody chooses who changes their password, and who has forgotten it.
const SECOND: &str = "battery staple";
const THIRD: &str = "another staple";

/// Two command-apis, one of which sends each mail.
pub(super) struct Stage {
    pub(super) world: World,
    _running: [Running; 2],
    pub(super) people: People,
}

impl Stage {
    async fn set(name: &str) -> Result<Self> {
        let world = World::start(name).await?;
        let command_api = world.command_api()?;
        let stage = Self::of(world, &command_api).await?;
        store_is_open(&stage.people).await?;
        Ok(stage)
    }

    /// Two that are started so.
    pub(super) async fn of(world: World, command_api: &Launch) -> Result<Self> {
        let (one, other) = tokio::try_join!(command_api.start(), command_api.start())?;
        tokio::try_join!(one.ready(), other.ready())?;
        let people = People::new(&[&one, &other], None)?;
        Ok(Self { world, _running: [one, other], people })
    }

    pub(super) async fn post(&self, process: usize, path: &str, body: &Value) -> Result<Answer> {
        self.people.send(with_json(self.people.request(process, "POST", path)?, body)).await
    }

    /// A form, as the page of a link sends it.
    pub(super) async fn press(&self, process: usize, path: &str, form: String) -> Result<Answer> {
        let request = self.people.request(process, "POST", path)?;
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.people.send(request.body(form)).await
    }

    /// What somebody of this name is given who says this password.
    pub(super) async fn log_in(
        &self,
        process: usize,
        name: &str,
        password: &str,
    ) -> Result<Answer> {
        self.post(process, LOGIN, &json!({"username": name, "password": password})).await
    }

    async fn put(&self, access_token: &str, path: &str, body: &Value) -> Result<Answer> {
        let request = self.people.request(0, "PUT", path)?.bearer_auth(access_token);
        self.people.send(with_json(request, body)).await
    }

    /// Somebody who has registered and shown that their address is theirs.
    async fn verified(&self, name: &str) -> Result<String> {
        let id = id_of(&self.people.register(name).await?)?;
        let mail = self.mail(&format!("{name}@example.org"), "Confirm your e-mail address").await?;
        let verified = self.post(1, VERIFY, &json!({"token": token_in(&mail, VERIFY)?})).await?;
        ensure!(verified.status == 204, "{verified}");
        Ok(id)
    }

    /// The text of the mail to an address, once it is there.
    pub(super) async fn mail(&self, to: &str, subject: &str) -> Result<String> {
        mail_in_outbox(&self.world, to, subject).await
    }

    /// The mails of before were sent so long ago that others are sent at once.
    pub(super) async fn time_passes(&self) -> Result<()> {
        let ago = "UPDATE {store}.mails SET settled_at = settled_at - interval '10 minutes'";
        self.world.execute(ago).await
    }

    /// No process takes the access token any more.
    async fn is_out(&self, access_token: &str, id: &str) -> Result<()> {
        eventually("the access token is revoked", async || {
            for process in [0, 1] {
                let path = format!("/api/v1/users/{id}");
                let request = self.people.request(process, "PATCH", &path)?;
                let request = with_json(request.bearer_auth(access_token), &json!({}));
                let answer = self.people.send(request).await?;
                ensure!(answer.status == 401, "{answer}");
            }
            Ok(())
        })
        .await
    }
}

/// The text of the mail to an address, once it is there.
async fn mail_in_outbox(world: &World, to: &str, subject: &str) -> Result<String> {
    let (to, subject) = (format!("\r\nTo: {to}\r\n"), format!("\r\nSubject: {subject}\r\n"));
    eventually("the mail is in the outbox", async || {
        let entries = std::fs::read_dir(world.outbox()).context("no outbox yet")?;
        for entry in entries.flatten() {
            // Long lines are folded for mail.
            let mail = std::fs::read_to_string(entry.path())?;
            let mail = mail.replace("=\r\n", "").replace("=3D", "=");
            if mail.contains(&to) && mail.contains(&subject) {
                return Ok(mail);
            }
        }
        anyhow::bail!("there is none with {to} and {subject}")
    })
    .await
}

/// The token of the link in a mail that leads there.
pub(super) fn token_in(mail: &str, page: &str) -> Result<String> {
    let link = format!("{page}?token=");
    let found = mail.split_whitespace().find_map(|word| word.split_once(link.as_str()));
    found.map(|(_, token)| token.to_owned()).with_context(|| format!("no {link} in {mail}"))
}

fn text(answer: &Answer, name: &str) -> Result<String> {
    let found = answer.json()?[name].as_str().map(str::to_owned);
    found.with_context(|| format!("no {name} in {answer}"))
}

fn must_be(answer: &Answer, status: u16, problem: &str) -> Result<()> {
    ensure!((answer.status, answer.problem().as_str()) == (status, problem), "{answer}");
    Ok(())
}

#[tokio::test]
async fn somebody_changes_their_password_forgets_it_and_has_another_one_by_a_mail() -> Result<()> {
    let stage = Stage::set("passwords").await?;
    let id = stage.verified("ann").await?;
    let logged_in = stage.log_in(0, "ann", PASSWORD).await?;
    let (access, refresh) = (text(&logged_in, "access_token")?, text(&logged_in, "refresh_token")?);

    // Who knows the one before chooses another.
    let path = format!("/api/v1/users/{id}/password");
    let change = |current: &str| json!({"current_password": current, "new_password": SECOND});
    must_be(&stage.put(&access, &path, &change("a wrong one")).await?, 403, "forbidden")?;
    let changed = stage.put(&access, &path, &change(PASSWORD)).await?;
    ensure!(changed.status == 204, "{changed}");
    stage.is_out(&access, &id).await?;
    let refused = stage.post(1, REFRESH, &json!({"refresh_token": refresh})).await?;
    must_be(&refused, 401, "invalid-refresh-token")?;
    must_be(&stage.log_in(1, "ann", PASSWORD).await?, 401, "login-failed")?;
    let logged_in = stage.log_in(1, "ann", SECOND).await?;
    ensure!(logged_in.status == 200, "{logged_in}");
    stage.mail("ann@example.org", "Your password was changed").await?;

    // Who has forgotten it is sent a mail, and nobody is told who there is.
    stage.time_passes().await?;
    let nobody = stage.post(0, FORGOT, &json!({"email": "nobody@example.org"})).await?;
    let somebody = stage.post(1, FORGOT, &json!({"email": "Ann@Example.org"})).await?;
    ensure!((nobody.status, somebody.status) == (202, 202), "{nobody} {somebody}");
    ensure!(nobody.text == somebody.text, "{nobody} {somebody}");
    let mail = stage.mail("ann@example.org", "Choose a new password").await?;
    let token = token_in(&mail, RESET)?;
    for process in [0, 1] {
        let request = stage.people.request(process, "GET", &format!("{RESET}?token={token}"))?;
        let page = stage.people.send(request).await?;
        ensure!(page.status == 200 && page.text.contains("name=\"new_password\""), "{page}");
    }
    ensure!(stage.log_in(0, "ann", SECOND).await?.status == 200, "a look has changed it");
    let form =
        |password: &str| format!("token={token}&new_password={}", password.replace(' ', "+"));
    let common = stage.press(0, RESET, form("password1")).await?;
    ensure!(common.status == 400 && common.text.contains("/new_password"), "{common}");
    let reset = stage.press(1, RESET, form(THIRD)).await?;
    ensure!(reset.status == 200 && reset.text.contains("You have a new password"), "{reset}");
    let again = stage.press(0, RESET, form("one more staple")).await?;
    ensure!(again.status == 400 && again.text.contains("No password was changed"), "{again}");
    stage.is_out(&text(&logged_in, "access_token")?, &id).await?;
    must_be(&stage.log_in(0, "ann", SECOND).await?, 401, "login-failed")?;
    ensure!(stage.log_in(0, "ann", THIRD).await?.status == 200, "the new one is not hers");
    Ok(())
}

#[tokio::test]
async fn a_stolen_access_token_gives_nobody_the_account() -> Result<()> {
    let stage = Stage::set("passwords_stolen").await?;
    let id = stage.verified("ann").await?;
    let access = text(&stage.log_in(0, "ann", PASSWORD).await?, "access_token")?;
    let path = format!("/api/v1/users/{id}/email");
    let email = "eve@example.com";
    must_be(&stage.put(&access, &path, &json!({"email": email})).await?, 400, "invalid-request")?;
    let guess = json!({"email": email, "current_password": "a wrong one"});
    must_be(&stage.put(&access, &path, &guess).await?, 403, "forbidden")?;

    // Whoever knows the password may, and the address from before is told.
    let known = json!({"email": "ann@example.com", "current_password": PASSWORD});
    let changed = stage.put(&access, &path, &known).await?;
    ensure!(changed.status == 200 && text(&changed, "email")? == "ann@example.com", "{changed}");
    stage.mail("ann@example.org", "Your e-mail address was changed").await?;

    // By the new one nobody has another password before it was shown to be theirs.
    stage.time_passes().await?;
    let asked = stage.post(0, FORGOT, &json!({"email": "ann@example.com"})).await?;
    ensure!(asked.status == 202, "{asked}");
    let settled = "SELECT count(*) FROM {store}.mails
                   WHERE kind = 'reset-password' AND outcome = 'not-needed'";
    eventually("the mail is not needed", async || {
        ensure!(stage.world.counted(settled).await? == 1, "it waits");
        Ok(())
    })
    .await?;

    // An admin decides about others without a password.
    let by_admin = json!({"email": "ann@example.net"});
    let request = stage.people.request_as(&AccessToken::admin(), "PUT", &path, Some(by_admin))?;
    let changed = stage.people.send(request).await?;
    ensure!(changed.status == 200 && text(&changed, "email")? == "ann@example.net", "{changed}");
    Ok(())
}
