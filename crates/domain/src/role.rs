//! What somebody may be, hence what they may do.

/// What a caller is allowed to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    /// The name in the `roles` claim, in requests and in the log.
    pub const fn name(self) -> &'static str {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_known_by_its_name() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.name()), Some(role));
        }
        assert_eq!(Role::parse("Admin"), None);
    }
}
