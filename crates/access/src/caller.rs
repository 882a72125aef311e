//! The caller and what they may do.

use std::fmt;

use domain::device::DeviceId;

use crate::Forbidden;

/// What a caller is allowed to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A person.
    User,
    /// Decides about others' articles and requests.
    Approver,
    /// Runs the service.
    Admin,
    /// A device that reports.
    Device,
    /// Answers emergencies.
    Responder,
    /// Reads reports.
    Analyst,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::User, Self::Approver, Self::Admin, Self::Device, Self::Responder, Self::Analyst];

    /// The name in the `roles` claim.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Approver => "approver",
            Self::Admin => "admin",
            Self::Device => "device",
            Self::Responder => "responder",
            Self::Analyst => "analyst",
        }
    }

    /// The role of this name; names of other systems are none of ours.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of roles.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    /// True where the role is among them.
    pub fn contains(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// The set and this role.
    #[must_use]
    pub fn with(self, role: Role) -> Self {
        Self(self.0 | role.bit())
    }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_known_by_its_name() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.name()), Some(role));
            let only: Roles = [role].into_iter().collect();
            assert!(Role::ALL.into_iter().all(|other| only.contains(other) == (other == role)));
        }
        assert_eq!(Role::parse("Admin"), None);
    }
}
