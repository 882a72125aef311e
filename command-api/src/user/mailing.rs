//! Sends the mails that decisions about users cause, and those that are asked for without one.
//!
//! What is kept of a mail is which event caused it, or whose it is. Where it goes and what it says is read
//! from the user's state when it is sent, or for a notice from the one before: of somebody who was erased
//! meanwhile, nothing is left to send.
//!
//! Whoever has registered may have given somebody else's address, and may ask for its mail again and again.
//! So a mail that another one of its kind follows is not sent, no more than one of a kind is in a time, and
//! none is once the address is no longer the user's. The store knows all that, for every process.

mod attempted;
mod notice;
mod registering;

use std::time::Duration;

use consistency_token::TokenKey;
use domain::Timestamp;
use domain::user::{ResetPassword, User, UserId};
use event_store::EventStore;
use event_store::beside::{DueMail, MailsBeside, NOT_NEEDED, NOTIFIED, SENT};
use problem_details::{Problem, ProblemType};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::registration_token::RegistrationKey;
use super::reset_token::{self, PasswordReset, PasswordResetKey};
use super::verification::{Verification, VerificationKey};
use super::{Registrations, Users};
use crate::decision::{Commands, now};
use crate::mail::{Mail, MailError, MailFault, Mailer, PublicUrl, texts};
use crate::occurrence::mail_settled;
use attempted::Attempted;

pub(super) use notice::Notice;

/// The mail by which somebody shows that an address is theirs.
pub const VERIFY_EMAIL: &str = "verify-email";

/// The mail that lets somebody have another password.
pub const RESET_PASSWORD: &str = "reset-password";

/// The mail to whoever wants to be registered, where that tells nobody who has an account.
pub const CONFIRM_REGISTRATION: &str = "confirm-registration";

/// Mails that are taken over at once: one that waited for another one to be sent would need a longer
/// lease, and wait for longer where its process ends.
const AT_ONCE: u32 = 1;

/// How long taking over a mail and reading what it needs may take together.
const READING: Duration = Duration::from_secs(20);

/// How long sending a mail may take: longer than the patience with a mail server can be set to.
const SENDING: Duration = Duration::from_secs(125);

/// How long it is tried to write down that a mail was settled.
const NOTING: Duration = Duration::from_secs(20);

/// Between two tries to write that down.
const NOTE_AGAIN: Duration = Duration::from_millis(500);

/// How long a mail belongs to whoever took it over: for as long as all that is done with it can take, so
/// that nobody else sends it meanwhile.
const LEASE: Duration = READING.saturating_add(SENDING).saturating_add(NOTING);

/// How long the worker relies on being woken.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The first wait before a mail is tried again; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// Attempts after which a mail is given up: those of about a day.
const MOST_ATTEMPTS: i32 = 32;

/// The time in which one mail of a kind is sent to a user at most: who has just registered, and been mailed to,
/// may have forgotten the password.
const AT_MOST_EVERY: Duration = Duration::from_secs(300);

/// Mails in a day by which one user may have another password, and those to one address by which somebody registers:
/// who does not want them is not to be buried in them.
const MOST_IN_A_DAY: u32 = 5;

/// What is at fault where nobody can say whom a mail goes to.
const STATE: &str = "state";

/// Sends mails.
pub struct Mailing<S, M> {
    commands: Commands<S>,
    mailer: M,
    public_url: PublicUrl,
    verification: VerificationKey,
    password_resets: PasswordResetKey,
    registration_tokens: RegistrationKey,
    registrations: Registrations,
    at_most_every: Duration,
}

impl<S: EventStore, M: Mailer> Mailing<S, M> {
    /// A worker whose links begin with the address and hold tokens of the key, by which people come in.
    pub fn new(
        commands: Commands<S>,
        mailer: M,
        public_url: PublicUrl,
        link_key: &TokenKey,
        registrations: Registrations,
    ) -> Self {
        Self {
            commands,
            mailer,
            public_url,
            verification: VerificationKey::new(link_key),
            password_resets: PasswordResetKey::new(link_key),
            registration_tokens: RegistrationKey::new(link_key),
            registrations,
            at_most_every: AT_MOST_EVERY,
        }
    }

    /// The same with another time in which one mail of a kind is sent to a user at most.
    #[must_use]
    pub fn at_most_every(self, at_most_every: Duration) -> Self {
        Self { at_most_every, ..self }
    }

    /// Sends what is due whenever it is woken, and now and then. Never returns.
    pub async fn run(&self, wake: &Notify) {
        loop {
            let until = Instant::now() + READING;
            let store = &self.commands.deciding().store;
            // While the store does not answer, mails wait.
            let due = store.due_mails(AT_ONCE, LEASE).await.unwrap_or_default();
            for mail in &due {
                let attempted = self.attempt(mail, until).await;
                mail_settled(mail, &attempted.outcome, attempted.fault);
                self.note(mail, &attempted).await;
            }
            if due.is_empty() {
                let _ = timeout(LOOK_AGAIN, wake.notified()).await;
            }
        }
    }

    async fn attempt(&self, due: &DueMail, read_until: Instant) -> Attempted {
        let later = || Attempted::failed(wait_after(due.attempts));
        let mail = match timeout_at(read_until, self.prepare(due)).await {
            Ok(Ok(mail)) => mail,
            Ok(Err(attempted)) => return attempted,
            Err(_) => return later().by_fault(STATE),
        };
        let sending = timeout(SENDING, self.mailer.send(&mail)).await;
        let sent = sending.unwrap_or(Err(MailError::Temporary(MailFault::NoAnswer)));
        let is_notice = Notice::of(&due.kind).is_some();
        let Err(error) = sent else {
            return Attempted::settled(if is_notice { NOTIFIED } else { SENT });
        };
        let attempted = match &error {
            MailError::Permanent(_) => Attempted::settled("refused"),
            MailError::Temporary(_) if due.attempts >= MOST_ATTEMPTS => {
                Attempted::settled("given-up")
            }
            MailError::Temporary(_) => later(),
        };
        attempted.by_fault(error.fault().kind())
    }

    /// What is to be sent now.
    ///
    /// # Errors
    /// Nothing is, or nobody can say.
    async fn prepare(&self, due: &DueMail) -> Result<Mail, Attempted> {
        if due.kind == CONFIRM_REGISTRATION {
            let mail = self.of_registration(due).await?;
            return self.unless_too_soon(due, mail).await;
        }
        let Some(user) = UserId::from_stream_id(&due.stream_id) else {
            return Err(unknown());
        };
        if let Some(notice) = Notice::of(&due.kind) {
            let mail = self.notice(due, user, notice).await;
            return mail.map_err(|problem| why_not(due, &problem))?.ok_or_else(not_needed);
        }
        if due.kind == RESET_PASSWORD && has_waited_too_long(due, now()) {
            return Err(Attempted::settled("lapsed"));
        }
        let state = self.commands.state::<Users>(user.0).await;
        let state = state.map_err(|problem| why_not(due, &problem))?;
        let mail = state.and_then(|state| self.mail(due, user, &state)).ok_or_else(not_needed)?;
        // After the state: of an address that was changed since, there is a newer mail.
        self.unless_too_soon(due, mail).await
    }

    /// The mail, unless there is a newer one, others were sent too lately, or the address is no longer theirs.
    ///
    /// # Errors
    /// One of these is so, or nobody can say.
    async fn unless_too_soon(&self, due: &DueMail, mail: Mail) -> Result<Mail, Attempted> {
        let beside = self.commands.deciding().store.mails_beside(due).await;
        let beside = beside.map_err(|_| cannot_say(due))?;
        let MailsBeside { has_newer, last_sent, sent_lately, holds_claim } = beside;
        let is_registration = due.kind == CONFIRM_REGISTRATION;
        // Of a registration there is no stream that could have the address, and several wait: each by its own mail.
        if !is_registration && (has_newer || !holds_claim) {
            return Err(not_needed());
        }
        if (is_registration || due.kind == RESET_PASSWORD) && sent_lately >= MOST_IN_A_DAY {
            return Err(Attempted::settled("too-many"));
        }
        match last_sent.map(|ago| self.at_most_every.saturating_sub(ago)) {
            Some(left) if !left.is_zero() => Err(Attempted::put_off(left)),
            Some(_) | None => Ok(mail),
        }
    }

    /// What tells somebody what was done to their account: always, since it is they who are told, and at once.
    async fn notice(
        &self,
        due: &DueMail,
        user: UserId,
        notice: Notice,
    ) -> Result<Option<Mail>, Problem> {
        let is_of = |event: &_| notice.is_of(event);
        let before = self.commands.before::<Users>(user.0, due.version, is_of).await?;
        Ok(before.and_then(|before| notice.mail(due.id, before, &self.public_url)))
    }

    /// Writes down what became of a mail.
    async fn note(&self, mail: &DueMail, attempted: &Attempted) {
        let store = &self.commands.deciding().store;
        // What could not be written down is tried again once the lease is over.
        let _ = match attempted.outcome {
            Ok(outcome) => {
                // A mail that was sent would be so again.
                let noting = async {
                    while store.settle_mail(mail.id, Ok(outcome)).await.is_err() {
                        sleep(NOTE_AGAIN).await;
                    }
                };
                timeout(NOTING, noting).await.is_ok()
            }
            Err(wait) if attempted.is_tried => store.settle_mail(mail.id, Err(wait)).await.is_ok(),
            Err(wait) => store.put_off_mail(mail.id, wait).await.is_ok(),
        };
    }

    /// The mail, if there is still somebody to send it to and a reason.
    fn mail(&self, due: &DueMail, user: UserId, state: &User<String>) -> Option<Mail> {
        let to = state.email.clone()?;
        match due.kind.as_str() {
            VERIFY_EMAIL if !state.email_verified => {
                let term = self.commands.deciding().claim_term;
                let (email_number, until) = (state.email_number, after(term)?);
                let verification = Verification { user, email_number, until };
                let token = self.verification.sign(verification);
                Some(texts::verify_email(due.id, to, &self.public_url, &token, term))
            }
            // Whoever has registered with an address expects mails there, or knows of none. One that was put in
            // its place counts once it was shown to be theirs.
            RESET_PASSWORD if state.active && (state.email_verified || state.email_number == 1) => {
                let term = reset_token::HOLDS_FOR;
                let User { email_number, session_epoch, .. } = *state;
                let command = ResetPassword { email_number, session_epoch };
                let reset = PasswordReset { user, command, until: after(term)? };
                let token = self.password_resets.sign(reset);
                Some(texts::reset_password(due.id, to, &self.public_url, &token, term))
            }
            _ => None,
        }
    }
}

fn not_needed() -> Attempted {
    Attempted::settled(NOT_NEEDED)
}

/// Nobody knows whom it was for.
fn unknown() -> Attempted {
    Attempted::settled("unknown")
}

fn cannot_say(due: &DueMail) -> Attempted {
    Attempted::failed(wait_after(due.attempts)).by_fault(STATE)
}

/// Of whoever was erased nothing is known, and that is known.
fn why_not(due: &DueMail, problem: &Problem) -> Attempted {
    match problem.kind() {
        ProblemType::Erased => not_needed(),
        _ => cannot_say(due),
    }
}

/// Whether somebody has asked for so long that they do not expect it any more: as long as its link would hold.
fn has_waited_too_long(due: &DueMail, now: Timestamp) -> bool {
    due.asked_for_at().is_some_and(|at| at.after(reset_token::HOLDS_FOR) < now)
}

/// So long from now on.
fn after(term: Duration) -> Option<Timestamp> {
    Some(Timestamp(now().micros() + i64::try_from(term.as_micros()).ok()?))
}

fn wait_after(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or_default().min(16);
    (FIRST_WAIT * 2_u32.pow(doublings)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use settings::{Kind, table};

    use super::*;

    #[test]
    fn waits_double_up_to_an_hour() {
        let seconds: Vec<u64> = [1, 2, 3, 20].map(|n| wait_after(n).as_secs()).to_vec();
        assert_eq!(seconds, [2, 4, 8, 3_600]);
    }

    #[test]
    fn whoever_has_asked_waits_for_as_long_as_the_link_would_hold() {
        let asked_at = 1_772_366_400_000;
        let due = DueMail {
            id: uuid::Builder::from_unix_timestamp_millis(asked_at, &[0; 10]).into_uuid(),
            kind: RESET_PASSWORD.to_owned(),
            stream_id: "user-7".to_owned(),
            version: 1,
            attempts: 1,
        };
        let after = |seconds: i64| Timestamp((asked_at.cast_signed() + seconds * 1_000) * 1_000);
        assert!(!has_waited_too_long(&due, after(-60)), "by another clock");
        assert!(!has_waited_too_long(&due, after(900)));
        assert!(has_waited_too_long(&due, after(901)));
        let timeless = DueMail { id: uuid::Uuid::nil(), ..due };
        assert!(!has_waited_too_long(&timeless, after(901)));
    }

    #[test]
    fn a_mail_server_may_take_its_time_while_the_mail_is_ours() {
        let Kind::Millis { max, .. } = table::SMTP_TIMEOUT.kind else { panic!("no time") };
        // Beside it there is the good-bye.
        assert!(SENDING > Duration::from_millis(max) + Duration::from_secs(1));
        assert!(LEASE >= AT_ONCE * (READING + SENDING + NOTING));
    }
}
