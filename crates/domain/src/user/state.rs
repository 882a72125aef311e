//! What the events of a user add up to.

use std::collections::BTreeSet;

use super::event::map_some;
use super::{ProfileChange, UserEvent, field};
use crate::role::Role;

/// Raised with every change of [`evolve`] and of [`User`], so that stored states are folded again.
pub const STATE_REVISION: i32 = 2;

/// A user as the events of their stream tell. The personal fields are there until they are erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User<P> {
    /// The name they are known by.
    pub username: Option<P>,
    /// Where they get letters.
    pub email: Option<P>,
    /// Their full name.
    pub full_name: Option<P>,
    /// What they say of themselves.
    pub bio: Option<P>,
    /// The address of their picture.
    pub image: Option<P>,
    /// Which address of theirs the present one is, from 1: a letter to an earlier one verifies
    /// nothing.
    pub email_number: u32,
    /// Whether they showed that the present address is theirs.
    pub email_verified: bool,
    /// Whether they may come in.
    pub active: bool,
    /// What they may be.
    pub roles: BTreeSet<Role>,
    /// Counts how often all their sessions were ended at once, from 0: a session that began in
    /// another epoch is over.
    pub session_epoch: u32,
    /// Whether they have a second factor, without which the password lets nobody in.
    pub second_factor: bool,
    /// Whether they are forgotten. Nothing changes any more.
    pub erased: bool,
}

/// Why there is nobody to do something to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchUser {
    /// Nobody has registered under this id.
    #[error("there is no such user")]
    NotFound,
    /// The user was erased.
    #[error("the user was erased")]
    Erased,
}

/// The state after an event. Events before the first and after the last, and a second first, change
/// nothing: no decision makes them, and a fold does not fail.
pub fn evolve<P>(state: Option<User<P>>, event: UserEvent<P>) -> Option<User<P>> {
    match state {
        None => first(event),
        Some(user) if user.erased => Some(user),
        Some(user) => Some(user.after(event)),
    }
}

fn first<P>(event: UserEvent<P>) -> Option<User<P>> {
    match event {
        UserEvent::Registered { username, email, full_name, bio, image, roles } => Some(User {
            username: Some(username),
            email: Some(email),
            full_name,
            bio,
            image,
            email_number: 1,
            email_verified: false,
            active: true,
            roles: roles.into_iter().collect(),
            session_epoch: 0,
            second_factor: false,
            erased: false,
        }),
        UserEvent::EmailVerificationRequested
        | UserEvent::EmailVerified
        | UserEvent::ProfileUpdated { .. }
        | UserEvent::EmailChanged { .. }
        | UserEvent::Deactivated
        | UserEvent::Reactivated
        | UserEvent::RoleGranted { .. }
        | UserEvent::RoleRevoked { .. }
        | UserEvent::PasswordChanged
        | UserEvent::SessionsEnded
        | UserEvent::SecondFactorEnrolled
        | UserEvent::SecondFactorRemoved
        | UserEvent::Erased => None,
    }
}

impl<P> User<P> {
    fn after(mut self, event: UserEvent<P>) -> Self {
        match event {
            UserEvent::Registered { .. } | UserEvent::EmailVerificationRequested => {}
            UserEvent::EmailVerified => self.email_verified = true,
            UserEvent::ProfileUpdated { change } => self.tell(change),
            UserEvent::EmailChanged { email } => {
                self.email = Some(email);
                self.email_number = self.email_number.saturating_add(1);
                self.email_verified = false;
            }
            UserEvent::Deactivated => {
                self.active = false;
                self.end_sessions();
            }
            UserEvent::Reactivated => self.active = true,
            UserEvent::RoleGranted { role } => {
                self.roles.insert(role);
            }
            UserEvent::RoleRevoked { role } => {
                self.roles.remove(&role);
            }
            UserEvent::PasswordChanged | UserEvent::SessionsEnded => self.end_sessions(),
            UserEvent::SecondFactorEnrolled => self.second_factor = true,
            UserEvent::SecondFactorRemoved => self.second_factor = false,
            UserEvent::Erased => return self.forgotten(),
        }
        self
    }

    fn tell(&mut self, change: ProfileChange<P>) {
        let ProfileChange { full_name, bio, image } = change;
        for (field, told) in
            [(&mut self.full_name, full_name), (&mut self.bio, bio), (&mut self.image, image)]
        {
            if let Some(told) = told {
                *field = told;
            }
        }
    }

    fn end_sessions(&mut self) {
        self.session_epoch = self.session_epoch.saturating_add(1);
    }

    fn forgotten(self) -> Self {
        Self {
            email_verified: false,
            active: false,
            roles: BTreeSet::new(),
            second_factor: false,
            erased: true,
            ..self.without_texts()
        }
    }

    /// The state with each personal field in another form, which the function makes of the field's
    /// name and what it held.
    pub fn map<Q, E>(
        self,
        form: &mut impl FnMut(&'static str, P) -> Result<Q, E>,
    ) -> Result<User<Q>, E> {
        Ok(User {
            username: map_some(field::USERNAME, self.username, form)?,
            email: map_some(field::EMAIL, self.email, form)?,
            full_name: map_some(field::FULL_NAME, self.full_name, form)?,
            bio: map_some(field::BIO, self.bio, form)?,
            image: map_some(field::IMAGE, self.image, form)?,
            email_number: self.email_number,
            email_verified: self.email_verified,
            active: self.active,
            roles: self.roles,
            session_epoch: self.session_epoch,
            second_factor: self.second_factor,
            erased: self.erased,
        })
    }

    /// The state without the personal fields.
    pub fn without_texts<Q>(self) -> User<Q> {
        User {
            username: None,
            email: None,
            full_name: None,
            bio: None,
            image: None,
            email_number: self.email_number,
            email_verified: self.email_verified,
            active: self.active,
            roles: self.roles,
            session_epoch: self.session_epoch,
            second_factor: self.second_factor,
            erased: self.erased,
        }
    }

    /// The user, where there is one to do something to.
    pub(super) fn of(state: Option<&Self>) -> Result<&Self, NoSuchUser> {
        match state {
            None => Err(NoSuchUser::NotFound),
            Some(user) if user.erased => Err(NoSuchUser::Erased),
            Some(user) => Ok(user),
        }
    }
}
