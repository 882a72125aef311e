//! `erase`: forgets a user, as `DELETE /api/v1/users/{id}` does.

use clap::Args;
use domain::user::{EraseUser, UserId};
use http::HeaderMap;
use lifecycle::http::RequestContext;

use super::session::Session;
use super::{ACTOR, ToolError};
use crate::decision::Beside;
use crate::decision::answer::Answer;
use crate::decision::request::Asked;
use crate::user::Users;

/// Forgets a user: destroys the key of their personal fields. It cannot be taken back.
#[derive(Debug, Args)]
pub(super) struct Erase {
    /// The user's id.
    #[arg(value_parser = UserId::parse)]
    user: UserId,
}

impl Erase {
    pub(super) async fn run(self, session: &Session) -> Result<String, ToolError> {
        let Self { user } = self;
        let context = RequestContext::from_headers(&HeaderMap::new());
        let asked = Asked::by_tool(&context, ACTOR);
        let commands = session.commands().await?;
        let answer = |_: &_, _| Answer::empty();
        commands
            .decide_beside::<Users>(user.0, &asked, EraseUser, &[Beside::Erasure], answer)
            .await
            .map_err(|problem| ToolError::Asked(problem.detail().to_owned()))?;
        Ok(format!(
            "user {user} is erased; a running command-api publishes it, and projectors take them out of the views\n"
        ))
    }
}
