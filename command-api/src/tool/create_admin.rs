//! `create-admin`: the first user who may let others be something.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use clap::Args;
use domain::role::Role;
use domain::user::{Email, RegisterUser, RegisterVerifiedUser, Username};
use event_schema::personal::SubjectKey;
use http::HeaderMap;
use lifecycle::http::RequestContext;
use problem_details::ProblemType;
use settings::table;
use uuid::Uuid;

use super::session::Session;
use super::{ACTOR, ToolError};
use crate::decision::Beside;
use crate::decision::answer::Answer;
use crate::decision::request::Asked;
use crate::password::{Owner, Password, PasswordHasher};
use crate::user::Users;

/// How long a store is waited for that has just started.
const NOT_COMPARED_YET: Duration = Duration::from_secs(30);

/// The setting that holds the password, where it is not to be made.
const PASSWORD: &str = table::ADMIN_PASSWORD.name;

/// Registers a user who is an admin, and for whose address the operator vouches: no mail asks for it. The
/// password is that of `MILLRACE_ADMIN_PASSWORD`, or a new one that is printed once.
#[derive(Debug, Args)]
pub(super) struct CreateAdmin {
    /// The user name.
    #[arg(long)]
    username: String,
    /// The e-mail address.
    #[arg(long)]
    email: String,
    /// Where the user name or the address is somebody's already, say so and succeed.
    #[arg(long)]
    if_missing: bool,
}

impl CreateAdmin {
    pub(super) async fn run(self, session: &Session) -> Result<String, ToolError> {
        let asked = |what: &str, error: String| ToolError::Asked(format!("{what} {error}"));
        let username = Username::parse(self.username.as_str())
            .map_err(|error| asked("--username", error.to_string()))?;
        let email = Email::parse(self.email.as_str())
            .map_err(|error| asked("--email", error.to_string()))?;
        let (password, made) = match &session.admin_password {
            Some(password) => (password.clone(), None),
            None => {
                let made = new_password();
                (made.clone(), Some(made))
            }
        };
        let hasher = PasswordHasher::new(session.config.passwords);
        let owner = Owner { username: Some(username.as_str()), email: Some(email.as_str()) };
        let password = hasher
            .rules()
            .choose(Password::entered(password), owner)
            .map_err(|error| asked(PASSWORD, error.to_string()))?;
        let hashing = ToolError::failed("hashing the password");
        let hash = hasher.hash(password).await.map_err(|error| hashing(error.to_string()))?;
        let command = RegisterVerifiedUser(RegisterUser {
            username,
            email,
            full_name: None,
            bio: None,
            image: None,
            roles: BTreeSet::from([Role::User, Role::Admin]),
        });
        let id = Uuid::now_v7();
        let context = RequestContext::from_headers(&HeaderMap::new());
        let asked = Asked::by_tool(&context, ACTOR);
        let beside = [Beside::PasswordHash(hash.as_phc().to_owned())];
        let commands = session.commands().await?;
        let answer = |_: &_, _| Answer::empty();
        let until = Instant::now() + NOT_COMPARED_YET;
        let decided = loop {
            let command = command.clone();
            let decided =
                commands.decide_beside::<Users>(id, &asked, command, &beside, &answer).await;
            match decided {
                Err(problem)
                    if problem.kind() == ProblemType::StoreNotCompared
                        && Instant::now() < until =>
                {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                decided => break decided,
            }
        };
        match decided {
            Ok(_) => Ok(told(id, &self.username, made.as_deref())),
            Err(problem) if problem.kind() == ProblemType::AlreadyTaken && self.if_missing => {
                Ok(format!(
                    "{} or {} is somebody's already; nothing was changed\n",
                    self.username, self.email
                ))
            }
            Err(problem) => Err(ToolError::Asked(problem.detail().to_owned())),
        }
    }
}

fn told(id: Uuid, username: &str, made: Option<&str>) -> String {
    let mut text = format!("admin {username} is registered as {id}\n");
    if let Some(password) = made {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "password {password}");
    }
    text
}

/// 130 bits, in letters and digits that nobody mistakes.
fn new_password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";
    let random = SubjectKey::generate();
    let letter = |byte: &u8| char::from(LETTERS[usize::from(byte % 32)]);
    random.as_bytes().iter().take(26).map(letter).collect()
}
