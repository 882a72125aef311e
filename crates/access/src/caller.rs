//! The caller and what they may do.

use std::fmt;

use domain::device::DeviceId;
use domain::role::Role;
use uuid::Uuid;

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
    /// By what the token can be revoked before it expires, where it says so.
    pub revocable: Option<Revocable>,
    /// The subject as events may hold it: itself where it is a UUID, perhaps after its kind, else a
    /// keyed hash of it, so that no name and no address of a person enters the log.
    pub actor: String,
    /// When the token expires, in seconds since 1970 and without leeway.
    pub expires_at: i64,
}

/// What an access token of a session says of its origin, by which it can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocable {
    /// The session that it was given to (`sid`).
    pub session: Uuid,
    /// The user whose session that is (`sub`).
    pub user: Uuid,
    /// The version of the user's stream when the token was made (`user_version`).
    pub user_version: u64,
}

impl Revocable {
    /// What these claims say, where all are there and both ids are UUIDs as we write them: hyphenated and
    /// in lower case.
    pub(crate) fn of(
        subject: &str,
        session: Option<&str>,
        user_version: Option<u64>,
    ) -> Option<Self> {
        let (session, user) = (plain_uuid(session?)?, plain_uuid(subject)?);
        Some(Self { session, user, user_version: user_version? })
    }
}

fn plain_uuid(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (*id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == *text).then_some(id)
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

    #[test]
    fn a_token_is_revocable_by_its_plain_ids_and_its_version() {
        const ID: &str = "0198f0c2-7d3e-7c3b-8a57-0242ac120002";
        let id = Uuid::from_u128(0x0198_f0c2_7d3e_7c3b_8a57_0242_ac12_0002);
        let whole = Revocable { session: id, user: id, user_version: 3 };
        assert_eq!(Revocable::of(ID, Some(ID), Some(3)), Some(whole));
        assert_eq!(Revocable::of(ID, None, Some(3)), None);
        assert_eq!(Revocable::of(ID, Some(ID), None), None);
        for other in [
            "",
            "device-tester",
            "0198f0c27d3e7c3b8a570242ac120002",
            "0198F0C2-7D3E-7C3B-8A57-0242AC120002",
            "{0198f0c2-7d3e-7c3b-8a57-0242ac120002}",
            "urn:uuid:0198f0c2-7d3e-7c3b-8a57-0242ac120002",
            "user:0198f0c2-7d3e-7c3b-8a57-0242ac120002",
        ] {
            assert_eq!(Revocable::of(other, Some(ID), Some(3)), None, "{other}");
            assert_eq!(Revocable::of(ID, Some(other), Some(3)), None, "{other}");
        }
    }
}
