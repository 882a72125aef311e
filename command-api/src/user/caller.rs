//! Who may decide about a user: object-level checks of this slice, in one place.

use std::sync::Arc;

use access::{Caller, Forbidden, Role};
use axum::extract::Request;
use domain::user::UserId;
use event_store::EventStore;
use problem_details::{Problem, ProblemType};

use super::Slice;
use crate::decision::incoming;

/// Whose leave is needed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leave {
    /// The user's own, whatever else somebody may be.
    Own,
    /// The user's own, or an admin's.
    OwnOrAdmin,
    /// An admin's.
    Admin,
}

impl<S: EventStore> Slice<S> {
    /// The caller, who may do this to the user of this id, if there is one.
    ///
    /// # Errors
    /// Nobody is known by the access token, or may do that.
    pub(super) fn caller(
        &self,
        request: &Request,
        id: &str,
        leave: Leave,
    ) -> Result<Arc<Caller>, Problem> {
        let caller = incoming::caller(&self.deciding.verifier, request)?;
        // Whoever speaks for a device speaks for nobody's account, whatever roles the token has besides.
        caller.must_be_unbound().map_err(|error| error.refuse(&caller))?;
        let is_own = caller.roles.contains(Role::User) && caller.subject == id;
        match leave {
            Leave::Own | Leave::OwnOrAdmin if is_own => {}
            Leave::Own => return Err(Forbidden::AnotherUser.refuse(&caller)),
            Leave::OwnOrAdmin | Leave::Admin => {
                caller.must_be_any(&[Role::Admin]).map_err(|error| error.refuse(&caller))?;
            }
        }
        Ok(caller)
    }
}

/// The user that a path names. Whatever is no id is nobody's.
pub(super) fn user_of(text: &str) -> Result<UserId, Problem> {
    UserId::parse(text).map_err(|_| Problem::new(ProblemType::NotFound, "there is no such user"))
}
