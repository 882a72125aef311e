//! Taking a second factor away: by who has it, with a code of it, or by an admin for whoever has lost the app and
//! the recovery codes.
//!
//! The password does not do: a second factor is there for when somebody else knows it. And whoever had one is told
//! by a mail.
//!
//! A name of one's own request keeps no answer: it says a code and nothing else, and what is kept of a request tells
//! none. One that comes after another second factor was enrolled would be answered that this one is gone.

use std::net::IpAddr;
use std::sync::Arc;

use api_description::Described;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use domain::decision::Command as _;
use domain::user::{RemoveSecondFactor, UserId};
use event_store::EventStore;
use lifecycle::http::{ClientAddress, RequestContext};
use problem_details::{Problem, ProblemType, RefusedCaller};

use super::{beside_removal, no_code, request};
use crate::decision::Refusal as _;
use crate::fields;
use crate::user::caller::{Leave, user_of};
use crate::user::shown::nothing;
use crate::user::{Deciding, Shared, Slice, Users, description};

pub(super) fn on<S: EventStore>(to: Described<Arc<Slice<S>>>) -> Described<Arc<Slice<S>>> {
    to.on(description::remove_second_factor(), remove)
}

async fn remove<S: EventStore>(
    State(slice): Shared<S>,
    Path(id): Path<String>,
    ClientAddress(address): ClientAddress,
    context: RequestContext,
    request: Request,
) -> Result<Response, Problem> {
    let caller = slice.caller(&request, &id, Leave::OwnOrAdmin)?;
    let user = user_of(&id)?;
    let incoming = slice.incoming(context, request).await?;
    // Also of an admin: whoever has found their access token is not to be rid of it by that.
    let is_own = caller.subject == id;
    let code = if is_own {
        Some(request::code(&incoming.body)?)
    } else {
        fields::nothing(&incoming.body)?;
        None
    };
    let asked = slice.asked(&incoming, &caller.actor)?;
    let asked = if is_own { asked.without_name() } else { asked };
    let commands = slice.commands();
    // First: of an admin's request that was answered before, the user may be erased by now.
    if let Some(answered) = commands.answered::<Users>(&asked).await? {
        return Ok(answered);
    }
    let state = commands.state::<Users>(user.0).await?;
    let own_epoch = state.as_ref().map(|user| user.session_epoch).filter(|_| is_own);
    let command = RemoveSecondFactor { session_epoch: own_epoch };
    let follows = command.decide(state.as_ref()).map_err(|error| error.refuse())?;
    // Of whoever has none, nothing is taken away, and nobody has a code of it.
    if let Some(code) = code.filter(|_| !follows.is_empty()) {
        slice.must_show(user, &code, address).await?;
    }
    let beside = beside_removal(state.as_ref());
    commands.decide_beside::<Users>(user.0, &asked, command, &beside, nothing).await
}

impl<S: EventStore> Slice<S> {
    /// Lets whoever has a code go on, which is used up by it.
    async fn must_show(&self, user: UserId, code: &str, client: IpAddr) -> Result<(), Problem> {
        let Deciding { commands, second_factors, throttle, .. } = &self.deciding;
        let deciding = commands.deciding();
        if second_factors.is_shown(deciding, throttle, user, client, code).await? {
            Ok(())
        } else {
            let refused = RefusedCaller { reason: "code", actor: Some(user.to_string()) };
            Err(no_code(ProblemType::Forbidden).with_refused_caller(refused))
        }
    }
}
