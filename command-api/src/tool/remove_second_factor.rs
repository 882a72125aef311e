//! `remove-second-factor`: takes a user's second factor away, as an admin does by `DELETE
//! /api/v1/users/{id}/second-factor`: also where no admin can come in any more. The user is told by the same mail,
//! which a running command-api sends.

use clap::Args;
use domain::user::{RemoveSecondFactor as Command, UserId};
use http::HeaderMap;
use lifecycle::http::RequestContext;
use problem_details::Problem;

use super::session::Session;
use super::{ACTOR, ToolError};
use crate::decision::answer::Answer;
use crate::decision::request::Asked;
use crate::user::{Users, beside_removal};

/// Takes the second factor of a user away who has lost the app and the recovery codes: from then on their password
/// lets them in, where no role of theirs asks for another one.
#[derive(Debug, Args)]
pub(super) struct RemoveSecondFactor {
    /// The user's id.
    #[arg(value_parser = UserId::parse)]
    user: UserId,
}

impl RemoveSecondFactor {
    pub(super) async fn run(self, session: &Session) -> Result<String, ToolError> {
        let Self { user } = self;
        let context = RequestContext::from_headers(&HeaderMap::new());
        let asked = Asked::by_tool(&context, ACTOR);
        let commands = session.commands().await?;
        let refused = |problem: Problem| ToolError::Asked(problem.detail().to_owned());
        let state = commands.state::<Users>(user.0).await.map_err(refused)?;
        let (command, beside) = (Command { session_epoch: None }, beside_removal(state.as_ref()));
        let answer = |_: &_, _| Answer::empty();
        let removed = commands.decide_beside::<Users>(user.0, &asked, command, &beside, answer);
        removed.await.map_err(refused)?;
        Ok(format!("user {user} has no second factor\n"))
    }
}
