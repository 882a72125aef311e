//! Revoking a role: a user may be something less.

use super::{NoSuchUser, User, UserEvent};
use crate::decision::Command;
use crate::role::Role;

/// Lets a user be something less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokeRole {
    /// What.
    pub role: Role,
}

impl Command for RevokeRole {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = NoSuchUser;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        let Self { role } = self;
        if User::of(state)?.roles.contains(&role) {
            return Ok(vec![UserEvent::RoleRevoked { role }]);
        }
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, given, granted, revoked};
    use super::*;

    const REVOKE: RevokeRole = RevokeRole { role: Role::Approver };

    #[test]
    fn a_role_can_be_revoked_however_it_came() {
        given([ann_registered(), granted(Role::Approver)])
            .when(REVOKE)
            .then([revoked(Role::Approver)]);
        given([ann_registered()]).when(RevokeRole { role: Role::User }).then([revoked(Role::User)]);
    }

    #[test]
    fn revoking_a_role_that_they_do_not_have_changes_nothing() {
        given([ann_registered()]).when(REVOKE).then([]);
        given([ann_registered(), granted(Role::Approver), revoked(Role::Approver)])
            .when(REVOKE)
            .then([]);
    }

    #[test]
    fn there_must_be_somebody_to_revoke_a_role_of() {
        given([]).when(REVOKE).then_error(NoSuchUser::NotFound);
        given([ann_registered(), UserEvent::Erased]).when(REVOKE).then_error(NoSuchUser::Erased);
    }
}
