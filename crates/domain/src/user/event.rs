//! What can happen to a user.

use super::field;
use crate::role::Role;

/// Every event of a user's stream. `P` is what a personal field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserEvent<P> {
    /// Somebody registered: always the first event, and never again.
    Registered {
        /// The name they are known by.
        username: P,
        /// Where they get letters.
        email: P,
        /// Their full name.
        full_name: Option<P>,
        /// What they say of themselves.
        bio: Option<P>,
        /// The address of their picture.
        image: Option<P>,
        /// What they may be from the start.
        roles: Vec<Role>,
    },
    /// A letter is due that lets them show that the present address is theirs.
    EmailVerificationRequested,
    /// They showed that the present address is theirs.
    EmailVerified,
    /// They changed what they tell of themselves.
    ProfileUpdated {
        /// What is told now.
        change: ProfileChange<P>,
    },
    /// They have another address, which nobody has shown to be theirs yet.
    EmailChanged {
        /// The address.
        email: P,
    },
    /// They may not come in any more.
    Deactivated,
    /// They may come in again.
    Reactivated,
    /// They may be something more.
    RoleGranted {
        /// What.
        role: Role,
    },
    /// They may be something less.
    RoleRevoked {
        /// What.
        role: Role,
    },
    /// They have another password, which no event tells. Whoever is in by the old one is out.
    PasswordChanged,
    /// Whoever is in as them is out, on whatever device.
    SessionsEnded,
    /// They have a second factor, which no event tells: from now on the password alone lets nobody in.
    SecondFactorEnrolled,
    /// They have none any more.
    SecondFactorRemoved,
    /// They are forgotten: the key to their personal fields is destroyed. Always the last event.
    Erased,
}

/// What a profile tells from now on. For each field: `None` leaves it, `Some(None)` clears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileChange<P> {
    /// Their full name.
    pub full_name: Option<Option<P>>,
    /// What they say of themselves.
    pub bio: Option<Option<P>>,
    /// The address of their picture.
    pub image: Option<Option<P>>,
}

impl<P> Default for ProfileChange<P> {
    fn default() -> Self {
        Self { full_name: None, bio: None, image: None }
    }
}

impl<P> ProfileChange<P> {
    /// The names of the fields that change, cleared ones among them.
    pub fn fields(&self) -> Vec<&'static str> {
        [
            (field::FULL_NAME, self.full_name.is_some()),
            (field::BIO, self.bio.is_some()),
            (field::IMAGE, self.image.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, changes)| changes.then_some(name))
        .collect()
    }

    fn map<Q, E>(
        self,
        form: &mut impl FnMut(&'static str, P) -> Result<Q, E>,
    ) -> Result<ProfileChange<Q>, E> {
        let mut each = |name, value: Option<Option<P>>| {
            value.map(|value| map_some(name, value, form)).transpose()
        };
        Ok(ProfileChange {
            full_name: each(field::FULL_NAME, self.full_name)?,
            bio: each(field::BIO, self.bio)?,
            image: each(field::IMAGE, self.image)?,
        })
    }
}

impl<P> UserEvent<P> {
    /// The event with each personal field in another form, which the function makes of the field's
    /// name and what it held.
    pub fn map<Q, E>(
        self,
        form: &mut impl FnMut(&'static str, P) -> Result<Q, E>,
    ) -> Result<UserEvent<Q>, E> {
        Ok(match self {
            Self::Registered { username, email, full_name, bio, image, roles } => {
                UserEvent::Registered {
                    username: form(field::USERNAME, username)?,
                    email: form(field::EMAIL, email)?,
                    full_name: map_some(field::FULL_NAME, full_name, form)?,
                    bio: map_some(field::BIO, bio, form)?,
                    image: map_some(field::IMAGE, image, form)?,
                    roles,
                }
            }
            Self::EmailVerificationRequested => UserEvent::EmailVerificationRequested,
            Self::EmailVerified => UserEvent::EmailVerified,
            Self::ProfileUpdated { change } => {
                UserEvent::ProfileUpdated { change: change.map(form)? }
            }
            Self::EmailChanged { email } => {
                UserEvent::EmailChanged { email: form(field::EMAIL, email)? }
            }
            Self::Deactivated => UserEvent::Deactivated,
            Self::Reactivated => UserEvent::Reactivated,
            Self::RoleGranted { role } => UserEvent::RoleGranted { role },
            Self::RoleRevoked { role } => UserEvent::RoleRevoked { role },
            Self::PasswordChanged => UserEvent::PasswordChanged,
            Self::SessionsEnded => UserEvent::SessionsEnded,
            Self::SecondFactorEnrolled => UserEvent::SecondFactorEnrolled,
            Self::SecondFactorRemoved => UserEvent::SecondFactorRemoved,
            Self::Erased => UserEvent::Erased,
        })
    }

    /// The names of the fields of a user that the event changed, for the audit: never their values.
    pub fn what_changed(&self) -> Vec<&'static str> {
        match self {
            Self::Registered { full_name, bio, image, .. } => {
                let told = ProfileChange {
                    full_name: full_name.as_ref().map(Some),
                    bio: bio.as_ref().map(Some),
                    image: image.as_ref().map(Some),
                };
                [vec![field::USERNAME, field::EMAIL], told.fields(), vec!["roles"]].concat()
            }
            Self::EmailVerificationRequested => Vec::new(),
            Self::EmailVerified => vec!["email_verified"],
            Self::ProfileUpdated { change } => change.fields(),
            Self::EmailChanged { .. } => vec![field::EMAIL, "email_verified"],
            Self::Deactivated | Self::Reactivated => vec!["active"],
            Self::RoleGranted { .. } | Self::RoleRevoked { .. } => vec!["roles"],
            Self::PasswordChanged => vec!["password"],
            Self::SessionsEnded => vec!["sessions"],
            Self::SecondFactorEnrolled | Self::SecondFactorRemoved => vec!["second_factor"],
            Self::Erased => {
                [&field::ALL[..], &["email_verified", "active", "roles", "erased"]].concat()
            }
        }
    }
}

/// A personal field that may be absent, in another form.
pub(super) fn map_some<P, Q, E>(
    name: &'static str,
    value: Option<P>,
    form: &mut impl FnMut(&'static str, P) -> Result<Q, E>,
) -> Result<Option<Q>, E> {
    value.map(|value| form(name, value)).transpose()
}
