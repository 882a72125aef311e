//! Granting a role: a user may be something more.

use super::{NoSuchUser, User, UserEvent};
use crate::decision::Command;
use crate::role::Role;

/// Lets a user be something more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantRole {
    /// What.
    pub role: Role,
}

impl Command for GrantRole {
    type State = User<String>;
    type Event = UserEvent<String>;
    type Error = NoSuchUser;

    fn decide(self, state: Option<&Self::State>) -> Result<Vec<Self::Event>, Self::Error> {
        let Self { role } = self;
        if User::of(state)?.roles.contains(&role) {
            return Ok(Vec::new());
        }
        Ok(vec![UserEvent::RoleGranted { role }])
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{ann_registered, given, granted, revoked};
    use super::*;

    const GRANT: GrantRole = GrantRole { role: Role::Approver };

    #[test]
    fn a_user_can_be_granted_a_role() {
        given([ann_registered()]).when(GRANT).then([granted(Role::Approver)]);
        given([ann_registered(), granted(Role::Approver), revoked(Role::Approver)])
            .when(GRANT)
            .then([granted(Role::Approver)]);
    }

    #[test]
    fn granting_a_role_again_changes_nothing() {
        given([ann_registered(), granted(Role::Approver)]).when(GRANT).then([]);
        given([ann_registered()]).when(GrantRole { role: Role::User }).then([]);
    }

    #[test]
    fn there_must_be_somebody_to_grant_a_role_to() {
        given([]).when(GRANT).then_error(NoSuchUser::NotFound);
        given([ann_registered(), UserEvent::Erased]).when(GRANT).then_error(NoSuchUser::Erased);
    }
}
