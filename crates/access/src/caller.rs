//! The caller and what they may do.

use std::fmt;

use domain::device::DeviceId;
use domain::role::Role;

use crate::Forbidden;

/// A set of roles.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    /// True where the role is among them.
    pub fn contains(self, role: Role) -> bool {
        self.0 & bit(role) != 0
    }

    /// The set and this role.
    #[must_use]
    pub fn with(self, role: Role) -> Self {
        Self(self.0 | bit(role))
    }
}

const fn bit(role: Role) -> u8 {
    1 << role as u8
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().fold(Self::default(), Self::with)
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Role::ALL.into_iter().filter(|role| self.contains(*role))).finish()
    }
}

/// Whom a verified access token names. Printed, it tells ids only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who, within the issuer (`sub`).
    pub subject: String,
    /// Who says so (`iss`, or the configured one where the `dev` profile allows its absence).
    pub issuer: String,
    /// What they may be.
    pub roles: Roles,
    /// The only device they speak for, if they are bound to one.
    pub device_id: Option<DeviceId>,
    /// The session (`sid`).
    pub session_id: Option<String>,
    /// The token's own id (`jti`).
    pub token_id: Option<String>,
    /// The subject as events may hold it: itself where it is a UUID, perhaps after its kind, else a
    /// keyed hash of it, so that no name and no address of a person enters the log.
    pub actor: String,
    /// When the token expires, in seconds since 1970 and without leeway.
    pub expires_at: i64,
}

impl Caller {
    /// Refuses a caller who has none of the roles.
    pub fn must_be_any(&self, roles: &'static [Role]) -> Result<(), Forbidden> {
        if roles.iter().any(|role| self.roles.contains(*role)) {
            return Ok(());
        }
        Err(Forbidden::NoneOfTheRoles(roles))
    }

    /// Refuses a caller who is bound to another device.
    pub fn must_own_device(&self, device_id: &DeviceId) -> Result<(), Forbidden> {
        match &self.device_id {
            Some(own) if own != device_id => Err(Forbidden::AnotherDevice),
            _ => Ok(()),
        }
    }

    /// Refuses a caller who speaks for a device and for nobody else.
    pub fn must_be_unbound(&self) -> Result<(), Forbidden> {
        match self.device_id {
            Some(_) => Err(Forbidden::BoundToDevice),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_the_roles_that_were_put_into_it() {
        for role in Role::ALL {
            let only: Roles = [role].into_iter().collect();
            assert!(Role::ALL.into_iter().all(|other| only.contains(other) == (other == role)));
        }
    }
}
