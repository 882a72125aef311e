//! A command about one user, from its request to its answer: what differs is whose leave it takes, what the
//! body says, what is written beside and what is answered.

use axum::extract::Request;
use axum::response::Response;
use domain::user::User;
use event_store::EventStore;
use lifecycle::http::RequestContext;
use problem_details::Problem;
use uuid::Uuid;

use super::caller::{Leave, user_of};
use super::{Slice, Users};
use crate::decision::answer::Answer;
use crate::decision::{Beside, CommandOf};

/// Whom a request is about, and the request, unread.
pub(super) struct About {
    pub(super) id: String,
    pub(super) context: RequestContext,
    pub(super) request: Request,
}

impl<S: EventStore> Slice<S> {
    /// Decides about the user; `read` makes the command of the body, `answer` says of the user's id how a
    /// state is answered.
    ///
    /// # Errors
    /// There is no such user, the caller may not, the body is not what it must be, or the decision is
    /// refused.
    pub(super) async fn decide_about<C: CommandOf<Users>, A>(
        &self,
        about: About,
        leave: Leave,
        read: impl FnOnce(&[u8]) -> Result<C, Problem>,
        beside: &[Beside],
        answer: impl FnOnce(Uuid) -> A,
    ) -> Result<Response, Problem>
    where
        A: Fn(&User<String>, u64) -> Answer,
    {
        let About { id, context, request } = about;
        // First: whoever is nobody learns nothing of what there is.
        let caller = self.caller(&request, &id, leave)?;
        let user = user_of(&id)?;
        let incoming = self.incoming(context, request).await?;
        let command = read(&incoming.body)?;
        let asked = self.asked(&incoming, &caller.actor)?;
        let answer = answer(user.0);
        self.commands().decide_beside::<Users>(user.0, &asked, command, beside, answer).await
    }
}
