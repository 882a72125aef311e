//! A new password in place of another one: who may choose which, and what is kept of it.

use domain::user::User;
use event_store::EventStore;
use problem_details::Problem;

use super::mailing::RESET_PASSWORD;
use super::{Slice, fields};
use crate::decision::Beside;
use crate::password::{Owner, Password};

impl<S: EventStore> Slice<S> {
    /// What is written beside a decision by which the user has the password from now on that they have entered:
    /// its hash. And whoever has another password needs no mail any more by which they have one.
    ///
    /// # Errors
    /// It breaks a rule, or cannot be hashed now.
    pub(super) async fn new_password(
        &self,
        entered: Password,
        user: Option<&User<String>>,
    ) -> Result<[Beside; 2], Problem> {
        let passwords = &self.deciding.passwords;
        let chosen = fields::new_password(entered, passwords.rules(), owner(user))?;
        let hash = passwords.hash(chosen).await?;
        let hash = Beside::PasswordHash(hash.as_phc().to_owned());
        Ok([hash, Beside::MailsNotNeeded(RESET_PASSWORD)])
    }
}

fn owner(user: Option<&User<String>>) -> Owner<'_> {
    Owner {
        username: user.and_then(|user| user.username.as_deref()),
        email: user.and_then(|user| user.email.as_deref()),
    }
}
