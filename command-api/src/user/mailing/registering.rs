//! The mail to whoever wants to be registered, where that tells nobody who has an account: by it they become a user, or
//! are told that they are one. Which of both it is, its reader alone knows.

use domain::user::UserId;
use event_store::EventStore;
use event_store::beside::DueMail;

use super::{Attempted, Mailing, cannot_say, not_needed, unknown, why_not};
use crate::mail::{Mail, Mailer, texts};
use crate::user::Users;
use crate::user::pending_registration::WAITS_FOR;

impl<S: EventStore, M: Mailer> Mailing<S, M> {
    /// What is to be sent now of a registration that has the mail's id.
    ///
    /// # Errors
    /// Nothing is, or nobody can say.
    pub(super) async fn of_registration(&self, due: &DueMail) -> Result<Mail, Attempted> {
        let waiting = self.commands.deciding().store.pending_registration(due.id).await;
        let waiting = waiting.map_err(|_| cannot_say(due))?.ok_or_else(not_needed)?;
        if let Some(stream_id) = &waiting.holder {
            return self.to_holder(due, stream_id).await;
        }
        let user = UserId(due.id);
        // Also that nobody has the address is true of a store alone that was compared with the log.
        let state = self.commands.state::<Users>(user.0).await;
        if state.map_err(|problem| why_not(due, &problem))?.is_some() {
            return Err(not_needed());
        }
        let pending = self.registrations.open(user, &waiting.sealed);
        let until = due.asked_for_at().map(|at| at.after(WAITS_FOR));
        let Some((pending, until)) = pending.zip(until) else {
            return Err(unknown());
        };
        let to = pending.command.email.into_string();
        let token = self.registration_tokens.sign(user, until);
        Ok(texts::confirm_registration(due.id, to, &self.public_url, &token, WAITS_FOR))
    }

    /// Whoever has the address learns that they have an account, as the address is written there.
    async fn to_holder(&self, due: &DueMail, stream_id: &str) -> Result<Mail, Attempted> {
        let holder = UserId::from_stream_id(stream_id).ok_or_else(unknown)?;
        let state = self.commands.state::<Users>(holder.0).await;
        let state = state.map_err(|problem| why_not(due, &problem))?;
        let to = state.and_then(|user| user.email).ok_or_else(not_needed)?;
        Ok(texts::account_exists(due.id, to, &self.public_url))
    }
}
