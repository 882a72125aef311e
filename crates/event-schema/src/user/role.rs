//! Roles between the domain and the log.

use domain::role::Role;

use super::record::RoleRecord;
use crate::decode::DecodeError;

impl From<Role> for RoleRecord {
    fn from(role: Role) -> Self {
        match role {
            Role::User => Self::User,
            Role::Approver => Self::Approver,
            Role::Admin => Self::Admin,
            Role::Device => Self::Device,
            Role::Responder => Self::Responder,
            Role::Analyst => Self::Analyst,
        }
    }
}

impl RoleRecord {
    /// The role, in a field of this name.
    pub(super) fn read(self, what: &'static str) -> Result<Role, DecodeError> {
        match self {
            Self::Other => Err(DecodeError::Malformed { what }),
            Self::User => Ok(Role::User),
            Self::Approver => Ok(Role::Approver),
            Self::Admin => Ok(Role::Admin),
            Self::Device => Ok(Role::Device),
            Self::Responder => Ok(Role::Responder),
            Self::Analyst => Ok(Role::Analyst),
        }
    }
}
